"""Renders of the template, each made once and shared by the tests."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from cookiecutter.main import cookiecutter

TEMPLATE = Path(__file__).parents[1]


@pytest.fixture(scope="session", autouse=True)
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Keep what Cookiecutter leaves behind, replays and rendered hooks, in a folder of ours."""
    home = tmp_path_factory.mktemp("home")
    config = {"replay_dir": str(home / "replay"), "cookiecutters_dir": str(home / "templates")}
    (home / "cookiecutter.json").write_text(json.dumps(config), encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COOKIECUTTER_CONFIG", str(home / "cookiecutter.json"))
        for variable in ("TMPDIR", "TEMP", "TMP"):
            patch.setenv(variable, str(home))
        patch.setattr(tempfile, "tempdir", str(home))
        yield home


@pytest.fixture(scope="session")
def bake(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Render the template with these answers and the defaults, without setting up."""
    baked: dict[str, Path] = {}

    def bake(**answers: object) -> Path:
        key = json.dumps(answers, sort_keys=True)
        if key not in baked:
            folder = cookiecutter(
                str(TEMPLATE),
                no_input=True,
                extra_context={"setup": False, **answers},
                output_dir=str(tmp_path_factory.mktemp("bake")),
            )
            baked[key] = Path(folder)
        return baked[key]

    return bake


@pytest.fixture
def refuse(tmp_path: Path) -> Callable[..., str]:
    """Run the command line with answers that it must refuse; return all it prints."""

    def refuse(**answers: str) -> str:
        command = [sys.executable, "-m", "cookiecutter", str(TEMPLATE), "--no-input"]
        command += [f"{question}={answer}" for question, answer in answers.items()]
        done = subprocess.run(
            command,
            cwd=tmp_path,
            env=os.environ | {"PYTHONIOENCODING": "utf-8"},
            capture_output=True,
            encoding="utf-8",
        )
        assert done.returncode == 1, done.stdout
        assert list(tmp_path.iterdir()) == []
        return done.stderr + done.stdout

    return refuse
