"""Both README files: their commands are run, their tables name what is there."""

import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.conftest import TEMPLATE, copy_template
from tests.containers import ENGINE, needs_engine
from tests.documents import Reader, newcomer
from tests.project import Databases, Project

Bake = Callable[..., Path]
DATABASE = "postgresql://user:password@localhost/name"

SPLIT = """
import asyncio
from httpx import ASGITransport, AsyncClient
from app.main import app

async def main():
    async with AsyncClient(transport=ASGITransport(app), base_url="http://test") as client:
        assert (await client.post("/tasks", json={"title": "x"})).status_code == 201
        assert (await client.post("/tasks/1/split")).status_code == 200
        page = (await client.get("/tasks")).json()
        print(sorted(task["title"] for task in page["items"]))

asyncio.run(main())
"""


@pytest.fixture
def reader(tmp_path: Path) -> Iterator[Reader]:
    reader = newcomer(TEMPLATE / "README.md", tmp_path)
    yield reader
    reader.leave()


@pytest.mark.slow
def test_what_the_readme_of_the_template_says_can_be_done(
    reader: Reader, postgresql: str, tmp_path: Path
) -> None:
    url = Databases("postgresql", tmp_path, postgresql).create()
    cloned = copy_template(tmp_path / "template")
    reader.instead = {
        "uvx cookiecutter gh:org/template": f"cookiecutter '{cloned}' --no-input",
        "git clone https://github.com/org/template": f"cp -r '{cloned}' template",
        "localhost:8000": f"localhost:{reader.port}",
        f"DATABASE_URL={DATABASE}": f"DATABASE_URL='{url}'",
    }
    reader.read()
    assert reader.transcript.count('"title":"first","status":"todo"') == 1
    assert (reader.folder / "build/task-service").is_dir()


@needs_engine[0]
@needs_engine[1]
def test_what_the_readme_of_a_project_says_can_be_done(
    set_up: Bake, reader: Reader, postgresql: str, tmp_path: Path
) -> None:
    project = set_up()
    shutil.copytree(project, reader.folder / "project", symlinks=True)
    url = Databases("postgresql", tmp_path, postgresql).create()
    reader.page, reader.folder = project / "README.md", reader.folder / "project"
    reader.instead |= {
        f"DATABASE_URL={DATABASE}": f"DATABASE_URL='{url}'",
        # Where the container finds no server.
        "DATABASE_URL=postgresql://user:password@host/name": "DATABASE_URL=sqlite:////tmp/app.db",
        f"{ENGINE} build": f"make down && {ENGINE} build",  # their port is the same
        "run -p": "run --rm -p",
        "make template-update": "make template-update from=nowhere || true",
    }
    reader.read()
    assert "Ready: http" in reader.transcript


@pytest.mark.slow
def test_the_endpoint_in_the_readme_of_a_project_works(
    project: Project, databases: Databases
) -> None:
    (snippet,) = re.findall(
        r"```python\n(.*?)```", (project.root / "README.md").read_text("utf-8"), re.DOTALL
    )
    router = project.root / "app/tasks/router.py"
    text = router.read_text("utf-8").replace("import DatabaseDep", "import DatabaseDep, SessionDep")
    router.write_text(f"{text}\n\n{snippet}", "utf-8")
    url = databases.create()
    project.alembic("upgrade", "head", url=url)
    done = project.run("-c", SPLIT, url=url)
    assert done.stdout == "['x, 1', 'x, 2']\n", done.stderr


def targets(makefile: Path) -> set[str]:
    return set(re.findall(r"^([a-z][a-z-]*):.*##", makefile.read_text("utf-8"), re.MULTILINE))


def test_the_table_of_a_project_names_every_target(bake: Bake) -> None:
    project = bake()
    table = re.findall(r"^\| (`make .*?) \|", (project / "README.md").read_text("utf-8"), re.M)
    named = {target for row in table for target in re.findall(r"`make ([a-z-]+)", row)}
    assert named == targets(project / "Makefile") - {"help"}


def test_every_script_in_the_table_of_a_project_is_there(bake: Bake) -> None:
    project = bake()
    text = (project / "README.md").read_text("utf-8")
    for module in set(re.findall(r"python -m scripts\.(\w+)", text)):
        assert (project / f"scripts/{module}.py").is_file(), module


def test_every_file_that_the_readme_of_a_project_lists_is_there(bake: Bake) -> None:
    project = bake(kubernetes=True)
    (listing,) = re.findall(
        r"```text\n(.*?)```", (project / "README.md").read_text("utf-8"), re.DOTALL
    )
    for line in listing.splitlines():
        assert (project / line.split()[0]).exists(), line
    modules = {f"app/{path.name}" for path in (project / "app").glob("[!_]*.py")}
    assert modules <= set(listing.split()), modules - set(listing.split())


def test_help_lists_every_target() -> None:
    said = subprocess.run(["make", "help"], cwd=TEMPLATE, capture_output=True, text=True).stdout
    assert set(re.findall(r"^  make ([a-z-]+)", said, re.M)) == targets(TEMPLATE / "Makefile")
