"""Change millions of rows from a revision, a batch at a time."""

import logging
import signal
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import timedelta
from typing import Any

import sqlalchemy as sa
from alembic import op
from alembic.util import CommandError
from sqlalchemy.exc import NoSuchTableError

from app.core.migrations.autocommit import Autocommit, committing, is_offline
from app.core.migrations.replicas import Replicas

log = logging.getLogger("alembic.backfill")


def backfill(
    table: str,
    values: Mapping[str, str],
    *,
    where: str,
    into: str | None = None,
    schema: str | None = None,
    batch: int = 1000,
    pause_seconds: float = 0,
    progress_seconds: float = 5,
    max_lag_seconds: float | None = None,
) -> None:
    """Set columns in the rows of `table` that still need it, from the lowest id upwards.

        backfill("task", {"slug": "lower(title)"}, where="slug IS NULL")

    `values` are SQL expressions by column. `where` is SQL that is true for the rows to do and
    false for those that are done: by it a run that was stopped goes on where it was.
    With `into`, the expressions give new rows of that other table instead, and `where` is true
    for the rows of `table` that have none there yet.

    Each batch is a transaction of its own, which reads `batch` rows in the order of the primary
    key. One that needs a row which others have locked is tried again, as a revision is. SIGINT and
    SIGTERM stop it after a batch.

    `pause_seconds` is the rest after each batch, `progress_seconds` the least time between two
    lines of progress, in the log `alembic.backfill`. With `max_lag_seconds` it waits as long as a
    replica is further behind; the role then needs pg_monitor.

    Raises CommandError when `table` has no primary key, when the revision has written something
    before, when a row that was set still matches `where` (its batch is undone), when rows match
    `where` at the end, and when it is stopped.
    """
    source = sa.table(table, *(sa.column(name) for name in values), schema=schema)
    matches: sa.ColumnClause[Any] = sa.literal_column(f"({where})")
    new: dict[str, sa.ColumnClause[Any]] = {k: sa.literal_column(v) for k, v in values.items()}

    def write(*of_batch: sa.ColumnElement[bool]) -> sa.Executable:
        if into is None:
            update = sa.update(source).values(new).where(matches, *of_batch)
            return update.returning(matches) if of_batch else update
        rows = sa.select(*new.values()).select_from(source).where(matches, *of_batch)
        target = sa.table(into, *map(sa.column, new), schema=schema)
        return sa.insert(target).from_select(list(new), rows)

    context = op.get_context()
    if is_offline(context):
        with committing():
            if context.as_sql:
                line = f"-- Without --sql, this runs in batches of {batch} rows."
                context.impl.static_output(line)
            op.execute(write())
        return
    keys = Keys(source, table, schema)
    count = sa.select(sa.func.count()).select_from(source).where(matches)
    with committing() as auto, stop_signals() as stopped:
        replicas = Replicas(max_lag_seconds) if max_lag_seconds is not None else None
        with unlimited(auto):
            todo = op.get_bind().execute(count).scalar_one()
            first = keys.first(matches) if todo else None
        progress = Progress(table, todo, progress_seconds)
        for of_batch in keys.ranges(first, batch):
            progress.add(run_batch(write(of_batch), auto))
            if stopped:
                fate = "they stay, and the next upgrade goes on" if auto else "they are undone"
                done = f"{progress.done:,} rows of {table} done"
                raise CommandError(f"Stopped by {stopped[0].name} with {done}: {fate}")
            time.sleep(pause_seconds)
            if replicas:
                replicas.wait(stopped)
        progress.end()
        with unlimited(auto):
            left = op.get_bind().execute(count).scalar_one() if todo else 0
        if left:
            raise CommandError(
                f"{left:,} rows of {table} match {where!r} after the last batch. Is a release "
                "running that does not fill them? Upgrade again when it has gone"
            )


def unlimited(auto: Autocommit | None) -> AbstractContextManager[None]:
    """A transaction without the role's statement_timeout, where there can be one."""
    return auto.transaction(patient=True) if auto else nullcontext()


class Keys:
    """The primary key of a table, by which its rows are put into batches."""

    def __init__(self, source: sa.TableClause, table: str, schema: str | None) -> None:
        self.source = source
        inspector = sa.inspect(op.get_bind())
        try:
            types = {c["name"]: c["type"] for c in inspector.get_columns(table, schema)}
        except NoSuchTableError:
            raise CommandError(f"backfill(): there is no table {table}") from None
        names = inspector.get_pk_constraint(table, schema)["constrained_columns"]
        if not names:
            raise CommandError(f"backfill() needs a primary key, which {table} has not")
        self.columns = [sa.column(name, types[name]) for name in names]

    def first(self, matches: sa.ColumnElement[bool]) -> sa.Row[Any] | None:
        """The lowest key of a row that matches."""
        rows = sa.select(*self.columns).select_from(self.source).where(matches)
        return op.get_bind().execute(rows.order_by(*self.columns).limit(1)).first()

    def ranges(self, first: sa.Row[Any] | None, batch: int) -> Iterator[sa.ColumnElement[bool]]:
        """Batch after batch, what is true for its rows.

        A batch is so many rows of the table, not so many that `where` matches: their number the
        database may guess wrong, and read all of the table for each batch.
        """
        below, key = first, sa.tuple_(*self.columns)
        while below is not None:
            # The first one is part of its batch.
            start = key >= tuple(below) if below is first else key > tuple(below)
            rows = sa.select(*self.columns).select_from(self.source).where(start)
            ordered = rows.order_by(*self.columns).limit(batch).subquery()
            last = sa.select(ordered).order_by(*(column.desc() for column in ordered.c)).limit(1)
            below = op.get_bind().execute(last).first()
            if below is not None:
                yield sa.and_(start, key <= tuple(below))


def run_batch(statement: sa.Executable, auto: Autocommit | None) -> int:
    """Write the batch, in a transaction of its own or in the one of the run; returns its rows."""
    connection = op.get_bind()

    def work() -> int:
        with auto.transaction() if auto else nullcontext():
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

    return auto.attempt(work) if auto else work()


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
