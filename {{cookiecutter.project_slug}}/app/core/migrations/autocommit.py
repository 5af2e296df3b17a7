"""Transactions of their own in the middle of a revision, for operations that commit as they go."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, TypeVar

import sqlalchemy as sa
from alembic import op
from alembic.runtime.migration import MigrationContext
from alembic.util import CommandError
from sqlalchemy import Connection
from sqlalchemy.exc import PendingRollbackError, SQLAlchemyError

from app.core.migrations.connection import has_written
from app.core.migrations.table_locks import TableLocks

T = TypeVar("T")

COMMITS_EARLY = (
    "This revision has written something before an operation that commits as it goes. "
    "Such operations come first in a revision (docs/migrations.md)"
)


class Autocommit:
    """Inside `committing()`, where each statement is a transaction, and several can be one."""

    def __init__(self, context: MigrationContext) -> None:
        self.is_offline = is_offline(context)
        self._attributes = context.config.attributes if context.config else {}
        run = self._attributes.get("run")
        # None where a program uses Alembic without this project's runner.
        self.locks: TableLocks | None = run.locks if run else None

    @property
    def revision(self) -> str:
        """The revision that is run; empty where this project's runner does not run it."""
        run = self._attributes.get("run")
        return str(run.step.revision.revision) if run and run.step else ""

    @property
    def connection(self) -> Connection:
        return op.get_bind()

    def together(self, *statements: str, patient: bool = False) -> None:
        """Run statements in one transaction, which is tried again as long as a lock is missing.

        `patient` is for statements whose waiting holds up no reads or writes.
        """
        if self.is_offline:
            for statement in statements:
                op.execute(statement)
            return

        def work() -> None:
            with self.transaction(patient=patient):
                for statement in statements:
                    self.connection.exec_driver_sql(statement.replace("%", "%%"))

        self.attempt(work)

    def attempt(self, work: Callable[[], T]) -> T:
        return self.locks.attempt(work) if self.locks else work()

    @contextmanager
    def transaction(self, *, patient: bool = False) -> Iterator[None]:
        """A transaction on a connection that commits by itself."""
        connection = self.connection
        connection.exec_driver_sql("BEGIN")
        try:
            if self.locks:
                self.locks.limit_transaction(connection, patient)
            yield
        except BaseException:
            with suppress(SQLAlchemyError):  # the connection may be lost
                connection.exec_driver_sql("ROLLBACK")
            raise
        connection.exec_driver_sql("COMMIT")

    def rows(self, query: str, **values: Any) -> list[sa.Row[Any]]:
        return list(self.connection.execute(sa.text(query), values))


def is_offline(context: MigrationContext) -> bool:
    """Is the SQL only written down: without a database, or on one that is empty (recorder.py)?"""
    attributes = context.config.attributes if context.config else {}
    return bool(context.as_sql or attributes.get("is_recorded"))


@contextmanager
def committing() -> Iterator[Autocommit | None]:
    """Leave the revision's transaction; yields None where Alembic was handed one from outside.

    Raises CommandError when the revision has written something before: it would be committed
    too, and done a second time when the revision is run again.
    """
    context = op.get_context()
    if context._in_external_transaction:
        yield None
        return
    if not context.as_sql and has_written(op.get_bind()):
        raise CommandError(COMMITS_EARLY)
    try:
        with context.autocommit_block():
            yield Autocommit(context)
    except PendingRollbackError as error:
        # The connection is lost, and Alembic fails to leave the block: say what came first.
        raise error.__context__ or error from None
