"""Whole tables: created after those they refer to, dropped before them."""

from collections.abc import Iterable, Sequence

import sqlalchemy as sa
from alembic.operations.ops import CreateTableOp, DropTableOp, MigrateOperation
from sqlalchemy.schema import sort_tables_and_constraints

from app.core.migrations.compare import columns, parts
from app.core.migrations.compare.catalog import Catalog, Key, PartKey
from app.core.migrations.compare.comparison import Comparison, Phase
from app.core.migrations.compare.render import Sql


def create(both: Comparison, keys: Iterable[Key]) -> None:
    for key, later in in_order(both, {both.models[key]: key for key in keys}, both.wanted):
        made = build(both, key, both.wanted, later)
        both.add(Phase.CREATE_TABLE, made, [DropTableOp(key.name, schema=both.schema(key))])
        for make, drop in foreign_keys(both, key, later, both.wanted):
            both.add(Phase.CREATE_FOREIGN_KEY, [make], [drop])


def drop(both: Comparison, keys: Sequence[Key]) -> None:
    if not keys:
        return
    ordered = in_order(both, {both.reflected[key]: key for key in keys}, both.found)
    for key, later in reversed(ordered):
        dropped = DropTableOp(key.name, schema=both.schema(key))
        both.add(Phase.DROP_TABLE, [dropped], build(both, key, both.found, later))
        for make, drop in foreign_keys(both, key, later, both.found):
            both.add(Phase.DROP_FOREIGN_KEY, [drop], [make])


def in_order(
    both: Comparison, tables: dict[sa.Table, Key], side: Catalog
) -> list[tuple[Key, list[PartKey]]]:
    """Each table after those it refers to, with the foreign keys that have to come later."""
    ordered = sort_tables_and_constraints(tables)  # type: ignore[no-untyped-call]
    cycles = {item for table, items in ordered if table is None for item in items}
    result = []
    for table, _ in ordered:
        if table is not None:
            key, items = tables[table], both.items(table)
            later = [
                item
                for item, part in side.tables[key].parts.items()
                if parts.refers_to_stale(both, part) or items.get(item) in cycles
            ]
            result.append((key, later))
    return result


def is_written(both: Comparison, key: Key, item: PartKey, side: Catalog) -> bool:
    """Does Alembic write this constraint, as it is, into CREATE TABLE?"""
    part = side.tables[key].parts[item]
    known = both.items(both.table(key, side)).get(item)
    if part.kind == "p" and (" INCLUDE (" in part.definition or " DEFERRABLE" in part.definition):
        return False
    if isinstance(known, sa.CheckConstraint) and parts.is_of_column(known):
        return False
    return parts.is_known(both, key, item, side)


def foreign_keys(
    both: Comparison, key: Key, items: Iterable[PartKey], side: Catalog
) -> list[tuple[MigrateOperation, MigrateOperation]]:
    said = side.tables[key].parts
    return [
        (parts.make(both, key, item, side), parts.drop(both, key, item, said[item]))
        for item in items
    ]


def build(
    both: Comparison, key: Key, side: Catalog, later: Iterable[PartKey]
) -> list[MigrateOperation]:
    """CREATE TABLE and its indexes. What Alembic cannot write into the one follows it."""
    table, said = both.table(key, side), side.tables[key]
    apart = {name for name in said.columns if columns.known_as(both, key, name, side) is None}
    for item, part in said.parts.items():
        if part.kind == "p" and not is_written(both, key, item, side):
            # Without its key in CREATE TABLE a column would not be serial.
            apart |= {name for name in part.uses if said.columns[name].is_serial}
    items = both.items(table)
    follow = [
        item
        for item, part in said.parts.items()
        if item.is_index
        or (item not in later and (part.uses & apart or not is_written(both, key, item, side)))
    ]
    left_out = {id(items[item]) for item in (*later, *follow) if item in items}
    left_out |= {id(column) for column in table.columns if column.name in apart}
    if id(table.primary_key) in left_out and side is both.found:
        for column in table.primary_key.columns:
            column.primary_key = False  # from this alone Alembic would make the constraint
    for constraint in table.constraints:
        if apart & {column.name for column in getattr(constraint, "columns", ())}:
            left_out.add(id(constraint))
    operation = CreateTableOp.from_table(table)
    operation.columns = [item for item in operation.columns if id(item) not in left_out]
    create: MigrateOperation = operation
    if not operation.columns:
        create = Sql(f"CREATE TABLE {both.sql_name(key)} ()")
    added = [add for name in sorted(apart) for add in columns.add(both, key, name, side)]
    return [create, *added, *(parts.make(both, key, item, side) for item in follow)]
