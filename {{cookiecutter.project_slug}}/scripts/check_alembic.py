"""Is the Alembic environment whole? `python -m scripts.check_alembic`

Reads its files (alembic_static.py), compares with what `alembic init` of the installed Alembic
writes, then takes a scratch database up, down and up again.

Exits with 0 when all is well, 1 with one line a fault, 2 when Alembic is not installed.
"""

import ast
import contextlib
import io
import os
import re
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from scripts.alembic_static import ENV_CALLS, called, read_ini, static_faults

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
DATABASE_VARIABLES = ("DATABASE_URL", "MIGRATION_DATABASE_URL")


def dynamic_faults(root: Path) -> list[str]:
    """One line for each fault that Alembic itself shows. Raises ImportError without Alembic."""
    before = snapshot(root)
    with tempfile.TemporaryDirectory() as folder, without_database_variables():
        faults = comparison_faults(root, Path(folder, "stock")) + command_faults(root, Path(folder))
    if snapshot(root) != before:
        faults.append("alembic: the checks changed files: autogenerate found something to write")
    return faults


def comparison_faults(root: Path, stock: Path) -> list[str]:
    """What `alembic init` writes and this project lacks."""
    from alembic import command
    from alembic.config import Config

    with contextlib.redirect_stdout(io.StringIO()):
        command.init(Config(stock / "alembic.ini", stdout=io.StringIO()), str(stock / "alembic"))
    ours, theirs = read_ini(root), read_ini(stock)
    if isinstance(ours, str) or isinstance(theirs, str):
        return [text for text in (ours, theirs) if isinstance(text, str)]
    faults = []
    for path in sorted((stock / "alembic").iterdir()):
        here = root / "alembic" / path.name
        if path.name not in ("README", "__pycache__") and not here.exists():
            faults.append(f"alembic/{path.name}: `alembic init` makes it, here it is missing")
    for section in theirs.sections():
        keys = theirs[section].keys() - theirs.defaults().keys() - {"sqlalchemy.url"}
        for key in sorted(keys):
            if not ours.has_option(section, key):
                faults.append(f"alembic.ini: [{section}] lacks {key}, which `alembic init` sets")
    ours_mako, theirs_mako = (
        set(PLACEHOLDER.findall((home / "alembic/script.py.mako").read_text("utf-8")))
        for home in (root, stock)
    )
    faults += [
        f"alembic/script.py.mako: `alembic init` uses {name}, it is missing"
        for name in sorted(theirs_mako - ours_mako)
    ]
    ours_calls, theirs_calls = (
        called(ast.parse((home / "alembic/env.py").read_text("utf-8"))) for home in (root, stock)
    )
    faults += [
        f"alembic/env.py: `alembic init` calls context.{name}(), it is missing"
        for name in sorted((theirs_calls & ENV_CALLS) - ours_calls)
    ]
    return faults


def command_faults(root: Path, folder: Path) -> list[str]:
    """What fails of the commands that every user of Alembic runs; the first only."""
    scratch = f"url=sqlite:///{(folder / 'scratch.db').as_posix()}"
    for arguments in COMMANDS:
        if fault := alembic_fault(root, "-x", scratch, *arguments):
            return [f"alembic {' '.join(arguments)}: {fault}"]
    # Without a server: nothing connects to it.
    fault = alembic_fault(root, "-x", "url=postgresql:///none", "upgrade", "head", "--sql")
    return [f"alembic upgrade head --sql: {fault}"] if fault else []


def alembic_fault(root: Path, *arguments: str) -> str | None:
    """Run Alembic's command line in this process; what it says when it fails."""
    from alembic.config import CommandLine, Config

    output = io.StringIO()
    line = CommandLine()
    options = line.parser.parse_args(arguments)
    config = Config(root / "alembic.ini", cmd_opts=options, stdout=output)
    with contextlib.redirect_stdout(output), contextlib.redirect_stderr(output):
        try:
            line.run_cmd(config, options)
        except SystemExit as error:
            if error.code in (None, 0):
                return None
            said = [error.code] if isinstance(error.code, str) else output.getvalue().split("\n")
            last = next((str(line) for line in reversed(said) if str(line).strip()), "failed")
            return last.removeprefix("FAILED: ")
        except Exception as error:  # whatever a revision or env.py raises is what we look for
            return f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"
    return None


@contextlib.contextmanager
def without_database_variables() -> Iterator[None]:
    """No database of the developer's is touched, whatever the environment names."""
    kept = {name: os.environ.pop(name) for name in DATABASE_VARIABLES if name in os.environ}
    try:
        yield
    finally:
        os.environ.update(kept)


def snapshot(root: Path) -> dict[str, bytes]:
    """The files of the Alembic environment."""
    return {
        path.as_posix(): path.read_bytes()
        for path in [root / "alembic.ini", *sorted((root / "alembic").rglob("*"))]
        if path.is_file() and "__pycache__" not in path.parts
    }


def main() -> int:
    root = Path(__file__).resolve().parent.parent
    os.chdir(root)
    sys.dont_write_bytecode = True
    faults = static_faults(root)
    try:
        faults = faults or dynamic_faults(root)
    except ImportError as error:
        print(f"Alembic is not installed here ({error}): make setup", file=sys.stderr)
        return 2
    for fault in faults:
        print(fault, file=sys.stderr)
    if not faults:
        print("The Alembic environment is whole.")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
