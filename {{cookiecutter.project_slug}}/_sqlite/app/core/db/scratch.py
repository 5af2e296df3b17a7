"""Databases that are made for a moment: for autogenerate and checks."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def scratch_database() -> Iterator[str]:
    """The URL of an empty database, which is deleted at the end."""
    with tempfile.TemporaryDirectory() as folder:
        yield f"sqlite:///{Path(folder, 'scratch.db').as_posix()}"
