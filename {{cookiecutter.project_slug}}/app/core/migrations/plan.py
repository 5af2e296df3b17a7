"""Lists pending migrations and flags unsafe ones: `python -m app.core.migrations.plan`

Pending is what the database in DATABASE_URL does not have; all, when there is no such database;
or with --since what comes after a revision, or after what a git branch has.

Each revision's PostgreSQL SQL is read by squawk. A risk that was weighed stands in the
revision's docstring, with the reason:

    Accepts ban-drop-column: no release reads it since 1.4.

Exits with 1 when a risk is not accepted.
"""

import argparse
import contextlib
import io
import json
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa
from alembic import command
from alembic.script import Script
from sqlalchemy.exc import SQLAlchemyError

from app.core import ROOT
from app.core.db.engine import NoDatabaseError
from app.core.db.revisions import current_heads
from app.core.migrations.config import alembic_config, script_directory
from app.core.migrations.connection import migration_url
from app.core.settings import CoreSettings
from app.core.startup import load_settings, stop

# Matters of style, or what the runner does for every revision (runner.py).
NOT_RISKS = (
    "prefer-bigint-over-int",
    "prefer-bigint-over-smallint",
    "prefer-identity",
    "prefer-robust-stmts",
    "prefer-text-field",
    "require-lock-timeout",
    "require-statement-timeout",
)
ACCEPTS = re.compile(r"^ *Accepts ([a-z-]+): *(\S.*)$", re.MULTILINE)


@dataclass(frozen=True)
class Risk:
    rule: str
    message: str
    statement: str


def newest_of(ref: str) -> str | None:
    """The newest revision that a git branch has. Raises ValueError for no such branch."""
    command = ["git", "ls-tree", "--name-only", ref, "alembic/versions/"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ValueError(f"{ref} is neither a revision nor a git branch")
    files = {Path(name).name for name in done.stdout.split()}
    for script in script_directory().walk_revisions():
        if Path(script.path).name in files:
            return script.revision
    return None


def revision_of_database() -> str | None:
    """Where the database is; None when it is empty or not there."""
    try:
        url = migration_url(load_settings(CoreSettings))
    except NoDatabaseError as error:
        stop(str(error))
    engine = sa.create_engine(url, connect_args={"connect_timeout": 2})
    try:
        with engine.connect() as connection:
            return next(iter(current_heads(connection)), None)
    except SQLAlchemyError:
        print("The database cannot be reached: showing every revision.", file=sys.stderr)
        return None
    finally:
        engine.dispose()


def pending(start: str | None) -> list[Script]:
    """The revisions after this one, the first that will run first."""
    return list(script_directory().iterate_revisions("head", start or "base"))[::-1]


def sql_of(script: Script) -> str:
    """The SQL that PostgreSQL is given for one revision; no server is asked."""
    config = alembic_config()
    config.output_buffer = io.StringIO()
    command.upgrade(config, f"{script.down_revision or 'base'}:{script.revision}", sql=True)
    return config.output_buffer.getvalue()


def risks_of(sql: str) -> list[Risk]:
    """What squawk says of some SQL."""
    squawk = Path(sys.executable).with_name("squawk")
    done = subprocess.run(
        [squawk, "--reporter", "json", "--exclude", ",".join(NOT_RISKS)],
        input=sql,
        capture_output=True,
        text=True,
        check=False,
    )
    lines = sql.splitlines()
    return [
        Risk(found["rule_name"], found["message"], lines[found["line"]].strip())
        for found in json.loads(done.stdout)
    ]


def report(script: Script) -> bool:
    """Print a revision with its risks; is there one that nobody has accepted?"""
    print(f"{script.revision}  {script.doc}")
    accepted = dict(ACCEPTS.findall(script.module.__doc__ or ""))
    refused = False
    for risk in risks_of(sql_of(script)):
        reason = accepted.get(risk.rule)
        print(f"      {'accepted' if reason else 'RISK'}: {risk.rule}: {risk.message}")
        print(f"        {risk.statement}")
        if reason:
            print(f"        because: {reason}")
        else:
            refused = True
    return refused


def main() -> int:
    parser = argparse.ArgumentParser(prog="plan", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--since", help="a revision, or a git branch")
    parser.add_argument("--all", action="store_true", help="every revision")
    parser.add_argument("--sql", action="store_true", help="print the SQL instead")
    arguments = parser.parse_args()
    known = {script.revision for script in script_directory().walk_revisions()}
    start = None
    if arguments.since in known:
        start = arguments.since
    elif arguments.since:
        try:
            start = newest_of(arguments.since)
        except ValueError as error:
            parser.error(str(error))
    elif not arguments.all:
        start = revision_of_database()
    if start is not None and start not in known:
        parser.error(f"the database is at {start}, which is not in alembic/versions")
    scripts = pending(start)
    if arguments.sql:
        for script in scripts:
            print(sql_of(script), end="")
        return 0
    print(f"Pending after {start or 'nothing'}: {len(scripts)}")
    refused = [script.revision for script in scripts if report(script)]
    if refused:
        print(
            f"\nCan hurt: {', '.join(refused)}. See docs/migrations.md for the way around each; "
            "or accept it in the revision's docstring: `Accepts RULE: reason`",
            file=sys.stderr,
        )
    return 1 if refused else 0


if __name__ == "__main__":
    with contextlib.suppress(BrokenPipeError):
        sys.exit(main())
