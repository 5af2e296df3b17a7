"""Schemas as PostgreSQL prints them: columns, constraints, indexes and enum types.

Two schemas are equal when PostgreSQL prints both alike, however their statements were written.
"""

import json
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy import Connection

from app.core.migrations.compare import extras
from app.core.migrations.compare.extras import Extra
from app.core.migrations.compare.render import statement

ARRAY_CAST = re.compile(r"(ANY|ALL) \(\(?(ARRAY\[.*?\])\)?::text\[\]\)")

TABLES = """
SELECT n.nspname, c.relname, json_build_object(
    'comment', obj_description(c.oid, 'pg_class'),
    'columns', (
        SELECT json_object_agg(a.attname, json_build_object(
            'type', format_type(a.atttypid, a.atttypmod),
            'collation', CASE WHEN a.attcollation <> t.typcollation
                THEN a.attcollation::regcollation::text END,
            'not_null', a.attnotnull,
            'default', pg_get_expr(d.adbin, d.adrelid),
            'generated', a.attgenerated,
            'identity', a.attidentity,
            'comment', col_description(c.oid, a.attnum),
            'sequence', (
                SELECT json_build_array(seqrelid::regclass, seqtypid::regtype, concat_ws(' ',
                    'START', seqstart, 'INCREMENT', seqincrement, 'MINVALUE', seqmin,
                    'MAXVALUE', seqmax, 'CACHE', seqcache,
                    CASE WHEN seqcycle THEN 'CYCLE' ELSE 'NO CYCLE' END))
                FROM pg_sequence JOIN pg_depend ON objid = seqrelid
                    AND classid = 'pg_class'::regclass AND refobjid = c.oid
                    AND refobjsubid = a.attnum
                WHERE deptype = 'i'
                    OR deptype = 'a' AND pg_get_expr(d.adbin, d.adrelid) LIKE 'nextval(%'),
            'uses', CASE WHEN a.attgenerated <> '' THEN (
                SELECT json_agg(u.attname) FROM pg_depend JOIN pg_attribute u
                    ON (u.attrelid, u.attnum) = (refobjid, refobjsubid)
                WHERE refobjid = c.oid AND u.attnum <> a.attnum AND (
                    (classid, objid) = ('pg_attrdef'::regclass, d.oid)
                    OR (classid, objid, objsubid) = ('pg_class'::regclass, c.oid, a.attnum))) END
        ) ORDER BY a.attnum)
        FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid
            LEFT JOIN pg_attrdef d ON (d.adrelid, d.adnum) = (a.attrelid, a.attnum)
        WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped),
    'constraints', (
        SELECT json_object_agg(k.conname, json_build_object(
            'kind', k.contype,
            'definition', regexp_replace(pg_get_constraintdef(k.oid), ' NOT VALID$', ''),
            'target', (
                SELECT json_build_array(tn.nspname, tc.relname, ti.relname)
                FROM pg_class ti, pg_class tc JOIN pg_namespace tn ON tn.oid = tc.relnamespace
                WHERE k.contype = 'f' AND ti.oid = k.conindid AND tc.oid = k.confrelid),
            'uses', (
                SELECT json_agg(attname) FROM pg_depend JOIN pg_attribute
                    ON (attrelid, attnum) = (refobjid, refobjsubid)
                WHERE (classid, objid, refobjid)
                    = ('pg_constraint'::regclass, k.oid, c.oid))
        ) ORDER BY k.conname)
        FROM pg_constraint k WHERE k.conrelid = c.oid AND k.contype IN ('c', 'f', 'p', 'u', 'x')),
    'indexes', (
        SELECT json_object_agg(i.relname, json_build_object(
            'kind', 'index',
            'definition', pg_get_indexdef(i.oid, 0, true),
            'uses', (
                SELECT json_agg(attname) FROM pg_depend JOIN pg_attribute
                    ON (attrelid, attnum) = (refobjid, refobjsubid)
                WHERE (classid, objid, refobjid) = ('pg_class'::regclass, i.oid, c.oid))
        ) ORDER BY i.relname)
        FROM pg_index x JOIN pg_class i ON i.oid = x.indexrelid
        WHERE x.indrelid = c.oid AND NOT EXISTS (
            SELECT FROM pg_constraint WHERE conindid = i.oid AND contype IN ('p', 'u', 'x')))
)::text
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND n.nspname ~ :schemas
"""

ENUMS = """
SELECT t.oid::regtype::text, json_agg(enumlabel ORDER BY enumsortorder)::text
FROM pg_enum JOIN pg_type t ON t.oid = enumtypid JOIN pg_namespace n ON n.oid = t.typnamespace
WHERE n.nspname ~ :schemas GROUP BY t.oid
"""


