<%!
    import re

    def plain(code):
        """Without the comments that autogenerate writes around its commands."""
        return re.sub(r"^ *# ### .* ###\n*|\s*# ### .* ###$", "", code, flags=re.M).strip() or "pass"
%>\
"""${message}

Revision ID: ${up_revision}
Revises: ${down_revision | comma,n}
Create Date: ${create_date}
"""

import sqlalchemy as sa
from alembic import op
${imports if imports else ""}

revision: str = ${repr(up_revision)}
down_revision: str | None = ${repr(down_revision)}
branch_labels: str | None = ${repr(branch_labels)}
depends_on: str | None = ${repr(depends_on)}


def upgrade() -> None:
    ${(upgrades or "") | plain,n}


def downgrade() -> None:
    ${(downgrades or "") | plain,n}
