"""`make doctor`: each problem made, found, and fixed by the command that it names."""

import contextlib
import os
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from tests.conftest import on_both_databases, on_sqlite
from tests.project import Databases, Project, free_port, name_database

pytestmark = pytest.mark.slow


@pytest.fixture
def owned(project: Project) -> Project:
    """A project whose environment is the one in its own folder."""
    project.lend_environment()
    return project


class Doctor:
    def __init__(self, project: Project, url: str | None, **variables: str) -> None:
        self.project = project
        self.env = project.environment(url, PORT=str(free_port()), **variables)

    def run(self, command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command,
            shell=True,
            cwd=self.project.root,
            env=self.env,
            capture_output=True,
            text=True,
            timeout=120,
        )

    def look(self, code: int) -> str:
        done = self.run("make doctor PORT=$PORT")
        said = done.stdout + done.stderr
        # make itself ends with 2 where a command fails.
        assert done.returncode == 2 * code, said
        assert ("All is well." if code == 0 else "Problems found.") in said
        assert "Traceback" not in said
        return said

    def fixes(self, problem: str) -> list[str]:
        """Look; returns the lines that follow the problem, which must be the only one."""
        said = self.look(code=1)
        problems = [line for line in said.splitlines() if line.startswith("!!")]
        assert len(problems) == 1, said
        assert problem in problems[0]
        after = said.splitlines()[said.splitlines().index(problems[0]) + 1 :]
        return [line.strip() for line in after if line.startswith("      ")]

    def fix(self, problem: str) -> None:
        """Look, run the command that is named, and see that all is well."""
        command = self.fixes(problem)[-1]
        done = self.run(command)
        assert done.returncode == 0, done.stdout + done.stderr
        self.look(code=0)


@pytest.fixture
def doctor(owned: Project, databases: Databases) -> Doctor:
    """One who has nothing to say."""
    url = databases.create()
    owned.alembic("upgrade", "head", url=url)
    return Doctor(owned, url)


@on_both_databases
def test_a_project_without_problems_is_well_and_is_not_changed(doctor: Doctor) -> None:
    def files() -> dict[str, bytes]:
        return {
            str(path): path.read_bytes()
            for path in doctor.project.root.rglob("*")
            if path.is_file() and not {".venv", "__pycache__"} & set(path.parts)
        }

    before = files()
    doctor.look(code=0)
    assert files() == before


@on_both_databases
def test_pending_migrations_are_run(doctor: Doctor) -> None:
    doctor.project.add_revision(2, "op.execute('SELECT 1')")
    doctor.fix("Migrations are pending: the database is at 0001, the code at 0002")


def test_a_revision_that_the_code_does_not_know(doctor: Doctor) -> None:
    added = doctor.project.add_revision(2, "op.execute('SELECT 1')")
    doctor.project.alembic("upgrade", "head", url=doctor.env["DATABASE_URL"])
    kept = added.read_text("utf-8")
    added.unlink()
    (added.parent / "HEAD").write_text("0001_add_task_table\n")
    fixes = doctor.fixes("The database is at revision 0002, which this code does not have")
    assert fixes == ["git switch to the branch that has it; there, to go back: make downgrade"]
    added.write_text(kept, "utf-8")
    doctor.project.alembic("downgrade", "-1", url=doctor.env["DATABASE_URL"])
    added.unlink()
    doctor.look(code=0)


def test_a_lock_that_is_held_names_who_holds_it_and_how_to_end_that(
    doctor: Doctor, databases: Databases
) -> None:
    url = doctor.env["DATABASE_URL"]
    lock = f"SELECT pg_advisory_lock({int.from_bytes(b'alembic', 'big')})"
    with contextlib.closing(databases.connect(url)) as holder:
        holder.execute(lock)
        doctor.fix("A migration holds the lock: process")
    # Where migrations log in as another role, that role has the lock.
    doctor.env["MIGRATION_DATABASE_URL"] = url
    with contextlib.closing(databases.connect(url)) as holder:
        holder.execute(lock)
        fix = doctor.fixes("A migration holds the lock: process")[-1]
        assert re.fullmatch(r'psql "postgresql://.+" -c "SELECT pg_terminate_backend\(\d+\)"', fix)
    doctor.look(code=0)


@on_sqlite
def test_a_file_that_is_locked_names_the_command_that_tells_by_whom(
    doctor: Doctor, databases: Databases
) -> None:
    with contextlib.closing(databases.connect(doctor.env["DATABASE_URL"])) as holder:
        holder.execute("BEGIN IMMEDIATE")
        (fix,) = doctor.fixes("is locked by another process")
        assert re.fullmatch(r"fuser \S+\.db", fix), fix
        holder.execute("ROLLBACK")
    doctor.look(code=0)


