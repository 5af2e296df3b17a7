"""Two branches that both add a revision: git stops the merge, one command puts them in order."""

import subprocess

import pytest

from tests.project import Project

pytestmark = pytest.mark.slow


def git(project: Project, *arguments: str, check: bool = True) -> str:
    identity = ["-c", "user.name=test", "-c", "user.email=test@example.com"]
    done = subprocess.run(
        ["git", *identity, *arguments], cwd=project.root, capture_output=True, text=True
    )
    assert done.returncode == 0 or not check, done.stdout + done.stderr
    return done.stdout


def commit_revision(project: Project, *messages: str) -> None:
    for message in messages:
        project.alembic("revision", "-m", message)
    git(project, "add", "-A")
    git(project, "commit", "-qm", messages[0])


def revisions(project: Project) -> list[str]:
    return sorted(path.stem for path in project.root.glob("alembic/versions/*.py"))


def parent(project: Project, stem: str) -> str:
    text = (project.root / f"alembic/versions/{stem}.py").read_text("utf-8")
    id_ = stem.partition("_")[0]
    assert f'revision: str = "{id_}"' in text
    assert f"Revision ID: {id_}\n" in text
    [line] = [line for line in text.splitlines() if line.startswith("down_revision")]
    down = line.partition(" = ")[2].strip('"')
    assert f"Revises: {down}\n" in text
    return down


@pytest.fixture
def branches(project: Project) -> Project:
    """On branch `feature`, with two revisions; `main` has one of the same number."""
    git(project, "init", "-qb", "main")
    git(project, "add", "-A")
    git(project, "commit", "-qm", "project")
    git(project, "checkout", "-qb", "feature")
    commit_revision(project, "mine", "mine too")
    git(project, "checkout", "-q", "main")
    commit_revision(project, "theirs")
    return project


@pytest.mark.parametrize("way", ["merge", "rebase"])
def test_what_main_has_stays_and_the_branch_goes_on_top(branches: Project, way: str) -> None:
    git(branches, "checkout", "-q", "feature")
    said = git(branches, way, "main", check=False)
    assert "CONFLICT" in said
    assert "versions/HEAD" in said
    checked = branches.run("-m", "app.core.migrations.check")
    assert checked.returncode == 1
    assert "make renumber" in checked.stderr

    done = branches.run("-m", "app.core.migrations.renumber")
    assert done.returncode == 0, done.stderr
    assert "0002_mine.py is now 0003_mine.py, after 0002_theirs" in done.stdout
    assert revisions(branches) == [
        "0001_add_task_table",
        "0002_theirs",
        "0003_mine",
        "0004_mine_too",
    ]
    assert [parent(branches, stem) for stem in revisions(branches)[1:]] == ["0001", "0002", "0003"]
    assert (branches.root / "alembic/versions/HEAD").read_text() == "0004_mine_too\n"
    assert branches.run("-m", "app.core.migrations.check").returncode == 0


def test_without_git_the_one_written_first_stays(project: Project) -> None:
    one = project.add_revision(2, "pass")
    text = one.read_text("utf-8")
    older = text.replace("2026-01-01 00:00:02", "2025-01-01 00:00:00").replace("Step", "Older")
    (one.parent / "0002_older.py").write_text(older, "utf-8")
    assert project.run("-m", "app.core.migrations.renumber").returncode == 0
    assert revisions(project) == ["0001_add_task_table", "0002_older", "0003_step_2"]
    assert project.run("-m", "app.core.migrations.check").returncode == 0


def test_one_line_is_left_as_it_is(project: Project) -> None:
    project.add_revision(2, "pass")
    before = {path: path.read_bytes() for path in project.root.glob("alembic/versions/[0H]*")}
    done = project.run("-m", "app.core.migrations.renumber")
    assert "nothing to renumber" in done.stdout
    assert {
        path: path.read_bytes() for path in project.root.glob("alembic/versions/[0H]*")
    } == before


def test_a_file_that_cannot_be_read_is_named_and_nothing_is_changed(project: Project) -> None:
    broken = project.add_revision(2, "pass")
    broken.write_text("revision = (", "utf-8")
    done = project.run("-m", "app.core.migrations.renumber")
    assert done.returncode == 1
    assert broken.name in done.stderr
    assert "Traceback" not in done.stderr
