"""The revisions that a database is at."""

import sqlalchemy as sa


def current_heads(connection: sa.Connection) -> set[str]:
    """One revision, or none before the first migration."""
    if not sa.inspect(connection).has_table("alembic_version"):
        return set()
    return set(connection.scalars(sa.text("SELECT version_num FROM alembic_version")))
