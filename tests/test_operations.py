"""The operations of a rendered project that do not block a busy PostgreSQL."""

import contextlib
import re
import time

import pytest

from tests.project import Databases, Project

pytestmark = pytest.mark.slow

# One line each, to be put into a revision.
OPERATIONS = {
    "index": 'create_index_concurrently("ix_task_title", "task", ["title"])',
    "unique index": 'create_index_concurrently("ix_task_title", "task", ["title"], unique=True)',
    "no index": 'drop_index_concurrently("ix_task_status_id", "task")',
    "check": 'add_check("task", "ck_task_title_long", "length(title) > 2")',
    "foreign key": 'add_foreign_key("task", "fk_task_note_note", "note", "note.id")',
    "unique": 'add_unique("task", "uq_task_title", ["title"])',
    "not null": 'set_not_null("task", "note")',
    "backfill": """backfill("task", {"note": "1"}, where="note IS NULL")""",
}
IMPORT = """
from app.core.migrations import (
    add_check, add_foreign_key, add_unique, backfill, committing, create_index_concurrently,
    drop_index_concurrently, set_not_null,
)
"""


@pytest.fixture
def url(databases: Databases) -> str:
    """A database at 0001 with two tasks that have no note yet, and a table of notes."""
    url = databases.create()
    databases.query(
        url,
        "CREATE TABLE note (id BIGINT PRIMARY KEY)",
        "CREATE TABLE task (id BIGINT PRIMARY KEY, title VARCHAR(9), status INTEGER, note BIGINT)",
        "CREATE INDEX ix_task_status_id ON task (status, id)",
        "INSERT INTO note (id) VALUES (1)",
        "INSERT INTO task (id, title) VALUES (1, 'one'), (2, 'two')",
        "CREATE TABLE alembic_version (version_num VARCHAR(32) PRIMARY KEY)",
        "INSERT INTO alembic_version VALUES ('0001')",
    )
    return url


SCHEMA = (
    "SELECT conname || ' ' || pg_get_constraintdef(oid) FROM pg_constraint "
    "WHERE conrelid = 'task'::regclass AND contype <> 'n' UNION ALL "
    "SELECT indexdef || CASE WHEN indisvalid THEN '' ELSE ' not valid' END FROM pg_indexes "
    "JOIN pg_index ON indexrelid = indexname::regclass WHERE tablename = 'task' UNION ALL "
    "SELECT column_name || ' ' || is_nullable FROM information_schema.columns "
    "WHERE table_name = 'task' ORDER BY 1"
)


def schema(databases: Databases, url: str) -> list[str]:
    """What PostgreSQL knows of the table, and whether it holds for all rows."""
    return [row[0] for row in databases.query(url, SCHEMA)]


def test_each_operation_does_what_its_name_says(
    project: Project, databases: Databases, url: str
) -> None:
    chosen = [OPERATIONS[name] for name in OPERATIONS if name != "unique index"]
    project.add_revision(2, IMPORT + "\n".join([chosen[-1], *chosen[:-1]]))
    project.alembic("upgrade", "head", url=url)
    found = "\n".join(schema(databases, url))
    assert "NOT VALID" not in found.upper()
    assert "INDEX ix_task_title ON public.task USING btree (title)" in found
    assert "ix_task_status_id" not in found
    assert re.search(r"ck_task_title_long CHECK \(+length\(", found)
    assert "fk_task_note_note FOREIGN KEY (note) REFERENCES note(id)" in found
    assert "uq_task_title UNIQUE (title)" in found
    assert "note NO" in found
    assert "ck_task_note_not_null" not in found
    assert databases.query(url, "SELECT count(*) FROM task WHERE note = 1")[0][0] == 2


