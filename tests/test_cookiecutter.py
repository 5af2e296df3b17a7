"""The ways to call Cookiecutter, with the oldest version that is supported and the newest."""

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import TEMPLATE

pytestmark = pytest.mark.slow

VERSIONS = ["cookiecutter==2.6.0", "cookiecutter"]
ANSWERS = {"project_name": "Quokka Ledger", "ci": "gitlab", "kubernetes": "yes", "setup": "no"}

Run = Callable[..., Path]


@pytest.fixture(params=VERSIONS)
def run(request: pytest.FixtureRequest, tmp_path: Path) -> Run:
    """Run a version of the command line in an empty folder; returns the project it makes."""
    uv = shutil.which("uv")
    assert uv, "uv is missing: run the tests by `make test`"

    def run(*arguments: str, answers: str = "", config: str = "") -> Path:
        (tmp_path / "config.yaml").write_text(
            f"replay_dir: {tmp_path}/replay\ncookiecutters_dir: {tmp_path}/cloned\n{config}\n"
        )
        done = subprocess.run(
            [uv, "tool", "run", "--from", request.param, "cookiecutter", *arguments],
            cwd=tmp_path,
            env=os.environ | {"COOKIECUTTER_CONFIG": str(tmp_path / "config.yaml")},
            input=answers,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        assert "make run" in done.stdout
        return tmp_path / "quokka-ledger"

    return run


def check(project: Path) -> None:
    answers = json.loads((project / ".cookiecutter.json").read_text("utf-8"))["default_context"]
    assert answers["project_name"] == "Quokka Ledger"
    assert (project / ".gitlab-ci.yml").exists()
    assert not (project / ".github").exists()
    assert answers["kubernetes"] is True
    assert (project / "deploy/kubernetes/base/deployment.yaml").exists()
    assert (project / "alembic/versions/0001_add_task_table.py").exists()
    assert not (project / ".venv").exists()


def test_answers_on_the_command_line(run: Run) -> None:
    pairs = [f"{name}={value}" for name, value in ANSWERS.items()]
    check(run(str(TEMPLATE), "--no-input", *pairs))


def test_answers_at_the_prompts(run: Run) -> None:
    # name, slug, description, author, e-mail, database, license, Python, CI (the second),
    # Kubernetes, setup
    check(run(str(TEMPLATE), answers="Quokka Ledger\n\n\n\n\n\n\n\n2\nyes\nno\n"))


def test_answers_in_a_config_file(run: Run) -> None:
    defaults = f"default_context: {json.dumps(ANSWERS)}"
    check(run(str(TEMPLATE), "--no-input", config=defaults))


def test_a_replay(run: Run, tmp_path: Path) -> None:
    pairs = [f"{name}={value}" for name, value in ANSWERS.items()]
    run(str(TEMPLATE), "--no-input", *pairs).rename(tmp_path / "first")
    check(run(str(TEMPLATE), "--replay"))


def test_the_answers_that_a_project_keeps(run: Run, tmp_path: Path) -> None:
    pairs = [f"{name}={value}" for name, value in ANSWERS.items()]
    first = run(str(TEMPLATE), "--no-input", *pairs).rename(tmp_path / "first")
    check(run(str(TEMPLATE), "--no-input", "--config-file", str(first / ".cookiecutter.json")))


def test_a_repository_by_its_short_name(run: Run, tmp_path: Path, template_copy: Path) -> None:
    git = ["git", "-c", "user.name=test", "-c", "user.email=test@example.com"]
    for command in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "template"]):
        subprocess.run([*git, *command], cwd=template_copy, check=True)
    served = tmp_path / "served" / "org" / "template.git"
    subprocess.run(["git", "clone", "-q", "--bare", template_copy, served], check=True)
    short = f'abbreviations: {{"gh": "file://{tmp_path}/served/{{0}}.git"}}'
    pairs = [f"{name}={value}" for name, value in ANSWERS.items()]
    check(run("gh:org/template", "--no-input", *pairs, config=short))
