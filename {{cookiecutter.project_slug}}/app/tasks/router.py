"""The HTTP interface of tasks."""

from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request, Response, status
from sqlalchemy import bindparam, insert, select
from sqlmodel import col, delete, update

from app.core.db.base import table_of
from app.core.db.ids import MAX_ID
from app.core.db.pagination import LastIdDep, LimitQuery, encode_cursor
from app.core.db.session import PoolDep
from app.core.web.errors import BAD_BODY, NOT_FOUND, UNAVAILABLE, or_404
from app.tasks.models import Task, TaskCreate, TaskPage, TaskPublic, TaskStatus, TaskUpdate

router = APIRouter(prefix="/tasks", tags=["tasks"], responses=UNAVAILABLE)

# Rows, not objects: what is only sent needs no identity map. FastAPI makes a TaskPublic of each.
TABLE = table_of(Task)
SELECT = select(TABLE)
SELECT_ONE = SELECT.where(TABLE.c.id == bindparam("task_id"))
SELECT_PAGE = (
    SELECT.where(TABLE.c.id <= bindparam("last_id"))
    .order_by(TABLE.c.id.desc())
    .limit(bindparam("limit"))
)
INSERT = insert(TABLE).returning(TABLE)

TaskId = Annotated[int, Path(ge=1, le=MAX_ID, description="The task's id.", examples=[1])]


@router.post("", status_code=status.HTTP_201_CREATED, response_model=TaskPublic, responses=BAD_BODY)
async def create_task(body: TaskCreate, pool: PoolDep, request: Request, response: Response) -> Any:
    """Create a task. The header `Location` says where it is."""
    task = Task.model_validate(body)
    row = or_404(await pool.first(INSERT, **task.model_dump(exclude={"id"})))
    response.headers["Location"] = request.url_for("get_task", task_id=row.id).path
    return row


@router.get("", response_model=TaskPage)
async def list_tasks(
    pool: PoolDep,
    last_id: LastIdDep,
    limit: LimitQuery = 20,
    status: Annotated[TaskStatus | None, Query(description="Only tasks in this status.")] = None,
) -> Any:
    """List tasks, newest first. Pages stay right while tasks are added."""
    query = SELECT_PAGE if status is None else SELECT_PAGE.where(TABLE.c.status == status)
    # One more than asked for: is there a next page?
    rows = await pool.all(query, last_id=last_id, limit=limit + 1)
    items = rows[:limit]
    return {
        "items": items,
        "next_cursor": encode_cursor(items[-1].id) if len(rows) > limit else None,
    }


@router.get("/{task_id}", response_model=TaskPublic, responses=NOT_FOUND)
async def get_task(task_id: TaskId, pool: PoolDep) -> Any:
    """Get one task."""
    return or_404(await pool.first(SELECT_ONE, task_id=task_id))


@router.patch("/{task_id}", response_model=TaskPublic, responses=NOT_FOUND | BAD_BODY)
async def update_task(task_id: TaskId, body: TaskUpdate, pool: PoolDep) -> Any:
    """Change the fields that are given."""
    changes = body.model_dump(exclude_unset=True)
    if not changes:
        return await get_task(task_id, pool)
    # One statement, so that a task deleted at the same moment is a 404 and not a fault.
    statement = update(Task).where(col(Task.id) == task_id).values(**changes)
    return or_404(await pool.first(statement.returning(TABLE)))


@router.delete("/{task_id}", status_code=status.HTTP_204_NO_CONTENT, responses=NOT_FOUND)
async def delete_task(task_id: TaskId, pool: PoolDep) -> None:
    """Delete a task."""
    statement = delete(Task).where(col(Task.id) == task_id)
    or_404(await pool.first(statement.returning(col(Task.id))))
