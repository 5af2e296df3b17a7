"""The post-generation hook, run as Cookiecutter runs it: a file of its own, inside the project."""

import ast
import json
import os
import re
import runpy
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml

from tests.conftest import TEMPLATE

SOURCE = (TEMPLATE / "hooks" / "post_gen_project.py").read_text("utf-8")
hook = SimpleNamespace(**runpy.run_path(str(TEMPLATE / "hooks" / "post_gen_project.py")))

CI_FILES = {
    "github": {".github/workflows/ci.yml", ".github/dependabot.yml"},
    "gitlab": {".gitlab-ci.yml"},
    "none": set(),
}
# The rendered project's scripts, with the same contract: what they do is in `behaviour.json`.
SCRIPTS = {
    "scripts/alembic_static.py": """
import json
def static_faults(root):
    return json.loads((root / "behaviour.json").read_text("utf-8")).get("static", [])
""",
    "scripts/check_alembic.py": """
import json, sys
from pathlib import Path
ROOT = Path(__file__).parents[1]
BEHAVIOUR = json.loads((ROOT / "behaviour.json").read_text("utf-8"))
with (ROOT / "log").open("a") as log:
    log.write(f"check {sys.argv[1:]}\\n")
sys.stderr.write(BEHAVIOUR.get("stderr", ""))
sys.exit(BEHAVIOUR.get("exit", 0))
""",
    "scripts/setup.py": """
import json, subprocess, sys, time
class SetupError(Exception):
    pass
def behaviour(root):
    return json.loads((root / "behaviour.json").read_text("utf-8"))
def find_uv(root):
    return behaviour(root).get("uv", sys.executable)
def install_uv(root):
    raise SetupError("uv cannot be installed:\\nno network")
def run_uv(uv, root, *arguments):
    with (root / "log").open("a") as log:
        log.write(f"uv {' '.join(arguments)}\\n")
    for _ in range(500):
        if (root / "wait").exists():
            time.sleep(0.01)
    if arguments[0] == behaviour(root).get("interrupt"):
        raise KeyboardInterrupt
    if arguments[0] == behaviour(root).get("fails"):
        raise SetupError("error: no network")
""",
    # Python takes the place of uv, and this file that of `uv run --no-sync python -m …`.
    "run": """
import runpy, sys
no_sync, python, option, module = sys.argv[1:]
assert (no_sync, python, option) == ("--no-sync", "python", "-m")
sys.argv = [module]
runpy.run_module(module, run_name="__main__")
""",
}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    root = tmp_path / "task-service"
    files = SCRIPTS | dict.fromkeys(hook.ONLY_FOR, "")
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
    return root


def rendered_hook(root: Path, **answers: object) -> list[str]:
    """Render the hook as Cookiecutter does; return the command that runs it."""
    context = {"project_name": "Task Service", "ci": "none", "__kubernetes": "", "__setup": "yes"}
    path = root.parent / "hook.py"
    path.write_text(
        SOURCE.replace("{{ cookiecutter | tojson }}", json.dumps(context | answers)), "utf-8"
    )
    return [sys.executable, str(path)]


def run_hook(
    root: Path,
    behaviour: dict[str, object] | None = None,
    environment: dict[str, str] | None = None,
    **answers: object,
) -> subprocess.CompletedProcess[str]:
    (root / "behaviour.json").write_text(json.dumps(behaviour or {}), "utf-8")
    return subprocess.run(
        rendered_hook(root, **answers),
        cwd=root,
        env=os.environ | {"PYTHONIOENCODING": "utf-8"} | (environment or {}),
        capture_output=True,
        encoding="utf-8",
    )


def log(root: Path) -> list[str]:
    path = root / "log"
    return path.read_text("utf-8").splitlines() if path.exists() else []


@pytest.mark.parametrize("ci", CI_FILES)
def test_the_files_of_other_answers_and_their_folders_are_gone(
    bake: Callable[..., Path], ci: str
) -> None:
    root = bake(license="MIT", python_version="3.13", ci=ci)
    found = [path for path in root.rglob("*") if path.relative_to(root).parts[0][:4] == ".git"]
    files = {path.relative_to(root).as_posix() for path in found if path.is_file()}
    assert files - {".gitignore", ".gitattributes"} == CI_FILES[ci]
    assert (root / ".github").exists() == (ci == "github")


