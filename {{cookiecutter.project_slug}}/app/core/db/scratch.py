"""Scratch databases for autogenerate, checks and tests."""

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager

import sqlalchemy as sa
from sqlalchemy.exc import OperationalError

from app.core.db import embedded
from app.core.db.engine import NoDatabaseError
from app.core.db.settings import parse_url


@contextmanager
def scratch_database() -> Iterator[str]:
    """The URL of an empty database, which is dropped at the end. Raises NoDatabaseError."""
    server = scratch_server()
    try:
        url = create_database(server, f"scratch_{uuid.uuid4().hex[:12]}")
    except OperationalError as error:
        raise no_scratch_database(str(error.orig).strip().splitlines()[0]) from error
    try:
        yield url
    finally:
        drop_database(server, url)


def scratch_server() -> str:
    """The server of TEST_DATABASE_URL, or the embedded one; never that of DATABASE_URL."""
    try:
        return os.environ.get("TEST_DATABASE_URL") or embedded.start()
    except embedded.EmbeddedError as error:
        raise no_scratch_database(str(error)) from error


def no_scratch_database(reason: str) -> NoDatabaseError:
    return NoDatabaseError(
        f"There is no PostgreSQL for a scratch database: {reason}. Set TEST_DATABASE_URL"
    )


def create_database(server: str, name: str, options: str = "") -> str:
    """Make a database; returns its URL. `options` are those of CREATE DATABASE."""
    execute(server, f'CREATE DATABASE "{name}" {options}')
    return parse_url(server).set(database=name).render_as_string(hide_password=False)


def drop_database(server: str, url: str) -> None:
    execute(server, f'DROP DATABASE IF EXISTS "{parse_url(url).database}" WITH (FORCE)')


def execute(url: str, *statements: str) -> None:
    """Run statements, each in a transaction of its own."""
    engine = sa.create_engine(parse_url(url), isolation_level="AUTOCOMMIT", poolclass=sa.NullPool)
    with engine.connect() as connection:
        for statement in statements:
            connection.exec_driver_sql(statement)
