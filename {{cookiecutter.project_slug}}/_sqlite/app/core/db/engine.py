"""The engine: where the database is, and the pool of connections to it."""

import sqlite3
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy import URL
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from app.core.db.settings import DatabaseSettings, parse_url

TRANSACTION_ISOLATION = "SERIALIZABLE"


class NoDatabaseError(Exception):
    """There is no database to use; the text is one line that says what to do."""


def database_url(settings: DatabaseSettings) -> URL:
    """The file in DATABASE_URL. Raises NoDatabaseError when its folder does not exist."""
    url = parse_url(settings.database_url)
    folder = Path(str(url.database)).absolute().parent
    if not folder.is_dir():
        raise NoDatabaseError(f"DATABASE_URL: there is no folder {folder}: mkdir {folder}")
    return url


def create_engine(settings: DatabaseSettings) -> AsyncEngine:
    """An engine with a pool of fixed size, on which each statement commits itself.

    Raises NoDatabaseError.
    """
    timeout = settings.database_connect_timeout_seconds
    engine = create_async_engine(
        database_url(settings).set(drivername="sqlite+aiosqlite"),
        connect_args={"timeout": timeout},
        pool_size=settings.database_pool_size,
        max_overflow=0,
        pool_timeout=timeout,
        isolation_level="AUTOCOMMIT",
        skip_autocommit_rollback=True,
    )
    sa.event.listen(engine.sync_engine, "connect", _prepare)
    return engine


def _prepare(connection: sqlite3.Connection, _: Any) -> None:
    cursor = connection.cursor()
    # Readers and the writer do not wait for each other, and foreign keys are enforced.
    cursor.execute("PRAGMA journal_mode = WAL")
    cursor.execute("PRAGMA foreign_keys = ON")
    cursor.close()


def timed_out(error: DBAPIError) -> bool:
    """Another writer held the file for longer than DATABASE_CONNECT_TIMEOUT_SECONDS."""
    return "database is locked" in str(error.orig)
