"""Which constraint a statement has violated, and of which fields."""

from dataclasses import dataclass

from sqlalchemy.exc import DataError, IntegrityError

# A value that no column of its type can hold; the second is of Python's own sqlite3.
VALUE_ERRORS: tuple[type[Exception], ...] = (DataError, OverflowError)


@dataclass(frozen=True)
class Violation:
    kind: str
    message: str
    fields: tuple[str, ...] = ()
    is_conflict: bool = False  # with another record; otherwise the value is wrong by itself


def violation_of(error: IntegrityError) -> Violation:
    # SQLite names the columns: "UNIQUE constraint failed: person.email, person.name".
    kind, _, rest = str(error.orig).partition(" constraint failed")
    columns = rest.removeprefix(": ").split(", ") if rest else []
    fields = tuple(column.partition(".")[2] for column in columns if "." in column)
    deletes = (error.statement or "").lstrip().upper().startswith("DELETE")
    match kind:
        case "UNIQUE":
            return Violation("unique", "There is another record with this value.", fields, True)
        case "FOREIGN KEY" if deletes:
            return Violation("foreign_key", "Other records refer to this one.", (), True)
        case "FOREIGN KEY":
            return Violation("foreign_key", "A record that this one refers to does not exist.")
        case "NOT NULL":
            return Violation("not_null", "The value must not be null.", fields)
    return Violation("check", "The value is not allowed.")
