"""`make doctor`: each fault made, found, and mended by the command that it names."""

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

from tests.project import Databases, Project, free_port, name_database

pytestmark = pytest.mark.slow


@pytest.fixture
def owned(project: Project) -> Project:
    """A project whose environment is the one in its own folder, with a commit in git."""
    (project.root / ".venv").symlink_to(Path(project.python).parents[1])
    return project


class Doctor:
    def __init__(self, project: Project, url: str, **variables: str) -> None:
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
        done = self.run("python3 -m scripts.doctor $PORT")
        said = done.stdout + done.stderr
        assert done.returncode == code, said
        assert "Traceback" not in said
        return said

    def mends(self, fault: str) -> list[str]:
        """Look; returns the lines that follow the fault, which must be the only one."""
        said = self.look(code=1)
        faults = [line for line in said.splitlines() if line.startswith("!!")]
        assert len(faults) == 1, said
        assert fault in faults[0]
        after = said.splitlines()[said.splitlines().index(faults[0]) + 1 :]
        return [line.strip() for line in after if line.startswith("      ")]

    def mend(self, fault: str) -> None:
        """Look, run the command that is named, and see that all is well."""
        command = self.mends(fault)[-1]
        done = self.run(command)
        assert done.returncode == 0, done.stdout + done.stderr
        self.look(code=0)


@pytest.fixture
def doctor(owned: Project, databases: Databases) -> Doctor:
    """One who has nothing to say."""
    url = databases.create()
    owned.alembic("upgrade", "head", url=url)
    doctor = Doctor(owned, url)
    assert "All is well." in doctor.look(code=0)
    return doctor


@pytest.fixture
def sqlite_doctor(owned: Project, tmp_path: Path) -> Doctor:
    url = f"sqlite:///{tmp_path}/doctor.db"
    owned.alembic("upgrade", "head", url=url)
    return Doctor(owned, url)


def test_pending_migrations_are_run(doctor: Doctor) -> None:
    doctor.project.add_revision(2, "op.execute('SELECT 1')")
    doctor.mend("Migrations are pending: the database is at 0001, the code at 0002")


def test_a_revision_that_the_code_does_not_know(doctor: Doctor) -> None:
    added = doctor.project.add_revision(2, "op.execute('SELECT 1')")
    doctor.project.alembic("upgrade", "head", url=doctor.env["DATABASE_URL"])
    kept = added.read_text("utf-8")
    added.unlink()
    (added.parent / "HEAD").write_text("0001_add_task_table\n")
    mends = doctor.mends("The database is at revision 0002, which this code does not have")
    assert mends == ["git switch to the branch that has it; there, to go back: make downgrade"]
    added.write_text(kept, "utf-8")
    doctor.project.alembic("downgrade", "-1", url=doctor.env["DATABASE_URL"])
    added.unlink()
    doctor.look(code=0)


def test_a_lock_that_is_held_names_who_holds_it_and_how_to_end_that(
    doctor: Doctor, databases: Databases
) -> None:
    url = doctor.env["DATABASE_URL"]
    with contextlib.closing(databases.connect(url)) as holder:
        if databases.dialect == "sqlite":
            holder.execute("BEGIN IMMEDIATE")
            (mend,) = doctor.mends("is locked by another process")
            assert mend.startswith("fuser ")
            holder.execute("ROLLBACK")
        else:
            holder.execute(f"SELECT pg_advisory_lock({int.from_bytes(b'alembic', 'big')})")
            mend = doctor.mends("A migration holds the lock: process")[-1]
            statement = re.search(r'psql "postgresql://.*" -c "(.*)"', mend)
            assert statement, mend
            databases.query(url, statement[1])
    doctor.look(code=0)


def test_two_revisions_of_the_same_number_are_put_in_order(sqlite_doctor: Doctor) -> None:
    first = sqlite_doctor.project.add_revision(2, "op.execute('SELECT 1')")
    shutil.copy(first, first.with_name("0002_other.py"))
    said = sqlite_doctor.look(code=1)
    assert "revision 0002 is there twice" in said
    assert "\n      make renumber\n" in said
    assert sqlite_doctor.run("make renumber").returncode == 0
    sqlite_doctor.mend("Migrations are pending: the database is at 0001, the code at 0003")


def test_two_heads_are_put_in_order(sqlite_doctor: Doctor) -> None:
    first = sqlite_doctor.project.add_revision(2, "op.execute('SELECT 1')")
    text = first.read_text("utf-8").replace('"0002"', '"0003"').replace("ID: 0002", "ID: 0003")
    first.with_name("0003_other.py").write_text(text, "utf-8")
    assert "make renumber" in sqlite_doctor.mends("there must be one head, there is: 0002, 0003")
    assert sqlite_doctor.run("make renumber").returncode == 0
    sqlite_doctor.mend("Migrations are pending")


def test_a_picture_that_is_stale_is_drawn(sqlite_doctor: Doctor) -> None:
    (sqlite_doctor.project.root / "docs/schema.md").write_text("Old\n")
    sqlite_doctor.mend("docs/schema.md does not show the models as they are")


def test_a_database_that_is_not_there_yet_is_made(owned: Project, tmp_path: Path) -> None:
    doctor = Doctor(owned, f"sqlite:///{tmp_path}/new.db")
    doctor.mends("The database new.db is not there yet")
    assert not (tmp_path / "new.db").exists()
    doctor.mend("The database new.db is not there yet")


