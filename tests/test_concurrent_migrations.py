"""Many processes that migrate at once, some of them killed, on a database that is busy."""

import contextlib
import random
import re
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.conftest import on_both_databases, on_sqlite
from tests.project import Databases, Project, read_until

pytestmark = pytest.mark.slow

PROCESSES = 16
LOCK_KEY = int.from_bytes(b"alembic", "big")

RECORD = 'op.execute("INSERT INTO step (number) VALUES ({number})")'
CONCURRENT_INDEX = """
with op.get_context().autocommit_block():
    op.create_index("ix_task_title", "task", ["title"], postgresql_concurrently=True)
"""
# It is in the middle of its work where it leaves the file `reached`.
PAUSE = """
import os, pathlib, time
pathlib.Path("reached").touch()
time.sleep(float(os.environ.get("PAUSE", "0")))
op.execute("UPDATE task SET note = 'kept'")
"""
REBUILD = {
    "postgresql": """
op.add_column("task", sa.Column("note", sa.String(50), nullable=True))
op.alter_column("task", "title", type_=sa.String(300))
""",
    # Makes a new table and copies the rows.
    "sqlite": """
with op.batch_alter_table("task") as batch:
    batch.add_column(sa.Column("note", sa.String(50), nullable=True))
    batch.alter_column("title", type_=sa.String(300))
""",
}


def add_steps(project: Project, count: int) -> list[int]:
    """Revisions on top of the first that each leave a row behind, in a table of the first step."""
    create = 'op.create_table("step", sa.Column("number", sa.Integer(), nullable=False))\n'
    numbers = list(range(2, 2 + count))
    for number in numbers:
        body = (create if number == 2 else "") + RECORD.format(number=number)
        undo = 'op.drop_table("step")' if number == 2 else "pass"
        project.add_revision(number, body, undo)
    return numbers


def recorded(databases: Databases, url: str) -> list[int]:
    return [row[0] for row in databases.query(url, "SELECT number FROM step ORDER BY number")]


def upgrade_at_once(project: Project, url: str) -> list[str]:
    processes = [
        project.start("-m", "alembic", "upgrade", "head", url=url) for _ in range(PROCESSES)
    ]
    said = []
    for process in processes:
        out, err = process.communicate(timeout=180)
        assert process.returncode == 0, out + err
        said.append(err)
    return said


@on_both_databases
def test_each_revision_runs_once_when_many_processes_start_on_an_empty_database(
    project: Project, databases: Databases
) -> None:
    numbers = add_steps(project, 6)
    url = databases.create()
    said = upgrade_at_once(project, url)
    assert recorded(databases, url) == numbers
    assert len(re.findall("Running upgrade", "".join(said))) == 1 + len(numbers)


def test_each_revision_runs_once_with_an_index_that_is_built_concurrently(
    project: Project, databases: Databases
) -> None:
    add_steps(project, 1)
    project.add_revision(3, CONCURRENT_INDEX)
    project.add_revision(4, RECORD.format(number=4))
    url = databases.create()
    said = upgrade_at_once(project, url)
    assert recorded(databases, url) == [2, 4]
    assert len(re.findall("Running upgrade .* -> 0003", "".join(said))) == 1


@contextlib.contextmanager
def held(databases: Databases, url: str) -> Iterator[None]:
    """Hold the lock that a migration takes."""
    with contextlib.closing(databases.connect(url)) as connection:
        if databases.dialect == "sqlite":
            connection.execute("BEGIN IMMEDIATE")
        else:
            connection.execute(f"SELECT pg_advisory_lock({LOCK_KEY})")
        yield


@on_both_databases
def test_at_head_no_lock_is_waited_for(project: Project, databases: Databases) -> None:
    url = databases.create()
    project.alembic("upgrade", "head", url=url)
    with held(databases, url):
        for command in (["upgrade", "head"], ["current"], ["check"], ["history"]):
            project.alembic(*command, url=url, MIGRATION_LOCK_WAIT_SECONDS="0")


