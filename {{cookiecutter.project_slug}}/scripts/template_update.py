"""Merges a later version of the template, or changed answers: `make template-update`.

It renders what this project was made from and what is asked for (template_record.py). Git merges
the difference into the work tree, as it merges a branch. Nothing is committed.

Exits with 0 when all is merged, or nothing is to do; 2 with conflicts; 1 when nothing was changed.
With --check it only says whether there is something to merge.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import shutil
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from scripts.template_record import (
    RECORD,
    ROOT,
    Record,
    UpdateError,
    address,
    check,
    newest,
    read_record,
    run,
    without_login,
    write_record,
)

VERSIONS = "alembic/versions/"
HEAD = f"{VERSIONS}HEAD"
# A file that was moved and hardly changed is followed. One that became another file was deleted.
RENAMES = "90%"
# The commits of a render are read by `git cherry-pick` and then belong to no branch.
NOBODY = {
    f"GIT_{role}_{key}": value
    for role in ("AUTHOR", "COMMITTER")
    for key, value in (("NAME", "template"), ("EMAIL", "template@localhost"))
}


def find_commit(template: Path, *names: str) -> str | None:
    """The commit of the first tag, branch or id that the template has."""
    for name in names:
        with contextlib.suppress(UpdateError):
            return run("git", "rev-parse", "--verify", "-q", f"{name}^{{commit}}", folder=template)
    return None


def find_old(template: Path, record: Record, given: str | None) -> str:
    """The commit that this project was made from."""
    name = given or f"v{record.rendered_version}"
    if record.rendered_commit and not given:
        if commit := find_commit(template, record.rendered_commit):
            return commit
        print(f"The template has no commit {record.rendered_commit}: taking {name}")
    if commit := find_commit(template, name, f"origin/{name}"):
        return commit
    raise UpdateError(f"the template has no {name}: name what this project has with old=")


def find_new(template: Path, record: Record, given: str | None, old: str) -> tuple[str, str]:
    """The name and the commit to go to: what is asked for, or else the newest version."""
    if given is None and record.version != record.rendered_version:
        given = f"v{record.version}"
    name = given or newest(run("git", "tag", "--list", folder=template).split())
    if name is None:
        raise UpdateError("the template has no tag like v1.2.0: name a branch or commit with to=")
    commit = find_commit(template, name, f"origin/{name}")
    if commit is None:
        raise UpdateError(f"the template has no {name}")
    if given is None and is_ancestor(template, commit, old):
        return f"v{record.rendered_version}", old  # made from a commit after the newest version
    return name, commit


def is_ancestor(template: Path, commit: str, of: str) -> bool:
    try:
        run("git", "merge-base", "--is-ancestor", commit, of, folder=template)
    except UpdateError:
        return False
    return True


def cookiecutter() -> list[str]:
    if command := shutil.which("cookiecutter"):
        return [command]
    if uv := shutil.which("uv"):
        return [uv, "tool", "run", "cookiecutter"]
    raise UpdateError("neither uv nor cookiecutter is installed: pipx install uv")


def render(template: Path, commit: str, answers: Mapping[str, Any], folder: Path) -> Path:
    """Render a version with these answers; questions without one get its default."""
    run("git", "checkout", "--quiet", "--detach", commit, folder=template)
    folder.mkdir()
    file = folder / "config.json"
    places = {"cookiecutters_dir": str(folder / "c"), "replay_dir": str(folder / "r")}
    file.write_text(json.dumps(places), encoding="utf-8")
    output = folder / "output"
    options = ["--no-input", "--config-file", str(file), "--output-dir", str(output)]
    # As arguments: of a wrong answer in a file Cookiecutter only warns, and drops all after it.
    given = [f"{name}={answer}" for name, answer in answers.items() if name != "setup"]
    run(*cookiecutter(), *options, str(template), *given, "setup=no", folder=folder)
    (project,) = output.iterdir()
    return project


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


def update(record: Record, repository: str, old_name: str | None, new_name: str | None) -> int:
    check_work_tree()
    answers = record.changed_answers()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        print(f"Getting the template from {without_login(repository)}", flush=True)
        template = Path(folder, "template")
        run("git", "clone", "--quiet", address(repository), str(template))
        old_commit = find_old(template, record, old_name)
        name, new_commit = find_new(template, record, new_name, old_commit)
        if old_commit == new_commit and not answers:
            print(f"This project has {name}: nothing to do.")
            return 0
        told = f", with other answers: {', '.join(answers)}" if answers else ""
        print(f"Rendering what this project has, and {name}{told}", flush=True)
        old = render(template, old_commit, record.rendered_answers, Path(folder, "old"))
        new = render(template, new_commit, record.answers, Path(folder, "new"))
        old_record, new_record = read_record(old / RECORD), read_record(new / RECORD)
        if unknown := set(answers) - new_record.answers.keys() - record.rendered_answers.keys():
            raise UpdateError(f"{name} has no question {', '.join(sorted(unknown))}")
        ours = {RECORD, HEAD}  # written below
        all_old, all_new = make_commit(old, ours), make_commit(new, ours)
        left_out = find_left_out(all_old, all_new)
        base = make_commit(old, ours | left_out)
        later = make_commit(new, ours | left_out, base)
    conflicts = merge(later) if changed(base, later) else []
    write_record(record, old_record, new_record, new_commit)
    run("git", "add", RECORD)
    added = changed(base, later, "--diff-filter=A")
    is_numbered = renumber() if any(path.startswith(VERSIONS) for path in added) else True
    print(run("git", "diff", "--stat", "HEAD"))
    if skipped := left_out & changed(all_old, all_new):
        print(f"Deleted here, so left out: {', '.join(sorted(skipped))}")
    for path in conflicts:
        print(f"Changed here and in the template: {path}")
    steps = [
        *(["fix what stands between <<<<<<< and >>>>>>>"] if conflicts else []),
        "make setup",
        *([] if is_numbered else ["make renumber"]),
        *("make check", "git commit -a"),
    ]
    print(f"{name} is merged, and not committed. Next: {', '.join(steps)}.")
    print("To undo it all: git reset --hard")
    return 2 if conflicts or not is_numbered else 0


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--from", dest="repository", help="the template; by default as recorded")
    parser.add_argument("--old", help="the tag of what this project has; by default as recorded")
    parser.add_argument("--to", help="a tag, branch or commit; by default the newest tag")
    parser.add_argument("--check", action="store_true", help="only say if there is something to do")
    parser.add_argument("--json", action="store_true", help="with --check: say it in JSON")
    given = parser.parse_args()
    try:
        try:
            record = read_record(ROOT / RECORD)
        except UpdateError:
            if not (given.repository and given.old):
                raise
            record = Record("", "", {}, "", None, {})
        repository = given.repository or record.repository
        if given.check:
            check(record, repository, given.json)
            return 0
        return update(record, repository, given.old, given.to)
    except UpdateError as error:
        print(f"Not updated: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
