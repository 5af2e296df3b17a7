"""The recipes in docs/migrations.md do what they say, on both databases."""

import ast
import json
import re
from dataclasses import asdict, dataclass
from typing import Any

import psycopg
import pytest

from tests.conftest import TEMPLATE
from tests.project import Databases, Project

pytestmark = pytest.mark.slow

GUIDE = (TEMPLATE / "{{cookiecutter.project_slug}}/docs/migrations.md").read_text("utf-8")
MODELS = "app/tasks/models.py"

# Takes the steps of a recipe in one process of the project's, so that a test costs one start.
WALK = """
import json, sys
from itertools import count
from pathlib import Path
import sqlalchemy as sa
from alembic import command
from sqlmodel import SQLModel

steps, story = json.loads(sys.argv[1]), json.loads(sys.argv[2])
numbers = count(1)

def reload():
    for name in [name for name in sys.modules if name.split(".")[0] == "app"]:
        del sys.modules[name]
    SQLModel.metadata.clear()
    SQLModel._sa_registry.dispose()
    import app.migrations
    return app.migrations

def alembic(name, *arguments):
    getattr(command, name)(reload().alembic_config(), *arguments)

def run(sql):
    with engine.begin() as connection:
        for statement in sql.split(";"):
            rows = connection.exec_driver_sql(statement)
        return [list(row) for row in rows] if rows.returns_rows else []

def code_of(release, write=False):
    does, cannot_read = story["releases"][release]
    if write:
        run(does.replace("{n}", str(next(numbers))))
    found = run("SELECT 1 FROM " + cannot_read)
    assert not found, f"release {release} cannot read {len(found)} rows: {cannot_read}"

def columns(tables):
    return {(name, column) for name, found in tables for column in found}

def models_agree():
    tables = reload().target_metadata().tables
    inspector = sa.inspect(engine)
    there = columns(
        (table, [column["name"] for column in inspector.get_columns(table)])
        for table in set(inspector.get_table_names()) - {"alembic_version"}
    )
    if there - columns((table.name, table.c.keys()) for table in tables.values()):
        return False  # something is not dropped yet
    alembic("check")
    return True

from app.settings import load_settings
engine = sa.create_engine(load_settings().database)
alembic("upgrade", story["base"])
run(story["seed"])
many = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2500)"
run(f"INSERT INTO task (title) {many} SELECT 'Many ' || i FROM n")
for release, files in enumerate(steps, 1):
    for path, code in files.items():
        Path(path).write_text(code, "utf-8")
    alembic("upgrade", "head")
    code_of(release)
    code_of(release - 1)
    code_of(release, write=True)
    code_of(release - 1, write=True)
    agree = models_agree()
assert agree
first = run(f"SELECT {story['result']} ORDER BY id LIMIT 4")
assert first == story["expected"], first
kept = run(f"SELECT {story['kept']} ORDER BY id")
alembic("downgrade", story["base"])
assert run(f"SELECT {story['kept_below']} ORDER BY id") == kept, "lost on the way down"
alembic("upgrade", "head")
assert models_agree()
assert run(f"SELECT {story['result']} ORDER BY id LIMIT 4") == first, "differs the second time"
if engine.dialect.name == "postgresql":
    left = "SELECT conname FROM pg_constraint WHERE NOT convalidated"
    assert run(left) == []
    import scripts.plan
    sys.argv[1:] = ["--all"]
    assert scripts.plan.main() == 0
"""


@dataclass(frozen=True)
class Block:
    """A piece of code that the guide gives a file and a release."""

    path: str
    release: int
    code: str


@dataclass(frozen=True)
class Recipe:
    blocks: list[Block]

    @property
    def revisions(self) -> list[Block]:
        return [block for block in self.blocks if block.path != MODELS]

    @property
    def base(self) -> str:
        """The revision that the first one stands on."""
        found = re.search(r'^down_revision: .* = "(\d+)"$', self.revisions[0].code, re.MULTILINE)
        assert found
        return found[1]


