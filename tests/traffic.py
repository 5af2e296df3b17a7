"""Traffic on a table, and how long each of its statements stood still."""

import contextlib
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

import psycopg


@dataclass
class Traffic:
    """Clients that read and write one table, each one statement after the other."""

    url: str
    statements: tuple[str, ...]
    seconds: list[float] = field(default_factory=list)
    # Of one that needs no lock: how long the machine itself holds up a client.
    noise: list[float] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    elapsed: float = 0

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        end = threading.Event()
        threads = [
            threading.Thread(target=self._client, args=(statement, self.seconds, end))
            for statement in self.statements
        ]
        threads.append(threading.Thread(target=self._client, args=("SELECT 1", self.noise, end)))
        started = time.monotonic()
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            end.set()
            for thread in threads:
                thread.join()
            self.elapsed = time.monotonic() - started

    def _client(self, statement: str, seconds: list[float], end: threading.Event) -> None:
        with psycopg.connect(self.url, autocommit=True) as connection:
            while not end.is_set():
                started = time.monotonic()
                try:
                    connection.execute(statement.encode())
                except psycopg.Error as error:
                    self.errors.append(str(error))
                seconds.append(time.monotonic() - started)
                time.sleep(0.005)

    @property
    def longest(self) -> float:
        return max(self.seconds) - max(self.noise)

    @property
    def stalled(self) -> float:
        """The share of the time in which a client stood still, on average over the clients."""
        of_a_client = self._still(self.seconds) / len(self.statements)
        return (of_a_client - self._still(self.noise)) / self.elapsed

    def _still(self, seconds: list[float]) -> float:
        return sum(one for one in seconds if one > 0.1)


@contextlib.contextmanager
def short_transactions(url: str, table: str, seconds: float = 0.05) -> Iterator[None]:
    """Transactions that follow each other, so that one of them is always open."""
    end = threading.Event()

    def client(delay: float) -> None:
        with psycopg.connect(url, autocommit=True) as connection:
            time.sleep(delay)
            while not end.is_set():
                with connection.transaction():
                    connection.execute(f"SELECT count(*) FROM {table}".encode())
                    time.sleep(seconds)

    threads = [threading.Thread(target=client, args=(n * seconds / 3,)) for n in range(3)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        end.set()
        for thread in threads:
            thread.join()
