"""Operations for revisions that do not block a busy database.

Each commits as it goes, drops nothing that it did not make, and can be run again from wherever it
was stopped. Where Alembic was handed a connection with an open transaction, they do the plain
thing in that one. Names are whole names, as in the database: `ck_task_…`.
"""

from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from alembic import op
from alembic.util import CommandError
from sqlalchemy.exc import SQLAlchemyError

from app.core.migrations.autocommit import committing
from app.core.migrations.indexes import build_index, drop_index
from app.core.migrations.relations import Table, literal, quoted, shortened

MARK = "A migration has added this and not yet validated it"
ON_DELETE = {"a": None, "r": "RESTRICT", "c": "CASCADE", "n": "SET NULL", "d": "SET DEFAULT"}


def create_index_concurrently(
    name: str, table: str, columns: Sequence[Any], *, schema: str | None = None, **options: Any
) -> None:
    """CREATE INDEX CONCURRENTLY: the table can be written to while the index is built.

    What an interrupted run has left, the same index but not valid, is dropped first. On a
    partitioned table the index of each partition is built so. `options` are those of
    `op.create_index`, like `unique=True`.

    Raises CommandError when there is another index of that name.
    """
    with committing() as auto:
        if auto is None:
            op.create_index(op.f(name), table, columns, schema=schema, **options)
        else:
            build_index(Table(auto, table, schema), name, columns, options)


def drop_index_concurrently(name: str, table: str, *, schema: str | None = None) -> None:
    """DROP INDEX CONCURRENTLY: queries that are running do not hold up all others.

    Raises CommandError when the table has no such index.
    """
    with committing() as auto:
        if auto is None:
            op.drop_index(op.f(name), table, schema=schema)
        else:
            drop_index(Table(auto, table, schema), name)


def add_check(table: str, name: str, condition: str, *, schema: str | None = None) -> None:
    """Add a CHECK: first for new rows alone (NOT VALID), then for all (VALIDATE).

    Where a row breaks the condition, the error says so and the check is gone again, so that the
    service goes on as before. Raises CommandError when there is another constraint of that name.
    """
    with committing() as auto:
        if auto is None:
            op.create_check_constraint(op.f(name), table, condition, schema=schema)
        else:
            add_check_apart(Table(auto, table, schema), name, condition)


def add_foreign_key(
    table: str,
    name: str,
    column: str | Sequence[str],
    refers_to: str | Sequence[str],
    ondelete: str | None = None,
    *,
    schema: str | None = None,
) -> None:
    """Add a foreign key to `refers_to`, "table.column": first for new rows, then for all.

    Of a key with several columns, both are lists. "schema.table.column" names another schema.

    Raises CommandError when there is another constraint of that name.
    """
    columns = [column] if isinstance(column, str) else list(column)
    references = [refers_to] if isinstance(refers_to, str) else list(refers_to)
    parent = references[0].rpartition(".")[0]
    keys = [reference.rpartition(".")[2] for reference in references]
    parent_schema, _, parent_name = parent.rpartition(".")
    if any(reference.rpartition(".")[0] != parent for reference in references):
        raise CommandError(f"add_foreign_key(): {references} are not of one table")
    with committing() as auto:
        if auto is None:
            op.create_foreign_key(
                op.f(name),
                table,
                parent_name,
                columns,
                keys,
                ondelete=ondelete,
                source_schema=schema,
                referent_schema=parent_schema or None,
            )
            return
        referred = Table(auto, parent_name, parent_schema or None)
        listed = ", ".join(map(quoted, columns)), ", ".join(map(quoted, keys))
        definition = f"FOREIGN KEY ({listed[0]}) REFERENCES {referred.sql} ({listed[1]})"
        definition += f" ON DELETE {ondelete}" if ondelete else ""

        def is_same(found: Any) -> bool:
            oid = auto.rows("SELECT to_regclass(:table)::oid AS oid", table=referred.sql)[0].oid
            return (
                found.kind == "f"
                and (found.columns, found.parent, found.parent_columns) == (columns, oid, keys)
                and ON_DELETE[found.ondelete] == (ondelete.upper() if ondelete else None)
            )

        add_not_valid(Table(auto, table, schema), name, definition, is_same)


