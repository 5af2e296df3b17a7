"""What the owner of a project does on the first day, and in the first week."""

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import TEMPLATE, on_both_databases
from tests.documents import newcomer
from tests.project import Project, free_port, users_environment

pytestmark = pytest.mark.slow


class Owner:
    """Somebody at a shell in the project, with nothing but make."""

    def __init__(self, project: Project) -> None:
        self.root = project.root
        self.env = users_environment() | {"PORT": str(free_port())}

    def make(self, *arguments: str, code: int = 0) -> str:
        done = subprocess.run(
            ["make", "--silent", *arguments],
            cwd=self.root,
            env=self.env,
            capture_output=True,
            text=True,
            timeout=600,
        )
        assert (done.returncode == 0) == (code == 0), done.stdout + done.stderr
        return done.stdout + done.stderr

    def write(self, file: str, text: str) -> None:
        path = self.root / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")

    def replace(self, file: str, old: str, new: str) -> None:
        text = (self.root / file).read_text("utf-8")
        assert old in text, f"{file}: {old}"
        self.write(file, text.replace(old, new))

    @contextlib.contextmanager
    def serving(self) -> Iterator[None]:
        log = self.root / "server.log"
        with log.open("w") as output:
            process = subprocess.Popen(
                ["make", "run"],
                cwd=self.root,
                env=self.env,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        try:
            deadline = time.monotonic() + 120
            while self.ask("GET", "/health/ready")[0] != 200:
                assert process.poll() is None, log.read_text()
                assert time.monotonic() < deadline, log.read_text()
                time.sleep(0.2)
            yield
        finally:
            os.killpg(process.pid, signal.SIGINT)
            process.wait(timeout=30)
            log.unlink()

    def ask(self, method: str, path: str, body: object = None) -> tuple[int, Any]:
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.env['PORT']}{path}",
            None if body is None else json.dumps(body).encode(),
            {"content-type": "application/json"},
            method=method,
        )
        try:
            with urllib.request.urlopen(request, timeout=10) as response:
                return response.status, json.loads(response.read() or "null")
        except urllib.error.HTTPError as error:
            return error.code, json.loads(error.read() or "null")
        except OSError:
            return 0, None


@pytest.fixture
def owner(set_up: Callable[..., Path], dialect: str, open_folder: Path) -> Iterator[Owner]:
    folder = open_folder / f"owner-{free_port()}"
    project = Project(set_up(database=dialect), folder)
    project.lend_environment()
    yield Owner(project)
    shutil.rmtree(folder, ignore_errors=True)


@on_both_databases
def test_the_sample_is_deleted_and_the_first_table_is_ones_own(
    owner: Owner, dialect: str, tmp_path: Path
) -> None:
    reader = newcomer(TEMPLATE / "docs/own-first-table.md", tmp_path)
    reader.folder = owner.root
    if dialect == "sqlite":
        reader.instead["make db-reset yes=1"] = "rm -f app.db"
    reader.read()  # and `make check` at its end
    names = sorted(path.name for path in owner.root.glob("alembic/versions/*.py"))
    assert names == ["0001_add_invoices.py"]
    rest = [
        path.relative_to(owner.root).as_posix()
        for folder in ("app", "tests", "alembic", "scripts")
        for path in (owner.root / folder).rglob("*.py")
        if re.search(r"app[./]tasks|/tasks\b", path.read_text("utf-8"))
    ]
    assert rest == [], "something still names the sample"


@on_both_databases
def test_a_new_feature_passes_every_check_and_serves(owner: Owner) -> None:
    for name in ("invoices", "order items", "people"):
        owner.make("feature", f"name={name}")
    owner.make("migration", "m=add invoices and more")
    owner.make("check")
    with owner.serving():
        for path in ("/invoices", "/order-items", "/people"):
            status, created = owner.ask("POST", path, {"title": "first"})
            assert status == 201
            assert owner.ask("GET", f"{path}/{created['id']}") == (200, created)


