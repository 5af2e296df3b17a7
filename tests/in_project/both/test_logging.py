"""What is logged, and the id by which a client finds it."""

import io
import json
import logging
import subprocess
import sys

import pytest
from fastapi import FastAPI
from httpx import ASGITransport, AsyncClient

from app.core import ROOT
from app.core.web.errors import add_error_handlers
from app.core.web.logging import JSONFormatter, TextFormatter, request_id
from app.core.web.middleware import RequestIdMiddleware


def line(formatter: logging.Formatter, message: str, *args: object, **extra: object) -> str:
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(formatter)
    logger = logging.Logger(str(extra.pop("logger", "app")))
    logger.addHandler(handler)
    error = extra.pop("error", None)
    logger.error(message, *args, extra=extra, exc_info=error if error else False)  # type: ignore[arg-type]
    return stream.getvalue()


def test_json_is_one_object_a_line_whatever_is_logged() -> None:
    token = request_id.set("abc")
    text = line(
        JSONFormatter(), 'two\nlines "%s" \ud800', "x", task=7, odd={1}, error=ValueError("no\nway")
    )
    request_id.reset(token)
    assert text.count("\n") == 1
    entry = json.loads(text)
    assert entry["message"] == 'two\nlines "x" \ud800'
    assert (entry["level"], entry["request_id"], entry["task"], entry["odd"]) == (
        "ERROR",
        "abc",
        7,
        "{1}",
    )
    assert entry["time"].endswith("+00:00")
    assert "ValueError: no" in entry["exception"]


def test_json_has_the_parts_of_an_access() -> None:
    access = ("1.2.3.4:5", "GET", "/probes", "1.1", 200)
    entry = json.loads(line(JSONFormatter(), "%s %s %s %s %d", *access, logger="uvicorn.access"))
    assert (entry["method"], entry["path"], entry["status"]) == ("GET", "/probes", 200)


def test_text_ends_with_the_request_id() -> None:
    formatter = TextFormatter("%(message)s")
    assert line(formatter, "hello") == "hello\n"
    token = request_id.set("abc")
    assert line(formatter, "hello") == "hello (abc)\n"
    request_id.reset(token)


@pytest.mark.anyio
@pytest.mark.parametrize("given", ["abc-123", "0" * 128, "a/b:c=d+e_f.g@h"])
async def test_a_request_id_that_a_client_sends_comes_back(client: AsyncClient, given: str) -> None:
    response = await client.get("/health/live", headers={"X-Request-ID": given})
    assert response.headers["x-request-id"] == given


@pytest.mark.anyio
@pytest.mark.parametrize("given", [None, "", "a b", "0" * 129, '"', "\u00e9", "a\tb"])
async def test_a_new_request_id_is_made_for_any_other(
    client: AsyncClient, given: str | None
) -> None:
    headers = {} if given is None else {b"X-Request-ID": given.encode("latin-1")}
    ids = {
        (await client.get("/health/live", headers=headers)).headers["x-request-id"]
        for _ in range(3)
    }
    assert len(ids) == 3
    assert all(len(name) == 32 and name.isalnum() for name in ids)


@pytest.mark.anyio
async def test_an_internal_error_is_an_answer_without_a_trace_but_with_an_id() -> None:
    app = FastAPI()
    add_error_handlers(app)
    app.add_middleware(RequestIdMiddleware)

    @app.get("/error")
    async def error() -> None:
        raise RuntimeError("secret")

    transport = ASGITransport(app, raise_app_exceptions=False)
    async with AsyncClient(transport=transport, base_url="http://test") as client:
        response = await client.get("/error", headers={"X-Request-ID": "abc"})
    assert (response.status_code, response.json()) == (500, {"detail": "Internal server error."})
    assert response.headers["x-request-id"] == "abc"


@pytest.mark.parametrize(
    "command",
    [
        "alembic upgrade no-such",
        "alembic current",
        "uvicorn app.no_such:app --log-config app/core/web/logging.json",
    ],
)
def test_with_json_all_that_a_command_logs_is_json(
    command: str, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOG_FORMAT", "json")
    result = subprocess.run(
        [sys.executable, "-m", *command.split()], cwd=ROOT, capture_output=True, text=True
    )
    lines = (result.stderr + (result.stdout if "uvicorn" in command else "")).splitlines()
    assert lines
    for text in lines:
        assert json.loads(text)["level"] in {"INFO", "ERROR", "CRITICAL"}


def test_with_json_a_wrong_setting_is_json_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOG_FORMAT", "json")
    monkeypatch.setenv("DATABASE_POOL_SIZE", "0")
    result = subprocess.run(
        [sys.executable, "-m", "alembic", "current"], cwd=ROOT, capture_output=True, text=True
    )
    assert result.returncode == 1
    (text,) = result.stderr.splitlines()
    assert json.loads(text)["message"].startswith("Wrong setting: DATABASE_POOL_SIZE: ")
