"""A project that its owner has changed gets a later version of the template."""

import contextlib
import json
import os
import re
import shutil
import sqlite3
import subprocess
import sys
import uuid
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import copy_template
from tests.notes import NOTE as NOTES
from tests.notes import migration, write_model
from tests.project import REVISION, Databases, Project, users_environment

PROJECT = "{{cookiecutter.project_slug}}"
OLD, NEW = "v0.1.0", "v0.2.0"
COOKIECUTTER = [sys.executable, "-m", "cookiecutter"]
CRUFT = [sys.executable, "-m", "cruft"]

# What the later version of the template changes: file, old text, new text.
CHANGES = {
    "app/core/health.py": ("TIMEOUT_SECONDS = 3", "TIMEOUT_SECONDS = 4"),
    "Makefile": ("help:  ## List the targets", "help:  ## List all targets"),
    "pyproject.toml": ('"uvicorn>=0.37"', '"uvicorn>=0.38"'),
    "app/tasks/router.py": ("List tasks, newest first.", "List the tasks, the newest first."),
    "docs/updating.md": ("# Updates from the template", "# Updates that the template brings"),
}
# And its owner, in the project.
OWN_CHANGES = {
    "app/tasks/router.py": ("Get one task.", "Get the task with this id."),
    "app/settings.py": ("    pass\n", '    greeting: str = "hello"\n'),
    ".env.example": ("DOCS=true\n", "DOCS=true\n\n# How to greet.\nGREETING=hello\n"),
    "pyproject.toml": ('    "alembic>=', '    "babel>=2.16",\n    "alembic>='),
}
# Where the template has changed the same line.
CONFLICT = {"app/core/health.py": ("TIMEOUT_SECONDS = 3", "TIMEOUT_SECONDS = 2")}
NOTE = """from sqlmodel import Field

from app.core.db.base import TableBase


class Note(TableBase, table=True):
    text: str = Field(max_length=1000)
"""
RECORD = ".cookiecutter.json"


def run(*command: str, folder: Path, code: int = 0) -> str:
    env = users_environment() | {
        "GIT_CONFIG_GLOBAL": os.devnull,
        # The template's own cookiecutter is the one on the PATH.
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    }
    if config := os.environ.get("COOKIECUTTER_CONFIG"):
        env["COOKIECUTTER_CONFIG"] = config
    for role in ("AUTHOR", "COMMITTER"):
        env |= {f"GIT_{role}_NAME": "Owner", f"GIT_{role}_EMAIL": "owner@example.com"}
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, timeout=300)
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


def git(folder: Path, *arguments: str) -> str:
    return run("git", *arguments, folder=folder).strip()


def commit(folder: Path, message: str) -> None:
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message", message)


def change(folder: Path, changes: dict[str, tuple[str, str]]) -> None:
    for name, (old, new) in changes.items():
        text = (folder / name).read_text("utf-8")
        assert text.count(old) == 1, f"{name}: {old!r}"
        (folder / name).write_text(text.replace(old, new), "utf-8")


