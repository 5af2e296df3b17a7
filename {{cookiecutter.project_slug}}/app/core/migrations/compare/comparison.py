"""The two sides of a comparison, and the changes that were found so far."""

from collections.abc import Iterable, Iterator
from enum import IntEnum, auto
from functools import cached_property
from typing import Any

import sqlalchemy as sa
from alembic.autogenerate.api import AutogenContext
from alembic.operations.ops import MigrateOperation
from alembic.util import CommandError
from sqlalchemy.exc import SQLAlchemyError

from app.core.migrations.compare import catalog, extensions
from app.core.migrations.compare.catalog import Catalog, Key, PartKey, Table
from app.core.migrations.compare.reflection import reflect
from app.core.migrations.compare.render import Change, Sql


class Phase(IntEnum):
    """The order of an upgrade. A downgrade goes through it backwards."""

    PREPARE = auto()
    DROP_FOREIGN_KEY = auto()
    DROP_PART = auto()
    DROP_GENERATED = auto()
    CHANGE_ENUM = auto()
    CREATE_TABLE = auto()
    ADD_COLUMN = auto()
    ALTER_COLUMN = auto()
    ADD_GENERATED = auto()
    DROP_COLUMN = auto()
    CREATE_PART = auto()
    CREATE_FOREIGN_KEY = auto()
    DROP_TABLE = auto()
    DROP_ENUM = auto()
    BY_HAND = auto()


class Comparison:
    """What is in the database, what the models want, and what was found to differ."""

    def __init__(self, context: AutogenContext) -> None:
        assert context.connection is not None
        assert isinstance(context.metadata, sa.MetaData)
        self.context, self.connection = context, context.connection
        self.dialect = self.connection.dialect
        # Into text, where a % is one; the dialect's own doubles it for the driver.
        self.preparer = self.dialect.preparer(self.dialect)
        self.preparer._double_percents = False
        self.quote = self.preparer.quote
        self.default = self.dialect.default_schema_name or "public"
        tables = context.metadata.tables.values()
        self.models = {Key(table.schema or self.default, table.name): table for table in tables}
        self.extensions = extensions.missing(self.connection, context.metadata)
        try:
            self.wanted = catalog.build(self.connection, context.metadata, self.extensions)
        except SQLAlchemyError as error:
            reason = " ".join(str(getattr(error, "orig", error)).split())
            raise CommandError(f"PostgreSQL cannot build the models: {reason}") from error
        self.database = catalog.read(self.connection)
        self.found = Catalog(dict(self.ours()), self.database.enums, self.database.extras)
        # The constraints and indexes of a table that are dropped, made, or both.
        self.stale: dict[Key, set[PartKey]] = {}
        # The enum types that another type takes the place of.
        self.replaced: set[str] = set()
        self._steps: list[tuple[Phase, Change]] = []

    def add(
        self, phase: Phase, up: Iterable[MigrateOperation], down: Iterable[MigrateOperation]
    ) -> None:
        self._steps.append((phase, Change(self.context, list(up), list(down))))

    def in_order(self) -> list[Change]:
        return [change for _, change in sorted(self._steps, key=lambda step: step[0])]

    def ours(self) -> Iterator[tuple[Key, Table]]:
        """The database without what `include_object` leaves alone."""
        options = self.context.migration_context
        versions = Key(options.version_table_schema or self.default, options.version_table)
        for key, found in self.database.tables.items():
            table = sa.Table(key.name, sa.MetaData(), schema=self.schema(key))
            if key not in self.models:
                if key != versions and self.includes(table, "table"):
                    yield key, found
                continue
            wanted, alone = self.wanted.tables[key], set()
            for name in found.columns.keys() - wanted.columns.keys():
                table.append_column(column := sa.Column(name, sa.Text()))
                if not self.includes(column, "column"):
                    alone.add(name)
            columns = {name: said for name, said in found.columns.items() if name not in alone}
            parts = {
                item: part
                for item, part in found.parts.items()
                if item in wanted.parts or not part.uses & alone
            }
            yield key, Table(found.comment, columns, parts)

    def includes(self, item: Any, kind: Any) -> bool:
        return self.context.run_object_filters(item, item.name, kind, True, None)

    def preparations(self) -> list[Sql]:
        """Schemas and extensions that the database lacks."""
        present = self.connection.scalars(sa.text("SELECT nspname FROM pg_namespace"))
        schemas = sorted({key.schema for key in self.models}.difference(present))
        lines = [f"CREATE SCHEMA IF NOT EXISTS {self.quote(schema)}" for schema in schemas]
        return [Sql(line) for line in (*lines, *self.extensions)]

    @cached_property
    def reflected(self) -> dict[Key, sa.Table]:
        """The tables of the database as SQLAlchemy reads them."""
        said = {key: self.database.tables[key] for key in self.found.tables}
        metadata = reflect(self.connection, said, self.default)
        return {Key(t.schema or self.default, t.name): t for t in metadata.tables.values()}

    @cached_property
    def readable(self) -> Catalog:
        """What SQLAlchemy builds of the tables that it has read."""
        try:
            return catalog.build(self.connection, next(iter(self.reflected.values())).metadata)
        except SQLAlchemyError:
            return Catalog({}, {})

    def table(self, key: Key, side: Catalog) -> sa.Table:
        return self.models[key] if side is self.wanted else self.reflected[key]

    def schema(self, key: Key) -> str | None:
        """As Alembic's operations take it."""
        return None if key.schema == self.default else key.schema

    def sql_name(self, key: Key) -> str:
        names = (key.name,) if key.schema == self.default else key
        return ".".join(map(self.quote, names))

    def items(self, table: sa.Table) -> dict[PartKey, Any]:
        """The constraints and indexes of a table by the names that the database gives them."""
        preparer = self.preparer
        named: dict[PartKey, Any] = {}
        of_columns = [check for column in table.columns for check in column.constraints]
        for constraint in (*table.constraints, *of_columns):
            if constraint.name is None:
                continue
            named[PartKey(False, str(preparer.format_constraint(constraint)))] = constraint
        for index in table.indexes:
            named[PartKey(True, str(preparer.format_index(index)))] = index
        return {PartKey(k.is_index, self.unquote(k.name)): item for k, item in named.items()}

    @staticmethod
    def unquote(name: str) -> str:
        return name[1:-1].replace('""', '"') if name.startswith('"') else name
