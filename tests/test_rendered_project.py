"""A rendered project passes everything that its own CI runs."""

import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.project import users_environment

pytestmark = pytest.mark.slow


def make(project: Path, target: str, **variables: str) -> subprocess.CompletedProcess[str]:
    arguments = [f"{name}={value}" for name, value in variables.items()]
    return subprocess.run(
        ["make", target, *arguments],
        cwd=project,
        env=users_environment(),
        capture_output=True,
        text=True,
    )


def test_make_check_passes(set_up: Callable[..., Path]) -> None:
    done = make(set_up(), "check")
    print(done.stdout[-3000:])
    assert done.returncode == 0, done.stdout + done.stderr
    passed = re.search(r"(\d+) passed in", done.stdout)
    assert passed
    assert int(passed[1]) > 100
    assert "skipped" not in done.stdout
