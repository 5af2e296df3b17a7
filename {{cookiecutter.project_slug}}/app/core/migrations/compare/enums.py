"""Native enum types: they come before the columns that have them, and go with the last one."""

import re
from collections.abc import Iterable

from app.core.migrations.compare.catalog import Catalog
from app.core.migrations.compare.comparison import Comparison, Phase
from app.core.migrations.compare.render import Sql, literal


def compare(both: Comparison) -> None:
    found, wanted = both.found.enums, both.wanted.enums
    used = {
        element(column.type)
        for table in both.found.tables.values()
        for column in table.columns.values()
    }
    for name in sorted(wanted.keys() - found.keys()):
        both.add(Phase.PREPARE, [create(name, wanted[name])], [Sql(f"DROP TYPE {name}")])
    for name in sorted(found.keys() & used - wanted.keys()):
        both.add(Phase.DROP_ENUM, [Sql(f"DROP TYPE {name}")], [create(name, found[name])])
    for name in sorted(found.keys() & wanted.keys()):
        if found[name] != wanted[name]:
            change(both, name)


def change(both: Comparison, name: str) -> None:
    """Replace the type, as a value cannot be removed. Those that only get values: widened.py."""
    before, after = both.found.enums[name], both.wanted.enums[name]
    added = [label for label in after if label not in before]
    kept = [label for label in after if label in before]
    if kept != before or is_mentioned(both.wanted, name, added):
        both.replaced.add(name)
        up, down = replace(both, name, after, both.wanted), replace(both, name, before, both.found)
        both.add(Phase.CHANGE_ENUM, up, down)


def add_values(both: Comparison, name: str) -> list[Sql]:
    before, after = both.found.enums[name], both.wanted.enums[name]
    steps = []
    for position, label in enumerate(after):
        if label not in before:
            place = f"AFTER {literal(after[position - 1])}" if position else ""
            place = place or f"BEFORE {literal(before[0])}"
            steps.append(Sql(f"ALTER TYPE {name} ADD VALUE {literal(label)} {place}"))
    return steps


def is_mentioned(catalog: Catalog, name: str, labels: Iterable[str]) -> bool:
    """PostgreSQL does not let the transaction that adds a value use it."""
    texts = [
        text
        for table in catalog.tables.values()
        for text in (
            *(column.default or "" for column in table.columns.values()),
            *(part.definition for part in table.parts.values()),
        )
        if f"::{name}" in text
    ]
    return any(label in text for label in labels for text in texts)


def replace(both: Comparison, name: str, labels: list[str], target: Catalog) -> list[Sql]:
    schema, separator, plain = name.rpartition(".")
    old = both.quote(both.unquote(plain) + "_old")
    steps = [f"ALTER TYPE {name} RENAME TO {old}", create(name, labels).text]
    for key, table in sorted(both.found.tables.items()):
        for column, before in table.columns.items():
            if element(before.type) != name:
                continue
            alter = f"ALTER {both.quote(column)}"
            text = "text[]" if before.type.endswith("[]") else "text"
            actions = [
                f"{alter} DROP DEFAULT",
                f"{alter} TYPE {before.type} USING {both.quote(column)}::{text}::{before.type}",
            ]
            after = target.tables[key].columns.get(column) if key in target.tables else None
            if after is not None and after.default is not None and after.type == before.type:
                actions.append(f"{alter} SET DEFAULT {after.default}")
            steps.append(f"ALTER TABLE {both.sql_name(key)} {', '.join(actions)}")
    steps.append(f"DROP TYPE {schema}{separator}{old}")
    return [Sql(step) for step in steps]


def create(name: str, labels: Iterable[str]) -> Sql:
    return Sql(f"CREATE TYPE {name} AS ENUM ({', '.join(map(literal, labels))})")


def element(type_: str) -> str:
    """The type of the elements of an array, or the type itself."""
    return re.sub(r"(\[\])+$", "", type_)


def is_enum(both: Comparison, type_: str) -> bool:
    """Also an array of one."""
    return element(type_) in both.found.enums.keys() | both.wanted.enums.keys()
