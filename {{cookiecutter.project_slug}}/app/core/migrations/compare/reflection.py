"""The tables of a database as SQLAlchemy reads them, for the downgrades that Alembic writes."""

import warnings
from collections.abc import Iterable
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection, Inspector, event
from sqlalchemy.dialects.postgresql import DOMAIN
from sqlalchemy.exc import SAWarning
from sqlalchemy.sql.elements import conv
from sqlalchemy.types import NullType

from app.core.migrations.compare.catalog import Key, PartKey, Table
from app.core.migrations.compare.render import statement


class Unknown(sa.types.UserDefinedType[Any]):
    """A type of which SQLAlchemy knows nothing, or would make it anew."""

    cache_ok = True

    def __init__(self, name: str) -> None:
        self.name = name

    def get_col_spec(self, **_: Any) -> str:
        return self.name


def reflect(connection: Connection, said: dict[Key, Table], default: str) -> sa.MetaData:
    """Read these tables, and those that they refer to."""
    metadata = sa.MetaData()

    def leave_out_serial(_: Inspector, table: sa.Table, column: dict[str, Any]) -> None:
        known = said.get(Key(table.schema or default, table.name))
        if known is not None and known.columns[column["name"]].is_serial:
            column["default"] = None

    event.listen(metadata, "column_reflect", leave_out_serial)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SAWarning)  # of types and expressions that it cannot read
        for schema in {key.schema for key in said}:
            names = [key.name for key in said if key.schema == schema]
            metadata.reflect(connection, None if schema == default else schema, only=names)
    for table in metadata.tables.values():
        known = said.get(Key(table.schema or default, table.name))
        if known is not None:
            adjust_columns(table.columns, known)
        adjust_items([*table.constraints, *table.indexes], known)
    return metadata


def adjust_columns(columns: Iterable[sa.Column[Any]], said: Table) -> None:
    for column in columns:
        if isinstance(column.type, (NullType, DOMAIN)):
            column.type = Unknown(said.columns[column.name].type)
        if isinstance(column.server_default, sa.DefaultClause):
            column.server_default.arg = statement(said.columns[column.name].default or "")
        if column.autoincrement is True or not column.primary_key:
            column.autoincrement = "auto"


def adjust_items(items: list[Any], said: Table | None) -> None:
    for item in items:
        if item.name is not None:
            item.name = conv(item.name)  # complete: no naming convention applies
        for name in [name for name, value in item.dialect_kwargs.items() if not value]:
            del item.dialect_kwargs[name]
        if isinstance(item, sa.CheckConstraint) and said is not None:
            sql = said.parts[PartKey(False, str(item.name))].sql
            item.sqltext = statement(sql.removeprefix("CHECK (").removesuffix(")"))
