"""Bytes over a real socket: no input is answered with 500, read without a limit, or smuggled."""

import json
import re
import socket
import threading
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.project import Databases, Project

pytestmark = pytest.mark.slow

LIMIT = 1_048_576  # MAX_BODY_BYTES


@pytest.fixture(scope="module")
def server(
    set_up: Callable[..., Path], postgresql: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """The URL of a running service."""
    folder = tmp_path_factory.mktemp("wire")
    project = Project(set_up(), folder / "project")
    url = Databases("postgresql", folder, postgresql).create()
    project.alembic("upgrade", "head", url=url)
    options = ["app.main:app", "--port", "0", "--no-access-log"]
    process = project.start("-m", "uvicorn", *options, url=url)
    assert process.stderr is not None
    found = None
    for line in process.stderr:
        if found := re.search(r"running on (http://\S+)", line):
            break
    assert found is not None, "uvicorn did not start"
    reader = threading.Thread(target=process.stderr.read)  # a full pipe would stop the server
    reader.start()
    yield found[1]
    process.terminate()
    reader.join(timeout=20)
    process.wait(timeout=20)


def test_a_task_is_created_over_a_socket(server: str) -> None:
    request = urllib.request.Request(
        f"{server}/tasks", b'{"title": "first"}', {"content-type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=10) as response:
        assert response.status == 201
        created = json.load(response)
        place = server + response.headers["location"]
    with urllib.request.urlopen(place, timeout=10) as response:
        assert json.load(response) == created


def ask(server: str, data: bytes) -> bytes:
    """Send bytes to the running service; returns all that comes back before it hangs up."""
    address = urlsplit(server)
    with socket.create_connection((address.hostname, address.port or 80), timeout=10) as client:
        client.sendall(data)
        answer = b""
        while received := client.recv(65_536):
            answer += received
        return answer


END = b"connection: close\r\n\r\n"
GET = b"GET /tasks?limit=1 HTTP/1.1\r\nhost: x\r\n"
POST = b"POST /tasks HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
BODY = b'{"title": "x"}'
CHUNKED = POST + b"transfer-encoding: chunked\r\n"

ON_THE_WIRE = {
    "a header of 64 KB": (GET + b"x: " + b"a" * 65_536 + b"\r\n" + END, 200),
    "a thousand headers": (GET + b"x: 1\r\n" * 1000 + END, 200),
    "a request id of 64 KB": (GET + b"x-request-id: " + b"a" * 65_536 + b"\r\n" + END, 200),
    "a header with NUL": (GET + b"x: a\x00b\r\n" + END, 400),
    "a header that is no text": (GET + b"x-request-id: \xff\xfe\r\n" + END, 200),
    "a host that is none": (
        POST.replace(b"host: x", b"host: [") + b"content-length: 0\r\n" + END,
        422,
    ),
    "a path of 64 KB": (b"GET /" + b"a" * 65_536 + b" HTTP/1.1\r\nhost: x\r\n" + END, 400),
    "a path with NUL": (b"GET /tasks\x00 HTTP/1.1\r\nhost: x\r\n" + END, 400),
    "a path that leads out": (
        b"GET /docs/static/../../../etc/passwd HTTP/1.1\r\nhost: x\r\n" + END,
        404,
    ),
    "the same, encoded": (
        b"GET /docs/static/%2e%2e%2f%2e%2e%2fpasswd HTTP/1.1\r\nhost: x\r\n" + END,
        404,
    ),
    "a file with NUL": (b"GET /docs/static/%00 HTTP/1.1\r\nhost: x\r\n" + END, 404),
    "a method that is none": (b"BREW /tasks HTTP/1.1\r\nhost: x\r\n" + END, 400),
    "noise": (b"\x00\xff\x16\x03\x01\r\n\r\n", 400),
    "HTTP/2": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
    "two lengths": (POST + b"content-length: 14\r\ncontent-length: 2\r\n" + END + BODY, 400),
    "a negative length": (POST + b"content-length: -1\r\n" + END + BODY, 400),
    "a length beyond all numbers": (POST + b"content-length: " + b"9" * 30 + b"\r\n" + END, 400),
    "a large body that is only announced": (POST + b"content-length: 10000000\r\n" + END, 413),
    # Of which the end never comes, nor is waited for.
    "a large body in chunks": (CHUNKED + END + b"%x\r\n" % (LIMIT + 1) + b" " * (LIMIT + 1), 413),
    "a chunk of no length": (CHUNKED + END + b"zz\r\n" + BODY, 400),
    "a length and chunks": (
        CHUNKED + b"content-length: 14\r\n" + END + b"0\r\n\r\nGET /docs HTTP/1.1\r\n\r\n",
        400,
    ),
}


@pytest.mark.parametrize(("data", "status"), ON_THE_WIRE.values(), ids=ON_THE_WIRE)
def test_what_comes_over_the_wire_is_answered(server: str, data: bytes, status: int) -> None:
    answer = ask(server, data)
    assert answer.startswith(b"HTTP/1.1 %d " % status), answer[:1000]
    # One request, one answer: nothing was smuggled past a proxy.
    assert answer.count(b"HTTP/1.1 ") == 1
