"""Interpreters of the versions that a rendered project offers."""

import os
import shutil
import subprocess

import pytest

from tests.conftest import TEMPLATE

OLDEST, NEWEST = "3.11", "3.14"


def interpreter(version: str) -> str:
    """What UV_PYTHON is set to for CPython of this version; skips the test where there is none."""
    tool = TEMPLATE.parent / "shared/tools" / f"python-{version}"  # as in .ci/run
    # A python3.14 on the PATH may be the shim of a manager that does not have this version.
    for command in ([f"python{version}", "--version"], [str(tool)]):
        if shutil.which(command[0]):
            done = subprocess.run(command, capture_output=True, text=True)
            if done.returncode == 0:
                return command[0] if len(command) > 1 else done.stdout.strip()
    if "CI" in os.environ:
        return version  # uv finds it, or downloads it
    pytest.skip(f"there is no Python {version} here")
