"""Clients that write a table while a backfill goes through it, and know what is to be there."""

import contextlib
import itertools
import random
import threading
import time
from collections import Counter
from collections.abc import Iterator
from functools import partial

import psycopg

from tests.traffic import clients

TABLE = (
    "CREATE TABLE item (id BIGINT PRIMARY KEY, slug TEXT, touched INTEGER NOT NULL DEFAULT 0, "
    "filled INTEGER NOT NULL DEFAULT 0)"
)
# What is done twice shows in `filled`.
BACKFILL = """
import os
from app.core.migrations import backfill
backfill(
    "item",
    {"slug": "'item-' || id", "filled": "filled + 1"},
    where="slug IS NULL",
    pause_seconds=float(os.environ.get("PAUSE", "0")),
    progress_seconds=0.2,
)
"""


class Writers:
    """Four clients, each of which changes an old row again and again, and now and then adds one."""

    def __init__(self, url: str, rows: int, clients: int = 4) -> None:
        """`rows` is how many there are that have no slug yet, with the ids from 1."""
        self.url, self.rows, self.clients = url, rows, clients
        self.seconds: list[float] = []
        self.errors: list[str] = []
        self.touched: Counter[int] = Counter()
        self.added: set[int] = set()
        self._ids = itertools.count(rows + 1)

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        self.seconds = []
        with clients(partial(self._write, random.Random(n)) for n in range(self.clients)):
            yield

    def _write(self, chance: random.Random, end: threading.Event) -> None:
        with psycopg.connect(self.url, autocommit=True) as connection:
            while not end.is_set():
                row, is_new = chance.randint(1, self.rows), chance.random() < 0.1
                if is_new:
                    row = next(self._ids)
                    statement = "INSERT INTO item (id, slug, filled) VALUES (%s, 'new', 1)"
                else:
                    statement = "UPDATE item SET touched = touched + 1 WHERE id = %s"
                started = time.perf_counter()
                try:
                    connection.execute(statement, [row])
                except psycopg.Error as error:
                    self.errors.append(str(error))
                    continue
                self.seconds.append(time.perf_counter() - started)
                if is_new:
                    self.added.add(row)
                else:
                    self.touched[row] += 1
                time.sleep(0.002)

    @property
    def p99(self) -> float:
        return sorted(self.seconds)[len(self.seconds) * 99 // 100]

    def wrong(self) -> int:
        """How many rows are not as they should be, each of them looked at."""
        wrong = count = 0
        with psycopg.connect(self.url) as connection, connection.cursor("rows") as rows:
            rows.itersize = 20_000
            for id_, slug, touched, filled in rows.execute(
                "SELECT id, slug, touched, filled FROM item"
            ):
                count += 1
                expected = "new" if id_ in self.added else f"item-{id_}"
                wrong += (slug, touched, filled) != (expected, self.touched[id_], 1)
        return wrong + abs(count - self.rows - len(self.added))


def fill(url: str, rows: int) -> None:
    """Make the table, with so many rows that need a slug."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(TABLE.encode())
        connection.execute("INSERT INTO item (id) SELECT generate_series(1, %s)", [rows])
        connection.execute("VACUUM ANALYZE item")
