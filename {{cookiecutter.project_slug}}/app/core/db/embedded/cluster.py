"""PostgreSQL cluster: the data in a folder, and the server that runs on it."""

import hashlib
import os
import secrets
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from app.core.db.embedded.file_lock import FileLock
from app.core.db.embedded.programs import (
    VERSION,
    WAIT_SECONDS,
    EmbeddedError,
    error_in,
    initdb,
    program,
    run,
)

NAME = "app"  # of the role and of the database, as in compose.yaml
PORT = 5432
# The path of a socket ends at 107 bytes on Linux, at 103 on macOS: sun_path in sys/un.h.
SOCKET_PATH_BYTES = 103
INITDB = (
    *("--auth=trust", "--no-instructions", f"--username={NAME}", "--encoding=UTF8"),
    # The same order of text everywhere, whatever the machine's locale.
    *("--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"),
)


class Server(NamedTuple):
    """A server as its postmaster.pid describes it."""

    pid: int
    data: Path
    host: str
    port: int
    ready: bool

    def end(self, kind: signal.Signals = signal.SIGINT) -> None:
        """Have it close its connections and shut down, if the process is known to be its own."""
        if sys.platform == "win32" or not self.has_own_pid():
            return
        with suppress(ProcessLookupError):
            os.kill(self.pid, kind)

    def has_own_pid(self) -> bool:
        """False where the server runs on the other side of a container: numbers differ there."""
        if sys.platform != "linux":
            return True
        try:
            command = Path(f"/proc/{self.pid}/cmdline").read_bytes()
        except OSError:
            return False
        return os.fsencode(_quote(self.host)) in command


