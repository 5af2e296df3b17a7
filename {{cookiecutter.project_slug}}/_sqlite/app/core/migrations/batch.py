"""Keeps what batch mode would lose.

It makes a new table, copies the rows, and drops the old one: with its triggers, with the indexes on
expressions, which SQLAlchemy does not read, and with the order and collation in all others.
"""

import re
import sqlite3
import warnings
from typing import Any

import sqlalchemy as sa
from alembic.util import CommandError
from sqlalchemy import Connection, Engine

DROP = re.compile(r'DROP TABLE ("?)(?P<table>.+)\1', re.DOTALL)
RENAME = re.compile(r'ALTER TABLE "?_alembic_tmp_.+ RENAME TO ("?)(?P<table>.+)\1', re.DOTALL)
OBJECTS = """
SELECT type, name, sql, type = 'trigger' OR EXISTS (
    SELECT 1 FROM pragma_index_xinfo(sqlite_master.name) WHERE cid = -2)
FROM sqlite_master WHERE tbl_name = ? COLLATE NOCASE AND type <> 'table' AND sql IS NOT NULL
"""
ADVICE = "It does not suit the changed table: drop it before the change, and make it again after it"
NOT_READ = re.compile(r"\s+(?:DESC|ASC|COLLATE\s+\S+?)(?=\s*[,)])", re.IGNORECASE)


def keep_triggers_and_indexes(engine: Engine) -> None:
    """Make them again on the new table. Raises CommandError where they do not suit it."""
    # Of those that are kept here.
    warnings.filterwarnings("ignore", "Skipped unsupported reflection of expression-based index")

    @sa.event.listens_for(engine, "before_cursor_execute", retval=True)
    def before(
        connection: Connection, _: Any, statement: str, values: Any, *others: Any
    ) -> tuple[str, Any]:
        driver = driver_of(connection)
        if found := DROP.fullmatch(statement.strip()):
            name = found["table"].replace('""', '"')
            connection.info["dropped"] = driver.execute(OBJECTS, (name,)).fetchall()
        elif RENAME.fullmatch(statement.strip()):
            # Views, and triggers of other tables, may name a table that is not there for now.
            driver.execute("PRAGMA legacy_alter_table = ON")
        for _, _, sql, is_lost in connection.info.get("dropped", ()):
            if not is_lost and as_it_is_read(sql) == as_it_is_read(statement):
                return sql, values
        return statement, values

    @sa.event.listens_for(engine, "after_cursor_execute")
    def after(connection: Connection, _: Any, statement: str, *others: Any) -> None:
        if found := RENAME.fullmatch(statement.strip()):
            driver = driver_of(connection)
            driver.execute("PRAGMA legacy_alter_table = OFF")
            for kind, name, sql, is_lost in connection.info.get("dropped", ()):
                if is_lost:
                    make(driver, f"{kind} {name}", sql)
            check_schema(driver, found["table"])


def driver_of(connection: Connection) -> sqlite3.Connection:
    driver = connection.connection.driver_connection
    assert isinstance(driver, sqlite3.Connection)
    return driver


def as_it_is_read(sql: str) -> str:
    """The SQL of an index as SQLAlchemy reads and writes it."""
    return re.sub(r'[\s"]', "", NOT_READ.sub("", sql)).lower()


def make(driver: sqlite3.Connection, name: str, sql: str) -> None:
    try:
        driver.execute(sql)
    except sqlite3.OperationalError as error:
        raise CommandError(f"error in {name}: {error}. {ADVICE}") from error


def check_schema(driver: sqlite3.Connection, table: str) -> None:
    """SQLite reads triggers and views when it needs them, and all before it renames a column."""
    (column,) = driver.execute(
        "SELECT name FROM pragma_table_info(?) LIMIT 1", (table.replace('""', '"'),)
    ).fetchone()
    column = '"' + column.replace('"', '""') + '"'
    try:
        driver.execute(f'ALTER TABLE "{table}" RENAME COLUMN {column} TO {column}')
    except sqlite3.OperationalError as error:
        raise CommandError(f"{error}. {ADVICE}") from error
