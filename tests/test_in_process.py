"""Programs that call Alembic themselves, with their own connection and their own logging."""

import textwrap

import pytest

from tests.conftest import on_both_databases
from tests.project import Databases, Project

pytestmark = pytest.mark.slow

PREPARE = """
import logging
import os
import sqlalchemy as sa
from alembic import command
from app.core.db.engine import database_url
from app.core.db.revisions import current_heads
from app.core.migrations.config import alembic_config
from app.settings import Settings

engine = sa.create_engine(database_url(Settings()))
config = alembic_config()
"""


def run_program(project: Project, url: str, program: str, **variables: str) -> str:
    done = project.run("-c", PREPARE + textwrap.dedent(program), url=url, **variables)
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


@on_both_databases
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


@on_both_databases
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


@on_both_databases
def test_a_url_goes_before_the_settings(project: Project, databases: Databases) -> None:
    other = databases.create()
    said = run_program(
        project,
        databases.create(),
        """
        command.upgrade(alembic_config(os.environ["OTHER"]), "head")
        with engine.connect() as connection:
            print("in the settings' database:", current_heads(connection))
        """,
        OTHER=other,
    )
    assert "in the settings' database: set()" in said
    assert databases.query(other, "SELECT version_num FROM alembic_version")[0][0] == "0001"


@on_both_databases
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
