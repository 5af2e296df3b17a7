"""The part of `make doctor` that needs the environment: settings, revisions, database, features."""

import difflib
import re
import sys
from importlib import import_module

import sqlalchemy as sa
from dotenv import dotenv_values
from pydantic import ValidationError

from app.core import ROOT, features
from app.core.app import FeatureError, router_of
from app.core.db.doctor import check_database
from app.core.db.revisions import current_heads
from app.core.health import code_revisions, names
from app.core.migrations.schema import PICTURE, draw
from app.core.migrations.static_check import static_problems
from app.core.settings import CoreSettings
from app.core.startup import errors_of
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


def check_revisions(report: Report) -> bool:
    """Can the revisions be read, and are they one line?"""
    problems = static_problems(ROOT)
    for text in problems:
        fix = "make renumber" if "renumber" in text or "one head" in text else "git log -- alembic"
        report.problem(text.removesuffix(": make renumber"), fix)
    if not problems:
        report.well("the revisions are one line")
    return not problems


def check_revision(report: Report, connection: sa.Connection) -> None:
    current = current_heads(connection)
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


def check_features(report: Report) -> bool:
    """Can every feature be loaded?"""
    before = report.problems
    for load, modules in (
        (import_module, features.modules("models")),
        (router_of, features.modules("router")),
    ):
        for module in modules:
            file = module.replace(".", "/") + ".py"
            try:
                load(module)
            except FeatureError as error:
                report.problem(str(error), f"edit {file}")
            except Exception as error:  # whatever the owner's code raises
                report.problem(f"{file} cannot be imported: {error!r}", f"edit {file}")
    if report.problems == before:
        report.well("the features")
    return report.problems == before


def check_picture(report: Report) -> None:
    if PICTURE.exists() and PICTURE.read_text("utf-8") == draw():
        report.well("docs/schema.md shows the models")
    else:
        report.problem("docs/schema.md does not show the models as they are", "make schema")


def main() -> int:
    report = Report()
    settings = check_settings(report)
    readable = check_revisions(report)
    if settings is not None:
        check_database(report, settings, check_revision if readable else None)
    if check_features(report):
        check_picture(report)
    return min(report.problems, 1)


if __name__ == "__main__":
    sys.exit(main())
