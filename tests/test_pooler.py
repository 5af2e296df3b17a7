"""Migrations and the service behind a real PgBouncer."""

import contextlib
import json
import os
import re
import shutil
import socket
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.project import Databases, Project, free_port, read_until

PGBOUNCER = shutil.which("pgbouncer", path=f"{os.environ['PATH']}:/usr/sbin")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        PGBOUNCER is None and not os.environ.get("CI"),
        reason="no PgBouncer: apt-get install pgbouncer",
    ),
]

# PgBouncer refuses to run as root, whose right to pass folders it needs: the server's is closed.
AS_NOBODY = (
    *("setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups"),
    *("--inh-caps=-all,+dac_override", "--ambient-caps=-all,+dac_override", "--"),
)

Pooler = Callable[..., contextlib.AbstractContextManager[str]]


@pytest.fixture
def pooler(tmp_path: Path) -> Pooler:
    """Runs PgBouncer before a database; gives the URL of that database through it."""

    @contextlib.contextmanager
    def pooler(url: str, mode: str, **settings: object) -> Iterator[str]:
        assert PGBOUNCER, "CI needs PgBouncer: apt-get install pgbouncer"
        parts, port = urlsplit(url), free_port()
        place = parse_qs(parts.query)
        values = {
            "listen_addr": "127.0.0.1",
            "listen_port": port,
            "unix_socket_dir": "",
            "auth_type": "any",
            "pool_mode": mode,
            **settings,
        }
        lines = [f"{name} = {value}" for name, value in values.items()]
        server = f"host={place['host'][0]} port={place['port'][0]} user={parts.username}"
        ini = tmp_path / "pgbouncer.ini"
        ini.write_text("\n".join(["[databases]", f"* = {server}", "[pgbouncer]", *lines]))
        with subprocess.Popen(
            # Pytest shows what it logs of a test that fails.
            [*(AS_NOBODY if os.geteuid() == 0 else ()), PGBOUNCER, str(ini)]
        ) as process:
            try:
                wait_for(port, process)
                yield f"postgresql://{parts.username}@127.0.0.1:{port}{parts.path}"
            finally:
                process.terminate()

    return pooler


def wait_for(port: int, process: subprocess.Popen[Any]) -> None:
    """Wait until the process listens."""
    while True:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
            return
        assert process.poll() is None, f"{process.args!r} has ended"
        time.sleep(0.05)


def add_steps(project: Project, count: int) -> None:
    project.add_revision(2, 'op.create_table("step", sa.Column("number", sa.Integer()))')
    for number in range(3, 3 + count):
        project.add_revision(number, f'op.execute("INSERT INTO step VALUES ({number})")')


def advisory_locks(databases: Databases, url: str) -> int:
    query = (
        "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND database = "
        "(SELECT oid FROM pg_database WHERE datname = current_database())"
    )
    return int(databases.query(url, query)[0][0])


def all_succeed(project: Project, url: str, commands: list[tuple[str, str]]) -> None:
    processes = [project.start("-m", "alembic", *command, url=url) for command in commands]
    for process in processes:
        out, err = process.communicate(timeout=180)
        assert process.returncode == 0, out + err


@pytest.mark.parametrize("mode", ["transaction", "session"])
def test_sixteen_upgrades_at_once_run_each_revision_once_and_leave_nothing_behind(
    project: Project, databases: Databases, pooler: Pooler, mode: str
) -> None:
    add_steps(project, 5)
    project.add_revision(
        8,
        """
        from app.core.migrations import create_index_concurrently
        create_index_concurrently("ix_task_title", "task", ["title"])
        """,
    )
    direct = databases.create()
    with pooler(direct, mode) as url:
        all_succeed(project, url, [("upgrade", "head")] * 16)
        rows = databases.query(direct, "SELECT number FROM step ORDER BY number")
        assert [row[0] for row in rows] == [3, 4, 5, 6, 7]
        # The connections of the pool are still there.
        assert advisory_locks(databases, direct) == 0
        shown = databases.query(url, "SHOW lock_timeout", "SHOW statement_timeout")
        assert shown == [("0",)]
        for name in ("lock_timeout", "idle_in_transaction_session_timeout"):
            assert databases.query(url, f"SHOW {name}") == [("0",)]


