"""Commits of two renders, and the merge of what lies between them into the work tree."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

from template_update.record import RECORD
from template_update.shell import UpdateError, run

VERSIONS = "alembic/versions/"
# Written by the update itself.
OURS = {RECORD, f"{VERSIONS}HEAD"}
# A file that was moved and hardly changed is followed. One that became another file was deleted.
RENAMES = "90%"
# The commits of a render are read by `git cherry-pick` and then belong to no branch.
NOBODY = {
    f"GIT_{role}_{key}": value
    for role in ("AUTHOR", "COMMITTER")
    for key, value in (("NAME", "template"), ("EMAIL", "template@localhost"))
}


@contextlib.contextmanager
def own_index() -> Iterator[dict[str, str]]:
    """The environment for git commands that leave this project's index as it is."""
    with tempfile.TemporaryDirectory() as folder:
        git_folder = run("git", "rev-parse", "--absolute-git-dir")
        yield {"GIT_DIR": git_folder, "GIT_INDEX_FILE": f"{folder}/index"}


def make_commit(project: Path, left_out: Iterable[str], parent: str | None = None) -> str:
    """Make a commit of a render, where this project lies in its repository; returns its id."""
    prefix = run("git", "rev-parse", "--show-prefix")
    with own_index() as env:
        here = {**env, "GIT_WORK_TREE": "."}
        run("git", "add", "--all", "--force", ".", folder=project, env=here)
        remove = ("update-index", "-z", "--force-remove", "--stdin")
        names = "".join(f"{name}\0" for name in left_out)
        run("git", *remove, folder=project, env=here, text=names)
        tree = run("git", "write-tree", env=env)
        if prefix:
            run("git", "read-tree", "--empty", env=env)
            run("git", "read-tree", f"--prefix={prefix}", tree, env=env)
            tree = run("git", "write-tree", env=env)
    parents = ["-p", parent] if parent else []
    return run("git", "commit-tree", tree, *parents, "-m", "Render", env=NOBODY)


def files_of(commit: str) -> set[str]:
    """The files of a commit that lie in this project's folder."""
    return split(run("git", "ls-tree", "-r", "-z", "--name-only", commit))


def changed(old: str, new: str, *options: str) -> set[str]:
    """The files of this project's folder that differ between two commits."""
    command = ("git", "diff", "--name-only", "--relative", "-z", *options)
    return split(run(*command, old, new, "--", "."))


def split(names: str) -> set[str]:
    return set(filter(None, names.split("\0")))


def find_left_out(old: str, new: str) -> set[str]:
    """What this project has deleted, and what the template adds to that."""
    gone = changed(old, "HEAD", "--diff-filter=D", f"--find-renames={RENAMES}")
    gone_folders = folders(files_of(old)) - folders(files_of("HEAD"))
    added = files_of(new) - files_of(old)
    # Revisions build on those before them, and on tables.
    if any(name.startswith(VERSIONS) or name.endswith("/models.py") for name in gone):
        gone_folders.add(VERSIONS.rstrip("/"))
    return gone | {name for name in added if folders([name]) & gone_folders}


def folders(names: Iterable[str]) -> set[str]:
    """The folders that these files are in."""
    return {parent.as_posix() for name in names for parent in Path(name).parents} - {"."}


def check_work_tree() -> None:
    try:
        run("git", "rev-parse", "--verify", "HEAD")
    except (UpdateError, OSError):
        raise UpdateError(
            "the project has no git commit to merge into: git init && git add . && git commit"
        ) from None
    if run("git", "status", "--porcelain", "--untracked-files=no", ".") or unmerged():
        raise UpdateError("there are changes that are not committed: git commit or git stash")


def unmerged() -> list[str]:
    return run("git", "diff", "--name-only", "--relative", "--diff-filter=U").splitlines()


def merge(commit: str) -> list[str]:
    """Merge what a commit changes into the work tree; returns the files in conflict."""
    options = ("--no-commit", f"--strategy-option=find-renames={RENAMES}")
    try:
        # A file that the template adds to a folder does not follow others that were moved.
        run("git", "-c", "merge.directoryRenames=false", "cherry-pick", *options, commit)
    except UpdateError:
        if not unmerged():
            raise
    return unmerged()


def renumber() -> bool:
    """Put added revisions on top of those that the databases have; False where that failed."""
    try:
        module = ("python", "-m", "app.core.migrations.renumber")
        print(run("uv", "run", "--quiet", *module, "HEAD"))
    except (UpdateError, OSError) as error:
        print(error)
        return False
    run("git", "add", "--all", VERSIONS)
    return True
