"""The statements of one table, prepared once."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

import sqlalchemy as sa
from fastapi import Request
from sqlmodel import SQLModel

from app.core.db.base import TableBase
from app.core.db.pagination import encode_cursor
from app.core.db.pool import Pool, Row

T = TypeVar("T", bound=TableBase)

SET_BY_THE_DATABASE = {"id", "created_at", "updated_at"}


@dataclass(frozen=True)
class Rows:
    """What a response model `Page` is built from."""

    items: list[Row]
    next_cursor: str | None


class Statements(Generic[T]):
    """Built once for a table: building a statement takes as long as sending it."""

    def __init__(self, model: type[T]) -> None:
        self.model = model
        self.table: sa.Table = sa.inspect(model).local_table
        self.id = self.table.c.id
        self.select = sa.select(self.table)
        self.get = self.select.where(self.id == sa.bindparam("id_"))
        self.page = (
            self.select.where(self.id <= sa.bindparam("last_id"))
            .order_by(self.id.desc())
            .limit(sa.bindparam("limit"))
        )
        self.create = sa.insert(self.table).returning(self.table)
        self.update = (
            sa.update(self.table).where(self.id == sa.bindparam("id_")).returning(self.table)
        )
        self.delete = sa.delete(self.table).where(self.id == sa.bindparam("id_")).returning(self.id)


class Repository(Generic[T]):
    """Reads and writes the records of one table, each by one statement that commits itself.

    Records come as rows with the attributes of the model, not as objects of a session: what is
    only sent needs none. In a request that has a `SessionDep`, the statements are part of its
    transaction.
    """

    def __init__(self, pool: Pool, statements: Statements[T]) -> None:
        self.pool, self.statements = pool, statements

    async def get(self, id_: int) -> Row | None:
        return await self.pool.first(self.statements.get, id_=id_)

    async def page(self, last_id: int, limit: int, *where: sa.ColumnElement[bool]) -> Rows:
        """The `limit` newest records with an id up to `last_id`, of those that `where` selects."""
        statement = self.statements.page
        if where:
            statement = statement.where(*where)
        # One more than asked for: is there a next page?
        rows = await self.pool.all(statement, last_id=last_id, limit=limit + 1)
        items = list(rows[:limit])
        cursor = encode_cursor(items[-1].id) if len(rows) > limit else None
        return Rows(items, cursor)

    async def create(self, body: SQLModel) -> Row:
        """Raises sqlalchemy.exc.IntegrityError, which clients get as 409 or 422."""
        record = self.statements.model.model_validate(body)
        values = record.model_dump(exclude=SET_BY_THE_DATABASE)
        row = await self.pool.first(self.statements.create, **values)
        assert row is not None
        return row

    async def update(self, id_: int, body: SQLModel) -> Row | None:
        """Change the fields that the body sets. Raises like `create`."""
        changes = body.model_dump(exclude_unset=True)
        if not changes:
            return await self.get(id_)
        # One statement: a record that is deleted at the same moment is a 404, and not an error.
        return await self.pool.first(self.statements.update.values(**changes), id_=id_)

    async def delete(self, id_: int) -> Row | None:
        """The row with the id of what was deleted; None when there was nothing."""
        return await self.pool.first(self.statements.delete, id_=id_)


def repository(model: type[T]) -> Callable[[Request], Awaitable[Repository[T]]]:
    """The dependency that gives an endpoint the repository of a model."""
    statements = Statements(model)

    async def get_repository(request: Request) -> Repository[T]:
        pool: Pool = request.app.state.pool
        return Repository(pool, statements)

    return get_repository
