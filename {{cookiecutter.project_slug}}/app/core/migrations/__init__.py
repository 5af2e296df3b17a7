"""Migrations. What revisions import from here is a promise: these names never move."""

from app.core.migrations.autocommit import committing
from app.core.migrations.backfill import backfill
from app.core.migrations.operations import (
    add_check,
    add_foreign_key,
    add_unique,
    create_index_concurrently,
    drop_index_concurrently,
    set_not_null,
)

__all__ = [
    "add_check",
    "add_foreign_key",
    "add_unique",
    "backfill",
    "committing",
    "create_index_concurrently",
    "drop_index_concurrently",
    "set_not_null",
]
