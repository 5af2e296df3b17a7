"""Embedded PostgreSQL: a server in the project's own folder, for development and tests.

A process that calls `start()` uses the server until it ends. Each user shares a lock, which the
kernel releases however the process ends; then the keeper stops the server.

    python -m app.core.db.embedded reset    delete the data
"""

import os
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from types import MappingProxyType
from urllib.parse import quote

from app.core import ROOT
from app.core.db.embedded.cluster import NAME, Cluster, Server
from app.core.db.embedded.file_lock import FileLock
from app.core.db.embedded.keeper import start_keeper, users_lock
from app.core.db.embedded.programs import WAIT_SECONDS, EmbeddedError, program

__all__ = ["FOLDER", "EmbeddedError", "program", "reset", "start", "stop"]

FOLDER = ROOT / ".postgres"
NO_SETTINGS: Mapping[str, str] = MappingProxyType({})

# The locks of the folders that this process uses.
_uses: dict[Path, FileLock] = {}


def start(folder: Path = FOLDER, settings: Mapping[str, str] = NO_SETTINGS) -> str:
    """Start the server of a folder, or share the one that runs. Returns its URL.

    `settings` are those of postgresql.conf; they take effect when this call starts the server.
    Raises EmbeddedError.
    """
    folder = folder.resolve()
    program("postgres")
    # libpq and PostgreSQL read these. The user means other servers with them.
    for variable in [name for name in os.environ if name.startswith("PG")]:
        del os.environ[variable]
    try:
        with _one_line(folder):
            folder.mkdir(0o700, exist_ok=True)
            if folder.stat().st_mode & 0o077:
                folder.chmod(0o700)  # whoever gets in is trusted
            _use(folder)
            start_keeper(folder)
            server = _share_or_start(folder, settings)
    except EmbeddedError:
        _end_use(folder)
        raise
    host = quote(os.fsencode(server.host), safe="")
    return f"postgresql://{NAME}@/{NAME}?host={host}&port={server.port}"


def stop(folder: Path = FOLDER) -> None:
    """Use the server no longer; stop it now if nobody else does."""
    folder = folder.resolve()
    _end_use(folder)
    with suppress(EmbeddedError), _alone(folder) as cluster:
        cluster.stop()


def reset(folder: Path = FOLDER) -> None:
    """Stop the server and delete its data. Raises EmbeddedError while somebody uses it."""
    if folder.exists():
        with _alone(folder.resolve()) as cluster:
            cluster.stop()
            cluster.delete()


def _use(folder: Path) -> None:
    if (known := _uses.get(folder)) and known.is_in_place():
        return
    _end_use(folder)
    _uses[folder] = users_lock(folder)
    if not _uses[folder].acquire(shared=True, timeout=WAIT_SECONDS):
        raise EmbeddedError("the last server does not stop")


def _end_use(folder: Path) -> None:
    if lock := _uses.pop(folder, None):
        lock.close()


def _share_or_start(folder: Path, settings: Mapping[str, str]) -> Server:
    cluster, deadline = Cluster(folder), time.monotonic() + 2 * WAIT_SECONDS
    with closing(cluster.lock):
        while not cluster.running() and time.monotonic() < deadline:
            if cluster.lock.acquire(timeout=0.1):
                # On Windows a server cannot inherit the lock: one may just have been started.
                if not cluster.running():
                    cluster.start(settings)
                break
            if (server := cluster.server()) and not server.data.exists():
                server.end()  # it still runs in this folder, which was moved
        if server := cluster.running():
            return server
    raise EmbeddedError("the server does not answer")


@contextmanager
def _alone(folder: Path) -> Iterator[Cluster]:
    with _one_line(folder), closing(users_lock(folder)) as users:
        if not users.acquire(timeout=2):
            raise EmbeddedError(f"{folder.name} is in use: stop what uses it, such as `make run`")
        cluster = Cluster(folder)
        with closing(cluster.lock):
            yield cluster


@contextmanager
def _one_line(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise EmbeddedError(f"{error.strerror or error}: {error.filename or folder}") from error
