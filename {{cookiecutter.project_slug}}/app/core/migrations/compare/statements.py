"""The SQL of operations as they are written into a revision."""

import io
from collections.abc import Iterable

import sqlalchemy as sa
from alembic.migration import MigrationContext
from alembic.operations import Operations
from sqlalchemy.dialects import postgresql


def statements(code: Iterable[str]) -> list[str]:
    """What `alembic upgrade --sql` would print of these lines, each statement on one line."""
    output = io.StringIO()
    options = {"as_sql": True, "literal_binds": True, "output_buffer": output}
    context = MigrationContext.configure(
        dialect_name="postgresql", dialect_opts={"paramstyle": "named"}, opts=options
    )
    names = {"op": Operations(context), "sa": sa, "postgresql": postgresql}
    exec("\n".join(code), names)  # the revision itself is run in no other way
    lines = (" ".join(text.split()) for text in output.getvalue().split(";\n"))
    return [line for line in lines if line]
