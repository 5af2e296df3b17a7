"""The lock that keeps migrations apart. One process has it, also behind a pooler."""

import logging
import random
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

import sqlalchemy as sa
from alembic.util import CommandError
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from app.core.db.settings import DatabaseSettings
from app.core.migrations.connection import Limits, connect

log = logging.getLogger("alembic.run")

T = TypeVar("T")

# A number of our own, so that nothing else in the database takes the same lock: "alembic".
LOCK_KEY = int.from_bytes(b"alembic", "big")
# PostgreSQL gives the lock away when its holder has not been heard of for so long.
SILENT_SECONDS = 30
LOST = (
    "The connection that held the migrations' lock is lost: another migration may be running. "
    "Nothing of the current revision was committed. Upgrade again"
)

STANDBY = (
    "This server is a standby, which takes no writes: set MIGRATION_DATABASE_URL to the primary"
)


class MigrationLock:
    """An advisory lock in an open transaction, on a connection of its own.

    A pooler leaves a connection to its transaction, and PostgreSQL releases the lock with either.
    """

    def __init__(self, connection: Connection, settings: DatabaseSettings) -> None:
        self.connection, self.settings = connection, settings
        self._limits = Limits(connection, SILENT_SECONDS)
        self._mutex = threading.Lock()  # a connection runs one statement at a time

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold the lock. Raises CommandError when another migration does not end in time."""
        if self.connection.scalar(sa.select(sa.func.pg_is_in_recovery())):
            raise CommandError(STANDBY)
        self._acquire(self.settings.migration_lock_wait_seconds)
        try:
            yield
        finally:
            with self._mutex:
                self.connection.close()

    def check(self) -> None:
        """Raises CommandError when the lock is lost."""
        try:
            with self._mutex:
                # No query: for its snapshot CREATE INDEX CONCURRENTLY would wait until our end.
                self.connection.exec_driver_sql("SHOW transaction_isolation")
        except DBAPIError:
            raise CommandError(LOST) from None

    def _acquire(self, wait_seconds: float) -> None:
        """Polled, not waited for: a statement that waits holds a snapshot."""
        deadline = time.monotonic() + wait_seconds
        waiting = False
        take = sa.select(sa.func.pg_try_advisory_xact_lock(LOCK_KEY))
        while not self._or_again(lambda: self.connection.scalar(take)):
            holders = self._or_again(lambda: lock_holders(self.connection))
            if time.monotonic() > deadline:
                found = "; ".join(map(describe, holders or ())) or "a session that has gone since"
                raise CommandError(
                    f"Another migration did not end within {wait_seconds:g} s "
                    f"(MIGRATION_LOCK_WAIT_SECONDS): {found}"
                )
            if not waiting:
                log.info("Another migration is running: waiting for it")
            waiting = True
            self._or_again(self.connection.rollback)
            time.sleep(random.uniform(0.1, 0.3))
        self.check()  # also ends the query that took the lock, and so its snapshot

    def _or_again(self, work: Callable[[], T]) -> T | None:
        """None where the connection is lost; then there is a new one."""
        try:
            return work()
        except DBAPIError as error:
            if not error.connection_invalidated:
                raise
            log.info("The server closed the connection: connecting again")
            self.connection.close()
            self.connection = connect(self.connection.engine, self.settings)
            self._limits = Limits(self.connection, SILENT_SECONDS)
            return None


def lock_holders(connection: Connection) -> Sequence[sa.Row[Any]]:
    """The sessions that hold the migrations' lock, but for this one."""
    return connection.execute(sa.text(HOLDERS), {"key": LOCK_KEY}).all()


def describe(row: sa.Row[Any]) -> str:
    return (
        f"process {row.pid} ({row.usename}, {row.application_name or 'no name'}, "
        f"{row.state or 'at work'}, {row.seconds:.0f} s in its transaction)"
    )


HOLDERS = """
SELECT a.pid, a.usename, a.application_name, a.state,
       coalesce(extract(epoch FROM clock_timestamp() - a.xact_start), 0) AS seconds
FROM pg_locks l JOIN pg_stat_activity a USING (pid)
WHERE l.granted AND l.locktype = 'advisory' AND l.pid <> pg_backend_pid()
  AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
  AND (l.classid::bigint << 32) + l.objid::bigint = :key
"""
