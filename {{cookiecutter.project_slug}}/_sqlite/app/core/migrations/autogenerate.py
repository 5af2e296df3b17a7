"""What `alembic revision --autogenerate` writes: numbered revisions, in batch mode."""

import ast
import logging
from collections.abc import Iterable
from typing import Any, Literal

import sqlalchemy as sa
from alembic.autogenerate.api import AutogenContext
from alembic.operations.ops import (
    CreateIndexOp,
    DropIndexOp,
    MigrateOperation,
    MigrationScript,
    ModifyTableOps,
)
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy.dialects import sqlite
from sqlalchemy.sql.functions import FunctionElement

from app.core.migrations.errors import VERSIONS

log = logging.getLogger("alembic.autogenerate")

# How SQLite gives back what was written as sa.func.now(), sa.false() and sa.true().
NOW = {"CURRENT_TIMESTAMP", "(CURRENT_TIMESTAMP)"}
BOOLEANS = {"0": "sa.false()", "1": "sa.true()", "false": "sa.false()", "true": "sa.true()"}


def options(_: sa.MetaData) -> dict[str, Any]:
    """SQLite cannot alter most of a table: batch mode copies it."""
    return {"render_as_batch": True}


def render_item(kind: str, item: Any, _: AutogenContext) -> str | Literal[False]:
    """Write types and defaults in SQLAlchemy's words, never in SQLite's or SQLModel's."""
    if kind == "type":
        return render_type(item)
    if kind == "server_default" and isinstance(item, sa.DefaultClause):
        text = str(item.arg)
        if text in NOW or (isinstance(item.arg, FunctionElement) and item.arg.name == "now"):
            return "sa.func.now()"
        column = getattr(item, "column", None)
        if column is not None and isinstance(column.type, sa.Boolean):
            return BOOLEANS.get(text.lower(), False)
    return False


def render_type(item: Any) -> str | Literal[False]:
    """A type that is read back from a database loses its name; downgrades need it again."""
    match item:
        case sa.Enum():
            return f"sa.String(length={item.length})"  # enum_check holds the values
        case sa.types.TypeDecorator():
            return f"sa.{item.impl_instance!r}"
        case sa.DATETIME() | sqlite.DATETIME():
            return "sa.DateTime(timezone=True)"  # as SQLModel maps datetime
        case sa.CHAR(length=32) | sa.UUID():
            return "sa.Uuid()"
        case sa.BLOB():
            return "sa.LargeBinary()"
        case sqlite.JSON():
            return "sa.JSON()"
        case sa.DOUBLE_PRECISION():
            return "sa.Float()"
    return False


def include_object(
    item: Any, name: str | None, kind: str, reflected: bool, compare_to: Any
) -> bool:
    """Never drop a table that no revision made: it belongs to an extension, or to somebody else."""
    if kind == "table" and reflected and compare_to is None and name not in tables_of_revisions():
        log.warning("Table %s is in no model and in no revision: left alone", name)
        return False
    return True


def tables_of_revisions() -> set[str]:
    """The tables that the revisions create, or rename something to."""
    position = {"create_table": 0, "rename_table": 1}
    names = set()
    for path in VERSIONS.glob("*.py"):
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
    for operations in (script.upgrade_ops, script.downgrade_ops):
        if operations is not None:
            operations.ops = [plain for op in operations.ops for plain in unbatch(op)]


def is_check(context: MigrationContext, command: dict[str, Any]) -> bool:
    """`alembic check` comes by here too, without a message, and needs its empty directive."""
    options = context.config.cmd_opts if context.config else None
    return command["message"] is None and not getattr(options, "autogenerate", False)


def no_operations(script: MigrationScript) -> bool:
    return script.upgrade_ops is None or script.upgrade_ops.is_empty()


def unbatch(operation: MigrateOperation) -> list[MigrateOperation]:
    """Indexes need no batch mode, which is there for what SQLite cannot alter."""
    if isinstance(operation, ModifyTableOps) and all(
        isinstance(op, CreateIndexOp | DropIndexOp) for op in operation.ops
    ):
        return operation.ops
    return [operation]


def next_number(script: ScriptDirectory) -> str:
    """0001, 0002, …: the number after the highest."""
    numbers: Iterable[str] = (revision.revision for revision in script.walk_revisions())
    return f"{max((int(number) for number in numbers if number.isdigit()), default=0) + 1:04}"
