"""Run an Alembic command on a scratch database that the revisions have just built.

    python -m scripts.scratch revision --autogenerate -m "add due date"

What is compared with the models is then what the revisions say, not what a developer's
own database happens to hold; and it is SQLite, whose reflected types and checks are plain
SQL that PostgreSQL reads too.
"""

import os
import sys
import tempfile
from pathlib import Path

from alembic import command
from alembic.config import CommandLine, Config

INI = Path(__file__).resolve().parent.parent / "alembic.ini"


def main(arguments: list[str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        os.environ["MIGRATION_DATABASE_URL"] = f"sqlite:///{Path(folder, 'scratch.db').as_posix()}"
        command.upgrade(Config(INI), "head")
        CommandLine().main(["-c", str(INI), *arguments])


if __name__ == "__main__":
    main(sys.argv[1:])
