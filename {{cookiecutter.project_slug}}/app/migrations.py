"""How a migration runs: alone, with patience, and whole or not at all."""

import logging
import random
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
from app.settings import Settings, parse_url

log = logging.getLogger("alembic.run")

ROOT = Path(__file__).parent.parent

# A number of our own, so that nothing else in the database takes the same lock: "alembic".
LOCK_KEY = int.from_bytes(b"alembic", "big")

LOCK_NOT_AVAILABLE, DEADLOCK_DETECTED = "55P03", "40P01"


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
            target = destination()
            if target is None or target == heads:
                migrate(connection)
            elif engine.dialect.name == "sqlite":
                migrate_sqlite(migrate, connection, settings)
            else:
                migrate_postgresql(migrate, connection, settings)
    finally:
        engine.dispose()


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


def migrate_sqlite(
    migrate: Callable[[Connection], None], connection: Connection, settings: Settings
) -> None:
    connection.info["begin"] = "BEGIN IMMEDIATE"
    connection.info["broken"] = set(foreign_key_violations(connection))
    connection.rollback()
    try:
        migrate(connection)
    except OperationalError as error:
        if "locked" not in str(error.orig):
            raise
        raise CommandError(
            f"{connection.engine.url.database} was locked by another process for "
            f"{settings.migration_lock_wait_seconds:g} s (MIGRATION_LOCK_WAIT_SECONDS)"
        ) from None


def migrate_postgresql(
    migrate: Callable[[Connection], None], connection: Connection, settings: Settings
) -> None:
    take_lock(connection, settings.migration_lock_wait_seconds)
    milliseconds = round(settings.migration_lock_timeout_seconds * 1000)
    connection.exec_driver_sql(f"SET lock_timeout = {milliseconds}")
    connection.commit()
    retries = 0 if is_relative() else settings.migration_lock_retries
    for left in range(retries, -1, -1):
        try:
            migrate(connection)
            break
        except DBAPIError as error:
            connection.rollback()
            if getattr(error.orig, "sqlstate", None) not in (LOCK_NOT_AVAILABLE, DEADLOCK_DETECTED):
                raise
            reason = describe_wait(connection, error, settings)
            if not left:
                raise CommandError(reason) from None
            log.warning("%s; trying again, %d times at most", reason, left)
            time.sleep(random.uniform(0.5, 1.5))  # a turn for what waited behind us


def is_relative() -> bool:
    """`+2` after one of the two was done is not `+2` any more."""
    return str(getattr(context.config.cmd_opts, "revision", "")).startswith(("+", "-"))


def take_lock(connection: Connection, wait_seconds: float) -> None:
    """Take the lock that keeps migrations apart. It is held until the connection closes.

    Polled, not waited for: a statement that waits holds a snapshot, for which
    CREATE INDEX CONCURRENTLY of the one that holds the lock would wait in turn.
    """
    deadline = time.monotonic() + wait_seconds
    waiting = False
    while not connection.scalar(sa.select(sa.func.pg_try_advisory_lock(LOCK_KEY))):
        connection.commit()
        if time.monotonic() > deadline:
            raise CommandError(
                f"Another migration did not end within {wait_seconds:g} s "
                f"(MIGRATION_LOCK_WAIT_SECONDS): {describe_holders(connection, 'advisory', '')}"
            )
        if not waiting:
            log.info("Another migration is running: waiting for it")
        waiting = True
        time.sleep(random.uniform(0.1, 0.3))
    connection.commit()


def describe_wait(connection: Connection, error: DBAPIError, settings: Settings) -> str:
    """Which revision waited, for which table, and who has it."""
    heads = ", ".join(current_heads(connection)) or "base"
    statement = " ".join((error.statement or "").split())
    connection.rollback()
    return (
        f"The revision after {heads} waited {settings.migration_lock_timeout_seconds:g} s "
        f"(MIGRATION_LOCK_TIMEOUT_SECONDS) for a lock, at: {statement[:100]}; "
        f"held by {describe_holders(connection, 'relation', statement)}"
    )


def describe_holders(connection: Connection, kind: str, statement: str) -> str:
    """The sessions that hold locks of this kind, on the tables that the statement names."""
    rows = connection.execute(sa.text(HOLDERS), {"kind": kind, "statement": statement}).all()
    connection.rollback()
    return (
        "; ".join(
            f"process {row.pid} ({row.usename}, {row.application_name or 'no name'}, {row.state}"
            f", {row.seconds:.0f} s in its transaction{', on ' + row.tables if row.tables else ''})"
            for row in rows
        )
        or "a session that has gone since"
    )


HOLDERS = r"""
SELECT a.pid, a.usename, a.application_name, a.state,
       coalesce(extract(epoch FROM clock_timestamp() - a.xact_start), 0) AS seconds,
       string_agg(DISTINCT l.relation::regclass::text, ', ') AS tables
FROM pg_locks l JOIN pg_stat_activity a USING (pid)
LEFT JOIN pg_class c ON c.oid = l.relation
WHERE l.granted AND l.locktype = :kind AND l.pid <> pg_backend_pid()
  AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
  AND (c.oid IS NULL OR (c.relkind IN ('r', 'p') AND :statement ~ ('\m' || c.relname || '\M')))
GROUP BY 1, 2, 3, 4, 5
"""


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


def foreign_key_violations(connection: Connection) -> list[tuple[str, int, str]]:
    """(table, rowid, referred table) of each reference that points nowhere."""
    rows = connection.exec_driver_sql("PRAGMA foreign_key_check")
    return [(row[0], row[1], row[2]) for row in rows]
