"""psql in the development database: `make psql`. With DATABASE_URL set, in that one."""

import os
import shutil
import signal
import subprocess
import sys

from psycopg.conninfo import make_conninfo

from app.core.db.embedded import EmbeddedError, program
from app.core.db.engine import NoDatabaseError, database_url
from app.core.settings import CoreSettings
from app.core.startup import load_settings, stop


def main(arguments: list[str]) -> int:
    try:
        url = database_url(load_settings(CoreSettings))
    except NoDatabaseError as error:
        stop(str(error))
    try:
        psql = str(program("psql"))
    except EmbeddedError:
        psql = shutil.which("psql") or stop("psql is not installed")
    # Not the URL as SQLAlchemy writes it: libpq does not read its `+` as a space.
    _, connection = url.get_dialect()().create_connect_args(url)
    password = connection.pop("password", None)
    environment = os.environ | ({"PGPASSWORD": password} if password else {})
    # Ctrl-C is for psql. It ends a query there, and not us, who hold the server.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    return subprocess.call([psql, *arguments, make_conninfo(**connection)], env=environment)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
