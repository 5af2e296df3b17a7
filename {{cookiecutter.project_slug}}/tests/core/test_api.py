"""What clients and people see of the application as a whole."""

import pytest
from httpx import ASGITransport, AsyncClient

from app.main import app, create_app
from app.settings import Settings
from tests.core.fixtures import UNREACHABLE_URL


def operations() -> list[tuple[str, dict[str, dict[str, str]]]]:
    return [
        (f"{method} {path}", operation)
        for path, methods in app.openapi()["paths"].items()
        for method, operation in methods.items()
    ]


@pytest.mark.parametrize(("name", "operation"), operations())
def test_every_operation_is_documented(name: str, operation: dict[str, dict[str, str]]) -> None:
    assert operation["summary"]
    assert operation["description"]
    assert operation["tags"]
    if "/tasks" in name:
        assert "503" in operation["responses"]
    if "requestBody" in operation:
        assert "400" in operation["responses"]
    if "{" in name:
        assert "404" in operation["responses"]


def test_operation_ids_are_unique_names_of_functions() -> None:
    ids = [str(operation["operationId"]) for _, operation in operations()]
    assert len(ids) == len(set(ids))
    assert "create_task" in ids


@pytest.mark.anyio
async def test_the_root_leads_to_the_docs(client: AsyncClient) -> None:
    response = await client.get("/", follow_redirects=True)
    assert response.status_code == 200
    assert response.url.path == "/docs"


@pytest.mark.anyio
async def test_without_a_database_the_answer_is_503(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", UNREACHABLE_URL)
    transport = ASGITransport(create_app(Settings()), raise_app_exceptions=False)
    async with AsyncClient(transport=transport, base_url="http://test") as client:
        response = await client.get("/tasks")
    assert response.status_code == 503
    assert response.json() == {"detail": "The database cannot be reached."}
    assert response.headers["retry-after"].isdigit()
