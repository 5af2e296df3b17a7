"""Where in the revisions an error of the database comes from."""

import traceback
from pathlib import Path

from sqlalchemy.exc import DBAPIError

from app.core import ROOT

VERSIONS = ROOT / "alembic" / "versions"


def where(error: DBAPIError) -> str:
    """The revision's file and line that an error comes from, and its statement."""
    frames = traceback.extract_tb(error.__traceback__)
    lines = [
        f"{path.name}:{frame.lineno}"
        for frame in frames
        if (path := Path(frame.filename)).parent == VERSIONS
    ]
    statement = " ".join((error.statement or "").split())[:100]
    return ", ".join([*lines[-1:], statement])
