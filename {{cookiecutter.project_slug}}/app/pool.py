"""The pool of connections, the line of requests before it, and what one does with its turn."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine, async_sessionmaker, create_async_engine
from sqlalchemy.util import greenlet_spawn
from sqlmodel.ext.asyncio.session import AsyncSession

from app.settings import Settings

T = TypeVar("T")
Statement = sa.Executable
Row = sa.Row[Any]


class BusyError(Exception):
    """Too many requests wait for the database, or one has waited for too long."""


class Database:
    """What endpoints are given as `DatabaseDep`: `first()` and `all()` run one statement.

    One statement is a transaction by itself, so that it needs no BEGIN and no COMMIT. Together with
    plain rows for objects, that is a third to a half of what a session takes. Several statements
    that belong together take a session: `SessionDep`.
    """

    def __init__(self, settings: Settings) -> None:
        statements = create_engine(settings)
        sqlite = statements.dialect.name == "sqlite"
        self._statements = statements.sync_engine
        self._turns = asyncio.Semaphore(settings.database_pool_size)
        self._waiting, self._most_waiting = 0, settings.database_queue_size
        self._patience = settings.database_connect_timeout_seconds
        # The same pool, for transactions.
        self.engine: AsyncEngine = statements.execution_options(
            isolation_level="SERIALIZABLE" if sqlite else "READ COMMITTED"
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
    async def turn(self) -> AsyncIterator[None]:
        """Wait for a connection to be free: first come, first served.

        The pool's own line lets the last come be first, and some wait for seconds.

        Raises BusyError when the line is too long, or does not move.
        """
        if self._turns.locked():
            if self._waiting >= self._most_waiting:
                raise BusyError
            self._waiting += 1
            try:
                async with asyncio.timeout(self._patience):
                    await self._turns.acquire()
            except TimeoutError:
                raise BusyError from None
            finally:
                self._waiting -= 1
        else:
            await self._turns.acquire()
        try:
            yield
        finally:
            self._turns.release()

    async def _run(
        self,
        statement: Statement,
        parameters: dict[str, Any],
        fetch: Callable[[sa.CursorResult[Any]], T],
    ) -> T:
        def execute() -> T:
            with self._statements.connect() as connection:
                return fetch(connection.execute(statement, parameters))

        async with self.turn():
            try:
                # One switch to SQLAlchemy's synchronous side and back, not one for each step.
                return await greenlet_spawn(execute)
            except DBAPIError as error:
                # The connection was lost before; a query can be asked again, a change cannot.
                if not (error.connection_invalidated and statement.is_select):
                    raise
            return await greenlet_spawn(execute)


def create_engine(settings: Settings) -> AsyncEngine:
    """One pool of connections, of a fixed size, on which each statement commits itself.

    No overflow: connections over the size would be opened and closed again and again,
    which costs PostgreSQL more than the queries do.
    """
    url, timeout = settings.database, settings.database_connect_timeout_seconds
    pool = {
        "pool_size": settings.database_pool_size,
        "max_overflow": 0,
        "pool_timeout": timeout,
        "isolation_level": "AUTOCOMMIT",
        "skip_autocommit_rollback": True,
    }
    if url.get_backend_name() == "sqlite":
        engine = create_async_engine(
            url.set(drivername="sqlite+aiosqlite"), connect_args={"timeout": timeout}, **pool
        )
        sa.event.listen(engine.sync_engine, "connect", _prepare_sqlite)
        return engine
    arguments: dict[str, Any] = {"connect_timeout": max(2, round(timeout))}
    if (limit := settings.database_statement_timeout_seconds) and "options" not in url.query:
        arguments["options"] = f"-c statement_timeout={round(limit * 1000)}"
    return create_async_engine(url, connect_args=arguments, **pool)


def _prepare_sqlite(connection: sqlite3.Connection, _: Any) -> None:
    cursor = connection.cursor()
    # Readers and the writer do not wait for each other, and foreign keys are enforced.
    cursor.execute("PRAGMA journal_mode = WAL")
    cursor.execute("PRAGMA foreign_keys = ON")
    cursor.close()
