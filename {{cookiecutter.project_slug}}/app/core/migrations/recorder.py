"""Runs revisions on a scratch database, and writes down what they execute."""

import contextlib
import re
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.runtime.environment import EnvironmentContext
from alembic.runtime.migration import MigrationContext, RevisionStep
from alembic.script import Script, ScriptDirectory
from sqlalchemy import Connection, Engine, event

from app.core.db.scratch import scratch_database
from app.core.db.settings import parse_url
from app.core.migrations.config import alembic_config

HEAD = "-- {revision} cannot be written without a database. This ran on an empty one.\n\n"
# What SQLAlchemy and the operations ask for themselves: the schema, and where they are.
OWN_QUESTIONS = re.compile(
    r"\s*(SHOW\b|SELECT pg_current_xact_id_if_assigned"
    r"|(SELECT|WITH)\b.*(\bpg_catalog\.|\b(FROM|JOIN)\s+(pg_|information_schema)))",
    re.IGNORECASE | re.DOTALL,
)


class Recorder:
    """A scratch database, made when the first revision needs it."""

    def __init__(self, directory: ScriptDirectory) -> None:
        self.directory = directory
        self._scratch = contextlib.ExitStack()
        self._url: str | None = None

    def __enter__(self) -> "Recorder":
        return self

    def __exit__(self, *_: object) -> None:
        self._scratch.close()

    def record(self, script: Script, heads: set[str]) -> str:
        """Run a revision on the database, taken to `heads` first; returns what it executes.

        Raises whatever the revision raises, and NoDatabaseError.
        """
        url = self._url = self._url or self._scratch.enter_context(scratch_database())
        for head in sorted(heads):
            command.upgrade(alembic_config(url), head)
        engine = sa.create_engine(parse_url(url), poolclass=sa.NullPool)
        notes = Notes(engine)
        with engine.connect() as connection:
            driver = connection.connection.driver_connection
            assert isinstance(driver, psycopg.Connection)
            driver.cursor_factory = cursor_that(notes.add)
            config = alembic_config()
            config.attributes |= {"connection": connection, "is_recorded": True}
            run_step(config, self.directory, script, notes)
        statements = (f"{line};\n\n" for line in notes.lines)
        return HEAD.format(revision=script.revision) + "".join(statements)


class Notes:
    """What is executed while a step runs."""

    def __init__(self, engine: Engine) -> None:
        self.lines: list[str] = []
        self.is_open = False
        self._begun_at: int | None = None  # the line of the BEGIN of the open transaction
        event.listen(engine, "commit", self._commit)
        event.listen(engine, "rollback", self._rollback)

    def add(self, text: str, *, in_transaction: bool) -> None:
        if not self.is_open or OWN_QUESTIONS.match(text):
            return
        if in_transaction and self._begun_at is None:
            self._begun_at = len(self.lines)
            self.lines.append("BEGIN")
        self.lines.append(text.strip().rstrip(";"))

    def _commit(self, _: Connection) -> None:
        if self._begun_at is not None:
            self.lines.append("COMMIT")
        self._begun_at = None

    def _rollback(self, _: Connection) -> None:
        if self._begun_at is not None:
            del self.lines[self._begun_at :]
        self._begun_at = None


def cursor_that(note: Callable[..., None]) -> type[psycopg.ClientCursor[Any]]:
    """A cursor that notes what it has executed, with the values in it."""

    class NotingCursor(psycopg.ClientCursor[Any]):
        def execute(self, query: Any, params: Any = None, **options: Any) -> Any:
            text = self.mogrify(query, params)  # which forgets the rows of a query
            done = super().execute(query, params, **options)
            self._note(text)
            return done

        def executemany(self, query: Any, params_seq: Any, **options: Any) -> None:
            rows = list(params_seq)
            texts = [self.mogrify(query, row) for row in rows]
            super().executemany(query, rows, **options)
            for text in texts:
                self._note(text)

        def copy(self, statement: Any, params: Any = None, **options: Any) -> Any:
            text = self.mogrify(statement, params)
            self._note(f"-- {text}, with rows that only the revision has")
            return super().copy(statement, params, **options)

        def _note(self, text: str) -> None:
            note(text, in_transaction=not self.connection.autocommit)

    return NotingCursor


def run_step(
    config: Config,
    directory: ScriptDirectory,
    script: Script,
    notes: Notes | None = None,
    **options: Any,
) -> None:
    """Run one revision through env.py."""

    def steps(current: tuple[str, ...], context: MigrationContext) -> Iterator[RevisionStep]:
        # As `alembic upgrade` calls it, with a tuple; annotated is a str.
        for step in directory._upgrade_revs(script.revision, current):  # type: ignore[arg-type]
            if notes is None:
                yield step
                continue
            assert context.connection is not None
            context.connection.rollback()  # Alembic has looked where the database is
            notes.is_open = True
            yield step
            notes.is_open = False

    with EnvironmentContext(
        config, directory, fn=steps, destination_rev=script.revision, **options
    ):
        directory.run_env()
