"""Waits for tables that others use, without holding up everybody else.

While a statement waits for a strong lock, all other queries on the table queue up behind it. So it
waits for moments only. In between, the run watches those that were in its way until they are done.
"""

import logging
import re
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, TypeVar

import sqlalchemy as sa
from alembic.util import CommandError
from sqlalchemy import Connection, event
from sqlalchemy.exc import DBAPIError

from app.core.db.settings import DatabaseSettings
from app.core.migrations.advisory_lock import MigrationLock
from app.core.migrations.blockers import (
    IN_THE_WAY,
    TRANSACTIONS,
    Session,
    advice,
    is_autovacuum,
    listed,
)
from app.core.migrations.connection import Limits
from app.core.migrations.errors import where

log = logging.getLogger("alembic.run")

T = TypeVar("T")

LOCK_NOT_AVAILABLE, DEADLOCK_DETECTED = "55P03", "40P01"

# How long a statement waits for a lock: at first, and at most.
FIRST_TRY_SECONDS, LONGEST_TRY_SECONDS = 0.1, 1.0
# The rest before a try, in tries: nobody stands still for more than a tenth of the run.
REST = 9
# Autovacuum lets go of a table when somebody has waited for deadlock_timeout, 1 s by default.
AUTOVACUUM_TRY_SECONDS = 1.1
REPORT_SECONDS = 5
WATCH_SECONDS = 0.02

# Statements whose waiting holds up no reads or writes.
PATIENT = re.compile(
    r"\s*(CREATE|DROP|REINDEX)\b.*\bCONCURRENTLY\b|\s*(VACUUM|ANALYZE)\b", re.I | re.S
)


class TableLocks:
    """The one way in which a run waits for locks: for its revisions, index builds and batches."""

    def __init__(
        self, lock: MigrationLock, connection: Connection, settings: DatabaseSettings
    ) -> None:
        """`connection` is the one that migrates."""
        self.lock, self.connection = lock, connection
        self._engine = connection.engine
        self.limits = Limits(connection, settings.migration_idle_timeout_seconds)
        self.limits.lock_timeout = FIRST_TRY_SECONDS
        self.budget = self.left = settings.migration_table_wait_seconds
        self.in_the_way: Sequence[Session] = ()
        self._statement, self._began = threading.Event(), 0.0
        self._end = threading.Event()

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Note who is in the way of each statement, and keep the lock alive meanwhile."""
        event.listen(self.connection, "before_cursor_execute", self._before)
        event.listen(self.connection, "after_cursor_execute", self._after)
        event.listen(self.connection.engine, "handle_error", self._after)
        watch = threading.Thread(target=self._watch, daemon=True)
        watch.start()
        try:
            yield
        finally:
            self._end.set()
            self._statement.set()
            watch.join()

    def attempt(self, work: Callable[[], T]) -> T:
        """Call `work`, which is undone where it fails, until no lock is missing.

        Raises CommandError when the budget is spent.
        """
        seconds, tried_autovacuum = FIRST_TRY_SECONDS, False
        while True:
            self.limits.lock_timeout, self.in_the_way = seconds, ()
            started = time.monotonic()
            try:
                return work()
            except DBAPIError as error:
                if getattr(error.orig, "sqlstate", None) not in (
                    LOCK_NOT_AVAILABLE,
                    DEADLOCK_DETECTED,
                ):
                    raise
                place = where(error)
            finally:
                self.limits.lock_timeout = FIRST_TRY_SECONDS
            sessions = self.in_the_way
            if self.limits.is_patient:
                raise CommandError(self.gave_up(place, sessions))
            self.left -= min(seconds, time.monotonic() - started)
            seconds = min(2 * seconds, LONGEST_TRY_SECONDS)
            yields = not tried_autovacuum and is_autovacuum(sessions)
            if yields:
                seconds, tried_autovacuum = AUTOVACUUM_TRY_SECONDS, True
            self._rest(place, sessions, REST * seconds, until_gone=not yields)

    def _rest(
        self, place: str, sessions: Sequence[Session], seconds: float, *, until_gone: bool
    ) -> None:
        """Rest so long, and with `until_gone` until these sessions are out of the way."""
        start = reported = time.monotonic()
        log.info("%s: the table is in use by %s", place, listed(sessions))
        while (waited := time.monotonic() - start) < seconds or (sessions and until_gone):
            if waited > self.left:
                raise CommandError(self.gave_up(place, sessions))
            if time.monotonic() > reported + REPORT_SECONDS:
                reported = time.monotonic()
                log.info("%s: waiting %.0f s for %s", place, waited, advice(sessions))
            time.sleep(0.05)
            if sessions:
                sessions = self._still_there(sessions)
        self.left -= waited

    def gave_up(self, place: str, sessions: Sequence[Session]) -> str:
        return (
            f"{place}: waited {self.budget:g} s (MIGRATION_TABLE_WAIT_SECONDS) "
            f"for {advice(sessions)}"
        )

    def _still_there(self, sessions: Sequence[Session]) -> list[Session]:
        # The connection that migrates is free for as long as it rests.
        rows = self.limits.ask(TRANSACTIONS, {"pids": [session.pid for session in sessions]})
        now = {row.pid: row for row in map(Session._make, rows)}
        return [
            session
            for session in sessions
            if (row := now.get(session.pid)) is not None
            and (row.transaction == session.transaction or (session.is_command and row.is_command))
        ]

    def limit_transaction(self, connection: Connection, patient: bool) -> None:
        """The limits of a transaction that was begun by a statement."""
        self.limits.set(connection, self.left if patient else None)
        connection.exec_driver_sql("SET LOCAL statement_timeout = 0")

    def _before(self, connection: Connection, _: Any, statement: str, *others: Any) -> None:
        if self.limits.is_outside_of_transactions:
            is_patient = PATIENT.match(statement) is not None
            self.limits.set_session(self.left if is_patient else LONGEST_TRY_SECONDS, is_patient)
        self._began = time.monotonic()
        self._statement.set()

    def _after(self, *_: Any) -> None:
        self._statement.clear()

    def _watch(self) -> None:
        """Runs in a thread of its own, until the end of the run or the loss of the lock."""
        blocked_since = reported = heard = time.monotonic()
        # A connection of its own: in the transaction of the lock a query has a snapshot, for which
        # CREATE INDEX CONCURRENTLY waits until that transaction ends.
        with suppress(CommandError, DBAPIError), self._engine.connect() as connection:
            connection = connection.execution_options(isolation_level="AUTOCOMMIT")
            while not self._end.is_set():
                began = self._began
                if not self._statement.wait(REPORT_SECONDS):
                    self.lock.check()
                    continue
                # A statement that has run for long is not about to fail for a lock.
                is_new = time.monotonic() < began + 2
                self._end.wait(WATCH_SECONDS if is_new else 10 * WATCH_SECONDS)
                if began != self._began or not self._statement.is_set():
                    continue
                rows = connection.execute(sa.text(IN_THE_WAY), {"pid": self.limits.pid}).all()
                now = time.monotonic()
                if now > heard + REPORT_SECONDS:
                    heard = now
                    self.lock.check()
                if not rows:
                    blocked_since = now
                    continue
                self.in_the_way = [Session._make(row) for row in rows]
                if now > max(blocked_since, reported) + REPORT_SECONDS:
                    reported = now
                    text = advice(self.in_the_way)
                    log.info("Waiting %.0f s for %s", now - blocked_since, text)
