"""Bring in a later version of the template: `make template-update`, with to=v1.2.0 for one of them.

It renders the version that this project has and the later one, and merges what lies between them
into the work tree, as git merges a branch. It needs git and uv.
Nothing is committed.
"""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
ANSWERS = ROOT / ".cookiecutter.json"
HOSTS = {"gh": "github.com", "gl": "gitlab.com", "bb": "bitbucket.org"}
# The commits of a render are read by `git cherry-pick` and then belong to no branch.
NOBODY = {
    f"GIT_{role}_{key}": value
    for role in ("AUTHOR", "COMMITTER")
    for key, value in (("NAME", "template"), ("EMAIL", "template@localhost"))
}


class UpdateError(Exception):
    """What is in the way, and what to do."""


def run(*command: str, folder: Path = ROOT, env: Mapping[str, str] | None = None) -> str:
    """Raises UpdateError with the end of what the command says."""
    done = subprocess.run(
        command,
        cwd=folder,
        env=os.environ | (env or {}),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        said = (done.stderr or done.stdout).strip().splitlines() or ["no word why"]
        name = " ".join([Path(command[0]).name, *command[1:2]])
        raise UpdateError(without_login("\n".join([f"{name} failed:", *said[-5:]])))
    return done.stdout.strip()


def without_login(text: str) -> str:
    """An address may hold a token."""
    return re.sub(r"(\w+://)[^/@\s]*@", r"\1", text)


def clone(repository: str, folder: Path) -> Path:
    """Clone the template, whose place may be short: gh:org/template."""
    host, _, path = repository.partition(":")
    url = f"https://{HOSTS[host]}/{path}.git" if host in HOSTS else repository
    run("git", "clone", "--quiet", url, str(folder))
    return folder


def newest(template: Path) -> str:
    """The greatest tag like v1.2.0, or v1.2.0+house.1 of a fork."""
    tags = run("git", "tag", "--list", "v*", "--sort=-version:refname", folder=template)
    for tag in tags.split():
        if re.fullmatch(r"v\d+\.\d+\.\d+(\+[\w.]+)?", tag):
            return tag
    raise UpdateError("the template has no tag like v1.2.0: name a branch or commit with to=")


def cookiecutter() -> list[str]:
    if command := shutil.which("cookiecutter"):
        return [command]
    if uv := shutil.which("uv"):
        return [uv, "tool", "run", "cookiecutter"]
    raise UpdateError("neither uv nor cookiecutter is installed: pipx install uv")


def render(template: Path, version: str, folder: Path) -> Path:
    """Render a version with the answers of this project, those to new questions by default."""
    run("git", "checkout", "--quiet", "--detach", version, folder=template)
    folder.mkdir()
    config = json.loads(ANSWERS.read_text("utf-8"))
    config |= {"cookiecutters_dir": str(folder / "c"), "replay_dir": str(folder / "r")}
    file = folder / "config.json"
    file.write_text(json.dumps(config), encoding="utf-8")
    output = folder / "output"
    options = ["--no-input", "--config-file", str(file), "--output-dir", str(output)]
    run(*cookiecutter(), *options, str(template), "setup=no", folder=folder)
    (project,) = output.iterdir()
    return project


def commit(project: Path, message: str, parent: str | None = None) -> str:
    """Make a commit of a folder, where this project lies in its repository; returns its id."""
    git_folder = run("git", "rev-parse", "--absolute-git-dir")
    prefix = run("git", "rev-parse", "--show-prefix")
    with tempfile.TemporaryDirectory() as folder:
        place = {"GIT_DIR": git_folder, "GIT_INDEX_FILE": f"{folder}/index"}
        run(
            "git",
            "add",
            "--all",
            "--force",
            ".",
            folder=project,
            env=place | {"GIT_WORK_TREE": "."},
        )
        tree = run("git", "write-tree", env=place)
        if prefix:
            run("git", "read-tree", "--empty", env=place)
            run("git", "read-tree", f"--prefix={prefix}", tree, env=place)
            tree = run("git", "write-tree", env=place)
    parents = ["-p", parent] if parent else []
    return run("git", "commit-tree", tree, *parents, "-m", message, env=NOBODY)


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
    return run("git", "diff", "--name-only", "--diff-filter=U").splitlines()


def merge(base: str, later: str) -> list[str]:
    """Merge what lies between two commits into the work tree; returns the files in conflict."""
    try:
        run("git", "cherry-pick", "--no-commit", later)
    except UpdateError:
        if not unmerged():
            raise
    added = run("git", "diff", "--name-only", "--diff-filter=A", base, later, "--", ".")
    if "alembic/versions/" in added:
        # What the databases of this project have run stays below.
        run("uv", "run", "--quiet", "python", "-m", "app.core.migrations.renumber", "HEAD")
        run("git", "add", "--all", "alembic/versions")
    return unmerged()


def update(repository: str, old: str, new: str | None) -> int:
    check_work_tree()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        print(f"Getting the template from {without_login(repository)}", flush=True)
        template = clone(repository, Path(folder, "template"))
        new = new or newest(template)
        print(f"Rendering {old} and {new}", flush=True)
        base = commit(render(template, old, Path(folder, "old")), old)
        later = commit(render(template, new, Path(folder, "new")), new, base)
    if run("git", "diff", "--name-only", base, later) == "":
        print(f"{new} renders what {old} does: nothing to do.")
        return 0
    conflicts = merge(base, later)
    print(run("git", "diff", "--stat", "HEAD"))
    for name in conflicts:
        print(f"Changed here and in the template: {name}")
    fix = "fix what stands between <<<<<<< and >>>>>>>, " if conflicts else ""
    print(
        f"{new} is merged, and not committed. Next: {fix}make setup, make check, git commit -a.\n"
        "To undo it all: git reset --hard"
    )
    return 1 if conflicts else 0


def made_from() -> tuple[str, str]:
    """The template, and the tag of it that this project has."""
    try:
        recorded = json.loads(ANSWERS.read_text("utf-8"))["template"]
        return recorded["repository"], f"v{recorded['version']}"
    except (OSError, ValueError, KeyError):
        raise UpdateError(
            ".cookiecutter.json does not say which version of the template this project has: "
            "name both with from= and old="
        ) from None


def main() -> int:
    parser = argparse.ArgumentParser(description="Bring in a later version of the template.")
    parser.add_argument("--from", dest="repository", help="the template; by default as recorded")
    parser.add_argument("--old", help="the tag of what this project has; by default as recorded")
    parser.add_argument("--to", help="a tag, branch or commit; by default the newest tag")
    given = parser.parse_args()
    try:
        recorded = ("", "") if given.repository and given.old else made_from()
        return update(given.repository or recorded[0], given.old or recorded[1], given.to)
    except UpdateError as error:
        print(f"Not updated: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
