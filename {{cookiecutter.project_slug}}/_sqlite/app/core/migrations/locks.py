"""Lock: the whole run is one transaction that keeps out all other writers from its beginning."""

from collections.abc import Callable

from alembic.util import CommandError
from sqlalchemy import Connection
from sqlalchemy.exc import OperationalError

from app.core.db.settings import DatabaseSettings
from app.core.migrations.checks import foreign_key_violations


def migrate_under_lock(
    migrate: Callable[[Connection], None], connection: Connection, settings: DatabaseSettings
) -> None:
    """Call `migrate` in a transaction that no other process can write in."""
    connection.info["begin"] = "BEGIN IMMEDIATE"
    try:
        connection.info["broken"] = set(foreign_key_violations(connection))
        connection.rollback()
        migrate(connection)
    except OperationalError as error:
        if "locked" not in str(error.orig):
            raise
        raise CommandError(
            f"{connection.engine.url.database} was locked by another process for "
            f"{settings.migration_lock_wait_seconds:g} s (MIGRATION_LOCK_WAIT_SECONDS)"
        ) from None
