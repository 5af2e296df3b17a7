"""The part of `make doctor` that needs the environment: settings, database, docs/schema.md."""

import difflib
import re
import sys

import sqlalchemy as sa
from dotenv import dotenv_values
from pydantic import ValidationError
from sqlalchemy.exc import OperationalError

from app.core import ROOT
from app.core.db.engine import NoDatabaseError, database_url
from app.core.db.revisions import current_heads
from app.core.health import code_revisions, names
from app.core.migrations.connection import create_migration_engine, migration_url
from app.core.migrations.locks import describe, lock_holders
from app.core.settings import CoreSettings
from app.core.startup import errors_of
from scripts.alembic_static import static_faults
from scripts.doctor import Report


def check_settings(report: Report) -> CoreSettings | None:
    known = {name.upper() for name in CoreSettings.model_fields}
    known |= set(re.findall(r"^(\w+)=", (ROOT / ".env.example").read_text("utf-8"), re.MULTILINE))
    before = report.problems
    try:
        for name in dotenv_values(ROOT / ".env", interpolate=False).keys() - known:
            if near := difflib.get_close_matches(name, known, 1, 0.8):
                report.problem(f".env: {name} is no setting", f"rename it in .env: {near[0]}")
        settings = CoreSettings()
    except (ValidationError, UnicodeDecodeError) as error:
        for text in errors_of(error):
            report.problem(
                f"Wrong setting: {text}", "correct it in .env; .env.example explains each"
            )
        return None
    if report.problems == before:
        report.well("the settings")
    return settings


def check_database(report: Report, settings: CoreSettings) -> None:
    try:
        urls = {"DATABASE_URL": database_url(settings)}
        if settings.migration_database_url is not None:
            urls["MIGRATION_DATABASE_URL"] = migration_url(settings)
    except NoDatabaseError as error:
        report.problem(str(error))
        return
    for variable, url in urls.items():
        engine = create_migration_engine(url)
        try:
            with engine.connect() as connection:
                embedded = settings.database_url is None and variable == "DATABASE_URL"
                report.well("the embedded PostgreSQL" if embedded else f"{variable} is reached")
                check_lock(report, connection, url)
                if variable == list(urls)[-1] and not static_faults(ROOT):
                    check_revision(report, current_heads(connection))
        except OperationalError as error:
            report.problem(*unreachable(variable, url, str(error.orig)))
        finally:
            engine.dispose()


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
        "without DATABASE_URL, development has a PostgreSQL of its own",
    )


def check_lock(report: Report, connection: sa.Connection, url: sa.URL) -> None:
    for row in lock_holders(connection, "advisory"):
        login = url.set(drivername="postgresql", password=None).render_as_string()
        report.problem(
            f"A migration holds the lock: {describe(row)}",
            "wait for it to end; if it never does:",
            f'psql "{login}" -c "SELECT pg_terminate_backend({row.pid})"',
        )


def check_revision(report: Report, current: set[str]) -> None:
    known, heads = code_revisions()
    if not current <= known:
        report.problem(
            f"The database is at revision {names(current - known)}, which this code does not have",
            "git switch to the branch that has it; there, to go back: make downgrade",
        )
    elif current != heads:
        report.problem(
            f"Migrations are pending: the database is at {names(current) or 'none'}, "
            f"the code at {names(heads)}",
            "make upgrade",
        )
    else:
        report.well(f"the database is at revision {names(current)}")


def check_picture(report: Report) -> None:
    from app.core.migrations.schema import PICTURE, draw

    if PICTURE.exists() and PICTURE.read_text("utf-8") == draw():
        report.well("docs/schema.md shows the models")
    else:
        report.problem("docs/schema.md does not show the models as they are", "make schema")


def main() -> int:
    report = Report()
    settings = check_settings(report)
    if settings is not None:
        check_database(report, settings)
    check_picture(report)
    return min(report.problems, 1)


if __name__ == "__main__":
    sys.exit(main())
