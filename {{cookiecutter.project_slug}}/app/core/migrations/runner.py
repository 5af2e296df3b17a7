"""Runs migrations under a lock, with retries, atomically."""

from collections.abc import Callable
from typing import Any

from alembic import context
from alembic.runtime.migration import MigrationContext
from alembic.util import CommandError
from sqlalchemy import URL, Connection
from sqlalchemy.engine.mock import MockConnection
from sqlalchemy.exc import DBAPIError

from app.core.db.engine import NoDatabaseError
from app.core.db.revisions import current_heads
from app.core.db.settings import DatabaseSettings, parse_url
from app.core.migrations.config import context_options, is_purge
from app.core.migrations.connection import (
    WRITES_OFFLINE_SQL,
    connect,
    create_migration_engine,
    migration_url,
)
from app.core.migrations.errors import NeedsDatabaseError, one_line, place_of
from app.core.migrations.locks import migrate_under_lock
from app.core.startup import stop

INSTEAD = "; `make sql` runs it on a scratch database" if WRITES_OFFLINE_SQL else ""


def run(migrate: Callable[[Connection], None], settings: DatabaseSettings) -> None:
    """Call `migrate` with a connection; under the lock, if there is something to do.

    This first look is free of locks. Under the lock Alembic looks again.

    Raises CommandError, which Alembic's command line prints as one line.
    """
    engine = create_migration_engine(find_url(settings), settings)
    try:
        with connect(engine, settings) as connection:
            heads = current_heads(connection)
            connection.rollback()
            target = destination()
            if not is_purge():
                refuse_unknown(heads)
            if target is None:
                migrate(connection)
            elif target != heads or is_purge():
                migrate_under_lock(migrate, connection, settings)
    except DBAPIError as error:
        raise CommandError(one_line(error)) from error
    finally:
        engine.dispose()


def write_sql(migrate: Callable[[], None]) -> None:
    """Call `migrate` without a database, for `--sql`. Raises NeedsDatabaseError."""
    options = context_options()
    steps = options["fn"]

    def checked(heads: Any, ctx: MigrationContext) -> Any:
        refuse_values(ctx)
        return steps(heads, ctx)

    options["fn"] = checked
    try:
        migrate()
    except CommandError:
        raise
    except Exception as error:
        if place_of(error) is None:
            raise
        raise NeedsDatabaseError(
            f"{one_line(error)}. `--sql` cannot write a revision that reads the database{INSTEAD}"
        ) from error


def refuse_values(ctx: MigrationContext) -> None:
    """Without a database, Alembic would write NULL for each value of op.get_bind().execute()."""
    if not isinstance(ctx.connection, MockConnection):
        return
    write = ctx.connection._execute_impl

    def refuse(statement: Any, values: Any = None) -> Any:
        if values:
            raise TypeError("a statement with values")
        return write(statement)

    ctx.connection._execute_impl = refuse


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
