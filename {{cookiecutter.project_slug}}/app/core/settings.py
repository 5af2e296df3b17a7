"""The settings of the core. `app/settings.py` adds those of the service."""

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field
from pydantic_settings import NoDecode

from app.core.db.settings import DatabaseSettings


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


# Several are separated by commas.
Origins = Annotated[
    tuple[Annotated[str, AfterValidator(_check_origin)], ...], NoDecode, BeforeValidator(_split)
]
Hosts = Annotated[
    tuple[Annotated[str, AfterValidator(_check_host)], ...], NoDecode, BeforeValidator(_split)
]


class CoreSettings(DatabaseSettings):
    """The field `database_url` is the variable `DATABASE_URL`; `.env.example` lists them all."""

    log_format: Literal["text", "json"] = Field(
        default="text",
        description="text: lines to read; json: one object a line, for log collectors.",
    )
    access_log: bool = Field(
        default=True,
        description="Log each request. Off, about 12 % more requests a second.",
    )
    web_concurrency: int = Field(
        default=1,
        ge=1,
        le=100,
        description="Worker processes, in the image. Each has its own pool of connections.",
    )
    max_body_bytes: int = Field(
        default=1_048_576,
        ge=1,
        description="The largest request body; a larger one is answered with 413.",
    )
    cors_origins: Origins = Field(
        default=(),
        description="Sites whose scripts may call the service: https://app.example, separated by commas.",
    )
    allowed_hosts: Hosts = Field(
        default=(),
        description="Host names to answer to, like api.example or *.example, separated by commas; empty: all.",
    )
    docs: bool = Field(
        default=True,
        description="Serve /docs and /openapi.json.",
    )
