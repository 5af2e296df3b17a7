"""Broken on purpose: `make check-alembic` or the project's own tests find each of these faults."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.project import Project
from tests.test_autogenerate import NOTE, migration, write_model

pytestmark = pytest.mark.slow

TASK = "alembic/versions/0001_add_task_table.py"
NOTES = "alembic/versions/0002_add_note.py"
INI, ENV, MAKO = "alembic.ini", "alembic/env.py", "alembic/script.py.mako"
DATABASE, MIGRATIONS = "app/database.py", "app/migrations.py"
MODELS = "app/tasks/models.py"

TITLE = '"title", sa.String(length=200)'
FIRST_OF_NOTES = "def upgrade() -> None:\n"

# what is broken, in which file, what is replaced, by what
MUTANTS = [
    ("a downgrade is lost", TASK, "def downgrade", "def lost"),
    ("a downgrade does nothing", NOTES, '    op.drop_table("note")', "    pass"),
    ("a downgrade forgets an index", TASK, '    op.drop_table("task")', "    pass"),
    ("a parent is wrong", NOTES, 'None = "0001"', 'None = "0000"'),
    ("a parent is lost", NOTES, 'None = "0001"', "None = None"),
    ("an id is there twice", NOTES, 'revision: str = "0002"', 'revision: str = "0001"'),
    ("a file has another number", NOTES, 'revision: str = "0002"', 'revision: str = "0003"'),
    ("a time zone is lost", TASK, "sa.DateTime(timezone=True)", "sa.DateTime()"),
    ("a text is shorter", TASK, TITLE, '"title", sa.String(length=100)'),
    ("a text has no length", TASK, TITLE, '"title", sa.String()'),
    (
        "a type differs on PostgreSQL alone",
        TASK,
        TITLE,
        f'{TITLE}.with_variant(sa.Text(), "postgresql")',
    ),
    ("a type differs on SQLite alone", TASK, TITLE, f'{TITLE}.with_variant(sa.Text(), "sqlite")'),
    (
        "an id is narrower",
        TASK,
        'sa.BigInteger().with_variant(sa.Integer(), "sqlite")',
        "sa.Integer()",
    ),
    ("a number is less exact", NOTES, "scale=2", "scale=1"),
    ("a column may be null", TASK, f"{TITLE}, nullable=False", f"{TITLE}, nullable=True"),
    ("a column has another name", TASK, '"title"', '"name"'),
    ("a column is missing", NOTES, '        sa.Column("ratio", sa.Float(), nullable=False),\n', ""),
    ("a default is lost", TASK, 'server_default="todo", ', ""),
    ("a default is another", TASK, 'server_default="todo"', 'server_default="done"'),
    ("the default of a time is lost", TASK, "server_default=sa.func.now(), ", ""),
    ("the default of a boolean is another", NOTES, "sa.false()", "sa.true()"),
    ("a constraint has no name", NOTES, ', name=op.f("ck_note_amount_positive")', ""),
    ("a constraint has another name", NOTES, "uq_note_text_flag", "uq_note"),
    ("a check lacks a value", TASK, "'in_progress', 'done'", "'done'"),
    ("a check is weaker", NOTES, "amount > 0", "amount >= 0"),
    ("what a foreign key does on delete is lost", NOTES, ', ondelete="CASCADE"', ""),
    ("a foreign key refers to another column", NOTES, '["task.id"]', '["note.id"]'),
    (
        "a unique constraint is lost",
        NOTES,
        '        sa.UniqueConstraint("text", "flag", name=op.f("uq_note_text_flag")),\n',
        "",
    ),
    ("an index is on another column", NOTES, '"note", ["text"]', '"note", ["long"]'),
    ("an index is unique", NOTES, '["text"], unique=False', '["text"], unique=True'),
    (
        "rows are deleted on the way up",
        NOTES,
        FIRST_OF_NOTES,
        f'{FIRST_OF_NOTES}    op.execute("DELETE FROM task")\n',
    ),
    (
        "rows are changed on the way down",
        NOTES,
        '    op.drop_table("note")',
        '    op.drop_table("note")\n    op.execute("UPDATE task SET title = \'lost\'")',
    ),
    (
        "a statement is SQLite's alone",
        NOTES,
        FIRST_OF_NOTES,
        f"{FIRST_OF_NOTES}    op.execute(\"INSERT OR IGNORE INTO task (title) VALUES ('x')\")\n",
    ),
    (
        "a statement is PostgreSQL's alone",
        NOTES,
        FIRST_OF_NOTES,
        f'{FIRST_OF_NOTES}    op.execute("ALTER TABLE task ALTER COLUMN title SET NOT NULL")\n',
    ),
    (
        "a revision reads rows, which --sql cannot",
        NOTES,
        FIRST_OF_NOTES,
        f'{FIRST_OF_NOTES}    op.get_bind().execute(sa.text("SELECT id FROM task")).fetchall()\n',
    ),
    ("the models are not loaded", MIGRATIONS, '    features.load("models")\n', ""),
    ("the naming convention is lost", DATABASE, "SQLModel.metadata.naming_", "unused_"),
    ("env.py runs nothing", ENV, "context.run_migrations()", "pass"),
    ("env.py opens no transaction", ENV, "with context.begin_transaction():", "if True:"),
    ("env.py knows no --sql", ENV, "context.is_offline_mode()", "False"),
    ("alembic.ini does not find the application", INI, "prepend_sys_path = %(here)s\n", ""),
    ("alembic.ini has a URL", INI, "timezone = UTC", "sqlalchemy.url = sqlite:///other.db"),
    ("alembic.ini has no loggers", INI, "[loggers]", "[others]"),
    ("a new revision would have no parent", MAKO, "${repr(down_revision)}", "None"),
    ("HEAD names another revision", "alembic/versions/HEAD", "0002_add_note", "0001_add_task"),
    ("HEAD holds a conflict", "alembic/versions/HEAD", "0002", "<<<<<<< HEAD\n0002"),
    ("a model changes without a revision", MODELS, "Field(max_length=200", "Field(max_length=150"),
    ("a model loses its check", MODELS, 'enum_check("status", TaskStatus), ', ""),
    ("a model loses its index", MODELS, ', sa.Index(None, "status", "id")', ","),
    (
        "an enum has a new value",
        MODELS,
        '    done = "done"',
        '    done = "done"\n    late = "late"',
    ),
]


@pytest.fixture(scope="module")
def noted(
    set_up: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory
) -> Callable[[Path], Project]:
    """Copies a project with a second table, which has something of everything."""
    first = Project(set_up(), tmp_path_factory.mktemp("noted") / "project")
    write_model(first, NOTE)
    assert migration(first, "add note")
    drawn = first.run("-m", "scripts.schema")
    assert drawn.returncode == 0, drawn.stderr

    def copy(folder: Path) -> Project:
        shutil.copytree(first.root, folder, ignore=shutil.ignore_patterns("__pycache__"))
        return Project(set_up(), folder)

    return copy


def verdict(project: Project, server: str) -> str | None:
    """What the first check that finds a fault says; None when none does."""
    checked = project.run("-m", "scripts.check_alembic")
    if checked.returncode == 1:
        return checked.stderr
    assert checked.returncode == 0, checked.stderr
    tested = project.run(
        *("-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", "tests/test_migrations.py"),
        TEST_DATABASE_URL=server,
    )
    assert tested.returncode in (0, 1), tested.stdout + tested.stderr
    return tested.stdout if tested.returncode else None


def test_without_a_fault_nothing_is_found(
    noted: Callable[[Path], Project], tmp_path: Path, postgresql: str
) -> None:
    assert verdict(noted(tmp_path / "project"), postgresql) is None


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [pytest.param(name, old, new, id=text) for text, name, old, new in MUTANTS],
)
def test_it_is_found_that(
    noted: Callable[[Path], Project], tmp_path: Path, postgresql: str, name: str, old: str, new: str
) -> None:
    project = noted(tmp_path / "project")
    text = (project.root / name).read_text("utf-8")
    assert old in text, f"{name} has changed: {old!r} is not in it"
    (project.root / name).write_text(text.replace(old, new), "utf-8")
    found = verdict(project, postgresql)
    assert found is not None, "the mutant survives"
    print(found[-1500:])