@on_both_databases
def test_a_lock_that_is_not_released_is_a_line_that_says_who_holds_it(
    project: Project, databases: Databases
) -> None:
    url = databases.create()
    databases.query(url, "CREATE TABLE unrelated (id INTEGER)")
    with held(databases, url):
        done = project.run(
            "-m", "alembic", "upgrade", "head", url=url, MIGRATION_LOCK_WAIT_SECONDS="0.5"
        )
    assert done.returncode != 0
    assert "Traceback" not in done.stderr
    assert "MIGRATION_LOCK_WAIT_SECONDS" in done.stdout
    holder = "a slow report" if databases.dialect == "postgresql" else "another process"
    assert holder in done.stdout


def start_paused(project: Project, url: str) -> subprocess.Popen[str]:
    """Start a migration and wait until it is in the middle of its work."""
    marker = Path(project.root, "reached")
    marker.unlink(missing_ok=True)
    process = project.start("-m", "alembic", "upgrade", "head", url=url, PAUSE="60")
    deadline = time.monotonic() + 60
    while not marker.exists():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return process


def await_waiting(process: subprocess.Popen[str], databases: Databases, url: str) -> None:
    """Return when a migration waits for the one that has the lock."""
    if databases.dialect == "postgresql":
        read_until(process, "Another migration is running: waiting for it")
        return
    # Of SQLite's own waiting nothing is to be seen but a file that is open.
    name = url.rpartition("/")[2]
    while not any(file.path.endswith(name) for file in psutil.Process(process.pid).open_files()):
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)
    time.sleep(1)
    assert process.poll() is None, process.communicate()


@on_both_databases
def test_a_waiter_finishes_the_work_of_a_killed_holder(
    project: Project, databases: Databases
) -> None:
    url = databases.create()
    project.alembic("upgrade", "head", url=url)
    databases.query(url, "INSERT INTO task (title) VALUES ('one'), ('two')")
    project.add_revision(2, REBUILD[databases.dialect] + PAUSE)
    holder = start_paused(project, url)
    waiter = project.start("-m", "alembic", "upgrade", "head", url=url)
    await_waiting(waiter, databases, url)
    holder.kill()
    holder.communicate()
    out, err = waiter.communicate(timeout=60)
    assert waiter.returncode == 0, out + err
    rows = databases.query(url, "SELECT title, note FROM task ORDER BY title")
    assert [tuple(row) for row in rows] == [("one", "kept"), ("two", "kept")]


@on_both_databases
def test_killed_at_any_point_the_next_run_finishes(project: Project, databases: Databases) -> None:
    url = databases.create()
    project.alembic("upgrade", "head", url=url)
    databases.query(url, "INSERT INTO task (title) VALUES ('one'), ('two')")
    numbers = add_steps(project, 12)
    project.add_revision(14, REBUILD[databases.dialect] + PAUSE)
    chance = random.Random(14)
    for _ in range(6):
        process = project.start("-m", "alembic", "upgrade", "head", url=url, PAUSE="5")
        time.sleep(chance.uniform(0.5, 2.5))
        process.kill()
        process.communicate()
    project.alembic("upgrade", "head", url=url)
    assert recorded(databases, url) == numbers
    rows = databases.query(url, "SELECT title, note FROM task ORDER BY title")
    assert [tuple(row) for row in rows] == [("one", "kept"), ("two", "kept")]


@contextlib.contextmanager
def busy_table(project: Project, databases: Databases) -> Iterator[str]:
    """A database whose table `task` is in use, and is to be altered by a pending revision."""
    url = databases.create()
    project.alembic("upgrade", "head", url=url)
    project.add_revision(2, 'op.add_column("task", sa.Column("note", sa.String(50)))')
    with contextlib.closing(databases.connect(url)) as reader:
        reader.execute("BEGIN" if databases.dialect == "postgresql" else "BEGIN IMMEDIATE")
        reader.execute("SELECT count(*) FROM task").fetchall()
        yield url


