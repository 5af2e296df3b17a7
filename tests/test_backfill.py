"""The backfill of a rendered project: in batches, in sight, stopped and gone on with."""

import contextlib
import re
import signal
import subprocess
from collections.abc import Iterator

import pytest

from tests.project import Databases, Project, read_until

pytestmark = pytest.mark.slow

ROWS, BATCH = 2000, 100
AT_0001 = (
    "CREATE TABLE alembic_version (version_num VARCHAR(32) PRIMARY KEY)",
    "INSERT INTO alembic_version VALUES ('0001')",
)
# Done twice, a row would have two marks.
BACKFILL = f"""
import os
from app.core.migrations import backfill
backfill(
    "task",
    {{"status": "'done'", "title": "title || '!'"}},
    where="status = 'todo'",
    batch={BATCH},
    pause_seconds=float(os.environ.get("PAUSE", "0")),
    progress_seconds=0.2,
)
"""
LINE = re.compile(
    r"task: ([\d,]+) of about ([\d,]+) rows \((\d+) %\), [\d,]+ rows/s, (0:00:\d\d) left"
)


@pytest.fixture
def url(project: Project, databases: Databases) -> str:
    """A database with rows of which the next revision changes all but three."""
    url = databases.create()
    databases.query(
        url,
        "CREATE TABLE task (id INTEGER PRIMARY KEY, title VARCHAR(99), status VARCHAR(99))",
        f"INSERT INTO task SELECT i, 'Task ' || i, 'todo' FROM generate_series(1, {ROWS}) AS i",
        "INSERT INTO task VALUES (-3, 'A', 'later'), (0, 'B', 'later'), (9999, 'C', 'later')",
        *AT_0001,
    )
    project.add_revision(2, BACKFILL)
    return url


def done(databases: Databases, url: str) -> int:
    query = "SELECT count(*) FROM task WHERE status = 'done' AND title LIKE 'Task %!'"
    return int(databases.query(url, query)[0][0])


@contextlib.contextmanager
def upgrade(project: Project, url: str, **variables: str) -> Iterator[subprocess.Popen[str]]:
    """An upgrade that runs, but not for longer than the test."""
    process = project.start("-m", "alembic", "upgrade", "head", url=url, **variables)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def finish(process: subprocess.Popen[str]) -> tuple[str, str]:
    assert process.stdout
    assert process.stderr
    process.wait(timeout=60)
    return process.stdout.read(), process.stderr.read()


def test_a_backfill_that_is_stopped_and_killed_goes_on_where_it_was(
    project: Project, databases: Databases, url: str
) -> None:
    with upgrade(project, url, PAUSE="0.1") as process:
        read_until(process, "of about")
        process.send_signal(signal.SIGINT)
        out, err = finish(process)
    assert process.returncode not in (0, -signal.SIGINT)
    assert "Traceback" not in out + err
    stopped = re.fullmatch(r"FAILED: Stopped by SIGINT with ([\d,]+) rows of task done: .*\n", out)
    assert stopped, out
    before = done(databases, url)
    assert before == int(stopped[1].replace(",", ""))
    assert 0 < before < ROWS

    with upgrade(project, url, PAUSE="0.1") as process:
        log = read_until(process, "of about")
    assert f"of about {ROWS - before:,} rows" in log
    now = done(databases, url)
    assert now % BATCH == 0
    assert before < now < ROWS

    log = project.alembic("upgrade", "head", url=url)
    assert f"task: {ROWS - now:,} rows in" in log
    assert done(databases, url) == ROWS
    assert databases.query(url, "SELECT count(*) FROM task WHERE title LIKE '%!!'")[0][0] == 0
    left = databases.query(url, "SELECT title FROM task WHERE status = 'later' ORDER BY id")
    assert [row[0] for row in left] == ["A", "B", "C"]


def test_progress_is_a_line_now_and_then(project: Project, url: str) -> None:
    log = project.alembic("upgrade", "head", url=url, PAUSE="0.05")
    lines = LINE.findall(log)
    seconds = re.search(r"task: 2,000 rows in (\d+\.\d) s", log)
    assert seconds
    assert 2 <= len(lines) <= float(seconds[1]) / 0.2 + 1
    for rows, total, percent, _ in lines:
        assert total == "2,000"
        assert int(percent) == int(rows.replace(",", "")) * 100 // ROWS
    assert sorted(lines, key=lambda line: int(line[2])) == lines


def test_a_batch_that_waits_for_a_lock_is_tried_again(
    project: Project, databases: Databases, url: str
) -> None:
    with contextlib.closing(databases.connect(url)) as other:
        other.execute("BEGIN")
        other.execute("SELECT 1 FROM task WHERE title = 'Task 1050' FOR UPDATE")
        with upgrade(project, url, MIGRATION_TABLE_WAIT_SECONDS="2") as process:
            out, _ = finish(process)
        assert re.search(r"FAILED: 0002_.*UPDATE task .*waited 2 s.*a slow report", out)
        assert done(databases, url) == 1000
        with upgrade(project, url) as process:
            read_until(process, "the table is in use by process .*a slow report")
            other.execute("ROLLBACK")
            out, err = finish(process)
    assert process.returncode == 0, out + err
    assert done(databases, url) == ROWS


