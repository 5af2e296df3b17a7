"""The base of every table, and helpers for its columns."""

import hashlib
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Any

import sqlalchemy as sa
from pydantic import StringConstraints
from sqlmodel import Field, SQLModel

from app.core.db.ids import IdType

# Without a name a constraint cannot be dropped later. This stands before any model is loaded.
SQLModel.metadata.naming_convention = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}


# Text without NUL, which programs and databases cut off or refuse.
Text = Annotated[str, StringConstraints(pattern=r"^[^\x00]*$")]


def utc_now() -> datetime:
    return datetime.now(UTC)


def time_of_creation(context: Any) -> Any:
    """`created_at` of the same row, so that both times are equal at creation."""
    return context.get_current_parameters()["created_at"]


class TableBase(SQLModel):
    """An id and two times in UTC, which are also set when a row is written by SQL alone."""

    id: int | None = Field(default=None, primary_key=True, sa_type=IdType)
    created_at: datetime = Field(
        default=None,
        nullable=False,
        sa_column_kwargs={"default": utc_now, "server_default": sa.func.now()},
    )
    updated_at: datetime = Field(
        default=None,
        nullable=False,
        sa_column_kwargs={
            "default": time_of_creation,
            "onupdate": utc_now,
            "server_default": sa.func.now(),
        },
    )


class TableBasePublic(SQLModel):
    """Response fields every table shares."""

    id: int
    created_at: datetime
    updated_at: datetime


class UpdateBase(SQLModel):
    """The body of a PATCH. A field that is left out stays as it is; unknown ones are refused."""

    model_config = {"extra": "forbid"}


def left_out() -> Any:
    """The default of a field of `UpdateBase` that may be left out, but not be null."""
    # A factory: a plain default would be shown to clients as a value that they may send.
    return Field(default_factory=lambda: None)


def enum_type(values: type[StrEnum]) -> sa.Enum:
    """The column type of an enum: its values as text, which `enum_check` limits.

    A native enum type outlives a downgrade and cannot lose a value.
    """
    return sa.Enum(
        values,
        native_enum=False,
        create_constraint=False,
        length=50,
        values_callable=lambda members: [member.value for member in members],
    )


def enum_check(column: str, values: type[StrEnum]) -> sa.CheckConstraint:
    """The CHECK that goes with `enum_type`, in the table's `__table_args__`.

    Alembic compares checks by their names, so the name carries a digest of the values.
    """
    listed = ", ".join("'" + member.value.replace("'", "''") + "'" for member in values)
    digest = hashlib.sha256(listed.encode()).hexdigest()[:8]
    return sa.CheckConstraint(f"{column} IN ({listed})", name=f"{column}_{digest}")
