"""Run an Alembic command on a scratch database that the revisions have just built.

    python -m app.core.migrations.scratch revision --autogenerate -m "add due date"

The models are then compared with what the revisions say, not with what a developer's own database
happens to hold.
"""

import sys

from alembic import command
from alembic.config import CommandLine
from alembic.util import CommandError

from app.core import ROOT
from app.core.db.engine import NoDatabaseError
from app.core.db.scratch import scratch_database
from app.core.migrations.config import alembic_config
from app.core.startup import stop


def main(arguments: list[str]) -> None:
    try:
        with scratch_database() as url:
            command.upgrade(alembic_config(url), "head")
            CommandLine().main(["-c", str(ROOT / "alembic.ini"), "-x", f"url={url}", *arguments])
    except (NoDatabaseError, CommandError) as error:
        stop(str(error))


if __name__ == "__main__":
    main(sys.argv[1:])