@on_both_databases
def test_a_busy_table_is_a_line_with_the_revision_the_table_and_the_holder(
    project: Project, databases: Databases
) -> None:
    settings = {"MIGRATION_LOCK_WAIT_SECONDS": "0.5"}
    if databases.dialect == "postgresql":
        settings |= {"MIGRATION_TABLE_WAIT_SECONDS": "2"}
    with busy_table(project, databases) as url:
        done = project.run("-m", "alembic", "upgrade", "head", url=url, **settings)
    assert done.returncode != 0
    assert "Traceback" not in done.stderr
    line = done.stdout.strip().splitlines()[-1]
    if databases.dialect == "postgresql":
        for part in ("0002_step_2.py", "ALTER TABLE task", "a slow report", "waited 2 s"):
            assert part in line
        assert "the table is in use by process" in done.stderr
    else:
        # SQLite locks the file, and does not tell who has it.
        assert "was locked by another process for 0.5 s" in line
    project.alembic("upgrade", "head", url=url)


def test_a_table_that_becomes_free_is_migrated_by_a_later_try(
    project: Project, databases: Databases
) -> None:
    with busy_table(project, databases) as url:
        process = project.start("-m", "alembic", "upgrade", "head", url=url)
        read_until(process, "the table is in use by process")
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, out + err


def test_a_half_built_index_is_not_stamped_as_done(project: Project, databases: Databases) -> None:
    url = databases.create()
    project.alembic("upgrade", "head", url=url)
    databases.query(url, "INSERT INTO task (title) VALUES ('same'), ('same')")
    with contextlib.suppress(Exception):
        databases.query(url, "CREATE UNIQUE INDEX CONCURRENTLY ix_task_title ON task (title)")
    project.add_revision(
        2,
        """
        with op.get_context().autocommit_block():
            op.create_index("ix_task_title", "task", ["title"], if_not_exists=True,
                            postgresql_concurrently=True)
        """,
    )
    done = project.run("-m", "alembic", "upgrade", "head", url=url)
    assert done.returncode != 0
    assert "DROP INDEX CONCURRENTLY ix_task_title" in done.stdout
    assert "0001" in project.alembic("current", url=url)
    databases.query(url, "DROP INDEX CONCURRENTLY ix_task_title")
    project.alembic("upgrade", "head", url=url)


@on_sqlite
def test_a_revision_that_breaks_a_reference_is_refused(
    project: Project, databases: Databases
) -> None:
    url = databases.create()
    project.add_revision(
        2,
        """
        op.create_table(
            "note",
            sa.Column("id", sa.Integer(), primary_key=True),
            sa.Column("task_id", sa.Integer(), sa.ForeignKey("task.id", name="fk_note_task")),
        )
        op.execute("INSERT INTO task (title) VALUES ('kept')")
        op.execute("INSERT INTO note (id, task_id) SELECT 1, id FROM task")
        """,
    )
    project.alembic("upgrade", "head", url=url)
    project.add_revision(3, 'op.execute("DELETE FROM task")')
    done = project.run("-m", "alembic", "upgrade", "head", url=url)
    assert done.returncode != 0
    assert "0003" in done.stdout
    assert "note" in done.stdout
    assert "Traceback" not in done.stderr
    assert databases.query(url, "SELECT count(*) FROM task")[0][0] == 1


@on_both_databases
def test_a_database_at_a_revision_that_the_code_does_not_have_is_left_alone(
    project: Project, databases: Databases
) -> None:
    url = databases.create()
    newer = project.add_revision(2, 'op.create_table("newer", sa.Column("id", sa.Integer()))')
    project.alembic("upgrade", "head", url=url)
    newer.unlink()
    for command in (["upgrade", "head"], ["downgrade", "base"], ["check"]):
        done = project.run("-m", "alembic", *command, url=url)
        assert done.returncode != 0
        assert "FAILED: The database is at revision 0002, which this code does not have" in (
            done.stdout
        )
        assert "Traceback" not in done.stderr
    assert databases.query(url, "SELECT version_num FROM alembic_version")[0][0] == "0002"
    assert databases.query(url, "SELECT count(*) FROM newer")[0][0] == 0


