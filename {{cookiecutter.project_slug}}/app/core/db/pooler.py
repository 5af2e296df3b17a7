"""Connections through a pooler, like PgBouncer in transaction mode."""

import logging
from typing import Any

from sqlalchemy import Engine, event

log = logging.getLogger("app.database")

NO_PREPARED = "The database is behind a pooler: statements are not prepared"
NO_TIMEOUT = (
    "The pooler refuses DATABASE_STATEMENT_TIMEOUT_SECONDS: "
    "set it with ALTER ROLE … SET statement_timeout, and that variable to 0"
)


def adapt_to_pooler(engine: Engine) -> None:
    """Do without what a pooler between us and PostgreSQL cannot keep, and log that once."""
    logged: set[str] = set()

    def log_once(text: str) -> None:
        if text not in logged:
            log.warning(text)
        logged.add(text)

    @event.listens_for(engine, "do_connect")
    def connect(dialect: Any, _: Any, arguments: list[Any], options: dict[str, Any]) -> Any:
        if NO_TIMEOUT in logged:
            options.pop("options", None)
        try:
            return dialect.connect(*arguments, **options)
        except dialect.loaded_dbapi.OperationalError as error:
            if "unsupported startup parameter" not in str(error) or "options" not in options:
                raise
            log_once(NO_TIMEOUT)
            del options["options"]
            return dialect.connect(*arguments, **options)

    @event.listens_for(engine, "connect")
    def prepare(connection: Any, _: Any) -> None:
        cursor = connection.cursor()
        cursor.execute("SELECT pg_backend_pid()")
        [pid] = cursor.fetchone()
        cursor.close()
        connection.rollback()
        driver = connection.driver_connection
        # A pooler gives its clients numbers of its own.
        if driver.info.backend_pid != pid:
            driver.prepare_threshold = None
            log_once(NO_PREPARED)
