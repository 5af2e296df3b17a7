"""The pool, the line before it, and what happens to both when things go wrong."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import sqlalchemy as sa
from fastapi import FastAPI, HTTPException
from httpx import ASGITransport, AsyncClient
from sqlmodel import col, select

from app.core.db.base import table_of
from app.core.db.pool import Pool, QueueFullError
from app.core.db.session import SessionDep
from app.main import create_app
from app.settings import Settings
from app.tasks.models import Task

pytestmark = pytest.mark.anyio

COUNT = sa.select(sa.func.count()).select_from(Task)


@asynccontextmanager
async def running(app: FastAPI) -> AsyncIterator[AsyncClient]:
    transport = ASGITransport(app, raise_app_exceptions=False)
    async with (
        app.router.lifespan_context(app),
        AsyncClient(transport=transport, base_url="http://test", timeout=30) as client,
    ):
        yield client


@pytest.fixture
async def pool(database_url: str) -> AsyncIterator[Pool]:
    pool = Pool(Settings())
    yield pool
    await pool.engine.dispose()


async def test_a_session_is_one_transaction(database_url: str) -> None:
    app = create_app(Settings())

    @app.post("/two")
    async def two(session: SessionDep, fail: bool = False) -> None:
        session.add(Task(title="one"))
        await session.flush()
        session.add(Task(title="two"))
        await session.flush()
        if fail:
            raise HTTPException(409)

    async with running(app) as client:
        assert (await client.post("/two?fail=true")).status_code == 409
        assert (await client.get("/tasks")).json()["items"] == []
        assert (await client.post("/two")).status_code == 200
        assert len((await client.get("/tasks")).json()["items"]) == 2


async def test_a_statement_is_committed_by_itself(pool: Pool) -> None:
    insert = sa.insert(table_of(Task))
    await pool.all(insert.returning(col(Task.id)), **Task(title="x").model_dump(exclude={"id"}))
    async with pool.sessions() as session:
        assert (await session.exec(select(Task))).one().title == "x"


async def test_requests_get_connections_in_the_order_they_came(pool: Pool) -> None:
    served: list[int] = []

    async def request(number: int) -> None:
        async with pool.slot():
            await asyncio.sleep(0.001)
            served.append(number)

    await asyncio.gather(*(request(number) for number in range(100)))
    assert served == sorted(served)


async def test_a_full_queue_and_a_timeout_in_it_are_503(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_POOL_SIZE", "1")
    monkeypatch.setenv("DATABASE_QUEUE_SIZE", "2")
    monkeypatch.setenv("DATABASE_CONNECT_TIMEOUT_SECONDS", "0.2")
    app = create_app(Settings())
    pool: Pool = app.state.pool
    async with running(app) as client, pool.slot():
        started = time.monotonic()
        waiting = [asyncio.create_task(client.get("/tasks")) for _ in range(2)]
        await asyncio.sleep(0.05)
        refused = await client.get("/tasks")
        assert time.monotonic() - started < 0.2  # at once
        left = await asyncio.gather(*waiting)
        for response in (refused, *left):
            assert response.status_code == 503
            assert response.json() == {"detail": "Too many requests wait for the database."}
            assert response.headers["retry-after"].isdigit()
    async with running(app) as client:
        assert (await client.get("/tasks")).status_code == 200


async def test_a_cancelled_wait_frees_its_place_in_the_queue(pool: Pool) -> None:
    for _ in range(20):
        async with pool.slot():
            task = asyncio.create_task(pool.first(COUNT))
            await asyncio.sleep(0)
            task.cancel()
    results = await asyncio.gather(*(pool.first(COUNT) for _ in range(50)))
    assert len(results) == 50


async def test_the_size_of_the_pool_is_never_exceeded(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_POOL_SIZE", "3")
    pool = Pool(Settings())
    await asyncio.gather(*(pool.first(COUNT) for _ in range(100)))
    assert pool.engine.pool.checkedin() == 3  # type: ignore[attr-defined]
    await pool.engine.dispose()


async def test_eight_writers_at_once_lose_nothing(client: AsyncClient) -> None:
    async def write(writer: int) -> int:
        body = {"title": f"{writer}"}
        return sum([(await client.post("/tasks", json=body)).status_code == 201 for _ in range(25)])

    assert sum(await asyncio.gather(*(write(writer) for writer in range(8)))) == 200


async def test_a_full_queue_raises_queue_full_error(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_POOL_SIZE", "1")
    monkeypatch.setenv("DATABASE_QUEUE_SIZE", "0")
    pool = Pool(Settings())
    async with pool.slot():
        with pytest.raises(QueueFullError):
            await pool.first(COUNT)
