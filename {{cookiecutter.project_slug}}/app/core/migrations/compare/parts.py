"""Constraints and indexes: what differs is dropped and made again."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic.operations.ops import (
    AddConstraintOp,
    CreateIndexOp,
    CreateTableCommentOp,
    DropConstraintOp,
    DropIndexOp,
    DropTableCommentOp,
    MigrateOperation,
)
from sqlalchemy.sql.elements import conv

from app.core.migrations.compare import columns
from app.core.migrations.compare.catalog import Catalog, Key, Part, PartKey
from app.core.migrations.compare.comparison import Comparison, Phase
from app.core.migrations.compare.render import Sql

KINDS = {"c": "check", "f": "foreignkey", "p": "primary", "u": "unique"}


def compare(both: Comparison, keys: Sequence[Key]) -> None:
    for key in keys:
        both.stale[key] = stale(both, key)
    for key in keys:
        compare_comment(both, key)
        for item, part in both.found.tables[key].parts.items():
            if item in both.stale[key] or refers_to_stale(both, part):
                phase = Phase.DROP_FOREIGN_KEY if part.kind == "f" else Phase.DROP_PART
                drop_op, make_op = drop(both, key, item, part), make(both, key, item, both.found)
                both.add(phase, [drop_op], [make_op])
        for item, part in both.wanted.tables[key].parts.items():
            if item in both.stale[key] or refers_to_stale(both, part):
                phase = Phase.CREATE_FOREIGN_KEY if part.kind == "f" else Phase.CREATE_PART
                drop_op, make_op = drop(both, key, item, part), make(both, key, item, both.wanted)
                both.add(phase, [make_op], [drop_op])


def stale(both: Comparison, key: Key) -> set[PartKey]:
    """What differs, and what hangs on a column or an enum type that is made again."""
    before, after = both.found.tables[key].parts, both.wanted.tables[key].parts
    again = columns.remade(both, key)
    apart = columns.not_comparable(both, key)
    return {
        item
        for item in before.keys() | after.keys()
        if before.get(item) != after.get(item)
        or before[item].uses & again
        or any(f"::{name}" in before[item].definition for name in both.replaced)
        or (before[item].kind == "f" and before[item].uses & apart)
    }


def refers_to_stale(both: Comparison, part: Part) -> bool:
    """Does a foreign key refer to a primary key, say, that is dropped or not there yet?"""
    if part.target is None:
        return False
    key, name = part.target
    return any(item.name == name for item in both.stale.get(key, ()))


def drop(both: Comparison, key: Key, item: PartKey, part: Part) -> MigrateOperation:
    name, schema = conv(item.name), both.schema(key)
    if item.is_index:
        return DropIndexOp(name, key.name, schema=schema)
    return DropConstraintOp(name, key.name, KINDS.get(part.kind), schema=schema)


def make(both: Comparison, key: Key, item: PartKey, side: Catalog) -> MigrateOperation:
    part = side.tables[key].parts[item]
    known = both.items(both.table(key, side)).get(item)
    if known is not None and is_known(both, key, item, side):
        if item.is_index:
            return CreateIndexOp.from_index(known)
        # Alembic writes no operation for a primary key, and a broken one for INCLUDE; and it would
        # add a check of columns to the model's table once more.
        of_columns = isinstance(known, sa.CheckConstraint) and bool(known.columns)
        if part.kind != "p" and " INCLUDE (" not in part.definition and not of_columns:
            return AddConstraintOp.from_constraint(known)
    if item.is_index:
        return Sql(part.sql)
    place = f"{both.sql_name(key)} ADD CONSTRAINT {both.quote(item.name)}"
    return Sql(f"ALTER TABLE {place} {part.sql}")


def is_of_column(check: sa.CheckConstraint) -> bool:
    """Was it given to a column, or made by the column's type?"""
    return bool(check._type_bound) or not isinstance(check.parent, sa.Table)


def is_known(both: Comparison, key: Key, item: PartKey, side: Catalog) -> bool:
    """Does an operation with SQLAlchemy's item build what PostgreSQL says?"""
    if side is both.wanted:
        return True
    readable = both.readable.tables.get(key)
    return readable is not None and readable.parts.get(item) == side.tables[key].parts[item]


def compare_comment(both: Comparison, key: Key) -> None:
    before, after = both.found.tables[key].comment, both.wanted.tables[key].comment
    if before != after:
        up, down = set_comment(both, key, after), set_comment(both, key, before)
        both.add(Phase.ALTER_COLUMN, [up], [down])


def set_comment(both: Comparison, key: Key, comment: str | None) -> MigrateOperation:
    if comment is None:
        return DropTableCommentOp(key.name, schema=both.schema(key))
    return CreateTableCommentOp(key.name, comment, schema=both.schema(key))
