"""Lock, lock timeout and retries: one migration at a time, and none that stops the traffic."""

import logging
import random
import time
from collections.abc import Callable, Sequence
from typing import Any

import sqlalchemy as sa
from alembic import context
from alembic.util import CommandError
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from app.core.db.settings import DatabaseSettings
from app.core.migrations.errors import where

log = logging.getLogger("alembic.run")

# A number of our own, so that nothing else in the database takes the same lock: "alembic".
LOCK_KEY = int.from_bytes(b"alembic", "big")

LOCK_NOT_AVAILABLE, DEADLOCK_DETECTED = "55P03", "40P01"


def migrate_under_lock(
    migrate: Callable[[Connection], None], connection: Connection, settings: DatabaseSettings
) -> None:
    """Call `migrate` under the lock, and again when a table was locked by somebody else."""
    take_lock(connection, settings.migration_lock_wait_seconds)
    milliseconds = round(settings.migration_lock_timeout_seconds * 1000)
    connection.exec_driver_sql(f"SET lock_timeout = {milliseconds}")
    connection.commit()
    retries = 0 if is_relative() else settings.migration_lock_retries
    for left in range(retries, -1, -1):
        try:
            migrate(connection)
            break
        except DBAPIError as error:
            connection.rollback()
            if getattr(error.orig, "sqlstate", None) not in (LOCK_NOT_AVAILABLE, DEADLOCK_DETECTED):
                raise
            reason = describe_wait(connection, error, settings)
            if not left:
                raise CommandError(reason) from None
            log.warning("%s; trying again, %d times at most", reason, left)
            time.sleep(random.uniform(0.5, 1.5))  # for what waited behind us


def is_relative() -> bool:
    """`+2` after one of the two was done is not `+2` any more."""
    return str(getattr(context.config.cmd_opts, "revision", "")).startswith(("+", "-"))


def take_lock(connection: Connection, wait_seconds: float) -> None:
    """Take the lock that keeps migrations apart. It is held until the connection closes.

    Polled, not waited for: a statement that waits holds a snapshot, for which
    CREATE INDEX CONCURRENTLY of the one that holds the lock would wait in turn.
    """
    deadline = time.monotonic() + wait_seconds
    waiting = False
    while not connection.scalar(sa.select(sa.func.pg_try_advisory_lock(LOCK_KEY))):
        connection.commit()
        if time.monotonic() > deadline:
            raise CommandError(
                f"Another migration did not end within {wait_seconds:g} s "
                f"(MIGRATION_LOCK_WAIT_SECONDS): {describe_holders(connection, 'advisory')}"
            )
        if not waiting:
            log.info("Another migration is running: waiting for it")
        waiting = True
        time.sleep(random.uniform(0.1, 0.3))
    connection.commit()


def describe_wait(connection: Connection, error: DBAPIError, settings: DatabaseSettings) -> str:
    """Which revision waited, for which table, and who has it."""
    holders = describe_holders(connection, "relation", error.statement or "")
    return (
        f"{where(error)}: waited {settings.migration_lock_timeout_seconds:g} s "
        f"(MIGRATION_LOCK_TIMEOUT_SECONDS) for a lock held by {holders}"
    )


def describe_holders(connection: Connection, kind: str, statement: str = "") -> str:
    rows = lock_holders(connection, kind, statement)
    return "; ".join(map(describe, rows)) or "a session that has gone since"


def describe(row: sa.Row[Any]) -> str:
    tables = f", on {row.tables}" if row.tables else ""
    return (
        f"process {row.pid} ({row.usename}, {row.application_name or 'no name'}, {row.state}, "
        f"{row.seconds:.0f} s in its transaction{tables})"
    )


def lock_holders(connection: Connection, kind: str, statement: str = "") -> Sequence[sa.Row[Any]]:
    """The sessions that hold the migrations' lock (`advisory`), or one on a table (`relation`).

    Of the latter, those on tables that the statement names.
    """
    values = {"kind": kind, "statement": statement, "key": LOCK_KEY}
    rows = connection.execute(sa.text(HOLDERS), values).all()
    connection.rollback()
    return rows


HOLDERS = r"""
SELECT a.pid, a.usename, a.application_name, a.state,
       coalesce(extract(epoch FROM clock_timestamp() - a.xact_start), 0) AS seconds,
       string_agg(DISTINCT l.relation::regclass::text, ', ') AS tables
FROM pg_locks l JOIN pg_stat_activity a USING (pid)
LEFT JOIN pg_class c ON c.oid = l.relation
WHERE l.granted AND l.locktype = :kind AND l.pid <> pg_backend_pid()
  AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
  AND CASE :kind
      WHEN 'advisory' THEN (l.classid::bigint << 32) + l.objid::bigint = :key
      ELSE c.relkind IN ('r', 'p') AND :statement ~ ('\m' || c.relname || '\M')
      END
GROUP BY 1, 2, 3, 4, 5
"""
