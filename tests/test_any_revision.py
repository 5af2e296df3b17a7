"""Any revision, and any of Alembic's commands: it works, or is refused by a line."""

import os
import re
import subprocess
import textwrap
from pathlib import Path

import pytest

from tests.project import REVISION, Databases, Project

pytestmark = pytest.mark.slow

NOWHERE = "postgresql://nobody@127.0.0.1:1/none"

# What a revision does, and a part of the SQL that `make sql` prints of it.
REVISIONS = [
    (
        """
        ids = op.get_bind().execute(sa.text("SELECT id FROM task")).scalars().all()
        op.execute(f"UPDATE task SET title = '{len(ids)} tasks'")
        """,
        "UPDATE task SET title = '0 tasks';",
    ),
    (
        """
        from sqlmodel import Session, select
        from app.tasks.models import Task
        with Session(op.get_bind()) as session:
            for task in session.exec(select(Task)):
                task.title += "!"
            session.add(Task(title="It's new"))
            session.flush()
            session.commit()
        """,
        "'It''s new'",
    ),
    (
        """
        columns = {column["name"] for column in sa.inspect(op.get_bind()).get_columns("task")}
        if "note" not in columns:
            op.add_column("task", sa.Column("note", sa.String(50)))
        """,
        "ALTER TABLE task ADD COLUMN note VARCHAR(50);",
    ),
    (
        """
        import datetime
        task = sa.table("task", sa.column("note"), sa.column("created_at"))
        day = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
        op.execute(task.update().values(note="100%", created_at=day))
        """,
        "note='100%', created_at='2026-01-01 00:00:00+00:00'",
    ),
    (
        # Alembic by itself would write NULL for each of these values.
        """
        update = sa.text("UPDATE task SET note = :new WHERE note = :old")
        op.get_bind().execute(update, [{"new": "a", "old": "b"}, {"new": "c", "old": "d"}])
        """,
        "UPDATE task SET note = 'a' WHERE note = 'b';\n\n"
        "UPDATE task SET note = 'c' WHERE note = 'd';",
    ),
    (
        """
        op.get_bind().execute(
            sa.text("INSERT INTO task (title) VALUES (:title)"), {"title": "50% :x"}
        )
        """,
        "INSERT INTO task (title) VALUES ('50% :x');",
    ),
    (
        """
        from alembic import context
        assert not context.is_offline_mode(), "needs a database"
        assert op.get_context().config.get_main_option("script_location")
        op.execute("COMMENT ON TABLE task IS 'with a context'")
        """,
        "COMMENT ON TABLE task IS 'with a context';",
    ),
    (
        """
        with op.get_bind().connection.cursor() as cursor:
            cursor.execute("UPDATE task SET note = %s", ["by the driver"])
        """,
        "UPDATE task SET note = 'by the driver';",
    ),
    (
        """
        try:
            with op.get_bind().begin_nested():
                op.get_bind().execute(sa.text("SELECT 1 / 0")).scalar()
        except sa.exc.DBAPIError:
            op.execute("UPDATE task SET note = 'after an error'")
        """,
        "UPDATE task SET note = 'after an error';",
    ),
    (
        """
        from app.core.migrations import create_index_concurrently
        op.get_bind().execute(sa.text("SELECT count(*) FROM task")).scalar()
        create_index_concurrently("ix_task_note", "task", ["note"])
        op.add_column("task", sa.Column("more", sa.Integer()))
        """,
        "COMMIT;\n\nCREATE INDEX CONCURRENTLY ix_task_note ON task (note);\n\n"
        "BEGIN;\n\nALTER TABLE task ADD COLUMN more INTEGER;",
    ),
    (
        'print("said by a revision")\nop.execute("UPDATE task SET more = 7")',
        "UPDATE task SET more = 7;",
    ),
]


def run_module(
    project: Project, databases: Databases, *command: str, url: str | None = None
) -> subprocess.CompletedProcess[str]:
    """A command of `make`, whose scratch databases are on the tests' own server."""
    assert databases.server is not None
    name, *arguments = command
    done = project.run(
        "-m",
        f"app.core.migrations.{name}",
        *arguments,
        url=url or NOWHERE,
        TEST_DATABASE_URL=databases.server,
    )
    assert "Traceback" not in done.stderr, done.stderr
    return done


