"""Finish a rendered project: drop what was not chosen, check Alembic, set up, say what is next.

The standard library alone, on Python 3.9 or newer: Cookiecutter runs this with its own interpreter.
It fails only when what was rendered is wrong. A tool or a network that is missing is reported.
"""

from __future__ import annotations

import io
import json
import os
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

CONTEXT = r"""{{ cookiecutter | tojson }}"""

# Files that belong to one answer alone. Files, not their folders: what else these hold stays when
# a project is rendered over an older one.
ONLY_FOR = {
    ".github/workflows/ci.yml": ("ci", "github"),
    ".github/dependabot.yml": ("ci", "github"),
    ".gitlab-ci.yml": ("ci", "gitlab"),
    "deploy/kubernetes/base/deployment.yaml": ("__kubernetes", "yes"),
    "deploy/kubernetes/base/hpa.yaml": ("__kubernetes", "yes"),
    "deploy/kubernetes/base/kustomization.yaml": ("__kubernetes", "yes"),
    "deploy/kubernetes/base/pdb.yaml": ("__kubernetes", "yes"),
    "deploy/kubernetes/base/service.yaml": ("__kubernetes", "yes"),
    "deploy/kubernetes/components/migration-job/job.yaml": ("__kubernetes", "yes"),
    "deploy/kubernetes/components/migration-job/kustomization.yaml": ("__kubernetes", "yes"),
    "deploy/kubernetes/overlays/production/kustomization.yaml": ("__kubernetes", "yes"),
    "docs/kubernetes.md": ("__kubernetes", "yes"),
    "app/core/db/embedded/__init__.py": ("database", "postgresql"),
    "app/core/db/embedded/__main__.py": ("database", "postgresql"),
    "app/core/db/embedded/cluster.py": ("database", "postgresql"),
    "app/core/db/embedded/file_lock.py": ("database", "postgresql"),
    "app/core/db/embedded/keeper.py": ("database", "postgresql"),
    "app/core/db/embedded/programs.py": ("database", "postgresql"),
    "app/core/db/pooler.py": ("database", "postgresql"),
    "app/core/db/psql.py": ("database", "postgresql"),
    "app/core/migrations/advisory_lock.py": ("database", "postgresql"),
    "app/core/migrations/autocommit.py": ("database", "postgresql"),
    "app/core/migrations/backfill.py": ("database", "postgresql"),
    "app/core/migrations/batch.py": ("database", "sqlite"),
    "app/core/migrations/blockers.py": ("database", "postgresql"),
    "app/core/migrations/compare/__init__.py": ("database", "postgresql"),
    "app/core/migrations/compare/by_hand.py": ("database", "postgresql"),
    "app/core/migrations/compare/catalog.py": ("database", "postgresql"),
    "app/core/migrations/compare/columns.py": ("database", "postgresql"),
    "app/core/migrations/compare/comparison.py": ("database", "postgresql"),
    "app/core/migrations/compare/counters.py": ("database", "postgresql"),
    "app/core/migrations/compare/enums.py": ("database", "postgresql"),
    "app/core/migrations/compare/extensions.py": ("database", "postgresql"),
    "app/core/migrations/compare/extras.py": ("database", "postgresql"),
    "app/core/migrations/compare/parts.py": ("database", "postgresql"),
    "app/core/migrations/compare/reflection.py": ("database", "postgresql"),
    "app/core/migrations/compare/renames.py": ("database", "postgresql"),
    "app/core/migrations/compare/render.py": ("database", "postgresql"),
    "app/core/migrations/compare/statements.py": ("database", "postgresql"),
    "app/core/migrations/compare/tables.py": ("database", "postgresql"),
    "app/core/migrations/compare/widened.py": ("database", "postgresql"),
    "app/core/migrations/indexes.py": ("database", "postgresql"),
    "app/core/migrations/operations.py": ("database", "postgresql"),
    "app/core/migrations/plan.py": ("database", "postgresql"),
    "app/core/migrations/recorder.py": ("database", "postgresql"),
    "app/core/migrations/relations.py": ("database", "postgresql"),
    "app/core/migrations/replicas.py": ("database", "postgresql"),
    "app/core/migrations/sql.py": ("database", "postgresql"),
    "app/core/migrations/table_locks.py": ("database", "postgresql"),
}
# Files of a SQLite project that stand in for those of the same name.
SQLITE = "_sqlite"
GET_UV = "uv is not installed: pipx install uv, or see https://docs.astral.sh/uv/"
ADDRESS = "http://127.0.0.1:8000/docs"


