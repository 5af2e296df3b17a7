"""Both README files: their commands run, and what they list exists."""

import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.conftest import TEMPLATE, copy_template, on_both_databases
from tests.containers import ENGINE, Postgres, engine, needs_engine
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

every_rendered_readme = pytest.mark.parametrize(
    "answers",
    [{}, {"kubernetes": True}, {"database": "sqlite"}],
    ids=["postgresql", "kubernetes", "sqlite"],
)


@pytest.fixture
def reader(tmp_path: Path) -> Iterator[Reader]:
    reader = newcomer(TEMPLATE / "README.md", tmp_path)
    yield reader
    reader.leave()


def go_to(reader: Reader, project: Path) -> None:
    """Let the reader read a project's README, in a copy of that project."""
    folder = reader.folder / "project"
    shutil.copytree(project, folder, symlinks=True, ignore=shutil.ignore_patterns(".postgres"))
    reader.page, reader.folder = project / "README.md", folder
    reader.instead |= {
        "uvicorn app.main:app": f"uvicorn app.main:app --port {reader.port}",
        # The image alone takes the port of the one that compose runs.
        f"{ENGINE} build": f"make compose-down volumes=yes && {ENGINE} build",
        "make template-update": "make template-update from=nowhere || true",
    }


@pytest.mark.slow
def test_every_command_in_the_readme_of_the_template_works(
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
    assert "| first | todo" in reader.transcript
    assert (reader.folder / "build/task-service").is_dir()


@needs_engine[0]
@needs_engine[1]
def test_every_command_in_the_readme_of_a_postgresql_project_works(
    set_up: Bake,
    open_folder: Path,
    reader: Reader,
    postgresql: str,
    postgres: Postgres,
    network: str,
    database: str,
    tmp_path: Path,
) -> None:
    project = Project(set_up(), open_folder / "readme")
    project.lend_environment()
    go_to(reader, project.root)
    url = Databases("postgresql", tmp_path, postgresql).create()
    reader.instead |= {
        f"DATABASE_URL={DATABASE}": f"DATABASE_URL='{url}'",
        "postgresql://user:password@host/name": postgres.url(database),
        "run -p": f"run --rm --network {network} -p",
    }
    reader.read()
    assert "| first | todo" in reader.transcript
    assert "Ready: http" in reader.transcript


@needs_engine[0]
@needs_engine[1]
def test_every_command_in_the_readme_of_a_sqlite_project_works(
    set_up: Bake, open_folder: Path, reader: Reader
) -> None:
    project = Project(set_up(database="sqlite"), open_folder / "readme-sqlite")
    project.lend_environment()
    go_to(reader, project.root)
    volume = f"{reader.env['COMPOSE_PROJECT_NAME']}-readme"
    reader.instead |= {"-v task-service:": f"-v {volume}:", "run -p": "run --rm -p"}
    reader.read()
    reader.stop()
    engine("volume", "rm", volume)
    assert '"title":"first","status":"todo"' in reader.transcript
    assert "Ready: http" in reader.transcript


@pytest.mark.slow
@on_both_databases
def test_the_endpoint_in_the_readme_of_a_project_works(
    project: Project, databases: Databases
) -> None:
    (snippet,) = re.findall(
        r"```python\n(.*?)```", (project.root / "README.md").read_text("utf-8"), re.DOTALL
    )
    router = project.root / "app/tasks/router.py"
    text = router.read_text("utf-8") + "\nfrom app.core.db.session import SessionDep\n"
    router.write_text(f"{text}\n\n{snippet}", "utf-8")
    url = databases.create()
    project.alembic("upgrade", "head", url=url)
    done = project.run("-c", SPLIT, url=url)
    assert done.stdout == "['x, 1', 'x, 2']\n", done.stderr


def targets(folder: Path) -> set[str]:
    """What `make help` lists."""
    said = subprocess.run(["make", "help"], cwd=folder, capture_output=True, text=True).stdout
    return set(re.findall(r"^  make ([a-z-]+)", said, re.MULTILINE))


@every_rendered_readme
def test_the_table_of_targets_in_a_project_is_that_of_make_help(
    bake: Bake, answers: dict[str, object]
) -> None:
    project = bake(**answers)
    text = (project / "README.md").read_text("utf-8")
    rows = re.findall(r"^\| (`make .*?) \|", text, re.MULTILINE)
    named = [target for row in rows for target in re.findall(r"`make ([a-z-]+)", row)]
    assert sorted(named) == sorted(targets(project) - {"help"})


@every_rendered_readme
def test_every_file_that_the_readme_of_a_project_lists_exists(
    bake: Bake, answers: dict[str, object]
) -> None:
    project = bake(**answers)
    (listing,) = re.findall(
        r"```text\n(.*?)```", (project / "README.md").read_text("utf-8"), re.DOTALL
    )
    listed: list[Path] = []
    for line in listing.splitlines():
        name, _, text = line.strip().partition(" ")
        if not line.startswith(" "):
            parent = project / name
        path = parent / name if line.startswith(" ") else parent
        listed.append(path)
        assert path.exists(), line
        for other in re.findall(r"[\w./]*(?:\w/|\.(?:py|md|sh|mako))(?!\w)", text):
            places = (path / other, project / other)
            assert any(place.exists() for place in places) or other.startswith("/"), line
    folders = {*project.glob("app/*/__init__.py"), *project.glob("app/core/*/__init__.py")}
    assert {path.parent for path in folders} <= set(listed)


@every_rendered_readme
def test_the_readme_of_a_project_is_short(bake: Bake, answers: dict[str, object]) -> None:
    assert len((bake(**answers) / "README.md").read_text("utf-8").splitlines()) < 150


def test_the_readme_of_a_project_speaks_of_its_own_database_alone(bake: Bake) -> None:
    assert "sqlite" not in (bake() / "README.md").read_text("utf-8").lower()
    text = (bake(database="sqlite") / "README.md").read_text("utf-8")
    (line,) = (line for line in text.splitlines() if "postgres" in line.lower())
    assert line.endswith('`docs/migrations.md`, "Move to PostgreSQL later".')


def test_help_lists_every_target_of_the_template() -> None:
    text = (TEMPLATE / "Makefile").read_text("utf-8")
    assert targets(TEMPLATE) == set(re.findall(r"^([a-z][a-z-]*):.*##", text, re.MULTILINE))
