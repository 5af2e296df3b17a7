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
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.conftest import TEMPLATE, copy_template
from tests.project import Databases, free_port, users_environment

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
        ours = (TEMPLATE / ".venv" / "bin", TEMPLATE / ".uv" / "bin")
        if Path(folder) in ours or not Path(folder).is_dir():
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


def with_uv(clone: Path, env: dict[str, str]) -> dict[str, str]:
    """The same machine, with the uv that `make demo` has brought along."""
    return env | {"PATH": f"{clone / '.uv' / 'bin'}{os.pathsep}{env['PATH']}"}


def test_make_demo_serves_from_postgresql_18_on_a_machine_without_uv(
    clone: Path, bare_machine: dict[str, str]
) -> None:
    port = free_port()
    with serving(["make", "demo"], clone, bare_machine, port) as said:
        status, task = create_task(port)
        assert (status, task["title"]) == (201, "first")
        assert f"http://127.0.0.1:{port}" in said
        assert "Traceback" not in said
        done = subprocess.run(
            ["make", "psql", 'args=-tAc "SELECT title, version() FROM task"'],
            cwd=clone / "build" / "task-service",
            env=with_uv(clone, bare_machine),
            capture_output=True,
            text=True,
        )
        assert done.stdout.startswith("first|PostgreSQL 18"), done.stdout + done.stderr


def test_the_same_project_serves_from_another_server_by_one_variable(
    clone: Path, bare_machine: dict[str, str], databases: Databases
) -> None:
    project = clone / "build" / "task-service"
    assert project.is_dir(), "the demo before has to have rendered it"
    port, url = free_port(), databases.create()
    env = with_uv(clone, bare_machine) | {"DATABASE_URL": url}
    with serving(["make", "run"], project, env, port):
        status, task = create_task(port)
        assert (status, task["title"]) == (201, "first")
    assert databases.query(url, "SELECT title FROM task") == [("first",)]


def test_without_uv_make_says_how_to_get_it(
    bake: Callable[..., Path], bare_machine: dict[str, str]
) -> None:
    for target in ("setup", "run", "test", "check", "compose-up"):
        done = subprocess.run(
            ["make", target], cwd=bake(), env=bare_machine, capture_output=True, text=True
        )
        assert done.returncode == 2
        assert done.stderr.startswith("uv is not installed: pipx install uv, or see https://")