def test_every_file_of_a_choice_is_in_the_template() -> None:
    rendered = TEMPLATE / "{{cookiecutter.project_slug}}"
    assert [name for name in hook.ONLY_FOR if not (rendered / name).is_file()] == []


def test_what_else_a_folder_holds_stays(project: Path) -> None:
    own = project / ".github" / "workflows" / "release.yml"
    own.write_text("", "utf-8")
    hook.drop_unchosen(project, {"ci": "none", "__kubernetes": ""})
    assert own.exists()
    assert not (project / ".github" / "dependabot.yml").exists()


def test_github_runs_all_checks_on_the_chosen_python(bake: Callable[..., Path]) -> None:
    root = bake(license="MIT", python_version="3.11", ci="github")
    workflow = yaml.safe_load((root / ".github/workflows/ci.yml").read_text("utf-8"))
    (job,) = workflow["jobs"].values()
    assert job["env"] == {"UV_PYTHON": "3.11"}
    assert job["steps"][-1] == {"run": "make check"}
    assert (workflow["permissions"], job["permissions"]) == ({}, {"contents": "read"})


def test_gitlab_runs_all_checks_on_the_chosen_python(bake: Callable[..., Path]) -> None:
    root = bake(license="MIT", python_version="3.12", ci="gitlab")
    job = yaml.safe_load((root / ".gitlab-ci.yml").read_text("utf-8"))["check"]
    assert (job["image"], job["variables"]["UV_PYTHON"]) == ("python:3.12", "3.12")
    assert job["script"] == ["make check"]


def test_setting_up_locks_syncs_and_checks_with_a_line_of_progress_each(project: Path) -> None:
    done = run_hook(project)
    assert (done.returncode, done.stderr) == (0, "")
    assert log(project) == ["uv lock", "uv sync", "check []"]
    lines = done.stdout.splitlines()
    assert lines[0] == "Setting up Task Service:"
    for line, label in zip(
        lines[1:4], ["lock file", "environment", "first migration"], strict=True
    ):
        assert re.fullmatch(rf"  {label} \.\.\. \d+\.\d s", line)
    assert re.search(r"[\x00-\x09\x0b-\x1f\x7f]", done.stdout) is None


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no pseudo-terminals")
def test_a_terminal_shows_a_step_when_it_begins(project: Path) -> None:
    (project / "behaviour.json").write_text("{}", "utf-8")
    (project / "wait").touch()
    terminal, slave = os.openpty()
    process = subprocess.Popen(
        rendered_hook(project),
        cwd=project,
        env=os.environ | {"PYTHONUNBUFFERED": ""},
        stdout=slave,
        stderr=slave,
    )
    os.close(slave)
    seen = b""
    while not seen.endswith(b"lock file ... "):
        seen += os.read(terminal, 100)
    while log(project) != ["uv lock"]:
        time.sleep(0.01)
    (project / "wait").unlink()
    while b"make test" not in seen and b"run pytest" not in seen:
        seen += os.read(terminal, 1000)
    assert process.wait() == 0
    os.close(terminal)
    assert re.search(rb"lock file \.\.\. \d+\.\d s\r\n  environment", seen)


def test_a_fault_in_the_alembic_files_fails_the_render_with_a_line_each(project: Path) -> None:
    done = run_hook(project, {"static": ["alembic.ini: no logging", "env.py: no metadata"]})
    assert done.returncode == 1
    assert done.stderr == (
        "\nWhat was rendered is wrong:\n  alembic.ini: no logging\n  env.py: no metadata\n"
    )
    assert log(project) == []


def test_a_fault_found_by_running_alembic_fails_the_render_with_a_line_each(project: Path) -> None:
    done = run_hook(project, {"exit": 1, "stderr": "upgrade: no\n\ndowngrade: no\n"})
    assert done.returncode == 1
    assert done.stderr == "\nWhat was rendered is wrong:\n  upgrade: no\n  downgrade: no\n"


@pytest.mark.parametrize(
    ("behaviour", "reason"),
    [
        ({"exit": 2, "stderr": "Alembic is not installed\n"}, "Alembic is not installed"),
        ({"exit": 1, "stderr": "Traceback (most …):\n  …\nOSError: full\n"}, "OSError: full"),
        ({"exit": 3}, "the check ended with 3"),
    ],
)
def test_a_check_that_cannot_run_is_left_out_and_told(
    project: Path, behaviour: dict[str, object], reason: str
) -> None:
    done = run_hook(project, behaviour)
    assert (done.returncode, done.stderr) == (0, "")
    assert "  first migration ... not done\n" in done.stdout
    (later,) = hook.commands_for("check-alembic", project)
    assert f"Left out: {reason}\nLater: {later}\n" in done.stdout