def test_make_feature_refuses_what_would_not_work(owner: Owner) -> None:
    before = sorted((owner.root / "app").rglob("*.py"))
    for name, reason in {
        "tasks": "app/tasks exists already",
        "settings": "app/settings.py exists already",
        "core": "app/core exists already",
        "class": "is a word of Python",
        "2fa": "is not a name",
        "Zahlungen für Ö": "is not a name",
        "../evil": "is not a name",
        "fields": "has a meaning in the code",
    }.items():
        said = owner.make("feature", f"name={name}", code=1)
        assert reason in said
        assert "Traceback" not in said
    assert "make feature name=invoices" in owner.make("feature", code=1)
    assert sorted((owner.root / "app").rglob("*.py")) == before


SECOND_TABLE = {
    "app/billing/customers/models.py": """
        from sqlmodel import Field, SQLModel

        from app.core.db.base import TableBase, TableBasePublic


        class CustomerBase(SQLModel):
            email: str = Field(max_length=100, unique=True)
            task_id: int | None = Field(default=None, foreign_key="task.id")


        class Customer(CustomerBase, TableBase, table=True):
            pass


        class CustomerPublic(CustomerBase, TableBasePublic):
            pass
    """,
    "app/billing/customers/router.py": """
        from fastapi import APIRouter

        from app.billing.customers.models import Customer, CustomerBase, CustomerPublic
        from app.core.db.session import SessionDep

        router = APIRouter(prefix="/customers", tags=["customers"])


        @router.post("", response_model=CustomerPublic, status_code=201)
        async def create_customer(body: CustomerBase, session: SessionDep) -> Customer:
            customer = Customer.model_validate(body)
            session.add(customer)
            await session.flush()
            return customer
    """,
}


@on_both_databases
def test_the_second_table_as_a_newcomer_writes_it(owner: Owner, dialect: str) -> None:
    for file, text in SECOND_TABLE.items():
        lines = text.splitlines()[1:]
        owner.write(file, "\n".join(line[8:] for line in lines).rstrip() + "\n")
    owner.make("migration", "m=add customers")
    with owner.serving():
        first = {"email": "ann@example.com"}
        status, created = owner.ask("POST", "/customers", first)
        assert status == 201
        assert created["created_at"] == created["updated_at"]
        status, said = owner.ask("POST", "/customers", first)
        assert (status, said["detail"][0]["loc"]) == (409, ["body", "email"])
        for body in (
            {"email": "b", "task_id": 4711},  # there is no such task
            {"email": "b", "task_id": 2**63},
            {"email": None},
        ):
            assert owner.ask("POST", "/customers", body)[0] == 422, body
        # Only PostgreSQL cannot store NUL.
        expected = 422 if dialect == "postgresql" else 201
        assert owner.ask("POST", "/customers", {"email": "a\0b"})[0] == expected
        status, task = owner.ask("POST", "/tasks", {"title": "x"})
        assert owner.ask("PATCH", f"/tasks/{task['id']}", {"colour": "red"})[0] == 422


@on_both_databases
def test_a_feature_that_cannot_be_loaded_is_found_by_the_doctor(owner: Owner) -> None:
    owner.make("upgrade")
    assert "All is well." in owner.make("doctor")
    owner.write("app/notes/router.py", "routes = []\n")
    said = owner.make("doctor", code=1)
    assert "app/notes/router.py has no `router = APIRouter(…)`" in said
    owner.write("app/notes/router.py", "import no_such_module\n")
    said = owner.make("doctor", code=1)
    assert "No module named 'no_such_module'" in said
    assert "app/notes/router.py" in said
    assert "Traceback" not in said


def test_make_format_formats_a_long_line_before_it_checks(owner: Owner) -> None:
    owner.replace(
        "app/settings.py",
        "    pass\n",
        "    colors: tuple[str, ...] = ('red', 'orange', 'yellow', 'green', 'blue', 'indigo', "
        "'violet', 'black')\n",
    )
    owner.make("lint", code=1)
    owner.make("format")
    owner.make("lint")
