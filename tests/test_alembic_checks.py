"""An error in the Alembic environment fails the render, with one line an error."""

import os
import re
import runpy
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import on_both_databases
from tests.project import Databases, users_environment

PROJECT = "{{cookiecutter.project_slug}}"
REVISION = "alembic/versions/0001_add_task_table.py"

# file, what to replace, by what, the line that has to be said
STATIC_ERRORS = [
    ("alembic.ini", "path_separator = os\n", "", "alembic.ini: [alembic] has no path_separator"),
    ("alembic.ini", "timezone = UTC", "timezone = %(UTC)s", "alembic.ini: Bad value substitution"),
    (
        "alembic.ini",
        "timezone = UTC",
        "sqlalchemy.url = driver://",
        "alembic.ini: sqlalchemy.url is set",
    ),
    ("alembic.ini", "[logger_alembic]", "[other]", "alembic.ini: [logger_alembic] is missing"),
    ("alembic.ini", "(here)s/alembic", "(here)s/nowhere", "nowhere/env.py is missing"),
    (
        "alembic/script.py.mako",
        "${repr(depends_on)}",
        "None",
        "alembic/script.py.mako: ${repr(depends_on)} is missing",
    ),
    (
        "alembic/env.py",
        "context.run_migrations()",
        "pass",
        "alembic/env.py: never calls context.run_migrations()",
    ),
    ("alembic/env.py", "config = context.config", "config = (", "alembic/env.py: is not Python"),
    (REVISION, "def downgrade", "def other", f"{REVISION}: has no downgrade()"),
    (REVISION, 'revision: str = "0001"', 'revision: str = "0002"', "does not begin with its revi"),
    (REVISION, "down_revision: str | None = None", 'down_revision = "0000"', "which is not there"),
]
DYNAMIC_ERRORS = [
    (REVISION, "length=200", "length=100", "alembic check: New upgrade operations detected"),
    (REVISION, 'op.drop_table("task")', "pass", "alembic upgrade head: "),
    ("alembic/env.py", "from app.settings import", "import nothing, ", "ModuleNotFoundError"),
    ("alembic.ini", "prepend_sys_path = %(here)s", "", "[alembic] lacks prepend_sys_path"),
]


def break_file(project: Path, error: tuple[str, str, str, str]) -> None:
    name, old, new, _ = error
    text = (project / name).read_text("utf-8")
    assert old in text, f"{name} has changed: {old!r} is not in it"
    (project / name).write_text(text.replace(old, new), "utf-8")


def render_broken(template: Path, error: tuple[str, str, str, str], *answers: str) -> str:
    """Break the template, render it; returns what is said, after a look at what is left."""
    break_file(template / PROJECT, error)
    folder = template.parent / "rendered"
    folder.mkdir()
    command = [sys.executable, "-m", "cookiecutter", str(template), "--no-input", *answers]
    env = {name: value for name, value in os.environ.items() if name != "VIRTUAL_ENV"}
    done = subprocess.run(
        [*command, "--output-dir", str(folder)], env=env, capture_output=True, text=True
    )
    assert done.returncode != 0, done.stdout
    assert list(folder.iterdir()) == []
    ours = done.stderr.partition("ERROR: Stopping generation")[0]
    assert "Traceback" not in ours, ours
    return ours


@pytest.mark.parametrize("error", STATIC_ERRORS, ids=lambda error: error[3])
def test_an_error_in_the_files_is_found(
    bake: Callable[..., Path], tmp_path: Path, error: tuple[str, str, str, str]
) -> None:
    project = shutil.copytree(bake(), tmp_path / "project")
    check = runpy.run_path(str(project / "app/core/migrations/static_check.py"))
    static_problems = check["static_problems"]
    assert static_problems(project) == []
    break_file(project, error)
    errors = static_problems(project)
    assert any(error[3] in line for line in errors), errors
    assert not any("\n" in line for line in errors)


def test_an_error_in_the_files_fails_the_render(template_copy: Path) -> None:
    error = STATIC_ERRORS[-1]
    said = render_broken(template_copy, error, "setup=no")
    assert any(error[3] in line for line in said.splitlines() if line.startswith("  ")), said


@pytest.mark.slow
@pytest.mark.parametrize("error", DYNAMIC_ERRORS, ids=lambda error: error[3])
def test_an_error_that_shows_when_alembic_runs_fails_the_render(
    template_copy: Path, error: tuple[str, str, str, str]
) -> None:
    said = render_broken(template_copy, error)
    assert any(error[3] in line for line in said.splitlines() if line.startswith("  ")), said


@pytest.mark.slow
def test_an_error_in_the_revision_of_a_sqlite_project_fails_its_render(template_copy: Path) -> None:
    name, old, new, said_of_it = DYNAMIC_ERRORS[0]
    broken = (f"_sqlite/{name}", old, new, said_of_it)
    said = render_broken(template_copy, broken, "database=sqlite")
    assert any(said_of_it in line for line in said.splitlines() if line.startswith("  ")), said


@pytest.mark.slow
@on_both_databases
def test_the_checks_change_nothing_and_touch_no_database(
    set_up: Callable[..., Path], databases: Databases, dialect: str
) -> None:
    project = set_up(database=dialect)

    def tree() -> dict[str, bytes]:
        skip = re.compile(r"__pycache__|\.venv|\.postgres|_cache")
        return {
            str(path): path.read_bytes()
            for path in project.rglob("*")
            if path.is_file() and not skip.search(str(path))
        }

    before = tree()
    mine = databases.create()
    env = users_environment() | {"DATABASE_URL": mine, "MIGRATION_DATABASE_URL": mine}
    done = subprocess.run(
        ["make", "check-alembic"], cwd=project, env=env, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert tree() == before
    if dialect == "postgresql":
        tables = "SELECT tablename FROM pg_tables WHERE schemaname = 'public'"
        assert databases.query(mine, tables) == []
    else:
        assert list(databases.folder.iterdir()) == []
