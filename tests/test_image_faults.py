"""The image under load, while its database or itself is taken away."""

import json
import shlex
import time
from collections.abc import Callable

from tests.conftest import on_sqlite
from tests.containers import PODMAN, App, Postgres, engine, needs_engine, wait_for
from tests.load import Load

pytestmark = needs_engine

Start = Callable[..., App]


def test_sigterm_under_load_loses_no_accepted_request(
    start: Start, postgres: Postgres, database: str
) -> None:
    app = start(DATABASE_URL=postgres.url(database))
    wait_for(app.is_ready)
    load = Load(app.place())
    wait_for(lambda: len(load.created) > 200)
    engine("stop", "--time", "20", app.name)
    load.stop()
    code, said = app.ended()
    assert code == 0
    assert "Application shutdown complete" in said
    # What was written was answered, and what was answered was written.
    rows = postgres.sql("SELECT title FROM task", database).splitlines()
    assert sorted(rows) == sorted(load.created)
    assert set(load.statuses) <= {201, 0}


def titles(start: Start, options: tuple[str, ...]) -> list[str]:
    """The titles of all tasks in the SQLite file of a volume."""
    query = "sqlite3.connect('/data/app.db').execute('SELECT title FROM task')"
    program = f"import sqlite3; print(*(row[0] for row in {query}))"
    return start("python", "-c", program, options=options).ended()[1].split()


@on_sqlite
def test_sigterm_under_load_loses_no_accepted_request_of_a_sqlite_service(
    start: Start, volume: str
) -> None:
    options = ("--volume", f"{volume}:/data")
    app = start(options=options)
    wait_for(app.is_ready)
    load = Load(app.place())
    wait_for(lambda: len(load.created) > 200)
    engine("stop", "--time", "20", app.name)
    load.stop()
    assert app.ended()[0] == 0
    assert sorted(titles(start, options)) == sorted(load.created)
    assert set(load.statuses) <= {201, 0}


@on_sqlite
def test_every_201_is_in_the_sqlite_file_after_the_container_is_killed(
    start: Start, volume: str
) -> None:
    options = ("--volume", f"{volume}:/data")
    app = start(options=options)
    wait_for(app.is_ready)
    load = Load(app.place())
    wait_for(lambda: len(load.created) > 200)
    engine("kill", app.name)
    load.stop()
    assert set(load.created) <= set(titles(start, options))
    again = start(options=options)
    wait_for(again.is_ready)
    assert again.request("/tasks", b'{"title": "after"}')[0] == 201


def test_a_database_that_restarts_under_load_is_found_again(
    start: Start, own_postgres: Postgres
) -> None:
    own_postgres.create()
    app = start(DATABASE_URL=own_postgres.url())
    wait_for(app.is_ready)
    started = app.state("StartedAt")
    load = Load(app.place())
    wait_for(lambda: len(load.created) > 100)
    engine("kill", own_postgres.name)
    wait_for(lambda: load.statuses[503])
    engine("start", own_postgres.name)
    before = len(load.created)
    wait_for(lambda: len(load.created) > before + 100)
    load.stop()
    wait_for(app.is_ready)
    assert app.state("StartedAt") == started
    assert set(load.statuses) == {201, 503}
    rows = set(own_postgres.sql("SELECT title FROM task").splitlines())
    assert set(load.created) <= rows


def test_a_database_that_comes_15_seconds_late_is_waited_for(
    start: Start, own_postgres: Postgres
) -> None:
    app = start(DATABASE_URL=own_postgres.url())
    time.sleep(15)
    assert app.state("Running") == "true", app.logs()
    own_postgres.create()
    wait_for(app.is_ready)
    assert f"Waiting 30 s at most for the database at {own_postgres.name}:5432" in app.logs()


def health(app: App) -> str:
    """The state after three checks. Docker makes them by itself, Podman where there is systemd."""
    for _ in range(3):
        if PODMAN:
            engine("healthcheck", "run", app.name, check=False)
        else:
            time.sleep(11)
    state: str = json.loads(engine("inspect", app.name))[0]["State"]["Health"]["Status"]
    return state


def test_the_health_check_follows_the_database(start: Start, own_postgres: Postgres) -> None:
    own_postgres.create()
    check = json.loads(engine("inspect", start("true").name))[0]["Config"]["Healthcheck"]["Test"]
    assert check[0] == "CMD"
    # The same check, counted from the beginning: Podman takes a new period with a new check alone.
    command = " ".join(map(shlex.quote, check[1:]))
    options = (f"--health-cmd={command}", "--health-start-period=1ms", "--health-interval=10s")
    app = start(options=options, DATABASE_URL=own_postgres.url())
    wait_for(app.is_ready)
    assert health(app) == "healthy"
    engine("kill", own_postgres.name)
    assert health(app) == "unhealthy"
    engine("start", own_postgres.name)
    wait_for(app.is_ready)
    assert health(app) == "healthy"
