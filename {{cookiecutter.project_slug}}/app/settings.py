"""Every setting of the service, read from the environment and from `.env`."""

import re
from typing import Annotated, Literal, Self
from urllib.parse import quote, unquote

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    SecretStr,
    ValidationError,
    model_validator,
)
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict
from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from app.logs import stop

TITLE = "{{ cookiecutter.__project_name_escaped }}"  # fmt: skip
DESCRIPTION = "{{ cookiecutter.__description_escaped }}"  # fmt: skip

# What compose.yaml gives PostgreSQL where nobody has set a password.
DEVELOPMENT_PASSWORD = "development-only"

DRIVERS = {
    "sqlite": "sqlite",
    "postgres": "postgresql+psycopg",
    "postgresql": "postgresql+psycopg",
    "postgresql+psycopg": "postgresql+psycopg",
}


def parse_url(text: str) -> URL:
    """Read the URL of a database, in any of the forms that hosting services give.

    A password may be percent-encoded, as it should be, or stand there as it is.

    Raises ValueError with a text that holds no part of the URL.
    """
    scheme, separator, rest = text.strip().partition("://")
    if not separator or scheme not in DRIVERS:
        raise ValueError("must begin with sqlite:/// or postgresql://")
    try:
        url = make_url(f"{DRIVERS[scheme]}://{rest}")
        if "@" in f"{url.host}{url.database}" and DRIVERS[scheme] != "sqlite":
            # A bare @ in the password: what follows the last one is the host.
            login, _, place = rest.rpartition("@")
            user, _, password = login.partition(":")
            password = quote(unquote(password), safe="")
            url = make_url(f"{DRIVERS[scheme]}://{user}:{password}@{place}")
    except (ArgumentError, ValueError):
        raise ValueError(
            "cannot be read; the form is postgresql://user:password@host:5432/name"
        ) from None
    if scheme == "sqlite" and url.database in (None, "", ":memory:"):
        raise ValueError("must name a file: SQLite in memory is lost between two commands")
    if scheme != "sqlite" and not url.database:
        raise ValueError("must name a database: postgresql://user:password@host:5432/name")
    return url


def _check_url(value: SecretStr) -> SecretStr:
    parse_url(value.get_secret_value())
    return value


DatabaseURL = Annotated[SecretStr, AfterValidator(_check_url)]


def _split(text: object) -> object:
    return tuple(filter(None, map(str.strip, text.split(",")))) if isinstance(text, str) else text


def _check_origin(origin: str) -> str:
    # With a path, or a slash at its end, no browser's Origin would ever match it.
    if not re.fullmatch(r"\*|https?://[^/\s*]+", origin):
        raise ValueError("must be like https://app.example, without a slash at the end, or *")
    return origin


def _check_host(host: str) -> str:
    if not re.fullmatch(r"(\*\.)?[^*/:\s]+", host):
        raise ValueError("must be like api.example or *.example, without a scheme or a port")
    return host


# Several have commas between them.
Origins = Annotated[
    tuple[Annotated[str, AfterValidator(_check_origin)], ...], NoDecode, BeforeValidator(_split)
]
Hosts = Annotated[
    tuple[Annotated[str, AfterValidator(_check_host)], ...], NoDecode, BeforeValidator(_split)
]