class RenderError(Exception):
    """What was rendered is wrong; one argument for each error."""


class LeftOutError(Exception):
    """Something was not done here, for a reason; the targets of the Makefile that do it later."""

    def __init__(self, reason: object, *targets: str) -> None:
        super().__init__(reason)
        self.targets = targets


def drop_unchosen(root: Path, answers: dict[str, Any]) -> None:
    """Remove the files of other answers, and the folders this leaves empty."""
    for name, (question, answer) in ONLY_FOR.items():
        if answers[question] != answer:
            remove(root, root / name)


def choose_database(root: Path, database: str) -> None:
    """Put the files of a SQLite project in place, or remove them."""
    for path in sorted((root / SQLITE).rglob("*")):
        if path.is_file():
            if database == "sqlite":
                target = root / path.relative_to(root / SQLITE)
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, target)
            remove(root, path)


def remove(root: Path, path: Path) -> None:
    """Remove a file, and the folders this leaves empty."""
    if path.exists():
        path.unlink()
        for folder in path.relative_to(root).parents:
            if any((root / folder).iterdir()):
                break
            (root / folder).rmdir()


def load(script: Path) -> dict[str, Any]:
    """Run a script of the project, not as the main one; returns the names it defines."""
    names: dict[str, Any] = {"__name__": script.stem, "__file__": str(script)}
    exec(compile(script.read_bytes(), str(script), "exec"), names)
    return names


def check_files(root: Path) -> None:
    """Check the Alembic environment without running it."""
    problems = load(root / "app/core/migrations/static_check.py")["static_problems"](root)
    if problems:
        raise RenderError(*problems)


