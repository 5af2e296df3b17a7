"""Keyset pages: a cursor is the last id seen, so that a page costs the same at any depth."""

import base64
import binascii
from typing import Annotated

from fastapi import Depends, Query
from fastapi.exceptions import RequestValidationError

from app.database import MAX_ID

LimitQuery = Annotated[int, Query(ge=1, le=100, description="How many at most.")]


def encode_cursor(last_id: int) -> str:
    return base64.urlsafe_b64encode(f"id:{last_id}".encode()).decode()


def decode_cursor(cursor: str) -> int:
    """Raises ValueError for what `encode_cursor` cannot have written."""
    try:
        last_id = int(base64.urlsafe_b64decode(cursor).decode("ascii").removeprefix("id:"))
    except (binascii.Error, UnicodeError) as error:
        raise ValueError("not a cursor") from error
    if encode_cursor(last_id) != cursor or not 1 <= last_id <= MAX_ID:
        raise ValueError("not a cursor")
    return last_id


# async, though it waits for nothing: FastAPI runs any other in a thread.
async def get_last_id(
    cursor: Annotated[
        str | None, Query(max_length=64, description="`next_cursor` of the page before.")
    ] = None,
) -> int:
    """The greatest id that the page may hold."""
    if cursor is None:
        return MAX_ID
    try:
        return decode_cursor(cursor) - 1
    except ValueError:
        fault = {
            "type": "cursor",
            "loc": ("query", "cursor"),
            "msg": "Cursor should be the next_cursor of another page",
        }
        raise RequestValidationError([fault]) from None


LastIdDep = Annotated[int, Depends(get_last_id)]
