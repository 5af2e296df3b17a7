"""A rendered project that a test may change, and databases to run it on."""

import contextlib
import os
import random
import re
import shutil
import socket
import sqlite3
import subprocess
import sys
import textwrap
import uuid
from pathlib import Path
from typing import Any

import psycopg

from tests import preloaded

REVISION = '''"""{message}

Revision ID: {id}
Revises: {down}
Create Date: 2026-01-01 00:00:{second:02}+00:00
"""

import sqlalchemy as sa
from alembic import op

revision: str = "{id}"
down_revision: str | None = "{down}"
branch_labels: str | None = None
depends_on: str | None = None


def upgrade() -> None:
{upgrade}


def downgrade() -> None:
{downgrade}
'''


def users_environment() -> dict[str, str]:
    """The environment of a shell of the user's, without what belongs to the template's tests."""
    ours = {"VIRTUAL_ENV", "TMPDIR", "TEMP", "TMP", "DATABASE_URL", "MIGRATION_DATABASE_URL"}
    ours.add("args")  # which make hands on
    prefixes = ("PYTEST_", "PYTHONDONTWRITEBYTECODE", "RUFF_", "MAKE", "COOKIECUTTER_")
    return {
        name: value
        for name, value in os.environ.items()
        if name not in ours and not name.startswith(prefixes)
    }


def add_core_tests(project: Path, database: str) -> None:
    """Put the tests of the core that its owner does not get beside those that the owner gets."""
    for folder in ("both", database):
        for path in Path(__file__).with_name("in_project").joinpath(folder).glob("test_*.py"):
            shutil.copy(path, project / "tests/core")


INTERPRETERS: dict[str, preloaded.Interpreter] = {}


class Project:
    """A rendered project that runs in the environment of another one."""

    preloads = True  # the packages, for commands that are waited for

    def __init__(self, origin: Path, folder: Path) -> None:
        """Copy `origin`, which is set up, to `folder`; use that one as it is if it exists."""
        skip = shutil.ignore_patterns(".venv", ".postgres", "*.db*", ".*_cache")
        self.root = folder
        if not folder.exists():
            shutil.copytree(origin, folder, ignore=skip)
        self.scripts = origin / ".venv" / ("Scripts" if sys.platform == "win32" else "bin")
        self.python = str(self.scripts / "python")

    def lend_environment(self) -> None:
        """Give the folder the other project's environment, for commands that look for `.venv`."""
        (self.root / ".venv").symlink_to(self.scripts.parent)

    def environment(self, url: str | None, **variables: str) -> dict[str, str]:
        env = users_environment()
        env["PATH"] = f"{self.scripts}{os.pathsep}{env['PATH']}"
        return env | ({"DATABASE_URL": url} if url else {}) | variables

    def start(self, *command: str, url: str | None, **variables: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [self.python, *command],
            cwd=self.root,
            env=self.environment(url, **variables),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(
        self, *command: str, url: str | None = None, **variables: str
    ) -> subprocess.CompletedProcess[str]:
        if self.preloads and preloaded.can_run(command, variables):
            if self.python not in INTERPRETERS:
                INTERPRETERS[self.python] = preloaded.Interpreter(self.python)
            env = self.environment(url, **variables)
            return INTERPRETERS[self.python].run(command, self.root, env, seconds=120)
        process = self.start(*command, url=url, **variables)
        out, err = process.communicate(timeout=120)
        return subprocess.CompletedProcess(process.args, process.returncode, out, err)

    def alembic(self, *arguments: str, url: str | None = None, **variables: str) -> str:
        """Run an Alembic command that must succeed; returns all it says."""
        done = self.run("-m", "alembic", *arguments, url=url, **variables)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    def add_revision(self, number: int, upgrade: str, downgrade: str = "pass") -> Path:
        path = self.root / f"alembic/versions/{number:04}_step_{number}.py"
        text = REVISION.format(
            message=f"Step {number}",
            id=f"{number:04}",
            down=f"{number - 1:04}",
            second=number % 60,
            upgrade=textwrap.indent(textwrap.dedent(upgrade).strip(), "    "),
            downgrade=textwrap.indent(textwrap.dedent(downgrade).strip(), "    "),
        )
        path.write_text(text, "utf-8")
        (path.parent / "HEAD").write_text(f"{path.stem}\n", "utf-8")
        return path


class Databases:
    """Empty databases of one dialect, and connections to them that the project knows nothing of."""

    def __init__(self, dialect: str, folder: Path, server: str | None) -> None:
        self.dialect, self.folder, self.server = dialect, folder, server

    def create(self) -> str:
        """Returns the new database's URL."""
        name = f"test_{uuid.uuid4().hex[:12]}"
        if self.server is None:
            return f"sqlite:///{self.folder.as_posix()}/{name}.db"
        with psycopg.connect(self.server, autocommit=True) as connection:
            connection.execute(f'CREATE DATABASE "{name}"'.encode())
        return name_database(self.server, name)

    def connect(self, url: str) -> Any:
        """A DBAPI connection in which each statement is a transaction, until a BEGIN."""
        if self.server is None:
            return sqlite3.connect(url.removeprefix("sqlite:///"), isolation_level=None)
        return psycopg.connect(url, autocommit=True, application_name="a slow report")

    def query(self, url: str, *statements: str) -> list[Any]:
        """Run SQL; returns the rows of the last statement."""
        with contextlib.closing(self.connect(url)) as connection:
            for statement in statements:
                cursor = connection.execute(statement)
            return list(cursor.fetchall()) if cursor.description else []


def name_database(url: str, name: str) -> str:
    """The URL of another database of the same server."""
    place, _, options = url.partition("?")
    return f"{place.rsplit('/', 1)[0]}/{name}?{options}"


def read_until(process: subprocess.Popen[str], pattern: str) -> str:
    """Read what a process logs, up to the first line that has the pattern."""
    assert process.stderr
    read = ""
    for line in process.stderr:
        read += line
        if re.search(pattern, line):
            return read
    raise AssertionError(f"{pattern!r} is not in:\n{read}")


def free_port() -> int:
    """A port below those that Linux gives to outgoing connections, which could take it."""
    while True:
        port = random.randrange(20_000, 32_000)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