class Cluster:
    """Only the holder of `lock` changes the data.

    Programs inherit the lock: as long as a process of the server lives, nobody else gets it, and
    initdb is waited for after its caller was killed.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self.data = folder, folder / "data"
        self.lock = FileLock(folder / "server.lock")

    def server(self) -> Server | None:
        """The server that was last started, if it was not stopped."""
        # https://www.postgresql.org/docs/18/storage-file-layout.html: process, data, start time,
        # port, folder of the socket, address, shared memory, status.
        try:
            lines = (self.data / "postmaster.pid").read_bytes().splitlines()
            pid, data, _, port, sockets, address, _, status = map(os.fsdecode, lines)
            ready = status.strip() == "ready"
            return Server(int(pid), Path(data), sockets or address, int(port), ready)
        except (OSError, ValueError):
            return None

    def running(self) -> Server | None:
        """The server, if it accepts connections."""
        server = self.server()
        # In a copied folder the file names the server of the original.
        if server is None or server.data != self.data or not server.ready:
            return None
        try:
            if sys.platform == "win32":
                socket.create_connection((server.host, server.port), timeout=5).close()
            else:
                with socket.socket(socket.AF_UNIX) as probe:
                    probe.settimeout(5)
                    probe.connect(f"{server.host}/.s.PGSQL.{server.port}")
        except OSError:
            return None
        return server

    def start(self, settings: Mapping[str, str]) -> None:
        """Start the server, and make the cluster if there is none. The caller has the lock."""
        version = self.data / "PG_VERSION"
        if not self.data.exists():
            self._create()
        elif version.exists() and (found := version.read_text().strip()) != str(VERSION):
            raise EmbeddedError(f"the data is of PostgreSQL {found}, not {VERSION}: make db-reset")
        options = {"log_timezone": "UTC", "timezone": "UTC", **settings}
        if sys.platform == "win32":
            with socket.create_server(("127.0.0.1", 0)) as probe:
                options |= {"listen_addresses": "127.0.0.1", "port": str(probe.getsockname()[1])}
        else:
            place = self._socket_folder()
            options |= {"listen_addresses": "", "unix_socket_directories": _quote(str(place))}
            options |= {"port": str(PORT), "unix_socket_permissions": "0700"}
            # We have the lock, so what a crash left behind is stale. PostgreSQL would not start
            # where another process now has the number of the old server.
            for left in (self.data / "postmaster.pid", *place.glob(".s.PGSQL.*")):
                left.unlink(missing_ok=True)
            self._give(self.data)
        words = [f"-c{name}={value}" for name, value in options.items()]
        line = subprocess.list2cmdline(words) if sys.platform == "win32" else shlex.join(words)
        log = self.folder / "log"
        log.unlink(missing_ok=True)
        # pg_ctl puts these into a shell command unquoted: names without special characters.
        names = ("-p", "postgres", "-D", "data", "-l", "log")
        try:
            self._run("pg_ctl", "start", "-s", "-w", "-t", str(WAIT_SECONDS), *names, "-o", line)
        except EmbeddedError:
            if log.exists() and (reason := error_in(log.read_text("utf-8", errors="replace"))):
                raise EmbeddedError(reason) from None
            raise

    def stop(self, lost: Server | None = None) -> None:
        """Stop the server, if one runs, and take the lock.

        `lost` is the server of a folder that was deleted or moved; it cannot end in good order.
        """
        server = lost or self.server()
        if sys.platform == "win32":
            if self.running():
                self._run("pg_ctl", "stop", "-s", "-w", "-m", "fast", "-D", "data")
        elif server is not None and not self.lock.acquire():
            server.end(signal.SIGQUIT if lost else signal.SIGINT)
        if not self.lock.acquire(timeout=WAIT_SECONDS):
            raise EmbeddedError("the server does not stop")
        if server is not None and Path(server.host) != self.folder:
            with suppress(OSError):
                Path(server.host).rmdir()

    def delete(self) -> None:
        """Delete the data. The caller has the lock."""
        old = self.folder / "data.old"
        if old.exists():
            shutil.rmtree(old)
        if self.data.exists():
            self.data.rename(old)
            shutil.rmtree(old)

    def _create(self) -> None:
        """Make the cluster, complete or not at all."""
        new = self.folder / "data.new"
        if new.exists():
            shutil.rmtree(new)
        new.mkdir(0o700)
        self._give(new)
        try:
            with initdb() as path:
                self._run(path, *INITDB, "-D", "data.new")
            create = f"CREATE DATABASE {NAME}\n"
            self._run("postgres", "--single", "-D", "data.new", "postgres", text=create)
        except EmbeddedError:
            shutil.rmtree(new, ignore_errors=True)
            raise
        new.rename(self.data)

    def _run(self, name: str | Path, *arguments: str, text: str = "") -> None:
        path = program(name) if isinstance(name, str) else name
        inherited = () if sys.platform == "win32" else (self.lock.descriptor,)
        user = self._user()
        run(path, *arguments, folder=self.folder, user=user, inherited=inherited, text=text)

    def _user(self) -> tuple[int, int] | None:
        """User and group of the server where we are root, as which PostgreSQL does not run."""
        if sys.platform == "win32":
            return None
        import pwd

        if os.geteuid() != 0:
            return None
        if self.data.exists() and (owner := self.data.stat()).st_uid != 0:
            return owner.st_uid, owner.st_gid
        try:
            nobody = pwd.getpwnam("nobody")
        except KeyError:
            raise EmbeddedError("as root it needs the user nobody, which is missing") from None
        return nobody.pw_uid, nobody.pw_gid

    def _give(self, folder: Path) -> None:
        """Give a folder to the server's user. Root may have copied it."""
        user = self._user()
        if sys.platform == "win32" or user is None:
            return
        try:
            os.chown(folder, *user)
        except OSError:
            raise EmbeddedError("as root it needs another user, and cannot change to one") from None

    def _socket_folder(self) -> Path:
        """Beside the data; in the temporary folder where libpq cannot use such a path."""
        if _can_hold_socket(self.folder):
            return self.folder
        # A name that other users cannot guess, and so not take first.
        secret = self.folder / "secret"
        if not secret.exists():
            secret.write_text(secrets.token_hex())
        digest = hashlib.sha256(secret.read_bytes() + os.fsencode(self.folder)).hexdigest()
        place = Path(tempfile.gettempdir(), f"postgres-{digest[:16]}")
        if not _can_hold_socket(place):
            raise EmbeddedError(f"a socket in {place} has too long a path: set TMPDIR=/tmp")
        place.mkdir(0o700, exist_ok=True)
        return place


def _can_hold_socket(folder: Path) -> bool:
    length = len(os.fsencode(folder / f".s.PGSQL.{PORT}"))
    return length <= SOCKET_PATH_BYTES and str(folder).isprintable() and "," not in str(folder)


def _quote(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
