"""Columns: which of them are added, altered and dropped, and by which operations."""

from dataclasses import replace
from typing import Any

import sqlalchemy as sa
from alembic.operations.ops import AddColumnOp, AlterColumnOp, DropColumnOp, MigrateOperation
from sqlalchemy.exc import DBAPIError

from app.core.migrations.compare import counters
from app.core.migrations.compare.catalog import Catalog, Column, Key, rolled_back
from app.core.migrations.compare.comparison import Comparison, Phase
from app.core.migrations.compare.enums import element, is_enum
from app.core.migrations.compare.render import Sql, is_of_sqlalchemy, statement


def compare(both: Comparison, key: Key) -> None:
    before, after = both.found.tables[key].columns, both.wanted.tables[key].columns
    again = remade(both, key)
    for name in after:
        if name not in before or name in again:
            early = not after[name].generated and name not in again
            phase = Phase.ADD_COLUMN if early else Phase.ADD_GENERATED
            both.add(phase, add(both, key, name, both.wanted), [drop(both, key, name)])
        elif before[name] != after[name]:
            plain = not (before[name].generated or after[name].generated)
            phase = Phase.ALTER_COLUMN if plain else Phase.ADD_GENERATED
            up = alter(both, key, name, both.found, both.wanted)
            down = alter(both, key, name, both.wanted, both.found)
            if up or down:  # of a renamed table, the sequence of a serial column has another name
                both.add(phase, up, down)
    for name in before:
        if name not in after or name in again:
            early = bool(before[name].generated) or name in again
            phase = Phase.DROP_GENERATED if early else Phase.DROP_COLUMN
            both.add(phase, [drop(both, key, name)], add(both, key, name, both.found))


def remade(both: Comparison, key: Key) -> set[str]:
    """The columns that PostgreSQL cannot alter, so that they are dropped and added."""
    before, after = both.found.tables[key].columns, both.wanted.tables[key].columns
    set_expression = (both.dialect.server_version_info or (0,)) >= (17,)
    again, retyped = set(), set()
    for name in before.keys() & after.keys():
        old, new = before[name], after[name]
        if type_of(old) != type_of(new) or element(old.type) in both.replaced:
            retyped.add(name)
        if old.generated == new.generated:
            changed = name in retyped or (not set_expression and old.default != new.default)
        else:
            changed = "v" in (old.generated, new.generated)
        if changed and (old.generated or new.generated):
            again.add(name)
    return again | {
        name
        for name in before.keys() & after.keys()
        if (before[name].uses | after[name].uses) & (retyped | again)
    }


def not_comparable(both: Comparison, key: Key) -> set[str]:
    """The columns that a foreign key cannot refer to, or be on, while one of both has changed."""
    before, after = both.found.tables[key].columns, both.wanted.tables[key].columns
    return {
        name
        for name in before.keys() & after.keys()
        if element(before[name].type) in both.replaced
        or not runs(both, f"SELECT NULL::{before[name].type} = NULL::{after[name].type}")
    }


def add(both: Comparison, key: Key, name: str, side: Catalog) -> list[MigrateOperation]:
    column = side.tables[key].columns[name]
    known = known_as(both, key, name, side)
    if known is not None and not column.is_serial:
        return [AddColumnOp(key.name, known, schema=both.schema(key))]
    place = f"{both.sql_name(key)} ADD COLUMN {both.quote(name)}"
    operations: list[MigrateOperation] = [Sql(f"ALTER TABLE {place} {spec(column)}")]
    if column.comment is not None:
        operations.append(comment(both, key, name, column))
    return operations


def drop(both: Comparison, key: Key, name: str) -> DropColumnOp:
    return DropColumnOp(key.name, name, schema=both.schema(key))


def comment(both: Comparison, key: Key, name: str, column: Column) -> AlterColumnOp:
    return AlterColumnOp(
        key.name, name, schema=both.schema(key), modify_comment=column.comment or False
    )


