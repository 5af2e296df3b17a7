"""Compare how long things take: in turns, so that other work on the machine affects all alike."""

import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")
Times = dict[str, float]


def run(*command: str | Path, cwd: Path, env: dict[str, str] | None = None) -> str:
    """Run a command that must succeed; returns what it prints."""
    done = subprocess.run(
        [str(part) for part in command], cwd=cwd, env=env, capture_output=True, text=True
    )
    if done.returncode:
        raise SystemExit(f"{' '.join(map(str, command))}\n{done.stdout}{done.stderr}")
    return done.stdout


def seconds(action: Callable[[], object]) -> float:
    started = time.perf_counter()
    action()
    return time.perf_counter() - started


def in_turns(subjects: Mapping[str, Callable[[], T]], rounds: int) -> dict[str, list[T]]:
    """What each subject returns. One round is once each, in the order given."""
    taken: dict[str, list[T]] = {name: [] for name in subjects}
    for number in range(rounds):
        for name, measure in subjects.items():
            progress(f"{name}: {number + 1} of {rounds}")
            taken[name].append(measure())
    return taken


def medians(subjects: Mapping[str, Callable[[], object]], rounds: int) -> Times:
    """The median time of each subject, in seconds."""
    timed = {name: partial(seconds, action) for name, action in subjects.items()}
    return {name: statistics.median(taken) for name, taken in in_turns(timed, rounds).items()}


def progress(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def table(title: str, rows: Sequence[Sequence[str]]) -> None:
    """Print rows in columns; the first row is the head."""
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    print(f"\n{title}\n")
    for number, row in enumerate(rows):
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=True)]
        print(f"| {' | '.join(cells)} |")
        if number == 0:
            print(f"|{'|'.join('-' * (width + 2) for width in widths)}|")


def goal(ratio: float, limit: float, unit: str = "×") -> str:
    return f"{'met' if ratio <= limit else 'MISSED'}: {ratio:.2f} {unit}, at most {limit:g} {unit}"


def goal_at_least(ratio: float, limit: float) -> str:
    return f"{'met' if ratio >= limit else 'MISSED'}: {ratio:.2f} ×, at least {limit:g} ×"
