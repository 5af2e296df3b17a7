"""The recipes in docs/recipes/ do what they say, and the migration guide names each of them."""

import ast
import json
import re
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.conftest import TEMPLATE
from tests.project import Databases, Project

GUIDE_PATH = TEMPLATE / "{{cookiecutter.project_slug}}/docs/migrations.md"
GUIDE = GUIDE_PATH.read_text("utf-8")
FOLDER = TEMPLATE / "docs/recipes"
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

def alembic(name, *arguments):
    for module in [module for module in sys.modules if module.split(".")[0] == "app"]:
        del sys.modules[module]
    SQLModel.metadata.clear()
    SQLModel._sa_registry.dispose()
    from app.core.migrations.config import alembic_config
    getattr(command, name)(alembic_config(), *arguments)

def run(sql):
    with engine.begin() as connection:
        for statement in sql.split(";"):
            rows = connection.exec_driver_sql(statement)
        return [list(row) for row in rows] if rows.returns_rows else []

def read(release):
    cannot_read = story["releases"][release][1]
    found = run("SELECT 1 FROM " + cannot_read)
    assert not found, f"release {release} cannot read {len(found)} rows: {cannot_read}"

def write(release):
    run(story["releases"][release][0].replace("{n}", str(next(numbers))))

from app.core.db.engine import database_url
from app.core.settings import CoreSettings
engine = sa.create_engine(database_url(CoreSettings()))
alembic("upgrade", story["base"])
run(story["seed"])
run("INSERT INTO task (title) SELECT 'Many ' || i FROM generate_series(1, 2500) AS i")
for release, files in enumerate(steps, 1):
    for path, code in files.items():
        Path(path).write_text(code, "utf-8")
    alembic("upgrade", "head")
    for act in read, write:
        act(release)
        act(release - 1)
    read(release)
    alembic("check")
first = run(f"SELECT {story['result']} ORDER BY id LIMIT 4")
assert first == story["expected"], first
kept = run(f"SELECT {story['kept']} ORDER BY id")
alembic("downgrade", story["base"])
assert run(f"SELECT {story['kept_below']} ORDER BY id") == kept, "lost on the way down"
alembic("upgrade", "head")
alembic("check")
assert run(f"SELECT {story['result']} ORDER BY id LIMIT 4") == first, "differs the second time"
assert run("SELECT conname FROM pg_constraint WHERE NOT convalidated") == []
from app.core.migrations import plan
sys.argv[1:] = ["--all"]
assert plan.main() == 0
"""

# Prints the rules that `make plan` finds in each of the revisions.
RULES = """
import json, sys
from pathlib import Path
from app.core.migrations.config import script_directory
from app.core.migrations.plan import risks_of
from app.core.migrations.sql import sql_of
path = Path("alembic/versions/0002_bad.py")
found = []
for code in json.loads(sys.argv[1]):
    path.write_text(code, "utf-8")
    directory = script_directory()
    sql = sql_of(directory, directory.get_revision("0002"), {"0001"})
    found.append(sorted({risk.rule for risk in risks_of(sql)}))