def add_revision(versions: Path, id_: str, down: str, slug: str, statement: str) -> None:
    text = REVISION.format(
        message=slug, id=id_, down=down, second=0, upgrade=f"    {statement}", downgrade="    pass"
    )
    (versions / f"{id_}_{slug}.py").write_text(text, "utf-8")
    (versions / "HEAD").write_text(f"{id_}_{slug}\n", "utf-8")


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository of the template with two versions, the second on a branch of its own too."""
    folder = copy_template(tmp_path_factory.mktemp("updates") / "template")
    git(folder, "init", "--quiet", "--initial-branch=main")
    commit(folder, OLD)
    git(folder, "tag", OLD)
    change(folder, {"cookiecutter.json": ('"_version": "0.1.0"', '"_version": "0.2.0"')})
    change(folder / PROJECT, CHANGES)
    (folder / PROJECT / "docs" / "news.md").write_text("# News\n", "utf-8")
    commit(folder, NEW)
    git(folder, "tag", NEW)
    git(folder, "checkout", "--quiet", "-b", "with-a-revision")
    add_revision(
        folder / PROJECT / "alembic/versions",
        "0002",
        "0001",
        "of_the_template",
        'op.execute(sa.text("SELECT 1"))',
    )
    (folder / PROJECT / "app/tasks/labels.py").write_text('"""Labels of tasks."""\n', "utf-8")
    commit(folder, "A revision of the template's own")
    git(folder, "checkout", "--quiet", "main")
    return folder


def render(template: Path, folder: Path, checkout: str, *answers: str) -> Path:
    """A project in git, as it was rendered."""
    folder.mkdir()
    # By a URL: of a folder Cookiecutter takes what is checked out.
    options = [f"git+{template.as_uri()}", "--checkout", checkout, "--no-input", "setup=no"]
    run(*COOKIECUTTER, *options, *answers, folder=folder)
    return put_in_git(folder / "task-service")


def put_in_git(project: Path) -> Path:
    git(project, "init", "--quiet", "--initial-branch=main")
    commit(project, "As it was rendered")
    return project


def make_project(template: Path, folder: Path, tool: list[str]) -> Path:
    """A project of the old version, with changes of its owner's, committed."""
    if tool == CRUFT:
        folder.mkdir()
        options = ["create", str(template), "--checkout", OLD, "--no-input"]
        run(*CRUFT, *options, "--output-dir", str(folder), folder=folder)
        project = put_in_git(folder / "task-service")
    else:
        project = render(template, folder, OLD)
    change(project, OWN_CHANGES)
    (project / "app/notes").mkdir()
    (project / "app/notes/__init__.py").touch()
    (project / "app/notes/models.py").write_text(NOTE, "utf-8")
    add_revision(
        project / "alembic/versions", "0002", "0001", "mine", 'op.execute(sa.text("SELECT 2"))'
    )
    commit(project, "Changed by its owner")
    return project


def read_record(project: Path) -> Any:
    return json.loads((project / RECORD).read_text("utf-8"))


def answer(project: Path, **answers: object) -> None:
    """Change answers, as docs/updating.md says."""
    record = read_record(project)
    record["default_context"] |= answers
    (project / RECORD).write_text(json.dumps(record, indent=2) + "\n", "utf-8")
    commit(project, "Other answers")


def update(project: Path, template: Path | str, *options: str, code: int = 0) -> str:
    command = [sys.executable, "scripts/template_update.py", "--from", str(template)]
    return run(*command, *options, folder=project, code=code)


def tree(project: Path) -> dict[str, bytes]:
    """The files that git knows, but for what a tool notes about itself."""
    names = git(project, "ls-files", "--cached", "--others", "--exclude-standard").splitlines()
    return {
        name: (project / name).read_bytes() for name in names if name not in (".cruft.json", RECORD)
    }


def assert_updated(project: Path, before: dict[str, bytes]) -> None:
    after = tree(project)
    for name, (_, new) in [*CHANGES.items(), *OWN_CHANGES.items()]:
        assert new in (project / name).read_text("utf-8"), name
    assert after["docs/news.md"] == b"# News\n"
    untouched = before.keys() - CHANGES.keys()
    assert {name: after[name] for name in untouched} == {name: before[name] for name in untouched}
    assert read_record(project)["template"]["version"] == "0.2.0"
    assert read_record(project)["rendered"]["version"] == "0.2.0"


@pytest.mark.slow
def test_both_ways_keep_what_is_the_owners_and_bring_what_is_the_templates(
    template: Path, tmp_path: Path
) -> None:
    project = make_project(template, tmp_path / "plain", COOKIECUTTER)
    before = tree(project)
    said = update(project, template)
    assert "v0.2.0 is merged, and not committed" in said
    assert_updated(project, before)
    assert git(project, "log", "--format=%s").splitlines() == [
        "Changed by its owner",
        "As it was rendered",
    ]
    commit(project, "Update")
    assert "This project has v0.2.0: nothing to do." in update(project, template)

    other = make_project(template, tmp_path / "cruft", CRUFT)
    before = tree(other)
    run(*CRUFT, "check", "--checkout", OLD, folder=other)
    assert "get the task with this id" in run(*CRUFT, "diff", folder=other).lower()
    run(*CRUFT, "check", folder=other, code=1)
    run(*CRUFT, "update", "--skip-apply-ask", "--checkout", NEW, folder=other)
    assert_updated(other, before)
    run(*CRUFT, "check", folder=other)
    assert tree(other) == tree(project)


