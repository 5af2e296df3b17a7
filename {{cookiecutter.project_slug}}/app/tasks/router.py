"""The HTTP interface of tasks."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, Response, status
from sqlmodel import col

from app.core.db.pagination import LastIdDep, LimitQuery, Page
from app.core.db.pool import Row
from app.core.db.repository import Repository, Rows, repository
from app.core.web.errors import BAD_BODY, CONFLICT, NOT_FOUND, UNAVAILABLE, IdPath, or_404
from app.tasks.models import Task, TaskCreate, TaskPublic, TaskStatus, TaskUpdate

router = APIRouter(prefix="/tasks", tags=["tasks"], responses=UNAVAILABLE)

TaskRepository = Annotated[Repository[Task], Depends(repository(Task))]


@router.post(
    "",
    status_code=status.HTTP_201_CREATED,
    response_model=TaskPublic,
    responses=BAD_BODY,
)
async def create_task(
    body: TaskCreate, tasks: TaskRepository, request: Request, response: Response
) -> Row:
    """Create a task. The header `Location` says where it is."""
    task = await tasks.create(body)
    response.headers["Location"] = request.url_for("get_task", id_=task.id).path
    return task


@router.get("", response_model=Page[TaskPublic])
async def list_tasks(
    tasks: TaskRepository,
    last_id: LastIdDep,
    limit: LimitQuery = 20,
    status: Annotated[TaskStatus | None, Query(description="Only tasks in this status.")] = None,
) -> Rows:
    """List tasks, newest first. Pages stay right while tasks are added."""
    where = [] if status is None else [col(Task.status) == status]
    return await tasks.page(last_id, limit, *where)


@router.get("/{id_}", response_model=TaskPublic, responses=NOT_FOUND)
async def get_task(id_: IdPath, tasks: TaskRepository) -> Row:
    """Get one task."""
    return or_404(await tasks.get(id_))


@router.patch("/{id_}", response_model=TaskPublic, responses=NOT_FOUND | BAD_BODY)
async def update_task(id_: IdPath, body: TaskUpdate, tasks: TaskRepository) -> Row:
    """Change the fields that are given."""
    return or_404(await tasks.update(id_, body))


@router.delete("/{id_}", status_code=status.HTTP_204_NO_CONTENT, responses=NOT_FOUND | CONFLICT)
async def delete_task(id_: IdPath, tasks: TaskRepository) -> None:
    """Delete a task."""
    or_404(await tasks.delete(id_))
