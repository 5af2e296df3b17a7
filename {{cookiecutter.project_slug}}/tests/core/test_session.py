"""Requests that run several statements, and what else they ask the database meanwhile."""

import asyncio

import pytest
from httpx import AsyncClient

from tests.core.conftest import client_of, probe_app

pytestmark = pytest.mark.anyio


async def test_a_session_and_a_repository_in_one_request_are_one_transaction(
    client: AsyncClient,
) -> None:
    assert (await client.post("/probes/two?fail=true")).status_code == 418
    assert (await client.get("/probes")).json()["items"] == []
    response = await client.post("/probes/two")
    assert response.status_code == 200
    ids = [record["id"] for record in (await client.get("/probes")).json()["items"]]
    assert sorted(ids) == sorted(response.json())


async def test_a_request_takes_one_connection_whatever_it_asks_for(
    probe_database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_POOL_SIZE", "10")
    async with client_of(probe_app()) as client:
        responses = await asyncio.gather(*(client.post("/probes/two") for _ in range(30)))
    assert [response.status_code for response in responses] == [200] * 30
