"""Takes a project through changes of its models, by a revision for each, as a user would."""

import json
import shutil
import subprocess
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from tests import model_cases
from tests.project import Databases, Project

# A description of all that is in a database: (table, thing, what PostgreSQL says of it).
DESCRIPTION = """
WITH tables AS (
    SELECT c.oid, relname, concat_ws('.', nullif(nspname, 'public'), relname) AS name
    FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace
    WHERE relkind = 'r' AND nspname !~ '^pg_|^information_schema' AND relname <> 'alembic_version'
)
SELECT relname, name || '.' || attname, concat_ws(' ',
    format_type(atttypid, atttypmod), 'collation', attcollation::regcollation,
    'not null', attnotnull, 'generated', attgenerated, 'identity', attidentity,
    'default', pg_get_expr(adbin, adrelid), 'comment', col_description(attrelid, attnum),
    (SELECT (seqtypid::regtype, seqstart, seqincrement, seqmax, seqmin, seqcache, seqcycle)
    FROM pg_sequence WHERE seqrelid = pg_get_serial_sequence(
        attrelid::regclass::text, attname)::regclass))
FROM tables JOIN pg_attribute ON attrelid = oid
LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
WHERE attnum > 0 AND NOT attisdropped
UNION ALL
SELECT relname, 'constraint ' || conname, pg_get_constraintdef(k.oid)
FROM tables JOIN pg_constraint k ON conrelid = tables.oid WHERE contype <> 'n'
UNION ALL
SELECT relname, 'index ' || indexrelid::regclass, pg_get_indexdef(indexrelid)
FROM tables JOIN pg_index ON indrelid = oid
UNION ALL
SELECT relname, 'table ' || name, coalesce(obj_description(oid, 'pg_class'), '') FROM tables
UNION ALL
SELECT '', 'type ' || t.oid::regtype, string_agg(enumlabel, ', ' ORDER BY enumsortorder)
FROM pg_type t JOIN pg_enum ON enumtypid = t.oid GROUP BY t.oid
UNION ALL
SELECT '', 'sequence ' || oid::regclass, '' FROM pg_class WHERE relkind = 'S'
"""
# In the project's environment: each revision up, down and up; what is there before and after each.
WALK = """
import json, os, sys
import psycopg
from alembic import command
from app.core.migrations.config import alembic_config

def look():
    with psycopg.connect(os.environ["DATABASE_URL"]) as connection:
        return connection.execute(sys.argv[1]).fetchall()

config = alembic_config()
command.upgrade(config, "0001")
for revision in sys.argv[2:]:
    seen = [look()]
    for step in (command.upgrade, revision), (command.downgrade, "-1"), (command.upgrade, revision):
        step[0](config, step[1])
        seen.append(look())
    print(json.dumps(seen))
"""
# In the project's environment: what SQLAlchemy makes of the models; `make check-migrations`, and
# `make migration` again.
SETTLE = """
import json, os, sys
import sqlalchemy as sa
from app.core.db.settings import parse_url
from app.core.migrations import scratch
from app.core.migrations.config import target_metadata

metadata = target_metadata()
with sa.create_engine(parse_url(os.environ["DATABASE_URL"])).begin() as connection:
    for line in sys.argv[2:]:
        connection.exec_driver_sql(line)
    metadata.create_all(connection)
    rows = connection.connection.cursor().execute(sys.argv[1]).fetchall()
scratch.main(["check"])
scratch.main(["revision", "--autogenerate", "-m", "nothing"])
print(json.dumps(rows))
"""
# In the project's environment: the newest revision runs on rows of the models before; the models
# write rows; it is undone and done again with those. What was lost, what failed in each table.
ROWS = """
import json, os, sys
from alembic import command
from app.core.db.settings import parse_url
from app.core.migrations.config import alembic_config, target_metadata

url, config = os.environ["DATABASE_URL"], alembic_config()
engine = sa.create_engine(parse_url(url), poolclass=sa.NullPool)
target_metadata()
there, remain = map(set, map(json.loads, sys.argv[1:]))
command.upgrade(config, "head")
lost = short_of_rows(engine, there)
empty(engine, set())
failed = write_all(engine)
empty(engine, there | remain)
if there:
    command.downgrade(config, "-1")
    command.upgrade(config, "head")
    lost += short_of_rows(engine, there)
empty(engine, remain)
print(json.dumps([lost, failed]))
"""
MODEL_ROWS = Path(__file__).parent.joinpath("in_project/rows_through_models.py").read_text("utf-8")

Description = dict[tuple[str, str], str]


