"""Change millions of rows from a revision, a batch at a time."""

import logging
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from types import FrameType

import sqlalchemy as sa
from alembic import op
from alembic.util import CommandError
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError, NoSuchTableError, SQLAlchemyError

from app.migration_locks import DEADLOCK_DETECTED, LOCK_NOT_AVAILABLE
from app.operations import committing
from app.settings import load_settings

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

    On PostgreSQL each batch is a transaction of its own, which looks at `batch` rows. One that
    waits too long for a lock is tried again, MIGRATION_LOCK_RETRIES times. On SQLite all batches
    are in the one transaction of the run. SIGINT and SIGTERM stop it after a batch.

    `pause_seconds` is the rest after each batch, `progress_seconds` the least time between two
    lines of progress, in the log `alembic.backfill`.

    Raises CommandError when the primary key of `table` is not one column of integers, when the
    revision has written something before, when a row is set and still matches `where` (its
    batch is undone), when rows match `where` at the end, and when it is stopped.
    """
    source = sa.table(table, *(sa.column(name) for name in values))
    matches: sa.ColumnElement[bool] = sa.literal_column(f"({where})", sa.Boolean)
    new = {name: sa.literal_column(f"{expression}") for name, expression in values.items()}

    def write(*ids: sa.ColumnElement[bool]) -> sa.Update | sa.Insert:
        if into is None:
            return sa.update(source).values(new).where(matches, *ids)
        rows = sa.select(*new.values()).select_from(source).where(matches, *ids)
        return sa.insert(sa.table(into, *map(sa.column, new))).from_select(list(new), rows)

    context = op.get_context()
    if context.as_sql:
        context.impl.static_output(f"-- Online this is done in batches of {batch} rows")
        op.execute(write())
        return
    key = primary_key(table)
    last_of_batch = sa.select(sa.func.max(sa.column("id"))).select_from
    look = sa.select(sa.func.count(), sa.func.min(key)).select_from(source).where(matches)
    with committing() as own_transactions, stop_signals() as stopped:
        connection = op.get_bind()
        todo, first = connection.execute(look).one()
        progress = Progress(table, todo, progress_seconds)
        below = (first or 0) - 1
        while todo:
            ids = sa.select(key.label("id")).select_from(source).where(key > below).order_by(key)
            last = connection.scalar(last_of_batch(ids.limit(batch).subquery()))
            if last is None:
                break
            statement = write(key > below, key <= last)
            if isinstance(statement, sa.Update):
                statement = statement.returning(matches)
            progress.add(run_batch(connection, statement, own_transactions))
            below = last
            if stopped:
                fate = "stay, the next upgrade goes on there" if own_transactions else "are undone"
                raise CommandError(f"Stopped by {stopped[0]}: {progress.done:,} rows of {table} {fate}")
            time.sleep(pause_seconds)
        progress.end()
        ...
