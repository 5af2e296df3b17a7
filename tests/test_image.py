"""The image, built and run by a real engine, against a real PostgreSQL."""

import json
import os
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

# Podman first: a docker command may be there without its engine.
ENGINE = shutil.which("podman") or shutil.which("docker")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        sys.platform != "linux" or (ENGINE is None and "CI" not in os.environ),
        reason="needs docker or podman on Linux",
    ),
]

# As strict as a cluster can be.
HARDENED = ["--read-only", "--cap-drop=ALL", "--security-opt=no-new-privileges"]
PASSWORD = "p%40ss"  # p@ss, as it stands in a URL


def engine(*arguments: str, check: bool = True) -> str:
    assert ENGINE, "there is neither docker nor podman"
    done = subprocess.run(
        [ENGINE, *arguments],
        # Podman's own format drops HEALTHCHECK.
        env=os.environ | {"BUILDAH_FORMAT": "docker"},
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0 or not check, done.stdout + done.stderr
    return (done.stdout + done.stderr).strip()


@pytest.fixture(scope="module")
def image(set_up: Callable[..., Path]) -> Iterator[str]:
    tag = f"localhost/template-test:{uuid.uuid4().hex[:8]}"
    engine("build", "--quiet", "--tag", tag, str(set_up()))
    yield tag
    engine("rmi", "--force", tag, check=False)


@pytest.fixture(scope="module")
def network() -> Iterator[str]:
    name = f"template-test-{uuid.uuid4().hex[:8]}"
    engine("network", "create", name)
    yield name
    engine("network", "rm", name, check=False)


@pytest.fixture(scope="module")
def postgres(network: str) -> Iterator[str]:
    """The name of a container with an empty PostgreSQL, in the network."""
    name = f"database-{uuid.uuid4().hex[:8]}"
    password = ["--env", "POSTGRES_USER=app", "--env", "POSTGRES_PASSWORD=p@ss"]
    engine("run", "--detach", "--name", name, "--network", network, *password, "postgres:17")
    # By TCP: the server that initialises the data, and then stops, listens on its socket alone.
    is_ready = ["exec", name, "pg_isready", "-h", "127.0.0.1", "-U", "app"]
    wait_for(lambda: "accepting" in engine(*is_ready, check=False))
    yield name
    engine("rm", "--force", "--volumes", name, check=False)


@pytest.fixture
def database(postgres: str) -> str:
    """The URL of an empty database, as a container sees it."""
    name = f"test_{uuid.uuid4().hex[:8]}"
    sql(postgres, "app", f"CREATE DATABASE {name}")
    return f"postgresql://app:{PASSWORD}@{postgres}/{name}"


def sql(postgres: str, database: str, statement: str) -> str:
    return engine("exec", postgres, "psql", "-U", "app", "-d", database, "-tAc", statement)


@pytest.fixture
def start(image: str, network: str) -> Iterator[Callable[..., str]]:
    """Start a container of the image; returns its name. All are removed after the test."""
    names: list[str] = []

    def start(*command: str, **variables: str) -> str:
        name = f"app-{uuid.uuid4().hex[:8]}"
        names.append(name)
        env = [part for item in variables.items() for part in ("--env", "=".join(item))]
        place = ["--network", network, "--publish", "127.0.0.1::8000"]
        engine("run", "--detach", "--name", name, *place, *HARDENED, *env, image, *command)
        return name

    yield start
    for name in names:
        engine("rm", "--force", name, check=False)


def wait_for(condition: Callable[[], Any], seconds: float = 60) -> Any:
    deadline = time.monotonic() + seconds
    while not (result := condition()):
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.2)
    return result


def request(name: str, path: str, body: bytes | None = None) -> tuple[int, Any]:
    """Ask the service in a container; (0, None) while it does not answer."""
    address = engine("port", name, "8000", check=False).splitlines()[0]
    headers = {"content-type": "application/json"}
    try:
        with urllib.request.urlopen(
            urllib.request.Request(f"http://{address}{path}", body, headers), timeout=5
        ) as response:
            return response.status, json.load(response)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)
    except (OSError, IndexError):
        return 0, None


def ready(name: str) -> bool:
    running = engine("inspect", "--format", "{{.State.Running}}", name)
    assert running == "true", engine("logs", name)
    return request(name, "/health/ready")[0] == 200


