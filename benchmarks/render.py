"""Rendering against an empty template; a first answer against the floor of its own tools.

`python -m benchmarks.render`. The floor is `uv sync` of the same project plus the bare import of
the libraries that the application uses.
"""

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

from benchmarks.timing import Times, goal, medians, progress, run, seconds, table

TEMPLATE = Path(__file__).parents[1]
ROUNDS, COLD_ROUNDS = 7, 3
IMPORTS = "import aiosqlite, alembic, fastapi, psycopg, pydantic_settings, sqlmodel, uvicorn"


def environment(**variables: str) -> dict[str, str]:
    ours = ("VIRTUAL_ENV", "PYTHONDONTWRITEBYTECODE", "DATABASE_URL", "MIGRATION_DATABASE_URL")
    return {name: value for name, value in os.environ.items() if name not in ours} | variables


class Bench:
    def __init__(self, folder: Path) -> None:
        self.folder, self.count = folder, 0
        self.empty = folder / "empty-template"
        project = self.empty / "{{cookiecutter.project_slug}}"
        project.mkdir(parents=True)
        (project / "file.txt").touch()
        (self.empty / "cookiecutter.json").write_text(json.dumps({"project_slug": "task-service"}))

    def fresh(self) -> Path:
        self.count += 1
        folder = self.folder / str(self.count)
        folder.mkdir()
        return folder

    def render(self, template: Path, *answers: str, env: dict[str, str] | None = None) -> Path:
        output = self.fresh()
        command = [sys.executable, "-m", "cookiecutter", str(template), "--no-input", *answers]
        run(*command, "--output-dir", output, cwd=output, env=env or environment())
        return output / "task-service"

    def first_answer(self, env: dict[str, str]) -> Times:
        """Render to the first 201, in seconds, and its parts."""
        parts: Times = {}
        output = self.fresh()
        command = [sys.executable, "-m", "cookiecutter", str(TEMPLATE), "--no-input", "setup=yes"]
        parts["render, set up, check"] = seconds(
            lambda: run(*command, "--output-dir", output, cwd=output, env=env)
        )
        project = output / "task-service"
        if not (project / ".venv").is_dir():
            raise SystemExit("the hook could not set the project up")
        parts["migrate"] = seconds(
            lambda: run("uv", "run", "alembic", "upgrade", "head", cwd=project, env=env)
        )
        parts["serve, first 201"] = seconds(lambda: self.serve(project, env))
        return parts

    def serve(self, project: Path, env: dict[str, str]) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        command = [str(project / ".venv/bin/uvicorn"), "app.main:app", "--port", str(port)]
        server = subprocess.Popen(
            command, cwd=project, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        request = urllib.request.Request(
            f"http://127.0.0.1:{port}/tasks",
            data=b'{"title": "first"}',
            headers={"content-type": "application/json"},
        )
        deadline = time.monotonic() + 60
        try:
            while time.monotonic() < deadline:
                try:
                    with urllib.request.urlopen(request, timeout=5) as response:
                        if response.status != 201:
                            raise SystemExit(f"{response.status} instead of 201")
                        return
                except OSError:
                    time.sleep(0.01)
            raise SystemExit("the service did not answer")
        finally:
            server.terminate()
            server.wait(timeout=20)

    def floor(self, project: Path, env: dict[str, str]) -> Times:
        """`uv sync` of the same files with nothing there yet, and the bare import."""
        copy = self.fresh()
        for name in ("pyproject.toml", "README.md"):
            shutil.copy(project / name, copy / name)
        return {
            "uv sync": seconds(lambda: run("uv", "sync", cwd=copy, env=env)),
            "import": seconds(
                lambda: run(copy / ".venv/bin/python", "-c", IMPORTS, cwd=copy, env=env)
            ),
        }


def compare_first_answer(bench: Bench, cold: bool, project: Path) -> list[list[str]]:
    rows: dict[str, list[float]] = {}
    for number in range(COLD_ROUNDS if cold else ROUNDS):
        progress(f"first answer, {'cold' if cold else 'warm'}: {number + 1}")

        def env() -> dict[str, str]:
            # An empty cache for each of the two, so that neither profits from the other.
            return environment(UV_CACHE_DIR=str(bench.fresh())) if cold else environment()

        floor, ours = bench.floor(project, env()), bench.first_answer(env())
        for name, value in (floor | ours).items():
            rows.setdefault(name, []).append(value)
        rows.setdefault("floor", []).append(sum(floor.values()))
        rows.setdefault("first answer", []).append(sum(ours.values()))
    middle = {name: sorted(values)[len(values) // 2] for name, values in rows.items()}
    added = middle["first answer"] - middle["floor"]
    kind = "cold" if cold else "warm"
    lines = [[name, f"{value:.2f} s", ""] for name, value in middle.items()]
    ratio = middle["first answer"] / middle["floor"]
    return [*lines, [f"added ({kind})", f"{added:.2f} s, {ratio:.2f} ×", goal(added, 3, "s")]]


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        bench = Bench(Path(name))
        times = medians(
            {
                "empty template": lambda: bench.render(bench.empty),
                "this template, setup=no": lambda: bench.render(TEMPLATE, "setup=no"),
                "this template, no hooks": lambda: bench.render(
                    TEMPLATE, "setup=no", "--accept-hooks", "no"
                ),
            },
            ROUNDS,
        )
        reference = times["empty template"]
        rows = [["render", "median", "ratio"]]
        rows += [[n, f"{t:.2f} s", f"{t / reference:.2f} ×"] for n, t in times.items()]
        table("Rendering, by the command line", rows)
        print(f"\nGoal: {goal(times['this template, setup=no'] / reference, 1.5)}")
        project = bench.render(TEMPLATE, "setup=no")
        for cold in (False, True):
            part = [["part", "median", "goal"], *compare_first_answer(bench, cold, project)]
            kind = "cold cache" if cold else "warm cache"
            table(f"From rendering to the first 201, {kind}", part)


if __name__ == "__main__":
    main()