def alter(
    both: Comparison, key: Key, name: str, source: Catalog, target: Catalog
) -> list[MigrateOperation]:
    """The operations that make of a column what it is on the other side."""
    old, new = source.tables[key].columns[name], target.tables[key].columns[name]
    place = f"ALTER TABLE {both.sql_name(key)} ALTER COLUMN {both.quote(name)}"
    if new.generated and not old.generated:
        return [drop(both, key, name), *add(both, key, name, target)]
    before: list[MigrateOperation] = []
    after: list[MigrateOperation] = []
    if old.generated and not new.generated:
        before.append(Sql(f"{place} DROP EXPRESSION"))
        old = replace(old, generated="", default=None)
    elif new.generated and old.default != new.default:
        after.append(Sql(f"{place} SET EXPRESSION AS ({new.default})"))
    if counters.kind(old) != counters.kind(new):
        before += map(Sql, counters.remove(place, old))
        after += map(Sql, counters.make(both, key, name, new))
        old = replace(
            old, default=None if old.is_serial else old.default, identity="", sequence=None
        )
    else:
        actual = both.found.tables[key].columns[name].sequence
        after += map(Sql, counters.change(place, actual, old, new))
    operation = AlterColumnOp(key.name, name, schema=both.schema(key))
    known = known_as(both, key, name, target)
    default_differs = old.default != new.default and not (new.generated or new.is_serial)
    if element(old.type) in both.replaced and old.type == new.type:
        default_differs = False
    if type_of(old) != type_of(new):
        if known is not None and converts(both, old, new):
            operation.modify_type = known.type
        else:
            before.append(Sql(retype(both, key, name, old, new)))
            default_differs = False
    if default_differs:
        operation.modify_server_default = None
        if new.default is not None:
            default = known.server_default if target is both.wanted and known is not None else None
            operation.modify_server_default = default or sa.DefaultClause(statement(new.default))
    if old.not_null != new.not_null:
        operation.modify_nullable = not new.not_null
    if old.comment != new.comment:
        operation.modify_comment = new.comment
    return [*before, *([operation] if operation.has_changes() else []), *after]


def known_as(both: Comparison, key: Key, name: str, side: Catalog) -> Any:
    """SQLAlchemy's column, if an operation with it builds what PostgreSQL says."""
    if side is both.found:
        readable = both.readable.tables.get(key)
        if readable is None or readable.columns.get(name) != side.tables[key].columns[name]:
            return None
    known = next(known for known in both.table(key, side).columns if known.name == name)
    return None if is_foreign(known.type) else known


def is_foreign(type_: Any) -> bool:
    """Is it a type that revisions would have to import: of the application, or of a package?"""
    if isinstance(type_, sa.types.TypeDecorator):
        return is_foreign(type_.impl_instance)
    if isinstance(type_, sa.ARRAY):
        return is_foreign(type_.item_type)
    if isinstance(type_, sa.Enum) and type_._variant_mapping:
        return True  # a copy of it has forgotten them
    return not is_of_sqlalchemy(type_)


def converts(both: Comparison, old: Column, new: Column) -> bool:
    """Does PostgreSQL convert the type, and the default, without being told how?"""
    lines = [f"CREATE TEMP TABLE converted (value {old.type})"]
    if old.default is not None and not old.is_serial:
        lines.append(f"ALTER TABLE converted ALTER value SET DEFAULT {old.default}")
    return runs(both, *lines, f"ALTER TABLE converted ALTER value TYPE {new.type}")


def runs(both: Comparison, *lines: str) -> bool:
    """Does PostgreSQL accept these statements? They are undone."""
    try:
        with rolled_back(both.connection):
            for line in lines:
                both.connection.execute(statement(line))
    except DBAPIError:
        return False
    return True


def retype(both: Comparison, key: Key, name: str, old: Column, new: Column) -> str:
    column = both.quote(name)
    value = column
    if is_enum(both, old.type) or is_enum(both, new.type):
        value = f"{column}::text[]" if new.type.endswith("[]") else f"{column}::text"
    actions = ["DROP DEFAULT"] if old.default is not None and not old.is_serial else []
    collate = f" COLLATE {new.collation}" if new.collation else ""
    actions.append(f"TYPE {new.type}{collate} USING {value}::{new.type}")
    if new.default is not None and not new.is_serial:
        actions.append(f"SET DEFAULT {new.default}")
    changes = ", ".join(f"ALTER {column} {action}" for action in actions)
    return f"ALTER TABLE {both.sql_name(key)} {changes}"


def spec(column: Column) -> str:
    """A column as CREATE TABLE and ADD COLUMN take it, after its name."""
    words = [column.type]
    if column.is_serial:
        words = [{"smallint": "smallserial", "bigint": "bigserial"}.get(column.type, "serial")]
    if column.collation is not None:
        words.append(f"COLLATE {column.collation}")
    if column.generated:
        stored = {"s": "STORED", "v": "VIRTUAL"}[column.generated]
        words.append(f"GENERATED ALWAYS AS ({column.default}) {stored}")
    elif column.identity:
        words.append(counters.identity(column))
    elif column.default is not None and not column.is_serial:
        words.append(f"DEFAULT {column.default}")
    if column.not_null:
        words.append("NOT NULL")
    return " ".join(words)


def type_of(column: Column) -> tuple[str, str | None]:
    return column.type, column.collation
