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

from tests.project import users_environment

pytestmark = pytest.mark.slow


def make(project: Path, target: str, **variables: str) -> subprocess.CompletedProcess[str]:
    arguments = [f"{name}={value}" for name, value in variables.items()]
    return subprocess.run(
        ["make", target, *arguments],
        cwd=project,
        env=users_environment(),
        capture_output=True,
        text=True,
    )


def test_make_check_passes(set_up: Callable[..., Path]) -> None:
    done = make(set_up(), "check")
    print(done.stdout[-3000:])
    assert done.returncode == 0, done.stdout + done.stderr
    passed = re.search(r"(\d+) passed in", done.stdout)
    assert passed
    assert int(passed[1]) > 100
    assert "skipped" not in done.stdout


def test_the_lowest_versions_that_are_allowed_pass_the_tests(
    render: Callable[..., Path], open_folder: Path
) -> None:
    project = open_folder / "lowest"
    shutil.copytree(render(), project)
    env = users_environment() | {"UV_RESOLUTION": "lowest-direct"}
    env["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{env['PATH']}"

    def run(*command: str) -> str:
        done = subprocess.run(command, cwd=project, env=env, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    run("uv", "sync", "--quiet")
    text = (project / "pyproject.toml").read_text("utf-8")
    lowest = dict(re.findall(r'^    "([a-z-]+)[^">]*>=([0-9.]+)', text, re.MULTILINE))
    frozen = dict(line.split("==") for line in run("uv", "pip", "freeze").split())
    # Those of the service; a development tool may ask another one for more.
    service = tomllib.loads(text)["project"]["dependencies"]
    for name in (re.split(r"[\[>]", one)[0] for one in service):
        version = lowest[name]
        assert re.fullmatch(rf"{re.escape(version)}(\.0)*", frozen[name]), (name, frozen[name])
    # What the template's other tests do with a service, they do with the newest.
    passed = re.search(r"(\d+) passed in", run("uv", "run", "pytest"))
    assert passed
    assert int(passed[1]) > 100
