"""Migrations one at a time, and none that blocks the traffic of a busy database."""

import logging
import random
import time
import traceback
from collections.abc import Callable
from pathlib import Path

import sqlalchemy as sa
from alembic import context
from alembic.util import CommandError
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError, OperationalError

from app.settings import Settings

log = logging.getLogger("alembic.run")

# A number of our own, so that nothing else in the database takes the same lock: "alembic".
LOCK_KEY = int.from_bytes(b"alembic", "big")

VERSIONS = Path(__file__).parent.parent / "alembic" / "versions"

LOCK_NOT_AVAILABLE, DEADLOCK_DETECTED = "55P03", "40P01"


def migrate_sqlite(
    migrate: Callable[[Connection], None], connection: Connection, settings: Settings
) -> None:
    connection.info["begin"] = "BEGIN IMMEDIATE"
    try:
        connection.info["broken"] = set(foreign_key_violations(connection))
        connection.rollback()
        migrate(connection)
    except OperationalError as error:
        if "locked" not in str(error.orig):
            raise
        raise CommandError(
            f"{connection.engine.url.database} was locked by another process for "
            f"{settings.migration_lock_wait_seconds:g} s (MIGRATION_LOCK_WAIT_SECONDS)"
        ) from None


def migrate_postgresql(
    migrate: Callable[[Connection], None], connection: Connection, settings: Settings
) -> None:
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
            time.sleep(random.uniform(0.5, 1.5))  # a turn for what waited behind us


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
                f"(MIGRATION_LOCK_WAIT_SECONDS): {describe_holders(connection, 'advisory', '')}"
            )
        if not waiting:
            log.info("Another migration is running: waiting for it")
        waiting = True
        time.sleep(random.uniform(0.1, 0.3))
    connection.commit()


def where(error: DBAPIError) -> str:
    """The revision's file and line that an error comes from, and its statement."""
    frames = traceback.extract_tb(error.__traceback__)
    lines = [
        f"{path.name}:{frame.lineno}"
        for frame in frames
        if (path := Path(frame.filename)).parent == VERSIONS
    ]
    statement = " ".join((error.statement or "").split())[:100]
    return ", ".join([*lines[-1:], statement])


def describe_wait(connection: Connection, error: DBAPIError, settings: Settings) -> str:
    """Which revision waited, for which table, and who has it."""
    holders = describe_holders(connection, "relation", error.statement or "")
    return (
        f"{where(error)}: waited {settings.migration_lock_timeout_seconds:g} s "
        f"(MIGRATION_LOCK_TIMEOUT_SECONDS) for a lock held by {holders}"
    )


def describe_holders(connection: Connection, kind: str, statement: str) -> str:
    """The sessions that hold locks of this kind, on the tables that the statement names."""
    rows = connection.execute(sa.text(HOLDERS), {"kind": kind, "statement": statement}).all()
    connection.rollback()
    return (
        "; ".join(
            f"process {row.pid} ({row.usename}, {row.application_name or 'no name'}, {row.state}"
            f", {row.seconds:.0f} s in its transaction{', on ' + row.tables if row.tables else ''})"
            for row in rows
        )
        or "a session that has gone since"
    )


HOLDERS = r"""
SELECT a.pid, a.usename, a.application_name, a.state,
       coalesce(extract(epoch FROM clock_timestamp() - a.xact_start), 0) AS seconds,
       string_agg(DISTINCT l.relation::regclass::text, ', ') AS tables
FROM pg_locks l JOIN pg_stat_activity a USING (pid)
LEFT JOIN pg_class c ON c.oid = l.relation
WHERE l.granted AND l.locktype = :kind AND l.pid <> pg_backend_pid()
  AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
  AND (c.oid IS NULL OR (c.relkind IN ('r', 'p') AND :statement ~ ('\m' || c.relname || '\M')))
GROUP BY 1, 2, 3, 4, 5
"""


def foreign_key_violations(connection: Connection) -> list[tuple[str, int, str]]:
    """(table, rowid, referred table) of each reference that points nowhere."""
    rows = connection.exec_driver_sql("PRAGMA foreign_key_check")
    return [(row[0], row[1], row[2]) for row in rows]