class Key(NamedTuple):
    """A table."""

    schema: str
    name: str


@dataclass(frozen=True)
class Sequence:
    """What counts up a serial or an identity column."""

    name: str = field(compare=False)
    type: str
    options: str

    @property
    def start(self) -> str:
        return self.options.split()[1]


@dataclass(frozen=True)
class Column:
    type: str
    collation: str | None
    not_null: bool
    default: str | None  # or the expression that a generated column is computed by
    generated: str  # "s", stored; "v", virtual; or ""
    identity: str  # "a", always; "d", by default; or ""
    comment: str | None
    sequence: Sequence | None
    uses: frozenset[str]

    @property
    def is_serial(self) -> bool:
        return self.sequence is not None and not self.identity


@dataclass(frozen=True)
class Part:
    """A constraint or an index."""

    kind: str  # "index", or as in pg_constraint: c, f, p, u, x
    definition: str
    uses: frozenset[str]
    target: tuple[Key, str] | None = None  # the constraint or index a foreign key refers to

    @property
    def sql(self) -> str:
        """The definition in a form that is printed as the definition once it was run.

        `x IN ('a', 'b')` is printed as `x = ANY ((ARRAY['a', 'b'])::text[])`. When this is run, the
        cast goes to each element, and other text is printed.
        """
        return ARRAY_CAST.sub(r"\1 (\2)", self.definition)


class PartKey(NamedTuple):
    is_index: bool
    name: str


@dataclass(frozen=True)
class Table:
    comment: str | None
    columns: dict[str, Column]
    parts: dict[PartKey, Part]


@dataclass(frozen=True)
class Catalog:
    tables: dict[Key, Table]
    enums: dict[str, list[str]]
    extras: dict[str, Extra] = field(default_factory=dict)


def read(connection: Connection, prefix: str = "") -> Catalog:
    """What is in the database, in the schemas whose names begin so."""
    schemas = f"^{prefix}" if prefix else "^(?!pg_|information_schema$)"

    def rows(query: str) -> Iterator[list[str]]:
        for row in connection.execute(sa.text(query), {"schemas": schemas}):
            yield [value.replace(prefix, "") if prefix else value for value in row]

    return Catalog(
        {Key(schema, name): _table(json.loads(parts)) for schema, name, parts in rows(TABLES)},
        {name: json.loads(labels) for name, labels in rows(ENUMS)},
        extras.read(rows),
    )


def build(connection: Connection, metadata: sa.MetaData, extensions: Iterable[str] = ()) -> Catalog:
    """What would be in the database if SQLAlchemy had made these tables in it.

    They are made in schemas of their own, and rolled back.
    """
    prefix = f"built_by_{connection.scalar(sa.text('SELECT pg_backend_pid()'))}_"
    default = connection.dialect.default_schema_name or "public"
    schemas = {table.schema or default for table in metadata.tables.values()} | {default}
    places: dict[str | None, str | None] = {name: prefix + name for name in schemas}
    places[None] = prefix + default
    quote = connection.dialect.identifier_preparer.quote
    path = "SELECT set_config('search_path', :first || current_setting('search_path'), true)"
    with rolled_back(connection):
        for line in extensions:
            connection.execute(statement(line))
        for name in schemas:
            connection.execute(statement(f"CREATE SCHEMA {quote(prefix + name)}"))
        connection.execute(sa.text(path), {"first": f"{quote(prefix + default)}, "})
        try:
            connection.execution_options(schema_translate_map=places)
            metadata.create_all(connection, checkfirst=False)
        finally:
            connection.execution_options(schema_translate_map=None)
        return read(connection, prefix)


@contextmanager
def rolled_back(connection: Connection) -> Iterator[None]:
    """Whatever is done to the database is undone."""
    savepoint = connection.begin_nested()
    try:
        yield
    finally:
        savepoint.rollback()


def _table(said: dict[str, Any]) -> Table:
    return Table(
        said["comment"],
        {name: _column(**column) for name, column in (said["columns"] or {}).items()},
        {
            PartKey(part["kind"] == "index", name): _part(**part)
            for parts in (said["constraints"], said["indexes"])
            for name, part in (parts or {}).items()
        },
    )


def _column(sequence: list[str] | None, uses: list[str] | None, **values: Any) -> Column:
    return Column(
        sequence=Sequence(*sequence) if sequence else None, uses=frozenset(uses or ()), **values
    )


def _part(
    kind: str, definition: str, uses: list[str] | None, target: list[str] | None = None
) -> Part:
    refers = (Key(*target[:2]), target[2]) if target else None
    return Part(kind, definition, frozenset(uses or ()), refers)
