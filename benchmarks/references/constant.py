"""The ceiling: FastAPI with the project's own models, and no database."""

from datetime import UTC, datetime

from fastapi import FastAPI

from app.core.db.pagination import Page
from app.tasks.models import TaskCreate, TaskPublic

NOW = datetime.now(UTC)
TASK = TaskPublic(id=1, title="Task 1", created_at=NOW, updated_at=NOW)
PAGE = Page[TaskPublic](items=[TASK] * 20, next_cursor="1")

app = FastAPI()


@app.get("/tasks/{id_}")
async def get_task(id_: int) -> TaskPublic:
    return TASK


@app.get("/tasks")
async def list_tasks(limit: int = 20, cursor: str | None = None) -> Page[TaskPublic]:
    return PAGE


@app.post("/tasks", status_code=201)
async def create_task(body: TaskCreate) -> TaskPublic:
    return TASK
