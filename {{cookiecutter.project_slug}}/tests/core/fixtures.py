"""Databases for tests, each a copy of one that was migrated as in production."""

import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest
from alembic import command

from app.core import ROOT
from app.core.db import embedded
from app.core.db.scratch import create_database, drop_database
from app.core.db.settings import parse_url
from app.core.migrations.config import alembic_config

UNREACHABLE_URL = "postgresql://nobody:secret@127.0.0.1:1/none"
NewDatabase = Callable[..., AbstractContextManager[str]]

# Nothing here has to outlive a crash; otherwise each new database waits for the disk.
SETTINGS = {
    "autovacuum": "off",
    "fsync": "off",
    "full_page_writes": "off",
    "max_wal_senders": "0",
    "synchronous_commit": "off",
    "wal_level": "minimal",
}
MEMORY = Path("/dev/shm")
ENOUGH_BYTES = 500_000_000


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session")
def postgresql() -> Iterator[str]:
    """A PostgreSQL server: TEST_DATABASE_URL, or one that runs for as long as the tests do."""
    if given := os.environ.get("TEST_DATABASE_URL"):
        yield given
        return
    in_memory = MEMORY.is_dir() and shutil.disk_usage(MEMORY).free > ENOUGH_BYTES
    with tempfile.TemporaryDirectory(
        dir=MEMORY if in_memory else None, ignore_cleanup_errors=True
    ) as folder:
        yield embedded.start(Path(folder), SETTINGS)
        embedded.stop(Path(folder))


@pytest.fixture(scope="session")
def new_database(postgresql: str) -> NewDatabase:
    """Makes an empty database, or a copy of the one that `template` names, for a with block."""
    # Faster without fsync; it waits for the disk of a server that has it.
    strategy = "" if "TEST_DATABASE_URL" in os.environ else "STRATEGY FILE_COPY"

    @contextmanager
    def new_database(template: str = "template1") -> Iterator[str]:
        source = parse_url(template).database if "/" in template else template
        name = f"test_{uuid.uuid4().hex[:12]}"
        url = create_database(postgresql, name, f'TEMPLATE "{source}" {strategy}')
        yield url
        drop_database(postgresql, url)

    return new_database


@pytest.fixture(scope="session")
def migrated_once(new_database: NewDatabase) -> Iterator[str]:
    with new_database() as url:
        command.upgrade(alembic_config(url), "head")
        yield url


@pytest.fixture
def empty_database_url(new_database: NewDatabase, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """An empty database, which is that of Alembic and the application during the test."""
    with new_database() as url:
        monkeypatch.setenv("DATABASE_URL", url)
        yield url


@pytest.fixture
def database_url(
    new_database: NewDatabase, migrated_once: str, monkeypatch: pytest.MonkeyPatch
) -> Iterator[str]:
    """The same, migrated and without rows."""
    with new_database(migrated_once) as url:
        monkeypatch.setenv("DATABASE_URL", url)
        yield url


@pytest.fixture(scope="session")
def server(new_database: NewDatabase, migrated_once: str) -> Iterator[str]:
    """The URL of the service as it runs: uvicorn, a real socket. Its tests share a database."""
    with (
        new_database(migrated_once) as url,
        subprocess.Popen(
            [sys.executable, "-m", "uvicorn", "app.main:app", "--port", "0", "--no-access-log"],
            cwd=ROOT,
            env=os.environ | {"DATABASE_URL": url},
            stderr=subprocess.PIPE,
            text=True,
        ) as process,
    ):
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