def test_the_sql_of_each_operation_is_printed_without_a_database(project: Project) -> None:
    project.add_revision(2, IMPORT + "\n".join(OPERATIONS.values()))
    nowhere = "postgresql://nobody@127.0.0.1:1/none"
    sql = project.alembic("upgrade", "0001:0002", "--sql", url=nowhere)
    for part in (
        "CREATE UNIQUE INDEX CONCURRENTLY",
        "DROP INDEX CONCURRENTLY",
        "NOT VALID",
        "VALIDATE CONSTRAINT",
        "SET NOT NULL",
        "UPDATE task SET note=1",
    ):
        assert part in sql


def test_an_index_whose_build_was_interrupted_is_built_anew(
    project: Project, databases: Databases, url: str
) -> None:
    databases.query(
        url,
        "CREATE INDEX ix_task_title ON task (title)",
        "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'ix_task_title'::regclass",
    )
    project.add_revision(2, IMPORT + OPERATIONS["index"])
    project.alembic("upgrade", "head", url=url)
    found = [line for line in schema(databases, url) if "ix_task_title" in line]
    assert found == ["CREATE INDEX ix_task_title ON public.task USING btree (title)"]


@pytest.mark.parametrize("name", ["check", "foreign key", "not null"])
def test_what_the_rows_break_is_refused_and_leaves_nothing_behind(
    project: Project, databases: Databases, url: str, name: str
) -> None:
    databases.query(url, "INSERT INTO task (id, title, note) VALUES (3, 'x', 7), (4, 'y', NULL)")
    before = schema(databases, url)
    revision = project.add_revision(2, IMPORT + OPERATIONS[name])
    done = project.run("-m", "alembic", "upgrade", "head", url=url)
    assert done.returncode != 0
    assert f"FAILED: {revision.name}" in done.stdout
    assert "VALIDATE CONSTRAINT" in done.stdout
    assert "Traceback" not in done.stderr
    assert schema(databases, url) == before
    databases.query(url, "DELETE FROM task WHERE title IN ('x', 'y')", "UPDATE task SET note = 1")
    project.alembic("upgrade", "head", url=url)
    assert len(schema(databases, url)) >= len(before)
    assert schema(databases, url) != before


def test_none_is_begun_after_a_write_that_it_would_commit(
    project: Project, databases: Databases, url: str
) -> None:
    before = schema(databases, url)
    program = f"""
import sqlalchemy as sa
from alembic import op
from alembic.migration import MigrationContext
from alembic.operations import Operations
from alembic.util import CommandError
from app.core.db.engine import database_url
from app.settings import Settings
{IMPORT}
with sa.create_engine(database_url(Settings())).connect() as connection:
    context = MigrationContext.configure(connection)
    for operation in {list(OPERATIONS.values())}:
        try:
            with Operations.context(context), context.begin_transaction():
                op.execute("DELETE FROM task")
                exec(operation)
        except CommandError as error:
            print(error)
"""
    done = project.run("-c", program, url=url)
    assert done.stdout.count("This revision has written something before") == len(OPERATIONS)
    assert schema(databases, url) == before
    assert databases.query(url, "SELECT count(*) FROM task")[0][0] == 2


def test_a_concurrent_build_waits_for_old_transactions_for_longer_than_a_lock_may_take(
    project: Project, databases: Databases, url: str
) -> None:
    record = "op.execute(\"CREATE TABLE said AS SELECT current_setting('lock_timeout') AS value\")"
    project.add_revision(2, IMPORT + f"{OPERATIONS['index']}\n{record}")
    command = ("-m", "alembic", "upgrade", "head")
    with contextlib.closing(databases.connect(url)) as report:
        report.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
        report.execute("SELECT count(*) FROM task")
        process = project.start(*command, url=url)
        time.sleep(2.5)
        waiting = process.poll() is None
    out, err = process.communicate(timeout=60)
    assert waiting
    assert process.returncode == 0, out + err
    assert databases.query(url, "SELECT value FROM said")[0][0] == "100ms"


