"""`python -m app.core.db.embedded reset`, and the process that `keeper.py` starts."""

import sys
from pathlib import Path

from app.core.db.embedded import FOLDER, EmbeddedError, reset
from app.core.db.embedded.keeper import keep


def main(arguments: list[str]) -> int:
    match arguments:
        case ["keep", folder]:
            keep(Path(folder))
            return 0
        case ["reset", *options]:
            return ask_and_reset("--yes" in options)
    print("python -m app.core.db.embedded reset [--yes]", file=sys.stderr)
    return 2


def ask_and_reset(agreed: bool) -> int:
    try:
        agreed = agreed or input(f"Delete all data in {FOLDER}? [y/N] ").lower() in ("y", "yes")
    except (EOFError, KeyboardInterrupt):
        print()
    if not agreed:
        print("Nothing was deleted.")
        return 1
    try:
        reset()
    except EmbeddedError as error:
        print(error, file=sys.stderr)
        return 1
    print("Deleted. The next start makes an empty database: make upgrade")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
