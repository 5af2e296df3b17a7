import subprocess
import sys

import pytest

from app.core import ROOT


@pytest.mark.parametrize("command", ["uvicorn app.main:app --port 1", "alembic current"])
def test_a_wrong_setting_stops_the_start_with_one_line(
    command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_POOL_SIZE", "0")
    result = subprocess.run(
        [sys.executable, "-m", *command.split()],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 1
    assert result.stderr.splitlines() == [
        "Wrong setting: DATABASE_POOL_SIZE: "
        "Input should be greater than or equal to 1 (see .env.example)"
    ]
