"""How operations, types and SQL are written into a revision."""

import re
from collections.abc import Sequence
from typing import Any, Literal

import sqlalchemy as sa
from alembic.autogenerate.api import AutogenContext
from alembic.autogenerate.render import _repr_type, render_op, renderers
from alembic.ddl import postgresql as ddl
from alembic.operations.ops import MigrateOperation
from sqlalchemy.dialects import postgresql

from app.core.migrations.compare.statements import statements

# What sa.text() takes for a parameter.
PARAMETER = re.compile(r"(?<![:\w\\]):(?=\w+(?!:))")


class Change(MigrateOperation):
    """A step of the upgrade, and the step of the downgrade that undoes it."""

    def __init__(
        self,
        context: AutogenContext,
        up: Sequence[MigrateOperation],
        down: Sequence[MigrateOperation],
    ) -> None:
        self.context, self.up, self.down = context, up, down

    def reverse(self) -> "Change":
        return Change(self.context, self.down, self.up)

    def to_diff_tuple(self) -> tuple[Any, ...]:
        """What `alembic check` prints: statements that would close the difference."""
        by_hand = [f"by hand: {step.text}" for step in self.up if isinstance(step, ByHand)]
        return (*statements(render_change(self.context, self)), *by_hand)


class Sql(MigrateOperation):
    """A statement for which Alembic has no operation."""

    def __init__(self, text: str) -> None:
        self.text = text


class ByHand(MigrateOperation):
    """What cannot be written: the statement, or what it has to do."""

    def __init__(self, text: str) -> None:
        self.text = text


class RenameTable(MigrateOperation):
    """Alembic has this operation, but does not write it."""

    def __init__(self, old: str, new: str) -> None:
        self.old, self.new = old, new


@renderers.dispatch_for(RenameTable)
def render_rename(_: AutogenContext, operation: RenameTable) -> str:
    return f"op.rename_table({operation.old!r}, {operation.new!r})"


@renderers.dispatch_for(Change)
def render_change(context: AutogenContext, change: Change) -> list[str]:
    return [line for operation in change.up for line in render_op(context, operation)]


@renderers.dispatch_for(ByHand)
def render_by_hand(_: AutogenContext, __: ByHand) -> list[str]:
    return []


@renderers.dispatch_for(Sql)
def render_sql(_: AutogenContext, sql: Sql) -> str:
    lines = escape(sql.text).splitlines(keepends=True)
    return f"op.execute({' '.join(map(repr, lines))})"


class PostgresqlImpl(ddl.PostgresqlImpl):
    """Writes expressions into a revision as sa.text() reads them."""

    __dialect__ = "postgresql"

    def render_ddl_sql_expr(
        self,
        expr: sa.ClauseElement,
        is_server_default: bool = False,
        is_index: bool = False,
        **options: Any,
    ) -> str:
        sql = super().render_ddl_sql_expr(expr, is_server_default, is_index, **options)
        if self.dialect.paramstyle in ("format", "pyformat"):
            sql = sql.replace("%%", "%")
        return sql if is_index else escape(sql)  # an index has sa.literal_column()


def render_item(kind: str, item: Any, context: AutogenContext) -> str | Literal[False]:
    """Write types and defaults in SQLAlchemy's words, never in SQLModel's."""
    match kind, item:
        case "type", sa.Enum(native_enum=False):
            return f"sa.String(length={item.length})"  # enum_check holds the values
        case "type", sa.Enum() if isinstance(item.name, str):
            # The type is made and dropped by statements of its own.
            context.imports.add("from sqlalchemy.dialects import postgresql")
            values = "".join(f"{value!r}, " for value in item.enums)
            schema = f", schema={item.schema!r}" if item.schema else ""
            return f"postgresql.ENUM({values}name={str(item.name)!r}{schema}, create_type=False)"
        case "type", postgresql.DOMAIN():
            context.imports.add("from sqlalchemy.dialects import postgresql")
            of = _repr_type(item.data_type, context)
            return f"postgresql.DOMAIN({str(item.name)!r}, {of}, create_type=False)"
        case "type", sa.types.TypeDecorator() if not is_of_sqlalchemy(item):
            return _repr_type(item.load_dialect_impl(context.dialect), context)
        case "type", postgresql.JSONB():
            context.imports.add("from sqlalchemy.dialects import postgresql")
            return "postgresql.JSONB()"
        case "server_default", sa.DefaultClause(arg=str()):
            return repr(item.arg)
        case "server_default", sa.DefaultClause() if str(item.arg) == "now()":
            return "sa.func.now()"
    return False


def is_of_sqlalchemy(type_: Any) -> bool:
    return type(type_).__module__.startswith("sqlalchemy.")


def escape(sql: str) -> str:
    r"""Text in which sa.text() finds no parameter: `'\:x'` for `':x'`."""
    return PARAMETER.sub(r"\\:", sql)


def statement(sql: str) -> sa.TextClause:
    return sa.text(escape(sql))


def literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
