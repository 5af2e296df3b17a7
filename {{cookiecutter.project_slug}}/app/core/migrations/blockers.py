"""The sessions that hold up a migration: who they are, what they do, and how to end them."""

import re
from collections.abc import Sequence
from typing import NamedTuple


class Session(NamedTuple):
    """A session that is in the way, as long as its transaction lasts."""

    pid: int
    transaction: str
    usename: str | None
    application_name: str | None
    state: str | None
    seconds: float | None
    query: str | None
    is_command: bool  # VACUUM, CREATE INDEX CONCURRENTLY and the like: one after the other
    is_autovacuum: bool

    def __str__(self) -> str:
        if self.is_autovacuum:
            return f"process {self.pid} (autovacuum)"
        parts = [self.usename, self.application_name or "no name", self.state]
        if self.seconds is not None:
            parts.append(f"{self.seconds:.0f} s in its transaction")
        query = f": {without_literals(self.query)}" if self.query else ""
        return f"process {self.pid} ({', '.join(filter(None, parts))}){query}"


def is_autovacuum(sessions: Sequence[Session]) -> bool:
    return bool(sessions) and all(session.is_autovacuum for session in sessions)


def listed(sessions: Sequence[Session]) -> str:
    return "; ".join(map(str, sessions)) or "a session that has gone since"


def advice(sessions: Sequence[Session]) -> str:
    """Who is waited for, and how to end it."""
    ends = " ".join(f"SELECT pg_terminate_backend({s.pid});" for s in sessions)
    return listed(sessions) + (f". To end it: {ends}" if ends else "")


def without_literals(query: str) -> str:
    """A query without the values in it, which may be secret."""
    text = re.sub(r"'(?:[^']|'')*'?|\$(\w*)\$.*?(?:\$\1\$|\Z)|\b\d[\d.]*\b", "?", query)
    return " ".join(text.split())[:100]


# What the views show of others' sessions without a right to it: no state, no query, no time.
COLUMNS = """
    p.pid, v.virtualtransaction AS transaction, a.usename, a.application_name, a.state,
    extract(epoch FROM clock_timestamp() - a.xact_start)::float AS seconds, a.query,
    EXISTS (SELECT FROM pg_stat_progress_vacuum g WHERE g.pid = p.pid)
        OR EXISTS (SELECT FROM pg_stat_progress_create_index g WHERE g.pid = p.pid)
        OR EXISTS (SELECT FROM pg_stat_progress_cluster g WHERE g.pid = p.pid) AS is_command,
    a.usesysid IS NULL AS is_autovacuum
"""
IN_THE_WAY = f"""
SELECT DISTINCT ON (p.pid) {COLUMNS}
FROM (SELECT pg_stat_clear_snapshot()) AS now,
    unnest(pg_blocking_pids(:pid)) AS p (pid)
    JOIN pg_locks v ON v.pid = p.pid AND v.locktype = 'virtualxid' AND v.granted
    JOIN pg_stat_activity a ON a.pid = p.pid
"""
TRANSACTIONS = f"""
SELECT DISTINCT ON (p.pid) {COLUMNS}
FROM (SELECT pg_stat_clear_snapshot()) AS now,
    unnest(%(pids)s::integer[]) AS p (pid)
    JOIN pg_locks v ON v.pid = p.pid AND v.locktype = 'virtualxid' AND v.granted
    JOIN pg_stat_activity a ON a.pid = p.pid
"""
