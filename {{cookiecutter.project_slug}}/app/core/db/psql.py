"""psql in the development database: `make psql`. With DATABASE_URL set, in that one."""

import os
import shutil
import signal
import subprocess
import sys

from app.core.db.embedded import EmbeddedError, program
from app.core.db.engine import NoDatabaseError, database_url
from app.core.settings import CoreSettings
from app.core.startup import load_settings, stop


def main(arguments: list[str]) -> int:
    try:
        url = database_url(load_settings(CoreSettings)).set(drivername="postgresql")
    except NoDatabaseError as error:
        stop(str(error))
    try:
        psql = str(program("psql"))
    except EmbeddedError:
        psql = shutil.which("psql") or stop("psql is not installed")
    # Ctrl-C is for psql. It ends a query there, and not us, who hold the server.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    environment = os.environ | ({"PGPASSWORD": str(url.password)} if url.password else {})
    place = url.set(password=None).render_as_string()
    return subprocess.call([psql, *arguments, place], env=environment)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
