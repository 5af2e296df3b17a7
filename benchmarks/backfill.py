"""A backfill of millions of rows under four writers: what they notice, and that no row is wrong.

`python -m benchmarks.backfill`. The run is killed with SIGKILL again and again, and begun again.
"""

import argparse
import subprocess
import tempfile
import time
from pathlib import Path

import psycopg

from benchmarks import servers
from benchmarks.postgresql import postgresql
from benchmarks.timing import goal, progress, table
from tests.project import Databases, Project, read_until
from tests.writers import BACKFILL, Writers, fill


def upgrade(project: Project, url: str) -> subprocess.Popen[str]:
    return project.start("-m", "alembic", "upgrade", "head", url=url)


def killed(project: Project, url: str, kills: int) -> float:
    """Run the backfill to its end, after so many kills; returns the seconds."""
    started = time.monotonic()
    for number in range(kills):
        process = upgrade(project, url)
        said = read_until(process, "of about")
        time.sleep(2 + number % 3)
        process.kill()
        process.communicate()
        progress(said.splitlines()[-1])
    process = upgrade(project, url)
    _, said = process.communicate()
    if process.returncode:
        raise SystemExit(said)
    return time.monotonic() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=3_000_000)
    parser.add_argument("--kills", type=int, default=5)
    parser.add_argument("--quiet-seconds", type=float, default=20)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, postgresql() as server:
        folder = Path(name)
        origin = servers.Project(folder / "rendered", "database=postgresql").root
        project = Project(origin, folder / "project")
        url = Databases("postgresql", folder, server).create()
        upgrade(project, url).communicate()
        project.add_revision(2, BACKFILL)
        progress(f"{options.rows:,} rows")
        fill(url, options.rows)
        writers = Writers(url, options.rows)
        with writers.running():
            time.sleep(options.quiet_seconds)
        quiet = writers.p99
        with writers.running():
            seconds = killed(project, url, options.kills)
        busy, longest = writers.p99, max(writers.seconds)
        progress("comparing")
        wrong = writers.wrong()
        with psycopg.connect(url) as connection:
            [(count,)] = connection.execute("SELECT count(*) FROM item").fetchall()
    ratio = goal(busy / quiet, 3)
    table(
        f"backfill of {options.rows:,} rows, {options.kills} kills",
        [
            ["", "p99 of the writers", "ratio", "longest"],
            ["no backfill", f"{quiet * 1000:.1f} ms", "1.00 ×", ""],
            ["backfill", f"{busy * 1000:.1f} ms", ratio, f"{longest * 1000:.0f} ms"],
        ],
    )
    print(f"\n{options.rows / seconds:,.0f} rows/s, {len(writers.errors)} errors of the writers,")
    print(f"{wrong} of {count:,} rows wrong")


if __name__ == "__main__":
    main()
