"""Where in the revisions an error of the database comes from."""

import traceback
from pathlib import Path

from alembic.util import CommandError
from sqlalchemy.exc import DBAPIError

from app.core import ROOT

VERSIONS = ROOT / "alembic" / "versions"


class NeedsDatabaseError(CommandError):
    """A revision that `--sql` cannot write."""


def place_of(error: BaseException) -> str | None:
    """The revision's file and line that an error comes from."""
    # An error that is caught below the revision has the rest of the way on the stack.
    frames = [*traceback.extract_stack(), *traceback.extract_tb(error.__traceback__)]
    lines = [
        f"{path.name}:{frame.lineno}"
        for frame in frames
        if (path := Path(frame.filename)).parent == VERSIONS
    ]
    return lines[-1] if lines else None


def where(error: DBAPIError) -> str:
    """The same, and the statement."""
    statement = " ".join((error.statement or "").split())[:100]
    return ", ".join(filter(None, (place_of(error), statement)))


def one_line(error: BaseException) -> str:
    """What went wrong, and where in the revisions."""
    if isinstance(error, CommandError | SystemExit):
        return str(error)
    if isinstance(error, DBAPIError):
        return f"{where(error)}: {' '.join(str(error.orig).split())}"
    text = f"{type(error).__name__}: {' '.join(str(error).split())[:300]}".removesuffix(": ")
    return ": ".join(filter(None, (place_of(error), text)))
