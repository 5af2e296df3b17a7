"""Traffic on a table, and how long each of its statements stood still."""

import contextlib
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import NamedTuple

import psycopg


@contextlib.contextmanager
def clients(works: Iterable[Callable[[threading.Event], None]]) -> Iterator[None]:
    """Each in a thread, which is told by its event to end."""
    end = threading.Event()
    threads = [threading.Thread(target=work, args=(end,)) for work in works]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        end.set()
        for thread in threads:
            thread.join()


class Wait(NamedTuple):
    began: float
    ended: float

    @property
    def seconds(self) -> float:
        return self.ended - self.began


@dataclass
class Traffic:
    """Clients that read and write one table, each one statement after the other."""

    url: str
    statements: tuple[str, ...]
    waits: list[Wait] = field(default_factory=list)
    # Of a client that needs no lock: how long the machine itself holds up everybody.
    noise: list[Wait] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    elapsed: float = 0

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        works = [partial(self._client, statement, self.waits) for statement in self.statements]
        started = time.monotonic()
        with clients([*works, partial(self._client, "SELECT 1", self.noise)]):
            yield
        self.elapsed = time.monotonic() - started

    def _client(self, statement: str, waits: list[Wait], end: threading.Event) -> None:
        with psycopg.connect(self.url, autocommit=True) as connection:
            while not end.is_set():
                began = time.monotonic()
                try:
                    connection.execute(statement.encode())
                except psycopg.Error as error:
                    self.errors.append(str(error))
                waits.append(Wait(began, time.monotonic()))
                time.sleep(0.005)

    @cached_property
    def stalls(self) -> list[float]:
        """Seconds of each wait over 0.1 s, without the longest that the machine adds meanwhile."""
        return [
            wait.seconds
            - max(
                (n.seconds for n in self.noise if n.began < wait.ended and n.ended > wait.began),
                default=0,
            )
            for wait in self.waits
            if wait.seconds > 0.1
        ]

    @property
    def longest(self) -> float:
        return max(self.stalls, default=0)

    @property
    def stalled(self) -> float:
        """The share of the time in which a client stood still, on average over the clients."""
        return sum(self.stalls) / len(self.statements) / self.elapsed


@contextlib.contextmanager
def short_transactions(url: str, table: str, seconds: float = 0.05) -> Iterator[None]:
    """Transactions that follow each other, so that one of them is always open."""

    def client(delay: float, end: threading.Event) -> None:
        with psycopg.connect(url, autocommit=True) as connection:
            time.sleep(delay)
            while not end.is_set():
                with connection.transaction():
                    connection.execute(f"SELECT count(*) FROM {table}".encode())
                    time.sleep(seconds)

    with clients(partial(client, number * seconds / 3) for number in range(3)):
        yield
