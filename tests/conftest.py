"""Renders of the template, each made once and shared by the tests."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import fasteners
import psycopg
import pytest
from cookiecutter.main import cookiecutter

from tests.project import Databases, Project

TEMPLATE = Path(__file__).parents[1]
# The embedded PostgreSQL of the rendered projects serves here, too. Its bytecode in the template's
# folder would be rendered into projects.
sys.dont_write_bytecode = True
os.environ["PYTHONDONTWRITEBYTECODE"] = "1"
sys.path.append(str(TEMPLATE / "{{cookiecutter.project_slug}}"))
from app.core.db import embedded  # noqa: E402

pytest_plugins = ["tests.containers"]
SYSTEM_TEMP = tempfile.gettempdir()
# Projects that are set up: the processes of pytest-xdist share them.
SHARED = "TEMPLATE_TESTS_FOLDER"
# Those that take longest begin first, so that at the end all cores have work.
LONGEST_FILES = (
    *("test_owner", "test_embedded", "test_polite_migrations", "test_mutants", "test_pooler"),
    *("test_rendered_project", "test_doctor", "test_autogenerate_steps", "test_migration_faults"),
    *("test_image", "test_compose", "test_image_faults", "test_readme", "test_updates"),
    *("test_tutorial", "test_concurrent_migrations", "test_autogenerate", "test_server_faults"),
)


def pytest_configure(config: pytest.Config) -> None:
    if SHARED not in os.environ:
        os.environ[SHARED] = tempfile.mkdtemp(prefix="template-tests-", dir=SYSTEM_TEMP)
        # Not in pytest's folder, which each session of pytest closes to other users: the
        # projects' tests, started by root, run the PostgreSQL of these environments as another.
        Path(os.environ[SHARED]).chmod(0o755)
        config.add_cleanup(lambda: shutil.rmtree(os.environ[SHARED], ignore_errors=True))
    # What mypy has read of the packages is the same in every project.
    worker = os.environ.get("PYTEST_XDIST_WORKER", "main")
    os.environ["MYPY_CACHE_DIR"] = str(Path(os.environ[SHARED], f"mypy-{worker}"))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    order = {name: number for number, name in enumerate(LONGEST_FILES)}
    items.sort(key=lambda item: order.get(item.path.stem, len(order)))


def copy_template(folder: Path) -> Path:
    """Copy what git would check out, and what is not yet committed."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=TEMPLATE,
        capture_output=True,
        text=True,
        check=True,
    )
    for name in listed.stdout.split("\0"):
        if name and (TEMPLATE / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(TEMPLATE / name, folder / name)
    return folder


@pytest.fixture
def template_copy(tmp_path: Path) -> Path:
    """A copy of the template that a test may break."""
    return copy_template(tmp_path / "template")


@pytest.fixture(scope="session", autouse=True)
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Keep what Cookiecutter leaves behind, replays and rendered hooks, in a folder of ours."""
    home = tmp_path_factory.mktemp("home")
    config = {"replay_dir": str(home / "replay"), "cookiecutters_dir": str(home / "templates")}
    (home / "cookiecutter.json").write_text(json.dumps(config), encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COOKIECUTTER_CONFIG", str(home / "cookiecutter.json"))
        for variable in ("TMPDIR", "TEMP", "TMP"):
            patch.setenv(variable, str(home))
        patch.setattr(tempfile, "tempdir", str(home))
        yield home


@pytest.fixture(scope="session")
def render(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Render the template with these answers and the defaults, without setting up."""

    def render(**answers: object) -> Path:
        return Path(
            cookiecutter(
                str(TEMPLATE),
                no_input=True,
                extra_context={"setup": False, **answers},
                output_dir=str(tmp_path_factory.mktemp("render")),
            )
        )

    return render


@pytest.fixture(scope="session")
def bake(render: Callable[..., Path]) -> Callable[..., Path]:
    """The same, once for the same answers: what it gives is not to be changed."""
    questions = json.loads((TEMPLATE / "cookiecutter.json").read_text("utf-8"))
    defaults = {name: one[0] if isinstance(one, list) else one for name, one in questions.items()}
    baked: dict[str, Path] = {}

    def bake(**answers: object) -> Path:
        answers = {name: one for name, one in answers.items() if one != defaults[name]}
        key = json.dumps(answers, sort_keys=True)
        if key not in baked:
            baked[key] = render(**answers)
        return baked[key]

    return bake


@pytest.fixture(scope="session")
def open_folder() -> Iterator[Path]:
    """For a project with an environment of its own, open to other users."""
    with tempfile.TemporaryDirectory(dir=SYSTEM_TEMP, ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


@pytest.fixture(scope="session")
def set_up() -> Callable[..., Path]:
    """A render with its environment, once for the same answers."""

    def set_up(**answers: object) -> Path:
        answers = {"database": "postgresql", **answers}
        key = hashlib.sha256(json.dumps(answers, sort_keys=True).encode()).hexdigest()[:8]
        output = Path(os.environ[SHARED], key)
        with fasteners.InterProcessLock(f"{output}.lock"):
            if not output.exists():
                cookiecutter(
                    str(TEMPLATE), no_input=True, extra_context=answers, output_dir=str(output)
                )
        (project,) = output.iterdir()
        assert (project / ".venv").is_dir(), "the hook could not set the project up"
        return project

    return set_up


on_both_databases = pytest.mark.parametrize("dialect", ["postgresql", "sqlite"], indirect=True)
on_sqlite = pytest.mark.parametrize("dialect", ["sqlite"], indirect=True)


@pytest.fixture
def dialect(request: pytest.FixtureRequest) -> str:
    """The database that the project is made for."""
    return str(getattr(request, "param", "postgresql"))


@pytest.fixture
def project(set_up: Callable[..., Path], dialect: str, tmp_path: Path) -> Project:
    """A rendered project, set up, that a test may change."""
    return Project(set_up(database=dialect), tmp_path / "project")


@pytest.fixture
def databases(request: pytest.FixtureRequest, dialect: str, tmp_path: Path) -> Databases:
    server = request.getfixturevalue("postgresql") if dialect == "postgresql" else None
    return Databases(dialect, tmp_path, server)


@pytest.fixture(scope="session")
def postgresql() -> Iterator[str]:
    """The URL of a PostgreSQL server that runs for as long as the tests do."""
    with tempfile.TemporaryDirectory(dir=SYSTEM_TEMP, ignore_cleanup_errors=True) as name:
        folder = Path(name)
        url = embedded.start(folder, {"fsync": "off", "max_connections": "300"})
        # Who is in this group has to give the password; all others are trusted.
        rules = folder / "data" / "pg_hba.conf"
        rules.write_text("local all +with_password scram-sha-256\n" + rules.read_text())
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("CREATE ROLE with_password")
            connection.execute("SELECT pg_reload_conf()")
        yield url
        embedded.stop(folder)


@pytest.fixture
def refuse(tmp_path: Path) -> Callable[..., str]:
    """Run the command line with answers that it must refuse; return all it prints."""

    def refuse(**answers: str) -> str:
        command = [sys.executable, "-m", "cookiecutter", str(TEMPLATE), "--no-input"]
        command += [f"{question}={answer}" for question, answer in answers.items()]
        done = subprocess.run(
            command,
            cwd=tmp_path,
            env=os.environ | {"PYTHONIOENCODING": "utf-8"},
            capture_output=True,
            encoding="utf-8",
        )
        assert done.returncode == 1, done.stdout
        assert list(tmp_path.iterdir()) == []
        return done.stderr + done.stdout

    return refuse
