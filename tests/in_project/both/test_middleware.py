"""CORS, allowed hosts, security headers, body limit, and /docs."""

import re

import pytest
from httpx import AsyncClient, Response

from tests.core.conftest import client_of, probe_app

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("probe_database_url")]

SITE = "https://app.example"


def assert_headers(response: Response) -> None:
    assert response.headers["x-content-type-options"] == "nosniff"
    assert response.headers["x-frame-options"] == "DENY"
    assert response.headers["referrer-policy"] == "no-referrer"
    assert "default-src 'none'" in response.headers["content-security-policy"]
    assert response.headers["x-request-id"]


async def test_every_kind_of_answer_has_the_security_headers() -> None:
    app = probe_app(max_body_bytes=100, allowed_hosts=("test",))

    @app.get("/error")
    async def error() -> None:
        raise RuntimeError("a secret")

    async with client_of(app) as client:
        answers = {
            201: await client.post("/probes", json={"name": "x"}),
            200: await client.get("/probes"),
            204: await client.delete("/probes/1"),
            307: await client.get("/"),
            400: await client.get("/probes", headers={"host": "evil.example"}),
            404: await client.get("/probes/1"),
            405: await client.put("/probes"),
            413: await client.post("/probes", content=b"x" * 101),
            422: await client.get("/probes?limit=x"),
            500: await client.get("/error"),
        }
    for status, response in answers.items():
        assert response.status_code == status
        assert_headers(response)
        assert response.headers["cache-control"] == "no-store"
        assert "strict-transport-security" not in response.headers
        assert "secret" not in response.text


async def test_hsts_is_sent_over_https_alone() -> None:
    async with client_of(probe_app(), "https://test") as client:
        response = await client.get("/probes")
    assert response.headers["strict-transport-security"] == "max-age=31536000"


async def test_cors_allows_only_the_sites_in_the_settings() -> None:
    question = {"origin": SITE, "access-control-request-method": "POST"}
    async with client_of(probe_app()) as client:
        for response in (
            await client.options("/probes", headers=question),
            await client.get("/probes", headers={"origin": SITE}),
        ):
            assert not [name for name in response.headers if name.startswith("access-control")]

    async with client_of(probe_app(cors_origins=SITE)) as client:
        asked = await client.options("/probes", headers=question)
        given = await client.get("/probes", headers={"origin": SITE})
        other = await client.get("/probes", headers={"origin": f"{SITE}.evil.example"})
    assert asked.status_code == 200
    assert "POST" in asked.headers["access-control-allow-methods"]
    assert given.headers["access-control-allow-origin"] == SITE
    assert "x-request-id" in given.headers["access-control-expose-headers"].lower()
    assert "access-control-allow-origin" not in other.headers
    for response in (asked, given, other):
        assert_headers(response)
        assert "access-control-allow-credentials" not in response.headers


async def test_errors_have_cors_headers_too() -> None:
    async with client_of(probe_app(cors_origins=SITE, max_body_bytes=10)) as client:
        for response in (
            await client.get("/probes/0", headers={"origin": SITE}),
            await client.post("/probes", content=b"x" * 11, headers={"origin": SITE}),
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
async def test_only_allowed_hosts_are_answered(host: str, status: int) -> None:
    app = probe_app(allowed_hosts="api.example, *.wild.example")
    async with client_of(app) as client:
        assert (await client.get("/probes", headers={"host": host})).status_code == status
        # A probe comes by an address.
        assert (await client.get("/health/live", headers={"host": host})).status_code == 200


async def test_without_docs_there_is_neither_the_page_nor_the_document() -> None:
    async with client_of(probe_app(docs=False)) as client:
        for path in ("/", "/docs", "/docs/static/swagger-ui-bundle.js", "/openapi.json", "/redoc"):
            assert (await client.get(path)).status_code == 404
        assert (await client.get("/probes")).status_code == 200


async def test_the_docs_ask_this_service_alone() -> None:
    async with client_of(probe_app()) as client:
        page = await client.get("/docs")
        assert_headers(page)
        links = re.findall(r'(?:src|href)="([^"]+)"', page.text)
        assert len(links) == 3
        for link in links:
            response = await client.get(link)
            assert response.status_code == 200
            assert len(response.content) > 500


async def test_behind_a_prefix_the_docs_find_their_files() -> None:
    async with client_of(probe_app(), root_path="/api") as client:
        page = (await client.get("/api/docs")).text
    assert '"/api/docs/static/swagger-ui.css"' in page
    assert "'/api/openapi.json'" in page


async def test_the_root_redirects_to_the_docs(client: AsyncClient) -> None:
    response = await client.get("/", follow_redirects=True)
    assert response.status_code == 200
    assert response.url.path == "/docs"


async def test_405_names_every_method_of_the_path() -> None:
    async with client_of(probe_app()) as client:
        for path, allowed in (("/probes", "GET, POST"), ("/probes/1", "GET, PATCH, DELETE")):
            response = await client.put(path)
            assert response.status_code == 405
            assert response.headers["allow"] == allowed
            assert response.json() == {"detail": "Method Not Allowed"}
