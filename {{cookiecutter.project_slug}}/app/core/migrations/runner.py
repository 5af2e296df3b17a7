"""Runs migrations under a lock, with retries, atomically."""

from collections.abc import Callable

from alembic import context
from alembic.util import CommandError
from sqlalchemy import URL, Connection
from sqlalchemy.exc import DBAPIError

from app.core.db.engine import NoDatabaseError
from app.core.db.revisions import current_heads
from app.core.db.settings import DatabaseSettings, parse_url
from app.core.migrations.connection import connect, create_migration_engine, migration_url
from app.core.migrations.errors import where
from app.core.migrations.locks import migrate_under_lock
from app.core.startup import stop


def run(migrate: Callable[[Connection], None], settings: DatabaseSettings) -> None:
    """Call `migrate` with a connection; under the lock, if there is something to write.

    Raises CommandError, which Alembic's command line prints as one line.
    """
    engine = create_migration_engine(find_url(settings), settings)
    try:
        with connect(engine, settings) as connection:
            heads = current_heads(connection)
            connection.rollback()
            refuse_unknown(heads)
            target = destination()
            if target is None or target == heads:
                migrate(connection)
            else:
                migrate_under_lock(migrate, connection, settings)
    except DBAPIError as error:
        raise CommandError(f"{where(error)}: {' '.join(str(error.orig).split())}") from error
    finally:
        engine.dispose()


def find_url(settings: DatabaseSettings) -> URL:
    """Which database: `-x url=…`, else what the settings say."""
    given = context.config.attributes.get("url") or context.get_x_argument(as_dictionary=True).get(
        "url"
    )
    try:
        return parse_url(given) if given is not None else migration_url(settings)
    except ValueError as error:
        raise CommandError(f"-x url=…: {error}") from None
    except NoDatabaseError as error:
        stop(str(error))


def refuse_unknown(heads: set[str]) -> None:
    """Raises CommandError when the database is at a revision that is not in alembic/versions."""
    for revision in heads:
        try:
            context.script.get_revision(revision)
        except CommandError:
            raise CommandError(
                f"The database is at revision {revision}, which this code does not have: it is "
                "newer, or of another branch. Deploy the code that migrated it, or go back with "
                "that code first: alembic downgrade"
            ) from None


def destination() -> set[str] | None:
    """The revisions that the command goes to; None for a command that only looks."""
    try:
        revision = context.get_revision_argument()
    except KeyError:
        return None
    return {revision} if isinstance(revision, str) else set(revision or ())
