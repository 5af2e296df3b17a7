"""Compares the models with a database: the operations that make the one of the other.

PostgreSQL is asked what it says of both (catalog.py). What it says alike is equal, all else is a
change. An upgrade is written in the words of the models; a downgrade in Alembic's, as long as
these build what was there, and in PostgreSQL's own where they do not.
"""

from alembic.autogenerate.api import AutogenContext
from alembic.operations.ops import UpgradeOps
from alembic.util import PriorityDispatchResult

from app.core.migrations.compare import by_hand, columns, enums, parts, renames, tables, widened
from app.core.migrations.compare.comparison import Comparison, Phase


def compare(context: AutogenContext, upgrade: UpgradeOps) -> PriorityDispatchResult:
    """Fill in the operations of the upgrade; a comparator for Alembic's autogenerate."""
    renamed = renames.apply(context)
    both = Comparison(context)
    found, wanted = both.found.tables.keys(), both.wanted.tables.keys()
    for line in both.preparations():
        # It stays after a downgrade: others may use it by then.
        both.add(Phase.PREPARE, [line], [])
    for up, down in renamed:
        both.add(Phase.PREPARE, [up], [down])
    by_hand.leave(both)
    enums.compare(both)
    for key in sorted(found & wanted):
        columns.compare(both, key)
    parts.compare(both, sorted(found & wanted))
    widened.compare(both)
    tables.create(both, sorted(wanted - found))
    tables.drop(both, sorted(found - wanted))
    renames.warn(both)
    upgrade.ops.extend(both.in_order())
    return PriorityDispatchResult.CONTINUE
