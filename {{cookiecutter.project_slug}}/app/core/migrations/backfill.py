"""Change millions of rows from a revision, a batch at a time."""

import logging
import signal
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext, suppress
from datetime import timedelta
from typing import Any

import sqlalchemy as sa
from alembic import op
from alembic.util import CommandError
from sqlalchemy.exc import DBAPIError, NoSuchTableError, SQLAlchemyError

from app.core.db.settings import DatabaseSettings
from app.core.migrations.locks import DEADLOCK_DETECTED, LOCK_NOT_AVAILABLE
from app.core.migrations.operations import committing

log = logging.getLogger("alembic.backfill")


def backfill(
    table: str,
    values: Mapping[str, str],
    *,
    where: str,
    into: str | None = None,
    batch: int = 1000,
    pause_seconds: float = 0,
    progress_seconds: float = 5,
) -> None:
    """Set columns in the rows of `table` that still need it, from the lowest id upwards.

        backfill("task", {"slug": "lower(title)"}, where="slug IS NULL")

    `values` are SQL expressions by column. `where` is SQL that is true for the rows to do and
    false for those that are done: by it a run that was stopped goes on where it was.
    With `into`, the expressions give new rows of that other table instead, and `where` is true
    for the rows of `table` that have none there yet.

    Each batch is a transaction of its own, which reads `batch` rows. One that waits too long for
    a lock is tried again, MIGRATION_LOCK_RETRIES times. SIGINT and SIGTERM stop it after a batch.

    `pause_seconds` is the rest after each batch, `progress_seconds` the least time between two
    lines of progress, in the log `alembic.backfill`.

    Raises CommandError when the primary key of `table` is not one column of integers, when the
    revision has written something before, when a row that was set still matches `where` (its
    batch is undone), when rows match `where` at the end, and when it is stopped.
    """
    source = sa.table(table, *(sa.column(name) for name in values))
    matches: sa.ColumnClause[Any] = sa.literal_column(f"({where})")
    new: dict[str, sa.ColumnClause[Any]] = {k: sa.literal_column(v) for k, v in values.items()}

    def write(*of_batch: sa.ColumnElement[bool]) -> sa.Executable:
        if into is None:
            update = sa.update(source).values(new).where(matches, *of_batch)
            return update.returning(matches) if of_batch else update
        rows = sa.select(*new.values()).select_from(source).where(matches, *of_batch)
        return sa.insert(sa.table(into, *map(sa.column, new))).from_select(list(new), rows)

    context = op.get_context()
    if context.as_sql:
        context.impl.static_output(f"-- Without --sql, this runs in batches of {batch} rows.")
        op.execute(write())
        return
    key = primary_key(table)
    look = sa.select(sa.func.count(), sa.func.min(key)).select_from(source).where(matches)
    with committing() as apart, stop_signals() as stopped:
        todo, first = op.get_bind().execute(look).one()
        progress = Progress(table, todo, progress_seconds)
        for below, last in id_ranges(source, key, first, batch):
            progress.add(run_batch(write(key > below, key <= last), apart))
            if stopped:
                fate = "they stay, and the next upgrade goes on" if apart else "they are undone"
                done = f"{progress.done:,} rows of {table} done"
                raise CommandError(f"Stopped by {stopped[0].name} with {done}: {fate}")
            time.sleep(pause_seconds)
        progress.end()
        if todo and (left := op.get_bind().execute(look).one()[0]):
            raise CommandError(
                f"{left:,} rows of {table} match {where!r} after the last batch. Is a release "
                "running that does not fill them? Upgrade again when it has gone"
            )


def primary_key(table: str) -> sa.ColumnClause[int]:
    """The column that batches go by."""
    inspector = sa.inspect(op.get_bind())
    try:
        types = {column["name"]: column["type"] for column in inspector.get_columns(table)}
    except NoSuchTableError:
        raise CommandError(f"backfill(): there is no table {table}") from None
    names = inspector.get_pk_constraint(table)["constrained_columns"]
    if len(names) != 1 or not isinstance(types[names[0]], sa.Integer):
        found = ", ".join(f"{name} ({types[name]})" for name in names) or "none"
        raise CommandError(
            f"backfill() needs a primary key of one column of integers; that of {table}: {found}"
        )
    return sa.column(names[0], sa.BigInteger)


