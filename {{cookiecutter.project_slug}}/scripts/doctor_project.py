"""The part of `make doctor` that needs the environment: settings, database, docs/schema.md."""

import difflib
import re
import sqlite3
import sys
from pathlib import Path

import sqlalchemy as sa
from dotenv import dotenv_values
from pydantic import ValidationError
from sqlalchemy.exc import OperationalError

from app.database import current_heads
from app.health import code_revisions, names
from app.migration_locks import LOCK_KEY
from app.migrations import ROOT, create_engine
from app.settings import Settings, faults_of
from scripts.alembic_static import static_faults
from scripts.doctor import Report

HOLDER = """
SELECT a.pid, a.usename, a.application_name, a.state,
       extract(epoch FROM clock_timestamp() - a.backend_start) AS seconds
FROM pg_locks l JOIN pg_stat_activity a USING (pid)
WHERE l.locktype = 'advisory' AND l.granted
  AND (l.classid::bigint << 32) + l.objid::bigint = :key
  AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""


def check_settings(report: Report) -> Settings | None:
    known = {name.upper() for name in Settings.model_fields}
    known |= set(re.findall(r"^(\w+)=", (ROOT / ".env.example").read_text("utf-8"), re.MULTILINE))
    before = report.faults
    try:
        for name in dotenv_values(ROOT / ".env", interpolate=False).keys() - known:
            if near := difflib.get_close_matches(name, known, 1, 0.8):
                report.fault(f".env: {name} is no setting", f"rename it in .env: {near[0]}")
        settings = Settings()
    except (ValidationError, UnicodeDecodeError) as error:
        for text in faults_of(error):
            report.fault(f"Wrong setting: {text}", "correct it in .env; .env.example explains each")
        return None
    if report.faults == before:
        report.well("the settings")
    return settings


def check_database(report: Report, settings: Settings) -> None:
    urls = {
        "DATABASE_URL": settings.database,
        "MIGRATION_DATABASE_URL": settings.migration_database,
    }
    if urls["MIGRATION_DATABASE_URL"] == urls["DATABASE_URL"]:
        del urls["MIGRATION_DATABASE_URL"]
    for variable, url in urls.items():
        if url.get_backend_name() == "sqlite":
            file = ROOT / str(url.database)
            if not file.exists():
                report.fault(f"The database {file.name} is not there yet", "make upgrade")
                continue
            if is_locked(file):
                report.fault(f"{file.name} is locked by another process", f"fuser {file}")
                continue
        engine = create_engine(url, settings)
        try:
            with engine.connect() as connection:
                report.well(f"{variable} is reached")
                check_lock(report, connection, url)
                if variable == list(urls)[-1] and not static_faults(ROOT):
                    check_revision(report, current_heads(connection))
        except OperationalError as error:
            report.fault(*unreachable(variable, url, str(error.orig)))
        finally:
            engine.dispose()


def is_locked(file: Path) -> bool:
    connection = sqlite3.connect(f"{file.as_uri()}?mode=rw", uri=True, timeout=1)
    try:
        connection.execute("BEGIN IMMEDIATE")
        connection.rollback()
    except sqlite3.OperationalError as error:
        return "locked" in str(error)
    finally:
        connection.close()
    return False


def unreachable(variable: str, url: sa.URL, reason: str) -> tuple[str, ...]:
    place = f"{url.host or 'the local socket'}:{url.port or 5432}"
    if "password" in reason:
        return (
            f"The database at {place} refuses the password of {url.username}",
            f"correct it in {variable}, in .env",
        )
    if "does not exist" in reason and f'"{url.database}"' in reason:
        options = {"--host": url.host, "--port": url.port, "--username": url.username}
        given = " ".join(f"{name}={value}" for name, value in options.items() if value)
        return f"There is no database {url.database} at {place}", f"createdb {given} {url.database}"
    said = " ".join(reason.split()) or "no answer"
    return (
        f"The database at {place} cannot be reached: {said[:200]}",
        f"start it, or name another in {variable}, in .env",
        "DATABASE_URL=sqlite:///app.db needs no server",
    )


def check_lock(report: Report, connection: sa.Connection, url: sa.URL) -> None:
    if connection.dialect.name == "sqlite":
        return
    for row in connection.execute(sa.text(HOLDER), {"key": LOCK_KEY}):
        login = url.set(drivername="postgresql", password=None).render_as_string()
        report.fault(
            f"A migration holds the lock: process {row.pid} ({row.usename}, "
            f"{row.application_name or 'no name'}, {row.state}), for {row.seconds:.0f} s at most",
            "wait for it to end; if it never does:",
            f'psql "{login}" -c "SELECT pg_terminate_backend({row.pid})"',
        )


def check_revision(report: Report, current: set[str]) -> None:
    known, heads = code_revisions()
    if not current <= known:
        report.fault(
            f"The database is at revision {names(current - known)}, which this code does not have",
            "git switch to the branch that has it; there, to go back: make downgrade",
        )
    elif current != heads:
        report.fault(
            f"Migrations are pending: the database is at {names(current) or 'none'}, "
            f"the code at {names(heads)}",
            "make upgrade",
        )
    else:
        report.well(f"the database is at revision {names(current)}")


def check_picture(report: Report) -> None:
    from scripts.schema import PICTURE, draw

    if PICTURE.exists() and PICTURE.read_text("utf-8") == draw():
        report.well("docs/schema.md shows the models")
    else:
        report.fault("docs/schema.md does not show the models as they are", "make schema")


def main() -> int:
    report = Report()
    settings = check_settings(report)
    if settings is not None:
        check_database(report, settings)
    check_picture(report)
    return min(report.faults, 1)


if __name__ == "__main__":
    sys.exit(main())