def read_recipes() -> dict[str, Recipe]:
    pattern = re.compile(r"^`(\S+\.py)`, release (\d)[^\n]*:\n\n```python\n(.*?)^```$", re.M | re.S)
    recipes = {}
    for section in GUIDE.split("\n## ")[1:]:
        title, text = section.split("\n", 1)
        blocks = [Block(path, int(number), code) for path, number, code in pattern.findall(text)]
        assert len(blocks) == text.count("```python"), f"{title}: a block names no file or release"
        if blocks:
            recipes[title] = Recipe(blocks)
    return recipes


RECIPES = read_recipes()
BELOW = RECIPES["Add a column with a default"]  # what "Change a type" stands on


@dataclass(frozen=True)
class Story:
    """What the code of each release does, beginning with the one before the recipe.

    That is what it writes, where {n} is a new number, and what it could not read: the rest of
    a query that must find no row. `result` is of the first rows, `kept` of all: what `kept_below`
    finds after the way down.
    """

    releases: list[tuple[str, str]]
    expected: list[list[Any]]
    result: str
    seed: str = "INSERT INTO task (title) VALUES ('A b'), ('C'), ('D'), ('E')"
    kept: str = "title FROM task"
    kept_below: str = "title FROM task"
    base: str = "0001"


def insert(**values: str) -> str:
    return f"INSERT INTO task ({', '.join(values)}) VALUES ({', '.join(values.values())})"


def stale(change: str) -> str:
    """A release changes a row that the next one wrote, and knows nothing of its new column."""
    return f"UPDATE task SET {change} WHERE id = (SELECT max(id) FROM task); "


NAME, NO_TITLE = "'Task {n}'", "task WHERE title IS NULL"
NO_ESTIMATE = "task WHERE estimate IS NULL"
TEXT = "; INSERT INTO tasktext (task_id, title) SELECT max(id), 'Task {n}' FROM task"
TEXTS = "task LEFT JOIN tasktext ON task_id = id"

STORIES = {
    "Add a column with a default": Story(
        [(insert(title=NAME), NO_TITLE), (insert(title=NAME, estimate="'5'"), NO_ESTIMATE)],
        expected=[["0"], ["0"], ["0"], ["0"]],
        result="estimate FROM task",
    ),
    "Add a column that is not null": Story(
        [
            (insert(title=NAME), NO_TITLE),
            (insert(title=NAME, slug="'mine'"), NO_TITLE),
            (insert(title=NAME, slug="'mine'"), "task WHERE slug IS NULL"),
        ],
        expected=[["a-b"], ["c"], ["d"], ["e"]],
        result="slug FROM task",
    ),
    "Rename a column": Story(
        [
            (stale("title = 'Stale'") + insert(title=NAME), NO_TITLE),
            (insert(title=NAME, subject=NAME), NO_TITLE),
            (
                insert(title=NAME, subject=NAME),
                "task WHERE subject IS NULL OR (title = 'Stale' AND subject <> 'Stale')",
            ),
            *[
                (
                    "UPDATE task SET subject = 'Changed' WHERE id = 5; " + insert(subject=NAME),
                    "task WHERE subject IS NULL",
                )
            ]
            * 2,
        ],
        expected=[["A b"], ["C"], ["D"], ["E"]],
        result="subject FROM task",
        kept="subject FROM task",
    ),
    "Make a text column longer": Story(
        [(insert(title=NAME), NO_TITLE)] * 2,
        expected=[["A b"], ["C"], ["D"], ["E"]],
        result="title FROM task",
    ),
    "Change a type": Story(
        [
            (stale("estimate = '77', title = 'Stale'") + insert(title=NAME), NO_ESTIMATE),
            (insert(title=NAME, estimate="'5'", minutes="5"), NO_ESTIMATE),
            (
                insert(title=NAME, estimate="'5'", minutes="5"),
                "task WHERE minutes IS NULL OR (title = 'Stale' AND minutes <> 77)",
            ),
            *[(insert(title=NAME, minutes="5"), "task WHERE minutes IS NULL")] * 2,
        ],
        seed="INSERT INTO task (title, estimate) "
        "VALUES ('A', '15'), ('B', '0'), ('C', '120'), ('D', '1')",
        expected=[[15], [0], [120], [1]],
        result="minutes FROM task",
        kept="CAST(minutes AS VARCHAR(20)) FROM task",
        kept_below="estimate FROM task",
        base="0002",
    ),
    "Add an index": Story(
        [(insert(title=NAME), NO_TITLE)] * 2,
        expected=[["A b"], ["C"], ["D"], ["E"]],
        result="title FROM task",
    ),
    "Add a CHECK": Story(
        [(insert(title=NAME), NO_TITLE), (insert(title=NAME), "task WHERE title <> trim(title)")],
        seed="INSERT INTO task (title) VALUES ('A b '), ('C'), ('  D '), ('E')",
        expected=[["A b"], ["C"], ["D"], ["E"]],
        result="title FROM task",
    ),
    "Add a foreign key": Story(
        [
            (insert(title=NAME), NO_TITLE),
            (insert(title=NAME, parent_id="(SELECT max(id) FROM task)"), NO_TITLE),
        ],
        expected=[["A b", None], ["C", None], ["D", None], ["E", None]],
        result="title, parent_id FROM task",
    ),
    "Split a table": Story(
        [
            (stale("title = 'Stale'") + insert(title=NAME), NO_TITLE),
            (insert(title=NAME) + TEXT, NO_TITLE),
            (
                insert(title=NAME) + TEXT,
                f"{TEXTS} WHERE tasktext.title IS NULL"
                " OR (task.title = 'Stale' AND tasktext.title <> 'Stale')",
            ),
            *[
                (
                    "UPDATE tasktext SET title = 'Changed' WHERE task_id = 5; "
                    + insert(status="'done'")
                    + TEXT,
                    f"{TEXTS} WHERE tasktext.title IS NULL",
                )
            ]
            * 2,
        ],
        expected=[["A b"], ["C"], ["D"], ["E"]],
        result=f"tasktext.title FROM {TEXTS}",
        kept=f"tasktext.title FROM {TEXTS}",
    ),
    "Backfill millions of rows": Story(
        [(insert(title=NAME), NO_TITLE)] * 2,
        seed="INSERT INTO task (title, status, updated_at) VALUES "
        "('A', 'in_progress', '2019-01-01'), ('B', 'todo', '2019-01-01'), "
        "('C', 'in_progress', '2021-01-01'), ('D', 'in_progress', '2019-12-31')",
        expected=[["done"], ["todo"], ["in_progress"], ["done"]],
        result="status FROM task",
        kept="title, status FROM task",
        kept_below="title, status FROM task",
    ),
}


