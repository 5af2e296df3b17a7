"""What a project was made from, and what is asked for.

`.cookiecutter.json` holds both. `template` and `default_context` are asked for: a version, and an
answer to each question. `rendered` is what the files were made from.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from template_update.shell import PROJECT, UpdateError

RECORD = ".cookiecutter.json"


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
    (PROJECT / RECORD).write_text(f"{text}\n", encoding="utf-8", newline="\n")
