"""What this project was made from, what is asked for, and which versions the template has.

`.cookiecutter.json` holds the first two. `template` and `default_context` are asked for: a version,
and an answer to each question. `rendered` is what the files were made from.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
RECORD = ".cookiecutter.json"
HOSTS = {"gh": "github.com", "gl": "gitlab.com", "bb": "bitbucket.org"}


class UpdateError(Exception):
    """What prevents the update, and what to do."""


def run(
    *command: str, folder: Path = ROOT, env: Mapping[str, str] | None = None, text: str = ""
) -> str:
    """Raises UpdateError with the end of what the command says."""
    done = subprocess.run(
        command,
        cwd=folder,
        env=os.environ | (env or {}),
        input=text,
        capture_output=True,
        encoding="utf-8",
        errors="surrogateescape",
        check=False,
    )
    if done.returncode:
        said = (done.stderr or done.stdout).strip().splitlines() or ["no word why"]
        lines = 1 if any(line.startswith("Traceback ") for line in said) else 5
        name = " ".join([Path(command[0]).name, *command[1:2]])
        raise UpdateError(without_login("\n".join([f"{name} failed:", *said[-lines:]])))
    return done.stdout.strip()


def without_login(text: str) -> str:
    """An address may hold a token."""
    return re.sub(r"(\w+://)[^/@\s]*@", r"\1", text)


@dataclass(frozen=True)
class Record:
    repository: str
    version: str
    answers: Mapping[str, Any]
    rendered_version: str
    rendered_commit: str | None
    rendered_answers: Mapping[str, Any]

    def changed_answers(self) -> list[str]:
        had = self.rendered_answers
        changed = (name for name, answer in self.answers.items() if had.get(name) != answer)
        return [name for name in changed if name != "setup"]  # nothing is made of that one


def read_record(file: Path) -> Record:
    """Raises UpdateError."""
    try:
        content = json.loads(file.read_text("utf-8"))
        template, answers = content["template"], content["default_context"]
        # An older version of the template did not note what it rendered.
        rendered = content.get("rendered", {"version": template["version"], "answers": answers})
        return Record(
            template["repository"],
            template["version"],
            answers,
            rendered["version"],
            rendered.get("commit"),
            rendered["answers"],
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        raise UpdateError(
            f"{RECORD} does not say which version of the template this project has: "
            "name both with from= and old="
        ) from None


def write_record(asked: Record, old: Record, new: Record, commit: str) -> None:
    """Note that the files are now made from the new render."""
    # The update itself renders without setting up.
    answers = {**new.answers, "setup": asked.answers.get("setup", True)}
    moved = new.repository != old.repository or not asked.repository
    record = {
        "template": {
            "repository": new.repository if moved else asked.repository,
            "version": new.version,
        },
        "default_context": answers,
        "rendered": {"version": new.version, "commit": commit, "answers": answers},
    }
    text = json.dumps(record, indent=2, ensure_ascii=False)
    (ROOT / RECORD).write_text(f"{text}\n", encoding="utf-8", newline="\n")


def address(repository: str) -> str:
    """The place of a repository, which may be short: gh:org/template."""
    host, _, path = repository.partition(":")
    return f"https://{HOSTS[host]}/{path}.git" if host in HOSTS else repository


def newest(tags: Iterable[str]) -> str | None:
    """The greatest tag like v1.2.0, or v1.2.0+house.1 of a fork."""
    versions = (tag for tag in tags if re.fullmatch(r"v\d+\.\d+\.\d+(\+[\w.]+)?", tag))
    return max(versions, key=order, default=None)


def order(version: str) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", version)]


def check(record: Record, repository: str, as_json: bool) -> None:
    """Print one line: is there a newer version, or a changed answer?"""
    listed = run("git", "ls-remote", "--tags", "--refs", address(repository))
    tag = newest(re.findall(r"\trefs/tags/(\S+)$", listed, re.MULTILINE))
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
