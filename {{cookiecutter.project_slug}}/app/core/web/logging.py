"""Logs: lines to read or, with LOG_FORMAT=json, one JSON object a line.

uvicorn reads `logging.json` beside this file (`--log-config`), Alembic gets them from `env.py`.
"""

import json
import logging
import sys
from contextvars import ContextVar
from datetime import UTC, datetime
from types import TracebackType
from typing import TextIO

request_id: ContextVar[str | None] = ContextVar("request_id", default=None)

ACCESS = ("client", "method", "path", "http_version", "status")  # uvicorn's own order
# What every record has; the rest was given by `extra=`.
STANDARD = {*vars(logging.makeLogRecord({})), "message", "asctime", "taskName", "color_message"}


class TextFormatter(logging.Formatter):
    def formatMessage(self, record: logging.LogRecord) -> str:
        line = super().formatMessage(record)
        current = request_id.get()
        return line if current is None else f"{line} ({current})"


class JSONFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        entry: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            "request_id": request_id.get(),
        }
        if record.name == "uvicorn.access" and isinstance(record.args, tuple):
            entry |= zip(ACCESS, record.args, strict=False)
        entry |= {name: value for name, value in vars(record).items() if name not in STANDARD}
        if record.exc_info:
            entry["exception"] = self.formatException(record.exc_info)
        return json.dumps({k: v for k, v in entry.items() if v is not None}, default=str)


def make_handler(log_format: str, stream: TextIO) -> logging.Handler:
    chosen = logging.StreamHandler(stream)
    if log_format == "json":
        chosen.setFormatter(JSONFormatter())
        sys.excepthook = _log_uncaught
        logging.captureWarnings(True)
    else:
        chosen.setFormatter(TextFormatter("%(asctime)s %(levelname)-8s %(message)s"))
    return chosen


def configure(log_format: str, stream: TextIO) -> None:
    """Send everything that is logged to `stream`; for a program that is not uvicorn."""
    logging.basicConfig(handlers=[make_handler(log_format, stream)], level=logging.INFO, force=True)


def _log_uncaught(
    kind: type[BaseException], error: BaseException, traceback: TracebackType | None
) -> None:
    if issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error, traceback)
    else:
        logging.getLogger(__name__).critical("uncaught", exc_info=(kind, error, traceback))
