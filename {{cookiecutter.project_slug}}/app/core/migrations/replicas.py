"""Waits for the replicas of a database, so that a migration does not leave them behind."""

import logging
import signal
import time
from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from alembic.util import CommandError

log = logging.getLogger("alembic.backfill")

WRITTEN = "SELECT pg_current_wal_lsn() - '0/0' AS position, 0 AS hidden"
REPLAYED = """
SELECT coalesce(min(replay_lsn - '0/0'), pg_current_wal_lsn() - '0/0') AS position,
    count(*) FILTER (WHERE state IS NULL) AS hidden
FROM pg_stat_replication
"""


class Replicas:
    """How far the replicas are behind what this run has written."""

    def __init__(self, max_lag_seconds: float) -> None:
        self.max_lag_seconds = max_lag_seconds
        self._written: list[tuple[float, int]] = []

    def wait(self, stopped: Sequence[signal.Signals]) -> None:
        """Wait until no replica is further behind. Raises CommandError where that is not shown."""
        self._written.append((time.monotonic(), self._ask(WRITTEN)))
        told = False
        while not stopped and self._is_late(self._ask(REPLAYED)):
            if not told:
                log.info("Waiting for a replica that is over %g s behind", self.max_lag_seconds)
            told = True
            time.sleep(0.1)

    def _is_late(self, replayed: int) -> bool:
        self._written = [(at, position) for at, position in self._written if position > replayed]
        return bool(self._written and time.monotonic() - self._written[0][0] > self.max_lag_seconds)

    def _ask(self, query: str) -> int:
        row = op.get_bind().execute(sa.text(query)).one()
        if row.hidden:
            raise CommandError(
                "max_lag_seconds: this role does not see the replicas: GRANT pg_monitor TO it"
            )
        return int(row.position)