@pytest.mark.slow
@pytest.mark.parametrize("tool", [COOKIECUTTER, CRUFT], ids=["plain", "cruft"])
def test_what_both_changed_is_an_ordinary_conflict(
    template: Path, tmp_path: Path, tool: list[str]
) -> None:
    project = make_project(template, tmp_path / "work", tool)
    change(project, CONFLICT)
    commit(project, "The same line")
    if tool == CRUFT:
        run(*CRUFT, "update", "--skip-apply-ask", "--checkout", NEW, folder=project)
    else:
        said = update(project, template, code=2)
        assert "Changed here and in the template: app/core/health.py" in said
    text = (project / "app/core/health.py").read_text("utf-8")
    mine, theirs = "TIMEOUT_SECONDS = 2\n", "TIMEOUT_SECONDS = 4\n"
    assert re.search(f"<<<<<<<.*\n{mine}(?s:.*)=======\n{theirs}>>>>>>>", text), text
    assert (project / "docs/news.md").exists()
    assert git(project, "diff", "--name-only", "--diff-filter=U") == "app/core/health.py"
    git(project, "reset", "--hard", "--quiet")
    assert not (project / "docs/news.md").exists()


@pytest.mark.slow
def test_a_revision_of_the_templates_goes_on_top_of_the_owners(
    template: Path, tmp_path: Path
) -> None:
    project = make_project(template, tmp_path / "plain", COOKIECUTTER)
    mine = (project / "alembic/versions/0002_mine.py").read_bytes()
    said = update(project, template, "--to", "with-a-revision")
    assert "0002_of_the_template.py is now 0003_of_the_template.py, after 0002_mine" in said

    other = make_project(template, tmp_path / "cruft", CRUFT)
    run(*CRUFT, "update", "-y", "--checkout", "with-a-revision", folder=other)
    # The first update made an environment for that.
    python = Project(project, project).python
    run(python, "-m", "app.core.migrations.renumber", folder=other)
    git(other, "add", "--all")
    for folder in (project, other):
        versions = folder / "alembic/versions"
        assert (versions / "0002_mine.py").read_bytes() == mine
        assert 'down_revision: str | None = "0002"' in (
            versions / "0003_of_the_template.py"
        ).read_text("utf-8")
        assert (versions / "HEAD").read_text() == "0003_of_the_template\n"
        assert len(list(versions.glob("0*.py"))) == 3


@pytest.mark.slow
def test_an_updated_project_passes_its_own_checks(template: Path, open_folder: Path) -> None:
    project = make_project(template, open_folder / "work", COOKIECUTTER)
    (project / "alembic/versions/0002_mine.py").unlink()
    (project / "alembic/versions/HEAD").write_text("0001_add_task_table\n")
    run("make", "migration", "m=add note", folder=project)
    commit(project, "A second model")
    mine = (project / "alembic/versions/0002_add_note.py").read_bytes()
    run("make", "template-update", f"from={template}", "to=with-a-revision", folder=project)
    run("make", "setup", folder=project)
    run("make", "check", folder=project)
    assert (project / "alembic/versions/0002_add_note.py").read_bytes() == mine


