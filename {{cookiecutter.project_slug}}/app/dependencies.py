"""What the endpoints are given."""

from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import Depends, Request
from sqlmodel.ext.asyncio.session import AsyncSession

from app.pool import Database


async def get_database(request: Request) -> Database:
    """For one statement: `await database.first(…)`, `await database.all(…)`."""
    database: Database = request.app.state.database
    return database


DatabaseDep = Annotated[Database, Depends(get_database)]


async def get_session(database: DatabaseDep) -> AsyncIterator[AsyncSession]:
    """For several: one transaction. It commits here and nowhere else; an error rolls it back."""
    async with database.turn(), database.sessions.begin() as session:
        yield session


# scope="function": commit before the answer is sent, so that what was promised is kept.
SessionDep = Annotated[AsyncSession, Depends(get_session, scope="function")]
