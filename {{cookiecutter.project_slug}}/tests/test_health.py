import asyncio
import threading

import httpx
import pytest
import sqlalchemy as sa

from app.main import create_app
from app.migrations import script_directory
from app.settings import Settings

pytestmark = pytest.mark.anyio

HEAD = script_directory().get_current_head()


async def get_ready() -> tuple[int, dict[str, str | None]]:
    app = create_app(Settings())
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client,
    ):
        assert (await client.get("/health/live")).json() == {"status": "live"}
        response = await client.get("/health/ready")
    # aiosqlite ends the thread of a failed connection a moment later, and needs the loop for it.
    for thread in threading.enumerate():
        if "_connection_worker" in thread.name:
            await asyncio.to_thread(thread.join, 5)
    return response.status_code, response.json()


async def test_ready_when_the_database_is_at_head(database: str) -> None:
    status, body = await get_ready()
    assert (status, body["detail"]) == (200, "ready")
    assert body["database_revision"] == body["code_revision"] == HEAD


async def test_not_ready_before_the_first_migration(empty_database: str) -> None:
    status, body = await get_ready()
    assert (status, body["database_revision"], body["code_revision"]) == (503, None, HEAD)
    assert "alembic upgrade head" in str(body["detail"])


def migrate_on(revision: str) -> None:
    engine = sa.create_engine(Settings().database)
    with engine.begin() as connection:
        connection.execute(
            sa.text("UPDATE alembic_version SET version_num = :id"), {"id": revision}
        )
    engine.dispose()


async def test_not_ready_when_it_starts_on_a_newer_database(database: str) -> None:
    migrate_on("9999")
    status, body = await get_ready()
    assert (status, body["database_revision"], body["code_revision"]) == (503, "9999", HEAD)
    assert "newer" in str(body["detail"])


async def test_ready_still_when_a_newer_release_migrates_on(client: httpx.AsyncClient) -> None:
    assert (await client.get("/health/ready")).status_code == 200
    migrate_on("9999")
    response = await client.get("/health/ready")
    assert (response.status_code, response.json()["database_revision"]) == (200, "9999")
    assert "newer release" in response.json()["detail"]


@pytest.mark.parametrize(
    "url", ["postgresql://nobody:secret@127.0.0.1:1/none", "sqlite:////no/such/folder/app.db"]
)
async def test_not_ready_when_the_database_is_away(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", url)
    status, body = await get_ready()
    assert (status, body["database_revision"], body["code_revision"]) == (503, None, HEAD)
    assert body["detail"] == "The database cannot be reached."
