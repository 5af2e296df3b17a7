"""The connection that migrations use: past the pool, and waited for."""

import logging
import time
from typing import Any

import sqlalchemy as sa
from alembic.util import CommandError
from sqlalchemy import URL, Connection, Engine
from sqlalchemy.exc import OperationalError

from app.core.db.engine import database_url
from app.core.db.settings import DatabaseSettings, parse_url

log = logging.getLogger("alembic.run")

DIALECT = "postgresql"
WRITES_OFFLINE_SQL = True


def migration_url(settings: DatabaseSettings) -> URL:
    """MIGRATION_DATABASE_URL, or the service's own. Raises NoDatabaseError."""
    if settings.migration_database_url is not None:
        return parse_url(settings.migration_database_url.get_secret_value())
    return database_url(settings)


def create_migration_engine(url: URL, _: DatabaseSettings) -> Engine:
    # A pooler between us and PostgreSQL cannot keep prepared statements.
    arguments: dict[str, Any] = {"connect_timeout": 10, "prepare_threshold": None}
    if "application_name" not in url.query:
        arguments["application_name"] = "alembic"
    return sa.create_engine(url, poolclass=sa.NullPool, connect_args=arguments)


def connect(engine: Engine, settings: DatabaseSettings) -> Connection:
    """Connect; a server that is starting or not yet there is waited for."""
    wait_seconds = settings.migration_connect_wait_seconds
    deadline = time.monotonic() + wait_seconds
    waiting = False
    while True:
        try:
            return engine.connect()
        except OperationalError as error:
            reason = str(error.orig).strip().splitlines()[0]
            place = f"{engine.url.host or 'local socket'}:{engine.url.port or 5432}"
            # FATAL is the server's own word: a wrong password does not get better by waiting.
            if ("FATAL" in reason and "starting up" not in reason) or time.monotonic() > deadline:
                raise CommandError(f"No database at {place}: {reason}") from None
            if not waiting:
                log.info("Waiting %g s at most for the database at %s", wait_seconds, place)
            waiting = True
            time.sleep(0.5)
