"""A real container engine, the images of rendered projects, and PostgreSQL beside them."""

import contextlib
import functools
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
PODMAN = shutil.which("podman")
ENGINE = PODMAN or shutil.which("docker")

needs_engine = [
    pytest.mark.slow,
    pytest.mark.skipif(
        sys.platform != "linux" or (ENGINE is None and "CI" not in os.environ),
        reason="needs docker or podman on Linux",
    ),
]

# As strict as a cluster can be. Podman would mount a writable /tmp, Docker does not.
HARDENED = ["--read-only", "--cap-drop=ALL", "--security-opt=no-new-privileges"]
HARDENED += ["--read-only-tmpfs=false"] if PODMAN else []
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


@contextlib.contextmanager
def built(project: Path, *options: str) -> Iterator[str]:
    """The image of a project, deleted afterwards."""
    tag = f"localhost/template-test:{uuid.uuid4().hex[:8]}"
    if PODMAN:
        options += ("--timestamp", "1700000000")
    engine("build", "--quiet", "--tag", tag, *options, str(project))
    yield tag
    engine("rmi", "--force", tag, check=False)


@pytest.fixture(scope="session")
def images(set_up: Callable[..., Path]) -> Iterator[Callable[[str], str]]:
    """The image of a project with this database, built once."""
    with contextlib.ExitStack() as stack:

        @functools.cache
        def build(database: str) -> str:
            return stack.enter_context(built(set_up(database=database), "--no-cache"))

        yield build


@pytest.fixture
def image(images: Callable[[str], str], dialect: str) -> str:
    return images(dialect)


@pytest.fixture(scope="session")
def network() -> Iterator[str]:
    name = f"template-test-{uuid.uuid4().hex[:8]}"
    engine("network", "create", name)
    yield name
    engine("network", "rm", name, check=False)


class Postgres:
    """A container with PostgreSQL that a test may stop and start."""

    def __init__(self, network: str) -> None:
        self.name = f"database-{uuid.uuid4().hex[:8]}"
        self.network = network

    def create(self) -> None:
        """Make and start it, with an empty database `app`."""
        password = ["--env", "POSTGRES_USER=app", "--env", "POSTGRES_PASSWORD=p@ss"]
        place = ["--name", self.name, "--network", self.network]
        engine("run", "--detach", *place, *password, "postgres:18")

    def url(self, database: str = "app") -> str:
        """As another container of the network sees it."""
        return f"postgresql://app:{PASSWORD}@{self.name}/{database}"

    def accepts(self) -> bool:
        # By TCP: the server that initialises the data, and then stops, listens on its socket alone.
        is_ready = ["exec", self.name, "pg_isready", "-h", "127.0.0.1", "-U", "app"]
        return "accepting" in engine(*is_ready, check=False)

    def sql(self, statement: str, database: str = "app") -> str:
        return engine("exec", self.name, "psql", "-U", "app", "-d", database, "-tAc", statement)

    def remove(self) -> None:
        engine("rm", "--force", "--volumes", self.name, check=False)


@pytest.fixture(scope="session")
def postgres(network: str) -> Iterator[Postgres]:
    server = Postgres(network)
    server.create()
    wait_for(server.accepts)
    yield server
    server.remove()


@pytest.fixture
def own_postgres(network: str) -> Iterator[Postgres]:
    """One that is not yet created, for a test alone."""
    server = Postgres(network)
    yield server
    server.remove()


@pytest.fixture
def database(postgres: Postgres) -> str:
    """The name of an empty database in `postgres`."""
    name = f"test_{uuid.uuid4().hex[:8]}"
    postgres.sql(f"CREATE DATABASE {name}")
    return name


@pytest.fixture
def volume() -> Iterator[str]:
    """The name of a volume, deleted after the test."""
    name = f"template-test-{uuid.uuid4().hex[:8]}"
    yield name
    engine("volume", "rm", "--force", name, check=False)


class App:
    """A container of the image."""

    def __init__(self, name: str) -> None:
        self.name = name

    def state(self, field: str) -> str:
        return engine("inspect", "--format", f"{{{{.State.{field}}}}}", self.name)

    def logs(self) -> str:
        return engine("logs", self.name)

    def place(self) -> str:
        """Where its port is on this machine; empty when it does not run."""
        return engine("port", self.name, "8000", check=False).partition("\n")[0]

    def request(self, path: str, body: bytes | None = None) -> tuple[int, Any]:
        """Ask the service; (0, None) while it does not answer."""
        headers = {"content-type": "application/json"}
        try:
            with urllib.request.urlopen(
                urllib.request.Request(f"http://{self.place()}{path}", body, headers), timeout=5
            ) as response:
                return response.status, json.load(response)
        except urllib.error.HTTPError as error:
            return error.code, json.load(error)
        except (OSError, ValueError):
            return 0, None

    def is_ready(self) -> bool:
        assert self.state("Running") == "true", self.logs()
        return self.request("/health/ready")[0] == 200

    def ended(self) -> tuple[int, str]:
        """Wait for its end; the exit code and all it said."""
        wait_for(lambda: self.state("Running") == "false")
        return int(self.state("ExitCode")), self.logs()


@pytest.fixture
def start(image: str, network: str) -> Iterator[Callable[..., App]]:
    """Start a container of the image. All are removed after the test."""
    names: list[str] = []

    def start(
        *command: str, image: str = image, options: tuple[str, ...] = (), **variables: str
    ) -> App:
        name = f"app-{uuid.uuid4().hex[:8]}"
        names.append(name)
        env = [part for item in variables.items() for part in ("--env", "=".join(item))]
        place = ["--network", network, "--publish", "127.0.0.1::8000"]
        start = ["run", "--detach", "--name", name, *place, *HARDENED, *options, *env]
        engine(*start, image, *command)
        return App(name)

    yield start
    for name in names:
        engine("rm", "--force", "--time", "0", name, check=False)


def wait_for(condition: Callable[[], Any], seconds: float = 60) -> Any:
    deadline = time.monotonic() + seconds
    while not (result := condition()):
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.2)
    return result
