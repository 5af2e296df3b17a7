"""Commands, run in the project that is updated: the folder in which the update was started."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Mapping
from pathlib import Path

PROJECT = Path.cwd()


class UpdateError(Exception):
    """What prevents the update, and what to do."""


def run(
    *command: str, folder: Path = PROJECT, env: Mapping[str, str] | None = None, text: str = ""
) -> str:
    """Raises UpdateError with the end of what the command says."""
    done = subprocess.run(
        command,
        cwd=folder,
        env=os.environ | (env or {}),
        input=text,
        capture_output=True,
        encoding="utf-8",
        errors="surrogateescape",
        check=False,
    )
    if done.returncode:
        said = (done.stderr or done.stdout).strip().splitlines() or ["no word why"]
        lines = 1 if any(line.startswith("Traceback ") for line in said) else 5
        name = " ".join([Path(command[0]).name, *command[1:2]])
        raise UpdateError(without_login("\n".join([f"{name} failed:", *said[-lines:]])))
    return done.stdout.strip()


def without_login(text: str) -> str:
    """An address may hold a token."""
    return re.sub(r"(\w+://)[^/@\s]*@", r"\1", text)
