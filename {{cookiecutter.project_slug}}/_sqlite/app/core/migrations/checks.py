"""What a revision must not leave behind. Checked before it counts as done."""

from typing import Any

from alembic.runtime.migration import MigrationContext, MigrationInfo
from alembic.util import CommandError
from sqlalchemy import Connection


def check_foreign_keys(ctx: MigrationContext, step: MigrationInfo, **_: Any) -> None:
    """Refuse a revision that breaks a reference: SQLite's own check is off while it runs."""
    if ctx.as_sql or ctx.connection is None:
        return
    broken = set(foreign_key_violations(ctx.connection)) - ctx.connection.info.get("broken", set())
    for table, row, parent in sorted(broken, key=str):
        raise CommandError(
            f"{step.up_revision_id}: row {row} of {table} refers to a row of {parent} "
            f"that is not there, and {len(broken) - 1} more like it; nothing was changed"
        )


def foreign_key_violations(connection: Connection) -> list[tuple[str, int, str]]:
    """(table, rowid, referred table) of each reference that points nowhere."""
    rows = connection.exec_driver_sql("PRAGMA foreign_key_check")
    return [(row[0], row[1], row[2]) for row in rows]


# For `context.configure()`: all revisions of a run are one transaction, which is also the lock
# between processes.
OPTIONS: dict[str, Any] = {
    "transactional_ddl": True,
    "transaction_per_migration": False,
    "on_version_apply": check_foreign_keys,
}
