"""A newcomer who does what docs/tutorial.md says, command by command."""

import os
import shutil
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import TEMPLATE
from tests.containers import ENGINE, needs_engine
from tests.documents import Reader, matches, steps_of
from tests.project import users_environment
from tests.test_compose import free_port

pytestmark = needs_engine


@pytest.fixture
def newcomer(tmp_path: Path) -> Iterator[Reader]:
    """A home and a folder of their own, and ports that nobody else has."""
    home, folder = tmp_path / "home", tmp_path / "work"
    home.mkdir()
    folder.mkdir()
    cache = os.environ.get("UV_CACHE_DIR", str(Path.home() / ".cache/uv"))
    name = f"template-test-{uuid.uuid4().hex[:8]}"
    env = users_environment() | {
        "HOME": str(home),
        "UV_CACHE_DIR": cache,
        "PORT": str(free_port()),
        "COMPOSE_PROJECT_NAME": name,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    }
    for role in ("AUTHOR", "COMMITTER"):
        env |= {f"GIT_{role}_NAME": "Newcomer", f"GIT_{role}_EMAIL": "newcomer@example.com"}
    database = free_port()
    reader = Reader(TEMPLATE / "docs/tutorial.md", folder, env, int(env["PORT"]))
    reader.instead = {
        "uvx cookiecutter gh:org/template": f"cookiecutter '{TEMPLATE}'",
        "localhost:8000": f"localhost:{reader.port}",
        "docker ": f"{ENGINE} ",
        "chores-database": f"{name}-database",
        "127.0.0.1:5432:": f"127.0.0.1:{database}:",
        "@127.0.0.1/": f"@127.0.0.1:{database}/",
    }
    yield reader
    reader.stop()
    if ENGINE:
        subprocess.run([ENGINE, "rm", "--force", f"{name}-database"], capture_output=True)
    if (reader.folder / "Makefile").exists():
        down = ["make", "down", "volumes=yes"]
        subprocess.run(down, cwd=reader.folder, env=env, capture_output=True)


def test_every_command_does_what_the_tutorial_shows(newcomer: Reader) -> None:
    assert shutil.which("uv", path=newcomer.env["PATH"]), "there is no uv: pip install uv"
    newcomer.read()


def test_the_reader_sees_what_is_wrong(tmp_path: Path) -> None:
    assert matches("a\n…\nd", "a\nb\nc\nd\n")
    assert matches("a … c", "a b c")
    assert matches("a\n…", "a")
    assert not matches("a", "a\nb")
    assert not matches("a\n…\nd", "a\nb\n")
    assert not matches("a … c", "a b\nc")

    page = tmp_path / "page.md"
    env = {"HOME": str(tmp_path), "PATH": os.environ["PATH"]}
    for text, fault in (
        ("```sh\nfalse\n```", "page.md:1: false"),
        ("<!-- fails -->\n```sh\ntrue\n```", "page.md:2: true"),
        ("```sh\necho a\n```\n\n```text\nb\n```", "page.md:5 shows"),
        ("```diff\n--- a/x\n+++ b/x\n@@ -1 +1 @@\n-a\n+b\n```", "page.md:1: "),
    ):
        page.write_text(text, "utf-8")
        with pytest.raises(AssertionError, match=fault):
            Reader(page, tmp_path, env, 1).read()
    page.write_text("<!-- sometimes fails -->\n", "utf-8")
    with pytest.raises(AssertionError, match="sometimes fails"):
        steps_of(page)
