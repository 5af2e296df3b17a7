"""Broken on purpose: `make check-alembic` or the project's own tests find each of these errors."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import on_both_databases
from tests.notes import NOTE, migration, write_model
from tests.project import Databases, Project

pytestmark = pytest.mark.slow

TASK = "alembic/versions/0001_add_task_table.py"
NOTES = "alembic/versions/0002_add_note.py"
INI, ENV, MAKO = "alembic.ini", "alembic/env.py", "alembic/script.py.mako"
BASE, CONFIG = "app/core/db/base.py", "app/core/migrations/config.py"
MODELS, NOTE_MODELS = "app/tasks/models.py", "app/notes/models.py"

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
    ("a text is shorter", TASK, TITLE, '"title", sa.String(length=100)'),
    ("a text has no length", TASK, TITLE, '"title", sa.String()'),
    ("a number is less exact", NOTES, "scale=2", "scale=1"),
    ("a column may be null", TASK, f"{TITLE}, nullable=False", f"{TITLE}, nullable=True"),
    ("a column has another name", TASK, '"title"', '"name"'),
    ("a column is missing", NOTES, '        sa.Column("ratio", sa.Float(), nullable=False),\n', ""),
    ("a default is lost", TASK, 'server_default="todo", ', ""),
    ("a default is another", TASK, 'server_default="todo"', 'server_default="done"'),
    ("the default of a time is lost", TASK, "server_default=sa.func.now(), ", ""),
    ("the default of a boolean is another", NOTE_MODELS, "sa.false()", "sa.true()"),
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
    ("the models are not loaded", CONFIG, '    features.load("models")\n', ""),
    ("the naming convention is lost", BASE, "SQLModel.metadata.naming_", "unused_"),
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


# The same, for a project of one database.
OF_ONE_DATABASE = {
    "postgresql": [
        (
            "a time zone is lost",
            TASK,
            "sa.DateTime(timezone=True)",
            "sa.DateTime()",
        ),
        (
            "an id is narrower",
            TASK,
            '"id", sa.BigInteger()',
            '"id", sa.Integer()',
        ),
        (
            "a statement is SQLite's",
            NOTES,
            FIRST_OF_NOTES,
            f"{FIRST_OF_NOTES}    op.execute(\"REPLACE INTO task (title) VALUES ('x')\")\n",
        ),
    ],
    "sqlite": [
        (
            "ids do not count up",
            TASK,
            '"id", sa.Integer()',
            '"id", sa.BigInteger()',
        ),
        (
            "a statement is PostgreSQL's",
            NOTES,
            FIRST_OF_NOTES,
            f'{FIRST_OF_NOTES}    op.execute("ALTER TABLE task ALTER COLUMN title SET NOT NULL")\n',
        ),
        (
            "a column is changed without batch mode",
            NOTES,
            FIRST_OF_NOTES,
            f'{FIRST_OF_NOTES}    op.alter_column("task", "title", type_=sa.String(length=200))\n',
        ),
    ],
}
# Found by reading the files, so that one database is enough.
READ = (INI, ENV, MAKO, "alembic/versions/HEAD")
CASES = [
    pytest.param(dialect, *mutant[1:], id=f"{mutant[0]}, {dialect}")
    for dialect, own in OF_ONE_DATABASE.items()
    for mutant in MUTANTS + own
    if dialect == "postgresql" or mutant[1] not in READ
]


@pytest.fixture(scope="module")
def notes(
    set_up: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory
) -> Callable[[Databases], Path]:
    """Projects, one of each database, with a second table, which has something of everything."""
    made: dict[str, Path] = {}

    def notes(databases: Databases) -> Path:
        dialect = databases.dialect
        if dialect not in made:
            folder = tmp_path_factory.mktemp("notes") / "project"
            project = Project(set_up(database=dialect), folder)
            write_model(project, NOTE)
            assert migration(project, "add note", **server_of(databases))
            drawn = project.run("-m", "app.core.migrations.schema")
            assert drawn.returncode == 0, drawn.stderr
            made[dialect] = folder
        return made[dialect]

    return notes


@pytest.fixture
def noted(
    notes: Callable[[Databases], Path],
    set_up: Callable[..., Path],
    databases: Databases,
    tmp_path: Path,
) -> Project:
    """A copy of one, that a test may break."""
    folder = tmp_path / "project"
    shutil.copytree(notes(databases), folder)
    return Project(set_up(database=databases.dialect), folder)


def server_of(databases: Databases) -> dict[str, str]:
    return {"TEST_DATABASE_URL": databases.server} if databases.server else {}


def verdict(project: Project, databases: Databases) -> str | None:
    """What the first check that finds an error says; None when none does."""
    server = server_of(databases)
    checked = project.run("-m", "app.core.migrations.check", **server)
    if checked.returncode == 1:
        return checked.stderr
    assert checked.returncode == 0, checked.stderr
    tested = project.run(
        *(
            "-m",
            "pytest",
            "-x",
            "-q",
            "-p",
            "no:cacheprovider",
            "--assert=plain",
            "tests/test_migrations.py",
        ),
        **server,
    )
    assert tested.returncode in (0, 1), tested.stdout + tested.stderr
    return tested.stdout if tested.returncode else None


@on_both_databases
def test_nothing_is_found_without_an_error(noted: Project, databases: Databases) -> None:
    assert verdict(noted, databases) is None


@pytest.mark.parametrize(("dialect", "name", "old", "new"), CASES, indirect=["dialect"])
def test_it_is_found_that(
    noted: Project, databases: Databases, name: str, old: str, new: str
) -> None:
    text = (noted.root / name).read_text("utf-8")
    assert old in text, f"{name} has changed: {old!r} is not in it"
    (noted.root / name).write_text(text.replace(old, new), "utf-8")
    found = verdict(noted, databases)
    assert found is not None, "the mutant survives"
    print(found[-1500:])
