"""A new folder under app/ is part of the application without a line anywhere else."""

import shutil
import subprocess
import sys
from pathlib import Path

from app.migrations import ROOT

MODELS = """
from sqlmodel import Field
from app.database import Record

class Note(Record, table=True):
    text: str = Field(max_length=100)
"""

ROUTER = """
from fastapi import APIRouter

router = APIRouter(prefix="/notes")

@router.get("")
async def list_notes() -> list[str]:
    return []
"""


def test_models_and_routers_are_found_by_themselves(tmp_path: Path) -> None:
    project = tmp_path / "project"
    skip = shutil.ignore_patterns(".venv", ".git", "*.db*", "__pycache__", ".*_cache", ".env")
    shutil.copytree(ROOT, project, ignore=skip)
    (project / "app/notes").mkdir()
    (project / "app/notes/__init__.py").touch()
    (project / "app/notes/models.py").write_text(MODELS)
    (project / "app/notes/router.py").write_text(ROUTER)

    def run(*command: str) -> str:
        done = subprocess.run(
            [sys.executable, *command], cwd=project, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    run("-m", "scripts.scratch", "revision", "--autogenerate", "-m", "add note")
    revision = next((project / "alembic/versions").glob("*_add_note.py")).read_text()
    assert '"note"' in revision
    assert "sqlmodel" not in revision
    run("-m", "scripts.scratch", "check")
    assert "/notes" in run("-c", "from app.main import app; print(list(app.openapi()['paths']))")