def test_in_a_transaction_of_the_callers_all_can_be_rolled_back(
    project: Project, databases: Databases, url: str
) -> None:
    before = schema(databases, url)
    chosen = [OPERATIONS[name] for name in ("backfill", "index", "no index", "check", "not null")]
    project.add_revision(2, IMPORT + "\n".join(chosen))
    program = """
import sqlalchemy as sa
from alembic import command
from app.core.migrations.config import alembic_config
from app.core.db.engine import database_url
from app.settings import Settings
config = alembic_config()
with sa.create_engine(database_url(Settings())).connect() as connection:
    connection.begin()
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
    print(connection.exec_driver_sql("SELECT count(note) FROM task").scalar())
    connection.rollback()
"""
    done = project.run("-c", program, url=url)
    assert done.stdout == "2\n", done.stderr
    assert schema(databases, url) == before
    assert databases.query(url, "SELECT count(note) FROM task")[0][0] == 0


def test_a_lost_connection_is_a_line_that_says_so(
    project: Project, databases: Databases, url: str
) -> None:
    end = "SELECT pg_terminate_backend(pg_backend_pid())"
    project.add_revision(2, IMPORT + f"with committing():\n    op.execute('{end}')")
    done = project.run("-m", "alembic", "upgrade", "head", url=url)
    assert done.returncode != 0
    assert "Traceback" not in done.stderr
    assert "terminating connection" in done.stdout


# Ends a run at its n-th statement, as a kill does; then the next run has to finish it.
KILLS = """
import os
import sys
from alembic import command
from sqlalchemy import Engine, create_engine, event
from app.core.db.settings import parse_url
from app.core.migrations.config import alembic_config

url, schema = sys.argv[1], sys.argv[2]
engine = create_engine(parse_url(url))

def look():
    with engine.connect() as connection:
        return connection.exec_driver_sql(schema.replace("%", "%%")).all()

def upgrade_and_die(at):
    statements = 0
    def count(*_):
        nonlocal statements
        statements += 1
        if statements == at:
            os._exit(9)
    event.listen(Engine, "before_cursor_execute", count)
    command.upgrade(alembic_config(url), "head")
    os._exit(0)

before = look()
engine.dispose()
at, ends = 0, []
while 0 not in ends:
    at += 1
    child = os.fork()
    if child == 0:
        upgrade_and_die(at)
    ends.append(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    command.upgrade(alembic_config(url), "head")
    after = look()
    assert after != before
    assert at == 1 or after == wanted, (at, after, wanted)
    wanted = after
    command.downgrade(alembic_config(url), "0001")
    assert look() == before, at
    engine.dispose()
assert set(ends) == {0, 9}, ends
print(at)
"""
UNDO = {
    "index": 'drop_index_concurrently("ix_task_title", "task")',
    "no index": 'create_index_concurrently("ix_task_status_id", "task", ["status", "id"])',
    "check": 'op.drop_constraint("ck_task_title_long", "task")',
    "foreign key": 'op.drop_constraint("fk_task_note_note", "task")',
    "unique": 'op.drop_constraint("uq_task_title", "task")',
    "not null": 'op.alter_column("task", "note", nullable=True)',
}


@pytest.mark.parametrize("name", UNDO)
def test_killed_at_any_statement_it_is_finished_by_the_next_run(
    project: Project, databases: Databases, url: str, name: str
) -> None:
    databases.query(url, "UPDATE task SET note = 1")
    project.add_revision(2, IMPORT + OPERATIONS[name], IMPORT + UNDO[name])
    done = project.run("-c", KILLS, url, SCHEMA)
    assert done.returncode == 0, done.stdout + done.stderr
    assert int(done.stdout.split()[-1]) > 10


