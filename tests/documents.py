"""Runs the commands of a Markdown page in order, and compares their output with the page.

A fence of `sh` is run. A fence of `text` right after it shows its output, in which `…` stands for
anything. A fence of `diff` is applied, and one with `title="a/file"` is written to that file. A
comment before a fence says more: `<!-- serves -->`, its last command is a server, which runs until
the next server or a fence with `<!-- stops -->`; `<!-- fails -->`, the command has to fail.
"""

import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
import uuid
from dataclasses import dataclass
from pathlib import Path

from markdown_it import MarkdownIt

from tests.conftest import TEMPLATE
from tests.containers import ENGINE
from tests.project import free_port, users_environment

ANYTHING = "…"


@dataclass(frozen=True)
class Step:
    language: str
    title: str
    code: str
    remark: str
    line: int
    is_output: bool  # nothing stands between it and the command before


def steps_of(page: Path) -> list[Step]:
    """The fences of a page. Raises AssertionError for an unknown comment."""
    steps: list[Step] = []
    remark, after_command = "", False
    for token in MarkdownIt().parse(page.read_text("utf-8")):
        if token.type == "html_block":
            remark = token.content.strip().removeprefix("<!--").removesuffix("-->").strip()
            assert remark in ("serves", "stops", "fails"), f"{page.name}: {remark}"
        elif token.type == "fence":
            language, _, rest = token.info.partition(" ")
            title = re.search(r'title="([^"]+)"', rest)
            line = token.map[0] + 1 if token.map else 0
            is_output = after_command and language == "text"
            code = token.content
            steps.append(Step(language, title[1] if title else "", code, remark, line, is_output))
            remark = ""
        after_command = token.type == "fence" and steps[-1].language == "sh"
    return steps


def matches(shown: str, said: str) -> bool:
    """Does the output match? `…` stands for anything, alone on a line for any lines."""
    pattern = ""
    for line in shown.rstrip().splitlines():
        if line.strip() == ANYTHING:
            pattern += r"(?:.*\n)*?"
        else:
            pattern += re.escape(line.rstrip()).replace(ANYTHING, ".*?") + r"[ ]*\n"
    return re.fullmatch(pattern, said.rstrip() + "\n") is not None


def newcomer(page: Path, folder: Path) -> "Reader":
    """A reader with a home, a port and containers of their own; `folder` is empty."""
    home, work = folder / "home", folder / "work"
    home.mkdir()
    work.mkdir()
    name = f"template-test-{uuid.uuid4().hex[:8]}"
    env = users_environment() | {
        "HOME": str(home),
        "UV_CACHE_DIR": os.environ.get("UV_CACHE_DIR", str(Path.home() / ".cache/uv")),
        "PORT": str(free_port()),
        "COMPOSE_PROJECT_NAME": name,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    }
    for role in ("AUTHOR", "COMMITTER"):
        env |= {f"GIT_{role}_NAME": "Newcomer", f"GIT_{role}_EMAIL": "newcomer@example.com"}
    reader = Reader(page, work, env, int(env["PORT"]))
    reader.instead = {
        "uvx cookiecutter gh:org/template": f"cookiecutter '{TEMPLATE}'",
        "localhost:8000": f"localhost:{reader.port}",
        "-p 8000:": f"-p {reader.port}:",
        "docker ": f"{ENGINE} ",
    }
    return reader


class Reader:
    """A person who follows a page in a folder, with nothing but a shell."""

    def __init__(self, page: Path, folder: Path, env: dict[str, str], port: int) -> None:
        self.page, self.folder, self.env, self.port = page, folder, env, port
        self.instead: dict[str, str] = {}  # parts of commands that the test replaces
        self.server: subprocess.Popen[bytes] | None = None
        self.transcript = ""

    def read(self) -> None:
        said = ""
        for step in steps_of(self.page):
            place = f"{self.page.name}:{step.line}"
            if step.remark == "stops":
                self.stop()
            if step.language == "sh" and step.remark == "serves":
                self.serve(step.code)
            elif step.language == "sh":
                said = self.run(step.code, fails=step.remark == "fails", place=place)
                self.transcript += f"$ {step.code}{said}\n"
            elif step.is_output:
                assert matches(step.code, said), f"{place} shows\n{step.code}\nbut it said\n{said}"
            elif step.language == "diff":
                self.apply(step.code, place)
            elif step.title:
                file = self.folder / step.title
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text(step.code, "utf-8")

    def put(self, command: str) -> str:
        for old, new in self.instead.items():
            command = command.replace(old, new)
        return command

    def run(self, command: str, fails: bool, place: str) -> str:
        """Run it, and stay in the folder in which it ends; returns its output."""
        script = f"set -e\n{self.put(command)}\npwd > '{self.folder_file}'\n"
        done = subprocess.run(
            ["bash", "-c", script],
            cwd=self.folder,
            env=self.env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=600,
        )
        assert (done.returncode != 0) == fails, f"{place}: {command}\n{done.stdout}"
        if self.folder_file.exists():
            self.folder = Path(self.folder_file.read_text().strip())
        return done.stdout.replace(str(self.port), "8000")

    @property
    def folder_file(self) -> Path:
        return Path(self.env["HOME"], "folder")

    def apply(self, diff: str, place: str) -> None:
        done = subprocess.run(
            ["git", "apply", "--recount", "--unidiff-zero", "-"],
            cwd=self.folder,
            input=diff,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, f"{place}: {done.stderr}"

    def serve(self, command: str) -> None:
        """Run all lines but the last, start that one, and wait until the service is ready."""
        self.stop()
        before, _, command = command.rstrip().rpartition("\n")
        if before:
            self.run(before, fails=False, place=self.page.name)
        log = Path(self.env["HOME"], "server.log")
        with log.open("w") as output:
            self.server = subprocess.Popen(
                ["bash", "-c", self.put(command)],
                cwd=self.folder,
                env=self.env,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        deadline = time.monotonic() + 180
        while not self.is_ready():
            assert self.server.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.3)

    def is_ready(self) -> bool:
        try:
            address = f"http://127.0.0.1:{self.port}/health/ready"
            with urllib.request.urlopen(address, timeout=5) as response:
                return bool(response.status == 200)
        except OSError:
            return False

    def leave(self) -> None:
        """Stop the server and the containers."""
        self.stop()
        if (self.folder / "compose.yaml").exists():
            command = ["make", "compose-down", "volumes=yes"]
            subprocess.run(command, cwd=self.folder, env=self.env, capture_output=True)

    def stop(self) -> None:
        if self.server is not None:
            os.killpg(self.server.pid, signal.SIGINT)  # Ctrl-C
            self.server.wait(timeout=30)
            self.server = None
