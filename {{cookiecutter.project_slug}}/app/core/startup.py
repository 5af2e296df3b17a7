"""Reads the settings when a process starts. Wrong ones end it, with one line each."""

import logging
import os
import sys
from typing import NoReturn, TypeVar

from pydantic import ValidationError

from app.core.settings import CoreSettings
from app.core.web.logging import configure, make_handler

S = TypeVar("S", bound=CoreSettings)


def load_settings(kind: type[S]) -> S:
    """Read the settings, or end the process with one line for each that is wrong."""
    try:
        return kind()
    except (ValidationError, UnicodeDecodeError) as error:
        stop(*(f"Wrong setting: {text} (see .env.example)" for text in errors_of(error)))


def errors_of(error: ValidationError | UnicodeDecodeError) -> list[str]:
    """One line a setting, without its value: Pydantic's own text repeats it, passwords too."""
    if isinstance(error, UnicodeDecodeError):
        return [".env: is not UTF-8 text"]
    return [
        # An error of several settings together names them itself.
        "".join(f"{name}: ".upper() for name in item["loc"][:1])
        + item["msg"].removeprefix("Value error, ")
        for item in error.errors(include_input=False, include_context=False, include_url=False)
    ]


def stop(*messages: str) -> NoReturn:
    """End the process with status 1, saying why; as JSON where LOG_FORMAT asks for it."""
    if os.environ.get("LOG_FORMAT") != "json":
        raise SystemExit("\n".join(messages))
    configure("json", sys.stderr)
    for message in messages:
        logging.getLogger(__name__).critical(message)
    raise SystemExit(1)


def log_handler() -> logging.Handler:
    """The handler in `web/logging.json`: stdout, in the format of the settings."""
    settings = load_settings(CoreSettings)
    # Without a handler in reach, uvicorn does not even make the lines.
    logging.getLogger("uvicorn.access").propagate = settings.access_log
    return make_handler(settings.log_format, sys.stdout)
