"""The part of `make doctor` that looks at the database."""

from collections.abc import Callable

import sqlalchemy as sa
from sqlalchemy.exc import OperationalError

from app.core.db.engine import NoDatabaseError, database_url
from app.core.db.settings import DatabaseSettings
from app.core.migrations.advisory_lock import describe, lock_holders
from app.core.migrations.connection import create_migration_engine, migration_url
from scripts.doctor import Report

CheckRevision = Callable[[Report, sa.Connection], None]


def check_database(
    report: Report, settings: DatabaseSettings, check_revision: CheckRevision | None
) -> None:
    try:
        urls = {"DATABASE_URL": database_url(settings)}
        if settings.migration_database_url is not None:
            urls["MIGRATION_DATABASE_URL"] = migration_url(settings)
    except NoDatabaseError as error:
        text, _, fix = str(error).partition(". Set ")
        report.problem(text, f"set {fix}")
        return
    for variable, url in urls.items():
        engine = create_migration_engine(url, settings)
        try:
            with engine.connect() as connection:
                embedded = settings.database_url is None and variable == "DATABASE_URL"
                report.well("the embedded PostgreSQL" if embedded else f"{variable} is reached")
                if variable == list(urls)[-1]:  # the one that migrations use
                    check_lock(report, connection, variable, url)
                    if check_revision is not None:
                        check_revision(report, connection)
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


def check_lock(report: Report, connection: sa.Connection, variable: str, url: sa.URL) -> None:
    login = url.set(drivername="postgresql", password=None).render_as_string()
    for row in lock_holders(connection):
        end = f"SELECT pg_terminate_backend({row.pid})"
        report.problem(
            f"A migration holds the lock: {describe(row)}",
            "wait for it to end; if it never does:",
            f"""make psql args='-c "{end}"'"""
            if variable == "DATABASE_URL"
            else f'psql "{login}" -c "{end}"',
        )
