"""Merges a later version of the template, or changed answers, into the project in this folder.

The script template_update.py of a project clones the template and runs this. It renders what the
project was made from and what is asked for. Git merges the difference into the work tree, as it
merges a branch. Nothing is committed.

Exits with 0 when all is merged, or nothing is to do; 2 with conflicts; 1 when nothing was changed.
With --check it only says whether there is something to merge.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path

from template_update.merge import (
    OURS,
    VERSIONS,
    changed,
    check_work_tree,
    find_left_out,
    make_commit,
    merge,
    renumber,
)
from template_update.record import RECORD, Record, read_record, write_record
from template_update.shell import PROJECT, UpdateError, run
from template_update.versions import find_new, find_old, newest, order, render


def check(record: Record, template: Path, as_json: bool) -> None:
    """Print one line: is there a newer version, or a changed answer?"""
    tag = newest(run("git", "tag", "--list", folder=template).split())
    has, answers = f"v{record.rendered_version}", record.changed_answers()
    behind = tag is not None and order(tag) > order(has)
    if as_json:
        found = {"version": has, "commit": record.rendered_commit, "newest": tag}
        print(json.dumps({**found, "behind": behind, "changed_answers": answers}))
        return
    text = f"{has} is behind {tag}" if behind else f"{has} is the newest version"
    if answers:
        text += f", and answers have changed: {', '.join(answers)}"
    print(text)


def update(record: Record, template: Path, old_name: str | None, new_name: str | None) -> int:
    check_work_tree()
    answers = record.changed_answers()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        old_commit = find_old(template, record, old_name)
        name, new_commit = find_new(template, record, new_name, old_commit)
        if old_commit == new_commit and not answers:
            print(f"This project has {name}: nothing to do.")
            return 0
        told = f", with other answers: {', '.join(answers)}" if answers else ""
        print(f"Rendering what this project has, and {name}{told}", flush=True)
        old = render(template, old_commit, record.rendered_answers, Path(folder, "old"))
        new = render(template, new_commit, record.answers, Path(folder, "new"))
        old_record, new_record = read_record(old / RECORD), read_record(new / RECORD)
        if unknown := set(answers) - new_record.answers.keys() - record.rendered_answers.keys():
            raise UpdateError(f"{name} has no question {', '.join(sorted(unknown))}")
        all_old, all_new = make_commit(old, OURS), make_commit(new, OURS)
        left_out = find_left_out(all_old, all_new)
        base = make_commit(old, OURS | left_out)
        later = make_commit(new, OURS | left_out, base)
    conflicts = merge(later) if changed(base, later) else []
    write_record(record, old_record, new_record, new_commit)
    run("git", "add", RECORD)
    added = changed(base, later, "--diff-filter=A")
    is_numbered = renumber() if any(path.startswith(VERSIONS) for path in added) else True
    print(run("git", "diff", "--stat", "HEAD"))
    if skipped := left_out & changed(all_old, all_new):
        print(f"Deleted here, so left out: {', '.join(sorted(skipped))}")
    for path in conflicts:
        print(f"Changed here and in the template: {path}")
    steps = [
        *(["fix what stands between <<<<<<< and >>>>>>>"] if conflicts else []),
        "make setup",
        *([] if is_numbered else ["make renumber"]),
        *("make check", "git commit -a"),
    ]
    print(f"{name} is merged, and not committed. Next: {', '.join(steps)}.")
    print("To undo it all: git reset --hard")
    return 2 if conflicts or not is_numbered else 0


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python3 scripts/template_update.py", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("--from", help="the template; by default as recorded")
    parser.add_argument("--template", type=Path, required=True, help=argparse.SUPPRESS)
    parser.add_argument("--old", help="the tag of what this project has; by default as recorded")
    parser.add_argument("--to", help="a tag, branch or commit; by default the newest tag")
    parser.add_argument("--check", action="store_true", help="only say if there is something to do")
    parser.add_argument("--json", action="store_true", help="with --check: say it in JSON")
    given = parser.parse_args()
    try:
        try:
            record = read_record(PROJECT / RECORD)
        except UpdateError:
            if not given.old:
                raise
            record = Record("", "", {}, "", None, {})
        if given.check:
            check(record, given.template, given.json)
            return 0
        return update(record, given.template, given.old, given.to)
    except UpdateError as error:
        print(f"Not updated: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