@pytest.mark.slow
def test_a_project_in_a_folder_of_a_repository_is_updated_there(
    template: Path, tmp_path: Path
) -> None:
    project = render(template, tmp_path / "plain", OLD)
    folder = tmp_path / "all/services/tasks"
    shutil.copytree(project, folder, ignore=shutil.ignore_patterns(".git"))
    git(tmp_path / "all", "init", "--quiet")
    (tmp_path / "all/docs").mkdir()
    (tmp_path / "all/docs/news.md").write_text("Of all services\n")
    (folder / "docs/updating.md").unlink()
    change(folder, CONFLICT)
    commit(tmp_path / "all", "All services")
    said = update(folder, template, code=2)
    assert "Changed here and in the template: app/core/health.py" in said
    assert "Deleted here, so left out: docs/updating.md" in said
    assert "help:  ## List all targets" in (folder / "Makefile").read_text("utf-8")
    assert (folder / "docs/news.md").read_text() == "# News\n"
    assert not (folder / "docs/updating.md").exists()
    assert read_record(folder)["rendered"]["version"] == "0.2.0"
    assert (tmp_path / "all/docs/news.md").read_text() == "Of all services\n"


@pytest.mark.slow
def test_what_is_in_the_way_is_said_and_nothing_is_changed(
    template: Path, tmp_path: Path, render: Callable[..., Path]
) -> None:
    project = make_project(template, tmp_path / "work", COOKIECUTTER)
    before = tree(project)
    for place, options, reason in (
        (tmp_path / "nowhere", [], "Not updated: git clone failed:"),
        (template, ["--to", "v9.9.9"], "v9.9.9"),
        (template, ["--old", "v0.0.1"], "v0.0.1"),
    ):
        said = update(project, place, *options, code=1)
        assert reason in said
        assert "Traceback" not in said
    assert tree(project) == before

    (project / "docs/news.md").write_text("Mine\n")
    assert "docs/news.md" in update(project, template, code=1)
    assert (project / "docs/news.md").read_text() == "Mine\n"
    (project / "docs/news.md").unlink()
    assert tree(project) == before
    assert git(project, "status", "--porcelain") == ""

    said = update(project, "https://user:hush@127.0.0.1:1/x.git", code=1)
    assert "Not updated: git clone failed:" in said
    assert "hush" not in said

    (project / "README.md").write_text("Mine\n")
    assert "there are changes that are not committed" in update(project, template, code=1)
    assert (project / "README.md").read_text() == "Mine\n"
    (project / ".cookiecutter.json").write_text("{}\n")
    assert "name both with from= and old=" in update(project, template, code=1)
    (project / ".cookiecutter.json").unlink()
    assert "name both with from= and old=" in update(project, template, code=1)
    git(project, "checkout", "--quiet", ".cookiecutter.json")
    shutil.rmtree(project / ".git")
    assert "no git commit to merge into" in update(project, template, code=1)


@pytest.mark.slow
def test_what_its_owner_has_deleted_stays_deleted_and_what_was_moved_is_followed(
    template: Path, tmp_path: Path
) -> None:
    project = render(template, tmp_path / "work", OLD)
    shutil.rmtree(project / "app/tasks")
    (project / "tests/test_tasks.py").unlink()
    (project / "alembic/versions/0001_add_task_table.py").unlink()
    git(project, "mv", "docs/updating.md", "docs/template.md")
    commit(project, "Without the sample")
    said = update(project, template, "--to", "with-a-revision")
    left_out = "alembic/versions/0002_of_the_template.py, app/tasks/labels.py, app/tasks/router.py"
    assert f"Deleted here, so left out: {left_out}\n" in said
    assert not (project / "app/tasks").exists()
    assert list((project / "alembic/versions").glob("0*.py")) == []
    assert not (project / "docs/updating.md").exists()
    _, new = CHANGES["docs/updating.md"]
    assert (project / "docs/template.md").read_text("utf-8").startswith(new)
    assert "TIMEOUT_SECONDS = 4" in (project / "app/core/health.py").read_text("utf-8")


