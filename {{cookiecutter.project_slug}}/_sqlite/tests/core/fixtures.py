"""Databases for tests, each a copy of one that was migrated as in production."""

import os
import re
import shutil
import subprocess
import sys
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import pytest
from alembic import command

from app.core import ROOT
from app.core.db.settings import parse_url
from app.core.migrations.config import alembic_config

UNREACHABLE_URL = "sqlite:///."  # a folder
NewDatabase = Callable[..., AbstractContextManager[str]]


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session")
def new_database(tmp_path_factory: pytest.TempPathFactory) -> NewDatabase:
    """Makes an empty database, or a copy of the one with the URL `template`, for a with block."""
    folder = tmp_path_factory.mktemp("databases")

    @contextmanager
    def new_database(template: str | None = None) -> Iterator[str]:
        file = folder / f"{uuid.uuid4().hex[:12]}.db"
        if template is not None:
            shutil.copy(str(parse_url(template).database), file)
        yield f"sqlite:///{file.as_posix()}"

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
