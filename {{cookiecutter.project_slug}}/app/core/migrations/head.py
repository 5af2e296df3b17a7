"""Keeps the newest revision's name in `alembic/versions/HEAD`. alembic.ini calls it.

Two branches that both add a revision then change the same line, so that git stops the merge,
and not the deployment. `make renumber` puts one on top of the other.
"""

import sys
from pathlib import Path


def write_head(revision: Path) -> None:
    """Name the file as the newest, in the file HEAD beside it."""
    revision.with_name("HEAD").write_text(f"{revision.stem}\n", encoding="utf-8")


if __name__ == "__main__":
    write_head(Path(sys.argv[1]))
