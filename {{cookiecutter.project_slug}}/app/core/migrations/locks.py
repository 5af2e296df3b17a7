"""Runs a migration under its locks: alone, and polite to those that use the tables."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from alembic import context
from alembic.runtime.migration import MigrationContext, RevisionStep
from alembic.util import CommandError
from sqlalchemy import Connection, event

from app.core.db.settings import DatabaseSettings
from app.core.migrations.advisory_lock import MigrationLock
from app.core.migrations.autocommit import COMMITS_EARLY
from app.core.migrations.checks import invalid_indexes
from app.core.migrations.config import context_options, is_purge
from app.core.migrations.connection import connect, has_written
from app.core.migrations.table_locks import TableLocks


def migrate_under_lock(
    migrate: Callable[[Connection], None], connection: Connection, settings: DatabaseSettings
) -> None:
    """Call `migrate` under the lock, and again when a table was in use by somebody else."""
    lock = MigrationLock(connection, settings)
    with lock.held(), second_connection(lock, settings) as second:
        locks = TableLocks(lock, second, settings)
        run = context.config.attributes["run"] = Run(locks)
        try:
            with locks.watched():
                locks.attempt(lambda: run.attempt(migrate))
        finally:
            del context.config.attributes["run"]


@contextmanager
def second_connection(lock: MigrationLock, settings: DatabaseSettings) -> Iterator[Connection]:
    """The connection that migrates. Raises CommandError where a pooler has no second one."""
    opened: list[Connection] = []
    errors: list[Exception] = []

    def work() -> None:
        try:
            connection = connect(lock.connection.engine, settings)
            # A pooler lets its clients in, and looks for a connection when they ask something.
            connection.exec_driver_sql("SELECT 1")
            connection.rollback()
            opened.append(connection)
        except Exception as error:
            errors.append(error)

    # In a thread: libpq gives no limit to the time that a pooler lets its clients wait.
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    deadline = time.monotonic() + settings.migration_connect_wait_seconds + 15
    while thread.is_alive() and time.monotonic() < deadline:
        thread.join(1)
        lock.check()  # PostgreSQL takes it away from a holder that is silent
    if errors:
        raise errors[0]
    if not opened:
        raise CommandError(
            "The pooler gives no second connection. A migration needs two: give it a larger pool, "
            "or set MIGRATION_DATABASE_URL to PostgreSQL itself"
        )
    with opened[0] as connection:
        yield connection


class Run:
    """A run of Alembic: the steps that it takes, of which a second attempt takes the rest."""

    def __init__(self, locks: TableLocks) -> None:
        self.locks = locks
        self.invalid_before = invalid_indexes(locks.connection)
        locks.connection.rollback()
        self.step: RevisionStep | None = None
        self._steps_of = context_options()["fn"]
        self._steps: list[RevisionStep] | None = None
        self._reached: list[set[str]] = []
        self._in_step = False
        context_options()["fn"] = self._remaining
        event.listen(locks.connection, "commit", self._refuse_early_commit)

    def attempt(self, migrate: Callable[[Connection], None]) -> None:
        try:
            migrate(self.locks.connection)
        except BaseException:
            self._in_step = False
            if not self.locks.connection.invalidated:
                self.locks.connection.rollback()
            raise

    def reach(self, heads: set[str]) -> None:
        """A step is about to be committed."""
        self.locks.lock.check()
        self._reached.append(heads)
        self._in_step = False

    def _remaining(self, heads: tuple[str, ...], ctx: MigrationContext) -> Iterator[RevisionStep]:
        """`+2` is counted once: after one of the two was done, a second attempt does the other."""
        if not heads and not is_purge():
            # With Alembic's own table, which no revision has written.
            self.locks.connection.commit()
        if self._steps is None:
            self._steps = list(self._steps_of(heads, ctx))
        done = 1 + self._reached.index(set(heads)) if set(heads) in self._reached else 0
        del self._reached[done:]
        for step in self._steps[done:]:
            self.step, self._in_step = step, True
            yield step

    def _refuse_early_commit(self, connection: Connection) -> None:
        """Raises CommandError for a commit in the middle of a revision that has written something.

        Run again, such a revision would fail: what it wrote first is there already.
        """
        if self._in_step and has_written(connection):
            raise CommandError(COMMITS_EARLY)
