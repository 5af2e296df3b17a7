"""What a revision must not leave behind. Checked before it counts as done."""

from typing import Any

from alembic.runtime.migration import MigrationContext, MigrationInfo
from alembic.util import CommandError


def check_indexes(ctx: MigrationContext, step: MigrationInfo, **_: Any) -> None:
    """Refuse a revision that leaves an index half built, before it counts as done."""
    if ctx.as_sql or ctx.connection is None:
        return
    rows = ctx.connection.exec_driver_sql(
        "SELECT indexrelid::regclass::text FROM pg_index JOIN pg_class ON oid = indexrelid "
        "WHERE NOT indisvalid AND relnamespace::regnamespace::text !~ '^pg_'"
    )
    if names := ", ".join(rows.scalars()):
        raise CommandError(
            f"{step.up_revision_id}: index {names} is not valid, an earlier CREATE INDEX "
            f"CONCURRENTLY was interrupted: run DROP INDEX CONCURRENTLY {names}, then upgrade again"
        )


# For `context.configure()`: each revision is a transaction of its own.
OPTIONS: dict[str, Any] = {
    "transactional_ddl": True,
    "transaction_per_migration": True,
    "on_version_apply": check_indexes,
}
