"""Connection pool with a bounded FIFO queue; overload is refused at once."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine, async_sessionmaker
from sqlalchemy.util import greenlet_spawn
from sqlmodel.ext.asyncio.session import AsyncSession

from app.core.db.engine import TRANSACTION_ISOLATION, create_engine
from app.core.db.settings import DatabaseSettings

T = TypeVar("T")
Statement = sa.Executable
Row = sa.Row[Any]
Result = sa.CursorResult[Any]


class QueueFullError(Exception):
    """Too many requests wait for a connection, or this one has waited for too long."""


@dataclass
class Transaction:
    """The transaction of a request."""

    pool: "Pool"
    session: AsyncSession
    lock: asyncio.Lock  # a connection runs one statement at a time
    is_open: bool = True

    async def execute(self, statement: Statement, parameters: dict[str, Any]) -> Result:
        async with self.lock:
            await self.session.flush()  # the statement sees what was added before
            connection = await self.session.connection()
            return await connection.execute(statement, parameters)


_transaction: ContextVar[Transaction | None] = ContextVar("transaction", default=None)


class Pool:
    """`first()` and `all()` run one statement; `transaction()` is for several.

    One statement is a transaction by itself, so that it needs no BEGIN and no COMMIT. Together with
    plain rows for objects, that is a third to a half of what a session takes. Raises
    NoDatabaseError where there is no database to connect to.
    """

    def __init__(self, settings: DatabaseSettings) -> None:
        statements = create_engine(settings)
        self._statements = statements.sync_engine
        self._slots = asyncio.Semaphore(settings.database_pool_size)
        self.waiting, self._queue_size = 0, settings.database_queue_size
        self._timeout = settings.database_connect_timeout_seconds
        # The same connections, for transactions.
        self.engine: AsyncEngine = statements.execution_options(
            isolation_level=TRANSACTION_ISOLATION
        )
        # Objects stay readable after the commit.
        self.sessions = async_sessionmaker(self.engine, class_=AsyncSession, expire_on_commit=False)

    async def first(self, statement: Statement, **parameters: Any) -> Row | None:
        """The first row of the result; None when there is none."""
        return await self._run(statement, parameters, sa.CursorResult.first)

    async def all(self, statement: Statement, **parameters: Any) -> Sequence[Row]:
        """All rows of the result."""
        return await self._run(statement, parameters, sa.CursorResult.all)

    @asynccontextmanager
    async def slot(self) -> AsyncIterator[None]:
        """Wait for a connection to be free: first come, first served.

        SQLAlchemy's own queue is not fair: some requests would wait for seconds.

        Raises QueueFullError when the queue is full, or does not move.
        """
        if self._slots.locked():
            if self.waiting >= self._queue_size:
                raise QueueFullError
            self.waiting += 1
            try:
                async with asyncio.timeout(self._timeout):
                    await self._slots.acquire()
            except TimeoutError:
                raise QueueFullError from None
            finally:
                self.waiting -= 1
        else:
            await self._slots.acquire()
        try:
            yield
        finally:
            self._slots.release()

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncSession]:
        """A session in a transaction, which commits at the end, and which an error rolls back.

        Whatever else the same request asks of the database joins it: one request takes one
        slot. With two, requests would wait for each other.
        """
        if outer := self._open_transaction():
            yield outer.session
            await outer.session.flush()
            return
        async with self.slot(), self.sessions.begin() as session:
            transaction = Transaction(self, session, asyncio.Lock())
            _transaction.set(transaction)
            try:
                yield session
            finally:
                transaction.is_open = False
                _transaction.set(None)

    def _open_transaction(self) -> Transaction | None:
        transaction = _transaction.get()
        if transaction and transaction.is_open and transaction.pool is self:
            return transaction
        return None

    async def _run(
        self,
        statement: Statement,
        parameters: dict[str, Any],
        fetch: Callable[[Result], T],
    ) -> T:
        def execute() -> T:
            with self._statements.connect() as connection:
                return fetch(connection.execute(statement, parameters))

        if transaction := self._open_transaction():
            return fetch(await transaction.execute(statement, parameters))
        async with self.slot():
            try:
                # One switch to SQLAlchemy's synchronous side and back, not one for each step.
                return await greenlet_spawn(execute)
            except DBAPIError as error:
                # The connection was already lost. A read can be repeated, a write cannot.
                if not (error.connection_invalidated and statement.is_select):
                    raise
            return await greenlet_spawn(execute)
