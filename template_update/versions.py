"""The versions of the template, and renders of them."""

from __future__ import annotations

import contextlib
import json
import re
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from template_update.record import Record
from template_update.shell import UpdateError, run


def newest(tags: Iterable[str]) -> str | None:
    """The greatest tag like v1.2.0, or v1.2.0+house.1 of a fork."""
    versions = (tag for tag in tags if re.fullmatch(r"v\d+\.\d+\.\d+(\+[\w.]+)?", tag))
    return max(versions, key=order, default=None)


def order(version: str) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", version)]


def find_commit(template: Path, *names: str) -> str | None:
    """The commit of the first tag, branch or id that the template has."""
    for name in names:
        with contextlib.suppress(UpdateError):
            return run("git", "rev-parse", "--verify", "-q", f"{name}^{{commit}}", folder=template)
    return None


def find_old(template: Path, record: Record, given: str | None) -> str:
    """The commit that this project was made from."""
    name = given or f"v{record.rendered_version}"
    if record.rendered_commit and not given:
        if commit := find_commit(template, record.rendered_commit):
            return commit
        print(f"The template has no commit {record.rendered_commit}: taking {name}")
    if commit := find_commit(template, name, f"origin/{name}"):
        return commit
    raise UpdateError(f"the template has no {name}: name what this project has with old=")


def find_new(template: Path, record: Record, given: str | None, old: str) -> tuple[str, str]:
    """The name and the commit to go to: what is asked for, or else the newest version."""
    if given is None and record.version != record.rendered_version:
        given = f"v{record.version}"
    name = given or newest(run("git", "tag", "--list", folder=template).split())
    if name is None:
        raise UpdateError("the template has no tag like v1.2.0: name a branch or commit with to=")
    commit = find_commit(template, name, f"origin/{name}")
    if commit is None:
        raise UpdateError(f"the template has no {name}")
    if given is None and is_ancestor(template, commit, old):
        return f"v{record.rendered_version}", old  # made from a commit after the newest version
    return name, commit


def is_ancestor(template: Path, commit: str, of: str) -> bool:
    try:
        run("git", "merge-base", "--is-ancestor", commit, of, folder=template)
    except UpdateError:
        return False
    return True


def cookiecutter() -> list[str]:
    if command := shutil.which("cookiecutter"):
        return [command]
    if uv := shutil.which("uv"):
        return [uv, "tool", "run", "cookiecutter"]
    raise UpdateError("neither uv nor cookiecutter is installed: pipx install uv")


def render(template: Path, commit: str, answers: Mapping[str, Any], folder: Path) -> Path:
    """Render a version with these answers; questions without one get its default."""
    run("git", "checkout", "--quiet", "--detach", commit, folder=template)
    folder.mkdir()
    file = folder / "config.json"
    places = {"cookiecutters_dir": str(folder / "c"), "replay_dir": str(folder / "r")}
    file.write_text(json.dumps(places), encoding="utf-8")
    output = folder / "output"
    options = ["--no-input", "--config-file", str(file), "--output-dir", str(output)]
    # As arguments: of a wrong answer in a file Cookiecutter only warns, and drops all after it.
    given = [f"{name}={answer}" for name, answer in answers.items() if name != "setup"]
    run(*cookiecutter(), *options, str(template), *given, "setup=no", folder=folder)
    (project,) = output.iterdir()
    return project