@dataclass
class Stage:
    """A change of the models: what was written, and what it does to a database."""

    name: str
    revision: str = ""
    said: str = ""
    wanted: Description = field(default_factory=dict)
    before: Description = field(default_factory=dict)
    after: Description = field(default_factory=dict)
    restored: Description = field(default_factory=dict)
    again: Description = field(default_factory=dict)
    # What failed when the models wrote rows, by table; and the tables that lost rows on the way.
    rows: dict[str, str] = field(default_factory=dict)
    lost: list[str] = field(default_factory=list)


def described(rows: list[list[str]]) -> Description:
    return {(table, thing): said for table, thing, said in rows}


def write_models(project: Project, text: str) -> Path:
    folder = project.root / "app/notes"
    folder.mkdir(exist_ok=True)
    (folder / "__init__.py").touch()
    (folder / "models.py").write_text(text, "utf-8")
    return folder / "models.py"


def scratch(
    project: Project, server: str, *arguments: str, **variables: str
) -> "subprocess.CompletedProcess[str]":
    command = ["-m", "app.core.migrations.scratch", *arguments]
    return project.run(*command, TEST_DATABASE_URL=server, **variables)


def alembic(project: Project, url: str, *commands: str) -> None:
    """Run commands of Alembic in one process, as its command line does."""
    script = "import sys; from alembic.config import main; [main(x.split()) for x in sys.argv[1:]]"
    done = project.run("-c", script, *commands, url=url)
    assert done.returncode == 0, done.stdout + done.stderr


def revisions_of(project: Project) -> list[Path]:
    return sorted(project.root.glob("alembic/versions/*.py"))


def migration(project: Project, server: str, message: str, **variables: str) -> str:
    """What `make migration` runs; returns the text of the revision."""
    before = revisions_of(project)
    done = scratch(project, server, "revision", "--autogenerate", "-m", message, **variables)
    assert done.returncode == 0, done.stdout + done.stderr
    [new] = set(revisions_of(project)) - set(before)
    return new.read_text("utf-8")


def take_through(
    project: Project,
    databases: Databases,
    cases: Callable[[int], dict[str, str]],
    lines: Iterable[str],
    kept: Iterable[str] = (),
) -> list[Stage]:
    """Add the models of these cases, change them, drop them: each by a revision of its own.

    `lines` run before the models are built without revisions; `kept` are tables whose rows stay.
    """
    assert databases.server is not None
    stages = [Stage("add"), Stage("change"), Stage("drop")]
    with_rows = databases.create()
    for number, stage in enumerate(stages):
        if stage.name == "drop":
            shutil.rmtree(project.root / "app/notes")
        else:
            write_models(project, model_cases.models(cases(number)))
        stage.revision = migration(project, databases.server, f"{stage.name} notes")
        settle(project, databases, stage, lines)
        assert len(revisions_of(project)) == number + 2, "a second migration wrote a revision"
        write_rows(project, with_rows, stage, sorted(kept))
    walk(project, databases.create(), stages)
    return stages


def settle(project: Project, databases: Databases, stage: Stage, lines: Iterable[str]) -> None:
    variables = {"url": databases.create(), "TEST_DATABASE_URL": str(databases.server)}
    done = project.run("-c", SETTLE, DESCRIPTION, *lines, **variables)
    assert done.returncode == 0, done.stdout + done.stderr
    stage.wanted = described(json.loads(done.stdout.splitlines()[-1]))
    stage.said = done.stdout + done.stderr


def write_rows(project: Project, url: str, stage: Stage, kept: list[str]) -> None:
    """Rows that are written while the models are added run through their change."""
    arguments = [kept if stage.name == name else [] for name in ("change", "add")]
    done = project.run("-c", MODEL_ROWS + ROWS, *map(json.dumps, arguments), url=url)
    assert done.returncode == 0, done.stdout + done.stderr
    stage.lost, stage.rows = json.loads(done.stdout.splitlines()[-1])


def walk(project: Project, url: str, stages: list[Stage]) -> None:
    """Take an empty database up, down and up, a revision at a time."""
    done = project.run("-c", WALK, DESCRIPTION, "0002", "0003", "0004", url=url)
    assert done.returncode == 0, done.stdout + done.stderr
    for stage, line in zip(stages, done.stdout.splitlines(), strict=True):
        stage.before, stage.after, stage.restored, stage.again = map(described, json.loads(line))


def differences(stages: list[Stage], of: Callable[[tuple[str, str]], bool]) -> list[str]:
    """Where a database is not what it should be, in the things that are asked for."""
    found = []
    for stage in stages:
        for what, should, there in (
            ("upgrade", stage.wanted, stage.after),
            ("downgrade", stage.before, stage.restored),
            ("second upgrade", stage.after, stage.again),
        ):
            for key in filter(of, sorted(should.keys() | there.keys())):
                if should.get(key) != there.get(key):
                    found.append(
                        f"{stage.name}, {what}: {key[1]}\n"
                        f"  should be: {should.get(key)}\n  is:        {there.get(key)}"
                    )
    return found