def test_up_against_down_and_one_up_from_eight_behind_the_pooler(
    project: Project, databases: Databases, pooler: Pooler
) -> None:
    add_steps(project, 9)
    direct = databases.create()
    with pooler(direct, "transaction") as url:
        project.alembic("upgrade", "0002", url=url)
        all_succeed(project, url, [("upgrade", "+1")] * 8)
        rows = databases.query(direct, "SELECT number FROM step ORDER BY number")
        assert [row[0] for row in rows] == list(range(3, 11))
        all_succeed(project, url, [("upgrade", "head"), ("downgrade", "0002")] * 4)
        [[version]] = databases.query(direct, "SELECT version_num FROM alembic_version")
        assert version in ("0002", "0011")
        assert advisory_locks(databases, direct) == 0


def test_a_migration_has_the_lock_behind_the_pooler_and_beside_it(
    project: Project, databases: Databases, pooler: Pooler
) -> None:
    project.add_revision(2, 'import time\ntime.sleep(4)\nop.execute("SELECT 1")')
    direct = databases.create()
    project.alembic("upgrade", "0001", url=direct)
    with pooler(direct, "transaction") as url:
        first = project.start("-m", "alembic", "upgrade", "head", url=url)
        read_until(first, "Running upgrade")
        second = project.start(
            *("-m", "alembic", "upgrade", "head"), url=url, MIGRATION_DATABASE_URL=direct
        )
        assert "Another migration is running" in read_until(second, "Another migration|Running")
        for process in (first, second):
            out, err = process.communicate(timeout=60)
            assert process.returncode == 0, out + err
            assert len(re.findall("Running upgrade", err)) == 0


def test_the_next_run_behind_the_pooler_finishes_what_a_killed_one_has_begun(
    project: Project, databases: Databases, pooler: Pooler
) -> None:
    project.add_revision(2, 'op.execute("CREATE TABLE note ()")\nimport time\ntime.sleep(60)')
    direct = databases.create()
    project.alembic("upgrade", "0001", url=direct)
    with pooler(direct, "transaction") as url:
        process = project.start("-m", "alembic", "upgrade", "head", url=url)
        read_until(process, "Running upgrade")
        process.kill()
        process.communicate()
        path = next(project.root.glob("alembic/versions/0002*"))
        path.write_text(path.read_text("utf-8").replace("time.sleep(60)", "pass"), "utf-8")
        project.alembic("upgrade", "head", url=url, MIGRATION_LOCK_WAIT_SECONDS="20")
    assert databases.query(direct, "SELECT count(*) FROM note") == [(0,)]


def test_a_pool_of_one_is_refused_with_a_line(
    project: Project, databases: Databases, pooler: Pooler
) -> None:
    with pooler(databases.create(), "transaction", default_pool_size=1) as url:
        done = project.run(
            "-m", "alembic", "upgrade", "head", url=url, MIGRATION_CONNECT_WAIT_SECONDS="1"
        )
    assert done.returncode != 0
    assert "gives no second connection" in done.stdout
    assert "MIGRATION_DATABASE_URL" in done.stdout
    assert "Traceback" not in done.stderr


def test_statement_mode_is_refused_with_a_line_at_once(
    project: Project, databases: Databases, pooler: Pooler
) -> None:
    with pooler(databases.create(), "statement") as url:
        started = time.monotonic()
        done = project.run("-m", "alembic", "upgrade", "head", url=url)
        took = time.monotonic() - started
    assert done.returncode != 0
    assert "is in statement mode" in done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    assert took < 10


def test_the_service_works_behind_a_pooler_and_says_once_what_it_does_without(
    project: Project, databases: Databases, pooler: Pooler
) -> None:
    direct = databases.create()
    project.alembic("upgrade", "head", url=direct)
    port = free_port()
    with pooler(direct, "transaction", default_pool_size=3) as url:
        process = project.start(
            *("-m", "uvicorn", "app.main:app", "--port", str(port)),
            *("--log-config", "app/core/web/logging.json", "--no-access-log"),
            url=url,
        )
        try:
            wait_for(port, process)

            def create(number: int) -> int:
                request = urllib.request.Request(
                    f"http://127.0.0.1:{port}/tasks",
                    json.dumps({"title": f"Task {number}"}).encode(),
                    {"content-type": "application/json"},
                )
                with urllib.request.urlopen(request, timeout=20) as answer:
                    return int(answer.status)

            with ThreadPoolExecutor(16) as clients:
                assert set(clients.map(create, range(300))) == {201}
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/health/ready") as answer:
                assert answer.status == 200
        finally:
            process.terminate()
            out, err = process.communicate(timeout=30)
    assert databases.query(direct, "SELECT count(*) FROM task") == [(300,)]
    for line in ("statements are not prepared", "refuses DATABASE_STATEMENT_TIMEOUT_SECONDS"):
        assert (out + err).count(line) == 1
