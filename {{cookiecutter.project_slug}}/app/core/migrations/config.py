"""Alembic's configuration: where the revisions are, and how they are compared and run."""

import io
import sys
from logging.config import fileConfig
from typing import Any

from alembic import context
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import MetaData
from sqlmodel import SQLModel

from app.core import ROOT, features
from app.core.migrations import autogenerate, checks
from app.core.migrations.connection import DIALECT
from app.core.settings import CoreSettings
from app.core.web import logging


def alembic_config(url: str | None = None) -> Config:
    """The project's alembic.ini, wherever the process was started; for the database of `url`."""
    return Config(ROOT / "alembic.ini", attributes={"url": url})


def script_directory() -> ScriptDirectory:
    """The revisions in alembic/versions."""
    return ScriptDirectory.from_config(alembic_config())


def target_metadata() -> MetaData:
    """The tables of every feature's models.py."""
    features.load("models")
    return SQLModel.metadata


def online_options() -> dict[str, Any]:
    """The options of `context.configure()` beside the connection."""
    metadata = target_metadata()
    # Or a stamp that fails leaves a database that seems to be empty.
    in_one_transaction = {"transaction_per_migration": False} if is_purge() else {}
    return {
        "target_metadata": metadata,
        "compare_type": True,
        "compare_server_default": True,
        "process_revision_directives": autogenerate.process_revision_directives,
        "render_item": autogenerate.render_item,
        "include_object": autogenerate.include_object,
        # Checks are compared by name, see app.core.db.base.enum_check.
        "autogenerate_plugins": ["alembic.autogenerate.*", "alembic.ext.checkconstraint_byname"],
        **autogenerate.options(metadata),
        **checks.OPTIONS,
        **in_one_transaction,
    }


def offline_options(config: Config) -> dict[str, Any]:
    """The options of `context.configure()` without a connection."""
    options = {
        "dialect_name": DIALECT,
        "literal_binds": True,
        "dialect_opts": {"paramstyle": "named"},
        **online_options(),
    }
    if is_empty_revision(config):
        options |= {"as_sql": True, "output_buffer": io.StringIO()}
    return options


def is_empty_revision(config: Config) -> bool:
    """`alembic revision` without --autogenerate needs no database."""
    return getattr(config.cmd_opts, "autogenerate", None) is False


def context_options() -> dict[str, Any]:
    """What Alembic's command gives to env.py: its name is private, and nothing public says it."""
    # The module alembic.context is typed by its functions alone.
    options: dict[str, Any] = context._proxy.context_opts  # type: ignore[attr-defined]
    return options


def configure_logging(config: Config, settings: CoreSettings) -> None:
    """Log as alembic.ini says, or as JSON; only for the command line.

    A program that calls Alembic itself has set up its logging already.
    """
    if config.cmd_opts is None or config.config_file_name is None:
        return
    if settings.log_format == "json":
        logging.configure("json", sys.stderr)
        config.messaging_opts = {"quiet": True}  # an error is logged, and not printed as well
    else:
        fileConfig(config.config_file_name, disable_existing_loggers=False)


def is_purge() -> bool:
    """`alembic stamp --purge` replaces whatever the database says."""
    return bool(context_options().get("purge"))
