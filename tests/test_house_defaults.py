"""What docs/house-defaults.md says: a file with a company's answers, and a fork that follows."""

import json
import os
import re
from pathlib import Path

import pytest

from tests.conftest import TEMPLATE
from tests.test_updates import (
    COOKIECUTTER,
    CRUFT,
    NEW,
    OLD,
    PROJECT,
    change,
    commit,
    git,
    run,
    template,
    update,
)

__all__ = ["template"]  # a fixture

pytestmark = pytest.mark.slow

PAGE = (TEMPLATE / "docs/house-defaults.md").read_text("utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("way", ["--config-file", "COOKIECUTTER_CONFIG", "~/.cookiecutterrc"])
def test_a_file_sets_the_answers_and_the_command_line_wins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    file = tmp_path / (".cookiecutterrc" if way.startswith("~") else "house.yaml")
    places = f"replay_dir: {tmp_path}/replay\ncookiecutters_dir: {tmp_path}/cloned\n"
    file.write_text(blocks("yaml")[0] + places, "utf-8")
    monkeypatch.setenv("COOKIECUTTER_CONFIG", str(file))
    if way.startswith("~"):
        monkeypatch.delenv("COOKIECUTTER_CONFIG")
        monkeypatch.setenv("HOME", str(tmp_path))
    options = ["--no-input", "project_name=Ledger", "setup=no", "license=MIT"]
    if way == "--config-file":
        monkeypatch.setenv("COOKIECUTTER_CONFIG", os.devnull)
        options += [way, str(file)]
    (tmp_path / "work").mkdir()
    run(*COOKIECUTTER, str(TEMPLATE), *options, folder=tmp_path / "work")
    project = tmp_path / "work/ledger"
    answers = json.loads((project / ".cookiecutter.json").read_text("utf-8"))["default_context"]
    assert answers["author_name"] == "Example Ltd"
    assert answers["license"] == "MIT"
    assert answers["python_version"] == "3.12"
    assert "platform@example.com" in (project / "pyproject.toml").read_text("utf-8")
    assert (project / ".gitlab-ci.yml").exists()
    assert not (project / ".github").exists()


def test_cruft_reads_the_file_too(template: Path, tmp_path: Path) -> None:
    (tmp_path / "house.yaml").write_text(blocks("yaml")[0], "utf-8")
    options = ["--no-input", "--config-file", "house.yaml", "--checkout", OLD]
    run(*CRUFT, "create", str(template), *options, folder=tmp_path)
    assert "Example Ltd" in (tmp_path / "task-service/pyproject.toml").read_text("utf-8")


def test_a_private_fork_follows_and_its_projects_with_it(template: Path, tmp_path: Path) -> None:
    upstream, remote = tmp_path / "upstream", tmp_path / "private.git"
    git(tmp_path, "clone", "--quiet", "--branch", OLD, str(template), str(upstream))
    git(upstream, "checkout", "--quiet", "-B", "main")
    git(upstream, "tag", "--delete", NEW)  # it has not come out yet
    git(tmp_path, "init", "--quiet", "--bare", "--initial-branch=main", str(remote))
    fork = tmp_path / "house-template"
    clone, publish, merge, follow = blocks("sh")[-4:]

    def follow_page(block: str, code: int = 0) -> None:
        block = block.replace("https://github.com/org/template", str(upstream))
        block = block.replace("git@git.example.com:platform/template.git", str(remote))
        block = block.replace("make test\n", "")
        folder = fork if fork.exists() else tmp_path
        run("bash", "-ec", block, folder=folder, code=code)

    follow_page(clone)
    change(
        fork,
        {
            "cookiecutter.json": (
                '"_version": "0.1.0",\n  "_repository": "gh:org/template"',
                f'"_version": "0.1.0+house.1",\n  "_repository": "{remote}"',
            )
        },
    )
    wired = '    "alembic>='
    change(fork / PROJECT, {"pyproject.toml": (wired, f'    "click>=8",\n{wired}')})
    follow_page(publish)

    url = f"git+{remote.as_uri()}"
    checkout = ["--checkout", "v0.1.0+house.1"]
    run(*COOKIECUTTER, url, *checkout, "--no-input", "setup=no", folder=tmp_path)
    project = tmp_path / "task-service"
    git(project, "init", "--quiet")
    commit(project, "As it was rendered")

    git(upstream, "fetch", "--quiet", "--tags", str(template))
    follow_page(merge, code=1)
    assert git(fork, "diff", "--name-only", "--diff-filter=U") == "cookiecutter.json"
    questions = (fork / "cookiecutter.json").read_text("utf-8")
    ours = f'  "_version": "0.2.0+house.1",\n  "_repository": "{remote}",\n'
    questions, times = re.subn(r"<<<<<<<(?s:.*)>>>>>>> .*\n", lambda _: ours, questions)
    assert times == 1
    (fork / "cookiecutter.json").write_text(questions, "utf-8")
    follow_page(follow)

    run("make", "template-update", folder=project)
    assert '"click>=8"' in (project / "pyproject.toml").read_text("utf-8")
    assert "TIMEOUT_SECONDS = 4" in (project / "app/core/health.py").read_text("utf-8")
    made_from = json.loads((project / ".cookiecutter.json").read_text("utf-8"))["template"]
    assert made_from == {"repository": str(remote), "version": "0.2.0+house.1"}
    commit(project, "Update")
    assert "nothing to do" in update(project, remote)
