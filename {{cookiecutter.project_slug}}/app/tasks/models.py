"""A task: its table, its input and its output."""

from enum import StrEnum
from typing import Annotated

import sqlalchemy as sa
from pydantic import StringConstraints
from sqlmodel import Field, SQLModel

from app.core.db.base import (
    TableBase,
    TableBasePublic,
    UpdateBase,
    enum_check,
    enum_type,
    left_out,
)


class TaskStatus(StrEnum):
    todo = "todo"
    in_progress = "in_progress"
    done = "done"


# Not blank, and without NUL.
Title = Annotated[
    str, StringConstraints(min_length=1, max_length=200, pattern=r"^[^\x00]*[^\x00\s][^\x00]*$")
]


class TaskBase(SQLModel):
    title: Title = Field(max_length=200, schema_extra={"examples": ["Water the plants"]})
    status: TaskStatus = TaskStatus.todo


class Task(TaskBase, TableBase, table=True):
    __table_args__ = (enum_check("status", TaskStatus), sa.Index(None, "status", "id"))

    status: TaskStatus = Field(
        default=TaskStatus.todo,
        sa_type=enum_type(TaskStatus),
        sa_column_kwargs={"server_default": TaskStatus.todo.value},
    )


class TaskCreate(TaskBase):
    pass


class TaskUpdate(UpdateBase):
    title: Title = left_out()
    status: TaskStatus = left_out()


class TaskPublic(TaskBase, TableBasePublic):
    pass
