import pytest
from httpx import AsyncClient

pytestmark = pytest.mark.anyio


async def create(client: AsyncClient, **fields: str) -> dict[str, str]:
    response = await client.post("/tasks", json={"title": "Water the plants", **fields})
    assert response.status_code == 201, response.text
    task: dict[str, str] = response.json()
    return task


async def test_a_created_task_is_found_where_the_location_says(client: AsyncClient) -> None:
    response = await client.post("/tasks", json={"title": "Water the plants"})
    assert response.status_code == 201
    task = response.json()
    assert (task["title"], task["status"]) == ("Water the plants", "todo")
    assert (await client.get(response.headers["location"])).json() == task


@pytest.mark.parametrize("title", ["x", "x" * 200, "Наполнить 水やり 🌱", "'; DROP TABLE task; --"])
async def test_a_title_comes_back_as_it_was_sent(client: AsyncClient, title: str) -> None:
    task = await create(client, title=title)
    assert (await client.get(f"/tasks/{task['id']}")).json()["title"] == title


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"title": ""},
        {"title": "   "},
        {"title": None},
        {"title": "x" * 201},
        {"title": "a\0b"},
        {"title": "x", "status": "unknown"},
    ],
)
async def test_a_wrong_task_is_refused(client: AsyncClient, body: dict[str, str]) -> None:
    assert (await client.post("/tasks", json=body)).status_code == 422
    assert (await client.get("/tasks")).json()["items"] == []


async def test_a_change_keeps_the_other_fields(client: AsyncClient) -> None:
    task = await create(client)
    changed = (await client.patch(f"/tasks/{task['id']}", json={"status": "done"})).json()
    assert changed == {**task, "status": "done", "updated_at": changed["updated_at"]}
    assert changed["updated_at"] > task["updated_at"]


@pytest.mark.parametrize("body", [{"title": None}, {"title": " "}, {"status": None}, {"name": "x"}])
async def test_a_wrong_change_is_refused(client: AsyncClient, body: dict[str, str | None]) -> None:
    task = await create(client)
    assert (await client.patch(f"/tasks/{task['id']}", json=body)).status_code == 422
    assert (await client.get(f"/tasks/{task['id']}")).json() == task


async def test_a_deleted_task_is_gone(client: AsyncClient) -> None:
    task = await create(client)
    assert (await client.delete(f"/tasks/{task['id']}")).status_code == 204
    for method in ("GET", "PATCH", "DELETE"):
        response = await client.request(method, f"/tasks/{task['id']}", json={"title": "x"})
        assert response.status_code == 404


async def test_tasks_are_listed_by_status(client: AsyncClient) -> None:
    await create(client)
    done = await create(client, status="done")
    page = (await client.get("/tasks", params={"status": "done"})).json()
    assert page == {"items": [done], "next_cursor": None}
