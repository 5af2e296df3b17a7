"""Indexes that are built and dropped while the table is in use."""

import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from alembic import op
from alembic.operations.schemaobj import SchemaObjects
from alembic.util import CommandError
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.schema import CreateIndex

from app.core.migrations.relations import Table, literal, quoted, shortened, without_table


def build_index(
    table: Table, name: str, columns: Sequence[Any], options: Mapping[str, Any]
) -> None:
    """CREATE INDEX CONCURRENTLY, of each partition if there are any."""
    if op.get_context().as_sql or not table.is_partitioned():
        build_one(table, name, columns, options)
        return
    rows = table.auto.rows(PARTITIONS, table=table.sql)
    names = {row.relid: name if row.level == 0 else shortened(f"{name}_{row.name}") for row in rows}
    for row in rows:
        part = Table(table.auto, row.name, row.schema)
        if row.isleaf:
            build_one(part, names[row.relid], columns, options)
        elif table.auto.is_offline or is_to_be_built(
            part, names[row.relid], columns, options, may_be_invalid=True
        ):
            # Accepted for this statement: it builds nothing.
            ignored = f"{IGNORE_PLAIN}\n" if table.auto.is_offline else ""
            statement = only(sql_of(part, names[row.relid], columns, options), part)
            table.auto.together(f"{ignored}{statement}")
    for row in reversed(rows):
        if row.level == 0:
            continue
        part = Table(table.auto, row.name, row.schema)
        found: Any = part.index(names[row.relid])
        if not found.is_attached:
            parent = next(other for other in rows if other.relid == row.parentrelid)
            whole = ".".join(map(quoted, (parent.schema, names[parent.relid])))
            table.auto.together(f"ALTER INDEX {whole} ATTACH PARTITION {found.name}")


def build_one(table: Table, name: str, columns: Sequence[Any], options: Mapping[str, Any]) -> None:
    concurrently = {**options, "postgresql_concurrently": True}
    if table.auto.is_offline or is_to_be_built(table, name, columns, options):
        try:
            op.create_index(op.f(name), table.name, columns, schema=table.schema, **concurrently)
        except BaseException:
            with suppress(SQLAlchemyError):  # the connection may be lost
                left: Any = None if table.auto.is_offline else table.index(name)
                if left is not None and not left.is_valid:
                    drop_concurrently(table, name)
            raise


def is_to_be_built(
    table: Table,
    name: str,
    columns: Sequence[Any],
    options: Mapping[str, Any],
    *,
    may_be_invalid: bool = False,
) -> bool:
    """Drops what an interrupted run has left. Raises CommandError for another index."""
    found: Any = table.index(name)
    if found is None:
        return True
    printed = table.printed(
        sql_of(Table(table.auto, table.name, None), name, columns, options),
        "SELECT pg_get_indexdef(i.oid) FROM pg_class i JOIN pg_index ON indexrelid = i.oid "
        "WHERE i.relnamespace = pg_my_temp_schema() AND i.relkind = 'i'",
    )
    if not found.is_here or without_table(found.definition) != without_table(printed):
        raise CommandError(
            f"There is another index {name}: {found.definition}. Take another name, or drop that "
            f"one first, in a revision of its own: drop_index_concurrently({name!r}, …)"
        )
    if found.builder is not None:
        raise CommandError(f"Index {name} is being built by process {found.builder}: wait for it")
    if found.is_valid or may_be_invalid:
        return False
    drop_concurrently(table, name)
    return True


def drop_index(table: Table, name: str) -> None:
    """DROP INDEX CONCURRENTLY. Raises CommandError when the table has no such index."""
    if table.auto.is_offline:
        drop_concurrently(table, name)
        return
    found: Any = table.index(name)
    note = f"{table.auto.revision}: dropping index {name}"
    version_table = op.get_context()._version
    versions = Table(table.auto, version_table.name, version_table.schema)
    if found is None and note == table.auto.rows(COMMENT, table=versions.sql)[0].comment:
        return  # by a run that ended before it could say so
    if found is None or not found.is_here:
        where = f"; it is one of {found.table}" if found else ""
        raise CommandError(f"{table.sql} has no index {name}{where}")
    table.auto.together(f"COMMENT ON TABLE {versions.sql} IS {literal(note)}")
    if found.is_partitioned:
        table.auto.together(f"DROP INDEX {found.name}")
    else:
        drop_concurrently(table, name)


def drop_concurrently(table: Table, name: str) -> None:
    op.drop_index(op.f(name), table.name, schema=table.schema, postgresql_concurrently=True)


def sql_of(table: Table, name: str, columns: Sequence[Any], options: Mapping[str, Any]) -> str:
    context = op.get_context()
    index = SchemaObjects(context).index(
        op.f(name), table.name, columns, schema=table.schema, **options
    )
    return str(CreateIndex(index).compile(dialect=context.dialect)).replace("%%", "%")


def only(statement: str, table: Table) -> str:
    """The index of a partitioned table without those of its partitions."""
    return re.sub(rf" ON {re.escape(table.sql)} ", f" ON ONLY {table.sql} ", statement, count=1)


IGNORE_PLAIN = "-- squawk-ignore require-concurrent-index-creation"
COMMENT = "SELECT obj_description(to_regclass(:table), 'pg_class') AS comment"
PARTITIONS = """
SELECT relid::oid, parentrelid::oid, isleaf, level, c.relname AS name, n.nspname AS schema
FROM pg_partition_tree(to_regclass(:table)) JOIN pg_class c ON c.oid = relid
    JOIN pg_namespace n ON n.oid = c.relnamespace
ORDER BY level, relid
"""