def merged(models: str, changes: str) -> str:
    """The models with the changes that the guide shows; `...` stands for what is there."""
    for change in ast.parse(changes).body:
        code = ast.unparse(change)
        if isinstance(change, ast.ImportFrom):
            models = models.replace("\nfrom ", f"\n{code}\nfrom ", 1)
            continue
        assert isinstance(change, ast.ClassDef)
        classes = {n.name: n for n in ast.parse(models).body if isinstance(n, ast.ClassDef)}
        if (there := classes.get(change.name)) is None:
            models += f"\n\n{code}\n"
            continue
        if isinstance(change.body[0], ast.Expr):
            new = {name_of(node) for node in change.body[1:]}
            kept = [node for node in there.body if name_of(node) not in new]
            change.body = [*kept, *change.body[1:]]
            code = ast.unparse(change)
        lines = models.splitlines()
        lines[there.lineno - 1 : there.end_lineno] = [code]
        models = "\n".join(lines) + "\n"
    return models


def name_of(node: ast.stmt) -> str | None:
    match node:
        case ast.AnnAssign(target=ast.Name(name)) | ast.Assign(targets=[ast.Name(name)]):
            return name
    return None


def steps_of(recipe: Recipe, models: str) -> list[dict[str, str]]:
    """For each release, the files that change."""
    steps: list[dict[str, str]] = [{} for _ in range(recipe.blocks[-1].release)]
    for block in recipe.blocks:
        if block.path == MODELS:
            models = merged(models, block.code)
        steps[block.release - 1][block.path] = models if block.path == MODELS else block.code
    return steps


def squawk_rules() -> list[str]:
    """What the table at the top says that `make plan` says."""
    rows = [line.split("|") for line in GUIDE.splitlines() if line.startswith("| ")]
    return [rule for row in rows if len(row) == 6 for rule in re.findall(r"`([a-z-]+)`", row[2])]


