"""What the endpoints are given."""

from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import Depends, Request
from sqlmodel.ext.asyncio.session import AsyncSession


async def get_session(request: Request) -> AsyncIterator[AsyncSession]:
    """A session for one request. It commits here and nowhere else; an error rolls it back."""
    async with request.app.state.sessions.begin() as session:
        yield session


# scope="function": commit before the answer is sent, so that what was promised is kept.
SessionDep = Annotated[AsyncSession, Depends(get_session, scope="function")]
