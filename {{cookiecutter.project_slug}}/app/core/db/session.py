"""The database dependencies of the endpoints."""

from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import Depends, Request
from sqlmodel.ext.asyncio.session import AsyncSession

from app.core.db.pool import Pool


async def get_pool(request: Request) -> Pool:
    """For one statement: `await pool.first(…)`, `await pool.all(…)`."""
    pool: Pool = request.app.state.pool
    return pool


PoolDep = Annotated[Pool, Depends(get_pool)]


async def get_session(pool: PoolDep) -> AsyncIterator[AsyncSession]:
    """For several statements: one transaction, which an error rolls back."""
    async with pool.transaction() as session:
        yield session


# scope="function": commit before responding, never a 2xx for a failed commit.
SessionDep = Annotated[AsyncSession, Depends(get_session, scope="function")]
