"""A rendered project, databases with rows in it, and servers of it and of the references."""

import contextlib
import os
import socket
import sqlite3
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import psycopg

from benchmarks.timing import progress, run

TEMPLATE = Path(__file__).parents[1]
# What the references need beyond the project's own dependencies.
EXTRA = ["orjson", "psycopg_pool"]


class Project:
    def __init__(self, folder: Path) -> None:
        progress("rendering a project and setting it up")
        command = [sys.executable, "-m", "cookiecutter", str(TEMPLATE), "--no-input"]
        run(*command, "--output-dir", folder, cwd=folder)
        self.root = folder / "task-service"
        self.python = self.root / ".venv" / "bin" / "python"
        run("uv", "pip", "install", "--quiet", "--python", self.python, *EXTRA, cwd=folder)

    def environment(self, url: str, **variables: str) -> dict[str, str]:
        ours = ("VIRTUAL_ENV", "PYTHONDONTWRITEBYTECODE", "DATABASE_URL", "WEB_CONCURRENCY")
        env = {name: value for name, value in os.environ.items() if name not in ours}
        return env | {"DATABASE_URL": url, "PYTHONPATH": str(TEMPLATE)} | variables

    def fill(self, url: str, rows: int) -> str:
        """Migrate an empty database and give it tasks with the ids 1 to `rows`; returns its URL."""
        run(
            self.python,
            "-m",
            "alembic",
            "upgrade",
            "head",
            cwd=self.root,
            env=self.environment(url),
        )
        if url.startswith("sqlite"):
            with contextlib.closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as connection:
                connection.execute(
                    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?) "
                    "INSERT INTO task (title) SELECT 'Task ' || i FROM n",
                    (rows,),
                )
                connection.commit()
            return url
        with psycopg.connect(url, autocommit=True) as server:
            server.execute(
                "INSERT INTO task (title) SELECT 'Task ' || i FROM generate_series(1, %s) i",
                (rows,),
            )
            server.execute("VACUUM ANALYZE task")
        return url

    @contextlib.contextmanager
    def serving(self, app: str, url: str, **variables: str) -> Iterator["Server"]:
        """Run an application as the image does: uvicorn with its own choice of loop and parser."""
        port = free_port()
        command = [str(self.python), "-m", "uvicorn", app, "--port", str(port)]
        command += ["--log-config", "app/logging.json"]
        process = subprocess.Popen(
            command,
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


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
