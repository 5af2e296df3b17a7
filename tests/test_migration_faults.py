"""What goes wrong beneath a migration is one line, and the next run finishes."""

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from app.core.db import embedded
from app.core.db.embedded.cluster import Cluster
from app.core.db.embedded.programs import program, run
from tests.conftest import SYSTEM_TEMP, on_sqlite
from tests.project import Databases, Project, name_database, read_until
from tests.root import as_root, mounted
from tests.writers import BACKFILL, Writers, fill

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform == "win32", reason="Windows has no signals that stop or kill"),
]

UPGRADE = ("-m", "alembic", "upgrade", "head")
ADD_COLUMN = 'op.add_column("task", sa.Column("note", sa.String(50)))\n'


def fails(project: Project, url: str, *command: str) -> str:
    """A command that fails with a line; returns that line."""
    done = project.run(*(command or UPGRADE), url=url)
    assert done.returncode != 0
    return the_line(done.stdout, done.stderr)


def the_line(out: str, err: str) -> str:
    assert "Traceback" not in err
    [line] = [line for line in out.splitlines() if line.strip()]
    assert line.startswith("FAILED: ")
    return line


@pytest.fixture
def url(project: Project, databases: Databases) -> str:
    """A database at the first revision."""
    url = databases.create()
    project.alembic("upgrade", "head", url=url)
    return url


def revision_of(databases: Databases, url: str) -> str:
    return str(databases.query(url, "SELECT version_num FROM alembic_version")[0][0])


def test_a_session_that_is_ended_in_the_middle_of_a_revision_leaves_nothing(
    project: Project, databases: Databases, url: str
) -> None:
    revision = project.add_revision(
        2, ADD_COLUMN + 'op.execute("SELECT pg_terminate_backend(pg_backend_pid())")'
    )
    assert "0002_step_2.py:19, SELECT pg_terminate_backend" in (line := fails(project, url))
    assert "terminating connection due to administrator command" in line
    assert revision_of(databases, url) == "0001"
    revision.write_text(revision.read_text("utf-8").replace("pg_terminate_backend", "abs"), "utf-8")
    project.alembic("upgrade", "head", url=url)


