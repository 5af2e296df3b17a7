"""Rendering against an empty template; a first answer against the floor of its own tools.

`python -m benchmarks.render`. The floor is `uv sync` of the same project plus the bare import of
the libraries that the application uses.
"""

import argparse
import json
import shutil
import tempfile
import time
from pathlib import Path
from statistics import median

from benchmarks.servers import environment, first_201, render, wait_for_postgresql
from benchmarks.timing import Times, goal, medians, progress, run, seconds, table
from tests.project import free_port

TEMPLATE = Path(__file__).parents[1]
IMPORTS = "import alembic, fastapi, psycopg, pydantic_settings, sqlmodel, uvicorn"


class Bench:
    def __init__(self, folder: Path) -> None:
        self.folder, self.count = folder, 0
        self.empty = folder / "empty-template"
        project = self.empty / "{{cookiecutter.project_slug}}"
        project.mkdir(parents=True)
        (project / "file.txt").touch()
        (self.empty / "cookiecutter.json").write_text(json.dumps({"project_slug": "task-service"}))

    def fresh(self) -> Path:
        """A folder that does not exist yet."""
        self.count += 1
        return self.folder / str(self.count)

    def render(self, template: Path, *answers: str, env: dict[str, str] | None = None) -> Path:
        return render(template, self.fresh(), *answers, env=env)

    def first_answer(self, env: dict[str, str]) -> Times:
        """Render to the first 201, in seconds, and its parts."""
        parts: Times = {}
        started = time.perf_counter()
        project = self.render(TEMPLATE, env=env)
        parts["render, set up, check"] = time.perf_counter() - started
        if not (project / ".venv").is_dir():
            raise SystemExit("the hook could not set the project up")
        parts["migrate"] = seconds(
            lambda: run("uv", "run", "alembic", "upgrade", "head", cwd=project, env=env)
        )
        port = free_port()
        serve = (str(project / ".venv/bin/uvicorn"), "app.main:app", "--port", str(port))
        parts["serve, first 201"] = first_201(serve, port, project, env)
        wait_for_postgresql(project)
        return parts

    def floor(self, project: Path, env: dict[str, str]) -> Times:
        """`uv sync` of the same files with nothing there yet, and the bare import."""
        copy = self.fresh()
        shutil.copytree(project, copy)
        return {
            "uv sync": seconds(lambda: run("uv", "sync", cwd=copy, env=env)),
            "import": seconds(
                lambda: run(copy / ".venv/bin/python", "-c", IMPORTS, cwd=copy, env=env)
            ),
        }


def compare_first_answer(bench: Bench, cold: bool, project: Path, rounds: int) -> list[list[str]]:
    rows: dict[str, list[float]] = {}
    for number in range(rounds):
        progress(f"first answer, {'cold' if cold else 'warm'}: {number + 1}")

        def env() -> dict[str, str]:
            # An empty cache for each of the two, so that neither profits from the other.
            return environment(UV_CACHE_DIR=str(bench.fresh())) if cold else environment()

        floor, ours = bench.floor(project, env()), bench.first_answer(env())
        for name, value in (floor | ours).items():
            rows.setdefault(name, []).append(value)
        rows.setdefault("floor", []).append(sum(floor.values()))
        rows.setdefault("first answer", []).append(sum(ours.values()))
    middle = {name: median(values) for name, values in rows.items()}
    added = middle["first answer"] - middle["floor"]
    kind = "cold" if cold else "warm"
    lines = [[name, f"{value:.2f} s", ""] for name, value in middle.items()]
    ratio = middle["first answer"] / middle["floor"]
    return [*lines, [f"added ({kind})", f"{added:.2f} s, {ratio:.2f} ×", goal(added, 3, "s")]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7, help="half of them with a cold cache")
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        bench = Bench(Path(name))
        times = medians(
            {
                "empty template": lambda: bench.render(bench.empty),
                "this template, setup=no": lambda: bench.render(TEMPLATE, "setup=no"),
                "this template, no hooks": lambda: bench.render(
                    TEMPLATE, "setup=no", "--accept-hooks", "no"
                ),
            },
            rounds,
        )
        reference = times["empty template"]
        rows = [["render", "median", "ratio"]]
        rows += [[n, f"{t:.2f} s", f"{t / reference:.2f} ×"] for n, t in times.items()]
        table("Rendering, by the command line", rows)
        print(f"\nGoal: {goal(times['this template, setup=no'] / reference, 1.5)}")
        project = bench.render(TEMPLATE, "setup=no")
        for cold in (False, True):
            times_each = max(1, rounds // 2) if cold else rounds
            lines = compare_first_answer(bench, cold, project, times_each)
            part = [["part", "median", "goal"], *lines]
            kind = "cold cache" if cold else "warm cache"
            table(f"From rendering to the first 201, {kind}", part)


if __name__ == "__main__":
    main()
