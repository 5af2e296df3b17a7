"""Compares the models with a database: the operations that make the one of the other.

PostgreSQL is asked what it says of both (catalog.py). What it says alike is equal, all else is a
change. An upgrade is written in the words of the models; a downgrade in Alembic's, as long as
these build what was there, and in PostgreSQL's own where they do not.
"""

from alembic.autogenerate.api import AutogenContext
from alembic.operations.ops import UpgradeOps
from alembic.util import PriorityDispatchResult

from app.core.migrations.compare import columns, enums, parts, tables
from app.core.migrations.compare.comparison import Comparison, Phase


def compare(context: AutogenContext, upgrade: UpgradeOps) -> PriorityDispatchResult:
    """Fill in the operations of the upgrade; a comparator for Alembic's autogenerate."""
    both = Comparison(context)
    found, wanted = both.found.tables.keys(), both.wanted.tables.keys()
    for line in both.preparations():
        # It stays after a downgrade: others may use it by then.
        both.add(Phase.PREPARE, [line], [])
    enums.compare(both)
    for key in sorted(found & wanted):
        columns.compare(both, key)
    parts.compare(both, sorted(found & wanted))
    tables.create(both, sorted(wanted - found))
    tables.drop(both, sorted(found - wanted))
    upgrade.ops.extend(both.in_order())
    return PriorityDispatchResult.CONTINUE
