"""Errors, in FastAPI's shape: `{"detail": …}`."""

from typing import Any, TypeVar

from fastapi import FastAPI, HTTPException, Request, status
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from starlette.middleware.errors import ServerErrorMiddleware
from starlette.routing import Match

from app.core.db.engine import timed_out
from app.core.db.pool import QueueFullError

T = TypeVar("T")

RETRY_AFTER_SECONDS = 5
UNREACHABLE = "The database cannot be reached."
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
BUSY = "Too many requests wait for the database."


class Error(BaseModel):
    """What went wrong, for people to read."""

    detail: str


NOT_FOUND: dict[int | str, dict[str, Any]] = {
    404: {"model": Error, "description": "There is no such record."}
}
BAD_BODY: dict[int | str, dict[str, Any]] = {
    400: {"model": Error, "description": "The body is not text in UTF-8."},
    413: {"model": Error, "description": "The body is too large."},
}
UNAVAILABLE: dict[int | str, dict[str, Any]] = {
    503: {"model": Error, "description": "The database is away or busy; try again later."}
}


def or_404(record: T | None) -> T:
    """The record, or 404 when there is none."""
    if record is None:
        raise HTTPException(status.HTTP_404_NOT_FOUND, "There is no such record.")
    return record


def invalid_request(_: Request, error: Exception) -> JSONResponse:
    """Say what is wrong and where, without the input: it may be huge, or no JSON, or secret."""
    assert isinstance(error, RequestValidationError)
    detail = [{key: item[key] for key in ("type", "loc", "msg")} for item in error.errors()]
    return JSONResponse({"detail": detail}, status_code=422)


def method_not_allowed(request: Request, _: Exception) -> JSONResponse:
    """Name every method that the path has; by itself Starlette names those of one function."""
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


def database_unavailable(_: Request, error: Exception) -> JSONResponse:
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
    for error in (OperationalError, InterfaceError, QueueFullError):
        app.add_exception_handler(error, database_unavailable)
