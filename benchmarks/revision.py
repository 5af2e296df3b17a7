"""One revision of the template, and how long its users wait for it."""

import os
import re
import shutil
import subprocess
import tarfile
import time
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

from benchmarks.servers import Project, environment, first_201, wait_for_postgresql
from benchmarks.timing import progress, run
from tests.conftest import TEMPLATE, copy_template
from tests.project import free_port


class Tested(NamedTuple):
    seconds: float
    passed: bool
    result: str  # "240 passed, 1 failed"


class Revision:
    """A copy of the template in a folder, so that edits during a long run change nothing."""

    def __init__(self, name: str, folder: Path) -> None:
        self.name, self.folder, self.template = name, folder, folder / "template"
        self.demos = 0

    @cached_property
    def project(self) -> Project:
        """Rendered with the defaults, and set up."""
        return Project(self.folder / "project", template=self.template)

    def run(self, *, no_database: bool) -> float:
        """Seconds of `make run` to the first 201, on the database of the last time or on none."""
        root, port = self.project.root, free_port()
        if no_database:
            wait_for_postgresql(root)
            shutil.rmtree(root / ".postgres", ignore_errors=True)
            for file in root.glob("*.db*"):
                file.unlink()
        taken = first_201(["make", "run", f"PORT={port}"], port, root, environment())
        wait_for_postgresql(root)
        return taken

    def demo(self, *, empty_cache: bool) -> float:
        """Seconds of `make demo` to the first 201, on a bare machine.

        Each time with a new home, a new copy of the template, and no uv; uv's cache is as the
        time before left it, or empty.
        """
        self.demos += 1
        cache = self.folder / "uv"
        if empty_cache:
            shutil.rmtree(cache, ignore_errors=True)
        machine, port = self.folder / f"machine-{self.demos}", free_port()
        clone = machine / "template"
        shutil.copytree(self.template, clone)
        env = without_uv(machine) | {"UV_CACHE_DIR": str(cache)}
        taken = first_201(["make", "demo", f"PORT={port}"], port, clone, env)
        wait_for_postgresql(clone / "build" / "task-service")
        shutil.rmtree(machine, ignore_errors=True)
        return taken

    def test(self) -> Tested:
        """`make test` of the project."""
        started = time.perf_counter()
        done = subprocess.run(
            ["make", "test"],
            cwd=self.project.root,
            env=environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        taken = time.perf_counter() - started
        results = re.findall(r"(\d+ \w+(?:, \d+ \w+)*) in [\d.]+s", done.stdout)
        if not results:
            raise SystemExit(f"{self.name}, make test:\n{done.stdout}")
        if done.returncode:
            progress(f"{self.name}, make test:\n{done.stdout}")
        return Tested(taken, done.returncode == 0, results[-1])


def working_tree(folder: Path) -> Revision:
    """What git would check out of the working tree, and what is not yet committed."""
    revision = Revision("now", folder)
    copy_template(revision.template)
    return revision


def committed(name: str, folder: Path) -> Revision:
    """A revision that git knows by this name."""
    short = run("git", "rev-parse", "--short", f"{name}^{{commit}}", cwd=TEMPLATE).strip()
    revision = Revision(short, folder)
    revision.template.mkdir(parents=True)
    archive = folder / "template.tar"
    run("git", "archive", "--output", archive, short, cwd=TEMPLATE)
    with tarfile.open(archive) as tar:
        tar.extractall(revision.template, filter="data")
    archive.unlink()
    return revision


def without_uv(machine: Path) -> dict[str, str]:
    """An environment with an empty home, and with everything on the PATH but uv."""
    home = machine / "home"
    home.mkdir()
    path = []
    for number, folder in enumerate(map(Path, os.environ["PATH"].split(os.pathsep))):
        if not folder.is_dir() or folder in (TEMPLATE / ".venv/bin", TEMPLATE / ".uv/bin"):
            continue
        shown = folder
        if (folder / "uv").exists():
            shown = machine / f"path-{number}"
            shown.mkdir()
            for tool in folder.iterdir():
                if tool.name not in ("uv", "uvx"):
                    (shown / tool.name).symlink_to(tool)
        path.append(str(shown))
    homes = ("UV_", "XDG_")
    env = {name: value for name, value in environment().items() if not name.startswith(homes)}
    return env | {"HOME": str(home), "PATH": os.pathsep.join(path)}
