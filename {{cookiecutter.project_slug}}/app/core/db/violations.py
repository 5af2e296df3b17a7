"""Which constraint a statement has violated, and of which fields."""

import re
from dataclasses import dataclass

from sqlalchemy.exc import DataError, IntegrityError

# A value that no column of its type can hold.
VALUE_ERRORS: tuple[type[Exception], ...] = (DataError,)


@dataclass(frozen=True)
class Violation:
    kind: str
    message: str
    fields: tuple[str, ...] = ()
    is_conflict: bool = False  # with another record; otherwise the value is wrong by itself


def violation_of(error: IntegrityError) -> Violation:
    # https://www.postgresql.org/docs/18/errcodes-appendix.html
    diagnostics = getattr(error.orig, "diag", None)
    column = getattr(diagnostics, "column_name", None)
    # Key (email, name)=(a, b) already exists.
    key = re.search(r"\((.+?)\)=\(", getattr(diagnostics, "message_detail", None) or "")
    fields = (column,) if column else tuple(key[1].split(", ")) if key else ()
    deletes = (error.statement or "").lstrip().upper().startswith("DELETE")
    match getattr(error.orig, "sqlstate", None):
        case "23505":
            return Violation("unique", "There is another record with this value.", fields, True)
        case "23P01":
            return Violation("exclusion", "It overlaps with another record.", fields, True)
        case "23503" if deletes:
            return Violation("foreign_key", "Other records refer to this one.", (), True)
        case "23503":
            return Violation("foreign_key", "There is no such record.", fields)
        case "23502":
            return Violation("not_null", "The value must not be null.", fields)
    name = getattr(diagnostics, "constraint_name", None)
    return Violation("check", f"A value is not allowed by {name}.", fields)