@on_sqlite
def test_a_file_that_is_no_database(doctor: Doctor) -> None:
    file = Path(doctor.env["DATABASE_URL"].removeprefix("sqlite:///"))
    file.write_bytes(b"not a database at all" * 100)
    (fix,) = doctor.fixes("cannot be read: file is not a database")
    assert doctor.run(fix.removeprefix("restore a backup, or: ")).returncode == 0
    doctor.look(code=0)


def test_two_revisions_of_the_same_number_are_put_in_order(doctor: Doctor) -> None:
    first = doctor.project.add_revision(2, "op.execute('SELECT 1')")
    shutil.copy(first, first.with_name("0002_other.py"))
    said = doctor.look(code=1)
    assert "revision 0002 is there twice" in said
    assert "\n      make renumber\n" in said
    assert doctor.run("make renumber").returncode == 0
    doctor.fix("Migrations are pending: the database is at 0001, the code at 0003")


def test_two_heads_are_put_in_order(doctor: Doctor) -> None:
    first = doctor.project.add_revision(2, "op.execute('SELECT 1')")
    text = first.read_text("utf-8").replace('"0002"', '"0003"').replace("ID: 0002", "ID: 0003")
    first.with_name("0003_other.py").write_text(text, "utf-8")
    assert "make renumber" in doctor.fixes("there must be one head, there is: 0002, 0003")
    assert doctor.run("make renumber").returncode == 0
    doctor.fix("Migrations are pending")


def test_a_picture_that_is_stale_is_drawn(doctor: Doctor) -> None:
    (doctor.project.root / "docs/schema.md").write_text("Old\n")
    doctor.fix("docs/schema.md does not show the models as they are")


@on_sqlite
def test_a_file_that_does_not_exist_yet_is_made(owned: Project, tmp_path: Path) -> None:
    doctor = Doctor(owned, f"sqlite:///{tmp_path}/new/new.db")
    (fix,) = doctor.fixes(f"DATABASE_URL: there is no folder {tmp_path}/new")
    assert doctor.run(fix).returncode == 0
    doctor.fixes("The database new.db does not exist yet")
    assert not (tmp_path / "new/new.db").exists()
    doctor.fix("The database new.db does not exist yet")


def test_without_a_url_the_embedded_postgresql_is_started_and_migrated(owned: Project) -> None:
    doctor = Doctor(owned, None)
    doctor.fix("Migrations are pending: the database is at none, the code at 0001")
    assert "ok  the embedded PostgreSQL" in doctor.look(code=0)


def test_outside_development_a_url_is_asked_for(owned: Project) -> None:
    doctor = Doctor(owned, None, ENVIRONMENT="production")
    doctor.fixes("Wrong setting: DATABASE_URL: is not set, and ENVIRONMENT is production")
    assert not (owned.root / ".postgres").exists()


def test_a_port_that_is_taken(doctor: Doctor) -> None:
    with socket.create_server(("127.0.0.1", int(doctor.env["PORT"]))):
        (fix,) = doctor.fixes(f"Port {doctor.env['PORT']} is taken")
    port = re.fullmatch(r"make run PORT=(\d+)", fix)
    assert port, fix
    doctor.env["PORT"] = port[1]
    doctor.look(code=0)


def test_each_wrong_line_in_env_is_named(doctor: Doctor) -> None:
    file = doctor.project.root / ".env"
    lines = ("DATABSE_URL=x", "DATABASE_POOL_SIZE=none", "ENVIRONMENT=prod")
    file.write_text("\n".join([*lines, "MIGRATION_DATABASE_URL=mysql://u:hush@x/y"]), "utf-8")
    said = doctor.look(code=1)
    assert "!!  .env: DATABSE_URL is no setting\n      rename it in .env: DATABASE_URL\n" in said
    for name in ("DATABASE_POOL_SIZE", "ENVIRONMENT", "MIGRATION_DATABASE_URL"):
        assert re.search(f"^!!  Wrong setting: {name}: .+\n      correct it in .env; ", said, re.M)
    assert "hush" not in said
    file.write_text("LOG_FORMAT=text\n", "utf-8")
    doctor.look(code=0)


def test_an_env_that_is_no_text(doctor: Doctor) -> None:
    (doctor.project.root / ".env").write_bytes(b"DOCS=\xff\n")
    assert doctor.fixes("Wrong setting: .env: is not UTF-8 text")