@pytest.mark.parametrize(
    ("operation", "exists"),
    [
        ('add_check("task", "pk_task", "id > 0")', "PRIMARY KEY (id)"),
        ('add_check("task", "ck_task", "id > 1")', "CHECK ((id > 0))"),
        ('add_foreign_key("task", "fk_task", "id", "note.id")', "FOREIGN KEY (note)"),
        ('add_unique("task", "uq_task", ["title"])', "UNIQUE (status)"),
        ('create_index_concurrently("ix_task_status_id", "task", ["title"])', "(status, id)"),
        ('create_index_concurrently("pk_task", "task", ["title"])', "btree (id)"),
    ],
)
def test_what_has_the_same_name_and_is_another_thing_is_left_alone(
    project: Project, databases: Databases, url: str, operation: str, exists: str
) -> None:
    databases.query(
        url,
        "ALTER TABLE task RENAME CONSTRAINT task_pkey TO pk_task",
        "ALTER TABLE task ADD CONSTRAINT ck_task CHECK (id > 0)",
        "ALTER TABLE task ADD CONSTRAINT fk_task FOREIGN KEY (note) REFERENCES note (id)",
        "ALTER TABLE task ADD CONSTRAINT uq_task UNIQUE (status)",
    )
    before = schema(databases, url)
    project.add_revision(2, IMPORT + operation)
    done = project.run("-m", "alembic", "upgrade", "head", url=url)
    assert done.returncode != 0
    assert "another" in done.stdout
    assert exists in done.stdout
    assert "Traceback" not in done.stderr
    assert schema(databases, url) == before


@pytest.mark.parametrize(
    ("operation", "said"),
    [
        ('drop_index_concurrently("ix_task_tilte", "task")', "task has no index ix_task_tilte"),
        ('drop_index_concurrently("note_pkey", "task")', "it is one of note"),
        ('set_not_null("task", "tilte")', "There is no column tilte in task"),
        ('add_check("tsak", "ck_task", "id > 0")', "There is no table tsak"),
        ('create_index_concurrently("ix", "tsak", ["id"])', "There is no table tsak"),
    ],
)
def test_a_wrong_name_is_a_line(project: Project, url: str, operation: str, said: str) -> None:
    project.add_revision(2, IMPORT + operation)
    done = project.run("-m", "alembic", "upgrade", "head", url=url)
    assert done.returncode != 0
    assert said in done.stdout
    assert "Traceback" not in done.stderr


def test_a_not_valid_constraint_of_somebody_else_is_validated_and_never_dropped(
    project: Project, databases: Databases, url: str
) -> None:
    databases.query(
        url,
        "ALTER TABLE task ADD CONSTRAINT fk_task_note_note FOREIGN KEY (note) "
        "REFERENCES note (id) NOT VALID",
        "ALTER TABLE task DISABLE TRIGGER ALL",
        "INSERT INTO task (id, note) VALUES (9, 99)",
        "ALTER TABLE task ENABLE TRIGGER ALL",
    )
    before = schema(databases, url)
    project.add_revision(2, IMPORT + OPERATIONS["foreign key"])
    done = project.run("-m", "alembic", "upgrade", "head", url=url)
    assert done.returncode != 0
    assert schema(databases, url) == before
    databases.query(url, "DELETE FROM task WHERE id = 9")
    project.alembic("upgrade", "head", url=url)
    assert schema(databases, url) != before


def test_names_of_any_length_and_schemas_of_any_name(
    project: Project, databases: Databases, url: str
) -> None:
    table, column = "t" * 40 + "ä" * 10, "c" * 40
    databases.query(
        url,
        'CREATE SCHEMA "Other Space"',
        f'CREATE TABLE "Other Space"."{table}" (id BIGINT PRIMARY KEY, "{column}" INTEGER)',
        f'INSERT INTO "Other Space"."{table}" VALUES (1, 1)',
    )
    name = "n" * 70
    project.add_revision(
        2,
        IMPORT
        + f"""
where = {{"schema": "Other Space"}}
set_not_null("{table}", "{column}", **where)
add_check("{table}", "{name[:63]}", "id > 0", **where)
create_index_concurrently("ix_{name[:60]}", "{table}", ["{column}"], **where)
add_foreign_key("{table}", "fk_other", "id", "note.id", **where)
""",
    )
    project.alembic("upgrade", "head", url=url)
    rows = databases.query(
        url,
        "SELECT conname FROM pg_constraint WHERE connamespace = '\"Other Space\"'::regnamespace "
        "AND contype IN ('c', 'f') ORDER BY 1",
    )
    assert rows == [("fk_other",), (name[:63],)]