def test_the_sql_of_any_revision_is_planned_and_printed_and_can_be_run(
    project: Project, databases: Databases
) -> None:
    for number, (body, _) in enumerate(REVISIONS, 2):
        project.add_revision(number, body)
    planned = run_module(project, databases, "plan", "--all")
    assert planned.returncode == 0, planned.stdout + planned.stderr
    assert f"Pending after nothing: {1 + len(REVISIONS)}" in planned.stdout
    printed = run_module(project, databases, "plan", "--all", "--sql")
    assert printed.returncode == 0, printed.stderr
    for _, part in REVISIONS:
        assert part in printed.stdout
    assert "said by a revision" not in printed.stdout
    for unwanted in ("SELECT 1 / 0", "pg_catalog", "pg_current_xact_id", "transaction isolation"):
        assert unwanted not in printed.stdout
    # By hand, statement after statement, it leads to where Alembic leads.
    by_hand, by_alembic = databases.create(), databases.create()
    statements = re.split(r";\n+", re.sub(r"^--.*$", "", printed.stdout, flags=re.MULTILINE))
    databases.query(by_hand, *(text for text in statements if text.strip()))
    project.alembic("upgrade", "head", url=by_alembic)
    for query in ("SELECT title, note, more FROM task", "SELECT version_num FROM alembic_version"):
        assert databases.query(by_hand, query) == databases.query(by_alembic, query)
    project.alembic("current", "--check-heads", url=by_hand)


ON_EMPTY = 'op.get_bind().execute(sa.text("SELECT id FROM task")).one()'


def test_a_revision_that_fails_on_an_empty_database_is_a_risk_with_its_place(
    project: Project, databases: Databases
) -> None:
    revision = project.add_revision(2, ON_EMPTY)
    project.add_revision(3, 'op.add_column("task", sa.Column("last", sa.Integer()))')
    line = f"{revision.name}:18: NoResultFound: No row was found when one was required"
    planned = run_module(project, databases, "plan", "--all")
    assert planned.returncode == 1
    assert "RISK: fails-when-empty: This revision fails on an empty database." in planned.stdout
    assert line in planned.stdout
    assert "0003  Step 3" in planned.stdout
    printed = run_module(project, databases, "plan", "--all", "--sql")
    assert printed.returncode == 1
    assert "-- 0002 has no SQL here: it reads the database" in printed.stdout
    assert "ALTER TABLE task ADD COLUMN last INTEGER" in printed.stdout
    assert printed.stderr == f"{line}\n"
    checked = run_module(project, databases, "check")
    assert checked.stderr == f"alembic upgrade head: {line}\n"
    text = revision.read_text("utf-8")
    reason = '"""Step 2\n\nAccepts fails-when-empty: each database has its first row.\n'
    revision.write_text(text.replace('"""Step 2\n', reason, 1), "utf-8")
    assert run_module(project, databases, "plan", "--all").returncode == 0


def test_commits_in_the_middle_are_flagged_also_where_the_sql_is_recorded(
    project: Project, databases: Databases
) -> None:
    project.add_revision(
        2,
        """
        op.get_bind().execute(sa.text("SELECT id\\nFROM task")).all()
        op.add_column("task", sa.Column("more", sa.Integer()))
        with op.get_context().autocommit_block():
            op.execute("CREATE INDEX CONCURRENTLY ix_task_more ON task (more)")
        """,
    )
    planned = run_module(project, databases, "plan", "--all")
    assert planned.returncode == 1
    assert "RISK: commits-in-the-middle" in planned.stdout
    assert "        ALTER TABLE task ADD COLUMN more INTEGER\n" in planned.stdout


