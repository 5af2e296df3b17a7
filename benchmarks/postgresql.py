"""PostgreSQL server for the benchmarks: the embedded one of the rendered projects."""

import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

TEMPLATE = Path(__file__).parents[1]
sys.path.append(str(TEMPLATE / "{{cookiecutter.project_slug}}"))
from app.core.db import embedded  # noqa: E402


@contextmanager
def postgresql() -> Iterator[str]:
    """The URL of an empty server with PostgreSQL's own settings, deleted afterwards."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        folder = Path(name)
        yield embedded.start(folder)
        embedded.stop(folder)
