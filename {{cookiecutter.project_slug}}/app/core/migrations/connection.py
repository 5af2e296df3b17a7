"""The connections that migrations use: not from the service's pool, and waited for."""

import logging
import time
from typing import Any

import sqlalchemy as sa
from alembic.util import CommandError
from psycopg.pq import TransactionStatus
from sqlalchemy import URL, Connection, Engine, event
from sqlalchemy.exc import OperationalError

from app.core.db.engine import database_url
from app.core.db.settings import DatabaseSettings, parse_url

log = logging.getLogger("alembic.run")

DIALECT = "postgresql"
WRITES_OFFLINE_SQL = True

WRITTEN = sa.select(sa.func.pg_current_xact_id_if_assigned())

# After this either side gives up a peer that is silent: 20 s.
CLIENT_KEEPALIVES = {
    "keepalives_idle": 5,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 20_000,
}
SERVER_KEEPALIVES = {
    "tcp_keepalives_idle": 5,
    "tcp_keepalives_interval": 5,
    "tcp_keepalives_count": 3,
    "tcp_user_timeout": 20_000,
}


def migration_url(settings: DatabaseSettings) -> URL:
    """MIGRATION_DATABASE_URL, or the service's own. Raises NoDatabaseError."""
    if settings.migration_database_url is not None:
        return parse_url(settings.migration_database_url.get_secret_value())
    return database_url(settings)


def create_migration_engine(url: URL, _: DatabaseSettings) -> Engine:
    arguments: dict[str, Any] = {
        "connect_timeout": 10,
        "prepare_threshold": None,  # a pooler may not keep prepared statements
        "application_name": "alembic",
        **CLIENT_KEEPALIVES,
    }
    for name in url.query.keys() & arguments.keys():
        del arguments[name]
    return sa.create_engine(url, poolclass=sa.NullPool, connect_args=arguments)


def connect(engine: Engine, settings: DatabaseSettings) -> Connection:
    """Connect; a server that is starting or not yet there is waited for. Raises CommandError."""
    wait_seconds = settings.migration_connect_wait_seconds
    deadline = time.monotonic() + wait_seconds
    waiting = False
    while True:
        try:
            return engine.connect()
        except OperationalError as error:
            reason = str(error.orig).strip().splitlines()[0]
            place = f"{engine.url.host or 'local socket'}:{engine.url.port or 5432}"
            if "statement pooling" in reason:
                raise CommandError(
                    f"The pooler at {place} is in statement mode, which has no transactions: set "
                    "MIGRATION_DATABASE_URL to PostgreSQL itself, or pool_mode to transaction"
                ) from None
            # FATAL is the server's own word: a wrong password does not get better by waiting.
            is_final = "FATAL" in reason and not any(
                text in reason for text in ("starting up", "shutting down", "recovery")
            )
            if is_final or time.monotonic() > deadline:
                raise CommandError(f"No database at {place}: {reason}") from None
            if not waiting:
                log.info("Waiting %g s at most for the database at %s", wait_seconds, place)
            waiting = True
            time.sleep(0.5)


class Limits:
    """Settings that each transaction of a connection begins with, and that end with it.

    Never those of a session, which a pooler would hand to the next client.
    """

    def __init__(self, connection: Connection, idle_seconds: float) -> None:
        """`idle_seconds` is how long a transaction may stand still before PostgreSQL ends it."""
        self.connection = connection
        self.lock_timeout = 0.0  # seconds; 0: without limit
        self.idle_seconds = idle_seconds
        self.is_patient = False  # does the transaction wait for longer than others may?
        # The process of the server; behind a pooler each transaction may have another.
        self.pid = 0
        event.listen(connection, "begin", self._begin)

    @property
    def is_direct(self) -> bool:
        """False behind a pooler, which gives its clients numbers of its own."""
        return bool(self.pid == self._driver_connection.info.backend_pid)

    @property
    def _driver_connection(self) -> Any:
        return self.connection.connection.driver_connection

    @property
    def is_outside_of_transactions(self) -> bool:
        status = self._driver_connection.info.transaction_status
        return bool(self._driver_connection.autocommit and status == TransactionStatus.IDLE)

    def set(self, connection: Connection, lock_timeout: float | None = None) -> None:
        """Set them in the transaction that has just begun, in seconds."""
        seconds = self.lock_timeout if lock_timeout is None else lock_timeout
        self.is_patient = lock_timeout is not None
        values = {
            "lock_timeout": milliseconds(seconds),
            "idle_in_transaction_session_timeout": milliseconds(self.idle_seconds),
            **SERVER_KEEPALIVES,
        }
        # As text: to build and compile it would take as long as the rest of a small revision.
        calls = (f", set_config('{name}', '{value}', true)" for name, value in values.items())
        query = f"SELECT pg_backend_pid(){''.join(calls)}"
        self.pid = connection.exec_driver_sql(query).scalar_one()

    def set_session(self, lock_timeout: float, is_patient: bool) -> None:
        """Limit the next statement outside of transactions; not on a pooler's connection.

        The session is ours alone, and ends with the run.
        """
        self.is_patient = is_patient
        if self.is_direct:
            driver = self._driver_connection
            driver.execute(f"SET lock_timeout = {milliseconds(lock_timeout)}")
            driver.execute(f"SET statement_timeout = {0 if is_patient else 'DEFAULT'}")

    def ask(self, query: str, values: dict[str, Any]) -> list[tuple[Any, ...]]:
        """Run a query outside of what SQLAlchemy knows of transactions, of which none is open."""
        driver = self._driver_connection
        rows: list[tuple[Any, ...]] = driver.execute(query, values).fetchall()
        if not driver.autocommit:
            driver.rollback()
        return rows

    def _begin(self, connection: Connection) -> None:
        if not self._driver_connection.autocommit:
            self.set(connection)


def has_written(connection: Connection) -> bool:
    """Has the transaction that is open changed anything?"""
    return connection.scalar(WRITTEN) is not None


def milliseconds(seconds: float) -> int:
    """At least 1, because 0 means without limit; but 0 for 0."""
    return max(1, round(seconds * 1000)) if seconds else 0
