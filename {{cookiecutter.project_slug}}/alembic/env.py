"""Alembic's entry. What makes a run safe is in app/migrations.py."""

import sys
from logging.config import fileConfig

from alembic import context
from sqlalchemy import Connection

from app import logs, migrations
from app.settings import load_settings

config = context.config
settings = load_settings()
url = migrations.database_url(settings, context.get_x_argument(as_dictionary=True).get("url"))

# Only for the command line: who calls Alembic from a program has set up logging already.
if config.cmd_opts is not None and config.config_file_name is not None:
    if settings.log_format == "json":
        logs.configure("json", sys.stderr)
        config.messaging_opts = {"quiet": True}  # an error is logged, and not printed as well
    else:
        fileConfig(config.config_file_name, disable_existing_loggers=False)


def run_migrations_offline() -> None:
    """Print the SQL (`--sql`), without a database."""
    context.configure(
        url=url,
        literal_binds=True,
        dialect_opts={"paramstyle": "named"},
        **migrations.options(url.get_backend_name()),
    )
    with context.begin_transaction():
        context.run_migrations()


def run_migrations_online(connection: Connection) -> None:
    context.configure(connection=connection, **migrations.options(connection.dialect.name))
    with context.begin_transaction():
        context.run_migrations()


if context.is_offline_mode():
    run_migrations_offline()
elif "connection" in config.attributes:
    run_migrations_online(config.attributes["connection"])
else:
    migrations.run(run_migrations_online, settings, url)
