"""Nothing that a client sends is answered with 500, or read without a limit."""

import gzip
import socket
from collections.abc import AsyncIterator
from urllib.parse import urlsplit

import pytest
from httpx import AsyncClient

JSON = {"content-type": "application/json"}
LIMIT = 1_048_576  # MAX_BODY_BYTES

REFUSED = {
    "nothing": b"",
    "no JSON": b"title=x",
    "half of a text": b'{"title": "x',
    "nested a million times": b"[" * 1_000_000,
    "nested and closed": b'{"title": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "a number of a million digits": b'{"title": ' + b"9" * 1_000_000 + b"}",
    "a number with a huge exponent": b'{"title": 1e999999999}',
    "infinity": b'{"title": -Infinity}',
    "not a number, as a status": b'{"title": "x", "status": NaN}',
    "NUL": b'{"title": "a\\u0000b"}',
    "NUL, as it is": b'{"title": "a\x00b"}',
    "a lone surrogate": b'{"title": "a\\udfff"}',
    "a lone surrogate in a key": b'{"title": null, "\\ud800": 1}',
    "surrogates in UTF-8": b'{"title": "\xed\xa0\x80"}',
    "overlong UTF-8": b'{"title": "\xc0\x80"}',
    "half a character": b'{"title": "\xf0\x9f"}',
    "UTF-16 with one byte too many": b"\xff\xfe{\x00}",
    "a title that is a list": b'{"title": ["x"]}',
    "a title twice, the last of them null": b'{"title": "x", "title": null}',
}


@pytest.mark.anyio
@pytest.mark.parametrize("body", REFUSED.values(), ids=REFUSED)
async def test_a_body_that_is_wrong_is_refused(client: AsyncClient, body: bytes) -> None:
    for method, path in (("POST", "/tasks"), ("PATCH", "/tasks/1")):
        response = await client.request(method, path, content=body, headers=JSON)
        assert response.status_code in (400, 422), response.text
        assert response.json()["detail"]
        # What was sent does not come back: it may be huge, or secret.
        assert len(response.content) < 1000


@pytest.mark.anyio
@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"content-type": "text/plain"},
        {"content-type": "application/x-www-form-urlencoded"},
        {"content-type": "multipart/form-data"},
        {"content-type": "multipart/form-data; boundary="},
        {"content-type": "application/xml"},
        {"content-type": "application/json-patch"},
        {"content-type": "\xff/\xff; charset=none"},
    ],
    ids=lambda headers: headers.get("content-type"),
)
async def test_a_body_of_another_type_is_refused(
    client: AsyncClient, headers: dict[str, str]
) -> None:
    encoded = [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]
    response = await client.post("/tasks", content=b'{"title": "x"}', headers=encoded)
    assert response.status_code == 422, response.text


@pytest.mark.anyio
async def test_a_compressed_body_is_not_unpacked(client: AsyncClient) -> None:
    bomb = gzip.compress(b" " * 100_000_000 + b"{}")
    response = await client.post(
        "/tasks", content=bomb, headers={**JSON, "content-encoding": "gzip"}
    )
    assert response.status_code in (400, 422)


@pytest.mark.anyio
async def test_of_a_key_that_comes_twice_the_last_counts(client: AsyncClient) -> None:
    response = await client.post(
        "/tasks", content=b'{"title": "first", "title": "last", "id": 7}', headers=JSON
    )
    assert response.status_code == 201
    assert response.json()["title"] == "last"


@pytest.mark.anyio
async def test_what_only_the_service_may_set_is_not_taken_from_a_client(
    client: AsyncClient,
) -> None:
    old = {"id": 999, "created_at": "2000-01-01T00:00:00Z", "updated_at": "2000-01-01T00:00:00Z"}
    task = (await client.post("/tasks", json={"title": "x", **old})).json()
    task = (await client.patch(f"/tasks/{task['id']}", json={"title": "y", **old})).json()
    assert task["title"] == "y"
    assert all(task[name] != value for name, value in old.items())


@pytest.mark.anyio
@pytest.mark.parametrize("length", [LIMIT, LIMIT + 1, 10_000_000])
async def test_a_large_body_is_refused_and_not_read_whole(client: AsyncClient, length: int) -> None:
    sent = 0

    async def body() -> AsyncIterator[bytes]:
        nonlocal sent
        for begin in range(0, length, 65_536):
            sent += min(65_536, length - begin)
            yield b" " * min(65_536, length - begin)

    expected = 413 if length > LIMIT else 422
    response = await client.post("/tasks", content=body(), headers=JSON)
    assert response.status_code == expected
    assert sent <= LIMIT + 65_536

    response = await client.post(
        "/tasks", content=body(), headers={**JSON, "content-length": str(length)}
    )
    assert response.status_code == expected
    if expected == 413:
        assert response.json() == {"detail": f"The body has more than {LIMIT} bytes."}
        assert response.headers["connection"] == "close"


@pytest.mark.anyio
@pytest.mark.parametrize(
    "task_id",
    [
        *("0", "-1", "+1", "1e3", "1.5", "0x1", "1_0", "٣", "NaN", "null", "%20", "%0A1", "%00"),
        *("%ff", "%ed%a0%80", "'", "1;DROP", "9223372036854775808", "9" * 19, "9" * 10_000),
    ],
    ids=lambda task_id: task_id[:20],
)
async def test_a_path_with_an_id_that_cannot_be_is_refused(
    client: AsyncClient, task_id: str
) -> None:
    for method in ("GET", "PATCH", "DELETE"):
        response = await client.request(method, f"/tasks/{task_id}", json={"title": "x"})
        # Pydantic reads some of them as a number, and that task is unknown.
        assert response.status_code == (404 if task_id in ("+1", "1_0", "%0A1") else 422)


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("limit=1&limit=x", 422),
        ("limit=" + "9" * 5000, 422),
        ("limit=1e1", 422),
        ("limit=%00", 422),
        ("status=%ff", 422),
        ("status=done%00", 422),
        ("cursor=%ed%a0%80", 422),
        ("cursor=" + "f" * 60_000, 422),
        ("%00=%00&" + "&".join(f"x{n}=1" for n in range(5000)), 200),
        ("&&=&;;%", 200),
    ],
    ids=lambda value: str(value)[:20],
)
async def test_a_query_is_refused_or_not_looked_at(
    client: AsyncClient, query: str, status: int
) -> None:
    assert (await client.get(f"/tasks?{query}")).status_code == status


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
