"""The connection that migrations use."""

import sqlite3
from typing import Any

import sqlalchemy as sa
from alembic.util import CommandError
from sqlalchemy import URL, Connection, Engine
from sqlalchemy.exc import OperationalError

from app.core.db.engine import database_url
from app.core.db.settings import DatabaseSettings
from app.core.migrations.batch import keep_triggers_and_indexes

DIALECT = "sqlite"
# In batch mode Alembic reads the table that it copies, so that it cannot write SQL without one.
WRITES_OFFLINE_SQL = False


def migration_url(settings: DatabaseSettings) -> URL:
    """Raises NoDatabaseError."""
    return database_url(settings)


def create_migration_engine(url: URL, settings: DatabaseSettings) -> Engine:
    engine = sa.create_engine(
        url, poolclass=sa.NullPool, connect_args={"timeout": settings.migration_lock_wait_seconds}
    )

    @sa.event.listens_for(engine, "connect")
    def prepare(connection: sqlite3.Connection, _: Any) -> None:
        # We say where a transaction begins: Python would commit before each DDL statement.
        connection.isolation_level = None
        # Or recreating a table (batch mode) deletes the rows that refer to it.
        connection.execute("PRAGMA foreign_keys = OFF")

    @sa.event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        connection.exec_driver_sql(connection.info.get("begin", "BEGIN"))

    keep_triggers_and_indexes(engine)
    return engine


def connect(engine: Engine, _: DatabaseSettings) -> Connection:
    try:
        return engine.connect()
    except OperationalError as error:
        raise CommandError(f"{engine.url.database}: {error.orig}") from None