def test_a_partitioned_table_gets_its_index_part_by_part(
    project: Project, databases: Databases, url: str
) -> None:
    databases.query(
        url,
        "CREATE TABLE event (id BIGINT, at INTEGER) PARTITION BY RANGE (at)",
        "CREATE TABLE event_1 PARTITION OF event FOR VALUES FROM (0) TO (10)",
        "CREATE TABLE event_2 PARTITION OF event FOR VALUES FROM (10) TO (20) "
        "PARTITION BY RANGE (id)",
        "CREATE TABLE event_2a PARTITION OF event_2 DEFAULT",
        "INSERT INTO event SELECT i, i % 20 FROM generate_series(1, 100) AS i",
    )
    project.add_revision(
        2,
        IMPORT
        + """
create_index_concurrently("ix_event_at", "event", ["at"])
add_check("event", "ck_event_id", "id > 0")
set_not_null("event", "at")
""",
        IMPORT + 'drop_index_concurrently("ix_event_at", "event")',
    )
    project.alembic("upgrade", "head", url=url)
    query = (
        "SELECT count(*), bool_and(indisvalid) FROM pg_index "
        "WHERE indrelid::regclass::text ~ '^event'"
    )
    assert databases.query(url, query) == [(4, True)]
    project.alembic("downgrade", "-1", url=url)
    assert databases.query(url, query) == [(0, None)]


def test_what_follows_other_statements_and_commits_is_refused(
    project: Project, databases: Databases, url: str
) -> None:
    project.add_revision(
        2,
        """
        op.add_column("task", sa.Column("more", sa.Integer()))
        with op.get_context().autocommit_block():
            op.execute("CREATE INDEX CONCURRENTLY ix ON task (no_such_column)")
        """,
    )
    before = schema(databases, url)
    done = project.run("-m", "alembic", "upgrade", "head", url=url)
    assert done.returncode != 0
    assert "has written something before" in done.stdout
    assert schema(databases, url) == before
    planned = project.run("-m", "app.core.migrations.plan", "--since", "0001", url=url)
    assert planned.returncode == 1
    assert "RISK: commits-in-the-middle" in planned.stdout


def test_the_first_revision_may_begin_with_what_commits(
    project: Project, databases: Databases
) -> None:
    path = next(project.root.glob("alembic/versions/0001*.py"))
    begin = "def upgrade() -> None:\n"
    commits = """    with op.get_context().autocommit_block():
        op.execute("CREATE EXTENSION IF NOT EXISTS plpgsql")
"""
    path.write_text(path.read_text("utf-8").replace(begin, begin + commits), "utf-8")
    url = databases.create()
    planned = project.run("-m", "app.core.migrations.plan", url=url)
    assert planned.returncode == 0, planned.stdout + planned.stderr
    project.alembic("upgrade", "head", url=url)


def test_an_index_that_somebody_else_rebuilds_is_not_the_revisions_fault(
    project: Project, databases: Databases, url: str
) -> None:
    databases.query(
        url,
        "CREATE INDEX ix_task_title_ccnew ON task (title)",
        "CREATE INDEX ix_others ON task (title)",
        "UPDATE pg_index SET indisvalid = false WHERE indexrelid IN "
        "('ix_task_title_ccnew'::regclass, 'ix_others'::regclass)",
    )
    project.add_revision(2, 'op.execute("SELECT 1")')
    project.alembic("upgrade", "head", url=url)
