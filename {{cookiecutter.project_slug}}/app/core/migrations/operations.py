"""Operations for revisions that do not block a busy database.

Each commits as it goes. Where Alembic was handed a connection with an open transaction, they do
the plain thing in that one. A revision that was interrupted in one of them can be run again.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import sqlalchemy as sa
from alembic import op
from alembic.util import CommandError
from sqlalchemy.exc import PendingRollbackError

from app.core.db.settings import DatabaseSettings


@contextmanager
def committing() -> Iterator[bool]:
    """Leave the revision's transaction, so that each statement commits; is that possible here?

    Raises CommandError when the revision has written something before: it would be committed
    too, and done a second time when the revision is run again.
    """
    context = op.get_context()
    if context._in_external_transaction:
        yield False
        return
    written = sa.select(sa.func.pg_current_xact_id_if_assigned())
    if not context.as_sql and op.get_bind().scalar(written) is not None:
        raise CommandError(
            "This revision has written something before an operation that commits as it goes. "
            "Such operations come first in a revision (docs/migrations.md)"
        )
    try:
        with context.autocommit_block():
            yield True
    except PendingRollbackError as error:
        # The connection is lost, and Alembic fails to leave the block: say what came first.
        raise error.__context__ or error from None


def create_index_concurrently(
    name: str, table: str, columns: Sequence[str], **options: Any
) -> None:
    """CREATE INDEX CONCURRENTLY: the table can be written to while the index is built.

    What an interrupted run has left, an index that is not valid, is dropped first.
    `options` are those of `op.create_index`, like `unique=True`.
    """
    with committing() as possible:
        if not possible:
            op.create_index(op.f(name), table, columns, **options)
            return
        with long_lock_timeout():
            drop_concurrently(name, table)
            op.create_index(op.f(name), table, columns, postgresql_concurrently=True, **options)


def drop_index_concurrently(name: str, table: str) -> None:
    """DROP INDEX CONCURRENTLY: queries that are running do not hold up all others."""
    with committing() as possible:
        if not possible:
            op.drop_index(op.f(name), table)
            return
        with long_lock_timeout():
            drop_concurrently(name, table)


def add_check(table: str, name: str, condition: str) -> None:
    """Add a CHECK: first for new rows alone (NOT VALID), then for all (VALIDATE).

    `name` is the whole name, as in the database: `ck_task_…`. Where a row breaks the condition,
    the error says so and the check is gone again, so that the service goes on as before.
    """
    with committing() as possible:
        if possible:
            check_all_rows(table, name, condition)
        else:
            op.create_check_constraint(op.f(name), table, condition)


def add_foreign_key(
    table: str, name: str, column: str, refers_to: str, ondelete: str | None = None
) -> None:
    """Add a foreign key to `refers_to`, "table.column": first for new rows, then for all.

    `name` is the whole name, as in the database: `fk_task_…`.
    """
    parent, _, key = refers_to.partition(".")
    with committing() as possible:
        if not possible:
            op.create_foreign_key(op.f(name), table, parent, [column], [key], ondelete=ondelete)
            return
        drop_constraint(table, name)
        op.create_foreign_key(
            op.f(name), table, parent, [column], [key], ondelete=ondelete, postgresql_not_valid=True
        )
        validate(table, name)


def set_not_null(table: str, column: str) -> None:
    """SET NOT NULL without a scan under a lock: a CHECK that is validated before proves it."""
    name = f"ck_{table}_{column}_not_null"
    with committing() as possible:
        if possible:
            check_all_rows(table, name, f"{quoted(column)} IS NOT NULL")
    op.alter_column(table, column, nullable=False)
    if possible:
        drop_constraint(table, name)


def check_all_rows(table: str, name: str, condition: str) -> None:
    drop_constraint(table, name)
    op.create_check_constraint(op.f(name), table, condition, postgresql_not_valid=True)
    validate(table, name)


def validate(table: str, name: str) -> None:
    try:
        with long_lock_timeout():
            op.execute(f"ALTER TABLE {quoted(table)} VALIDATE CONSTRAINT {quoted(name)}")
    except BaseException:
        # It would go on refusing new rows, of a release that does not know of it.
        drop_constraint(table, name)
        raise


def drop_constraint(table: str, name: str) -> None:
    # One that these helpers added: no guarantee that anybody has relied on.
    ignore = "-- squawk-ignore ban-drop-constraint\n" if op.get_context().as_sql else ""
    op.execute(f"{ignore}ALTER TABLE {quoted(table)} DROP CONSTRAINT IF EXISTS {quoted(name)}")


def drop_concurrently(name: str, table: str) -> None:
    op.drop_index(op.f(name), table, if_exists=True, postgresql_concurrently=True)


def quoted(name: str) -> str:
    return op.get_context().dialect.identifier_preparer.quote(name)


@contextmanager
def long_lock_timeout() -> Iterator[None]:
    """Wait longer than MIGRATION_LOCK_TIMEOUT_SECONDS: these waits hold up no reads or writes."""
    if op.get_context().as_sql:
        yield
        return
    connection = op.get_bind()
    before = connection.scalar(sa.text("SHOW lock_timeout"))
    seconds = DatabaseSettings().migration_lock_wait_seconds
    connection.exec_driver_sql(f"SET lock_timeout = {max(1, round(seconds * 1000))}")
    try:
        yield
    finally:
        connection.exec_driver_sql(f"SET lock_timeout = '{before}'")
