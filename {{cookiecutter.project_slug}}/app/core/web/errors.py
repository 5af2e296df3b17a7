"""Errors, in FastAPI's shape: `{"detail": …}`."""

import logging
from collections.abc import Sequence
from typing import Annotated, Any, TypeVar

from fastapi import FastAPI, HTTPException, Path, Request, status
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from sqlalchemy.exc import (
    DBAPIError,
    IntegrityError,
    InterfaceError,
    OperationalError,
)
from starlette.middleware.errors import ServerErrorMiddleware
from starlette.routing import Match

from app.core.db.engine import timed_out
from app.core.db.ids import MAX_ID
from app.core.db.pool import QueueFullError
from app.core.db.violations import VALUE_ERRORS, violation_of

T = TypeVar("T")
log = logging.getLogger(__name__)

RETRY_AFTER_SECONDS = 5
UNREACHABLE = "The database cannot be reached."
IdPath = Annotated[int, Path(ge=1, le=MAX_ID, description="The id of the record.", examples=[1])]
UNAVAILABLE_ERRORS: tuple[type[Exception], ...] = (
    OperationalError,
    InterfaceError,
    QueueFullError,
)
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
BUSY = "Too many requests wait for the database."


Responses = dict[int | str, dict[str, Any]]


class Error(BaseModel):
    """What went wrong, for people to read."""

    detail: str


class FieldError(BaseModel):
    """One field that cannot have the value."""

    type: str = Field(examples=["unique"])
    loc: list[str | int] = Field(examples=[["body", "email"]])
    msg: str


class Conflict(BaseModel):
    """The request conflicts with another record."""

    detail: list[FieldError]


NOT_FOUND: Responses = {404: {"model": Error, "description": "There is no such record."}}
CONFLICT: Responses = {
    409: {"model": Conflict, "description": "The request conflicts with another record."}
}
BAD_BODY: Responses = CONFLICT | {
    400: {"model": Error, "description": "The body is not text in UTF-8."},
    413: {"model": Error, "description": "The body is too large."},
}
UNAVAILABLE: Responses = {
    503: {"model": Error, "description": "The database is away or busy; try again later."}
}


def or_404(record: T | None) -> T:
    """The record, or 404 when there is none."""
    if record is None:
        raise HTTPException(status.HTTP_404_NOT_FOUND, "There is no such record.")
    return record


def invalid_request(_: Request, error: Exception) -> JSONResponse:
    """Says what is wrong and where. Leaves out the input: it may be huge, no JSON, or secret."""
    assert isinstance(error, RequestValidationError)
    detail = [{key: item[key] for key in ("type", "loc", "msg")} for item in error.errors()]
    return JSONResponse({"detail": detail}, status_code=422)


def method_not_allowed(request: Request, _: Exception) -> JSONResponse:
    """Name every method that the path has; Starlette names those of one function only."""
    allowed = [
        method
        for method in METHODS
        if any(
            route.matches({**request.scope, "method": method})[0] is Match.FULL
            for route in request.app.routes
        )
    ]
    return JSONResponse(
        {"detail": "Method Not Allowed"}, status_code=405, headers={"Allow": ", ".join(allowed)}
    )


def integrity_error(_: Request, error: Exception) -> JSONResponse:
    """409 for a conflict with another record, 422 for a value that is wrong by itself."""
    assert isinstance(error, IntegrityError)
    violation = violation_of(error)
    return fields_response(
        409 if violation.is_conflict else 422, violation.kind, violation.message, violation.fields
    )


def data_error(_: Request, __: Exception) -> JSONResponse:
    """A number that is too large for its column, NUL in a text, and the like."""
    return fields_response(422, "value_error", "A value does not fit its column.", ())


def fields_response(
    status_code: int, kind: str, message: str, fields: Sequence[str]
) -> JSONResponse:
    places = [["body", field] for field in fields] or [["body"]]
    detail = [{"type": kind, "loc": place, "msg": message} for place in places]
    return JSONResponse({"detail": detail}, status_code=status_code)


def database_unavailable(_: Request, error: Exception) -> JSONResponse:
    if isinstance(error, DBAPIError):
        log.error("The database: %s", " ".join(str(error.orig).split()))
    busy = isinstance(error, QueueFullError) or (isinstance(error, DBAPIError) and timed_out(error))
    return JSONResponse(
        {"detail": BUSY if busy else UNREACHABLE},
        status_code=503,
        headers={"Retry-After": str(RETRY_AFTER_SECONDS)},
    )


def body_too_large(limit: int) -> HTTPException:
    """The rest of the body is not read, so the connection cannot be used again."""
    return HTTPException(
        413, f"The body has more than {limit} bytes.", headers={"Connection": "close"}
    )


def internal_error(_: Request, __: Exception) -> JSONResponse:
    """An error of ours: uvicorn logs it, under the id that goes out in X-Request-ID."""
    return JSONResponse({"detail": "Internal server error."}, status_code=500)


def add_error_handlers(app: FastAPI) -> None:
    # As a handler of Exception it would answer past all other middleware: no headers, no CORS.
    app.add_middleware(ServerErrorMiddleware, handler=internal_error)
    app.add_exception_handler(RequestValidationError, invalid_request)
    app.add_exception_handler(405, method_not_allowed)
    app.add_exception_handler(IntegrityError, integrity_error)
    for error in VALUE_ERRORS:
        app.add_exception_handler(error, data_error)
    for error in UNAVAILABLE_ERRORS:
        app.add_exception_handler(error, database_unavailable)