@pytest.mark.slow
def test_a_changed_answer_takes_effect(template: Path, tmp_path: Path) -> None:
    project = make_project(template, tmp_path / "work", COOKIECUTTER)
    answer(project, project_name="Ledger", ci="gitlab", kubernetes=True)
    said = update(project, template)
    assert "with other answers: project_name, ci, kubernetes" in said
    for name, (_, new) in [*CHANGES.items(), *OWN_CHANGES.items()]:
        assert new in (project / name).read_text("utf-8"), name
    assert (project / ".gitlab-ci.yml").exists()
    assert not (project / ".github").exists()
    assert (project / "deploy/kubernetes/base/deployment.yaml").exists()
    assert 'title="Ledger"' in (project / "app/main.py").read_text("utf-8")
    record = read_record(project)
    assert record["rendered"]["answers"] == record["default_context"]
    assert record["default_context"]["project_name"] == "Ledger"
    commit(project, "Update")
    assert "nothing to do" in update(project, template)

    # And without a newer version.
    answer(project, kubernetes=False)
    assert "v0.2.0 is merged" in update(project, template)
    assert not (project / "deploy").exists()
    assert (project / ".gitlab-ci.yml").exists()


@pytest.mark.slow
def test_a_wrong_answer_is_refused_and_nothing_is_changed(template: Path, tmp_path: Path) -> None:
    project = render(template, tmp_path / "work", NEW)
    for answers, reason in (
        ({"ci": "gitlub"}, "gitlub provided for choice variable ci"),
        ({"database": "sqlite", "kubernetes": True}, "SQLite"),
        ({"colour": "red"}, "v0.2.0 has no question colour"),
    ):
        answer(project, **answers)
        before = tree(project), read_record(project)
        said = update(project, template, code=1)
        assert "Not updated: " in said
        assert reason in said
        assert "Traceback" not in said
        assert (tree(project), read_record(project)) == before
        git(project, "reset", "--quiet", "--hard", "HEAD~")


@pytest.mark.slow
def test_a_question_that_an_older_record_does_not_have_gets_its_default(
    template: Path, tmp_path: Path
) -> None:
    project = render(template, tmp_path / "work", OLD)
    record = read_record(project)
    del record["rendered"], record["default_context"]["database"]
    (project / RECORD).write_text(json.dumps(record), "utf-8")
    commit(project, "As an older version wrote it")
    before = tree(project)
    update(project, template)
    record = read_record(project)
    assert record["default_context"]["database"] == "postgresql"
    assert record["rendered"]["answers"] == record["default_context"]
    assert tree(project).keys() == before.keys() | {"docs/news.md"}


@pytest.mark.slow
def test_a_project_from_a_commit_after_a_version_is_updated_from_that_commit(
    template: Path, tmp_path: Path
) -> None:
    later = Path(shutil.copytree(template, tmp_path / "template"))
    health = f"{PROJECT}/app/core/health.py"
    change(later, {health: ("TIMEOUT_SECONDS = 4", "TIMEOUT_SECONDS = 5")})
    commit(later, "After the version")
    project = render(later, tmp_path / "work", "main")
    rendered = read_record(project)["rendered"]
    assert rendered["version"] == "0.2.0"
    assert rendered["commit"] == git(later, "rev-parse", "HEAD")
    # The newest version is older than what the project has.
    assert "nothing to do" in update(project, later)

    change(later, {health: ("TIMEOUT_SECONDS = 5", "TIMEOUT_SECONDS = 6")})
    change(later, {"cookiecutter.json": ('"_version": "0.2.0"', '"_version": "0.3.0"')})
    commit(later, "v0.3.0")
    git(later, "tag", "v0.3.0")
    assert "v0.3.0 is merged" in update(project, later)
    assert "TIMEOUT_SECONDS = 6" in (project / "app/core/health.py").read_text("utf-8")


@pytest.mark.slow
def test_check_says_in_a_line_or_in_json_whether_there_is_something_to_update(
    template: Path, tmp_path: Path
) -> None:
    project = render(template, tmp_path / "work", OLD)
    commit_of_old = git(template, "rev-parse", OLD)
    assert update(project, template, "--check") == "v0.1.0 is behind v0.2.0\n"
    answer(project, ci="gitlab")
    assert json.loads(update(project, template, "--check", "--json")) == {
        "version": "v0.1.0",
        "commit": commit_of_old,
        "newest": "v0.2.0",
        "behind": True,
        "changed_answers": ["ci"],
    }
    update(project, template)
    assert update(project, template, "--check") == "v0.2.0 is the newest version\n"
    said = update(project, tmp_path / "nowhere", "--check", code=1)
    assert said.startswith("Not updated: git clone failed:")
    made = run(
        "make", "template-update", f"from={template}", "check=yes", "json=yes", folder=project
    )
    assert json.loads(made)["behind"] is False