class Settings(BaseSettings):
    """The field `database_url` is the variable `DATABASE_URL`; `.env.example` lists them all."""

    model_config = SettingsConfigDict(
        env_file=".env",
        env_file_encoding="utf-8",
        env_ignore_empty=True,
        extra="ignore",
        frozen=True,
    )

    environment: Literal["development", "staging", "production"] = Field(
        default="development",
        description="Where this runs. Outside development, compose.yaml's own password is refused.",
    )
    log_format: Literal["text", "json"] = Field(
        default="text",
        description="text: lines to read; json: one object a line, for what collects logs.",
    )
    access_log: bool = Field(
        default=True,
        description="Log each request. Without it, about 12 % more are served in a second.",
    )
    web_concurrency: int = Field(
        default=1,
        ge=1,
        le=100,
        description="Processes that serve, in the image. Each has a pool of connections.",
    )
    database_url: DatabaseURL = Field(
        default=SecretStr("sqlite:///app.db"),
        description="Where the data is: a file of SQLite, or postgresql://user:password@host/name.",
    )
    database_pool_size: int = Field(
        default=10,
        ge=1,
        le=1000,
        description="Connections that one process keeps open; there are never more.",
    )
    database_connect_timeout_seconds: float = Field(
        default=5,
        gt=0,
        le=300,
        description="How long a request waits for a connection before it is answered with 503.",
    )
    database_statement_timeout_seconds: float = Field(
        default=30,
        ge=0,
        description="How long PostgreSQL works on a statement; 0: without limit, as some poolers need.",
    )
    database_queue_size: int = Field(
        default=500,
        ge=0,
        description="Requests that may wait for a connection; one more is answered with 503 at once.",
    )
    max_body_bytes: int = Field(
        default=1_048_576,
        ge=1,
        description="The largest body of a request; a larger one is answered with 413.",
    )
    cors_origins: Origins = Field(
        default=(),
        description="Sites whose scripts may call it: https://app.example, several with commas; empty: none.",
    )
    allowed_hosts: Hosts = Field(
        default=(),
        description="Host names it answers to, like api.example or *.example, with commas; empty: to all.",
    )
    docs: bool = Field(
        default=True,
        description="Serve /docs and /openapi.json.",
    )
    migration_database_url: DatabaseURL | None = Field(
        default=None,
        description="For migrations, when they go past a pooler or log in as another role.",
    )
    migration_connect_wait_seconds: float = Field(
        default=30,
        ge=0,
        description="How long a migration waits for the database to come up.",
    )
    migration_lock_wait_seconds: float = Field(
        default=300,
        ge=0,
        description="How long a migration waits for another one to end.",
    )
    migration_lock_timeout_seconds: float = Field(
        default=5,
        gt=0,
        description="How long one statement of a migration may wait, and block what is behind it.",
    )
    migration_lock_retries: int = Field(
        default=5,
        ge=0,
        description="How often a migration tries again after such a wait.",
    )

    @model_validator(mode="after")
    def _check_passwords(self) -> Self:
        passwords = {self.database.password, self.migration_database.password}
        if self.environment != "development" and DEVELOPMENT_PASSWORD in passwords:
            raise ValueError(
                f"POSTGRES_PASSWORD: the password of compose.yaml is for development, "
                f"and ENVIRONMENT is {self.environment}: set one in .env, or in DATABASE_URL"
            )
        return self

    @property
    def database(self) -> URL:
        """`DATABASE_URL` as SQLAlchemy reads it; printed without its password."""
        return parse_url(self.database_url.get_secret_value())

    @property
    def migration_database(self) -> URL:
        """`MIGRATION_DATABASE_URL`, or where it is not set `DATABASE_URL`."""
        url = self.migration_database_url or self.database_url
        return parse_url(url.get_secret_value())


def load_settings() -> Settings:
    """Read the settings, or end the process with one line for each that is wrong."""
    try:
        return Settings()
    except (ValidationError, UnicodeDecodeError) as error:
        faults = faults_of(error)
    return stop(*(f"Wrong setting: {fault} (see .env.example)" for fault in faults))


def faults_of(error: ValidationError | UnicodeDecodeError) -> list[str]:
    """One line a setting, without its value: Pydantic's own text repeats it, passwords too."""
    if isinstance(error, UnicodeDecodeError):
        return [".env: is not UTF-8 text"]
    return [
        # A fault of several settings together names them itself.
        "".join(f"{name}: ".upper() for name in fault["loc"][:1])
        + fault["msg"].removeprefix("Value error, ")
        for fault in error.errors(include_input=False, include_context=False, include_url=False)
    ]