def test_alembics_own_sql_refuses_with_a_line_what_it_cannot_write(
    project: Project, databases: Databases
) -> None:
    for number, body in enumerate((REVISIONS[0][0], REVISIONS[5][0]), 2):
        project.add_revision(number, body)
        done = project.run(
            "-m", "alembic", "upgrade", f"{number - 1:04}:{number:04}", "--sql", url=NOWHERE
        )
        assert done.returncode != 0
        assert "Traceback" not in done.stderr
        assert f"FAILED: {number:04}_step_{number}.py:" in done.stdout
        assert "`make sql` runs it on a scratch database" in done.stdout


def add_branch(project: Project, id_: str, down: str | None, **values: str) -> None:
    text = REVISION.format(
        message=id_,
        id=id_,
        down=down,
        second=0,
        upgrade=f'    op.execute("CREATE TABLE t{id_} ()")',
        downgrade=f'    op.execute("DROP TABLE t{id_}")',
    )
    text = text.replace('"None"', "None")
    for name, value in values.items():
        text = re.sub(rf"^{name}: .*$", f'{name} = "{value}"', text, flags=re.MULTILINE)
    (project.root / f"alembic/versions/{id_}.py").write_text(text, "utf-8")


@pytest.fixture
def branches(project: Project) -> Project:
    """A project with two branches, a second base that depends on one of them, and labels."""
    add_branch(project, "0002", "0001", branch_labels="left")
    add_branch(project, "0003", "0001", branch_labels="right")
    add_branch(project, "0004", None, branch_labels="other", depends_on="0002")
    return project


PREPARE = """
import sys
import sqlalchemy as sa
from alembic import command
from alembic.util import CommandError
from app.core.db.engine import database_url
from app.core.db.revisions import current_heads
from app.core.migrations.config import alembic_config
from app.core.migrations.sql import pending
from app.settings import Settings

engine = sa.create_engine(database_url(Settings()))

def at(*also):
    # Where the database is, after these have been put beside that.
    with engine.begin() as connection:
        for revision in also:
            connection.exec_driver_sql(f"INSERT INTO alembic_version VALUES ('{revision}')")
        return current_heads(connection)

def refused(run, *arguments, **options):
    try:
        run(alembic_config(), *arguments, **options)
    except CommandError as error:
        return str(error)
"""


def run_program(project: Project, url: str, program: str) -> None:
    """In one process, which is a tenth of the time that one for each command takes."""
    done = project.run("-c", PREPARE + textwrap.dedent(program), url=url)
    assert done.returncode == 0, done.stdout + done.stderr


def test_branches_labels_dependencies_and_bases_work_as_alembic_documents_them(
    branches: Project, databases: Databases
) -> None:
    run_program(
        branches,
        databases.create(),
        """
        def rest():
            return {revision.script.revision for revision in pending(at())}

        assert rest() == {"0001", "0002", "0003", "0004"}
        for run, target, heads, left in (
            (command.upgrade, "left@head", {"0002"}, {"0003", "0004"}),
            (command.upgrade, "right@+1", {"0002", "0003"}, {"0004"}),
            (command.upgrade, "other@head", {"0002", "0003", "0004"}, set()),
            (command.upgrade, "heads", {"0002", "0003", "0004"}, set()),
            (command.downgrade, "other@base", {"0002", "0003"}, {"0004"}),
            (command.downgrade, "right@0001", {"0002"}, {"0003", "0004"}),
            (command.downgrade, "base", set(), {"0001", "0002", "0003", "0004"}),
            (command.upgrade, "heads", {"0002", "0003", "0004"}, set()),
        ):
            run(alembic_config(), target)
            # A head that another one depends on can be in the table or not: Alembic knows both.
            assert at() | {"0002"} == heads | {"0002"}, (target, at())
            assert rest() == left, (target, rest())
        """,
    )


