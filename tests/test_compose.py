"""`make compose-up` in a rendered project, with the compose command that the machine has."""

import json
import os
import shutil
import subprocess
import sys
import urllib.request
import uuid
from collections.abc import Callable, Iterator

import pytest

from tests.conftest import on_sqlite
from tests.project import Project, free_port, users_environment

COMPOSE = shutil.which("podman-compose") or shutil.which("docker")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        sys.platform != "linux" or (COMPOSE is None and "CI" not in os.environ),
        reason="needs docker compose or podman-compose on Linux",
    ),
]

Make = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def make(project: Project) -> Iterator[Make]:
    """Run a target of the Makefile; all containers, and their data, are removed after the test."""
    name = {"COMPOSE_PROJECT_NAME": f"template-test-{uuid.uuid4().hex[:8]}"}

    def make(target: str, *arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["make", target, *arguments],
            cwd=project.root,
            env=users_environment() | name | env,
            capture_output=True,
            text=True,
            timeout=300,
        )

    yield make
    make("compose-down", "volumes=yes")


def succeed(done: subprocess.CompletedProcess[str]) -> str:
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def addresses(done: subprocess.CompletedProcess[str]) -> list[str]:
    lines = succeed(done).splitlines()
    return [line.removeprefix("Ready: ") for line in lines if line.startswith("Ready: ")]


def create_task(docs: str) -> int:
    request = urllib.request.Request(
        docs.replace("/docs", "/tasks"),
        data=b'{"title":"first"}',
        headers={"content-type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=10) as response:
        assert response.status == 201
        created: int = json.load(response)["id"]
        return created


def test_it_serves_and_down_keeps_the_data(make: Make) -> None:
    port = free_port()
    (docs,) = addresses(make("compose-up", f"PORT={port}"))
    assert docs == f"http://127.0.0.1:{port}/docs"
    assert create_task(docs) == 1
    assert "first" in succeed(make("compose-psql", 'args=-c "SELECT title FROM task"'))
    succeed(make("compose-down"))
    (docs,) = addresses(make("compose-up", f"PORT={port}"))
    assert create_task(docs) == 2


def test_a_second_start_deploys_a_change_and_leaves_the_database_running(
    make: Make, project: Project
) -> None:
    port = free_port()
    (docs,) = addresses(make("compose-up", f"PORT={port}"))
    since = 'args=-tA -c "SELECT pg_postmaster_start_time()"'
    started = succeed(make("compose-psql", since))
    health = project.root / "app/core/health.py"
    health.write_text(health.read_text().replace('= "live"', '= "changed"'))
    (docs,) = addresses(make("compose-up", f"PORT={port}"))
    with urllib.request.urlopen(docs.replace("/docs", "/health/live"), timeout=10) as response:
        assert json.load(response) == {"status": "changed"}
    assert succeed(make("compose-psql", since)) == started


def test_three_replicas_start_on_an_empty_database(make: Make) -> None:
    places = addresses(make("compose-up", "REPLICAS=3"))
    assert len(set(places)) == 3
    assert [create_task(place) for place in places] == [1, 2, 3]
    assert "0001" in succeed(make("compose-psql", 'args=-c "SELECT * FROM alembic_version"'))
    succeed(make("compose-down", "volumes=yes"))
    assert "no container" in make("compose-psql", 'args=-c "SELECT 1"').stderr.lower()


def test_outside_development_the_default_password_is_refused(make: Make) -> None:
    done = make("compose-up", f"PORT={free_port()}", ENVIRONMENT="production", READY_SECONDS="5")
    assert done.returncode != 0
    assert "app 1 is not ready" in done.stderr


@on_sqlite
def test_a_sqlite_project_is_one_replica_whose_file_outlives_its_container(make: Make) -> None:
    port = free_port()
    (docs,) = addresses(make("compose-up", f"PORT={port}", "REPLICAS=3"))
    assert docs == f"http://127.0.0.1:{port}/docs"
    assert create_task(docs) == 1
    addresses(make("compose-up", f"PORT={port}"))  # which makes the container again
    assert create_task(docs) == 2
    succeed(make("compose-down"))
    addresses(make("compose-up", f"PORT={port}"))
    assert create_task(docs) == 3
    succeed(make("compose-down", "volumes=yes"))
    addresses(make("compose-up", f"PORT={port}"))
    assert create_task(docs) == 1
