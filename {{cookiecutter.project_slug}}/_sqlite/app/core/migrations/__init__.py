"""Migrations: how Alembic is configured and run."""