def run_uv(root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    # An environment that happens to be active is not the project's.
    environment = {name: value for name, value in os.environ.items() if name != "VIRTUAL_ENV"}
    return subprocess.run(
        ["uv", *arguments],
        cwd=root,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
    )


def prepare(root: Path, command: str) -> None:
    """Run `uv lock` or `uv sync`. Raises LeftOutError with the end of what it said."""
    done = run_uv(root, command)
    if done.returncode:
        said = [line for line in done.stderr.splitlines() if line.strip()]
        reason = "\n".join([f"`uv {command}` failed", *said[-5:]])
        raise LeftOutError(reason, "setup", "check-alembic")


def check_migrations(root: Path) -> None:
    """Check the Alembic environment by running it in the project's own."""
    done = run_uv(root, "run", "--no-sync", "python", "-m", "app.core.migrations.check")
    lines = [line for line in done.stderr.splitlines() if line.strip()]
    # A crash of the check ends with 1 too, and says nothing about the project.
    crashed = any(line.startswith("Traceback ") for line in lines)
    if done.returncode == 1 and lines and not crashed:
        stop_server(root)
        raise RenderError(*lines)
    if done.returncode != 0:
        reason = lines[-1] if lines else f"the check ended with {done.returncode}"
        raise LeftOutError(reason, "check-alembic")


def stop_server(root: Path) -> None:
    """Cookiecutter deletes what is wrong, and cannot do it while a server writes there."""
    if (root / ".postgres").exists():
        run_uv(root, "run", "--no-sync", "python", "-m", "app.core.db.embedded", "reset", "--yes")


def record_render(root: Path, answers: dict[str, Any]) -> None:
    """Note what was rendered, for `make template-update`; the answers above it may be changed."""
    file = root / ".cookiecutter.json"
    record = json.loads(file.read_text("utf-8"))
    record["rendered"] = {
        "version": record["template"]["version"],
        "commit": answers.get("_commit") or commit_of(answers.get("_repo_dir")),
        "answers": record["default_context"],
    }
    text = json.dumps(record, indent=2, ensure_ascii=False)
    file.write_bytes(f"{text}\n".encode())


def commit_of(template: str | None) -> str | None:
    """The commit of the template's folder; None where that is no clone, or git is missing."""
    # It may be relative to where the user stands, which Cookiecutter has left.
    folder = Path(os.environ.get("PWD", ""), str(template))
    # Of a folder that lies in the repository of something else, the commit says nothing.
    is_tracked = ["ls-files", "--error-unmatch", "cookiecutter.json"]
    try:
        for command in (is_tracked, ["rev-parse", "HEAD"]):
            git = ["git", "-C", str(folder), *command]
            done = subprocess.run(git, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip()


@contextmanager
def step(label: str) -> Iterator[None]:
    """Print what begins, and on the same line the time that it took."""
    print(f"  {label} ... ", end="", flush=True)
    started, outcome = time.monotonic(), "not done"
    try:
        yield
        outcome = f"{time.monotonic() - started:.1f} s"
    finally:
        print(outcome, flush=True)


def set_up(root: Path) -> None:
    """Make the lock file and the environment, and check the first migration in it."""
    if shutil.which("uv") is None:
        raise LeftOutError(GET_UV, "setup", "check-alembic")
    try:
        with step("lock file"):
            prepare(root, "lock")
        with step("environment"):
            prepare(root, "sync")
        with step("first migration"):
            check_migrations(root)
    except KeyboardInterrupt:
        raise LeftOutError("set-up was interrupted", "setup", "check-alembic") from None
    except OSError as error:
        raise LeftOutError(error, "setup", "check-alembic") from error


def commands_for(target: str) -> list[str]:
    """Return how to reach a target of the Makefile, with make or where it is missing without."""
    if shutil.which("make"):
        return [f"make {target}"]
    return {
        "setup": ["uv sync"],
        "check-alembic": ["uv run python -m app.core.migrations.check"],
        "run": ["uv run alembic upgrade head", "uv run uvicorn app.main:app --reload"],
        "test": ["uv run pytest"],
    }[target]


def quote(text: str) -> str:
    """Quote for the shell that the user is likely to have."""
    if os.name == "nt":
        return f'"{text}"' if " " in text else text
    return shlex.quote(text)


def next_commands(root: Path) -> list[str]:
    # Where the user stands is known from the shell alone: Cookiecutter changes the folder.
    here = os.environ.get("PWD", "")
    folder = root.name if here and Path(here).resolve() == root.parent.resolve() else str(root)
    quoted = quote(folder)
    return [f"cd {quoted}", *commands_for("run"), *commands_for("test")]


def finish(root: Path, answers: dict[str, Any]) -> None:
    choose_database(root, answers["database"])
    drop_unchosen(root, answers)
    check_files(root)
    record_render(root, answers)
    if "_commit" in answers:  # cruft, which also renders to compare and to update
        return
    try:
        if not answers["__setup"]:
            raise LeftOutError("setup=no", "setup")
        print(f"Setting up {answers['project_name']}:", flush=True)
        set_up(root)
    except LeftOutError as error:
        reason, *details = str(error).splitlines() or [type(error).__name__]
        later = [command for target in error.targets for command in commands_for(target)]
        line = f"Skipped {error.targets[0]} ({reason}). Run: {', then '.join(later)}"
        print(line, *details, sep="\n  ", flush=True)
    print(f"\nNext ({ADDRESS}):", *next_commands(root), sep="\n  ", flush=True)


def main() -> int:
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # A console may lack a character of the project's name.
            stream.reconfigure(errors="backslashreplace")
    try:
        finish(Path.cwd(), json.loads(CONTEXT))
    except RenderError as error:
        print("\nWhat was rendered is wrong:", *error.args, sep="\n  ", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
