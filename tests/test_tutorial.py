"""A newcomer follows docs/tutorial.md, command by command."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import TEMPLATE
from tests.containers import needs_engine
from tests.documents import Reader, matches, newcomer, steps_of

pytestmark = needs_engine


@pytest.fixture
def reader(tmp_path: Path) -> Iterator[Reader]:
    reader = newcomer(TEMPLATE / "docs/tutorial.md", tmp_path)
    yield reader
    reader.leave()


def test_every_command_does_what_the_tutorial_shows(reader: Reader) -> None:
    assert shutil.which("uv", path=reader.env["PATH"]), "there is no uv: pip install uv"
    reader.read()


def test_the_reader_notices_output_that_differs_and_commands_that_fail(tmp_path: Path) -> None:
    assert matches("a\n…\nd", "a\nb\nc\nd\n")
    assert matches("a … c", "a b c")
    assert matches("a\n…", "a")
    assert not matches("a", "a\nb")
    assert not matches("a\n…\nd", "a\nb\n")
    assert not matches("a … c", "a b\nc")

    page = tmp_path / "page.md"
    env = {"HOME": str(tmp_path), "PATH": os.environ["PATH"]}
    for text, error in (
        ("```sh\nfalse\n```", "page.md:1: false"),
        ("<!-- fails -->\n```sh\ntrue\n```", "page.md:2: true"),
        ("```sh\necho a\n```\n\n```text\nb\n```", "page.md:5 shows"),
        ("```diff\n--- a/x\n+++ b/x\n@@ -1 +1 @@\n-a\n+b\n```", "page.md:1: "),
    ):
        page.write_text(text, "utf-8")
        with pytest.raises(AssertionError, match=error):
            Reader(page, tmp_path, env, 1).read()
    page.write_text("<!-- sometimes fails -->\n", "utf-8")
    with pytest.raises(AssertionError, match="sometimes fails"):
        steps_of(page)
