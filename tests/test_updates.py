"""A project that its owner has changed gets a later version of the template."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import copy_template
from tests.project import REVISION, users_environment

PROJECT = "{{cookiecutter.project_slug}}"
OLD, NEW = "v0.1.0", "v0.2.0"
COOKIECUTTER = [sys.executable, "-m", "cookiecutter"]
CRUFT = [sys.executable, "-m", "cruft"]

# What the later version of the template changes: file, old text, new text.
CHANGES = {
    "app/health.py": ("TIMEOUT_SECONDS = 3", "TIMEOUT_SECONDS = 4"),
    "Makefile": ("help:  ## List the targets", "help:  ## List all targets"),
    "pyproject.toml": ('"uvicorn>=0.37"', '"uvicorn>=0.38"'),
    "app/tasks/router.py": ("List tasks, newest first.", "List the tasks, the newest first."),
}
# And its owner, in the project; the last one where the template has changed the same line.
OWN_CHANGES = {
    "app/tasks/router.py": ("Get one task.", "Get the task with this id."),
    "app/settings.py": (
        "default=10,\n        ge=1,\n        le=1000,",
        "default=12,\n        ge=1,\n        le=1000,",
    ),
    ".env.example": ("DATABASE_POOL_SIZE=10", "DATABASE_POOL_SIZE=12"),
    "pyproject.toml": ('    "alembic>=', '    "babel>=2.16",\n    "alembic>='),
}
CONFLICT = {"app/health.py": ("TIMEOUT_SECONDS = 3", "TIMEOUT_SECONDS = 2")}
NOTE = """from sqlmodel import Field

from app.database import Record


class Note(Record, table=True):
    text: str = Field(max_length=1000)
"""


def run(*command: str, folder: Path, code: int = 0) -> str:
    env = users_environment() | {
        "HOME": str(folder.parent),
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
    commit(folder, "A revision of the template's own")
    git(folder, "checkout", "--quiet", "main")
    return folder


def make_project(template: Path, folder: Path, tool: list[str]) -> Path:
    """A project of the old version, with changes of its owner's, committed."""
    folder.mkdir()
    if tool == CRUFT:
        options = ["create", str(template), "--checkout", OLD, "--no-input"]
    else:
        # By a URL: of a folder Cookiecutter takes what is checked out.
        options = [f"git+{template.as_uri()}", "--checkout", OLD, "--no-input", "setup=no"]
    run(*tool, *options, "--output-dir", str(folder), folder=folder)
    project = folder / "task-service"
    git(project, "init", "--quiet", "--initial-branch=main")
    commit(project, "As it was rendered")
    change(project, OWN_CHANGES)
    (project / "app/notes").mkdir()
    (project / "app/notes/__init__.py").touch()
    (project / "app/notes/models.py").write_text(NOTE, "utf-8")
    add_revision(
        project / "alembic/versions", "0002", "0001", "mine", 'op.execute(sa.text("SELECT 2"))'
    )
    commit(project, "Changed by its owner")
    return project


def update(project: Path, template: Path | str, *options: str, code: int = 0) -> str:
    command = [sys.executable, "-m", "scripts.template_update", "--from", str(template)]
    return run(*command, *options, folder=project, code=code)


def tree(project: Path) -> dict[str, bytes]:
    """The files that git knows, but for what a tool notes about itself."""
    names = git(project, "ls-files", "--cached", "--others", "--exclude-standard").splitlines()
    return {
        name: (project / name).read_bytes()
        for name in names
        if name not in (".cruft.json", ".cookiecutter.json")
    }