def test_a_port_that_is_taken(sqlite_doctor: Doctor) -> None:
    with socket.create_server(("127.0.0.1", int(sqlite_doctor.env["PORT"]))):
        (mend,) = sqlite_doctor.mends(f"Port {sqlite_doctor.env['PORT']} is taken")
    port = re.fullmatch(r"make run PORT=(\d+)", mend)
    assert port, mend
    sqlite_doctor.env["PORT"] = port[1]
    sqlite_doctor.look(code=0)


@pytest.mark.parametrize(
    ("line", "fault", "mend"),
    [
        ("DATABSE_URL=x", ".env: DATABSE_URL is no setting", "rename it in .env: DATABASE_URL"),
        ("DATABASE_POOL_SIZE=none", "Wrong setting: DATABASE_POOL_SIZE:", "correct it in .env"),
        ("ENVIRONMENT=prod", "Wrong setting: ENVIRONMENT:", "correct it in .env"),
        ("MIGRATION_DATABASE_URL=mysql://u:hush@x/y", "Wrong setting: MIGRATION_DATABASE_URL:", ""),
    ],
)
def test_a_wrong_line_in_env(sqlite_doctor: Doctor, line: str, fault: str, mend: str) -> None:
    file = sqlite_doctor.project.root / ".env"
    file.write_text(f"LOG_FORMAT=text\n{line}\n", "utf-8")
    (said,) = sqlite_doctor.mends(fault)
    assert said.startswith(mend)
    assert "hush" not in said
    file.write_text("LOG_FORMAT=text\n", "utf-8")
    sqlite_doctor.look(code=0)


def test_an_env_that_is_no_text(sqlite_doctor: Doctor) -> None:
    (sqlite_doctor.project.root / ".env").write_bytes(b"DOCS=\xff\n")
    assert sqlite_doctor.mends("Wrong setting: .env: is not UTF-8 text")


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
    (mend,) = doctor.mends("refuses the password of owner_")
    assert mend == "correct it in DATABASE_URL, in .env"
    del doctor.env["DATABASE_URL"]
    (doctor.project.root / ".env").write_text(f"DATABASE_URL={right}\n")
    assert "hush" not in doctor.look(code=0)


def test_a_database_that_does_not_exist_is_made(guarded: tuple[Doctor, str]) -> None:
    doctor, right = guarded
    doctor.env["DATABASE_URL"] = name_database(right, "no_such")
    (mend,) = doctor.mends("There is no database no_such at")
    assert re.fullmatch(r"createdb .*--username=owner_\w+ no_such", mend), mend
    with psycopg.connect(right, autocommit=True) as connection:
        connection.execute(b"CREATE DATABASE no_such")
        try:
            doctor.mend("Migrations are pending: the database is at none")
        finally:
            connection.execute(b"DROP DATABASE no_such")


def test_a_server_that_is_away(sqlite_doctor: Doctor) -> None:
    well = sqlite_doctor.env["DATABASE_URL"]
    sqlite_doctor.env["DATABASE_URL"] = f"postgresql://app:hush@127.0.0.1:{free_port()}/app"
    mends = sqlite_doctor.mends("cannot be reached:")
    assert mends[0] == "start it, or name another in DATABASE_URL, in .env"
    assert "hush" not in sqlite_doctor.look(code=1)
    sqlite_doctor.env["DATABASE_URL"] = well
    sqlite_doctor.look(code=0)


def test_without_an_environment_it_is_set_up(
    render: Callable[..., Path], tmp_path: Path, project: Project
) -> None:
    folder = tmp_path / "fresh"
    shutil.copytree(render(), folder)
    doctor = Doctor(Project(folder, folder), f"sqlite:///{tmp_path}/fresh.db")
    doctor.env["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    assert doctor.mends("There is no environment, .venv") == ["make setup"]
    assert doctor.run("make setup").returncode == 0
    doctor.mend("The database fresh.db is not there yet")
    (folder / "pyproject.toml").write_text(
        (folder / "pyproject.toml")
        .read_text()
        .replace('"alembic>=', '"babel>=2.16",\n    "alembic>=')
    )
    doctor.mend("The environment is not what pyproject.toml and uv.lock say")


def test_tools_that_are_missing_are_named(project: Project, tmp_path: Path) -> None:
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "python3").symlink_to(sys.executable)
    doctor = Doctor(project, f"sqlite:///{tmp_path}/x.db")
    doctor.env["PATH"] = str(folder)
    said = subprocess.run(
        [sys.executable, "-m", "scripts.doctor", doctor.env["PORT"]],
        cwd=project.root,
        env=doctor.env,
        capture_output=True,
        text=True,
    ).stdout
    assert "!!  There is no uv\n      python3 scripts/setup.py\n" in said
    assert "!!  There is no git" in said
    assert "no Docker or Podman, which `make up` alone needs" in said


def test_a_python_that_is_too_old_is_named(project: Project, tmp_path: Path) -> None:
    old = """
import os, sys
sys.version_info, sys.version = (3, 10, 1), "3.10.1 (old)"
os.environ["PATH"] = "/nowhere"
from scripts import doctor
doctor.main()
"""
    done = project.run("-c", old)
    assert "!!  Python 3.10.1 is too old: 3.11 or newer" in done.stdout, done.stderr


def test_it_changes_nothing(doctor: Doctor) -> None:
    def files() -> dict[str, bytes]:
        return {
            str(path): path.read_bytes()
            for path in doctor.project.root.rglob("*")
            if path.is_file() and not {".venv", "__pycache__"} & set(path.parts)
        }

    before = files()
    doctor.look(code=0)
    assert files() == before
