"""What differs and cannot be written is named, with the statement that a person can begin with."""

from app.core.migrations.compare.catalog import Column, Key
from app.core.migrations.compare.columns import runs, type_of
from app.core.migrations.compare.comparison import Comparison, Phase
from app.core.migrations.compare.enums import is_enum
from app.core.migrations.compare.render import ByHand, Sql


def leave(both: Comparison) -> None:
    """Take out of what is wanted that which is to be written by hand."""
    for key in sorted(both.found.tables.keys() & both.wanted.tables.keys()):
        leave_columns(both, key)
    leave_extras(both)


def leave_columns(both: Comparison, key: Key) -> None:
    """Types into which PostgreSQL converts no value, or from which it has no way back."""
    before, after = both.found.tables[key].columns, both.wanted.tables[key].columns
    for name in before.keys() & after.keys():
        old, new = before[name], after[name]
        if type_of(old) == type_of(new) or (has_cast(both, old, new) and has_cast(both, new, old)):
            continue
        line = f"ALTER TABLE {both.sql_name(key)} ALTER {both.quote(name)} TYPE {new.type}"
        why = f"PostgreSQL does not convert {old.type} to {new.type} and back"
        say(both, f"{line} USING <expression>; {why} (docs/migrations.md, change a type)")
        after[name] = old


def has_cast(both: Comparison, old: Column, new: Column) -> bool:
    if is_enum(both, old.type) or is_enum(both, new.type):  # as text; a new type is not there yet
        return old.type.endswith("[]") == new.type.endswith("[]")
    return runs(both, f"SELECT NULL::{old.type}::{new.type}")


def leave_extras(both: Comparison) -> None:
    """What a revision has made and no model mentions is left alone."""
    tables = {both.sql_name(key) for key in both.found.tables}
    for name, extra in sorted(both.wanted.extras.items()):
        there = both.found.extras.get(name)
        if there == extra or (extra.table and extra.table not in tables):
            continue
        if there is None and extra.name.startswith(("sequence ", "domain ")):
            drop = extra.sql.partition(" AS ")[0].replace("CREATE", "DROP")
            both.add(Phase.PREPARE, [Sql(extra.sql)], [Sql(drop)])
        else:
            say(both, extra.sql)


def say(both: Comparison, text: str) -> None:
    both.add(Phase.BY_HAND, [ByHand(text)], [])
