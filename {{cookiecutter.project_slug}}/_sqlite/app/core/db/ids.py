"""The type of ids."""

import sqlalchemy as sa

# SQLite counts up by itself only in a column of type INTEGER, which has 64 bits there.
IdType = sa.Integer
MAX_ID = 2**63 - 1
