"""Alembic's entry point. What makes a run safe is in app/core/migrations/runner.py."""

from alembic import context
from sqlalchemy import Connection, Engine

from app.core.migrations.config import (
    configure_logging,
    is_empty_revision,
    offline_options,
    online_options,
)
from app.core.migrations.runner import run, write_sql
from app.core.startup import load_settings
from app.settings import Settings

config = context.config
settings = load_settings(Settings)
configure_logging(config, settings)


def run_migrations_offline() -> None:
    """Print the SQL (`--sql`), without a database."""
    context.configure(**offline_options(config))
    with context.begin_transaction():
        context.run_migrations()


def run_migrations_online(connection: Connection) -> None:
    context.configure(connection=connection, **online_options())
    with context.begin_transaction():
        context.run_migrations()


if context.is_offline_mode() or is_empty_revision(config):
    write_sql(run_migrations_offline)
elif isinstance(given := config.attributes.get("connection"), Engine):
    with given.connect() as connection:
        run_migrations_online(connection)
elif given is not None:
    run_migrations_online(given)
else:
    run(run_migrations_online, settings)
