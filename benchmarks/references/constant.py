"""The ceiling: FastAPI with the project's own models, and no database."""

from datetime import UTC, datetime

from app.tasks.models import TaskCreate, TaskPage, TaskPublic
from fastapi import FastAPI

NOW = datetime.now(UTC)
TASK = TaskPublic(id=1, title="Task 1", created_at=NOW, updated_at=NOW)
PAGE = TaskPage(items=[TASK] * 20, next_cursor="1")

app = FastAPI()


@app.get("/tasks/{task_id}")
async def get_task(task_id: int) -> TaskPublic:
    return TASK


@app.get("/tasks")
async def list_tasks(limit: int = 20, cursor: str | None = None) -> TaskPage:
    return PAGE


@app.post("/tasks", status_code=201)
async def create_task(body: TaskCreate) -> TaskPublic:
    return TASK
