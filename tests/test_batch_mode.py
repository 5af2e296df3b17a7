"""Batch mode on SQLite makes a table anew: nothing that was on it is lost without a word."""

import pytest

from tests.conftest import on_sqlite
from tests.project import Databases, Project

pytestmark = [pytest.mark.slow, on_sqlite]

OBJECTS = "SELECT name, sql FROM sqlite_master WHERE name LIKE 'kept%' ORDER BY name"
ON_THE_TABLE = """
op.execute('CREATE TABLE log (title TEXT)')
op.execute('CREATE INDEX kept_expression ON task (lower(title))')
op.execute('CREATE UNIQUE INDEX kept_part ON task (title, id DESC) WHERE id > 0')
op.execute('CREATE TRIGGER kept_trigger AFTER UPDATE OF title ON task '
    'BEGIN INSERT INTO log VALUES (new.title); END')
op.execute('CREATE TRIGGER kept_elsewhere AFTER INSERT ON log BEGIN SELECT 1 FROM task; END')
op.execute('CREATE VIEW kept_view AS SELECT title FROM task')
"""


@pytest.fixture
def url(project: Project, databases: Databases) -> str:
    url = databases.create()
    project.add_revision(2, ON_THE_TABLE)
    project.alembic("upgrade", "head", url=url)
    databases.query(url, "INSERT INTO task (title) VALUES ('first')")
    return url


def test_triggers_and_indexes_on_expressions_stay(
    project: Project, databases: Databases, url: str
) -> None:
    before = databases.query(url, OBJECTS)
    assert len(before) == 5
    project.add_revision(
        3,
        'with op.batch_alter_table("task", recreate="always") as batch:\n'
        '    batch.add_column(sa.Column("note", sa.String(50), nullable=True))',
        'with op.batch_alter_table("task") as batch:\n    batch.drop_column("note")',
    )
    for step in (("upgrade", "head"), ("downgrade", "-1")):
        project.alembic(*step, url=url)
        assert databases.query(url, OBJECTS) == before, step
        databases.query(url, f"UPDATE task SET title = '{step[0]}'")
    assert databases.query(url, "SELECT title FROM log") == [("upgrade",), ("downgrade",)]


@pytest.mark.parametrize(
    ("first", "kept"),
    [
        ("op.execute('DROP INDEX kept_expression')", "trigger kept_trigger"),
        ("op.execute('DROP TRIGGER kept_trigger')", "index kept_expression"),
    ],
)
def test_what_does_not_suit_the_changed_table_is_a_line_and_changes_nothing(
    project: Project, databases: Databases, url: str, first: str, kept: str
) -> None:
    before = databases.query(url, OBJECTS)
    rename = (
        "op.execute('DROP VIEW kept_view')\nop.execute('DROP INDEX kept_part')\n"
        'with op.batch_alter_table("task") as batch:\n'
        '    batch.alter_column("title", new_column_name="subject")'
    )
    project.add_revision(3, f"{first}\n{rename}")
    done = project.run("-m", "alembic", "upgrade", "head", url=url)
    assert done.returncode != 0
    assert f"error in {kept}: no such column" in done.stdout
    assert "drop it before the change" in done.stdout
    assert "title" in done.stdout
    assert "Traceback" not in done.stderr
    assert databases.query(url, OBJECTS) == before
    project.add_revision(
        3,
        "op.execute('DROP TRIGGER kept_trigger')\nop.execute('DROP INDEX kept_expression')\n"
        + rename,
    )
    project.alembic("upgrade", "head", url=url)
    assert databases.query(url, "SELECT subject FROM task") == [("first",)]


def test_a_table_that_is_dropped_takes_all_along(
    project: Project, databases: Databases, url: str
) -> None:
    project.add_revision(3, "op.execute('DROP VIEW kept_view')\nop.drop_table('task')")
    project.alembic("upgrade", "head", url=url)
    assert [name for name, _ in databases.query(url, OBJECTS)] == ["kept_elsewhere"]
