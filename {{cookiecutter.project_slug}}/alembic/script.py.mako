<%!
    import re

    def plain(code):
        """Without the comments that autogenerate writes around its commands."""
        return re.sub(r"^ *# ### .* ###\n*|\s*# ### .* ###$", "", code, flags=re.M).strip() or "pass"

    def kind(value):
        """The annotation: a merge has several parents, and a label comes in a tuple."""
        return "tuple[str, ...]" if isinstance(value, tuple) else "str | None"
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
down_revision: ${kind(down_revision)} = ${repr(down_revision)}
branch_labels: ${kind(branch_labels)} = ${repr(branch_labels)}
depends_on: ${kind(depends_on)} = ${repr(depends_on)}


def upgrade() -> None:
    ${(upgrades or "") | plain,n}


def downgrade() -> None:
    ${(downgrades or "") | plain,n}
