"""The keeper: a background process that stops the server after its last user."""

import os
import subprocess
import sys
import time
from pathlib import Path

from app.core import ROOT
from app.core.db.embedded.cluster import Cluster
from app.core.db.embedded.file_lock import FileLock

# How long the server outlives its last user, so that a reload or the next command finds it running.
LINGER_SECONDS = 10
POLL_SECONDS = 0.25


def users_lock(folder: Path) -> FileLock:
    """The lock that each user of the server shares."""
    return FileLock(folder / "users.lock")


def start_keeper(folder: Path) -> None:
    """Start the keeper of a folder, unless there is one."""
    lock = FileLock(folder / "keeper.lock")
    alone = lock.acquire()
    lock.close()
    if not alone:
        return
    if sys.platform == "win32":
        flags = subprocess.CREATE_NEW_PROCESS_GROUP | subprocess.CREATE_NO_WINDOW
    else:
        flags = 0
    keeper = subprocess.Popen(
        [sys.executable, "-m", "app.core.db.embedded", "keep", str(folder)],
        cwd=ROOT,
        env={name: value for name, value in os.environ.items() if name != "PYTHONSAFEPATH"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        creationflags=flags,
    )
    keeper.returncode = 0  # it outlives us, which Python would warn of


def keep(folder: Path) -> None:
    """Wait until nobody uses the server any more, and stop it."""
    cluster, users, keeper = Cluster(folder), users_lock(folder), FileLock(folder / "keeper.lock")
    if not keeper.acquire():
        return
    server, last_use = None, time.monotonic()
    while users.is_in_place():
        server = cluster.server() or server
        if not users.acquire():
            last_use = time.monotonic()
        elif time.monotonic() < last_use + LINGER_SECONDS:
            users.release()
        else:
            cluster.stop()
            # The next user must not see a keeper that is about to end.
            keeper.close()
            users.close()
            return
        time.sleep(POLL_SECONDS)
    cluster.stop(server)
