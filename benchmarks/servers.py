"""A rendered project, its databases with rows in them, and servers of it and of the references."""

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks.timing import progress, run
from tests.project import Databases, free_port, users_environment

TEMPLATE = Path(__file__).parents[1]
TASK = b'{"title": "first"}'


def environment(**variables: str) -> dict[str, str]:
    """The environment of a user's shell, in which no database is set."""
    ours = ("TEST_DATABASE_URL", "WEB_CONCURRENCY")
    env = {name: value for name, value in users_environment().items() if name not in ours}
    return env | variables


def render(template: Path, folder: Path, *answers: str, env: dict[str, str] | None = None) -> Path:
    """Render into a new folder, by the command line; returns the project's."""
    folder.mkdir()
    command = [sys.executable, "-m", "cookiecutter", str(template), "--no-input", *answers]
    run(*command, "--output-dir", folder, cwd=folder, env=env or environment())
    return folder / "task-service"


class Project:
    """A rendered project, set up."""

    def __init__(self, folder: Path, *answers: str, template: Path = TEMPLATE) -> None:
        progress("rendering a project and setting it up")
        self.root = render(template, folder, *answers)
        self.python = self.root / ".venv" / "bin" / "python"
        if not self.python.exists():
            raise SystemExit("the hook could not set the project up")
        progress(run(self.python, "--version", cwd=folder).strip())

    def install(self, *packages: str) -> None:
        run("uv", "pip", "install", "--quiet", "--python", self.python, *packages, cwd=self.root)

    def environment(self, url: str, **variables: str) -> dict[str, str]:
        # The references are found by PYTHONPATH.
        return environment(DATABASE_URL=url, PYTHONPATH=str(TEMPLATE), **variables)

    def fill(self, databases: Databases, rows: int) -> str:
        """Make a database with tasks of the ids 1 to `rows`; returns its URL."""
        url = databases.create()
        upgrade = ("-m", "alembic", "upgrade", "head")
        run(self.python, *upgrade, cwd=self.root, env=self.environment(url))
        if databases.server is None:
            numbers = (
                f"(WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {rows})"
                " SELECT i FROM n)"
            )
            after = "ANALYZE"
        else:
            numbers, after = f"generate_series(1, {rows}) i", "VACUUM ANALYZE task"
        insert = f"INSERT INTO task (title) SELECT 'Task ' || i FROM {numbers}"
        databases.query(url, insert, after)
        return url

    @contextlib.contextmanager
    def serving(self, app: str, url: str, **variables: str) -> Iterator["Server"]:
        """Run an application as the image does: uvicorn with its own choice of loop and parser."""
        port = free_port()
        # An older revision of the template has it in another folder.
        (log_config,) = (self.root / "app").rglob("logging.json")
        command = [str(self.python), "-m", "uvicorn", app, "--port", str(port)]
        process = subprocess.Popen(
            [*command, "--log-config", str(log_config)],
            cwd=self.root,
            env=self.environment(url, **variables),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        server = Server(process, f"http://127.0.0.1:{port}")
        try:
            server.wait()
            yield server
        finally:
            process.terminate()
            process.wait(timeout=30)


class Server:
    def __init__(self, process: subprocess.Popen[bytes], url: str) -> None:
        self.process, self.url = process, url

    def wait(self, path: str = "/tasks/1", seconds: float = 60) -> None:
        """Return as soon as it gives an answer."""
        deadline = time.monotonic() + seconds
        while True:
            try:
                urllib.request.urlopen(self.url + path, timeout=5).close()
                return
            except urllib.error.HTTPError as error:
                raise SystemExit(f"{self.url}{path} answers with {error.code}") from None
            except OSError:
                if self.process.poll() is not None or time.monotonic() > deadline:
                    raise SystemExit(f"{self.process.args!r} does not serve") from None
                time.sleep(0.01)

    def memory(self) -> float:
        """Resident memory in MiB."""
        text = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(text.partition("VmRSS:")[2].split()[0]) / 1024


def first_201(command: Sequence[str], port: int, folder: Path, env: dict[str, str]) -> float:
    """Seconds from the start of a command until its service, on this port, has created a task.

    Then ends all that the command has started.
    """
    with tempfile.TemporaryFile("w+") as log:
        started = time.perf_counter()
        process = subprocess.Popen(
            command, cwd=folder, env=env, stdout=log, stderr=log, start_new_session=True
        )
        try:
            while not creates_task(port):
                if process.poll() is not None or time.perf_counter() > started + 600:
                    log.seek(0)
                    raise SystemExit(f"{' '.join(command)} does not serve:\n{log.read()}")
                time.sleep(0.01)
            return time.perf_counter() - started
        finally:
            end(process)


def creates_task(port: int) -> bool:
    headers = {"content-type": "application/json"}
    request = urllib.request.Request(f"http://127.0.0.1:{port}/tasks", TASK, headers)
    try:
        with urllib.request.urlopen(request, timeout=5) as response:
            return bool(response.status == 201)
    except urllib.error.HTTPError as error:
        raise SystemExit(f"{request.full_url} answers with {error.code}") from None
    except OSError:
        return False


def end(process: subprocess.Popen[bytes]) -> None:
    """End a process and all others of its session."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
    process.wait(timeout=30)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def wait_for_postgresql(project: Path) -> None:
    """Wait until a project's embedded server, if it has one, has stopped after its last user."""
    deadline = time.monotonic() + 60
    while (project / ".postgres" / "data" / "postmaster.pid").exists():
        if time.monotonic() > deadline:
            raise SystemExit(f"the server in {project} does not stop")
        time.sleep(0.1)