@pytest.mark.parametrize(
    ("behaviour", "reason"),
    [
        ({"uv": None}, "uv cannot be installed:\nno network"),
        ({"fails": "lock"}, "error: no network"),
        ({"fails": "sync"}, "error: no network"),
        ({"interrupt": "sync"}, "setting up, as interrupted"),
    ],
)
def test_a_missing_tool_or_network_never_costs_the_project(
    project: Path, behaviour: dict[str, object], reason: str
) -> None:
    done = run_hook(project, behaviour)
    assert (done.returncode, done.stderr) == (0, "")
    later = [*hook.commands_for("setup", project), *hook.commands_for("check-alembic", project)]
    assert f"Left out: {reason}\nLater: {', then '.join(later)}\n" in done.stdout
    assert "check []" not in log(project)
    assert "Next (http://127.0.0.1:8000/docs):\n" in done.stdout


def test_without_setup_nothing_runs_and_it_says_how_to_set_up(project: Path) -> None:
    done = run_hook(project, __setup="")
    assert (done.returncode, done.stderr) == (0, "")
    (later,) = hook.commands_for("setup", project)
    assert done.stdout.startswith(f"Left out: setting up, as answered\nLater: {later}\n\nNext (")
    assert log(project) == []


def test_under_cruft_the_files_are_finished_in_silence_and_nothing_is_set_up(project: Path) -> None:
    done = run_hook(project, _commit="0" * 40)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert log(project) == []
    assert not (project / ".github").exists()


def test_under_cruft_a_fault_still_fails_the_render(project: Path) -> None:
    done = run_hook(project, {"static": ["env.py: no metadata"]}, _commit="0" * 40)
    assert (done.returncode, done.stdout) == (1, "")
    assert "  env.py: no metadata\n" in done.stderr


def test_a_console_that_lacks_a_character_of_the_name_costs_nothing(project: Path) -> None:
    done = run_hook(
        project, environment={"PYTHONIOENCODING": "ascii"}, project_name="Служба \U0001f680"
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert r"\u0421\u043b\u0443\u0436\u0431\u0430 \U0001f680" in done.stdout


def test_the_hook_leaves_no_file_of_its_own(project: Path) -> None:
    before = {path.name for path in project.rglob("*")}
    run_hook(project, ci="github")
    assert {path.name for path in project.rglob("*")} - before == {"log", "behaviour.json"}


def test_the_next_commands_begin_where_the_user_stands(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PWD", str(project.parent))
    assert hook.next_commands(project)[0] == "cd task-service"
    monkeypatch.setenv("PWD", str(project))
    assert hook.next_commands(project)[0] == f"cd {project}"
    monkeypatch.delenv("PWD")
    spaced = project.rename(project.with_name("task service"))
    assert hook.next_commands(spaced)[0] in (f"cd '{spaced}'", f'cd "{spaced}"')


def test_the_next_commands_use_make_where_there_is_one(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make = tmp_path / ("make.bat" if os.name == "nt" else "make")
    make.touch(mode=0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert hook.next_commands(project)[1:] == ["make run", "make test"]


def test_without_make_the_next_commands_are_those_of_uv(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert hook.next_commands(project)[1:] == [
        "uv run alembic upgrade head",
        "uv run uvicorn app.main:app --reload",
        "uv run pytest",
    ]
    assert hook.commands_for("setup", project)[0].endswith(" scripts/setup.py")
    uv = project / ".venv" / ("Scripts/uv.exe" if os.name == "nt" else "bin/uv")
    uv.parent.mkdir(parents=True)
    uv.touch()
    (command,) = hook.commands_for("test", project)
    assert command == f"{uv.relative_to(project)} run pytest"


@pytest.mark.parametrize("name", ["pre_gen_project", "post_gen_project"])
def test_a_hook_is_python_3_9_and_asks_for_the_standard_library_alone(name: str) -> None:
    source = (TEMPLATE / "hooks" / f"{name}.py").read_text("utf-8")
    tree = ast.parse(source, feature_version=(3, 9))
    imported = {
        (node.module or "") if isinstance(node, ast.ImportFrom) else alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in node.names
    }
    assert {module.split(".")[0] for module in imported} <= sys.stdlib_module_names
