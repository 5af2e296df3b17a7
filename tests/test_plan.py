"""`make plan`, `make sql`, `make schema`: what will happen, and what there is, to read."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.project import Databases, Project

pytestmark = pytest.mark.slow

# what a revision does, the rule of squawk that flags it
RISKS = [
    ('op.drop_column("task", "title")', "ban-drop-column"),
    ('op.drop_table("task")', "ban-drop-table"),
    ('op.alter_column("task", "title", new_column_name="name")', "renaming-column"),
    ('op.create_index("ix", "task", ["title"])', "require-concurrent-index-creation"),
    ('op.create_check_constraint("c", "task", "id > 0")', "constraint-missing-not-valid"),
    ('op.alter_column("task", "title", type_=sa.Text())', "changing-column-type"),
    (
        'op.add_column("task", sa.Column("n", sa.Integer(), nullable=False))',
        "adding-required-field",
    ),
]
SAFE = 'op.add_column("task", sa.Column("note", sa.String(50), nullable=True))'


def plan(project: Project, *arguments: str, url: str | None = None) -> tuple[int, str]:
    done = project.run("-m", "app.core.migrations.plan", *arguments, url=url)
    assert "Traceback" not in done.stderr
    return done.returncode, done.stdout + done.stderr


def test_what_can_hurt_is_flagged_until_it_is_accepted_with_a_reason(project: Project) -> None:
    revisions = [
        project.add_revision(number, operation) for number, (operation, _) in enumerate(RISKS, 2)
    ]
    code, said = plan(project, "--all")
    assert code == 1
    risks = re.findall(r"^(\d+)  Step \d+\n +RISK: ([a-z-]+): ", said, re.MULTILINE)
    assert risks == [(f"{number:04}", rule) for number, (_, rule) in enumerate(RISKS, 2)]
    assert f"Can hurt: {', '.join(number for number, _ in risks)}. " in said
    texts = [revision.read_text("utf-8") for revision in revisions]

    def accept(reason: str) -> None:
        for revision, text, (_, rule) in zip(revisions, texts, RISKS, strict=True):
            first, rest = text.split("\n", 1)
            revision.write_text(f"{first}\n\nAccepts {rule}:{reason}\n{rest}", "utf-8")

    accept("")
    code, said = plan(project, "--all")
    assert code == 1
    assert said.count(" RISK: ") == len(RISKS), "accepted without a reason"

    accept(" no release reads it any more.")
    code, said = plan(project, "--all")
    assert (code, "RISK" in said) == (0, False), said
    assert said.count("because: no release reads it any more.") == len(RISKS)


def test_a_fresh_project_has_nothing_that_can_hurt(project: Project) -> None:
    project.add_revision(2, SAFE)
    code, said = plan(project, "--all")
    assert (code, "RISK" in said) == (0, False)


def test_pending_is_what_the_database_does_not_have(project: Project, databases: Databases) -> None:
    url = databases.create()
    code, said = plan(project, url=url)
    assert "Pending after nothing: 1" in said
    project.alembic("upgrade", "head", url=url)
    assert "Pending after 0001: 0" in plan(project, url=url)[1]
    project.add_revision(2, SAFE)
    code, said = plan(project, url=url)
    assert "Pending after 0001: 1\n0002  Step 2\n" in said
    assert code == 0
    sql = plan(project, "--sql", url=url)[1]
    assert "ALTER TABLE task ADD COLUMN note VARCHAR(50)" in sql
    assert "CREATE TABLE task" not in sql


def test_without_a_server_everything_is_pending(project: Project) -> None:
    code, said = plan(project, "--sql", url="postgresql://user:secret@127.0.0.1:1/none")
    assert code == 0
    assert "CREATE TABLE task" in said
    assert "BIGSERIAL" in said
    assert "secret" not in said


def test_pending_can_start_at_a_revision_or_at_a_branch(project: Project) -> None:
    project.add_revision(2, SAFE)
    assert "Pending after 0001: 1" in plan(project, "--since", "0001")[1]
    code, said = plan(project, "--since", "no-such-branch")
    assert code == 2
    assert "neither a revision nor a git branch" in said


def test_a_database_that_is_newer_than_the_code_is_said(
    project: Project, databases: Databases
) -> None:
    url = databases.create()
    project.alembic("upgrade", "head", url=url)
    databases.query(url, "UPDATE alembic_version SET version_num = '0042'")
    code, said = plan(project, url=url)
    assert code == 2
    assert "0042, which is not in alembic/versions" in said


def test_the_picture_of_the_tables_is_fresh_or_the_check_fails(project: Project) -> None:
    picture = project.root / "docs/schema.md"
    assert "```mermaid\nerDiagram\n  task {" in picture.read_text("utf-8")
    assert project.run("-m", "app.core.migrations.schema", "--check").returncode == 0
    models = project.root / "app/tasks/models.py"
    text = models.read_text("utf-8")
    head = "class Task(TaskBase, TableBase, table=True):\n"
    assert head in text
    models.write_text(text.replace(head, f"{head}    note: str\n"), "utf-8")
    done = project.run("-m", "app.core.migrations.schema", "--check")
    assert done.returncode == 1
    assert "make schema" in done.stderr
    assert project.run("-m", "app.core.migrations.schema").returncode == 0
    assert project.run("-m", "app.core.migrations.schema", "--check").returncode == 0
    assert "VARCHAR note" in picture.read_text("utf-8")


READS_ROWS = """
from sqlalchemy.orm import Session
note = sa.table("task", sa.column("title"))
with Session(op.get_bind()) as session:
    for row in session.execute(sa.text("SELECT id FROM task")):
        op.execute(note.update().values(title=str(row.id)))
