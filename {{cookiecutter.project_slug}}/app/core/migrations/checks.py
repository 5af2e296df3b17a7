"""What a revision must not leave behind. Checked before it counts as done."""

import logging
import re
from pathlib import Path
from typing import Any

from alembic.runtime.migration import MigrationContext, MigrationInfo
from alembic.util import CommandError
from sqlalchemy import Connection

log = logging.getLogger("alembic.run")


def check_step(ctx: MigrationContext, step: MigrationInfo, heads: set[str], **_: Any) -> None:
    """Raises CommandError for an index that the revision leaves half built, or a lost lock."""
    if ctx.as_sql or ctx.connection is None:
        return
    run = ctx.config.attributes.get("run") if ctx.config else None
    check_indexes(ctx.connection, step, run.invalid_before if run else set())
    if run:
        run.reach(set(heads))


def check_indexes(connection: Connection, step: MigrationInfo, before: set[str]) -> None:
    """An index is this revision's if it was not there before, or if the revision names it."""
    file = getattr(step.up_revision, "path", None) if step.is_upgrade else None
    text = Path(file).read_text("utf-8") if file else ""
    invalid = invalid_indexes(connection)
    own = {name for name in invalid - before if not is_of_reindex(name)}
    own |= {name for name in invalid if re.search(rf"\b{re.escape(bare(name))}\b", text)}
    if names := ", ".join(sorted(own)):
        raise CommandError(
            f"{step.up_revision_id}: index {names} is not valid, an earlier CREATE INDEX "
            f"CONCURRENTLY was interrupted: run DROP INDEX CONCURRENTLY {names}, then upgrade again"
        )


def invalid_indexes(connection: Connection) -> set[str]:
    """The indexes that are half built, but for those that are being built by somebody else."""
    return set(connection.exec_driver_sql(INVALID).scalars())


def is_of_reindex(name: str) -> bool:
    """REINDEX CONCURRENTLY builds one beside the old one."""
    return re.search(r'_cc(new|old)\d*"?$', name) is not None


def bare(name: str) -> str:
    return name.rpartition(".")[2].strip('"')


INVALID = """
SELECT x.indexrelid::regclass::text FROM pg_index x JOIN pg_class c ON c.oid = x.indexrelid
WHERE NOT x.indisvalid AND c.relkind = 'i' AND c.relnamespace::regnamespace::text !~ '^pg_'
  AND NOT EXISTS (SELECT FROM pg_stat_progress_create_index g
                  WHERE g.index_relid = x.indexrelid AND g.pid <> pg_backend_pid())
"""

# For `context.configure()`: each revision is a transaction of its own.
OPTIONS: dict[str, Any] = {
    "transactional_ddl": True,
    "transaction_per_migration": True,
    "on_version_apply": check_step,
}
