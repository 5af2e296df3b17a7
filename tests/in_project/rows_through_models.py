"""Rows through every model: two are flushed together, and read again by another session.

Tests put it into a rendered project.
"""

import uuid
import warnings
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg
from sqlalchemy.orm import Mapper
from sqlmodel import Session, SQLModel

# By the class of the type, the first that fits; row 0 and row 1.
RANGES = {
    pg.INT4RANGE: lambda n: pg.Range(10 * n + 10, 10 * n + 12),
    pg.INT8RANGE: lambda n: pg.Range(10 * n + 10, 10 * n + 12),
    pg.NUMRANGE: lambda n: pg.Range(Decimal(n), Decimal(n + 1)),
    pg.DATERANGE: lambda n: pg.Range(date(2026, 1, n + 1), date(2026, 1, n + 3)),
    pg.TSTZRANGE: lambda n: pg.Range(
        datetime(2026, 1, n + 1, tzinfo=UTC), datetime(2026, 1, n + 1, 9, tzinfo=UTC)
    ),
    pg.INT4MULTIRANGE: lambda n: [pg.Range(n, n + 2)],
}
VALUES = RANGES | {
    sa.PickleType: lambda n: {"n": n},
    sa.Boolean: lambda n: n == 0,
    sa.Integer: lambda n: 4 + 2 * n,
    sa.Float: lambda n: 1.5 + n,
    sa.Numeric: lambda n: Decimal(4 + 2 * n),
    sa.JSON: lambda n: {"a": n},
    sa.Uuid: lambda n: uuid.UUID(int=n + 1),
    sa.LargeBinary: lambda n: bytes([n, 255]),
    sa.Interval: lambda n: timedelta(days=n),
    sa.Date: lambda n: date(2026, 1, n + 1),
    pg.CIDR: lambda n: f"10.{n}.0.0/16",
    pg.INET: lambda n: f"10.0.0.{n}",
    pg.MACADDR: lambda n: f"08:00:2b:01:02:0{n}",
    pg.MACADDR8: lambda n: f"08:00:2b:01:02:03:04:0{n}",
    pg.TSVECTOR: lambda n: f"'a':{n + 1}",
    pg.HSTORE: lambda n: {"a": str(n)},
    sa.String: lambda n: "ab"[n],
}


def value(type_: Any, row: int) -> Any:
    """What the row has in a column of the type."""
    match type_:
        case sa.types.TypeDecorator() if not isinstance(type_, (sa.Interval, sa.PickleType)):
            return value(type_.impl_instance, row)
        case pg.DOMAIN():
            return value(type_.data_type, row)
        case sa.Enum():
            return (list(type_.enum_class) if type_.enum_class else type_.enums)[-1 if row else 0]
        case sa.ARRAY():
            item = [value(type_.item_type, row), value(type_.item_type, 0)]
            return [item, item] if type_.dimensions == 2 else item
        case pg.INTERVAL():
            return timedelta(days=0 if "MONTH" in (type_.fields or "") else row)
        case pg.BIT():
            return str(row) * (type_.length or 1)
        case sa.DateTime() | sa.Time():
            moment = datetime(2026, 1, row + 1, 12, tzinfo=UTC if type_.timezone else None)
            return moment if isinstance(type_, sa.DateTime) else moment.timetz()
        case sa.types.UserDefinedType():
            size = getattr(type_, "size", 0)
            return str([row] * size).replace(" ", "") if size else f"({row},{row})"
    return next(make(row) for kind, make in VALUES.items() if isinstance(type_, kind))


def plain(read: Any) -> str:
    """As text in which it does not matter how the driver reads a type; CHAR is padded."""
    if isinstance(read, Decimal):
        return str(read.normalize())
    if isinstance(read, (list, tuple)) and not isinstance(read, pg.Range):
        return str([plain(item) for item in read])
    return str(read).strip()


def mappers() -> dict[str, Mapper[Any]]:
    """The model of each table; of several that share one, the last, which knows all its columns."""
    by_depth = sorted(
        SQLModel._sa_registry.mappers, key=lambda one: len(list(one.iterate_to_root()))
    )
    return {one.local_table.key: one for one in by_depth}


def fields(mapper: Mapper[Any], row: int, made: dict[str, list[Any]]) -> dict[str, Any]:
    """The values of a new row; `made` has the rows of the tables that it may refer to."""
    table = mapper.local_table
    values = {}
    for column in table.columns:
        if column is table.autoincrement_column or column.computed or column.identity:
            continue
        name = mapper.get_property_by_column(column).key
        referred = [key.column for key in column.foreign_keys]
        if not referred:
            values[name] = value(column.type, row)
        elif referred[0].table.key in made:
            values[name] = getattr(made[referred[0].table.key][row], referred[0].name)
        elif not column.nullable:
            raise LookupError(f"no row of {referred[0].table} to refer to")
    return values


def write(engine: sa.Engine, mapper: Mapper[Any], made: dict[str, list[Any]]) -> None:
    """Flush two rows of a table, and compare them with what another session reads."""
    given = [fields(mapper, row, made) for row in (0, 1)]
    with Session(engine, expire_on_commit=False) as session:
        rows = [mapper.class_(**values) for values in given]
        session.add_all(rows)
        session.commit()
    with Session(engine) as session:
        for values, row in zip(given, rows, strict=True):
            there = session.get_one(mapper.class_, mapper.primary_key_from_instance(row))
            for name, expected in values.items():
                found = getattr(there, name)
                if plain(found) != plain(expected):
                    raise ValueError(f"{name} is {found!r}, not {expected!r}")
    made[mapper.local_table.key] = rows


def write_all(engine: sa.Engine) -> dict[str, str]:
    """What failed, by table; an empty text where two rows were written and read again."""
    made: dict[str, list[Any]] = {}
    said = {}
    of_table = mappers()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", sa.exc.SAWarning)  # two tables that refer to each other
        tables = SQLModel.metadata.sorted_tables
    for table in tables:
        try:
            write(engine, of_table[table.key], made)
            said[table.name] = ""
        except Exception as error:  # whatever it is, the test names it with the table
            said[table.name] = f"{type(error).__name__}: {error}"
    return said


def empty(engine: sa.Engine, but: set[str]) -> None:
    with engine.begin() as connection:
        connection.execute(sa.text("SET LOCAL session_replication_role = replica"))  # any order
        for table in SQLModel.metadata.tables.values():
            if table.key not in but:
                connection.execute(table.delete())


def short_of_rows(engine: sa.Engine, tables: set[str]) -> list[str]:
    """Those that do not have the two rows any more."""
    count = sa.select(sa.func.count())
    with engine.connect() as connection:
        return [
            name
            for name in sorted(tables)
            if connection.scalar(count.select_from(SQLModel.metadata.tables[name])) != 2
        ]
