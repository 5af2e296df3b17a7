"""What `alembic revision --autogenerate` writes: numbered revisions of plain operations."""

import ast
import logging
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal

import sqlalchemy as sa
from alembic.autogenerate.api import AutogenContext
from alembic.operations.ops import MigrationScript
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlmodel import SQLModel

from app.core.migrations.errors import VERSIONS

log = logging.getLogger("alembic.autogenerate")


def options(metadata: sa.MetaData) -> dict[str, Any]:
    """Look at the schemas that the models name, and at the default one."""
    schemas = {table.schema for table in metadata.tables.values()}

    def include_name(name: str | None, kind: str, _: Any) -> bool:
        return kind != "schema" or name is None or name in schemas

    return {"include_schemas": bool(schemas - {None}), "include_name": include_name}


def render_item(kind: str, item: Any, _: AutogenContext) -> str | Literal[False]:
    """Write types and defaults in SQLAlchemy's words, never in SQLModel's."""
    if kind == "type":
        match item:
            case sa.Enum(native_enum=False):
                return f"sa.String(length={item.length})"  # enum_check holds the values
            case sa.Interval():
                return False  # SQLAlchemy's own TypeDecorator
            case sa.types.TypeDecorator():
                return f"sa.{item.impl_instance!r}"
    if kind == "server_default" and isinstance(item, sa.DefaultClause) and str(item.arg) == "now()":
        return "sa.func.now()"
    return False


def include_object(
    item: Any, name: str | None, kind: str, reflected: bool, compare_to: Any
) -> bool:
    """Leave alone tables that no revision made, and columns that a later release drops."""
    if not reflected or compare_to is not None:
        return True
    if kind == "table" and name not in tables_of_revisions():
        # It belongs to an extension, or to somebody else.
        log.warning("Table %s is in no model and in no revision: left alone", name)
        return False
    return kind != "column" or name not in ignored_columns(item.table)


def ignored_columns(table: sa.Table) -> list[str]:
    """Columns that the model says are still in the database: `info={"ignored_columns": [...]}`."""
    model = SQLModel.metadata.tables.get(table.key)
    return [] if model is None else model.info.get("ignored_columns", [])


def tables_of_revisions() -> set[str]:
    """The tables that the revisions create, or rename something to."""
    position = {"create_table": 0, "rename_table": 1}
    names = set()
    for path in Path(VERSIONS).glob("*.py"):
        for node in ast.walk(ast.parse(path.read_bytes())):
            match node:
                case ast.Call(func=ast.Attribute(attr=operation)) if operation in position:
                    name = node.args[position[operation]]
                    if isinstance(name, ast.Constant):
                        names.add(str(name.value))
    return names


def process_revision_directives(
    context: MigrationContext, _: Any, directives: list[MigrationScript]
) -> None:
    """Number the revision, or write none where nothing changed."""
    command: dict[str, Any] = context.opts["revision_context"].command_args
    script = directives[0]
    if command["autogenerate"] and no_operations(script) and not is_check(context, command):
        log.info("The models and the database agree: no revision is written")
        directives.clear()
        return
    if command["rev_id"] is None:
        script.rev_id = next_number(context.opts["script"])


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
