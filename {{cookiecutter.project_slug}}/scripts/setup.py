"""Make the environment and the lock file: `python scripts/setup.py`.

It needs nothing but Python. uv is taken from the PATH, or installed into `.venv`.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path

OLDEST_PYTHON = (3, 11)


class SetupError(Exception):
    """Something is missing; the text says what, and what to do."""


def find_uv(root: Path) -> str | None:
    """The uv on the PATH, or the one in the project's own environment."""
    own = [str(root / ".venv" / folder) for folder in ("bin", "Scripts")]
    return shutil.which("uv") or shutil.which("uv", path=os.pathsep.join(own))


def install_uv(root: Path) -> str:
    """Install uv into `.venv`, where `uv sync` keeps it. Raises SetupError."""
    if sys.version_info < OLDEST_PYTHON:
        raise SetupError(
            f"this is Python {sys.version.split()[0]} and there is no uv to get a newer one: "
            "install uv or Python 3.11"
        )
    try:
        builder = venv.EnvBuilder(with_pip=True)
        builder.create(root / ".venv")
        python = builder.ensure_directories(root / ".venv").env_exe
    except (OSError, subprocess.CalledProcessError) as error:
        raise SetupError(f"cannot make .venv: {error}") from error
    _run([python, "-m", "pip", "install", "--quiet", "uv"], root)
    uv = find_uv(root)
    if uv is None:
        raise SetupError("uv was installed into .venv but is not there")
    return uv


def run_uv(uv: str, root: Path, *arguments: str) -> None:
    """Run uv in the project, silently. Raises SetupError with the end of what it said."""
    _run([uv, *arguments], root)


def _run(command: list[str], root: Path) -> None:
    # An environment that happens to be active is not the project's.
    environment = {name: value for name, value in os.environ.items() if name != "VIRTUAL_ENV"}
    try:
        result = subprocess.run(
            command,
            cwd=root,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
        )
    except OSError as error:
        raise SetupError(f"cannot start {command[0]}: {error}") from error
    if result.returncode:
        said = [line for line in result.stderr.splitlines() if line.strip()]
        what = " ".join([Path(command[0]).name, *command[1:]])
        raise SetupError("\n".join([f"`{what}` failed:", *said[-5:]]))


def main() -> int:
    root = Path(__file__).resolve().parent.parent
    try:
        uv = find_uv(root) or install_uv(root)
        run_uv(uv, root, "sync")
    except SetupError as error:
        print(f"Setup failed: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
