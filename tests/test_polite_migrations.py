"""Migrations of a table that is in use, with the default settings and real traffic."""

import contextlib
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from tests.project import Databases, Project, read_until
from tests.traffic import Traffic, short_transactions

pytestmark = pytest.mark.slow

ADD_COLUMN = 'op.add_column("task", sa.Column("note", sa.String(50), nullable=True))'
PAUSE = """
import os, time
time.sleep(float(os.environ.get("PAUSE", "0")))
"""
STATEMENTS = (
    "SELECT count(*) FROM (SELECT * FROM task LIMIT 20) AS page",
    "SELECT title FROM task WHERE id = 7",
    "UPDATE task SET title = 'Task' WHERE id = 7",
)
IDLE_SECONDS = 20

InUse = Callable[[str, subprocess.Popen[str] | None], contextlib.AbstractContextManager[None]]


@contextlib.contextmanager
def idle_reader(url: str, seconds: float) -> Iterator[None]:
    """A transaction that has read the table, and is idle for so long."""
    connection = psycopg.connect(url, application_name="a slow report")
    connection.execute("SELECT count(*) FROM task WHERE title = 'secret'")
    timer = threading.Timer(seconds, connection.rollback)
    timer.start()
    try:
        yield
    finally:
        timer.join()
        connection.close()


@pytest.fixture
def url(project: Project, databases: Databases) -> str:
    url = databases.create()
    project.alembic("upgrade", "head", url=url)
    databases.query(
        url, "INSERT INTO task (title) SELECT 'Task ' || i FROM generate_series(1, 1000) AS i"
    )
    return url


def assert_nobody_stood_still(traffic: Traffic) -> None:
    assert traffic.errors == []
    assert len(traffic.waits) > 100
    assert traffic.longest < 1.2
    assert traffic.stalled < 0.1


def test_a_reader_that_idles_in_its_transaction_holds_up_the_migration_alone(
    project: Project, url: str
) -> None:
    project.add_revision(2, ADD_COLUMN)
    traffic = Traffic(url, STATEMENTS)
    with idle_reader(url, IDLE_SECONDS), short_transactions(url, "task"), traffic.running():
        started = time.monotonic()
        said = project.alembic("upgrade", "head", url=url)
        took = time.monotonic() - started
    assert IDLE_SECONDS - 5 < took < IDLE_SECONDS + 12
    assert_nobody_stood_still(traffic)
    # Who is waited for, without what it asked for, and how to end that.
    assert "a slow report" in said
    assert "SELECT count(*) FROM task WHERE title = ?" in said
    assert "SELECT pg_terminate_backend(" in said
    assert "secret" not in said


def test_a_stream_of_short_transactions_is_got_through(project: Project, url: str) -> None:
    project.add_revision(2, ADD_COLUMN)
    traffic = Traffic(url, STATEMENTS)
    with short_transactions(url, "task", 0.3), traffic.running():
        time.sleep(1)
        started = time.monotonic()
        project.alembic("upgrade", "head", url=url)
        assert time.monotonic() - started < 30
    assert_nobody_stood_still(traffic)


def test_a_vacuum_is_waited_for(project: Project, databases: Databases, url: str) -> None:
    databases.query(url, "INSERT INTO task (title) SELECT 'x' FROM generate_series(1, 200000)")
    databases.query(url, "UPDATE task SET title = 'y'")
    project.add_revision(2, ADD_COLUMN)
    traffic = Traffic(url, STATEMENTS)

    def vacuum() -> None:
        with psycopg.connect(url, autocommit=True, application_name="by hand") as connection:
            connection.execute("SET vacuum_cost_delay = 20; SET vacuum_cost_limit = 20")
            connection.execute("VACUUM task")

    thread = threading.Thread(target=vacuum)
    with traffic.running():
        thread.start()
        until_locked(databases, url, "ShareUpdateExclusiveLock")
        said = project.alembic("upgrade", "head", url=url)
        thread.join()
    assert "by hand" in said
    assert_nobody_stood_still(traffic)


