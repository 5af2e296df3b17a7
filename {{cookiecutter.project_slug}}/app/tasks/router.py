"""The HTTP interface of tasks."""

from typing import Annotated

from fastapi import APIRouter, Path, Query, Request, Response, status
from sqlmodel import col, delete, select, update

from app.database import MAX_ID
from app.dependencies import SessionDep
from app.errors import NOT_FOUND, UNAVAILABLE, UNREADABLE, found
from app.pagination import BeforeDep, LimitQuery, encode_cursor
from app.tasks.models import Task, TaskCreate, TaskPage, TaskPublic, TaskStatus, TaskUpdate

router = APIRouter(prefix="/tasks", tags=["tasks"], responses=UNAVAILABLE)

TaskId = Annotated[int, Path(ge=1, le=MAX_ID, description="The task's id.", examples=[1])]


@router.post(
    "", status_code=status.HTTP_201_CREATED, response_model=TaskPublic, responses=UNREADABLE
)
async def create_task(
    body: TaskCreate, session: SessionDep, request: Request, response: Response
) -> Task:
    """Create a task. The header `Location` says where it is."""
    task = Task.model_validate(body)
    session.add(task)
    await session.flush()
    response.headers["Location"] = request.url_for("get_task", task_id=task.id).path
    return task


@router.get("", response_model=TaskPage)
async def list_tasks(
    session: SessionDep,
    before: BeforeDep,
    limit: LimitQuery = 20,
    status: Annotated[TaskStatus | None, Query(description="Only tasks in this status.")] = None,
) -> TaskPage:
    """List tasks, newest first. Pages stay right while tasks are added."""
    query = select(Task).order_by(col(Task.id).desc()).limit(limit + 1)
    if before is not None:
        query = query.where(col(Task.id) < before)
    if status is not None:
        query = query.where(Task.status == status)
    tasks = (await session.exec(query)).all()  # one more than asked for: is there a next page?
    items = [TaskPublic.model_validate(task) for task in tasks[:limit]]
    more = len(tasks) > limit
    return TaskPage(items=items, next_cursor=encode_cursor(items[-1].id) if more else None)


@router.get("/{task_id}", response_model=TaskPublic, responses=NOT_FOUND)
async def get_task(task_id: TaskId, session: SessionDep) -> Task:
    """Get one task."""
    return found(await session.get(Task, task_id))


@router.patch("/{task_id}", response_model=TaskPublic, responses=NOT_FOUND | UNREADABLE)
async def update_task(task_id: TaskId, body: TaskUpdate, session: SessionDep) -> Task:
    """Change the fields that are given."""
    changes = body.model_dump(exclude_unset=True)
    if not changes:
        return await get_task(task_id, session)
    # One statement, so that a task deleted at the same moment is a 404 and not a fault.
    statement = update(Task).where(col(Task.id) == task_id).values(**changes).returning(Task)
    return found(await session.scalar(statement))


@router.delete("/{task_id}", status_code=status.HTTP_204_NO_CONTENT, responses=NOT_FOUND)
async def delete_task(task_id: TaskId, session: SessionDep) -> None:
    """Delete a task."""
    statement = delete(Task).where(col(Task.id) == task_id).returning(col(Task.id))
    found(await session.scalar(statement))
