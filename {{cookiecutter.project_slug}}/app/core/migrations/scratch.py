"""Run an Alembic command on a scratch database that the revisions have just built.

    python -m app.core.migrations.scratch revision --autogenerate -m "add due date"

The models are then compared with what the revisions say, not with what a developer's own database
happens to hold.
"""

import os
import sys

from alembic import command
from alembic.config import CommandLine

from app.core import ROOT
from app.core.db.embedded import EmbeddedError
from app.core.db.scratch import scratch_database
from app.core.migrations.config import alembic_config
from app.core.startup import stop


def main(arguments: list[str]) -> None:
    try:
        with scratch_database() as url:
            os.environ["MIGRATION_DATABASE_URL"] = url
            command.upgrade(alembic_config(), "head")
            CommandLine().main(["-c", str(ROOT / "alembic.ini"), *arguments])
    except EmbeddedError as error:
        stop(f"There is no PostgreSQL for a scratch database: {error}. Set TEST_DATABASE_URL")


if __name__ == "__main__":
    main(sys.argv[1:])
