"""The pool, the line before it, and what happens to both when things go wrong."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
import sqlalchemy as sa
from fastapi import FastAPI, HTTPException
from httpx import ASGITransport, AsyncClient
from sqlmodel import col, select

from app.database import table_of
from app.dependencies import SessionDep
from app.main import create_app
from app.pool import BusyError, Database
from app.settings import Settings
from app.tasks.models import Task

pytestmark = pytest.mark.anyio

on_postgresql = pytest.mark.parametrize("databases", ["postgresql"], indirect=True)
on_sqlite = pytest.mark.parametrize("databases", ["sqlite"], indirect=True)

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
async def pool(database: str) -> AsyncIterator[Database]:
    pool = Database(Settings())
    yield pool
    await pool.engine.dispose()


async def test_a_session_is_one_transaction(database: str) -> None:
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


async def test_a_statement_is_committed_by_itself(pool: Database) -> None:
    insert = sa.insert(table_of(Task))
    await pool.all(insert.returning(col(Task.id)), **Task(title="x").model_dump(exclude={"id"}))
    async with pool.sessions() as session:
        assert (await session.exec(select(Task))).one().title == "x"


async def test_first_come_is_first_served(pool: Database) -> None:
    served: list[int] = []

    async def request(number: int) -> None:
        async with pool.turn():
            await asyncio.sleep(0.001)
            served.append(number)

    await asyncio.gather(*(request(number) for number in range(100)))
    assert served == sorted(served)


async def test_a_long_line_takes_no_more_and_a_slow_one_is_left(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_POOL_SIZE", "1")
    monkeypatch.setenv("DATABASE_QUEUE_SIZE", "2")
    monkeypatch.setenv("DATABASE_CONNECT_TIMEOUT_SECONDS", "0.2")
    app = create_app(Settings())
    pool: Database = app.state.database
    async with running(app) as client, pool.turn():
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


async def test_who_leaves_the_line_leaves_no_gap(pool: Database) -> None:
    for _ in range(20):
        async with pool.turn():
            task = asyncio.create_task(pool.first(COUNT))
            await asyncio.sleep(0)
            task.cancel()
    results = await asyncio.gather(*(pool.first(COUNT) for _ in range(50)))
    assert len(results) == 50


@pytest.fixture
def disconnect(database: str) -> Callable[[], None]:
    """End all connections of the database but our own, as a restart of the server does."""

    def disconnect() -> None:
        engine = sa.create_engine(Settings().database, isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.exec_driver_sql(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        engine.dispose()

    return disconnect


@on_postgresql
async def test_a_query_on_a_lost_connection_is_asked_again(
    client: AsyncClient, disconnect: Callable[[], None]
) -> None:
    await asyncio.gather(*(client.get("/tasks") for _ in range(20)))
    disconnect()
    responses = await asyncio.gather(*(client.get("/tasks") for _ in range(20)))
    assert {response.status_code for response in responses} == {200}


@on_postgresql
async def test_a_change_on_a_lost_connection_is_refused_and_the_next_one_is_made(
    client: AsyncClient, disconnect: Callable[[], None]
) -> None:
    body = {"title": "x"}
    assert (await client.post("/tasks", json=body)).status_code == 201
    disconnect()
    refused = await client.post("/tasks", json=body)
    assert refused.status_code == 503
    assert refused.json() == {"detail": "The database cannot be reached."}
    assert (await client.post("/tasks", json=body)).status_code == 201
    assert len((await client.get("/tasks")).json()["items"]) == 2


async def test_the_size_of_the_pool_is_never_exceeded(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_POOL_SIZE", "3")
    pool = Database(Settings())
    await asyncio.gather(*(pool.first(COUNT) for _ in range(100)))
    assert pool.engine.pool.checkedin() == 3  # type: ignore[attr-defined]
    await pool.engine.dispose()


async def test_eight_writers_at_once_lose_nothing(client: AsyncClient) -> None:
    async def write(writer: int) -> int:
        body = {"title": f"{writer}"}
        return sum([(await client.post("/tasks", json=body)).status_code == 201 for _ in range(25)])

    assert sum(await asyncio.gather(*(write(writer) for writer in range(8)))) == 200


@on_sqlite
async def test_sqlite_waits_for_writers_and_keeps_references(database: str) -> None:
    pool = Database(Settings())
    values = {}
    for pragma in ("journal_mode", "foreign_keys", "busy_timeout"):
        row = await pool.first(sa.text(f"PRAGMA {pragma}"))
        assert row is not None
        values[pragma] = row[0]
    await pool.engine.dispose()
    assert values == {"journal_mode": "wal", "foreign_keys": 1, "busy_timeout": 5000}


async def test_busy_is_an_error_of_its_own(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_POOL_SIZE", "1")
    monkeypatch.setenv("DATABASE_QUEUE_SIZE", "0")
    pool = Database(Settings())
    async with pool.turn():
        with pytest.raises(BusyError):
            await pool.first(COUNT)
