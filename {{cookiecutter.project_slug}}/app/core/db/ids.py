"""The type of ids."""

import sqlalchemy as sa

# 64 bits, so that ids never run out; a column that refers to an id has the same type.
IdType = sa.BigInteger
MAX_ID = 2**63 - 1
