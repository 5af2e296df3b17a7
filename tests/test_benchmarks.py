"""What the benchmarks count, and the reference that uses names of the rendered project."""

import json
from pathlib import Path

import pytest

from benchmarks.compare import at_most
from benchmarks.trees import figures, import_circles
from tests.conftest import TEMPLATE
from tests.project import Project


def write(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


def test_an_import_circle_counts_once_and_inside_a_function_too(tmp_path: Path) -> None:
    project = write(
        tmp_path,
        {
            "app/__init__.py": "",
            "app/a.py": "from app.b import x\n",
            "app/b.py": "def x():\n    from app import c\n",
            "app/c.py": "import app.a\n",
            "app/d.py": "import app.a\n",
        },
    )
    assert import_circles(project) == {frozenset({"app.a", "app.b", "app.c"})}


def test_lines_are_counted_by_what_they_are_for(tmp_path: Path) -> None:
    project = write(
        tmp_path,
        {
            "README.md": "1\n2\n3\n",
            "app/main.py": "1\n2\n",
            "app/core/migrations/plan.py": "1\n",
            "tests/test_tasks.py": "1\n",
            "tests/core/test_pool.py": "1\n",
        },
    )
    assert figures(project) == {
        "files": 5,
        "lines": 8,
        "lines of Python": 5,
        "lines of Python without tests": 3,
        "lines of Python without the core's tests and the migration toolkit": 3,
        "import circles": 0,
    }


def test_a_goal_is_met_or_missed() -> None:
    assert at_most(1.3, 1.3, "×") == "at most 1.3 ×: met"
    assert at_most(1801, 1800, "") == "at most 1800: MISSED"


@pytest.mark.slow
def test_the_reference_without_a_database_answers_with_the_models_of_the_project(
    project: Project,
) -> None:
    code = "from benchmarks.references.constant import PAGE; print(PAGE.model_dump_json())"
    done = project.run("-c", code, PYTHONPATH=str(TEMPLATE))
    assert done.returncode == 0, done.stderr
    assert len(json.loads(done.stdout)["items"]) == 20