def assert_updated(project: Path, before: dict[str, bytes]) -> None:
    after = tree(project)
    for name, (_, new) in (CHANGES | OWN_CHANGES).items():
        assert new in (project / name).read_text("utf-8"), name
    for name, (_, new) in CHANGES.items():
        assert new in (project / name).read_text("utf-8"), name
    assert after["docs/news.md"] == b"# News\n"
    untouched = before.keys() - CHANGES.keys() - {"README.md"}
    assert {name: after[name] for name in untouched} == {name: before[name] for name in untouched}
    assert (
        json.loads((project / ".cookiecutter.json").read_text())["template"]["version"] == "0.2.0"
    )


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
    assert "nothing to do" in update(project, template, "--old", NEW)

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
        said = update(project, template, code=1)
        assert "Changed here and in the template: app/health.py" in said
    text = (project / "app/health.py").read_text("utf-8")
    mine, theirs = "TIMEOUT_SECONDS = 2\n", "TIMEOUT_SECONDS = 4\n"
    assert re.search(f"<<<<<<<.*\n{mine}(?s:.*)=======\n{theirs}>>>>>>>", text), text
    assert (project / "docs/news.md").exists()
    assert git(project, "diff", "--name-only", "--diff-filter=U") == "app/health.py"
    git(project, "reset", "--hard", "--quiet")
    assert not (project / "docs/news.md").exists()


@pytest.mark.slow
def test_a_revision_of_the_templates_goes_on_top_of_the_owners(
    template: Path, tmp_path: Path
) -> None:
    project = make_project(template, tmp_path / "plain", COOKIECUTTER)
    mine = (project / "alembic/versions/0002_mine.py").read_bytes()
    said = update(project, template, "--to", "origin/with-a-revision")
    assert "0002_of_the_template.py is now 0003_of_the_template.py, after 0002_mine" in said

    other = make_project(template, tmp_path / "cruft", CRUFT)
    run(*CRUFT, "update", "-y", "--checkout", "with-a-revision", folder=other)
    run(sys.executable, "-m", "scripts.renumber", folder=other)
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
    run("make", "schema", folder=project)
    commit(project, "A second model")
    mine = (project / "alembic/versions/0002_add_note.py").read_bytes()
    run("make", "template-update", f"from={template}", "to=origin/with-a-revision", folder=project)
    run("make", "setup", folder=project)
    run("make", "check", folder=project)
    assert (project / "alembic/versions/0002_add_note.py").read_bytes() == mine


@pytest.mark.slow
def test_a_project_in_a_folder_of_a_repository_is_updated_there(
    template: Path, tmp_path: Path
) -> None:
    project = make_project(template, tmp_path / "plain", COOKIECUTTER)
    (tmp_path / "all").mkdir()
    shutil.copytree(project, tmp_path / "all/services/tasks", ignore=shutil.ignore_patterns(".git"))
    git(tmp_path / "all", "init", "--quiet")
    (tmp_path / "all/docs").mkdir()
    (tmp_path / "all/docs/news.md").write_text("Of all services\n")
    commit(tmp_path / "all", "All services")
    before = tree(tmp_path / "all/services/tasks")
    update(tmp_path / "all/services/tasks", template)
    assert_updated(tmp_path / "all/services/tasks", before)
    assert (tmp_path / "all/docs/news.md").read_text() == "Of all services\n"


@pytest.mark.slow
def test_what_is_in_the_way_is_said_and_nothing_is_changed(
    template: Path, tmp_path: Path, render: Callable[..., Path]
) -> None:
    project = make_project(template, tmp_path / "work", COOKIECUTTER)
    before = tree(project)
    for place, options, fault in (
        (tmp_path / "nowhere", [], "Not updated: git clone failed:"),
        (template, ["--to", "v9.9.9"], "v9.9.9"),
        (template, ["--old", "v0.0.1"], "v0.0.1"),
    ):
        said = update(project, place, *options, code=1)
        assert fault in said
        assert "Traceback" not in said
    assert tree(project) == before

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


def test_the_version_is_the_same_wherever_it_is_written() -> None:
    root = Path(__file__).parents[1]
    version = json.loads((root / "cookiecutter.json").read_text())["_version"]
    assert re.fullmatch(r"\d+\.\d+\.\d+", version)
    assert f'\nversion = "{version}"\n' in (root / "pyproject.toml").read_text()
    released = re.findall(r"^## (\d\S+)", (root / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert released[:1] in ([], [version])


def test_a_project_records_the_version_that_it_came_from(bake: Callable[..., Path]) -> None:
    root = Path(__file__).parents[1]
    recorded = json.loads((bake() / ".cookiecutter.json").read_text())["template"]
    questions = json.loads((root / "cookiecutter.json").read_text())
    assert recorded == {"repository": questions["_repository"], "version": questions["_version"]}
