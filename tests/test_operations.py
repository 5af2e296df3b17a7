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
    "not null": 'set_not_null("task", "note")',
    "backfill": """backfill("task", {"note": "1"}, where="note IS NULL")""",
}
IMPORT = """
from app.core.migrations import (
    add_check, add_foreign_key, backfill, committing, create_index_concurrently,
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


def schema(databases: Databases, url: str) -> list[str]:
    """What PostgreSQL knows of the table, and whether it holds for all rows."""
    rows = databases.query(
        url,
        "SELECT conname || ' ' || pg_get_constraintdef(oid) FROM pg_constraint "
        "WHERE conrelid = 'task'::regclass AND contype <> 'n' UNION ALL "
        "SELECT indexdef || CASE WHEN indisvalid THEN '' ELSE ' not valid' END FROM pg_indexes "
        "JOIN pg_index ON indexrelid = indexname::regclass WHERE tablename = 'task' UNION ALL "
        "SELECT column_name || ' ' || is_nullable FROM information_schema.columns "
        "WHERE table_name = 'task' ORDER BY 1",
    )
    return [row[0] for row in rows]


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
        "CREATE INDEX ix_task_title ON task (status)",
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
    settings = {"MIGRATION_LOCK_TIMEOUT_SECONDS": "0.3", "MIGRATION_LOCK_RETRIES": "0"}
    with contextlib.closing(databases.connect(url)) as report:
        report.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
        report.execute("SELECT count(*) FROM task")
        process = project.start(*command, url=url, **settings)
        time.sleep(2.5)
        waiting = process.poll() is None
    out, err = process.communicate(timeout=60)
    assert waiting
    assert process.returncode == 0, out + err
    assert databases.query(url, "SELECT value FROM said")[0][0] == "300ms"


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
