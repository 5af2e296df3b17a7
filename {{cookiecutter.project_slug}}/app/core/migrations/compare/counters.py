"""What counts up a column: the sequence of a serial one, or of an identity."""

from app.core.migrations.compare.catalog import Column, Key, Sequence
from app.core.migrations.compare.comparison import Comparison
from app.core.migrations.compare.render import literal


def kind(column: Column) -> str:
    return "identity" if column.identity else "serial" if column.is_serial else ""


def identity(column: Column) -> str:
    assert column.sequence is not None
    return f"GENERATED {always(column)} AS IDENTITY ({column.sequence.options})"


def always(column: Column) -> str:
    return "ALWAYS" if column.identity == "a" else "BY DEFAULT"


def remove(place: str, column: Column) -> list[str]:
    """`place` is "ALTER TABLE … ALTER COLUMN …"."""
    if column.identity:
        return [f"{place} DROP IDENTITY"]
    if column.sequence is not None:
        return [f"{place} DROP DEFAULT", f"DROP SEQUENCE {column.sequence.name}"]
    return []


def make(both: Comparison, key: Key, name: str, column: Column) -> list[str]:
    """The counter goes on after the highest number that a row has."""
    if column.sequence is None:
        return []
    table, quoted = both.sql_name(key), both.quote(name)
    place = f"ALTER TABLE {table} ALTER COLUMN {quoted}"
    sequence = column.sequence
    if column.identity:
        first = [f"{place} ADD {identity(column)}"]
        last = []
    else:
        owner = f"OWNED BY {table}.{quoted}"
        first = [f"CREATE SEQUENCE {sequence.name} AS {sequence.type} {sequence.options} {owner}"]
        last = [f"{place} SET DEFAULT {column.default}"]
    names = f"{literal(table)}, {literal(name)}"
    move = (
        f"SELECT setval(pg_get_serial_sequence({names}), max({quoted})) FROM {table} "
        f"HAVING max({quoted}) >= {sequence.start}"
    )
    return [*first, move, *last]


def change(place: str, actual: Sequence | None, old: Column, new: Column) -> list[str]:
    """The same kind of counter, with other options."""
    lines = []
    if old.identity != new.identity:
        lines.append(f"{place} SET GENERATED {always(new)}")
    if old.sequence != new.sequence and actual is not None and new.sequence is not None:
        lines.append(f"ALTER SEQUENCE {actual.name} AS {new.sequence.type} {new.sequence.options}")
    return lines
