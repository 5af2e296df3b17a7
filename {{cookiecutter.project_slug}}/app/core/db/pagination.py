"""Keyset pagination: the cursor is the last id seen, so that each page costs the same."""

from typing import Annotated, Generic, TypeVar

from fastapi import Depends, Query
from pydantic import BaseModel, Field

from app.core.db.ids import MAX_ID

T = TypeVar("T")

LimitQuery = Annotated[int, Query(ge=1, le=100, description="How many at most.")]

# Hexadecimal, from 1 to MAX_ID: no text that has this form is a wrong cursor.
CURSOR = r"^([1-9a-f][0-9a-f]{0,14}|[1-7][0-9a-f]{15})$"
CursorQuery = Annotated[
    str | None, Query(pattern=CURSOR, description="`next_cursor` of the page before.")
]


class Page(BaseModel, Generic[T]):
    """Records, newest first, and the cursor of the next page."""

    items: list[T]
    next_cursor: str | None = Field(
        default=None, description="Give this as `cursor` for the next page; null on the last."
    )


def encode_cursor(last_id: int) -> str:
    return f"{last_id:x}"


# async, although it awaits nothing: FastAPI runs a plain function in a thread.
async def get_last_id(cursor: CursorQuery = None) -> int:
    """The greatest id that the page may hold."""
    return MAX_ID if cursor is None else int(cursor, 16) - 1


LastIdDep = Annotated[int, Depends(get_last_id)]
