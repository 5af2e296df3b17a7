"""File lock, exclusive or shared. The kernel releases it, however its holder ends."""

import os
import random
import sys
import time
from pathlib import Path

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

POLL_SECONDS = 0.02


class FileLock:
    """The file is made if need be, its folder is not. Raises OSError."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)

    def acquire(self, *, shared: bool = False, timeout: float = 0) -> bool:
        """Returns False when another process still has the lock after `timeout` seconds."""
        deadline = time.monotonic() + timeout
        while not self._try(shared):
            if time.monotonic() >= deadline:
                return False
            time.sleep(POLL_SECONDS)
        return True

    def close(self) -> None:
        """Release the lock, unless a child process inherited the descriptor: then it has it."""
        os.close(self.descriptor)

    def is_in_place(self) -> bool:
        """False when the file was deleted or moved."""
        try:
            return os.path.samestat(os.fstat(self.descriptor), self.path.stat())
        except OSError:
            return False

    if sys.platform == "win32":
        # Nothing but exclusive locks of bytes: a shared one is that of any byte among these.
        BYTES = 1024
        _locked = (0, 0)

        def _try(self, shared: bool) -> bool:
            self._locked = (random.randrange(self.BYTES), 1) if shared else (0, self.BYTES)
            return self._call(msvcrt.LK_NBLCK)

        def release(self) -> None:
            self._call(msvcrt.LK_UNLCK)

        def _call(self, mode: int) -> bool:
            offset, count = self._locked
            os.lseek(self.descriptor, offset, os.SEEK_SET)
            try:
                msvcrt.locking(self.descriptor, mode, count)
            except PermissionError:
                return False
            return True
    else:

        def _try(self, shared: bool) -> bool:
            kind = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
            try:
                fcntl.flock(self.descriptor, kind | fcntl.LOCK_NB)
            except BlockingIOError:
                return False
            return True

        def release(self) -> None:
            fcntl.flock(self.descriptor, fcntl.LOCK_UN)
