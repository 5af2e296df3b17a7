"""The rendered API against references in the same run: `python -m benchmarks.api`.

Needs wrk. Goals are for PostgreSQL, one worker and 32 clients, where nothing else is said.
"""

import argparse
import contextlib
import json
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from statistics import median

from benchmarks import load as loads
from benchmarks.load import Result, check, load, middle
from benchmarks.picture import draw
from benchmarks.postgresql import postgresql
from benchmarks.servers import TEMPLATE, Project, Server
from benchmarks.timing import goal, goal_at_least, in_turns, progress, run, seconds, table
from tests.project import Databases

APP = "app.main:app"
REFERENCES = {
    "constant": "benchmarks.references.constant:app",
    "raw": "benchmarks.references.raw:app",
}
KINDS = {"get": "GET one", "page": "page of 20", "post": "POST"}
# What the references need beyond the project's own dependencies.
EXTRA = ("orjson", "psycopg_pool")
ROWS = 10_000
IMPORTS = "import fastapi, psycopg, pydantic_settings, sqlmodel, uvicorn"

Measured = dict[str, Result]


class Bench:
    """A project for one database, and servers of it."""

    def __init__(self, folder: Path, databases: Databases, options: argparse.Namespace) -> None:
        self.databases = databases
        self.rounds, self.seconds = options.rounds, options.seconds
        self.project = Project(folder / databases.dialect, f"database={databases.dialect}")
        self.project.install(*EXTRA)

    def database(self, rows: int) -> str:
        return self.project.fill(self.databases, rows)

    def in_turns(self, subjects: Mapping[str, Callable[[], Result]]) -> Measured:
        return {name: middle(taken) for name, taken in in_turns(subjects, self.rounds).items()}

    @contextlib.contextmanager
    def servers(self, *wanted: tuple[str, str, str, dict[str, str]]) -> Iterator[dict[str, Server]]:
        """Servers of (name, application, URL, variables), checked."""
        with contextlib.ExitStack() as stack:
            running = {}
            for name, app, url, variables in wanted:
                running[name] = stack.enter_context(self.project.serving(app, url, **variables))
                check(running[name])
            yield running

    def against_references(self, names: Sequence[str], clients_of_post: int = 32) -> Measured:
        url = self.database(ROWS)
        wanted = [(name, REFERENCES[name], url, dict[str, str]()) for name in names]
        with self.servers(*wanted, ("template", APP, url, {})) as running:
            return self.in_turns(
                {
                    f"{name} {kind}": partial(
                        self.load, server, kind, clients=clients_of_post if kind == "post" else 32
                    )
                    for kind in KINDS
                    for name, server in running.items()
                }
            )

    def load(self, server: Server, kind: str, rows: int = ROWS, clients: int = 32) -> Result:
        return load(server, kind, rows=rows, clients=clients, seconds=self.seconds)

    def by_clients(self) -> Measured:
        with self.servers(("template", APP, self.database(ROWS), {})) as running:
            server = running["template"]
            return self.in_turns(
                {
                    str(count): partial(self.load, server, "get", clients=count)
                    for count in (1, 8, 32, 64, 256)
                }
            )

    def by_rows(self, counts: tuple[int, ...] = (1_000, 100_000, 1_000_000)) -> Measured:
        wanted = [(str(count), APP, self.database(count), dict[str, str]()) for count in counts]
        with self.servers(*wanted) as running:
            return self.in_turns(
                {
                    f"{count} {kind}": partial(self.load, running[str(count)], kind, rows=count)
                    for kind in ("get", "deepest")
                    for count in counts
                }
            )

    def by_workers(self) -> Measured:
        url = self.database(ROWS)
        wanted = [(count, APP, url, {"WEB_CONCURRENCY": count}) for count in ("1", "2")]
        with self.servers(*wanted) as running:
            return self.in_turns(
                {count: partial(self.load, server, "get") for count, server in running.items()}
            )

    def start(self) -> tuple[float, float]:
        """Seconds: of the bare import, and from the start to the first answer with a query."""
        url = self.database(1)
        env = self.project.environment(url)
        bare_import = partial(
            run, self.project.python, "-c", IMPORTS, cwd=self.project.root, env=env
        )
        imports, answers = [], []
        for number in range(self.rounds):
            progress(f"start: {number + 1} of {self.rounds}")
            imports.append(seconds(bare_import))
            started = time.perf_counter()
            with self.project.serving(APP, url):
                answers.append(time.perf_counter() - started)
        return median(imports), median(answers)

    def memory(self, marks: tuple[int, ...]) -> dict[str, float]:
        """MiB after so many requests of all kinds."""
        with self.servers(("template", APP, self.database(ROWS), {})) as running:
            server, count, taken = running["template"], 0.0, {}
            for mark in marks:
                while count < mark:
                    progress(f"memory: {count:.0f} of {marks[-1]} requests")
                    for kind in KINDS:
                        result = load(server, kind, rows=ROWS, seconds=4)
                        count += result.rate * 4
                taken[str(mark)] = server.memory()
        return taken