def models_of(project: Project) -> str:
    return (project.root / MODELS).read_text("utf-8")


def write(project: Project, steps: list[dict[str, str]]) -> None:
    for path, code in (item for files in steps for item in files.items()):
        (project.root / path).write_text(code, "utf-8")


def test_each_recipe_has_its_story() -> None:
    assert STORIES.keys() == RECIPES.keys()
    for title, recipe in RECIPES.items():
        assert f"(#{title.lower().replace(' ', '-')})" in GUIDE, f"{title} is not in the table"
        assert len(STORIES[title].releases) == recipe.blocks[-1].release + 1


@pytest.mark.parametrize("title", RECIPES)
def test_no_release_is_hurt_and_no_row_is_lost_by(
    project: Project, databases: Databases, title: str
) -> None:
    recipe, story = RECIPES[title], STORIES[title]
    if recipe.base != "0001":
        write(project, steps_of(BELOW, models_of(project)))
    steps = json.dumps(steps_of(recipe, models_of(project)))
    done = project.run("-c", WALK, steps, json.dumps(asdict(story)), url=databases.create())
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_projects_own_tests_hold_after_a_recipe(project: Project, postgresql: str) -> None:
    write(project, steps_of(RECIPES["Rename a column"], models_of(project)))
    own = ("-m", "pytest", "-q", "tests/test_migrations.py")
    done = project.run(*own, TEST_DATABASE_URL=postgresql)
    assert done.returncode == 0, done.stdout


def test_the_code_of_the_guide_is_as_the_projects_linter_wants_it(project: Project) -> None:
    folder = project.root / "guide"
    folder.mkdir()
    for number, block in enumerate(block for recipe in RECIPES.values() for block in recipe.blocks):
        kind = "models" if block.path == MODELS else "revision"
        (folder / f"{kind}_{number}.py").write_text(block.code, "utf-8")
    # The names and imports of models.py are in the rest of the file.
    pieces = "models_*.py:F821,models_*.py:I001"
    for command in (["check", f"--extend-per-file-ignores={pieces}"], ["format", "--check"]):
        done = project.run("-m", "ruff", *command, "guide")
        assert done.returncode == 0, done.stdout + done.stderr


def test_the_risks_of_the_guide_are_those_that_squawk_knows(project: Project) -> None:
    rules = squawk_rules()
    assert len(rules) > 10
    squawk = (
        "import subprocess, sys; sys.exit(subprocess.run(['squawk', *sys.argv[1:]]).returncode)"
    )
    (project.root / "empty.sql").touch()
    done = project.run("-c", squawk, "--exclude", ",".join(rules), "empty.sql")
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("databases", ["postgresql"], indirect=True)
def test_the_services_role_may_use_what_the_owner_makes_and_not_change_it(
    project: Project, databases: Databases
) -> None:
    url = databases.create()
    name = url.rpartition("?")[0].rpartition("/")[2]
    databases.query(
        url,
        "CREATE ROLE owner LOGIN",
        "CREATE ROLE service LOGIN",
        f'ALTER DATABASE "{name}" OWNER TO owner',
    )
    owner, service = (url.replace("//postgres:", f"//{role}:") for role in ("owner", "service"))
    (statements,) = re.findall(r"```sql\n(.*?)```", GUIDE, re.DOTALL)
    databases.query(owner, *statements.split(";")[:-1])
    project.alembic("upgrade", "head", url=service, MIGRATION_DATABASE_URL=owner)
    databases.query(service, "INSERT INTO task (title) VALUES ('one')")
    assert databases.query(service, "SELECT title FROM task") == [("one",)]
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        databases.query(service, "ALTER TABLE task ADD COLUMN note INTEGER")


def test_an_attribute_can_be_renamed_and_its_column_not(project: Project) -> None:
    (field,) = re.findall(r"`(Field\(sa_column_kwargs=.*)`", GUIDE)
    changes = f"class TaskBase(SQLModel):\n    subject: str = {field}\n    status: str\n"
    write(project, [{MODELS: merged(models_of(project), changes)}])
    project.alembic("upgrade", "head")
    project.alembic("check")
