"""Programs that call Alembic themselves, with their own connection and their own logging."""

import textwrap

import pytest

from tests.project import Databases, Project

pytestmark = pytest.mark.slow

PREPARE = """
import logging
import sqlalchemy as sa
from alembic import command
from app.database import current_heads
from app.migrations import alembic_config
from app.settings import load_settings

engine = sa.create_engine(load_settings().database)
config = alembic_config()
"""


def run_program(project: Project, url: str, program: str) -> str:
    done = project.run("-c", PREPARE + textwrap.dedent(program), url=url)
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


def test_a_connection_of_the_callers_is_used_and_left_to_the_caller(
    project: Project, databases: Databases
) -> None:
    said = run_program(
        project,
        databases.create(),
        """
        with engine.connect() as connection:
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
            print("inside", current_heads(connection))
            assert not connection.closed
        """,
    )
    assert "inside {'0001'}" in said


@pytest.mark.parametrize("databases", ["postgresql"], indirect=True)
def test_the_callers_transaction_can_be_rolled_back(project: Project, databases: Databases) -> None:
    # SQLite's driver commits before DDL unless told otherwise, whoever calls.
    said = run_program(
        project,
        databases.create(),
        """
        with engine.connect() as connection:
            with connection.begin() as transaction:
                config.attributes["connection"] = connection
                command.upgrade(config, "head")
                transaction.rollback()
            print("after", current_heads(connection))
        """,
    )
    assert "after set()" in said


def test_without_a_connection_the_settings_say_where(
    project: Project, databases: Databases
) -> None:
    said = run_program(
        project,
        databases.create(),
        """
        command.upgrade(config, "head")
        command.check(config)
        command.downgrade(config, "base")
        command.upgrade(config, "+1")
        with engine.connect() as connection:
            print("inside", current_heads(connection))
        """,
    )
    assert "inside {'0001'}" in said


def test_the_logging_of_the_application_is_as_it_was(
    project: Project, databases: Databases
) -> None:
    said = run_program(
        project,
        databases.create(),
        """
        logging.basicConfig(level=logging.WARNING, format="OURS %(name)s %(message)s")
        ours = logging.getLogger("ours")
        ours.setLevel(logging.DEBUG)
        root = logging.getLogger()
        before = (root.level, list(root.handlers))
        command.upgrade(config, "head")
        command.current(config)
        assert (root.level, list(root.handlers)) == before
        assert not ours.disabled and ours.level == logging.DEBUG
        ours.debug("still here")
        """,
    )
    assert "OURS ours still here" in said
    assert "Running upgrade" not in said
