"""Is the process alive, and is it ready to serve?"""

import asyncio
from functools import cache
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from sqlalchemy.exc import SQLAlchemyError

from app.core.db.pool import QueueFullError
from app.core.db.revisions import current_heads
from app.core.db.session import PoolDep
from app.core.web.errors import BUSY, UNREACHABLE

router = APIRouter(prefix="/health", tags=["health"])

TIMEOUT_SECONDS = 3


class Live(BaseModel):
    status: str = "live"


class Ready(BaseModel):
    detail: str = Field(description="`ready`, or why the service is not.", examples=["ready"])
    database_revision: str | None = Field(
        description="The revision that the database is at; null when none is known."
    )
    code_revision: str | None = Field(description="The revision that this code needs.")


@router.get("/live")
async def live() -> Live:
    """The process answers. Restart it when it does not."""
    return Live()


@router.get("/ready", response_model=Ready, responses={503: {"model": Ready}})
async def ready(request: Request, pool: PoolDep) -> Any:
    """The database answers, and its schema is the one that this code needs.

    A process that was ready stays so when a newer release migrates on: while that is rolled out,
    the schema suits both. One that starts on a newer schema is a rollback, and never ready.
    """
    known, heads = await asyncio.to_thread(code_revisions)
    state = Ready(detail="ready", database_revision=None, code_revision=names(heads))
    try:
        async with (
            asyncio.timeout(TIMEOUT_SECONDS),
            pool.slot(),
            pool.engine.connect() as connection,
        ):
            current = await connection.run_sync(current_heads)
    except QueueFullError:
        state.detail = BUSY
    except (SQLAlchemyError, OSError):
        state.detail = UNREACHABLE
    else:
        state.database_revision = names(current)
        if current == heads:
            request.app.state.was_ready = True
        elif not current <= known and getattr(request.app.state, "was_ready", False):
            state.detail = "ready, for a newer release to take over"
        elif not current <= known:
            state.detail = "The database is newer than this code: deploy the code that migrated it."
        else:
            state.detail = "Migrations are pending: run `alembic upgrade head`."
    if state.detail.startswith("ready"):
        return state
    return JSONResponse(state.model_dump(), status_code=503)


@cache
def code_revisions() -> tuple[set[str], set[str]]:
    """All revisions in `alembic/versions`, and the newest of them."""
    # Imported on the first call: Alembic would slow every start.
    from app.core.migrations.config import script_directory

    script = script_directory()
    return {revision.revision for revision in script.walk_revisions()}, set(script.get_heads())


def names(revisions: set[str]) -> str | None:
    return ", ".join(sorted(revisions)) or None