def ended(name: str) -> tuple[int, str]:
    """Wait for the end of a container; its exit code and all it said."""
    wait_for(lambda: engine("inspect", "--format", "{{.State.Running}}", name) == "false")
    return int(engine("inspect", "--format", "{{.State.ExitCode}}", name)), engine("logs", name)


def test_a_first_start_on_an_empty_database_serves_a_created_task(
    start: Callable[..., str], database: str
) -> None:
    name = start(DATABASE_URL=database)
    wait_for(lambda: ready(name))
    status, task = request(name, "/tasks", b'{"title": "first"}')
    assert (status, task["title"]) == (201, "first")
    logs = engine("logs", name)
    assert "Running upgrade  -> 0001" in logs
    assert "p%40ss" not in logs
    assert "p@ss" not in logs


def test_three_replicas_start_at_once_on_an_empty_database(
    start: Callable[..., str], database: str
) -> None:
    names = [start(DATABASE_URL=database) for _ in range(3)]
    wait_for(lambda: all(ready(name) for name in names))
    logs = "".join(engine("logs", name) for name in names)
    assert logs.count("Running upgrade") == 1


def test_it_runs_as_nobody_and_writes_nothing(start: Callable[..., str], database: str) -> None:
    name = start(DATABASE_URL=database)
    wait_for(lambda: ready(name))
    assert engine("exec", name, "id", "-u") == "10001"
    assert "Read-only" in engine("exec", name, "touch", "/srv/x", check=False)


def test_only_what_runs_is_inside(start: Callable[..., str]) -> None:
    _, files = ended(start("find", "/srv", "-maxdepth", "2", "-not", "-path", "/srv/venv/*"))
    names = {Path(line).name for line in files.splitlines()}
    assert {"app", "alembic", "alembic.ini", "start.sh", "venv"} <= names
    assert not names & {"tests", "scripts", ".env", "pyproject.toml", "uv.lock", "docs", ".git"}
    _, found = ended(start("sh", "-c", "for tool in uv gcc pytest ruff; do command -v $tool; done"))
    assert found == ""


def test_a_database_that_never_comes_is_a_clear_line_and_no_service(
    start: Callable[..., str],
) -> None:
    name = start(
        DATABASE_URL="postgresql://app:secret@127.0.0.1:1/none", MIGRATION_CONNECT_WAIT_SECONDS="2"
    )
    code, said = ended(name)
    assert code != 0
    assert "Waiting 2 s at most for the database at 127.0.0.1:1" in said
    assert "No database at 127.0.0.1:1" in said
    assert "Traceback" not in said
    assert "secret" not in said
    assert "Uvicorn" not in said


def test_a_failed_migration_never_serves(
    start: Callable[..., str], database: str, postgres: str
) -> None:
    # A table of that name is in the way of the first revision.
    sql(postgres, database.rpartition("/")[2], "CREATE TABLE task (id integer)")
    code, said = ended(start(DATABASE_URL=database))
    assert code != 0
    assert "0001_add_task_table.py" in said
    assert 'relation "task" already exists' in said
    assert "Traceback" not in said
    assert "Uvicorn" not in said


def test_migrations_can_be_a_job_of_their_own(start: Callable[..., str], database: str) -> None:
    name = start(DATABASE_URL=database, RUN_MIGRATIONS="false")
    status, body = wait_for(
        lambda: request(name, "/health/ready")[1] and request(name, "/health/ready")
    )
    assert (status, body["database_revision"], body["code_revision"]) == (503, None, "0001")
    code, said = ended(start("alembic", "upgrade", "head", DATABASE_URL=database))
    assert code == 0, said
    wait_for(lambda: ready(name))


def test_sigterm_ends_it_with_0(start: Callable[..., str], database: str) -> None:
    name = start(DATABASE_URL=database)
    wait_for(lambda: ready(name))
    engine("stop", "--time", "20", name)
    code, said = ended(name)
    assert code == 0
    assert "Application shutdown complete" in said


def test_the_health_check_follows_the_database(start: Callable[..., str], database: str) -> None:
    name = start(DATABASE_URL=database)
    wait_for(lambda: ready(name))
    check = json.loads(engine("inspect", "--format", "{{json .Config.Healthcheck}}", name))["Test"]
    assert check[0] == "CMD"
    assert engine("exec", name, *check[1:]) == ""
    away = start(DATABASE_URL="postgresql://app:x@127.0.0.1:1/none", RUN_MIGRATIONS="false")
    wait_for(lambda: request(away, "/health/live")[0] == 200)
    assert "503" in engine("exec", away, *check[1:], check=False)
