"""A new folder under app/ is part of the application without a line anywhere else."""

import shutil
import subprocess
import sys
from pathlib import Path

from app.core import ROOT

MODELS = """
from sqlmodel import Field
from app.core.db.base import TableBase

class Found(TableBase, table=True):
    text: str = Field(max_length=100)
"""

ROUTER = """
from fastapi import APIRouter

router = APIRouter(prefix="/found")

@router.get("")
async def list_or_404() -> list[str]:
    return []
"""


def test_models_and_routers_are_found_by_themselves(tmp_path: Path) -> None:
    project = tmp_path / "project"
    skip = shutil.ignore_patterns(".venv", ".git", ".postgres", "__pycache__", ".*_cache", ".env")
    shutil.copytree(ROOT, project, ignore=skip)
    (project / "app/found").mkdir()
    (project / "app/found/__init__.py").touch()
    (project / "app/found/models.py").write_text(MODELS)
    (project / "app/found/router.py").write_text(ROUTER)

    def run(*command: str) -> str:
        done = subprocess.run(
            [sys.executable, *command], cwd=project, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    run("-m", "app.core.migrations.scratch", "revision", "--autogenerate", "-m", "add found")
    revision = next((project / "alembic/versions").glob("*_add_found.py")).read_text()
    assert '"found"' in revision
    assert "sqlmodel" not in revision
    run("-m", "app.core.migrations.scratch", "check")
    assert "/found" in run("-c", "from app.main import app; print(list(app.openapi()['paths']))")
