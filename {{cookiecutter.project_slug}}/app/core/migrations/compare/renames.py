"""Renames that the user names: a comparison sees a drop and an add."""

import logging
from collections.abc import Iterator

import sqlalchemy as sa
from alembic.autogenerate.api import AutogenContext
from alembic.operations.ops import AlterColumnOp, MigrateOperation
from alembic.util import CommandError
from sqlalchemy import Connection

from app.core.migrations.compare.comparison import Comparison
from app.core.migrations.compare.render import RenameTable, statement

log = logging.getLogger("alembic.autogenerate")


def apply(context: AutogenContext) -> list[tuple[MigrateOperation, MigrateOperation]]:
    """Rename in the database that is compared, which is rolled back; the operations up and down.

    Raises CommandError for what is not there.
    """
    assert context.connection is not None
    environment = context.migration_context.environment_context
    given = environment.get_x_argument(as_dictionary=True) if environment else {}
    pairs = filter(None, str(given.get("rename") or "").split(","))
    return [rename(context.connection, *pair.partition(":")[::2]) for pair in pairs]


def rename(connection: Connection, old: str, new: str) -> tuple[MigrateOperation, MigrateOperation]:
    inspector = sa.inspect(connection)
    quote = connection.dialect.identifier_preparer.quote
    table, _, column = old.rpartition(".")
    if new and not table and inspector.has_table(column):
        connection.execute(statement(f"ALTER TABLE {quote(old)} RENAME TO {quote(new)}"))
        return RenameTable(old, new), RenameTable(new, old)
    schema, _, name = table.rpartition(".")
    there = inspector.has_table(name, schema or None) and column in {
        found["name"] for found in inspector.get_columns(name, schema or None)
    }
    if not new or not there:
        raise CommandError(
            f"rename={old}:{new}: there is no {old}, or no new name; task.title:subject"
        )
    place = ".".join(map(quote, filter(None, (schema, name))))
    line = f"ALTER TABLE {place} RENAME COLUMN {quote(column)} TO {quote(new)}"
    connection.execute(statement(line))
    return (
        AlterColumnOp(name, column, modify_name=new, schema=schema or None),
        AlterColumnOp(name, new, modify_name=column, schema=schema or None),
    )


def warn(both: Comparison) -> None:
    """Log what fails, or loses data, on tables with rows."""
    for text in warnings(both):
        log.warning("%s", text)


def warnings(both: Comparison) -> Iterator[str]:
    found, wanted = both.found.tables, both.wanted.tables
    for key in sorted(found.keys() - wanted.keys()):
        same = [
            new.name
            for new in sorted(wanted.keys() - found.keys())
            if wanted[new].columns.keys() == found[key].columns.keys()
        ]
        yield loss(key.name, f"{key.name}:{same[0]}" if same else "")
    for key in sorted(both.found.tables.keys() & both.wanted.tables.keys()):
        before, after = both.found.tables[key].columns, both.wanted.tables[key].columns
        added, dropped = after.keys() - before.keys(), before.keys() - after.keys()
        for name in sorted(added):
            column = after[name]
            if column.not_null and not (column.default or column.generated or column.identity):
                yield (
                    f"{key.name}.{name} may not be NULL and has no default: this fails if the "
                    "table has rows (docs/migrations.md, add a column that is not null)"
                )
        for name in sorted(before.keys() & after.keys()):
            if after[name].not_null and not before[name].not_null:
                yield (
                    f"{key.name}.{name} may no longer be NULL: this fails if a row is "
                    "(docs/migrations.md, make a column NOT NULL)"
                )
        for name in sorted(dropped):
            same = [new for new in sorted(added) if after[new].type == before[name].type]
            place = f"{key.name}.{name}"
            yield loss(place, f"{place}:{same[0]}" if same else "")


def loss(name: str, rename: str) -> str:
    also = f". If it was renamed: rename={rename}" if rename else ""
    return f"{name} is dropped, with what is in it{also}"
