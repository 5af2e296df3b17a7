"""The service as it runs: uvicorn, a real socket."""

import re
import subprocess
import sys
from collections.abc import Iterator

import httpx
import pytest

from app.migrations import ROOT


@pytest.fixture
def server(database: str) -> Iterator[str]:
    process = subprocess.Popen(
        [sys.executable, "-m", "uvicorn", "app.main:app", "--port", "0"],
        cwd=ROOT,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    url = None
    for line in process.stderr:
        if found := re.search(r"running on (http://\S+)", line):
            url = found[1]
            break
    assert url is not None, "uvicorn did not start"
    yield url
    process.terminate()
    process.communicate(timeout=10)


def test_a_task_is_created_over_a_socket(server: str) -> None:
    with httpx.Client(base_url=server) as client:
        created = client.post("/tasks", json={"title": "first"})
        assert created.status_code == 201
        assert client.get(created.headers["location"]).json() == created.json()
        assert client.get("/health/ready").status_code == 200
