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
import json
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa
from alembic.util import CommandError
from sqlalchemy.exc import SQLAlchemyError

from app.core import ROOT
from app.core.db.engine import NoDatabaseError
from app.core.db.revisions import current_heads
from app.core.migrations.config import script_directory
from app.core.migrations.connection import migration_url
from app.core.migrations.sql import Pending, pending
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
COMMENT = re.compile(r"^--.*\n+", re.MULTILINE)
SAVEPOINT = re.compile(r"^(ROLLBACK TO|RELEASE)? ?SAVEPOINT .*$", re.MULTILINE)
ACCEPTS = re.compile(r"^ *Accepts ([a-z-]+): *(\S.*)$", re.MULTILINE)


@dataclass(frozen=True)
class Risk:
    rule: str
    message: str
    statement: str


def heads_of_branch(ref: str) -> set[str]:
    """The newest revisions that a git branch has. Raises ValueError for no such branch."""
    command = ["git", "ls-tree", "--name-only", ref, "alembic/versions/"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ValueError(f"{ref} is neither a revision nor a git branch")
    files = {Path(name).name for name in done.stdout.split()}
    scripts = [s for s in script_directory().walk_revisions() if Path(s.path).name in files]
    parents = {parent for script in scripts for parent in script._all_down_revisions}
    return {script.revision for script in scripts} - parents


def heads_of_database() -> set[str]:
    """Where the database is; nothing when it is empty or not there."""
    try:
        url = migration_url(load_settings(CoreSettings))
    except NoDatabaseError as error:
        stop(str(error))
    engine = sa.create_engine(url, connect_args={"connect_timeout": 2})
    try:
        with engine.connect() as connection:
            return current_heads(connection)
    except SQLAlchemyError:
        print("The database cannot be reached: showing every revision.", file=sys.stderr)
        return set()
    finally:
        engine.dispose()


def failures(revision: Pending) -> list[Risk]:
    """A new database, such as that of a test, cannot be migrated; and there is no SQL to read."""
    message = "This revision fails on an empty database."
    return [Risk("fails-when-empty", message, revision.failure)] if revision.failure else []


def early_commits(sql: str) -> list[Risk]:
    """The runner refuses to commit in the middle of a revision that has written something."""
    written: list[str] = []
    committed: list[str] = []
    in_transaction: list[str] | None = None
    # Before this line stands Alembic's own table. Recorded SQL has no such line.
    own = re.sub(r"\A.*^-- Running ", "BEGIN;\n-- ", sql, count=1, flags=re.M | re.S)
    for statement in map(str.strip, re.split(r";\n+", COMMENT.sub("", own))):
        if statement == "BEGIN":
            in_transaction = []
        elif statement == "COMMIT":
            committed, in_transaction = in_transaction or [], None
            written += committed
        elif in_transaction is not None and not statement.startswith("SELECT"):
            in_transaction.append(statement.partition("\n")[0])
    early = written[: len(written) - len(committed)] if written else []
    message = "This statement is committed before the others: put those that commit first."
    return [Risk("commits-in-the-middle", message, line) for line in early[:1]]


def risks_of(sql: str) -> list[Risk]:
    """What squawk says of some SQL."""
    squawk = Path(sys.executable).with_name("squawk")
    done = subprocess.run(
        [squawk, "--reporter", "json", "--exclude", ",".join(NOT_RISKS)],
        input=SAVEPOINT.sub("", sql),
        capture_output=True,
        text=True,
        check=False,
    )
    lines = sql.splitlines()
    return [
        Risk(found["rule_name"], found["message"], lines[found["line"]].strip())
        for found in json.loads(done.stdout)
    ]


def report(revision: Pending) -> bool:
    """Print a revision with its risks; is there one that nobody has accepted?"""
    script, sql = revision.script, revision.sql
    print(f"{script.revision}  {script.doc}")
    accepted = dict(ACCEPTS.findall(script.module.__doc__ or ""))
    refused = False
    for risk in [*failures(revision), *early_commits(sql), *risks_of(sql)]:
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
    parser.add_argument("--since", help="a revision, a label, or a git branch")
    parser.add_argument("--all", action="store_true", help="every revision")
    parser.add_argument("--sql", action="store_true", help="print the SQL instead")
    try:
        return run(parser, parser.parse_args())
    except (CommandError, NoDatabaseError) as error:
        stop(str(error))


def run(parser: argparse.ArgumentParser, arguments: argparse.Namespace) -> int:
    directory = script_directory()
    known = {script.revision for script in directory.walk_revisions()}
    start: set[str] = set()
    if arguments.since:
        try:
            start = {script.revision for script in directory.get_revisions(arguments.since)}
        except CommandError:  # it is none
            try:
                start = heads_of_branch(arguments.since)
            except ValueError as error:
                parser.error(str(error))
    elif not arguments.all:
        start = heads_of_database()
    if unknown := start - known:
        parser.error(f"the database is at {', '.join(unknown)}, which is not in alembic/versions")
    revisions = list(pending(start))
    if arguments.sql:
        for revision in revisions:
            print(revision.sql, end="")
            if revision.failure:
                print(revision.failure, file=sys.stderr)
        return int(any(revision.failure for revision in revisions))
    named = ", ".join(sorted(start)) or "nothing"
    print(f"Pending after {named}: {len(revisions)}")
    refused = [revision.script.revision for revision in revisions if report(revision)]
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
