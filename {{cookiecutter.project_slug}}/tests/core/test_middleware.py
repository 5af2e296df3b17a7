"""Who gets in, and what is told to whom."""

import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from fastapi import FastAPI
from httpx import ASGITransport, AsyncClient, Response

from app.main import create_app
from app.settings import Settings

pytestmark = pytest.mark.anyio

SITE = "https://app.example"


@asynccontextmanager
async def client_of(
    app: FastAPI, base_url: str = "http://test", root_path: str = ""
) -> AsyncIterator[AsyncClient]:
    transport = ASGITransport(app, raise_app_exceptions=False, root_path=root_path)
    async with (
        app.router.lifespan_context(app),
        AsyncClient(transport=transport, base_url=base_url) as client,
    ):
        yield client


@pytest.fixture
def app_with(database_url: str) -> Callable[..., FastAPI]:
    def app_with(**settings: Any) -> FastAPI:
        return create_app(Settings(**settings))

    return app_with


def assert_headers(response: Response) -> None:
    assert response.headers["x-content-type-options"] == "nosniff"
    assert response.headers["x-frame-options"] == "DENY"
    assert response.headers["referrer-policy"] == "no-referrer"
    assert "default-src 'none'" in response.headers["content-security-policy"]
    assert response.headers["x-request-id"]


async def test_every_kind_of_answer_has_the_security_headers(
    app_with: Callable[..., FastAPI],
) -> None:
    app = app_with(max_body_bytes=100, allowed_hosts=("test",))

    @app.get("/fault")
    async def fault() -> None:
        raise RuntimeError("a secret")

    async with client_of(app) as client:
        answers = {
            201: await client.post("/tasks", json={"title": "x"}),
            200: await client.get("/tasks"),
            204: await client.delete("/tasks/1"),
            307: await client.get("/"),
            400: await client.get("/tasks", headers={"host": "evil.example"}),
            404: await client.get("/tasks/1"),
            405: await client.put("/tasks"),
            413: await client.post("/tasks", content=b"x" * 101),
            422: await client.get("/tasks?limit=x"),
            500: await client.get("/fault"),
        }
    for status, response in answers.items():
        assert response.status_code == status
        assert_headers(response)
        assert response.headers["cache-control"] == "no-store"
        assert "strict-transport-security" not in response.headers
        assert "secret" not in response.text


async def test_over_https_browsers_are_told_to_stay_there(
    app_with: Callable[..., FastAPI],
) -> None:
    async with client_of(app_with(), "https://test") as client:
        response = await client.get("/tasks")
    assert response.headers["strict-transport-security"] == "max-age=31536000"


async def test_no_site_may_call_it_unless_it_is_named(app_with: Callable[..., FastAPI]) -> None:
    question = {"origin": SITE, "access-control-request-method": "POST"}
    async with client_of(app_with()) as client:
        for response in (
            await client.options("/tasks", headers=question),
            await client.get("/tasks", headers={"origin": SITE}),
        ):
            assert not [name for name in response.headers if name.startswith("access-control")]

    async with client_of(app_with(cors_origins=SITE)) as client:
        asked = await client.options("/tasks", headers=question)
        given = await client.get("/tasks", headers={"origin": SITE})
        other = await client.get("/tasks", headers={"origin": f"{SITE}.evil.example"})
    assert asked.status_code == 200
    assert "POST" in asked.headers["access-control-allow-methods"]
    assert given.headers["access-control-allow-origin"] == SITE
    assert "x-request-id" in given.headers["access-control-expose-headers"].lower()
    assert "access-control-allow-origin" not in other.headers
    for response in (asked, given, other):
        assert_headers(response)
        assert "access-control-allow-credentials" not in response.headers


async def test_an_error_can_be_read_by_a_site_that_may_call(
    app_with: Callable[..., FastAPI],
) -> None:
    async with client_of(app_with(cors_origins=SITE, max_body_bytes=10)) as client:
        for response in (
            await client.get("/tasks/0", headers={"origin": SITE}),
            await client.post("/tasks", content=b"x" * 11, headers={"origin": SITE}),
        ):
            assert response.status_code in (413, 422)
            assert response.headers["access-control-allow-origin"] == SITE


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("api.example", 200),
        ("api.example:8000", 200),
        ("a.wild.example", 200),
        ("evil.example", 400),
        ("api.example.evil.example", 400),
        ("wild.example.evil", 400),
        ("", 400),
    ],
)
async def test_it_answers_to_its_names_alone(
    app_with: Callable[..., FastAPI], host: str, status: int
) -> None:
    app = app_with(allowed_hosts="api.example, *.wild.example")
    async with client_of(app) as client:
        assert (await client.get("/tasks", headers={"host": host})).status_code == status
        # A probe comes by an address.
        assert (await client.get("/health/ready", headers={"host": host})).status_code == 200


async def test_without_docs_there_is_neither_the_page_nor_the_document(
    app_with: Callable[..., FastAPI],
) -> None:
    async with client_of(app_with(docs=False)) as client:
        for path in ("/", "/docs", "/docs/static/swagger-ui-bundle.js", "/openapi.json", "/redoc"):
            assert (await client.get(path)).status_code == 404
        assert (await client.get("/tasks")).status_code == 200


async def test_the_docs_ask_this_service_alone(app_with: Callable[..., FastAPI]) -> None:
    async with client_of(app_with()) as client:
        page = await client.get("/docs")
        assert_headers(page)
        links = re.findall(r'(?:src|href)="([^"]+)"', page.text)
        assert len(links) == 3
        for link in links:
            response = await client.get(link)
            assert response.status_code == 200
            assert len(response.content) > 500


async def test_behind_a_prefix_the_docs_and_a_location_are_or_404(
    app_with: Callable[..., FastAPI],
) -> None:
    async with client_of(app_with(), root_path="/api") as client:
        page = (await client.get("/api/docs")).text
        created = await client.post("/api/tasks", json={"title": "x"})
    assert '"/api/docs/static/swagger-ui.css"' in page
    assert "'/api/openapi.json'" in page
    assert created.headers["location"].startswith("/api/tasks/")


async def test_a_method_that_is_not_there_is_told_which_are(
    app_with: Callable[..., FastAPI],
) -> None:
    async with client_of(app_with()) as client:
        for path, allowed in (("/tasks", "GET, POST"), ("/tasks/1", "GET, PATCH, DELETE")):
            response = await client.put(path)
            assert response.status_code == 405
            assert response.headers["allow"] == allowed
            assert response.json() == {"detail": "Method Not Allowed"}
