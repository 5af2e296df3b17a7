"""The SQL of revisions, each by itself."""

import contextlib
import io
import sys
from collections.abc import Iterator
from dataclasses import dataclass

from alembic.script import Script, ScriptDirectory

from app.core.db.engine import NoDatabaseError
from app.core.migrations.config import alembic_config, script_directory
from app.core.migrations.errors import one_line
from app.core.migrations.recorder import Recorder, run_step


@dataclass(frozen=True)
class Pending:
    """A revision that a database does not have."""

    script: Script
    sql: str
    failure: str = ""  # why there is no SQL


def pending(heads: set[str]) -> Iterator[Pending]:
    """The revisions that a database at `heads` does not have, in their order.

    What cannot be written without a database, because it reads rows, say, is run on a scratch
    database. Raises NoDatabaseError when there is none.
    """
    directory = script_directory()
    have = set(heads)
    for head in heads:
        have |= {script.revision for script in directory.iterate_revisions(head, "base")}
    rest = [script for script in directory.walk_revisions() if script.revision not in have]
    heads = set(heads)
    with Recorder(directory) as recorder:
        for script in reversed(rest):
            with contextlib.redirect_stdout(sys.stderr):  # what a revision prints is not SQL
                one = look_at(directory, script, heads, recorder)
            yield one
            heads = heads - set(script._all_down_revisions) | {script.revision}


def look_at(
    directory: ScriptDirectory, script: Script, heads: set[str], recorder: Recorder
) -> Pending:
    with contextlib.suppress(Exception):  # whatever a revision raises that expects rows
        return Pending(script, sql_of(directory, script, heads))
    try:
        return Pending(script, recorder.record(script, heads))
    except NoDatabaseError:
        raise
    except Exception as error:  # or that finds none
        return Pending(
            script,
            f"-- {script.revision} has no SQL here: it reads the database, and fails on an empty "
            f"one.\n\n",
            one_line(error),
        )


def sql_of(directory: ScriptDirectory, script: Script, heads: set[str]) -> str:
    """The SQL that a database at `heads` is given for one revision; no server is asked."""
    config = alembic_config()
    config.output_buffer = io.StringIO()
    run_step(config, directory, script, as_sql=True, starting_rev=tuple(sorted(heads)) or None)
    return config.output_buffer.getvalue()