sa.inspect(op.get_bind()).get_columns("task")
op.add_column("task", sa.Column("more", sa.JSON()))
"""


def test_what_cannot_be_written_without_a_database_is_recorded_on_one(
    project: Project, databases: Databases
) -> None:
    assert databases.server is not None
    project.add_revision(2, READS_ROWS, 'op.drop_column("task", "more")')
    project.add_revision(3, 'op.add_column("task", sa.Column("last", sa.Integer()))')
    server = {"TEST_DATABASE_URL": databases.server}
    for arguments in (["--all"], ["--all", "--sql"], ["--since", "0001"]):
        done = project.run("-m", "app.core.migrations.plan", *arguments, **server)
        assert "Traceback" not in done.stderr
        assert done.returncode == 0, done.stdout + done.stderr
    sql = project.run("-m", "app.core.migrations.plan", "--all", "--sql", **server).stdout
    assert "-- 0002 cannot be written without a database. This ran on an empty one." in sql
    assert "ALTER TABLE task ADD COLUMN more JSON" in sql
    assert "ALTER TABLE task ADD COLUMN last INTEGER" in sql
    checked = project.run("-m", "app.core.migrations.check", **server)
    assert "ALTER TABLE task DROP COLUMN more" in checked.stderr  # the model has no such column
    assert "--sql" not in checked.stderr


COMMITS = """
from app.core.migrations import (
    add_check, add_unique, backfill, create_index_concurrently, set_not_null,
)
with op.get_context().autocommit_block():
    op.execute("CREATE TABLE event (at INTEGER) PARTITION BY RANGE (at)")
    op.execute("CREATE TABLE event_1 PARTITION OF event DEFAULT")
create_index_concurrently("ix_event_at", "event", ["at"])
backfill("task", {"title": "lower(title)"}, where="title <> lower(title)")
assert op.get_bind().execute(sa.text("SELECT 1")).scalar_one() == 1
add_check("task", "ck_task_id", "id > 0")
add_unique("task", "uq_task_title", ["title"])
set_not_null("task", "title")
"""


def test_operations_that_commit_are_recorded_without_what_they_ask(
    project: Project, databases: Databases
) -> None:
    assert databases.server is not None
    project.add_revision(2, COMMITS)
    server = {"TEST_DATABASE_URL": databases.server}
    planned = project.run("-m", "app.core.migrations.plan", "--all", **server)
    assert planned.returncode == 0, planned.stdout + planned.stderr
    sql = project.run("-m", "app.core.migrations.plan", "--since", "0001", "--sql", **server).stdout
    assert re.findall(r"SELECT .*", sql) == ["SELECT 1;"]
    for part in ("CONCURRENTLY ix_event_at_event_1", "UPDATE task SET title=lower", "VALIDATE"):
        assert part in sql


def test_no_server_to_record_on_is_a_line(project: Project) -> None:
    project.add_revision(2, READS_ROWS)
    nowhere = "postgresql://nobody@127.0.0.1:1/none"
    done = project.run("-m", "app.core.migrations.plan", "--all", TEST_DATABASE_URL=nowhere)
    assert done.returncode == 1
    [line] = done.stderr.splitlines()
    assert line.startswith("There is no PostgreSQL for a scratch database: ")


def test_branches_and_merges_are_planned_in_their_order(
    project: Project, databases: Databases
) -> None:
    assert databases.server is not None
    url = databases.create()
    nowhere = "postgresql://nobody@127.0.0.1:1/none"
    for arguments in (
        ("revision", "-m", "one", "--head", "0001", "--branch-label", "left"),
        ("revision", "-m", "two", "--head", "0001", "--splice"),
        ("revision", "-m", "other", "--head", "base", "--depends-on", "0002"),
    ):
        project.alembic(*arguments, url=nowhere)
    server = {"TEST_DATABASE_URL": databases.server}
    done = project.run("-m", "app.core.migrations.plan", "--all", **server)
    assert done.returncode == 0, done.stdout + done.stderr
    found = re.findall(r"^(\d{4})  ", done.stdout, re.MULTILINE)
    assert sorted(found) == ["0001", "0002", "0003", "0004"]
    assert found[0] == "0001"
    assert found.index("0002") < found.index("0004"), "which depends on it"
    project.alembic("merge", "--rev-id", "0005", "-m", "all", "heads", url=url)
    # To Alembic 0002 is still a head, although 0004 depends on it.
    project.alembic("upgrade", "heads", url=url)
    assert "Pending after 0005: 0" in plan(project, url=url)[1]
    project.alembic("downgrade", "0001", url=url)
    project.alembic("upgrade", "heads", url=url)


def test_ci_runs_the_plan(bake: Callable[..., Path]) -> None:
    makefile = (bake() / "Makefile").read_text("utf-8")
    [check] = [line for line in makefile.splitlines() if line.startswith("check: ")]
    assert {
        "check-plan",
        "check-schema",
        "check-alembic",
        "check-migrations",
        "lint",
        "test",
    } <= set(check.partition("##")[0].split())