def test_up_and_down_at_once_none_fails_and_each_leaves_a_revision_behind(
    project: Project, databases: Databases
) -> None:
    add_steps(project, 6)
    url = databases.create()
    project.alembic("upgrade", "head", url=url)
    directions = [("upgrade", "head"), ("downgrade", "0001")] * (PROCESSES // 2)
    processes = [project.start("-m", "alembic", *command, url=url) for command in directions]
    for process in processes:
        out, err = process.communicate(timeout=180)
        assert process.returncode == 0, out + err
    [[version]] = databases.query(url, "SELECT version_num FROM alembic_version")
    assert version in ("0001", "0007")
    tables = databases.query(url, "SELECT count(*) FROM pg_tables WHERE tablename = 'step'")
    assert tables == [(int(version == "0007"),)]


def test_eight_that_go_one_up_go_eight_up(project: Project, databases: Databases) -> None:
    numbers = add_steps(project, 10)
    url = databases.create()
    project.alembic("upgrade", "0001", url=url)
    processes = [project.start("-m", "alembic", "upgrade", "+1", url=url) for _ in range(8)]
    for process in processes:
        out, err = process.communicate(timeout=180)
        assert process.returncode == 0, out + err
    assert recorded(databases, url) == numbers[:8]


def test_two_up_is_two_up_also_where_the_second_one_has_to_wait(
    project: Project, databases: Databases
) -> None:
    url = databases.create()
    project.alembic("upgrade", "head", url=url)
    add_steps(project, 4)
    project.add_revision(3, 'op.add_column("task", sa.Column("note", sa.String(50)))')
    with contextlib.closing(databases.connect(url)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM task").fetchall()
        process = project.start("-m", "alembic", "upgrade", "+2", url=url)
        read_until(process, "the table is in use by process")
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, out + err
    assert databases.query(url, "SELECT version_num FROM alembic_version") == [("0003",)]


ADVISORY = "SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND granted AND database = "
ADVISORY += "(SELECT oid FROM pg_database WHERE datname = current_database())"


def test_a_run_that_has_lost_its_lock_commits_nothing_more(
    project: Project, databases: Databases
) -> None:
    url = databases.create()
    project.alembic("upgrade", "head", url=url)
    project.add_revision(2, "import time\ntime.sleep(3)\nop.execute('CREATE TABLE note ()')")
    process = project.start("-m", "alembic", "upgrade", "head", url=url)
    read_until(process, "Running upgrade")
    [[pid]] = databases.query(url, ADVISORY)
    databases.query(url, f"SELECT pg_terminate_backend({pid})")
    out, err = process.communicate(timeout=60)
    assert process.returncode != 0
    assert "the migrations' lock is lost" in out
    assert "Traceback" not in err
    assert databases.query(url, "SELECT version_num FROM alembic_version") == [("0001",)]
    assert databases.query(url, "SELECT to_regclass('note')") == [(None,)]
    project.alembic("upgrade", "head", url=url)


def test_a_waiter_whose_server_closes_the_connection_connects_again(
    project: Project, databases: Databases
) -> None:
    url = databases.create()
    with held(databases, url):
        process = project.start("-m", "alembic", "upgrade", "head", url=url)
        read_until(process, "Another migration is running")
        query = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = "
        databases.query(url, f"{query}'alembic' AND datname = current_database()")
        read_until(process, "connecting again")
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, out + err


def test_stamp_replaces_a_revision_that_the_code_does_not_know(
    project: Project, databases: Databases
) -> None:
    url = databases.create()
    project.alembic("upgrade", "head", url=url)
    databases.query(url, "UPDATE alembic_version SET version_num = 'squashed'")
    project.alembic("stamp", "--purge", "head", url=url)
    assert databases.query(url, "SELECT version_num FROM alembic_version") == [("0001",)]