def row(name: str, result: Result, against: dict[str, Result]) -> list[str]:
    ratios = [f"{result.rate / other.rate:.2f} ×" for other in against.values()]
    latencies = [f"{result.p50:.1f} ms", f"{result.p99:.1f} ms"]
    return [name, f"{result.rate:.0f}", *ratios, *latencies, str(result.errors)]


def print_references(title: str, measured: Measured) -> None:
    names = list(dict.fromkeys(name.split()[0] for name in measured))
    references = [name for name in names if name != "template"]
    head = ["", "answers/s", *(f"× {name}" for name in references), "p50", "p99", "errors"]
    rows = [head]
    for kind, label in KINDS.items():
        against = {name: measured[f"{name} {kind}"] for name in references}
        rows += [row(f"{label}, {name}", measured[f"{name} {kind}"], against) for name in names]
    table(title, rows)


def print_growth(title: str, measured: Measured, first: str) -> None:
    rows = [["", "answers/s", f"× {first}", "p50", "p99", "errors"]]
    rows += [row(name, result, {first: measured[first]}) for name, result in measured.items()]
    table(title, rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=2, help="of one measurement")
    parser.add_argument("--requests", type=int, default=200_000, help="while memory is watched")
    parser.add_argument("--picture", type=Path, default=TEMPLATE / "benchmarks" / "api.svg")
    options = parser.parse_args()
    loads.need_wrk()
    with (
        tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name,
        postgresql() as server,
    ):
        folder = Path(name)
        measure(
            Bench(folder, Databases("postgresql", folder, server), options),
            Bench(folder, Databases("sqlite", folder, None), options),
            options,
        )


def measure(bench: Bench, on_sqlite: Bench, options: argparse.Namespace) -> None:
    references = bench.against_references(["constant", "raw"])
    print_references("PostgreSQL, one worker, 32 clients", references)
    sqlite = on_sqlite.against_references(["constant"], clients_of_post=8)
    print_references("SQLite, one worker, 32 clients, POST with 8", sqlite)
    clients = bench.by_clients()
    print_growth("GET one, clients", clients, "8")
    rows = bench.by_rows()
    print_growth("Rows", rows, "1000 get")
    workers = bench.by_workers()
    print_growth("GET one, workers", workers, "1")
    imported, answered = bench.start()
    requests: int = options.requests
    memory = bench.memory((requests // 10, requests // 2, requests))

    def rate(measured: Measured, one: str, other: str) -> float:
        return measured[one].rate / measured[other].rate

    errors = sum(r.errors for m in (references, clients, rows, workers) for r in m.values())
    grown = max(memory.values()) / next(iter(memory.values()))
    tail = {name: clients[name].p99 / clients[name].p50 for name in ("32", "256")}
    goals = [
        ("GET one / raw", goal_at_least(rate(references, "template get", "raw get"), 0.3)),
        (
            "GET one / constant",
            goal_at_least(rate(references, "template get", "constant get"), 0.2),
        ),
        ("page of 20 / raw", goal_at_least(rate(references, "template page", "raw page"), 0.3)),
        ("POST / raw", goal_at_least(rate(references, "template post", "raw post"), 0.25)),
        ("p99 / p50, 32 clients", goal(tail["32"], 2)),
        ("p99 / p50, 256 clients", goal(tail["256"], 3)),
        ("256 clients / 8", goal_at_least(rate(clients, "256", "8"), 0.9)),
        ("GET one, 1 M rows / 1000", goal_at_least(rate(rows, "1000000 get", "1000 get"), 0.9)),
        (
            "deepest page, 1 M rows / 1000",
            goal_at_least(rate(rows, "1000000 deepest", "1000 deepest"), 0.9),
        ),
        ("two workers / one", goal_at_least(rate(workers, "2", "1"), 1.35)),
        ("first answer / bare import", goal(answered / imported, 1.3)),
        ("memory, all requests / a tenth", goal(grown, 1.05)),
        ("errors", goal(errors, 0, "")),
    ]
    table("Goals", [("", ""), *goals])
    print("\nMemory in MiB:", json.dumps({name: round(value, 1) for name, value in memory.items()}))
    draw(options.picture, references, clients, rows, workers)


if __name__ == "__main__":
    main()
