"""The revisions, taken up and down. A new revision needs no new test here."""

import contextlib
import uuid
from collections.abc import Iterator
from datetime import UTC, date, datetime, time
from typing import Any

import pytest
import sqlalchemy as sa
from alembic import command

from app.core.db.settings import parse_url
from app.core.migrations.config import alembic_config, script_directory, target_metadata
from tests.core.fixtures import NewDatabase

REVISIONS = [revision.revision for revision in script_directory().walk_revisions()][::-1]

# A type of an extension, or an index of expressions, is compared as far as SQLAlchemy reads it.
pytestmark = pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SAWarning")

Schema = dict[str, dict[str, Any]]


@pytest.fixture
def engine(empty_database_url: str) -> Iterator[sa.Engine]:
    engine = sa.create_engine(parse_url(empty_database_url), poolclass=sa.NullPool)
    yield engine
    engine.dispose()


def schema_of(engine: sa.Engine) -> Schema:
    """What is in the database, in a form that can be compared."""
    inspector = sa.inspect(engine)

    def named(items: list[Any]) -> dict[str, str]:
        return {str(item["name"]): str(sorted(item.items(), key=str)) for item in items}

    return {
        table: {
            "columns": {
                column["name"]: (
                    str(column["type"]),
                    getattr(column["type"], "timezone", False),
                    column["nullable"],
                    str(column["default"]),
                )
                for column in inspector.get_columns(table)
            },
            "primary key": inspector.get_pk_constraint(table),
            "foreign keys": named(inspector.get_foreign_keys(table)),
            "unique": named(inspector.get_unique_constraints(table)),
            "checks": named(inspector.get_check_constraints(table)),
            "indexes": named(inspector.get_indexes(table)),
        }
        for table in inspector.get_table_names()
        if table != "alembic_version"
    }


def sample(column: sa.Column[Any]) -> Any:
    """A value that the column takes."""
    for key in column.foreign_keys:
        return sample(key.column)
    if isinstance(column.type, sa.Enum):
        return column.type.enums[0]
    if isinstance(column.type, sa.ARRAY):
        return []
    if isinstance(column.type, sa.DateTime):
        return datetime(2026, 1, 1, tzinfo=UTC if column.type.timezone else None)
    if isinstance(column.type, sa.JSON):
        return {"x": 1}
    kind = column.type.python_type
    return {date: date(2026, 1, 1), time: time(12), uuid.UUID: uuid.UUID(int=1)}.get(kind) or {
        str: "x",
        bytes: b"x",
        bool: True,
    }.get(kind, 1)


def rows_of(engine: sa.Engine, fill: bool = False) -> dict[str, list[Any]]:
    """All rows; with `fill`, first put one into each table that has none.

    Where nobody knows a value that the table takes, because of a CHECK, say, it stays empty.
    """
    metadata = sa.MetaData()
    metadata.reflect(engine)
    found = {}
    with engine.begin() as connection:
        for table in metadata.sorted_tables:
            rows = connection.execute(sa.select(table)).mappings().all()
            if fill and not rows:
                needed = [c for c in table.c if not (c.nullable or c.server_default or c.identity)]
                # No Python type is known for the column; or its type or a CHECK refuses the value.
                unknown = (NotImplementedError, sa.exc.StatementError)
                with contextlib.suppress(*unknown), connection.begin_nested():
                    connection.execute(table.insert().values({c.name: sample(c) for c in needed}))
                rows = connection.execute(sa.select(table)).mappings().all()
            found[table.name] = [dict(row) for row in rows]
    return found


def columns_of(rows: list[dict[str, Any]]) -> set[str]:
    return set(rows[0]) if rows else set()


def test_the_history_is_one_line() -> None:
    script = script_directory()
    assert len(script.get_bases()) == 1
    assert len(script.get_heads()) == 1
    assert len(REVISIONS) == len(set(REVISIONS))


def test_each_revision_goes_up_and_down_and_up_again(engine: sa.Engine) -> None:
    config = alembic_config()
    for revision in REVISIONS:
        before = schema_of(engine)
        command.upgrade(config, revision)
        after = schema_of(engine)
        command.downgrade(config, "-1")
        assert schema_of(engine) == before, f"{revision}: downgrade() does not undo upgrade()"
        command.upgrade(config, revision)
        assert schema_of(engine) == after, f"{revision}: the second upgrade() differs"


def test_the_revisions_build_what_the_models_say(engine: sa.Engine) -> None:
    command.upgrade(alembic_config(), "head")
    command.check(alembic_config())


def test_the_revisions_build_what_create_all_builds(
    engine: sa.Engine, new_database: NewDatabase
) -> None:
    command.upgrade(alembic_config(), "head")
    with new_database() as url:
        created = sa.create_engine(parse_url(url), poolclass=sa.NullPool)
        with created.begin() as connection:
            for schema in {table.schema for table in target_metadata().tables.values()} - {None}:
                connection.execute(sa.text(f'CREATE SCHEMA IF NOT EXISTS "{schema}"'))
        target_metadata().create_all(created)
        built = schema_of(engine)
        for table in target_metadata().tables.values():
            for column in table.info.get("ignored_columns", ()):  # a later release drops it
                built[table.name]["columns"].pop(column)
        assert built == schema_of(created)


def test_rows_survive_the_way_up_and_down(engine: sa.Engine) -> None:
    config = alembic_config()
    for revision in REVISIONS:
        command.upgrade(config, revision)
        before = rows_of(engine, fill=True)
        command.upgrade(config, "head")
        at_head = rows_of(engine)
        command.downgrade(config, revision)
        after = rows_of(engine)
        for table in before.keys() & at_head.keys():  # a dropped table is gone, as was meant
            kept = columns_of(before[table]) & columns_of(at_head[table])
            # What was NULL a backfill may have filled since.
            was = [{k: row[k] for k in kept if row[k] is not None} for row in before[table]]
            now = [{k: row[k] for k in old} for old, row in zip(was, after[table], strict=True)]
            assert now == was, f"{table}: rows were lost above {revision}"
