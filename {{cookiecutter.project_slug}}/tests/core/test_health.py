import pytest
import sqlalchemy as sa

from app.core.db.settings import parse_url
from app.core.migrations.config import script_directory
from tests.core.conftest import client_of, probe_app
from tests.core.fixtures import UNREACHABLE_URL

pytestmark = pytest.mark.anyio

HEAD = script_directory().get_current_head()


async def get_ready() -> tuple[int, dict[str, str | None]]:
    async with client_of(probe_app()) as client:
        assert (await client.get("/health/live")).json() == {"status": "live"}
        response = await client.get("/health/ready")
    return response.status_code, response.json()


async def test_ready_when_the_database_is_at_head(database_url: str) -> None:
    status, body = await get_ready()
    assert (status, body["detail"]) == (200, "ready")
    assert body["database_revision"] == body["code_revision"] == HEAD


async def test_not_ready_before_the_first_migration(empty_database_url: str) -> None:
    status, body = await get_ready()
    assert (status, body["database_revision"], body["code_revision"]) == (503, None, HEAD)
    assert "alembic upgrade head" in str(body["detail"])


def migrate_on(database_url: str, revision: str) -> None:
    engine = sa.create_engine(parse_url(database_url))
    with engine.begin() as connection:
        connection.execute(
            sa.text("UPDATE alembic_version SET version_num = :id"), {"id": revision}
        )
    engine.dispose()


async def test_not_ready_when_it_starts_on_a_newer_database(database_url: str) -> None:
    migrate_on(database_url, "9999")
    status, body = await get_ready()
    assert (status, body["database_revision"], body["code_revision"]) == (503, "9999", HEAD)
    assert "newer" in str(body["detail"])


async def test_ready_still_when_a_newer_release_migrates_on(database_url: str) -> None:
    async with client_of(probe_app()) as client:
        assert (await client.get("/health/ready")).status_code == 200
        migrate_on(database_url, "9999")
        response = await client.get("/health/ready")
    assert (response.status_code, response.json()["database_revision"]) == (200, "9999")
    assert "newer release" in response.json()["detail"]


async def test_not_ready_when_the_database_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", UNREACHABLE_URL)
    status, body = await get_ready()
    assert (status, body["database_revision"], body["code_revision"]) == (503, None, HEAD)
    assert body["detail"] == "The database cannot be reached."