def until_locked(databases: Databases, url: str, mode: str) -> None:
    query = f"SELECT count(*) FROM pg_locks WHERE relation = 'task'::regclass AND mode = '{mode}'"
    while not databases.query(url, query)[0][0]:
        time.sleep(0.02)


def test_a_dump_is_waited_for(
    project: Project, databases: Databases, url: str, tmp_path: Path
) -> None:
    databases.query(
        url, "INSERT INTO task (title) SELECT repeat('x', 200) FROM generate_series(1, 300000)"
    )
    project.add_revision(2, ADD_COLUMN)
    traffic = Traffic(url, STATEMENTS)
    pg_dump = next(Path(project.python).parents[1].glob("lib/*/site-packages/*/*/bin/pg_dump"))
    with (
        traffic.running(),
        subprocess.Popen([pg_dump, url], stdout=subprocess.PIPE) as dump,
    ):
        until_locked(databases, url, "AccessShareLock")
        process = project.start("-m", "alembic", "upgrade", "head", url=url)
        read_until(process, "in use by process .*pg_dump")
        assert dump.stdout
        dump.stdout.read()  # until now the pipe was full
        out, err = process.communicate(timeout=60)
        assert process.returncode == 0, out + err
    assert_nobody_stood_still(traffic)


def test_a_worker_of_autovacuum_lets_go(project: Project, databases: Databases, url: str) -> None:
    databases.query(
        url,
        "INSERT INTO task (title) SELECT 'x' FROM generate_series(1, 200000)",
        "ALTER TABLE task SET (autovacuum_vacuum_threshold = 1, autovacuum_vacuum_cost_limit = 1, "
        "autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_cost_delay = 100)",
        "UPDATE task SET title = 'y'",
    )
    project.add_revision(2, ADD_COLUMN)
    traffic = Traffic(url, STATEMENTS)
    with traffic.running():
        until_locked(databases, url, "ShareUpdateExclusiveLock")
        started = time.monotonic()
        said = project.alembic("upgrade", "head", url=url)
        took = time.monotonic() - started
    assert "(autovacuum)" in said
    assert took < 30
    assert_nobody_stood_still(traffic)


def test_a_migration_that_is_stopped_lets_go_and_another_one_finishes(
    project: Project, databases: Databases, url: str
) -> None:
    project.add_revision(
        2, f"{ADD_COLUMN}\nimport os, time\ntime.sleep(float(os.environ.get('PAUSE', '0')))"
    )
    stopped = project.start("-m", "alembic", "upgrade", "head", url=url, PAUSE="5")
    read_until(stopped, "Running upgrade 0001 -> 0002")
    until_locked(databases, url, "AccessExclusiveLock")
    stopped.send_signal(signal.SIGSTOP)
    try:
        started = time.monotonic()
        databases.query(url, "SELECT count(*) FROM task")
        assert time.monotonic() - started < 15
        project.alembic("upgrade", "head", url=url)
        assert time.monotonic() - started < 60
    finally:
        stopped.send_signal(signal.SIGCONT)
    _, err = stopped.communicate(timeout=60)
    assert stopped.returncode != 0
    assert "Traceback" not in err
    assert databases.query(url, "SELECT version_num FROM alembic_version") == [("0002",)]


def test_a_budget_that_is_spent_names_who_was_in_the_way(project: Project, url: str) -> None:
    project.add_revision(2, ADD_COLUMN)
    with psycopg.connect(url, application_name="a slow report") as reader:
        reader.execute("SELECT count(*) FROM task")
        done = project.run(
            "-m", "alembic", "upgrade", "head", url=url, MIGRATION_TABLE_WAIT_SECONDS="3"
        )
    assert done.returncode != 0
    assert "0002_step_2.py" in done.stdout
    assert "waited 3 s (MIGRATION_TABLE_WAIT_SECONDS)" in done.stdout
    assert "a slow report" in done.stdout
    assert "SELECT pg_terminate_backend(" in done.stdout
    assert "Traceback" not in done.stderr