def add_unique(table: str, name: str, columns: Sequence[str], *, schema: str | None = None) -> None:
    """Add a UNIQUE constraint from an index that is built concurrently.

    Raises CommandError when there is another constraint or index of that name.
    """
    with committing() as auto:
        if auto is None:
            op.create_unique_constraint(op.f(name), table, list(columns), schema=schema)
            return
        target = Table(auto, table, schema)
        found = None if auto.is_offline else target.constraint(name)
        if found is None:
            build_index(target, name, columns, {"unique": True})
            auto.together(
                f"ALTER TABLE {target.sql} ADD CONSTRAINT {quoted(name)} "
                f"UNIQUE USING INDEX {quoted(name)}"
            )
        elif found.kind != "u" or found.columns != list(columns):
            raise another(target, name, found.definition)


def set_not_null(table: str, column: str, *, schema: str | None = None) -> None:
    """SET NOT NULL without a scan under a lock: a CHECK that is validated before proves it."""
    with committing() as auto:
        if auto is None:
            op.alter_column(table, column, nullable=False, schema=schema)
            return
        target = Table(auto, table, schema)
        name = shortened(f"ck_{table}_{column}_not_null")
        condition = f"{quoted(column)} IS NOT NULL"
        place = f"ALTER TABLE {target.sql}"
        # Accepted for this statement: the constraint is ours, and no guarantee of anybody's.
        ignored = "-- squawk-ignore ban-drop-constraint\n" if auto.is_offline else ""
        drop = f"{ignored}{place} DROP CONSTRAINT {quoted(name)}"
        if auto.is_offline or not target.is_not_null(column):
            add_check_apart(target, name, condition)
            auto.together(f"{place} ALTER COLUMN {quoted(column)} SET NOT NULL", drop)


def add_check_apart(table: Table, name: str, condition: str) -> None:
    definition = f"CHECK ({condition})"

    def is_same(found: Any) -> bool:
        added = f"ALTER TABLE {quoted(table.name)} ADD CONSTRAINT {quoted(name)} {definition}"
        printed = (
            "SELECT pg_get_constraintdef(oid) FROM pg_constraint "
            "WHERE connamespace = pg_my_temp_schema() AND contype = 'c'"
        )
        said = found.definition.removesuffix(" NOT VALID")
        return bool(found.kind == "c" and said == table.printed(added, printed))

    add_not_valid(table, name, definition, is_same)


def add_not_valid(table: Table, name: str, definition: str, is_same: Callable[[Any], bool]) -> None:
    """Add a constraint for new rows, then validate it for all."""
    auto, quoted_name = table.auto, quoted(name)
    add = f"ALTER TABLE {table.sql} ADD CONSTRAINT {quoted_name} {definition} NOT VALID"
    validate = f"ALTER TABLE {table.sql} VALIDATE CONSTRAINT {quoted_name}"
    comment = f"COMMENT ON CONSTRAINT {quoted_name} ON {table.sql} IS"
    if auto.is_offline:
        auto.together(add, validate)
        return
    table.is_partitioned()
    found: Any = table.constraint(name)
    if found is not None and not is_same(found):
        raise another(table, name, found.definition)
    if found is None:
        auto.together(add, f"{comment} {literal(MARK)}")
    elif found.is_valid:
        return
    is_ours = found is None or found.comment == MARK
    try:
        auto.together(validate, *([f"{comment} NULL"] if is_ours else []), patient=True)
    except BaseException:
        if is_ours:
            # It would go on refusing new rows, of a release that does not know of it.
            with suppress(SQLAlchemyError):  # the connection may be lost; the mark stays
                auto.together(f"ALTER TABLE {table.sql} DROP CONSTRAINT {quoted_name}")
        raise


def another(table: Table, name: str, definition: str) -> CommandError:
    return CommandError(
        f"{table.sql} has another constraint {name}: {definition}. Take another name, and drop "
        "that one in a later revision"
    )
