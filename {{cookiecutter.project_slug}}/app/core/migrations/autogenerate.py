"""What `alembic revision --autogenerate` writes: numbered revisions of plain operations."""

import ast
import logging
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from alembic.operations.ops import MigrationScript
from alembic.runtime.migration import MigrationContext
from alembic.runtime.plugins import Plugin
from alembic.script import ScriptDirectory
from sqlmodel import SQLModel

from app.core.migrations.compare import compare
from app.core.migrations.compare.render import ByHand, render_item
from app.core.migrations.errors import VERSIONS

__all__ = ["include_object", "options", "process_revision_directives", "render_item"]

log = logging.getLogger("alembic.autogenerate")

# Alembic refuses a second plugin of the same name, as when this module is loaded again.
PLUGIN = Plugin(f"{compare.__module__}_{id(compare)}")
PLUGIN.add_autogenerate_comparator(compare, "autogenerate")


def options(_: sa.MetaData) -> dict[str, Any]:
    """Compare in place of Alembic: app/core/migrations/compare."""
    return {"autogenerate_plugins": [PLUGIN.name]}


def include_object(
    item: Any, name: str | None, kind: str, reflected: bool, compare_to: Any
) -> bool:
    """Leave alone tables that no revision made, and columns that a later release drops."""
    if not reflected or compare_to is not None:
        return True
    if kind == "table":
        known = tables_of_revisions()
        if (item.schema, name) not in known:
            # It belongs to an extension, or to somebody else.
            if item.schema in {schema for schema, _ in known}:
                log.warning("Table %s is in no model and in no revision: left alone", name)
            return False
    return kind != "column" or name not in ignored_columns(item.table)


def ignored_columns(table: sa.Table) -> list[str]:
    """Columns that the model says are still in the database: `info={"ignored_columns": [...]}`."""
    model = SQLModel.metadata.tables.get(table.key)
    return [] if model is None else model.info.get("ignored_columns", [])


def tables_of_revisions() -> set[tuple[str | None, str]]:
    """The tables that the revisions create, or rename something to, with their schemas."""
    texts = (path.read_bytes() for path in Path(VERSIONS).glob("*.py"))
    return set().union(*map(tables_of, texts))


@cache
def tables_of(revision: bytes) -> set[tuple[str | None, str]]:
    position = {"create_table": 0, "rename_table": 1}
    tables: set[tuple[str | None, str]] = set()
    for node in ast.walk(ast.parse(revision)):
        match node:
            case ast.Call(func=ast.Attribute(attr=operation)) if operation in position:
                schemas = [key.value for key in node.keywords if key.arg == "schema"]
                match [node.args[position[operation]], *schemas]:
                    case [ast.Constant(name)] | [ast.Constant(name), ast.Constant("public")]:
                        tables.add((None, str(name)))
                    case [ast.Constant(name), ast.Constant(schema)]:
                        tables.add((str(schema) if schema else None, str(name)))
    return tables


def process_revision_directives(
    context: MigrationContext, _: Any, directives: list[MigrationScript]
) -> None:
    """Number the revision, or write none where nothing changed."""
    command: dict[str, Any] = context.opts["revision_context"].command_args
    script = directives[0]
    said = is_check(context, command) or say_by_hand(script)
    if command["autogenerate"] and no_operations(script) and not is_check(context, command):
        agree = "Nothing else differs" if said else "The models and the database agree"
        log.info("%s: no revision is written", agree)
        directives.clear()
        return
    if command["rev_id"] is None:
        script.rev_id = next_number(context.opts["script"])


def say_by_hand(script: MigrationScript) -> bool:
    """Log what cannot be written, in place of an operation; was there anything?"""
    changes: list[Any] = script.upgrade_ops.ops if script.upgrade_ops else []
    texts = {id(change): step.text for change in changes for step in by_hand_steps(change)}
    for text in texts.values():
        log.warning("Write this by hand: %s", text)
    changes[:] = [change for change in changes if id(change) not in texts]
    return bool(texts)


def by_hand_steps(change: Any) -> list[ByHand]:
    return [step for step in change.up if isinstance(step, ByHand)]


def is_check(context: MigrationContext, command: dict[str, Any]) -> bool:
    """`alembic check` comes by here too, without a message, and needs its empty directive."""
    options = context.config.cmd_opts if context.config else None
    return command["message"] is None and not getattr(options, "autogenerate", False)


def no_operations(script: MigrationScript) -> bool:
    return script.upgrade_ops is None or script.upgrade_ops.is_empty()


def next_number(script: ScriptDirectory) -> str:
    """0001, 0002, …: the number after the highest."""
    numbers: Iterable[str] = (revision.revision for revision in script.walk_revisions())
    return f"{max((int(number) for number in numbers if number.isdigit()), default=0) + 1:04}"
