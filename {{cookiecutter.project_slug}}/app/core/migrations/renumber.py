"""Puts the revisions of two branches into one line: `make renumber`.

What the main branch has stays, for databases may be at it; what only this branch has goes on top,
with new numbers. Where git cannot tell, the one written first stays.
"""

import re
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from app.core.migrations.errors import VERSIONS
from app.core.migrations.head import write_head
from app.core.migrations.static_check import assigned, parse

MAIN_BRANCHES = ("origin/HEAD", "origin/main", "origin/master", "main", "master")


@dataclass(frozen=True)
class Revision:
    path: Path
    id: str
    down: str | None
    date: str


def read(path: Path) -> Revision:
    """Raises ValueError for a file that is not one revision with one parent."""
    tree = parse(path)
    if isinstance(tree, str):
        raise ValueError(tree)
    values = assigned(tree)
    id_, down = values.get("revision"), values.get("down_revision")
    if not isinstance(id_, str) or not isinstance(down, str | None):
        raise ValueError(f"{path.name}: needs one `revision` and one `down_revision`")
    date = re.search(r"^Create Date: (.+)$", path.read_text("utf-8"), re.MULTILINE)
    return Revision(path, id_, down, date[1] if date else "")


def files_on(branches: Sequence[str]) -> set[str]:
    """The names of the revisions that the first of these branches has; none without git."""
    for branch in branches:
        command = ["git", "ls-tree", "--name-only", branch, "./"]
        done = subprocess.run(command, cwd=VERSIONS, capture_output=True, text=True, check=False)
        if done.returncode == 0:
            return set(done.stdout.split())
    return set()


def split(revisions: list[Revision], on_main: set[str]) -> tuple[list[Revision], list[Revision]]:
    """The line that stays as it is, and what has to go on top of it, in this order."""

    def settled(revision: Revision) -> bool:
        return revision.path.name in on_main

    waiting = sorted(revisions, key=lambda r: (not settled(r), r.date, r.path.name))
    stay: list[Revision] = []
    forked = False
    while True:
        top = stay[-1].id if stay else None
        fitting = [r for r in waiting if r.down == top and r.id not in {s.id for s in stay}]
        if forked:
            # Past a fork a parent's number names two revisions: only main's order is certain.
            fitting = [r for r in fitting if settled(r)]
        if not fitting:
            return stay, waiting
        if len(fitting) > 1:
            forked = True
            if settled(fitting[1]):
                on_main = set()  # both were merged: what follows goes by its date
        stay.append(fitting[0])
        waiting.remove(fitting[0])


def renamed(revision: Revision, id_: str, down: str | None) -> Path:
    """Give a revision another number and parent: in the file's text and in its name."""
    text = revision.path.read_text("utf-8")
    for name, value in (
        (r"revision\b[^=\n]*= *", f'"{id_}"'),
        (r"down_revision\b[^=\n]*= *", f'"{down}"' if down else "None"),
        (r"Revision ID: *", id_),
        (r"Revises:", f" {down}" if down else ""),
    ):
        text = re.sub(rf"^({name}).*$", rf"\g<1>{value}", text, count=1, flags=re.MULTILINE)
    slug = revision.path.stem.removeprefix(revision.id)
    target = revision.path.with_name(f"{id_}{slug}.py")
    revision.path.write_text(text, encoding="utf-8")
    return revision.path.rename(target)


def main(branches: Sequence[str] = MAIN_BRANCHES) -> int:
    try:
        revisions = [read(path) for path in VERSIONS.glob("*.py")]
    except ValueError as error:
        print(error, file=sys.stderr)
        return 1
    stay, move = split(revisions, files_on(branches))
    below = stay[-1] if stay else None
    number = max((int(revision.id) for revision in stay if revision.id.isdigit()), default=0)
    newest = below.path if below else None
    down = below.id if below else None
    for revision in move:
        number += 1
        path = renamed(revision, f"{number:04}", down)
        print(f"{revision.path.name} is now {path.name}, after {newest.stem if newest else 'none'}")
        newest, down = path, f"{number:04}"
    if newest is not None:
        write_head(newest)
    if move:
        print(
            "A database that ran one of them under its old number: go down before you go up again."
        )
    else:
        print("One line already: nothing to renumber.")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:] or MAIN_BRANCHES))
