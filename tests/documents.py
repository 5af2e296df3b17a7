"""Run the commands of a Markdown page in order, and compare what they say with what it shows.

A fence of `sh` is run. One of `text` right after it is what it prints, in which `…` stands for
anything. One of `diff` is applied, and one with `title="a/file"` is written to that file. A comment
before a fence says what a reader sees by himself: `<!-- serves -->`, it goes on until a fence that
`<!-- stops -->` it, or `<!-- fails -->`.
"""

import os
import re
import signal
import subprocess
import time
import urllib.request
from dataclasses import dataclass
from pathlib import Path

from markdown_it import MarkdownIt

ANYTHING = "…"


@dataclass(frozen=True)
class Step:
    language: str
    title: str
    code: str
    remark: str
    line: int


def steps_of(page: Path) -> list[Step]:
    """The fences of a page. Raises AssertionError for a remark that means nothing."""
    steps, remark = [], ""
    for token in MarkdownIt().parse(page.read_text("utf-8")):
        if token.type == "html_block":
            remark = token.content.strip().removeprefix("<!--").removesuffix("-->").strip()
            assert remark in ("serves", "stops", "fails"), f"{page.name}: {remark}"
        elif token.type == "fence":
            language, _, rest = token.info.partition(" ")
            title = re.search(r'title="([^"]+)"', rest)
            line = token.map[0] + 1 if token.map else 0
            steps.append(Step(language, title[1] if title else "", token.content, remark, line))
            remark = ""
    return steps


def matches(shown: str, said: str) -> bool:
    """Is this what was said? `…` stands for anything, alone on a line for any lines."""
    pattern = ""
    for line in shown.rstrip().splitlines():
        if line.strip() == ANYTHING:
            pattern += r"(?:.*\n)*?"
        else:
            pattern += re.escape(line.rstrip()).replace(ANYTHING, ".*?") + r"[ ]*\n"
    return re.fullmatch(pattern, said.rstrip() + "\n") is not None


class Reader:
    """Somebody who does what a page says, in a folder, with nothing but a shell."""

    def __init__(self, page: Path, folder: Path, env: dict[str, str], port: int) -> None:
        self.page, self.folder, self.env, self.port = page, folder, env, port
        self.instead: dict[str, str] = {}  # what of a command is put otherwise
        self.server: subprocess.Popen[bytes] | None = None
        self.transcript = ""

    def read(self) -> None:
        said = None
        for step in steps_of(self.page):
            place = f"{self.page.name}:{step.line}"
            if step.remark == "stops":
                self.stop()
            if step.language == "sh" and step.remark == "serves":
                self.serve(step.code)
            elif step.language == "sh":
                said = self.run(step.code, fails=step.remark == "fails", place=place)
                self.transcript += f"$ {step.code}{said}\n"
            elif step.language == "text" and said is not None:
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
        """Run it, and stay in the folder in which it ends; returns all it says."""
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
        """Start it, and wait until it is ready; what served before is ended."""
        self.stop()
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

    def stop(self) -> None:
        if self.server is not None:
            os.killpg(self.server.pid, signal.SIGINT)  # Ctrl-C
            self.server.wait(timeout=30)
            self.server = None
