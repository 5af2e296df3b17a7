"""The extensions that the models' types, indexes and constraints come from."""

import re
from collections.abc import Iterator

import sqlalchemy as sa
from sqlalchemy import Connection, Dialect
from sqlalchemy.dialects.postgresql import ExcludeConstraint

EXTENSIONS = {
    "citext": "citext",
    "hstore": "hstore",
    "ltree": "ltree",
    "vector": "vector",
    "halfvec": "vector",
    "sparsevec": "vector",
    "geometry": "postgis",
    "geography": "postgis",
    "gin_trgm_ops": "pg_trgm",
    "gist_trgm_ops": "pg_trgm",
    "=": "btree_gist",
}


def missing(connection: Connection, metadata: sa.MetaData) -> list[str]:
    """The statements that install what the database lacks."""
    needed = {
        EXTENSIONS[name]
        for table in metadata.tables.values()
        for name in names(table, connection.dialect)
        if name in EXTENSIONS
    }
    present = connection.scalars(sa.text("SELECT extname FROM pg_extension"))
    return [f"CREATE EXTENSION IF NOT EXISTS {name}" for name in sorted(needed.difference(present))]


def names(table: sa.Table, dialect: Dialect) -> Iterator[str]:
    """The types, the operator classes, and the operators of exclusion constraints of a table."""
    for column in table.columns:
        yield re.split(r"\W", column.type.compile(dialect), maxsplit=1)[0].lower()
    for index in table.indexes:
        yield from (index.dialect_options["postgresql"]["ops"] or {}).values()
    for constraint in table.constraints:
        if isinstance(constraint, ExcludeConstraint) and constraint.using == "gist":
            yield from constraint.operators.values()