def test_a_database_that_takes_no_writes_is_a_line(
    project: Project, databases: Databases, url: str
) -> None:
    project.add_revision(2, ADD_COLUMN)
    name = url.rpartition("/")[2].partition("?")[0]
    databases.query(url, f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    line = fails(project, url)
    assert "0002_step_2.py" in line
    assert "cannot execute ALTER TABLE in a read-only transaction" in line
    project.alembic("current", url=url)


def test_a_role_that_may_not_create_is_a_line(project: Project, databases: Databases) -> None:
    url = databases.create()
    databases.query(
        url,
        "DO $$ BEGIN CREATE ROLE may_not LOGIN; EXCEPTION WHEN duplicate_object THEN NULL; END $$",
    )
    line = fails(project, url.replace("//app@", "//may_not@"))
    assert "permission denied for schema public" in line
    assert databases.query(url, "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'") == [
        (0,)
    ]


def test_schemas_with_version_tables_of_their_own_are_migrated_side_by_side(
    project: Project, databases: Databases
) -> None:
    url = databases.create()
    databases.query(url, "CREATE SCHEMA one", "CREATE SCHEMA two")
    one, two = (f"{url}&options=-csearch_path%3D{name}" for name in ("one", "two"))
    project.add_revision(2, ADD_COLUMN, 'op.drop_column("task", "note")')
    processes = [project.start(*UPGRADE, url=place) for place in (one, two)]
    for process in processes:
        out, err = process.communicate(timeout=120)
        assert process.returncode == 0, out + err
    project.alembic("downgrade", "-1", url=two)
    rows = databases.query(
        url,
        "SELECT 'one', version_num FROM one.alembic_version UNION ALL "
        "SELECT 'two', version_num FROM two.alembic_version ORDER BY 1",
    )
    assert rows == [("one", "0002"), ("two", "0001")]
    query = "SELECT table_schema FROM information_schema.columns WHERE column_name = 'note'"
    assert databases.query(url, query) == [("one",)]
    assert databases.query(url, "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'") == [
        (0,)
    ]


def test_a_version_table_in_another_schema_is_alembics_own_option(
    project: Project, databases: Databases
) -> None:
    url = databases.create()
    databases.query(url, "CREATE SCHEMA meta")
    env = project.root / "alembic/env.py"
    text = env.read_text("utf-8")
    changed = text.replace("connection=connection,", "connection=connection, **META,", 1)
    assert changed != text
    meta = 'META = {"version_table_schema": "meta"}\nconfig = context.config'
    env.write_text(changed.replace("config = context.config", meta, 1), "utf-8")
    project.add_revision(2, ADD_COLUMN, 'op.drop_column("task", "note")')
    for command in ("upgrade head", "upgrade head", "current --check-heads", "downgrade -1"):
        project.alembic(*command.split(), url=url)
    assert databases.query(url, "SELECT version_num FROM meta.alembic_version") == [("0001",)]
    assert databases.query(url, "SELECT to_regclass('public.alembic_version')") == [(None,)]


def test_a_backfill_that_is_killed_under_writers_is_right_in_every_row(
    project: Project, databases: Databases, url: str
) -> None:
    fill(url, 100_000)
    writers = Writers(url, 100_000)
    project.add_revision(2, BACKFILL)
    with writers.running():
        for _ in range(2):
            process = project.start(*UPGRADE, url=url, PAUSE="0.05")
            read_until(process, "of about")
            process.kill()
            process.communicate()
            left = databases.query(url, "SELECT count(*) FROM item WHERE slug IS NULL")[0][0]
            assert 0 < left < 100_000
        project.alembic("upgrade", "head", url=url)
    assert writers.errors == []
    assert len(writers.seconds) > 100
    assert writers.wrong() == 0


@pytest.fixture
def own_server() -> Iterator[Path]:
    """The folder of a server that a test may kill."""
    with tempfile.TemporaryDirectory(dir=SYSTEM_TEMP, ignore_cleanup_errors=True) as name:
        folder = Path(name)
        yield folder
        embedded.stop(folder)


def kill_server(folder: Path) -> None:
    pid = int((folder / "data/postmaster.pid").read_text().split()[0])
    os.kill(pid, signal.SIGKILL)


def started(folder: Path) -> tuple[str, Databases]:
    url = embedded.start(folder, {"fsync": "off"})
    return url, Databases("postgresql", folder, url)


@pytest.mark.parametrize("body", ["revision", "backfill"])
def test_a_server_that_is_killed_and_started_again_is_a_line_and_another_run(
    project: Project, own_server: Path, body: str
) -> None:
    url, databases = started(own_server)
    project.alembic("upgrade", "head", url=url)
    if body == "revision":
        path = project.add_revision(2, ADD_COLUMN + 'op.execute("SELECT pg_sleep(60)")')
        seen = "Running upgrade 0001 -> 0002"
    else:
        fill(url, 100_000)
        project.add_revision(2, BACKFILL)
        seen = "of about"
    process = project.start(*UPGRADE, url=url, PAUSE="0.05")
    read_until(process, seen)
    kill_server(own_server)
    out, err = process.communicate(timeout=60)
    assert process.returncode != 0
    assert "connection" in the_line(out, err)
    started(own_server)
    assert revision_of(databases, url) == "0001"
    if body == "revision":
        path.write_text(path.read_text("utf-8").replace("sleep(60)", "sleep(0)"), "utf-8")
    project.alembic("upgrade", "head", url=url)
    assert revision_of(databases, url) == "0002"
    if body == "backfill":
        assert databases.query(url, "SELECT DISTINCT filled FROM item") == [(1,)]


@as_root
def test_a_disk_that_fills_up_in_a_revision_is_a_line(project: Project, own_server: Path) -> None:
    with mounted(own_server, "size=150m"), contextlib.ExitStack() as stack:
        stack.callback(embedded.stop, own_server)
        url, databases = started(own_server)
        project.alembic("upgrade", "head", url=url)
        # What is not logged cannot fill the log, whose end would be the server's, too.
        project.add_revision(
            2,
            "op.execute(\"CREATE UNLOGGED TABLE big AS SELECT repeat('x', 1000) AS text "
            'FROM generate_series(1, 20000)")',
        )
        ballast = own_server / "ballast"
        with ballast.open("wb", buffering=0) as file:
            while os.statvfs(own_server).f_bavail * os.statvfs(own_server).f_frsize > 2**23:
                file.write(bytes(2**20))
        line = fails(project, url)
        assert "0002_step_2.py" in line
        assert "No space left on device" in line
        assert revision_of(databases, url) == "0001"
        ballast.unlink()
        project.alembic("upgrade", "head", url=url)
        assert databases.query(url, "SELECT count(*) FROM big") == [(20000,)]


@as_root
@on_sqlite
def test_a_file_that_cannot_be_written_is_a_line(project: Project, tmp_path: Path) -> None:
    project.add_revision(2, "op.execute(f\"UPDATE task SET title = '{'x' * 150}'\")")
    with mounted(tmp_path / "disk", "size=2m") as disk:
        url = f"sqlite:///{disk}/tasks.db"
        databases = Databases("sqlite", disk, None)
        project.alembic("upgrade", "0001", url=url)
        databases.query(
            url,
            "PRAGMA journal_mode = DELETE",
            "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5000) "
            "INSERT INTO task (title) SELECT 'x' FROM n",
        )
        subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
        assert "readonly database" in fails(project, url)
        subprocess.run(["mount", "-o", "remount,rw", disk], check=True)
        ballast = disk / "ballast"
        with ballast.open("wb", buffering=0) as file, contextlib.suppress(OSError):
            while file.write(bytes(4096)):
                pass
        assert "full" in fails(project, url)
        assert revision_of(databases, url) == "0001"
        ballast.unlink()
        project.alembic("upgrade", "head", url=url)


@pytest.fixture
def standby(postgresql: str) -> Iterator[str]:
    """The URL of a streaming replica of the server, which answers questions only."""
    with tempfile.TemporaryDirectory(dir=SYSTEM_TEMP, ignore_cleanup_errors=True) as name:
        folder = Path(name)
        (folder / "data").mkdir(0o700)
        user = Cluster(folder)._user()
        if user is not None:
            for path in (folder, folder / "data"):
                os.chown(path, *user)

        def call(name: str, *arguments: str) -> None:
            run(program(name), *arguments, folder=folder, user=user)

        call(
            "pg_basebackup", "-d", postgresql, "-D", "data", "-R", "--checkpoint=fast", "--no-sync"
        )
        options = f"-c listen_addresses='' -c unix_socket_directories={folder}"
        with psycopg.connect(postgresql) as connection:  # it has to allow as many
            [(most,)] = connection.execute("SHOW max_connections").fetchall()
        try:
            options += f" -c max_connections={most} -c fsync=off"
            call("pg_ctl", "start", "-s", "-w", "-D", "data", "-l", "log", "-o", options)
            place = postgresql.partition("?")[0]
            yield f"{place}?host={folder}&port=5432"
        finally:
            call("pg_ctl", "stop", "-s", "-m", "immediate", "-D", "data")


def until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def database_on(standby: str, url: str) -> str:
    """The same database on the replica, as soon as it is there."""
    there = name_database(standby, url.rpartition("/")[2].partition("?")[0])

    def is_there() -> bool:
        with contextlib.suppress(psycopg.OperationalError), psycopg.connect(there) as connection:
            query = "SELECT to_regclass('alembic_version') IS NOT NULL"
            return bool(connection.execute(query).fetchall()[0][0])
        return False

    until(is_there)
    return there


def test_a_standby_is_refused_with_a_line_where_there_is_something_to_do(
    project: Project, url: str, standby: str
) -> None:
    there = database_on(standby, url)
    project.alembic("upgrade", "head", url=there)
    project.alembic("current", "--check-heads", url=there)
    project.add_revision(2, ADD_COLUMN)
    for command in (("upgrade", "head"), ("downgrade", "base"), ("stamp", "base")):
        line = fails(project, there, "-m", "alembic", *command)
        assert "is a standby" in line
        assert "MIGRATION_DATABASE_URL" in line


def test_a_backfill_waits_for_a_replica_that_is_behind(
    project: Project, databases: Databases, url: str, standby: str
) -> None:
    fill(url, 10_000)
    project.add_revision(2, BACKFILL.replace("progress_seconds=0.2", "max_lag_seconds=0.1"))
    there = database_on(standby, url)
    databases.query(there, "SELECT pg_wal_replay_pause()")
    until(
        lambda: databases.query(there, "SELECT pg_get_wal_replay_pause_state()")[0][0] == "paused"
    )
    process = project.start(*UPGRADE, url=url, PAUSE="0.1")
    read_until(process, "Waiting for a replica that is over 0.1 s behind")
    query = "SELECT count(*) FROM item WHERE slug IS NULL"
    [(left,)] = databases.query(url, query)
    assert left > 0
    time.sleep(1)
    assert databases.query(url, query) == [(left,)]
    databases.query(there, "SELECT pg_wal_replay_resume()")
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, out + err
    assert databases.query(url, query) == [(0,)]