def id_ranges(
    source: sa.TableClause, key: sa.ColumnClause[int], first: int | None, batch: int
) -> Iterator[tuple[int, int]]:
    """Batch after batch, the id that is below it and the last one in it.

    A batch is so many rows of the table, not so many that `where` matches: their number the
    database may guess wrong, and read all of the table for each batch.
    """
    below = None if first is None else first - 1
    while below is not None:
        ids = sa.select(key).select_from(source).where(key > below).order_by(key).limit(batch)
        last = op.get_bind().scalar(sa.select(sa.func.max(ids.subquery().c[0])))
        if last is not None:
            yield below, last
        below = last


def run_batch(statement: sa.Executable, apart: bool) -> int:
    """Write the batch, in a transaction `apart` or in the one of the run; returns its rows."""
    connection = op.get_bind()
    retries = DatabaseSettings().migration_lock_retries if apart else 0
    while True:
        try:
            with transaction(connection) if apart else nullcontext():
                result = connection.execute(statement)
                if not result.returns_rows:
                    return result.rowcount
                matching = result.scalars().all()
                if any(matching):
                    raise CommandError(
                        f"backfill(): {sum(map(bool, matching))} rows match `where` also after "
                        "they were set: a run that goes on would set them twice"
                    )
                return len(matching)
        except DBAPIError as error:
            state = getattr(error.orig, "sqlstate", None)
            if not retries or state not in (LOCK_NOT_AVAILABLE, DEADLOCK_DETECTED):
                raise
            reason = " ".join(str(error.orig).split())
            log.warning("%s; trying the batch again, %d times at most", reason, retries)
            retries -= 1
            time.sleep(0.5)  # for those who wait for its other rows


@contextmanager
def transaction(connection: sa.Connection) -> Iterator[None]:
    """A transaction on a connection that commits by itself."""
    connection.exec_driver_sql("BEGIN")
    try:
        yield
    except BaseException:
        with suppress(SQLAlchemyError):  # the connection may be lost
            connection.exec_driver_sql("ROLLBACK")
        raise
    connection.exec_driver_sql("COMMIT")


class Progress:
    """How far it is, in the log: not more often than every so many seconds."""

    def __init__(self, table: str, total: int, seconds: float) -> None:
        self.table, self.total, self.seconds = table, total, seconds
        self.done = 0
        self.start = self.shown = time.monotonic()

    def add(self, rows: int) -> None:
        self.done += rows
        now = time.monotonic()
        if now - self.shown < self.seconds or not self.done:
            return
        self.shown = now
        rate = self.done / (now - self.start)
        log.info(
            "%s: %s of about %s rows (%d %%), %s rows/s, %s left",
            self.table,
            f"{self.done:,}",
            f"{self.total:,}",
            100 * self.done // max(self.total, self.done),
            f"{rate:,.0f}",
            timedelta(seconds=round(max(self.total - self.done, 0) / rate)),
        )

    def end(self) -> None:
        seconds = time.monotonic() - self.start
        log.info("%s: %s rows in %.1f s", self.table, f"{self.done:,}", seconds)


@contextmanager
def stop_signals() -> Iterator[list[signal.Signals]]:
    """The signals that have come, so that a batch can end first; a second one breaks in.

    An exception in the middle of a statement would cost the connection.
    """
    came: list[signal.Signals] = []
    if threading.current_thread() is not threading.main_thread():
        yield came  # only the main thread may listen to signals
        return

    def stop(number: int, _: Any) -> None:
        came.append(signal.Signals(number))
        restore()

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield came
    finally:
        restore()
    if came:
        signal.raise_signal(came[0])  # it came when no batch was left to stop after
