"""Tables, constraints and indexes as they are in the database, and how SQL names them."""

import hashlib
import re
from dataclasses import dataclass

import sqlalchemy as sa
from alembic import op
from alembic.util import CommandError

from app.core.migrations.autocommit import Autocommit

NAME_BYTES = 63


@dataclass(frozen=True)
class Table:
    """A table that operations change."""

    auto: Autocommit
    name: str
    schema: str | None

    @property
    def sql(self) -> str:
        return ".".join(map(quoted, filter(None, (self.schema, self.name))))

    def is_partitioned(self) -> bool:
        """Raises CommandError where there is no such table."""
        rows = self.auto.rows(
            "SELECT relkind FROM pg_class WHERE oid = to_regclass(:t)", t=self.sql
        )
        if not rows:
            raise CommandError(f"There is no table {self.sql}")
        return bool(rows[0].relkind == "p")

    def constraint(self, name: str) -> sa.Row[tuple[object, ...]] | None:
        rows = self.auto.rows(CONSTRAINT, table=self.sql, name=name)
        return rows[0] if rows else None

    def index(self, name: str) -> sa.Row[tuple[object, ...]] | None:
        """The index of this name in the schema of the table, be it of this table or of another."""
        rows = self.auto.rows(INDEX, table=self.sql, name=name)
        return rows[0] if rows else None

    def is_not_null(self, column: str) -> bool:
        """Raises CommandError where there is no such column."""
        rows = self.auto.rows(
            "SELECT attnotnull FROM pg_attribute WHERE attrelid = to_regclass(:table) "
            "AND attname = CAST(:name AS name) AND attnum > 0 AND NOT attisdropped",
            table=self.sql,
            name=column,
        )
        if not rows:
            raise CommandError(f"There is no column {column} in {self.sql}")
        return bool(rows[0].attnotnull)

    def printed(self, statement: str, query: str) -> str:
        """What PostgreSQL prints of something, once it was made on an empty copy of the table."""
        connection = self.auto.connection
        connection.exec_driver_sql("BEGIN")
        try:
            # Of the same name, and first in the search path.
            copy = f"CREATE TEMP TABLE {quoted(self.name)} (LIKE {self.sql})"
            for line in (copy, statement):
                connection.exec_driver_sql(line.replace("%", "%%"))
            return str(connection.exec_driver_sql(query).scalar_one())
        finally:
            connection.exec_driver_sql("ROLLBACK")


COLUMNS = """(
    SELECT array_agg(a.attname::text ORDER BY n)
    FROM unnest(k.{key}) WITH ORDINALITY AS c (attnum, n)
        JOIN pg_attribute a ON (a.attrelid, a.attnum) = (k.{table}, c.attnum))"""
CONSTRAINT = f"""
SELECT k.contype AS kind, k.convalidated AS is_valid, pg_get_constraintdef(k.oid) AS definition,
    obj_description(k.oid, 'pg_constraint') AS comment,
    k.confrelid AS parent, k.confdeltype AS ondelete,
    {COLUMNS.format(key="conkey", table="conrelid")} AS columns,
    {COLUMNS.format(key="confkey", table="confrelid")} AS parent_columns
FROM pg_constraint k
WHERE k.conrelid = to_regclass(:table) AND k.conname = CAST(:name AS name)
"""
INDEX = """
SELECT i.oid::regclass::text AS name, i.relkind = 'I' AS is_partitioned, x.indisvalid AS is_valid,
    x.indrelid = t.oid AS is_here, x.indrelid::regclass::text AS table,
    pg_get_indexdef(i.oid) AS definition, h.inhparent IS NOT NULL AS is_attached,
    (SELECT pid FROM pg_stat_progress_create_index g WHERE g.index_relid = i.oid LIMIT 1) AS builder
FROM pg_class t JOIN pg_class i ON i.relnamespace = t.relnamespace
    JOIN pg_index x ON x.indexrelid = i.oid LEFT JOIN pg_inherits h ON h.inhrelid = i.oid
WHERE t.oid = to_regclass(:table) AND i.relname = CAST(:name AS name)
"""


def quoted(name: str) -> str:
    return op.get_context().dialect.identifier_preparer.quote(name)


def literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def shortened(name: str) -> str:
    """A name that PostgreSQL does not cut off."""
    data = name.encode()
    if len(data) <= NAME_BYTES:
        return name
    digest = hashlib.sha256(data).hexdigest()[:8]
    return f"{data[: NAME_BYTES - 9].decode(errors='ignore')}_{digest}"


def without_table(definition: str) -> str:
    """An index's definition without its name and its table."""
    return re.sub(r"^(CREATE (?:UNIQUE )?INDEX) .*? USING ", r"\1 USING ", definition)