def test_a_merge_follows_all_that_it_merges(branches: Project, databases: Databases) -> None:
    url = databases.create()
    branches.alembic("merge", "-m", "together", "0003", "0004", url=url)
    run_program(
        branches,
        url,
        """
        *first, merge = [revision.script.revision for revision in pending(set())]
        assert sorted(first) == ["0001", "0002", "0003", "0004"], first
        assert first.index("0002") < first.index("0004"), "which depends on it"
        command.upgrade(alembic_config(), "0003")
        command.upgrade(alembic_config(), "0004")
        assert [revision.script.revision for revision in pending(at())] == [merge]
        command.upgrade(alembic_config(), "heads")
        assert list(pending(at())) == []
        command.downgrade(alembic_config(), "0001")
        assert at() == {"0001"}
        """,
    )


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (("check",), "alembic/versions: there must be one head, there is: 0002, 0003, 0004"),
        (("scratch", "check"), "Multiple head revisions are present for given argument 'head'"),
        (("plan", "--since", "nowhere"), "nowhere is neither a revision nor a git branch"),
    ],
)
def test_what_cannot_be_done_is_a_line(
    branches: Project, databases: Databases, command: tuple[str, ...], said: str
) -> None:
    done = run_module(branches, databases, *command)
    assert done.returncode in (1, 2)
    assert said in done.stderr


def test_pending_can_start_at_a_label(branches: Project, databases: Databases) -> None:
    done = run_module(branches, databases, "plan", "--since", "left")
    assert sorted(re.findall(r"^(\d{4})  ", done.stdout, re.MULTILINE)) == ["0003", "0004"]


def test_stamps_of_any_kind_work_also_from_a_revision_that_is_not_there(
    branches: Project, databases: Databases
) -> None:
    run_program(
        branches,
        databases.create(),
        """
        for targets, heads in (
            ("0001", {"0001"}),
            ("heads", {"0002", "0003", "0004"}),
            ("base", set()),
            (["0002", "0003"], {"0002", "0003"}),
        ):
            command.stamp(alembic_config(), targets)
            assert at() | {"0002"} == heads | {"0002"}, (targets, at())
        for targets, heads in (("base", set()), ("left@head", {"0002"}), ("0001", {"0001"})):
            at("gone")
            for run, *arguments in (
                (command.stamp, targets), (command.upgrade, "heads"), (command.current,)
            ):
                said = refused(run, *arguments)
                assert said.startswith("The database is at revision gone"), said
            command.stamp(alembic_config(), targets, purge=True)
            assert at() == heads, (targets, at())
        for run, target, options in (
            (command.stamp, "nowhere", {}),
            (command.stamp, "nowhere", {"purge": True}),
            (command.stamp, ["0002", "nowhere"], {"purge": True}),
            (command.upgrade, "head", {}),
            (command.downgrade, "nowhere", {}),
        ):
            assert refused(run, target, **options)
            assert at() == {"0001"}, (run, target, at())
        """,
    )


# As https://pytest-alembic.readthedocs.io has it.
CONFTEST = """
import os
import pytest
import sqlalchemy as sa
from pytest_alembic.config import Config
from app.core.db.settings import parse_url

@pytest.fixture
def alembic_config():
    return Config()

@pytest.fixture
def alembic_engine():
    engine = sa.create_engine(parse_url(os.environ["TESTED"]))
    yield engine
    engine.dispose()
"""


def test_pytest_alembic_passes_as_its_documentation_runs_it(
    project: Project, databases: Databases, tmp_path: Path
) -> None:
    project.add_revision(2, REVISIONS[0][0])
    tests = project.root / "with_alembic"
    tests.mkdir()
    (tests / "conftest.py").write_text(CONFTEST, "utf-8")
    # Its release 0.13 does not collect with pytest 9.
    extra = tmp_path / "extra"
    command = ["uv", "pip", "install", "--quiet", "--no-deps", "--target", str(extra)]
    command += ["--python", project.python, "pytest-alembic>=0.13", "pytest<9"]
    subprocess.run(command, env=project.environment(None), check=True)
    done = project.run(
        *("-m", "pytest", "--test-alembic", "--alembic-tests-path", "with_alembic/conftest.py"),
        *("-p", "no:cacheprovider", "with_alembic"),
        PYTHONPATH=os.pathsep.join((str(extra), ".")),
        TESTED=databases.create(),
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "4 passed" in done.stdout
