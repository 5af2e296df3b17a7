"""The engine: where the database is, and the pool of connections to it."""

from typing import Any

from sqlalchemy import URL
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from app.core.db import embedded
from app.core.db.pooler import adapt_to_pooler
from app.core.db.settings import DatabaseSettings, parse_url

TRANSACTION_ISOLATION = "READ COMMITTED"
QUERY_CANCELED = "57014"


class NoDatabaseError(Exception):
    """There is no database to use; the text is one line that says what to do."""


def database_url(settings: DatabaseSettings) -> URL:
    """DATABASE_URL, or the embedded PostgreSQL, which this starts. Raises NoDatabaseError."""
    if settings.database_url is not None:
        return parse_url(settings.database_url.get_secret_value())
    try:
        return parse_url(embedded.start())
    except embedded.EmbeddedError as error:
        raise NoDatabaseError(
            f"DATABASE_URL is not set, and the embedded PostgreSQL does not start: {error}. "
            "Set DATABASE_URL=postgresql://user:password@host/name, or set "
            "DATABASE_URL=postgresql://postgres:secret@127.0.0.1/postgres and run: docker run "
            "--detach --publish 127.0.0.1:5432:5432 --env POSTGRES_PASSWORD=secret postgres:18"
        ) from error


def create_engine(settings: DatabaseSettings) -> AsyncEngine:
    """An engine with a pool of fixed size, on which each statement commits itself.

    No overflow: connections over the size would be opened and closed again and again,
    which costs PostgreSQL more than the queries do. Raises NoDatabaseError.
    """
    url, timeout = database_url(settings), settings.database_connect_timeout_seconds
    arguments: dict[str, Any] = {"connect_timeout": max(2, round(timeout))}
    if (limit := settings.database_statement_timeout_seconds) and "options" not in url.query:
        arguments["options"] = f"-c statement_timeout={round(limit * 1000)}"
    engine = create_async_engine(
        url,
        connect_args=arguments,
        pool_size=settings.database_pool_size,
        max_overflow=0,
        pool_timeout=timeout,
        isolation_level="AUTOCOMMIT",
        skip_autocommit_rollback=True,
    )
    adapt_to_pooler(engine.sync_engine)
    return engine


def timed_out(error: DBAPIError) -> bool:
    """PostgreSQL canceled the statement, see DATABASE_STATEMENT_TIMEOUT_SECONDS."""
    return getattr(error.orig, "sqlstate", None) == QUERY_CANCELED