@pytest.mark.slow
def test_a_version_that_renovate_has_written_into_the_record_is_the_one_that_is_merged(
    template: Path, tmp_path: Path
) -> None:
    later = Path(shutil.copytree(template, tmp_path / "template"))
    change(later, {"cookiecutter.json": ('"_version": "0.2.0"', '"_version": "0.3.0"')})
    commit(later, "v0.3.0")
    git(later, "tag", "v0.3.0")
    project = render(later, tmp_path / "work", OLD)
    page = (project / "docs/updating.md").read_text("utf-8")
    [[renovate]] = [re.findall(r"^```json\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)]
    [manager] = json.loads(renovate)["customManagers"]
    [pattern] = manager["matchStrings"]
    text = (project / RECORD).read_text("utf-8")
    [found] = re.finditer(pattern.replace("(?<", "(?P<"), text)
    assert found["depName"] == "org/template"
    assert found["currentValue"] == "0.1.0"
    start, end = found.span("currentValue")
    (project / RECORD).write_text(text[:start] + "0.2.0" + text[end:], "utf-8")
    commit(project, "Update dependency org/template to v0.2.0")
    assert "v0.2.0 is merged" in update(project, later)
    assert (project / "docs/news.md").exists()
    assert read_record(project)["rendered"]["version"] == "0.2.0"


# What owners change: file, old text, new text.
USUAL_EDITS = {
    "app/settings.py": ("    pass\n", '    greeting: str = "hello"\n'),
    "app/main.py": (
        "    return app\n",
        '    app.state.greeting = "hello"\n    return app\n',
    ),
    "app/tasks/router.py": ("Get one task.", "Get the task with this id."),
    "Makefile": ("PORT ?= 8000", "PORT ?= 9000"),
    "pyproject.toml": ('    "alembic>=', '    "babel>=2.16",\n    "alembic>='),
    "Dockerfile": ("STOPSIGNAL SIGTERM", "STOPSIGNAL SIGTERM\nENV TZ=Europe/Athens"),
    "tests/conftest.py": (
        "from app.settings import Settings\n",
        "from app.settings import Settings\n\nGREETING = 'hello'\n",
    ),
    "README.md": ("## Work\n", "## Our work\n"),
    ".env.example": ("DOCS=true\n", "DOCS=true\n\n# How to greet.\nGREETING=hello\n"),
}


@pytest.mark.slow
def test_edits_outside_of_the_core_bring_no_conflict_over_three_versions(
    template: Path, tmp_path: Path
) -> None:
    later = Path(shutil.copytree(template, tmp_path / "template"))
    project = render(later, tmp_path / "work", OLD)
    change(project, USUAL_EDITS)
    commit(project, "Ours")
    for number in (2, 3, 4):
        if number > 2:
            for file in sorted((later / PROJECT / "app/core").rglob("*.py")):
                text = file.read_text("utf-8")
                file.write_text(f"{text}\n# Version {number}.\n", "utf-8")
            versions = (f'"_version": "0.{number - 1}.0"', f'"_version": "0.{number}.0"')
            change(later, {"cookiecutter.json": versions})
            commit(later, f"v0.{number}.0")
            git(later, "tag", f"v0.{number}.0")
        assert f"v0.{number}.0 is merged" in update(project, later)
        commit(project, "Update")
        for name, (_, new) in USUAL_EDITS.items():
            assert new in (project / name).read_text("utf-8"), name


@pytest.mark.slow
def test_a_sqlite_project_moves_to_postgresql_with_its_rows(
    template: Path,
    tmp_path: Path,
    set_up: Callable[..., Path],
    databases: Databases,
) -> None:
    root = render(template, tmp_path / "work", OLD, "database=sqlite")
    # Its own environment would be another copy of this one.
    project = Project(set_up(database="sqlite"), root)
    write_model(project, NOTES)
    assert migration(project, "add note")
    assert project.run("-m", "app.core.migrations.schema").returncode == 0
    rows = tmp_path / "app.db"
    project.alembic("upgrade", "head", url=f"sqlite:///{rows}")
    with contextlib.closing(sqlite3.connect(rows, isolation_level=None)) as file:
        file.execute("INSERT INTO task (id, title, status) VALUES (7, 'kept', 'done')")
        file.execute(
            "INSERT INTO note (text, long, amount, ratio, day, at, key, raw, data, task_id) VALUES "
            "('of kept', '', 1.5, 0.5, '2026-01-02', '12:30:00.000000', "
            f"'{'0' * 31}1', x'00ff', '{{\"a\": [1]}}', 7)"
        )

    # docs/migrations.md, "Move to PostgreSQL later"
    recipe = (root / "docs/migrations.md").read_text("utf-8").partition("## Move to PostgreSQL")[2]
    [script] = re.findall(r"^```python\n(.*?)^```$", recipe, re.MULTILINE | re.DOTALL)
    (root / "scripts/copy_rows.py").write_text(script, "utf-8")
    answer(root, database="postgresql")
    said = update(root, template)
    assert "with other answers: database" in said
    project = Project(set_up(database="postgresql"), root)
    for revision in root.glob("alembic/versions/0*.py"):
        revision.unlink()
    assert "op.create_table" in migration(
        project, "First tables", TEST_DATABASE_URL=str(databases.server)
    )
    url = databases.create()
    project.alembic("upgrade", "head", url=url)
    assert project.run("-m", "app.core.migrations.schema").returncode == 0
    done = project.run("-m", "scripts.copy_rows", str(rows), url=url)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "task 1\nnote 1\n"
    assert databases.query(url, "SELECT id, title, status FROM task") == [(7, "kept", "done")]
    [note] = databases.query(url, "SELECT text, amount, raw, data, key, task_id FROM note")
    assert note == ("of kept", Decimal("1.50"), b"\x00\xff", {"a": [1]}, uuid.UUID(int=1), 7)
    # The next id follows those that were copied.
    [[next_id]] = databases.query(url, "INSERT INTO task (title) VALUES ('new') RETURNING id")
    assert next_id == 8

    # Nothing of SQLite is left: it is what a new project would be.
    commit(root, "On PostgreSQL")
    fresh = tree(render(template, tmp_path / "fresh", NEW))
    now = tree(root)
    same = {name for name in fresh if not name.startswith("alembic/versions/")}
    assert {name: now[name] for name in same - {"docs/schema.md"}} == {
        name: fresh[name] for name in same - {"docs/schema.md"}
    }
    added = {name for name in now.keys() - fresh.keys() if not name.startswith("alembic/versions/")}
    assert added == {"app/notes/__init__.py", "app/notes/models.py", "scripts/copy_rows.py"}


def test_the_version_is_the_same_wherever_it_is_written() -> None:
    root = Path(__file__).parents[1]
    version = json.loads((root / "cookiecutter.json").read_text())["_version"]
    assert re.fullmatch(r"\d+\.\d+\.\d+", version)
    assert f'\nversion = "{version}"\n' in (root / "pyproject.toml").read_text()
    released = re.findall(r"^## (\d\S+)", (root / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert released[:1] in ([], [version])


def test_a_project_records_what_it_was_made_from(bake: Callable[..., Path]) -> None:
    root = Path(__file__).parents[1]
    record = read_record(bake())
    questions = json.loads((root / "cookiecutter.json").read_text())
    version = questions["_version"]
    assert record["template"] == {"repository": questions["_repository"], "version": version}
    assert record["rendered"] == {
        "version": version,
        "commit": git(root, "rev-parse", "HEAD"),
        "answers": record["default_context"],
    }