REFUSALS = """
import sqlalchemy as sa
from alembic import op
from alembic.migration import MigrationContext
from alembic.operations import Operations
from alembic.util import CommandError
from app.core.migrations import backfill
from app.core.db.engine import database_url
from app.settings import Settings

engine = sa.create_engine(database_url(Settings()))

def run(*statements):
    with engine.begin() as connection:
        for statement in statements:
            found = connection.exec_driver_sql(statement)
        return found.scalar() if found.returns_rows else None

def refused(*arguments, first=None, **options):
    with engine.connect() as connection:
        context = MigrationContext.configure(connection)
        with Operations.context(context):
            try:
                with context.begin_transaction():
                    if first:
                        op.execute(first)
                    backfill(*arguments, **options)
            except CommandError as error:
                return str(error)

run("CREATE TABLE no_key (v INTEGER, k INTEGER)")
said = refused("no_key", {"v": "1"}, where="v IS NULL")
assert "needs a primary key, which no_key has not" in said, said
assert "no table nowhere" in refused("nowhere", {"v": "1"}, where="v IS NULL")

run("CREATE TABLE t (id INTEGER PRIMARY KEY, v INTEGER)", "CREATE TABLE u (id INTEGER)",
    "INSERT INTO t (id, v) VALUES (-5, 1), (2, 1), (9, 1)")
said = refused("t", {"v": "v + 1"}, where="v < 9")
assert "3 rows match `where` also after they were set" in said, said
assert run("SELECT sum(v) FROM t") == 3, "the batch was not undone"
said = refused("t", {"id": "id"}, into="u", where="v = 1")
assert "3 rows of t match 'v = 1' after the last batch" in said, said
said = refused("t", {"v": "2"}, where="v = 1", first="INSERT INTO t VALUES (10, 1)")
assert "has written something before" in said, said
assert run("SELECT count(*) FROM t WHERE id = 10 OR v <> 1") == 0
"""


def test_what_could_go_wrong_later_is_refused_at_once(
    project: Project, databases: Databases
) -> None:
    done = project.run("-c", REFUSALS, url=databases.create())
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("columns", "key"),
    [
        ("k UUID DEFAULT gen_random_uuid() PRIMARY KEY", "gen_random_uuid()"),
        ("k VARCHAR(40) PRIMARY KEY", "md5(i::text)"),
        ("k TIMESTAMPTZ PRIMARY KEY", "now() + i * interval '1 s'"),
        ("k INTEGER, l VARCHAR(9), PRIMARY KEY (l, k)", "i % 7, i / 7"),
    ],
    ids=["uuid", "text", "time", "two columns"],
)
def test_a_key_of_any_type_or_of_several_columns_is_gone_through(
    project: Project, databases: Databases, columns: str, key: str
) -> None:
    url = databases.create()
    databases.query(
        url,
        f"CREATE TABLE thing (v INTEGER NOT NULL DEFAULT 0, {columns})",
        f"INSERT INTO thing SELECT 0, {key} FROM generate_series(1, 1000) AS i",
        *AT_0001,
    )
    project.add_revision(
        2,
        """
        from app.core.migrations import backfill
        backfill("thing", {"v": "v + 1"}, where="v = 0", batch=64)
        """,
    )
    log = project.alembic("upgrade", "head", url=url)
    assert "thing: 1,000 rows in" in log
    assert databases.query(url, "SELECT v, count(*) FROM thing GROUP BY v") == [(1, 1000)]


def test_names_and_signs_reach_the_database_as_they_were_written(
    project: Project, databases: Databases
) -> None:
    url = databases.create()
    databases.query(
        url,
        'CREATE TABLE "Order" ("select" BIGINT PRIMARY KEY, "50% of" VARCHAR(99))',
        'INSERT INTO "Order" ("select") VALUES (-7), (1), (9000000000)',
        *AT_0001,
    )
    project.add_revision(
        2,
        """
        from app.core.migrations import backfill
        backfill(
            "Order", {"50% of": "'12:30 :x 100% %s'"},
            where='"50% of" IS NULL AND \\'50%\\' LIKE \\'5_%\\'', batch=1
        )
        """,
    )
    project.alembic("upgrade", "head", url=url)
    rows = databases.query(url, 'SELECT DISTINCT "50% of" FROM "Order"')
    assert [tuple(row) for row in rows] == [("12:30 :x 100% %s",)]
    sql = project.alembic("upgrade", "0001:0002", "--sql", url=url)
    update = """
-- Without --sql, this runs in batches of 1 rows.

UPDATE "Order" SET "50% of"='12:30 :x 100% %s' WHERE ("50% of" IS NULL AND '50%' LIKE '5_%');
"""
    assert update in sql


SIGNALS = """
import signal
from app.core.migrations.backfill import stop_signals

signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell may have it ignored
with stop_signals() as came:
    try:
        signal.raise_signal(signal.SIGTERM)
        assert came == [signal.SIGTERM]
        signal.raise_signal(signal.SIGINT)
    except KeyboardInterrupt:
        print("the second one breaks in")
        came.clear()
try:
    with stop_signals():
        signal.raise_signal(signal.SIGINT)
except KeyboardInterrupt:
    print("one that nobody looked at is not lost")
"""


def test_a_signal_is_held_back_and_not_lost(project: Project) -> None:
    done = project.run("-c", SIGNALS)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "the second one breaks in",
        "one that nobody looked at is not lost",
    ]
