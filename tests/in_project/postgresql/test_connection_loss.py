"""What happens to requests when PostgreSQL closes the connections."""

import asyncio
from collections.abc import Callable

import pytest
import sqlalchemy as sa
from httpx import AsyncClient

from app.core.db.settings import parse_url

pytestmark = pytest.mark.anyio


@pytest.fixture
def disconnect(probe_database_url: str) -> Callable[[], None]:
    """End all connections of the database but our own, as a restart of the server does."""

    def disconnect() -> None:
        engine = sa.create_engine(parse_url(probe_database_url), isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.exec_driver_sql(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        engine.dispose()

    return disconnect


async def test_a_query_on_a_lost_connection_is_asked_again(
    client: AsyncClient, disconnect: Callable[[], None]
) -> None:
    await asyncio.gather(*(client.get("/probes") for _ in range(20)))
    disconnect()
    responses = await asyncio.gather(*(client.get("/probes") for _ in range(20)))
    assert {response.status_code for response in responses} == {200}


async def test_a_change_on_a_lost_connection_is_refused_and_the_next_one_is_made(
    client: AsyncClient, disconnect: Callable[[], None]
) -> None:
    body = {"name": "x"}
    assert (await client.post("/probes", json=body)).status_code == 201
    disconnect()
    refused = await client.post("/probes", json=body)
    assert refused.status_code == 503
    assert refused.json() == {"detail": "The database cannot be reached."}
    assert (await client.post("/probes", json=body)).status_code == 201
    assert len((await client.get("/probes")).json()["items"]) == 2
