"""The working tree against another revision of the template: `python -m benchmarks.compare REV`.

Both take turns in one run, and the figures are medians. README.md says what each part is.
"""

import argparse
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median

from benchmarks.load import check, load, middle, need_wrk
from benchmarks.postgresql import postgresql
from benchmarks.revision import Revision, committed, working_tree
from benchmarks.servers import render
from benchmarks.timing import in_turns, table
from benchmarks.trees import figures
from tests.project import Databases

LOADS = {"get": "GET one", "page": "page of 20", "post": "POST"}
LOAD_ROWS = 10_000
# At most, as a ratio or as a number. Of the tree, by what is counted there.
RUN, DEMO, TEST = 1.3, 1.2, 0.25
TREE_RATIOS = {"lines": 2 / 3}
TREE_COUNTS = {"lines of Python without the core's tests and the migration toolkit": 1800}


@dataclass
class Comparison:
    old: Revision
    new: Revision
    load_seconds: int

    def __post_init__(self) -> None:
        self.rows = [["", self.old.name, self.new.name, "ratio", "goal"]]

    def add(
        self, what: str, old: float, new: float, unit: str = "", goal: str | None = None
    ) -> None:
        form = "{:.1f} {}" if unit else "{:.0f}"
        shown = [form.format(value, unit) for value in (old, new)]
        ratio = f"{new / old:.2f} ×" if old else ""
        self.rows.append([what, *shown, ratio, goal or ""])

    def add_seconds(
        self, rounds: int, limit: float, measures: dict[str, Callable[[Revision], float]]
    ) -> None:
        """A row for each of `measures`, which a revision takes in the order given."""
        subjects = {
            f"{what}, {revision.name}": partial(measure, revision)
            for revision in (self.old, self.new)
            for what, measure in measures.items()
        }
        taken = {name: median(times) for name, times in in_turns(subjects, rounds).items()}
        for what in measures:
            old, new = (taken[f"{what}, {revision.name}"] for revision in (self.old, self.new))
            self.add(what, old, new, "s", at_most(new / old, limit, "×"))

    def run(self, rounds: int) -> None:
        self.add_seconds(
            rounds,
            RUN,
            {
                "make run, no database yet": lambda revision: revision.run(no_database=True),
                "make run, again": lambda revision: revision.run(no_database=False),
            },
        )

    def demo(self, rounds: int) -> None:
        self.add_seconds(
            rounds,
            DEMO,
            {
                # In this order: the first fills the cache.
                "make demo, empty cache of uv": lambda revision: revision.demo(empty_cache=True),
                "make demo": lambda revision: revision.demo(empty_cache=False),
            },
        )

    def test(self, rounds: int) -> None:
        taken = in_turns(
            {f"make test, {revision.name}": revision.test for revision in (self.old, self.new)},
            rounds,
        )
        old, new = (median(run.seconds for run in runs) for runs in taken.values())
        passed = all(run.passed for runs in taken.values() for run in runs)
        goal = at_most(new / old, TEST, "×") if passed else "MISSED: tests failed"
        self.add("make test", old, new, "s", goal)
        self.rows.append(["its result", *(runs[-1].result for runs in taken.values()), "", ""])

    def load(self, rounds: int) -> None:
        revisions = {revision.name: revision for revision in (self.old, self.new)}
        with (
            postgresql() as server,
            tempfile.TemporaryDirectory() as folder,
            ExitStack() as stack,
        ):
            databases = Databases("postgresql", Path(folder), server)
            servers = {}
            for name, revision in revisions.items():
                url = revision.project.fill(databases, LOAD_ROWS)
                serving = revision.project.serving("app.main:app", url)
                servers[name] = stack.enter_context(serving)
                check(servers[name])
            subjects = {
                f"{label}, {name}": partial(
                    load, server, kind, rows=LOAD_ROWS, seconds=self.load_seconds
                )
                for kind, label in LOADS.items()
                for name, server in servers.items()
            }
            taken = {n: middle(results) for n, results in in_turns(subjects, rounds).items()}
        for label in LOADS.values():
            old, new = (taken[f"{label}, {name}"] for name in revisions)
            self.add(f"{label}, answers/s", old.rate, new.rate)
            self.add(f"{label}, p99", old.p99, new.p99, "ms")
            self.add(f"{label}, errors", old.errors, new.errors)

    def tree(self, _: int) -> None:
        old, new = (
            figures(render(revision.template, revision.folder / "tree", "setup=no"))
            for revision in (self.old, self.new)
        )
        for what, count in new.items():
            goal = ""
            if what in TREE_RATIOS:
                goal = at_most(count / old[what], TREE_RATIOS[what], "×")
            elif what in TREE_COUNTS:
                goal = at_most(count, TREE_COUNTS[what], "")
            self.add(what, old[what], count, goal=goal)


def at_most(figure: float, limit: float, unit: str) -> str:
    """A goal, and whether the figure meets it."""
    what = f"at most {round(limit, 2):g} {unit}".strip()
    return f"{what}: {'met' if figure <= limit else 'MISSED'}"


# What measures each part, and in how many rounds.
PARTS: dict[str, tuple[Callable[[Comparison, int], None], int]] = {
    "run": (Comparison.run, 7),
    "demo": (Comparison.demo, 3),
    "test": (Comparison.test, 3),
    "load": (Comparison.load, 7),
    "tree": (Comparison.tree, 1),
}


def parts(text: str) -> list[str]:
    chosen = text.split(",")
    if unknown := [part for part in chosen if part not in PARTS]:
        raise argparse.ArgumentTypeError(f"{', '.join(unknown)}: not one of {', '.join(PARTS)}")
    return chosen


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("revision", metavar="REV", help="what to compare with, as git names it")
    parser.add_argument("--only", type=parts, default=[*PARTS], help=f"some of {','.join(PARTS)}")
    parser.add_argument("--rounds", type=int, help="of each part, instead of its own number")
    parser.add_argument("--seconds", type=int, default=3, help="of one measurement by wrk")
    options = parser.parse_args()
    if "load" in options.only:
        need_wrk()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        old = committed(options.revision, Path(name, "old"))
        new = working_tree(Path(name, "new"))
        comparison = Comparison(old, new, options.seconds)
        try:
            for part in options.only:
                measure, rounds = PARTS[part]
                measure(comparison, options.rounds or rounds)
        finally:
            # Also of a run that was stopped: the parts that it has finished.
            table(f"Compared with {old.name}", comparison.rows)


if __name__ == "__main__":
    main()
