"""A migration that waits for a reader: for how long do others stand still?

`python -m benchmarks.stall`. A reader idles in its transaction, short transactions follow each
other, and a column is added to their table: by a revision, and by the bare statement.
"""

import argparse
import contextlib
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg

from benchmarks import servers
from benchmarks.postgresql import postgresql
from benchmarks.timing import goal, in_turns, table
from tests.project import Databases, Project
from tests.traffic import Traffic, short_transactions

STATEMENTS = (
    "SELECT count(*) FROM (SELECT * FROM task LIMIT 20) AS page",
    "SELECT title FROM task WHERE id = 7",
    "UPDATE task SET title = 'Task' WHERE id = 7",
)
ADD_COLUMN = 'op.add_column("task", sa.Column("note", sa.String(50), nullable=True))'
BARE = "ALTER TABLE task ADD COLUMN note VARCHAR(50)"


@contextlib.contextmanager
def idle_reader(url: str, seconds: float) -> Iterator[None]:
    """A transaction that has read the table, and is idle for so long."""
    with psycopg.connect(url) as connection:
        connection.execute("SELECT count(*) FROM task")
        timer = threading.Timer(seconds, connection.rollback)
        timer.start()
        yield
        timer.join()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=20, help="for which the reader idles")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, postgresql() as server:
        folder = Path(name)
        origin = servers.Project(folder / "rendered", "database=postgresql").root
        project = Project(origin, folder / "project")
        databases = Databases("postgresql", folder, server)
        project.add_revision(2, ADD_COLUMN)

        def measure(migrate: Callable[[str], object]) -> tuple[float, float, float]:
            """The seconds it took, the longest stall, and the share of the time that was stall."""
            url = databases.create()
            project.alembic("upgrade", "0001", url=url)
            databases.query(
                url, "INSERT INTO task (title) SELECT 'x' FROM generate_series(1, 1000)"
            )
            traffic = Traffic(url, STATEMENTS)
            started = time.monotonic()
            reader = idle_reader(url, options.seconds)
            with reader, short_transactions(url, "task"), traffic.running():
                migrate(url)
                took = time.monotonic() - started
            return took, traffic.longest, traffic.stalled

        taken = in_turns(
            {
                "by the runner": lambda: measure(
                    lambda url: project.alembic("upgrade", "head", url=url)
                ),
                "the bare statement": lambda: measure(lambda url: databases.query(url, BARE)),
            },
            options.rounds,
        )
    rows = [["", "migrated after", "longest stall", "of the time"]]
    for name, results in taken.items():
        times, longest, shares = zip(*results, strict=True)
        worst = max(longest)
        rows.append(
            [
                name,
                f"{statistics.median(times):.1f} s",
                goal(worst, 1.2, "s") if name == "by the runner" else f"{worst:.1f} s",
                f"{max(shares):.1%}",
            ]
        )
    table(f"a reader that idles for {options.seconds:g} s", rows)


if __name__ == "__main__":
    main()
