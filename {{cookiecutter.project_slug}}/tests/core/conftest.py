"""The core is tested on an application with a probe feature, and a database with its table."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
import sqlalchemy as sa
from fastapi import FastAPI

from app.core.app import add_core, core_options
from app.core.db.pool import Pool
from app.core.db.settings import parse_url
from app.core.settings import CoreSettings
from tests.core import probe
from tests.core.fixtures import NewDatabase


@pytest.fixture(scope="session")
def with_probe(new_database: NewDatabase) -> Iterator[str]:
    with new_database() as url:
        engine = sa.create_engine(parse_url(url), poolclass=sa.NullPool)
        probe.METADATA.create_all(engine)
        engine.dispose()
        yield url


@pytest.fixture
def probe_database_url(
    new_database: NewDatabase, with_probe: str, monkeypatch: pytest.MonkeyPatch
) -> Iterator[str]:
    """A database with the table of the probe, which is that of the application."""
    with new_database(with_probe) as url:
        monkeypatch.setenv("DATABASE_URL", url)
        yield url


def probe_app(**settings: Any) -> FastAPI:
    """An application with the core and the probe; a setting that is not given is the default."""
    values = CoreSettings(**settings)
    app = FastAPI(title="Probe", **core_options(values))
    add_core(app, values)
    app.include_router(probe.router)
    return app


@asynccontextmanager
async def client_of(
    app: FastAPI, base_url: str = "http://test", root_path: str = ""
) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app, raise_app_exceptions=False, root_path=root_path)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url=base_url, timeout=30) as client,
    ):
        yield client


@pytest.fixture
async def client(probe_database_url: str) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(probe_app()) as client:
        yield client


@pytest.fixture
async def pool(probe_database_url: str) -> AsyncIterator[Pool]:
    pool = Pool(CoreSettings())
    yield pool
    await pool.engine.dispose()
