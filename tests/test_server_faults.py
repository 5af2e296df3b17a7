"""The service of a rendered project as uvicorn runs it, while clients leave and it is killed."""

import asyncio
import contextlib
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import on_both_databases
from tests.load import Load
from tests.project import Databases, Project, free_port

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform == "win32", reason="signals and /proc are of Linux and macOS"),
]

POST = b"POST /tasks HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
BODY = b'{"title": "left behind"}'


class Server:
    def __init__(self, process: subprocess.Popen[str], port: int) -> None:
        self.process, self.port = process, port

    def status(self, path: str = "/tasks?limit=1") -> int:
        """0 while it does not answer."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=20) as got:
                return int(got.status)
        except urllib.error.HTTPError as error:
            return error.code
        except OSError:
            return 0

    def open_files(self) -> int:
        return len(list(Path(f"/proc/{self.process.pid}/fd").iterdir()))


@contextlib.contextmanager
def serving(project: Project, url: str, **variables: str) -> Iterator[Server]:
    port = free_port()
    command = ["-m", "uvicorn", "app.main:app", "--port", str(port), "--log-level", "critical"]
    process = project.start(*command, url=url, **variables)
    server = Server(process, port)
    try:
        deadline = time.monotonic() + 60
        while server.status("/health/live") != 200:
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < deadline, "it does not start"
            time.sleep(0.1)
        yield server
    finally:
        process.kill()
        process.communicate()


@pytest.fixture
def url(project: Project, databases: Databases) -> str:
    url = databases.create()
    project.alembic("upgrade", "head", url=url)
    return url


@on_both_databases
def test_every_201_is_in_the_database_after_a_kill(
    project: Project, databases: Databases, url: str
) -> None:
    with serving(project, url) as server:
        load = Load(f"127.0.0.1:{server.port}")
        while len(load.created) < 300:
            assert server.process.poll() is None
            time.sleep(0.05)
        server.process.send_signal(signal.SIGKILL)
        server.process.wait()
        load.stop()
    rows = {title for (title,) in databases.query(url, "SELECT title FROM task")}
    assert set(load.created) <= rows
    assert set(load.statuses) <= {201, 0}


async def leave(port: int, number: int) -> None:
    """Send a request, whole or in part, and go away without an answer."""
    _, writer = await asyncio.open_connection("127.0.0.1", port)
    whole = POST + b"content-length: %d\r\n\r\n" % len(BODY) + BODY
    requests = [whole, whole[:-5], whole[:40], b"GET /tasks?limit=100 HTTP/1.1\r\nhost: x\r\n\r\n"]
    writer.write(requests[number % len(requests)])
    await writer.drain()
    if number % 3 == 0:
        await asyncio.sleep(0.001)
    if number % 2:
        writer.transport.abort()  # a reset, as when a network goes
    else:
        writer.close()


async def leave_often(port: int, times: int, at_once: int = 50) -> None:
    numbers = iter(range(times))

    async def client() -> None:
        for number in numbers:
            await leave(port, number)

    await asyncio.gather(*(client() for _ in range(at_once)))


def connections(databases: Databases, url: str) -> list[tuple[str]]:
    if databases.dialect == "sqlite":
        return []
    return databases.query(
        url,
        "SELECT state FROM pg_stat_activity WHERE datname = current_database() "
        "AND backend_type = 'client backend' AND pid <> pg_backend_pid()",
    )


@on_both_databases
def test_ten_thousand_clients_that_leave_take_no_connection_with_them(
    project: Project, databases: Databases, url: str
) -> None:
    with serving(project, url) as server:
        asyncio.run(leave_often(server.port, 500))
        time.sleep(1)
        assert server.status() == 200
        before, files = len(connections(databases, url)), server.open_files()
        # The pool may still grow to ten connections: a socket each, or SQLite's three files.
        most = files + 30
        asyncio.run(leave_often(server.port, 10_000))
        deadline = time.monotonic() + 60
        while server.open_files() > most and time.monotonic() < deadline:
            time.sleep(0.2)
        assert server.open_files() <= most
        after = connections(databases, url)
        assert len(after) <= max(before, 10)
        assert {state for (state,) in after} <= {"idle"}
        # Those who left are still in the queue before the database, which can be full for a moment.
        deadline = time.monotonic() + 60
        while (status := server.status()) != 200 and time.monotonic() < deadline:
            time.sleep(0.2)
        assert status == 200
    # A request that came whole was carried out, one that did not was not.
    (rows,) = databases.query(url, "SELECT count(*) FROM task WHERE title <> 'left behind'")
    assert rows[0] == 0


@on_both_databases
def test_slow_clients_hold_no_connection(project: Project, databases: Databases, url: str) -> None:
    limits = {"DATABASE_POOL_SIZE": "1", "DATABASE_CONNECT_TIMEOUT_SECONDS": "1"}
    with contextlib.ExitStack() as stack, serving(project, url, **limits) as server:
        clients = []
        for _ in range(30):
            client = stack.enter_context(socket.create_connection(("127.0.0.1", server.port)))
            client.sendall(POST + b"content-length: %d\r\n\r\n" % len(BODY))
            clients.append(client)
        for byte in BODY[:3]:
            for client in clients:
                client.sendall(bytes([byte]))
            time.sleep(1)
            assert server.status() == 200
        # And those that ask for much, and do not read it.
        for _ in range(30):
            client = stack.enter_context(socket.create_connection(("127.0.0.1", server.port)))
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1024)
            client.sendall(b"GET /tasks?limit=100 HTTP/1.1\r\nhost: x\r\n\r\n" * 10)
        time.sleep(0.5)
        assert server.status() == 200
        assert {state for (state,) in connections(databases, url)} <= {"idle"}
        for client in clients:
            client.sendall(BODY[3:])
            assert client.recv(100).startswith(b"HTTP/1.1 201")


def test_a_table_that_is_locked_is_a_bounded_wait_and_503(
    project: Project, databases: Databases, url: str
) -> None:
    limits = {
        "DATABASE_POOL_SIZE": "2",
        "DATABASE_QUEUE_SIZE": "4",
        "DATABASE_CONNECT_TIMEOUT_SECONDS": "1",
        "DATABASE_STATEMENT_TIMEOUT_SECONDS": "2",
    }

    async def ask(server: Server) -> list[int]:
        asked = (asyncio.to_thread(server.status) for _ in range(20))
        return await asyncio.wait_for(asyncio.gather(*asked), timeout=15)

    with serving(project, url, **limits) as server:
        with contextlib.closing(databases.connect(url)) as blocker:
            blocker.execute("BEGIN")
            blocker.execute("LOCK TABLE task IN ACCESS EXCLUSIVE MODE")
            assert set(asyncio.run(ask(server))) == {503}
            assert server.status("/health/live") == 200
        assert server.status() == 200
        assert set(asyncio.run(ask(server))) <= {200, 503}
