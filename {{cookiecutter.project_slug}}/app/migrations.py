"""How a migration runs: alone, with patience, and whole or not at all."""

import logging
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from alembic import context
from alembic.config import Config
from alembic.runtime.migration import MigrationContext, MigrationInfo
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import URL, Connection, Engine, MetaData, make_url
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlmodel import SQLModel

from app import autogenerate, features
from app.database import current_heads
from app.migration_locks import foreign_key_violations, migrate_postgresql, migrate_sqlite, where
from app.settings import Settings, parse_url

log = logging.getLogger("alembic.run")

ROOT = Path(__file__).parent.parent


def alembic_config() -> Config:
    """The project's alembic.ini, wherever the process was started."""
    return Config(ROOT / "alembic.ini")


def script_directory() -> ScriptDirectory:
    """The revisions in alembic/versions."""
    return ScriptDirectory.from_config(alembic_config())


def target_metadata() -> MetaData:
    """The tables of every feature's models.py."""
    features.load("models")
    return SQLModel.metadata


def options(dialect: str) -> dict[str, Any]:
    """What `context.configure()` is given for this database."""
    sqlite = dialect == "sqlite"
    return {
        "target_metadata": target_metadata(),
        "compare_type": True,
        "compare_server_default": True,
        "render_as_batch": True,
        "render_item": autogenerate.render_item,
        "include_object": autogenerate.include_object,
        "process_revision_directives": autogenerate.process_revision_directives,
        # Checks are compared by name, see app.database.enum_check.
        "autogenerate_plugins": ["alembic.autogenerate.*", "alembic.ext.checkconstraint_byname"],
        # SQLite: the whole run is one transaction, which is also the lock between processes.
        "transactional_ddl": True,
        "transaction_per_migration": not sqlite,
        "on_version_apply": check_foreign_keys if sqlite else check_indexes,
    }


def database_url(settings: Settings, given: str | None = None) -> URL:
    """Which database: `-x url=…`, or MIGRATION_DATABASE_URL, or DATABASE_URL."""
    if given is None:
        return settings.migration_database
    try:
        return parse_url(given)
    except ValueError as error:
        raise CommandError(f"-x url=…: {error}") from None


def run(migrate: Callable[[Connection], None], settings: Settings, url: URL) -> None:
    """Call `migrate` with a connection; alone, if there is something to write.

    Raises CommandError, which Alembic's command line prints as one line.
    """
    if getattr(context.config.cmd_opts, "autogenerate", None) is False:
        url = make_url("sqlite://")  # an empty revision needs no database
    engine = create_engine(url, settings)
    try:
        with connect(engine, settings.migration_connect_wait_seconds) as connection:
            heads = current_heads(connection)
            connection.rollback()
            refuse_unknown(heads)
            target = destination()
            if target is None or target == heads:
                migrate(connection)
            elif engine.dialect.name == "sqlite":
                migrate_sqlite(migrate, connection, settings)
            else:
                migrate_postgresql(migrate, connection, settings)
    except DBAPIError as error:
        raise CommandError(f"{where(error)}: {' '.join(str(error.orig).split())}") from error
    finally:
        engine.dispose()


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


def create_engine(url: URL, settings: Settings) -> Engine:
    if url.get_backend_name() != "sqlite":
        # A pooler between us and PostgreSQL cannot keep prepared statements.
        arguments: dict[str, Any] = {"connect_timeout": 10, "prepare_threshold": None}
        if "application_name" not in url.query:
            arguments["application_name"] = "alembic"
        return sa.create_engine(url, poolclass=sa.NullPool, connect_args=arguments)
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

    return engine


def connect(engine: Engine, wait_seconds: float) -> Connection:
    """Connect; a server that is starting or not yet there is waited for."""
    deadline = time.monotonic() + wait_seconds
    waiting = False
    while True:
        try:
            return engine.connect()
        except OperationalError as error:
            reason = str(error.orig).strip().splitlines()[0]
            if engine.dialect.name == "sqlite":
                raise CommandError(f"{engine.url.database}: {reason}") from None
            place = f"{engine.url.host or 'local socket'}:{engine.url.port or 5432}"
            # FATAL is the server's own word: a wrong password does not get better by waiting.
            if ("FATAL" in reason and "starting up" not in reason) or time.monotonic() > deadline:
                raise CommandError(f"No database at {place}: {reason}") from None
            if not waiting:
                log.info("Waiting %g s at most for the database at %s", wait_seconds, place)
            waiting = True
            time.sleep(0.5)


def check_indexes(ctx: MigrationContext, step: MigrationInfo, **_: Any) -> None:
    """Refuse a revision that leaves an index half built, before it counts as done."""
    if ctx.as_sql or ctx.connection is None:
        return
    rows = ctx.connection.exec_driver_sql(
        "SELECT indexrelid::regclass::text FROM pg_index JOIN pg_class ON oid = indexrelid "
        "WHERE NOT indisvalid AND relnamespace = current_schema()::regnamespace"
    )
    if names := ", ".join(rows.scalars()):
        raise CommandError(
            f"{step.up_revision_id}: index {names} is not valid, an earlier CREATE INDEX "
            f"CONCURRENTLY was interrupted: run DROP INDEX CONCURRENTLY {names}, then upgrade again"
        )


def check_foreign_keys(ctx: MigrationContext, step: MigrationInfo, **_: Any) -> None:
    """Refuse a revision that breaks a reference: SQLite's own check is off while it runs."""
    if ctx.as_sql or ctx.connection is None:
        return
    broken = set(foreign_key_violations(ctx.connection)) - ctx.connection.info.get("broken", set())
    for table, row, parent in sorted(broken, key=str):
        raise CommandError(
            f"{step.up_revision_id}: row {row} of {table} refers to a row of {parent} "
            f"that is not there, and {len(broken) - 1} more like it; nothing was changed"
        )
