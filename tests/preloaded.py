"""Runs Python commands in an interpreter that has read the packages already, a process each.

Most of a short command's time goes to imports. Here one process for each environment imports the
packages once, none of them a project's own modules, and forks: each command has a process, a
folder, variables and standard streams of its own, and ends as any other does.
"""

import atexit
import gc
import json
import os
import runpy
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import traceback
from pathlib import Path
from typing import NoReturn

PACKAGES = (
    *("sqlalchemy.dialects.postgresql.psycopg", "sqlalchemy.dialects.sqlite.aiosqlite"),
    *("sqlalchemy.ext.asyncio", "sqlmodel", "fastapi", "pydantic_settings"),
    *("alembic.command", "alembic.config", "alembic.autogenerate", "alembic.script", "mako"),
    *("logging.config", "unittest.mock", "pytest", "_pytest.assertion.rewrite", "httpx"),
)
# An interpreter reads these when it starts.
READ_AT_START = ("PYTHON", "LANG", "LC_", "TZ")


def can_run(command: tuple[str, ...], variables: dict[str, str]) -> bool:
    """Is the command's outcome the same? Not where a plugin of pytest's has to be rewritten."""
    rewrites = command[:2] == ("-m", "pytest") and "--assert=plain" not in command
    return (
        sys.platform == "linux"
        and command[0] in ("-m", "-c")
        and not rewrites
        and not any(name.startswith(READ_AT_START) for name in variables)
    )


class Interpreter:
    """The process that has the packages, of one environment."""

    def __init__(self, python: str) -> None:
        # Not in pytest's folder, whose name may be too long for a socket.
        self._folder = tempfile.TemporaryDirectory(dir="/tmp", prefix="preloaded-")
        self._address = str(Path(self._folder.name, "socket"))
        self._process = subprocess.Popen(
            [python, __file__, self._address],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd="/",
        )
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == b"ready\n"
        atexit.register(self.stop)

    def stop(self) -> None:
        self._process.communicate()
        self._folder.cleanup()

    def run(
        self, command: tuple[str, ...], folder: Path, env: dict[str, str], seconds: float
    ) -> subprocess.CompletedProcess[str]:
        """Raises subprocess.TimeoutExpired after so many seconds."""
        with (
            tempfile.NamedTemporaryFile("r+", encoding="utf-8") as out,
            tempfile.NamedTemporaryFile("r+", encoding="utf-8") as err,
            socket.socket(socket.AF_UNIX) as connection,
        ):
            connection.connect(self._address)
            connection.settimeout(seconds)
            request = [command, str(folder), env, out.name, err.name]
            connection.sendall(json.dumps(request).encode() + b"\n")
            with connection.makefile() as answers:
                pid = int(answers.readline())
                try:
                    code = int(answers.readline())
                except TimeoutError:
                    os.kill(pid, signal.SIGKILL)
                    raise subprocess.TimeoutExpired(command, seconds) from None
            return subprocess.CompletedProcess(command, code, out.read(), err.read())


def wait_for_a_request(address: str) -> tuple[list[str], str, dict[str, str], str, str]:
    """Wait for requests; returns one in each process that has forked to carry it out."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for those in between
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(address)
        server.listen(100)
        print("ready", flush=True)
        if os.fork() == 0:
            sys.stdin.read()  # until the tests end
            os.kill(os.getppid(), signal.SIGTERM)
            os._exit(0)
        while True:
            connection, _ = server.accept()
            if os.fork() == 0:
                break
            connection.close()
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    with connection, connection.makefile("rw") as stream:
        request: tuple[list[str], str, dict[str, str], str, str] = json.loads(stream.readline())
        if pid := os.fork():
            stream.write(f"{pid}\n")
            stream.flush()
            _, status = os.waitpid(pid, 0)
            stream.write(f"{os.waitstatus_to_exitcode(status)}\n")
            stream.flush()
            os._exit(0)
    return request


def main(address: str) -> NoReturn:
    sys.path[0] = "/"  # not the folder of the tests
    for package in PACKAGES:
        try:
            __import__(package)
        except ImportError:
            continue  # of the other database
    gc.freeze()  # a collection would copy all of it into each process
    command, folder, env, out, err = wait_for_a_request(address)
    for number, file in enumerate((os.devnull, out, err)):
        descriptor = os.open(file, os.O_RDWR | os.O_APPEND)
        os.dup2(descriptor, number)
        os.close(descriptor)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(env)
    code = 0
    try:
        carry_out(command)
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
        if isinstance(end.code, str):
            print(end.code, file=sys.stderr)
    except BaseException:
        traceback.print_exc()
        code = 1
    # As at the end of an interpreter, but for the packages, whose removal takes longest.
    for thread in threading.enumerate():
        if thread is not threading.main_thread() and not thread.daemon:
            thread.join()
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def carry_out(command: list[str]) -> None:
    kind, name, *arguments = command
    if kind == "-c":
        sys.path[0], sys.argv = "", ["-c", *arguments]
        exec(compile(name, "<string>", "exec"), {"__name__": "__main__"})
    else:
        sys.path[0], sys.argv = os.getcwd(), [name, *arguments]
        runpy.run_module(name, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main(sys.argv[1])
