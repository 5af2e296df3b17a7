"""What clients get for values that the database refuses."""

import asyncio
import logging
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from httpx import AsyncClient

from tests.core.conftest import client_of, probe_app
from tests.core.fixtures import UNREACHABLE_URL

pytestmark = pytest.mark.anyio

MAX_ID = 2**63 - 1


async def create(client: AsyncClient, **fields: Any) -> dict[str, Any]:
    response = await client.post("/probes", json={"name": "x", **fields})
    assert response.status_code == 201, response.text
    record: dict[str, Any] = response.json()
    return record


async def test_a_duplicate_is_409_and_names_the_field(client: AsyncClient) -> None:
    await create(client, code="one")
    other = await create(client, code="two")
    for response in (
        await client.post("/probes", json={"name": "y", "code": "one"}),
        await client.patch(f"/probes/{other['id']}", json={"code": "one"}),
    ):
        assert response.status_code == 409
        [detail] = response.json()["detail"]
        assert (detail["type"], detail["loc"]) == ("unique", ["body", "code"])


async def test_a_reference_to_nothing_is_422(client: AsyncClient) -> None:
    response = await client.post("/probes", json={"name": "x", "parent_id": 4711})
    assert response.status_code == 422
    assert response.json()["detail"][0]["type"] == "foreign_key"


async def test_deleting_what_others_refer_to_is_409(client: AsyncClient) -> None:
    parent = await create(client)
    await create(client, parent_id=parent["id"])
    response = await client.delete(f"/probes/{parent['id']}")
    assert response.status_code == 409
    assert response.json()["detail"][0]["type"] == "foreign_key"


@pytest.mark.parametrize(
    "body",
    [
        {"amount": 5000},  # a CHECK
        {"parent_id": MAX_ID + 1},
        {"parent_id": -(10**40)},
        {"code": "a\0b"},
        {"name": "a\0b"},
    ],
    ids=str,
)
async def test_a_value_that_fits_no_column_is_422(
    client: AsyncClient, body: dict[str, object]
) -> None:
    response = await client.post("/probes", json={"name": "x", **body})
    assert response.status_code == 422, response.text
    assert response.json()["detail"][0]["loc"][0] == "body"
    assert (await client.get("/probes")).json()["items"] == []


async def test_an_unknown_field_in_a_change_is_422(client: AsyncClient) -> None:
    record = await create(client)
    response = await client.patch(f"/probes/{record['id']}", json={"colour": "blue"})
    assert response.status_code == 422
    assert response.json()["detail"][0]["loc"] == ["body", "colour"]


async def test_both_times_of_a_new_record_are_the_same_and_in_utc(client: AsyncClient) -> None:
    record = await create(client)
    assert record["created_at"] == record["updated_at"]
    time = datetime.fromisoformat(record["created_at"])
    assert time.utcoffset() == timedelta(0)
    assert abs(datetime.now(UTC) - time) < timedelta(minutes=1)


async def test_the_greatest_id_is_only_unknown(client: AsyncClient) -> None:
    response = await client.get(f"/probes/{MAX_ID}")
    assert (response.status_code, response.json()) == (404, {"detail": "There is no such record."})


async def test_an_empty_change_changes_nothing(client: AsyncClient) -> None:
    record = await create(client)
    response = await client.patch(f"/probes/{record['id']}", json={})
    assert (response.status_code, response.json()) == (200, record)


async def test_a_refused_request_is_rolled_back_and_the_next_is_served(client: AsyncClient) -> None:
    responses = await asyncio.gather(
        *(client.post("/probes", json={"name": "x" * n}) for n in range(195, 206))
    )
    assert sorted(response.status_code for response in responses) == [201] * 6 + [422] * 5
    assert len((await client.get("/probes")).json()["items"]) == 6


async def test_without_a_database_the_response_is_503_and_the_log_has_the_cause(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("DATABASE_URL", UNREACHABLE_URL)
    async with client_of(probe_app()) as client:
        response = await client.get("/probes")
    assert response.status_code == 503
    assert response.json() == {"detail": "The database cannot be reached."}
    assert response.headers["retry-after"].isdigit()
    [record] = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert record.getMessage().startswith("The database: ")
    assert "secret" not in record.getMessage()