@pytest.fixture
def guarded(owned: Project, postgresql: str) -> Iterator[tuple[Doctor, str]]:
    """A database that wants a password, and how to reach it with the right one."""
    databases = Databases("postgresql", owned.root, postgresql)
    url = databases.create()
    owned.alembic("upgrade", "head", url=url)
    name = f"owner_{os.urandom(4).hex()}"
    with psycopg.connect(url, autocommit=True) as connection:
        role = f"{name} LOGIN SUPERUSER PASSWORD 'right-hush' IN ROLE with_password"
        connection.execute(f"CREATE ROLE {role}".encode())
    right = re.sub(r"//[^@/]*@", f"//{name}:right-hush@", url)
    assert name in right
    yield Doctor(owned, right), right
    with psycopg.connect(postgresql, autocommit=True) as connection:
        connection.execute(f"DROP ROLE {name}".encode())


def test_a_password_that_is_refused(guarded: tuple[Doctor, str]) -> None:
    doctor, right = guarded
    doctor.look(code=0)
    doctor.env["DATABASE_URL"] = right.replace("right-hush", "wrong-hush")
    (fix,) = doctor.fixes("refuses the password of owner_")
    assert fix == "correct it in DATABASE_URL, in .env"
    del doctor.env["DATABASE_URL"]
    (doctor.project.root / ".env").write_text(f"DATABASE_URL={right}\n")
    assert "hush" not in doctor.look(code=0)


def test_a_database_that_does_not_exist_is_made(guarded: tuple[Doctor, str]) -> None:
    doctor, right = guarded
    doctor.env["DATABASE_URL"] = name_database(right, "no_such")
    (fix,) = doctor.fixes("There is no database no_such at")
    assert re.fullmatch(r"createdb .*--username=owner_\w+ no_such", fix), fix
    with psycopg.connect(right, autocommit=True) as connection:
        connection.execute(b"CREATE DATABASE no_such")
        try:
            doctor.fix("Migrations are pending: the database is at none")
        finally:
            connection.execute(b"DROP DATABASE no_such")


def test_a_server_that_is_away(doctor: Doctor) -> None:
    well = doctor.env["DATABASE_URL"]
    doctor.env["DATABASE_URL"] = f"postgresql://app:hush@127.0.0.1:{free_port()}/app"
    fixes = doctor.fixes("cannot be reached:")
    assert fixes == [
        "start it, or name another in DATABASE_URL, in .env",
        "without DATABASE_URL, development has a PostgreSQL of its own",
    ]
    assert "hush" not in doctor.look(code=1)
    doctor.env["DATABASE_URL"] = well
    doctor.look(code=0)


def test_without_an_environment_it_is_set_up(render: Callable[..., Path], tmp_path: Path) -> None:
    folder = tmp_path / "fresh"
    shutil.copytree(render(database="sqlite"), folder)
    doctor = Doctor(Project(folder, folder), f"sqlite:///{tmp_path}/fresh.db")
    assert doctor.fixes("There is no environment, .venv") == ["make setup"]
    assert doctor.run("make setup").returncode == 0
    doctor.fix("The database fresh.db does not exist yet")
    text = (folder / "pyproject.toml").read_text("utf-8")
    assert '"alembic>=' in text
    (folder / "pyproject.toml").write_text(
        text.replace('"alembic>=', '"babel>=2.16",\n    "alembic>='), "utf-8"
    )
    doctor.fix("The environment is not what pyproject.toml and uv.lock say")


def test_tools_that_are_missing_are_named(project: Project, tmp_path: Path) -> None:
    folder = tmp_path / "bin"
    folder.mkdir()
    said = subprocess.run(
        [sys.executable, "-m", "scripts.doctor", str(free_port())],
        cwd=project.root,
        env=project.environment(None) | {"PATH": str(folder)},
        capture_output=True,
        text=True,
    ).stdout
    assert "!!  There is no uv\n      pipx install uv, or see https://docs.astral.sh/uv/\n" in said
    assert "!!  There is no git" in said
    assert "no Docker or Podman, which `make compose-up` alone needs" in said


def test_a_python_that_is_too_old_is_named(project: Project) -> None:
    old = """
import os, sys
sys.version_info, sys.version = (3, 10, 1), "3.10.1 (old)"
os.environ["PATH"] = "/nowhere"
from scripts import doctor
doctor.main()
"""
    done = project.run("-c", old)
    assert "!!  Python 3.10.1 is too old: 3.11 or newer" in done.stdout, done.stderr
