"""The same queries by psycopg on Starlette: a pool of 10, autocommit, orjson, nothing checked."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import orjson
from psycopg.rows import dict_row
from psycopg_pool import AsyncConnectionPool
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

COLUMNS = "id, created_at, updated_at, title, status"
GET = f"SELECT {COLUMNS} FROM task WHERE id = %s"
PAGE = f"SELECT {COLUMNS} FROM task WHERE id < %s ORDER BY id DESC LIMIT %s"
INSERT = (
    "INSERT INTO task (title, status, created_at, updated_at) "
    f"VALUES (%s, %s, now(), now()) RETURNING {COLUMNS}"
)

pool = AsyncConnectionPool(
    os.environ["DATABASE_URL"],
    min_size=10,
    max_size=10,
    open=False,
    kwargs={"autocommit": True, "row_factory": dict_row},
)


@asynccontextmanager
async def lifespan(_: Starlette) -> AsyncIterator[None]:
    async with pool:
        yield


async def rows(query: str, *parameters: Any) -> list[dict[str, Any]]:
    async with pool.connection() as connection:
        cursor = await connection.execute(query, parameters)
        return await cursor.fetchall()


def answer(content: Any, status: int = 200) -> Response:
    return Response(orjson.dumps(content), status, media_type="application/json")


async def get_task(request: Request) -> Response:
    return answer((await rows(GET, int(request.path_params["id_"])))[0])


async def list_tasks(request: Request) -> Response:
    limit = int(request.query_params.get("limit", 20))
    given = request.query_params.get("cursor")
    before = int(given, 16) if given else 2**63 - 1
    found = await rows(PAGE, before, limit + 1)
    cursor = None
    if len(found) > limit:
        cursor = f"{found[limit - 1]['id']:x}"
    return answer({"items": found[:limit], "next_cursor": cursor})


async def create_task(request: Request) -> Response:
    body = orjson.loads(await request.body())
    return answer((await rows(INSERT, body["title"], body.get("status", "todo")))[0], 201)


app = Starlette(
    routes=[
        Route("/tasks/{id_:int}", get_task),
        Route("/tasks", list_tasks),
        Route("/tasks", create_task, methods=["POST"]),
    ],
    lifespan=lifespan,
)
