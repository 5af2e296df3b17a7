"""Finish a rendered project: drop what was not chosen, check Alembic, set up, say what is next.

The standard library alone, on Python 3.9 or newer: Cookiecutter runs this with its own interpreter.
It fails only on a fault in what was rendered. A tool or a network that is missing is reported.
"""

from __future__ import annotations

import io
import json
import os
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

TYPE_CHECKING = False  # the module typing takes longer to import than all else here
if TYPE_CHECKING:
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
}
ADDRESS = "http://127.0.0.1:8000/docs"


class RenderError(Exception):
    """What was rendered is wrong; one argument a fault."""


class LeftOutError(Exception):
    """Something was not done here, for a reason; the targets of the Makefile that do it later."""

    def __init__(self, reason: object, *targets: str) -> None:
        super().__init__(reason)
        self.targets = targets


def drop_unchosen(root: Path, answers: dict[str, Any]) -> None:
    """Remove the files of other answers, and the folders this leaves empty."""
    for name, (question, answer) in ONLY_FOR.items():
        path = root / name
        if answers[question] == answer or not path.exists():
            continue
        path.unlink()
        for folder in list(path.parents)[: name.count("/")]:
            if any(folder.iterdir()):
                break
            folder.rmdir()


def load(script: Path) -> dict[str, Any]:
    """Run a script of the project, not as the main one; returns the names it defines."""
    names: dict[str, Any] = {"__name__": script.stem, "__file__": str(script)}
    exec(compile(script.read_bytes(), str(script), "exec"), names)
    return names


def check_files(root: Path) -> None:
    """Check the Alembic environment without running it."""
    faults = load(root / "scripts" / "alembic_static.py")["static_faults"](root)
    if faults:
        raise RenderError(*faults)


def check_migrations(root: Path, uv: str) -> None:
    """Check the Alembic environment by running it in the project's own."""
    import subprocess  # here, for a render without set-up does not need it

    command = [uv, "run", "--no-sync", "python", "-m", "scripts.check_alembic"]
    environment = {name: value for name, value in os.environ.items() if name != "VIRTUAL_ENV"}
    done = subprocess.run(
        command, cwd=root, env=environment, capture_output=True, text=True, errors="replace"
    )
    lines = [line for line in done.stderr.splitlines() if line.strip()]
    # A crash of the check ends with 1 too, and says nothing about the project.
    crashed = any(line.startswith("Traceback ") for line in lines)
    if done.returncode == 1 and lines and not crashed:
        raise RenderError(*lines)
    if done.returncode != 0:
        reason = lines[-1] if lines else f"the check ended with {done.returncode}"
        raise LeftOutError(reason, "check-alembic")


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
    setup = load(root / "scripts" / "setup.py")
    try:
        uv = setup["find_uv"](root)
        if uv is None:
            with step("uv"):
                uv = setup["install_uv"](root)
        with step("lock file"):
            setup["run_uv"](uv, root, "lock")
        with step("environment"):
            setup["run_uv"](uv, root, "sync")
        with step("first migration"):
            check_migrations(root, uv)
    except KeyboardInterrupt:
        raise LeftOutError("setting up, as interrupted", "setup", "check-alembic") from None
    except (setup["SetupError"], OSError) as error:
        raise LeftOutError(error, "setup", "check-alembic") from error


def commands_for(target: str, root: Path) -> list[str]:
    """Return how to reach a target of the Makefile, with make or where it is missing without."""
    if shutil.which("make"):
        return [f"make {target}"]
    windows = os.name == "nt"
    local_uv = Path(".venv", "Scripts/uv.exe" if windows else "bin/uv")
    uv = "uv" if shutil.which("uv") or not (root / local_uv).exists() else str(local_uv)
    return {
        "setup": ["python scripts/setup.py" if windows else "python3 scripts/setup.py"],
        "check-alembic": [f"{uv} run python -m scripts.check_alembic"],
        "run": [f"{uv} run alembic upgrade head", f"{uv} run uvicorn app.main:app --reload"],
        "test": [f"{uv} run pytest"],
    }[target]


def quote(text: str) -> str:
    """Quote for the shell that the user is likely to have."""
    if os.name == "nt":
        return f'"{text}"' if " " in text else text
    import shlex

    return shlex.quote(text)


def next_commands(root: Path) -> list[str]:
    # Where the user stands is known from the shell alone: Cookiecutter changes the folder.
    here = os.environ.get("PWD", "")
    folder = root.name if here and Path(here).resolve() == root.parent.resolve() else str(root)
    quoted = quote(folder)
    return [f"cd {quoted}", *commands_for("run", root), *commands_for("test", root)]


def finish(root: Path, answers: dict[str, Any]) -> None:
    drop_unchosen(root, answers)
    check_files(root)
    if "_commit" in answers:  # cruft, which also renders to compare and to update
        return
    try:
        if not answers["__setup"]:
            raise LeftOutError("setting up, as answered", "setup")
        print(f"Setting up {answers['project_name']}:", flush=True)
        set_up(root)
    except LeftOutError as error:
        later = [command for target in error.targets for command in commands_for(target, root)]
        print(f"Left out: {error}", f"Later: {', then '.join(later)}", sep="\n", flush=True)
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
