"""Is the Alembic environment complete? `python -m app.core.migrations.check`

Reads its files (static_check.py), compares with what `alembic init` of the installed Alembic
writes, then takes a scratch database up, down and up again.

Exits with 0 when all is well, 1 with one line for each problem, 2 when there is no scratch
database.
"""

import ast
import contextlib
import io
import re
import sys
import tempfile
from pathlib import Path

from alembic import command
from alembic.config import CommandLine, Config

from app.core import ROOT
from app.core.db.engine import NoDatabaseError
from app.core.db.scratch import scratch_database
from app.core.migrations.connection import WRITES_OFFLINE_SQL
from app.core.migrations.errors import NeedsDatabaseError, one_line
from app.core.migrations.static_check import ENV_CALLS, called, read_ini, static_problems

# What must work, in this order, on a database that did not exist before.
COMMANDS = (
    ("heads",),
    ("upgrade", "head"),
    ("check",),
    ("current", "--check-heads"),
    ("downgrade", "base"),
    ("upgrade", "head"),
    ("revision", "--autogenerate", "-m", "nothing has changed"),
)
PLACEHOLDER = re.compile(r"\$\{\W*(?:repr\()?(\w+)")


def dynamic_problems(root: Path) -> list[str]:
    """One line for each problem that Alembic itself shows."""
    before = snapshot(root)
    with tempfile.TemporaryDirectory() as folder, scratch_database() as url:
        problems = comparison_problems(root, Path(folder, "stock")) + command_problems(root, url)
    if snapshot(root) != before:
        problems.append("alembic: the checks changed files: autogenerate found something to write")
    return problems


def comparison_problems(root: Path, stock: Path) -> list[str]:
    """What `alembic init` writes and this project lacks."""
    with contextlib.redirect_stdout(io.StringIO()):
        command.init(Config(stock / "alembic.ini", stdout=io.StringIO()), str(stock / "alembic"))
    ours, theirs = read_ini(root), read_ini(stock)
    if isinstance(ours, str) or isinstance(theirs, str):
        return [text for text in (ours, theirs) if isinstance(text, str)]
    problems = []
    for path in sorted((stock / "alembic").iterdir()):
        here = root / "alembic" / path.name
        if path.name not in ("README", "__pycache__") and not here.exists():
            problems.append(f"alembic/{path.name}: `alembic init` makes it, here it is missing")
    for section in theirs.sections():
        keys = theirs[section].keys() - theirs.defaults().keys() - {"sqlalchemy.url"}
        for key in sorted(keys):
            if not ours.has_option(section, key):
                problems.append(f"alembic.ini: [{section}] lacks {key}, which `alembic init` sets")
    ours_mako, theirs_mako = (
        set(PLACEHOLDER.findall((home / "alembic/script.py.mako").read_text("utf-8")))
        for home in (root, stock)
    )
    problems += [
        f"alembic/script.py.mako: `alembic init` uses {name}, it is missing"
        for name in sorted(theirs_mako - ours_mako)
    ]
    ours_calls, theirs_calls = (
        called(ast.parse((home / "alembic/env.py").read_text("utf-8"))) for home in (root, stock)
    )
    problems += [
        f"alembic/env.py: `alembic init` calls context.{name}(), it is missing"
        for name in sorted((theirs_calls & ENV_CALLS) - ours_calls)
    ]
    return problems


def command_problems(root: Path, url: str) -> list[str]:
    """What fails of the commands that every user of Alembic runs; the first only."""
    commands = [*COMMANDS, ("upgrade", "head", "--sql")] if WRITES_OFFLINE_SQL else COMMANDS
    for arguments in commands:
        if problem := alembic_problem(root, "-x", f"url={url}", *arguments):
            return [f"alembic {' '.join(arguments)}: {problem}"]
    return []


def alembic_problem(root: Path, *arguments: str) -> str | None:
    """Run a command of Alembic's command line in this process; what it says when it fails."""
    output = io.StringIO()
    options = CommandLine().parser.parse_args(arguments)
    config = Config(root / "alembic.ini", cmd_opts=options, stdout=output)
    command, positional, named = options.cmd
    with contextlib.redirect_stdout(output), contextlib.redirect_stderr(output):
        try:
            command(
                config,
                *(getattr(options, name, None) for name in positional),
                **{name: getattr(options, name, None) for name in named},
            )
        except NeedsDatabaseError:
            return None  # sql.py runs such a revision on a scratch database
        except (Exception, SystemExit) as error:  # whatever a revision or env.py raises
            return one_line(error)
    return None


def snapshot(root: Path) -> dict[str, bytes]:
    """The files of the Alembic environment."""
    return {
        path.as_posix(): path.read_bytes()
        for path in [root / "alembic.ini", *sorted((root / "alembic").rglob("*"))]
        if path.is_file() and "__pycache__" not in path.parts
    }


def main() -> int:
    sys.dont_write_bytecode = True
    problems = static_problems(ROOT)
    try:
        problems = problems or dynamic_problems(ROOT)
    except NoDatabaseError as error:
        print(error, file=sys.stderr)
        return 2
    for problem in problems:
        print(problem, file=sys.stderr)
    if not problems:
        print("The Alembic environment is complete.")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
