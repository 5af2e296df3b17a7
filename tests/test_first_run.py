"""What a newcomer does, as a newcomer does it: a fresh clone, an empty home, no uv."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import TEMPLATE, copy_template
from tests.project import free_port, users_environment

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform == "win32", reason="without make, see the rendered README"),
]

SERVER_SECONDS = 240


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return copy_template(tmp_path_factory.mktemp("clone"))


@pytest.fixture(scope="module")
def bare_machine(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """An environment with an empty home, and with everything on the PATH but uv."""
    home = tmp_path_factory.mktemp("home")
    folders = []
    for number, folder in enumerate(os.environ["PATH"].split(os.pathsep)):
        if Path(folder) == TEMPLATE / ".venv" / "bin" or not Path(folder).is_dir():
            continue
        if (Path(folder) / "uv").exists():
            shadow = home / f"path{number}"
            shadow.mkdir()
            for tool in Path(folder).iterdir():
                if tool.name not in ("uv", "uvx"):
                    (shadow / tool.name).symlink_to(tool)
            folder = str(shadow)
        folders.append(folder)
    path = os.pathsep.join(folders)
    assert shutil.which("uv", path=path) is None
    env = {name: value for name, value in users_environment().items() if name[:3] != "UV_"}
    return env | {"HOME": str(home), "PATH": path}


@contextlib.contextmanager
def serving(command: list[str], folder: Path, env: dict[str, str], port: int) -> Iterator[str]:
    """Run a command until it serves; end it, and all that it started, afterwards."""
    log = folder.parent / f"{folder.name}-{port}.log"
    with log.open("w") as output:
        process = subprocess.Popen(
            [*command, f"PORT={port}"],
            cwd=folder,
            env=env,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        deadline = time.monotonic() + SERVER_SECONDS
        while not answers(f"http://127.0.0.1:{port}/health/ready"):
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.2)
        yield log.read_text()
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(timeout=20)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


def answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5) as response:
            return bool(response.status == 200)
    except OSError:
        return False


def create_task(port: int) -> tuple[int, dict[str, object]]:
    request = urllib.request.Request(
        f"http://localhost:{port}/tasks",
        data=b'{"title":"first"}',
        headers={"content-type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=10) as response:
        return response.status, json.load(response)


def test_make_demo_serves_on_a_machine_without_uv(
    clone: Path, bare_machine: dict[str, str]
) -> None:
    port = free_port()
    with serving(["make", "demo"], clone, bare_machine, port) as said:
        status, task = create_task(port)
        assert (status, task["title"]) == (201, "first")
        assert f"http://127.0.0.1:{port}" in said
        assert "Traceback" not in said


def test_the_same_project_serves_from_postgresql_by_one_variable(
    clone: Path, bare_machine: dict[str, str], postgresql: str
) -> None:
    project = clone / "build" / "task-service"
    assert project.is_dir(), "the demo before has to have rendered it"
    port = free_port()
    path = f"{clone / '.venv' / 'bin'}{os.pathsep}{bare_machine['PATH']}"
    env = bare_machine | {"DATABASE_URL": postgresql, "PATH": path}
    with serving(["make", "run"], project, env, port) as said:
        status, task = create_task(port)
        assert (status, task["title"]) == (201, "first")
        assert "PostgresqlImpl" in said
