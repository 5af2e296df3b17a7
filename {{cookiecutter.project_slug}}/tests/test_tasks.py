import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from httpx import AsyncClient

pytestmark = pytest.mark.anyio

MAX_ID = 2**63 - 1


async def create(
    client: AsyncClient, title: str = "Water the plants", **fields: str
) -> dict[str, str]:
    response = await client.post("/tasks", json={"title": title, **fields})
    assert response.status_code == 201, response.text
    task: dict[str, str] = response.json()
    return task


async def test_a_created_task_is_found_where_the_location_says(client: AsyncClient) -> None:
    response = await client.post("/tasks", json={"title": "Water the plants"})
    assert response.status_code == 201
    task = response.json()
    assert task["title"] == "Water the plants"
    assert task["status"] == "todo"
    assert (await client.get(response.headers["location"])).json() == task


async def test_the_times_of_a_task_are_now_and_in_utc(client: AsyncClient) -> None:
    task = await create(client)
    for name in ("created_at", "updated_at"):
        time = datetime.fromisoformat(task[name])
        assert time.utcoffset() == timedelta(0)
        assert abs(datetime.now(UTC) - time) < timedelta(minutes=1)


@pytest.mark.parametrize("title", ["x", "x" * 200, "Наполнить 水やり 🌱", "'; DROP TABLE task; --"])
async def test_a_title_comes_back_as_it_was_given(client: AsyncClient, title: str) -> None:
    task = await create(client, title)
    assert (await client.get(f"/tasks/{task['id']}")).json()["title"] == title


@pytest.mark.parametrize(
    "body",
    [
        b'{"title": ""}',
        b'{"title": "   "}',
        b'{"title": null}',
        b'{"title": 1}',
        b'{"title": "' + b"x" * 201 + b'"}',
        b'{"title": "x", "status": "unknown"}',
        b"{}",
        b"[]",
    ],
)
async def test_a_wrong_body_is_refused_with_the_reason(client: AsyncClient, body: bytes) -> None:
    response = await client.post(
        "/tasks", content=body, headers={"content-type": "application/json"}
    )
    assert response.status_code in (400, 422), response.text
    assert response.json()["detail"]
    assert (await client.get("/tasks")).json()["items"] == []


@pytest.mark.parametrize("body", [{"title": None}, {"title": " "}, {"status": None}])
async def test_a_wrong_change_is_refused(client: AsyncClient, body: dict[str, str | None]) -> None:
    task = await create(client)
    response = await client.patch(f"/tasks/{task['id']}", json=body)
    assert response.status_code == 422
    assert (await client.get(f"/tasks/{task['id']}")).json() == task


async def test_a_change_keeps_what_is_not_in_it(client: AsyncClient) -> None:
    task = await create(client)
    response = await client.patch(f"/tasks/{task['id']}", json={"status": "done"})
    assert response.status_code == 200
    changed = response.json()
    assert changed == {**task, "status": "done", "updated_at": changed["updated_at"]}
    assert changed["updated_at"] > task["updated_at"]


async def test_an_empty_change_changes_nothing(client: AsyncClient) -> None:
    task = await create(client)
    response = await client.patch(f"/tasks/{task['id']}", json={})
    assert response.status_code == 200
    assert response.json() == task


async def test_a_deleted_task_is_gone(client: AsyncClient) -> None:
    task = await create(client)
    response = await client.delete(f"/tasks/{task['id']}")
    assert response.status_code == 204
    assert response.content == b""
    for method in ("GET", "PATCH", "DELETE"):
        response = await client.request(method, f"/tasks/{task['id']}", json={"title": "x"})
        assert response.status_code == 404
        assert response.json() == {"detail": "There is no such record."}


async def test_the_greatest_id_is_only_unknown(client: AsyncClient) -> None:
    assert (await client.get(f"/tasks/{MAX_ID}")).status_code == 404


async def test_pages_give_every_task_once_newest_first(client: AsyncClient) -> None:
    ids = [(await create(client))["id"] for _ in range(5)]
    seen, cursor = [], None
    while True:
        query = {"limit": "2", **({"cursor": cursor} if cursor else {})}
        page = (await client.get("/tasks", params=query)).json()
        seen += [task["id"] for task in page["items"]]
        await create(client)  # what comes in between does not shift the pages
        if (cursor := page["next_cursor"]) is None:
            break
    assert seen == ids[::-1]


async def test_tasks_are_listed_by_status(client: AsyncClient) -> None:
    await create(client)
    done = await create(client, status="done")
    page = (await client.get("/tasks", params={"status": "done"})).json()
    assert page == {"items": [done], "next_cursor": None}


@pytest.mark.parametrize(
    "query",
    [
        "limit=0",
        "limit=101",
        "limit=x",
        "status=unknown",
        "cursor=",
        "cursor=x",
        "cursor=0",
        "cursor=-1",
        "cursor=1e3x",
        "cursor=01",
        "cursor=1%20",
        "cursor=1%0A",
        "cursor=A",
        "cursor=1_0",
        "cursor=%D9%A1",  # a digit, but an Arabic one
        "cursor=8000000000000000",  # the greatest id and one
        "cursor=" + "x" * 100,
    ],
)
async def test_a_wrong_query_is_refused(client: AsyncClient, query: str) -> None:
    response = await client.get(f"/tasks?{query}")
    assert response.status_code == 422, response.text
    assert response.json()["detail"][0]["loc"] == ["query", query.partition("=")[0]]


@pytest.mark.parametrize("cursor", ["1", "7fffffffffffffff", "deadbeef"])
async def test_a_forged_cursor_is_only_another_place_to_begin(
    client: AsyncClient, cursor: str
) -> None:
    task = await create(client)
    page = (await client.get("/tasks", params={"cursor": cursor})).json()
    assert page == {
        "items": [task] if int(cursor, 16) > int(task["id"]) else [],
        "next_cursor": None,
    }


async def test_what_was_refused_is_rolled_back_and_the_next_request_is_served(
    client: AsyncClient,
) -> None:
    responses = await asyncio.gather(
        *(client.post("/tasks", json={"title": "x" * n}) for n in range(195, 206))
    )
    assert sorted(response.status_code for response in responses) == [201] * 6 + [422] * 5
    assert len((await client.get("/tasks")).json()["items"]) == 6
