import pytest
from httpx import AsyncClient

pytestmark = pytest.mark.anyio


async def create(client: AsyncClient) -> int:
    id_: int = (await client.post("/probes", json={"name": "x"})).json()["id"]
    return id_


async def test_pages_give_every_record_once_newest_first(client: AsyncClient) -> None:
    ids = [await create(client) for _ in range(5)]
    seen, cursor = [], None
    while True:
        query = {"limit": "2", **({"cursor": cursor} if cursor else {})}
        page = (await client.get("/probes", params=query)).json()
        seen += [record["id"] for record in page["items"]]
        await create(client)  # what is added in between does not shift the pages
        if (cursor := page["next_cursor"]) is None:
            break
    assert seen == ids[::-1]


@pytest.mark.parametrize(
    "query",
    [
        "limit=0",
        "limit=101",
        "limit=x",
        "color=unknown",
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
        "cursor=8000000000000000",  # the greatest id plus one
        "cursor=" + "x" * 100,
    ],
)
async def test_a_wrong_query_is_422_and_names_the_parameter(
    client: AsyncClient, query: str
) -> None:
    response = await client.get(f"/probes?{query}")
    assert response.status_code == 422, response.text
    assert response.json()["detail"][0]["loc"] == ["query", query.partition("=")[0]]


@pytest.mark.parametrize("cursor", ["1", "7fffffffffffffff", "deadbeef"])
async def test_any_cursor_is_only_a_place_to_begin(client: AsyncClient, cursor: str) -> None:
    id_ = await create(client)
    page = (await client.get("/probes", params={"cursor": cursor})).json()
    assert [record["id"] for record in page["items"]] == ([id_] if int(cursor, 16) > id_ else [])
    assert page["next_cursor"] is None
