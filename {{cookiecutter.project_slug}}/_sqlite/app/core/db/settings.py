"""The settings of the database, and how a URL is read."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field
from pydantic_settings import BaseSettings, SettingsConfigDict
from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError


def parse_url(text: str) -> URL:
    """Read the URL of a SQLite file. Raises ValueError with a text that does not repeat it."""
    if not text.strip().startswith("sqlite:///"):
        raise ValueError("must begin with sqlite:///")
    try:
        url = make_url(text.strip())
    except ArgumentError:
        raise ValueError("cannot be read; the form is sqlite:///app.db") from None
    if url.database in (None, "", ":memory:"):
        raise ValueError("must name a file: SQLite in memory is lost between two commands")
    return url


def _check_url(value: str) -> str:
    parse_url(value)
    return value


class DatabaseSettings(BaseSettings):
    """The service's SQLite file, and how migrations treat it."""

    model_config = SettingsConfigDict(
        env_file=".env",
        env_file_encoding="utf-8",
        env_ignore_empty=True,
        extra="ignore",
        frozen=True,
    )

    environment: Literal["development", "staging", "production"] = Field(
        default="development",
        description="Where this runs.",
    )
    database_url: Annotated[str, AfterValidator(_check_url)] = Field(
        default="sqlite:///app.db",
        description="The SQLite file: sqlite:///app.db, or sqlite:////data/app.db with an absolute path.",
    )
    database_pool_size: int = Field(
        default=10,
        ge=1,
        le=1000,
        description="Connections that one process keeps open; it never opens more.",
    )
    database_connect_timeout_seconds: float = Field(
        default=5,
        gt=0,
        le=300,
        description="How long a request waits for a connection, or for another writer, before its 503.",
    )
    database_queue_size: int = Field(
        default=500,
        ge=0,
        description="Requests that may wait for a connection; one more is answered with 503 at once.",
    )
    migration_lock_wait_seconds: float = Field(
        default=300,
        ge=0,
        description="How long a migration waits for another one, or for a writer, to end.",
    )
