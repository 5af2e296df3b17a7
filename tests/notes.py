"""A second model for a rendered project: a note, which has something of everything."""

from pathlib import Path

from tests.project import Project

NOTE = """
import uuid
from datetime import date, datetime, time
from decimal import Decimal
from enum import StrEnum
from typing import Any

import sqlalchemy as sa
from sqlmodel import Field

from app.core.db.base import TableBase, enum_check, enum_type


class Color(StrEnum):
    red = "red"
    blue = "it's blue"


class Note(TableBase, table=True):
    __table_args__ = (
        enum_check("color", Color),
        sa.UniqueConstraint("text", "flag"),
        sa.CheckConstraint("amount > 0", name="amount_positive"),
    )
    text: str = Field(max_length=100, index=True)
    long: str
    flag: bool = Field(default=False, sa_column_kwargs={"server_default": sa.false()})
    amount: Decimal = Field(max_digits=10, decimal_places=2)
    ratio: float
    count: int = Field(default=3, sa_column_kwargs={"server_default": "3"})
    day: date
    at: time
    seen: datetime | None = None
    key: uuid.UUID = Field(default_factory=uuid.uuid4)
    raw: bytes
    data: dict[str, Any] = Field(sa_type=sa.JSON)
    color: Color = Field(sa_type=enum_type(Color), sa_column_kwargs={"server_default": "red"})
    task_id: int = Field(foreign_key="task.id", ondelete="CASCADE", sa_type=sa.BigInteger)
"""


def write_model(project: Project, text: str) -> Path:
    """Put a feature `notes` with this models.py into the project; returns the file."""
    folder = project.root / "app/notes"
    folder.mkdir(exist_ok=True)
    (folder / "__init__.py").touch()
    (folder / "models.py").write_text(text, "utf-8")
    return folder / "models.py"


def migration(project: Project, message: str, **variables: str) -> str:
    """What `make migration` runs; returns the text of the revision, empty if there is none."""
    before = set(project.root.glob("alembic/versions/*.py"))
    module = ("-m", "app.core.migrations.scratch")
    done = project.run(*module, "revision", "--autogenerate", "-m", message, **variables)
    assert done.returncode == 0, done.stdout + done.stderr
    new = set(project.root.glob("alembic/versions/*.py")) - before
    return new.pop().read_text("utf-8") if new else ""
