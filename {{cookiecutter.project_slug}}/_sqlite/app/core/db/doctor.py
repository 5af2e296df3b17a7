"""The part of `make doctor` that looks at the database."""

import sqlite3
from collections.abc import Callable
from pathlib import Path

import sqlalchemy as sa

from app.core.db.engine import NoDatabaseError, database_url
from app.core.db.settings import DatabaseSettings
from app.core.migrations.connection import create_migration_engine
from scripts.doctor import Report

CheckRevision = Callable[[Report, sa.Connection], None]


def check_database(
    report: Report, settings: DatabaseSettings, check_revision: CheckRevision | None
) -> None:
    try:
        url = database_url(settings)
    except NoDatabaseError as error:
        report.problem(*str(error).rsplit(": ", 1))
        return
    file = Path(str(url.database)).absolute()
    if not file.exists():
        report.problem(f"The database {file.name} does not exist yet", "make upgrade")
    elif reason := problem_of(file):
        locked = "locked" in reason
        fix = f"fuser {file}" if locked else f"restore a backup, or: rm {file} && make upgrade"
        said = "is locked by another process" if locked else f"cannot be read: {reason}"
        report.problem(f"{file.name} {said}", fix)
    else:
        report.well(f"the database {file.name}")
        engine = create_migration_engine(url, settings)
        with engine.connect() as connection:
            if check_revision is not None:
                check_revision(report, connection)
        engine.dispose()


def problem_of(file: Path) -> str | None:
    """Why nobody can write to the file now, in SQLite's words."""
    connection = sqlite3.connect(f"{file.as_uri()}?mode=rw", uri=True, timeout=1)
    try:
        connection.execute("BEGIN IMMEDIATE")
        connection.rollback()
    except sqlite3.Error as error:
        return str(error)
    finally:
        connection.close()
    return None
