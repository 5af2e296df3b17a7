"""The pool, the queue before it, and what happens to both when things go wrong."""

import asyncio

import pytest
import sqlalchemy as sa
from httpx import AsyncClient, Response

from app.core.db.pool import Pool, QueueFullError
from app.core.settings import CoreSettings
from tests.core.conftest import client_of, probe_app
from tests.core.probe import Probe

pytestmark = pytest.mark.anyio

COUNT = sa.select(sa.func.count()).select_from(Probe)


async def test_requests_get_connections_in_the_order_they_came(pool: Pool) -> None:
    served: list[int] = []

    async def request(number: int) -> None:
        async with pool.slot():
            await asyncio.sleep(0.001)
            served.append(number)

    await asyncio.gather(*(request(number) for number in range(100)))
    assert served == sorted(served)


def assert_busy(response: Response) -> None:
    assert response.status_code == 503
    assert response.json() == {"detail": "Too many requests wait for the database."}
    assert response.headers["retry-after"].isdigit()


async def test_a_request_is_refused_while_the_queue_is_full(
    probe_database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_POOL_SIZE", "1")
    monkeypatch.setenv("DATABASE_QUEUE_SIZE", "2")
    monkeypatch.setenv("DATABASE_CONNECT_TIMEOUT_SECONDS", "60")
    app = probe_app()
    async with client_of(app) as client:
        async with app.state.pool.slot():
            waiting = [asyncio.create_task(client.get("/probes")) for _ in range(2)]
            for _ in range(1000):
                if app.state.pool.waiting == 2:
                    break
                await asyncio.sleep(0.01)
            assert_busy(await client.get("/probes"))
            assert not any(request.done() for request in waiting)
        assert [response.status_code for response in await asyncio.gather(*waiting)] == [200, 200]


async def test_a_request_that_waits_for_too_long_is_refused(
    probe_database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_POOL_SIZE", "1")
    monkeypatch.setenv("DATABASE_CONNECT_TIMEOUT_SECONDS", "0.2")
    app = probe_app()
    async with client_of(app) as client:
        async with app.state.pool.slot():
            assert_busy(await client.get("/probes"))
        assert (await client.get("/probes")).status_code == 200


async def test_a_cancelled_wait_frees_its_place_in_the_queue(
    probe_database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_POOL_SIZE", "1")
    pool = Pool(CoreSettings())
    async with pool.slot():
        for _ in range(20):
            task = asyncio.create_task(pool.first(COUNT))
            await asyncio.sleep(0)
            assert pool.waiting == 1
            task.cancel()
            await asyncio.wait([task])
            assert pool.waiting == 0
    results = await asyncio.gather(*(pool.first(COUNT) for _ in range(50)))
    assert len(results) == 50
    await pool.engine.dispose()


async def test_the_size_of_the_pool_is_never_exceeded(
    probe_database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_POOL_SIZE", "3")
    pool = Pool(CoreSettings())
    await asyncio.gather(*(pool.first(COUNT) for _ in range(100)))
    assert pool.engine.pool.checkedin() == 3  # type: ignore[attr-defined]
    await pool.engine.dispose()


async def test_eight_writers_at_once_lose_nothing(client: AsyncClient) -> None:
    async def write(writer: int) -> int:
        body = {"name": f"{writer}"}
        return sum(
            [(await client.post("/probes", json=body)).status_code == 201 for _ in range(25)]
        )

    assert sum(await asyncio.gather(*(write(writer) for writer in range(8)))) == 200


async def test_a_full_queue_raises_queue_full_error(
    probe_database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_POOL_SIZE", "1")
    monkeypatch.setenv("DATABASE_QUEUE_SIZE", "0")
    pool = Pool(CoreSettings())
    async with pool.slot():
        with pytest.raises(QueueFullError):
            await pool.first(COUNT)
