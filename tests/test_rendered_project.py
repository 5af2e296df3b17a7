"""A rendered project passes everything that its own CI runs."""

import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.interpreters import NEWEST, OLDEST, interpreter
from tests.project import add_core_tests, users_environment
from tests.test_rendering import every_database

pytestmark = [pytest.mark.slow, every_database]

Run = Callable[..., str]


def passed(said: str) -> int:
    """How many tests passed; none was skipped."""
    assert "skipped" not in said
    found = re.search(r"(\d+) passed in", said)
    assert found, said
    return int(found[1])


@pytest.fixture
def run(render: Callable[..., Path], open_folder: Path, database: str) -> Run:
    """Run a command in a project that is not yet set up. It must succeed; returns its output."""
    folder = open_folder / f"{database}-{len(list(open_folder.iterdir()))}"
    project = Path(shutil.copytree(render(database=database), folder))
    add_core_tests(project, database)
    env = users_environment()
    env["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{env['PATH']}"

    def run(*command: str, **variables: str) -> str:
        done = subprocess.run(
            command, cwd=project, env=env | variables, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return run


def test_make_check_passes_on_the_newest_python(run: Run) -> None:
    python = interpreter(NEWEST)
    run("uv", "sync", "--quiet", UV_PYTHON=python)
    assert run("uv", "run", "python", "--version").startswith(f"Python {NEWEST}.")
    assert passed(run("make", "check")) > 180


def test_the_tests_pass_on_the_oldest_python_with_the_lowest_versions(run: Run) -> None:
    lowest = {"UV_PYTHON": interpreter(OLDEST), "UV_RESOLUTION": "lowest-direct"}
    run("uv", "sync", "--quiet", **lowest)
    text = run("cat", "pyproject.toml")
    frozen = dict(line.split("==") for line in run("uv", "pip", "freeze", **lowest).split())
    # Those of the service; a development tool may ask another one for more.
    for requirement in tomllib.loads(text)["project"]["dependencies"]:
        found = re.match(r"([a-z-]+)(?:\[\w+\])?>=([0-9.]+)", requirement)
        assert found, requirement
        name, version = found.groups()
        assert re.fullmatch(rf"{re.escape(version)}(\.0)*", frozen[name]), (name, frozen[name])
    # What the template's other tests do with a service, they do with the newest.
    assert passed(run("uv", "run", "pytest", **lowest)) > 180
