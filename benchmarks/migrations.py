"""Alembic through this template's runner: a no-op against its imports, and 1 to 1000 revisions.

`python -m benchmarks.migrations`. Each figure is a whole process, as a deployment starts it.
"""

import argparse
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

from benchmarks import servers
from benchmarks.postgresql import postgresql
from benchmarks.timing import goal, medians, progress, run, table
from tests.project import Databases, Project

COUNTS = (1, 100, 1000)
IMPORTS = "import alembic, sqlalchemy, sqlmodel"


def add_revisions(project: Project, count: int) -> None:
    """Revisions up to this number in all; each adds a column, so that each is real DDL."""
    for number in range(2, count + 1):
        project.add_revision(
            number, f'op.add_column("task", sa.Column("c{number}", sa.Integer(), nullable=True))'
        )


def measure(origin: Path, databases: Databases, rounds: int) -> list[list[str]]:
    dialect, rows = databases.dialect, []
    noop_at_one = 0.0
    for count in COUNTS:
        project = Project(origin, databases.folder / f"{dialect}-{count}")
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
            max(1, rounds // 3) if count == 1000 else rounds,
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
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=9, help="a third of them at 1000 revisions")
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory() as name, postgresql() as server:
        folder, rows = Path(name), []
        for dialect, place in (("sqlite", None), ("postgresql", server)):
            origin = servers.Project(folder / dialect, f"database={dialect}").root
            rows += measure(origin, Databases(dialect, folder, place), rounds)
    table("alembic upgrade head", [head, *rows])


if __name__ == "__main__":
    main()
