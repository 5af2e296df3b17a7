"""The settings of the database, and how a URL is read."""

from typing import Annotated, Literal, Self
from urllib.parse import quote, unquote

from pydantic import AfterValidator, Field, SecretStr, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict
from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

# The default password in compose.yaml.
DEVELOPMENT_PASSWORD = "development-only"
DRIVER = "postgresql+psycopg"


def parse_url(text: str) -> URL:
    """Read the URL of a database, in any of the forms that hosting services give.

    A password may be percent-encoded, as it should be, or stand there as it is.

    Raises ValueError with a text that holds no part of the URL.
    """
    scheme, separator, rest = text.strip().partition("://")
    if not separator or scheme not in ("postgres", "postgresql", DRIVER):
        raise ValueError("must begin with postgresql://")
    try:
        url = make_url(f"{DRIVER}://{rest}")
        if "@" in f"{url.host}{url.database}":
            # A bare @ in the password: what follows the last one is the host.
            login, _, place = rest.rpartition("@")
            user, _, password = login.partition(":")
            password = quote(unquote(password), safe="")
            url = make_url(f"{DRIVER}://{user}:{password}@{place}")
    except (ArgumentError, ValueError):
        raise ValueError(
            "cannot be read; the form is postgresql://user:password@host:5432/name"
        ) from None
    if not url.database:
        raise ValueError("must name a database: postgresql://user:password@host:5432/name")
    return url


def _check_url(value: SecretStr) -> SecretStr:
    parse_url(value.get_secret_value())
    return value


DatabaseURL = Annotated[SecretStr, AfterValidator(_check_url)]


class DatabaseSettings(BaseSettings):
    """The service's PostgreSQL, and how migrations treat it."""

    model_config = SettingsConfigDict(
        env_file=".env",
        env_file_encoding="utf-8",
        env_ignore_empty=True,
        extra="ignore",
        frozen=True,
    )

    environment: Literal["development", "staging", "production"] = Field(
        default="development",
        description="Where this runs. Outside development, DATABASE_URL must be set.",
    )
    database_url: DatabaseURL | None = Field(
        default=None,
        description="postgresql://user:password@host/name; empty: the embedded PostgreSQL, in development.",
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
        description="How long a request waits for a connection before it is answered with 503.",
    )
    database_statement_timeout_seconds: float = Field(
        default=30,
        ge=0,
        description="How long PostgreSQL works on a statement; 0: without limit.",
    )
    database_queue_size: int = Field(
        default=500,
        ge=0,
        description="Requests that may wait for a connection; one more is answered with 503 at once.",
    )
    migration_database_url: DatabaseURL | None = Field(
        default=None,
        description="For migrations that bypass a pooler or log in as another role.",
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
    migration_table_wait_seconds: float = Field(
        default=300,
        ge=0,
        description="How long a migration waits, in all, for tables that others use.",
    )
    migration_idle_timeout_seconds: float = Field(
        default=10,
        gt=0,
        description="How long a migration may stand still in a transaction before PostgreSQL ends it.",
    )

    @model_validator(mode="after")
    def _check_for_production(self) -> Self:
        if self.environment == "development":
            return self
        if self.database_url is None:
            raise ValueError(
                "DATABASE_URL: is not set, and ENVIRONMENT is "
                f"{self.environment}: set DATABASE_URL=postgresql://user:password@host/name"
            )
        for url in (self.database_url, self.migration_database_url or self.database_url):
            if parse_url(url.get_secret_value()).password == DEVELOPMENT_PASSWORD:
                raise ValueError(
                    "POSTGRES_PASSWORD: the password of compose.yaml is for development, "
                    f"and ENVIRONMENT is {self.environment}: set one in .env, or in DATABASE_URL"
                )
        return self
