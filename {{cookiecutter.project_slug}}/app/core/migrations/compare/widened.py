"""Enum types that get values: one statement on the way up, and a new type on the way down."""

from alembic.operations.ops import MigrateOperation

from app.core.migrations.compare import columns, parts
from app.core.migrations.compare.catalog import Key
from app.core.migrations.compare.comparison import Comparison, Phase
from app.core.migrations.compare.enums import add_values, element, replace

Steps = list[MigrateOperation]


def compare(both: Comparison) -> None:
    """After the parts, of which those that are dropped anyway need no step here."""
    found, wanted = both.found.enums, both.wanted.enums
    for name in sorted(found.keys() & wanted.keys() - both.replaced):
        if found[name] != wanted[name]:
            drops: Steps = []
            makes: Steps = []
            for key in both.found.tables:
                set_aside(both, key, name, drops, makes)
            back = [*drops, *replace(both, name, found[name], both.found), *makes]
            both.add(Phase.CHANGE_ENUM, add_values(both, name), back)


def set_aside(both: Comparison, key: Key, name: str, drops: Steps, makes: Steps) -> None:
    """Drop and make again what hangs on the type of a column."""
    table = both.found.tables[key]
    of_type = {column for column, said in table.columns.items() if element(said.type) == name}
    generated = {column for column, said in table.columns.items() if said.uses & of_type}
    if key in both.wanted.tables:
        generated -= columns.remade(both, key)
    first: Steps = []
    for item, part in table.parts.items():
        of_key = part.kind == "f" and part.uses & of_type
        hangs = of_key or part.uses & generated or f"::{name}" in part.definition
        if hangs and item not in both.stale.get(key, ()) and not parts.refers_to_stale(both, part):
            drop, make = parts.drop(both, key, item, part), parts.make(both, key, item, both.found)
            drops.insert(0 if of_key else len(drops), drop)
            (makes if of_key else first).append(make)
    drops += [columns.drop(both, key, column) for column in sorted(generated)]
    added = [
        add for column in sorted(generated) for add in columns.add(both, key, column, both.found)
    ]
    makes[:0] = [*added, *first]