print(json.dumps(found))
"""
BAD_REVISION = '''"""Bad"""

import sqlalchemy as sa
from alembic import op

revision: str = "0002"
down_revision: str | None = "0001"


{upgrade}

def downgrade() -> None:
    pass
'''


@dataclass(frozen=True)
class Block:
    """A piece of code that a page gives a file and a release."""

    path: str
    release: int
    code: str


@dataclass(frozen=True)
class Bad:
    """An `upgrade()` that a page warns of, and what it says that `make plan` says."""

    code: str
    rules: list[str]

    @property
    def revision(self) -> str:
        return BAD_REVISION.format(upgrade=self.code)


@dataclass(frozen=True)
class Recipe:
    title: str
    blocks: list[Block]
    bad: list[Bad]

    @property
    def base(self) -> str:
        """The revision that the first one stands on."""
        first = next(block.code for block in self.blocks if block.path != MODELS)
        found = re.search(r'^down_revision: .* = "(\d+)"$', first, re.MULTILINE)
        assert found
        return found[1]


def read_recipe(page: Path) -> Recipe:
    named = re.compile(r"^`(\S+\.py)`, release (\d):\n\n```python\n(.*?)^```$", re.M | re.S)
    python = re.compile(r"^```python\n(.*?)^```$", re.M | re.S)
    text = page.read_text("utf-8")
    title, *sections = text.split("\n## ")
    bad, blocks = [], []
    for section in sections:
        if section.startswith("Bad"):
            (code,) = python.findall(section)
            sentence = re.search(r"`make plan` says (.*?)\.", section, re.DOTALL)
            bad.append(Bad(code, re.findall(r"`([a-z-]+)`", sentence[1] if sentence else "")))
        else:
            found = [
                Block(path, int(number), code) for path, number, code in named.findall(section)
            ]
            assert len(found) == len(python.findall(section)), f"{page}: a block names no file"
            blocks += found
    return Recipe(title.splitlines()[0].removeprefix("# "), blocks, bad)


RECIPES = {page.stem: read_recipe(page) for page in sorted(FOLDER.glob("*.md"))}
BELOW = RECIPES["add-a-column-with-a-default"]  # its release 1 is what some others stand on


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
    "add-a-column-with-a-default": Story(
        [
            (insert(title=NAME), NO_TITLE),
            (insert(title=NAME, estimate="'5'"), NO_ESTIMATE),
            (insert(title=NAME, token="gen_random_uuid()"), "task WHERE token IS NULL"),
        ],
        expected=[["0", True], ["0", True], ["0", True], ["0", True]],
        result="estimate, (SELECT count(DISTINCT token) = count(*) FROM task) FROM task",
    ),
    "add-a-not-null-column": Story(
        [
            (insert(title=NAME), NO_TITLE),
            (insert(title=NAME, slug="'mine'"), NO_TITLE),
            (insert(title=NAME, slug="'mine'"), "task WHERE slug IS NULL"),
        ],
        expected=[["a-b"], ["c"], ["d"], ["e"]],
        result="slug FROM task",
    ),
    "rename-a-column": Story(
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
    "change-a-text-length": Story(
        [(insert(title=NAME), NO_TITLE)] * 2,
        expected=[["A b"], ["C"], ["D"], ["E"]],
        result="title FROM task",
    ),
    "change-a-type": Story(
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
    "add-an-index": Story(
        [(insert(title=NAME), NO_TITLE)] * 3,
        expected=[["A b"], ["C"], ["D"], ["E"]],
        result="title FROM task",
    ),
    "add-a-check": Story(
        [(insert(title=NAME), NO_TITLE), (insert(title=NAME), "task WHERE title <> trim(title)")],
        seed="INSERT INTO task (title) VALUES ('A b '), ('C'), ('  D '), ('E')",
        expected=[["A b"], ["C"], ["D"], ["E"]],
        result="title FROM task",
    ),
    "add-a-value-to-an-enum": Story(
        [
            (insert(title=NAME), NO_TITLE),
            (insert(title=NAME, status="'late'"), "task WHERE status IS NULL"),
        ],
        expected=[["A b"], ["C"], ["D"], ["E"]],
        result="title FROM task",
    ),
    "add-a-foreign-key": Story(
        [
            (insert(title=NAME), NO_TITLE),
            (insert(title=NAME, parent_id="(SELECT max(id) FROM task)"), NO_TITLE),
        ],
        expected=[["A b", None], ["C", None], ["D", None], ["E", None]],
        result="title, parent_id FROM task",
    ),
    "split-a-table": Story(
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
    "drop-a-column": Story(
        [
            (insert(title=NAME, estimate="'5'"), NO_ESTIMATE),
            *[(insert(title=NAME), NO_TITLE)] * 2,
        ],
        expected=[["A b"], ["C"], ["D"], ["E"]],
        result="title FROM task",
        base="0002",
    ),
    "backfill": Story(
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
    """The models with the changes that a page shows; `...` stands for what is there."""
    for change in ast.parse(changes).body:
        code = ast.unparse(change)
        if isinstance(change, ast.Import):
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


def rows_of_the_table() -> list[tuple[list[str], str]]:
    """Of each operation in the guide, what `make plan` says, and the page it links to."""
    rows = [line.split("|") for line in GUIDE.splitlines() if line.startswith("| ")]
    links = [(row[2], re.search(r"\]\[([a-z-]+)\]", row[4])) for row in rows if len(row) == 6]
    return [(re.findall(r"`([a-z-]+)`", rules), link[1]) for rules, link in links if link]


def pages_by_label() -> dict[str, str]:
    """The pages behind the links of the guide."""
    address = re.escape("{{cookiecutter._site}}/docs/recipes/")
    return dict(re.findall(rf"^\[([a-z-]+)\]: {address}([a-z-]+)/$", GUIDE, re.MULTILINE))


def models_of(project: Project) -> str:
    return (project.root / MODELS).read_text("utf-8")


def write(project: Project, steps: list[dict[str, str]]) -> None:
    for path, code in (item for files in steps for item in files.items()):
        (project.root / path).write_text(code, "utf-8")


def test_the_guide_links_to_every_recipe_and_to_nothing_else() -> None:
    pages = pages_by_label()
    assert sorted(pages.values()) == sorted(RECIPES)
    assert {label for _, label in rows_of_the_table()} == pages.keys()
    assert GUIDE.count("]: ") == len(pages)


def test_the_rendered_guide_links_to_the_site(bake: Any) -> None:
    site = json.loads((TEMPLATE / "cookiecutter.json").read_text("utf-8"))["_site"]
    rendered = (bake() / "docs/migrations.md").read_text("utf-8")
    addresses = re.findall(r"^\[.+\]: (.+)$", rendered, re.MULTILINE)
    assert sorted(addresses) == [f"{site}/docs/recipes/{page}/" for page in RECIPES]
    assert "{" not in re.sub(r"`[^`]*`|```.*?```", "", rendered, flags=re.DOTALL)


def test_each_recipe_has_a_story() -> None:
    assert STORIES.keys() == RECIPES.keys()
    for page, recipe in RECIPES.items():
        assert len(STORIES[page].releases) == recipe.blocks[-1].release + 1
        assert STORIES[page].base == recipe.base


@pytest.mark.slow
@pytest.mark.parametrize("page", RECIPES)
def test_no_release_breaks_and_no_row_is_lost(
    project: Project, databases: Databases, page: str
) -> None:
    recipe, story = RECIPES[page], STORIES[page]
    if recipe.base != "0001":
        write(project, steps_of(BELOW, models_of(project))[:1])
    steps = json.dumps(steps_of(recipe, models_of(project)))
    done = project.run("-c", WALK, steps, json.dumps(asdict(story)), url=databases.create())
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.slow
def test_make_plan_says_of_the_bad_ways_what_the_pages_and_the_guide_say(project: Project) -> None:
    bad = [(page, bad) for page, recipe in RECIPES.items() for bad in recipe.bad]
    done = project.run("-c", RULES, json.dumps([way.revision for _, way in bad]))
    assert done.returncode == 0, done.stderr
    found: dict[str, set[str]] = {page: set() for page in RECIPES}
    for (page, way), rules in zip(bad, json.loads(done.stdout), strict=True):
        assert rules == sorted(way.rules), f"{page}:\n{way.code}"
        found[page] |= set(rules)
    pages = pages_by_label()
    for rules, label in rows_of_the_table():
        assert set(rules) <= found[pages[label]], label


@pytest.mark.slow
@pytest.mark.parametrize(("release", "options"), [(3, ["-k", "create_all"]), (4, [])])
def test_the_projects_own_tests_pass_before_and_after_the_last_step_of_a_recipe(
    project: Project, postgresql: str, release: int, options: list[str]
) -> None:
    write(project, steps_of(RECIPES["rename-a-column"], models_of(project))[:release])
    own = ("-m", "pytest", "-q", "tests/test_migrations.py", *options)
    done = project.run(*own, TEST_DATABASE_URL=postgresql)
    assert done.returncode == 0, done.stdout
    assert " passed" in done.stdout


@pytest.mark.slow
def test_the_code_of_the_pages_is_as_the_projects_linter_wants_it(project: Project) -> None:
    folder = project.root / "recipes"
    folder.mkdir()
    for page, recipe in RECIPES.items():
        for number, block in enumerate(recipe.blocks):
            kind = "models" if block.path == MODELS else "revision"
            (folder / f"{kind}_{page}_{number}.py").write_text(block.code, "utf-8")
        for number, bad in enumerate(recipe.bad):
            (folder / f"bad_{page}_{number}.py").write_text(bad.code, "utf-8")
    # The names and imports of these are in the rest of the file.
    pieces = ",".join(f"{kind}_*.py:{rule}" for kind in ("models", "bad") for rule in ("F821", "I"))
    for command in (["check", f"--extend-per-file-ignores={pieces}"], ["format", "--diff"]):
        done = project.run("-m", "ruff", *command, "recipes")
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.slow
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
    owner, service = (re.sub(r"//\w+@", f"//{role}@", url) for role in ("owner", "service"))
    (statements,) = re.findall(r"```sql\n(.*?)```", GUIDE, re.DOTALL)
    databases.query(owner, *statements.split(";")[:-1])
    project.alembic("upgrade", "head", url=service, MIGRATION_DATABASE_URL=owner)
    databases.query(service, "INSERT INTO task (title) VALUES ('one')")
    assert databases.query(service, "SELECT title FROM task") == [("one",)]
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        databases.query(service, "ALTER TABLE task ADD COLUMN note INTEGER")


@pytest.mark.slow
def test_an_attribute_can_be_renamed_and_its_column_not(
    project: Project, databases: Databases
) -> None:
    page = (FOLDER / "rename-a-column.md").read_text("utf-8")
    (field,) = re.findall(r"`(Field\(sa_column_kwargs=.*)`", page)
    changes = f"class TaskBase(SQLModel):\n    subject: str = {field}\n    status: str\n"
    write(project, [{MODELS: merged(models_of(project), changes)}])
    url = databases.create()
    project.alembic("upgrade", "head", url=url)
    project.alembic("check", url=url)
