"""The image: its size, how long its build takes, and how long until it is ready.

Needs the engine that the tests use, see tests/containers.py.
"""

import argparse
import contextlib
import http.client
import re
import statistics
import tempfile
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

from benchmarks.servers import Project
from benchmarks.timing import goal, progress, seconds, table
from tests.containers import HARDENED, App, Postgres, built, engine, wait_for


def base_image(project: Path) -> str:
    """The image that the project's own is made from."""
    text = (project / "Dockerfile").read_text("utf-8")
    version = re.findall(r"^ARG PYTHON_VERSION=(.+)", text, re.MULTILINE)[0]
    last: str = re.findall(r"^FROM (\S+)", text, re.MULTILINE)[-1]
    return last.replace("${PYTHON_VERSION}", version)


def megabytes(image: str) -> float:
    return int(engine("inspect", "--format", "{{.Size}}", image).splitlines()[-1]) / 1e6


def build_times(project: Path, rounds: int) -> tuple[float, float]:
    """Medians in seconds: from nothing, and after a change of the code."""
    tag = f"localhost/template-bench:{uuid.uuid4().hex[:8]}"
    main = project / "app" / "main.py"
    times: dict[str, list[float]] = {"nothing": [], "change": []}
    build = ["build", "--quiet", "--tag", tag, str(project)]
    for number in range(rounds):
        progress(f"build: {number + 1} of {rounds}")
        times["nothing"].append(seconds(lambda: engine(*build, "--no-cache")))
        with main.open("a", encoding="utf-8") as file:
            file.write(f"# {uuid.uuid4()}\n")
        times["change"].append(seconds(lambda: engine(*build)))
    engine("rmi", "--force", tag)
    return statistics.median(times["nothing"]), statistics.median(times["change"])


@contextlib.contextmanager
def container(image: str, network: str, *command: str, **env: str) -> Iterator[App]:
    name = f"bench-{uuid.uuid4().hex[:8]}"
    variables = [part for item in env.items() for part in ("--env", "=".join(item))]
    place = ["--network", network, "--publish", "127.0.0.1::8000", *HARDENED]
    engine("run", "--detach", "--name", name, *place, *variables, image, *command)
    yield App(name)
    engine("rm", "--force", "--time", "0", name)


def until_ready(image: str, network: str, url: str) -> float:
    """Seconds from `run` to the first 200 of /health/ready."""
    started = time.perf_counter()
    with container(image, network, DATABASE_URL=url) as app:
        host, _, port = app.place().partition(":")
        while True:
            with contextlib.suppress(OSError, http.client.HTTPException):
                connection = http.client.HTTPConnection(host, int(port), timeout=5)
                connection.request("GET", "/health/ready")
                if connection.getresponse().status == 200:
                    return time.perf_counter() - started
            time.sleep(0.01)


def start_times(image: str, rounds: int) -> dict[str, float]:
    network = f"bench-{uuid.uuid4().hex[:8]}"
    engine("network", "create", network)
    postgres = Postgres(network)
    taken: dict[str, list[float]] = {"empty": [], "migrated": []}
    try:
        postgres.create()
        wait_for(postgres.accepts)

        def bare_import() -> None:
            command = ("python", "-c", "import app.main")
            with container(image, network, *command, DATABASE_URL=postgres.url()) as app:
                engine("wait", app.name)

        imported: list[float] = []
        for number in range(rounds):
            progress(f"start: {number + 1} of {rounds}")
            name = f"bench_{number}"
            postgres.sql(f"CREATE DATABASE {name}")
            imported.append(seconds(bare_import))
            for state in taken:
                taken[state].append(until_ready(image, network, postgres.url(name)))
    finally:
        postgres.remove()
        engine("network", "rm", "--force", network)
    return {
        name: statistics.median(times) for name, times in (taken | {"import": imported}).items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        project = Project(Path(folder, "project")).root
        nothing, change = build_times(project, rounds)
        with built(project) as image:
            added = megabytes(image) - megabytes(base_image(project))
            times = start_times(image, rounds)
    table(
        "The image",
        [
            ("what", "median", "ratio", "goal"),
            ("size beyond its base", f"{added:.0f} MB", "", goal(added, 150, "MB")),
            ("build from nothing", f"{nothing:.1f} s", "1.00 ×", ""),
            (
                "build after a change of the code",
                f"{change:.1f} s",
                f"{change / nothing:.2f} ×",
                goal(change / nothing, 0.2),
            ),
            ("import of app.main, in a container", f"{times['import']:.2f} s", "1.00 ×", ""),
            *(
                (
                    f"ready, {state} database",
                    f"{times[state]:.2f} s",
                    f"{times[state] / times['import']:.2f} ×",
                    goal(times[state] / times["import"], 2.5),
                )
                for state in ("empty", "migrated")
            ),
        ],
    )


if __name__ == "__main__":
    main()
