"""The post-generation hook, run as Cookiecutter runs it: a file of its own, inside the project."""

import ast
import json
import os
import re
import runpy
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml
from cookiecutter.main import cookiecutter

from tests.conftest import TEMPLATE

SOURCE = (TEMPLATE / "hooks" / "post_gen_project.py").read_text("utf-8")
hook = SimpleNamespace(**runpy.run_path(str(TEMPLATE / "hooks" / "post_gen_project.py")))

CI_FILES = {
    "github": {".github/workflows/ci.yml", ".github/dependabot.yml"},
    "gitlab": {".gitlab-ci.yml"},
    "none": set(),
}
# What these two do is in `behaviour.json`: the project's own check of its files, and uv.
STATIC_CHECK = """
import json
def static_problems(root):
    return json.loads((root / "behaviour.json").read_text("utf-8")).get("static", [])
"""
UV = """
import json, os, signal, sys, time
from pathlib import Path
behaviour = json.loads(Path("behaviour.json").read_text("utf-8"))
with open("log", "a") as log:
    log.write(f"uv {' '.join(sys.argv[1:])}\\n")
while Path("wait").exists():
    time.sleep(0.01)
if sys.argv[1] == behaviour.get("interrupt"):
    os.kill(os.getppid(), signal.SIGINT)
said, code = behaviour.get(sys.argv[1], ("", 0))
sys.stderr.write(said)
sys.exit(code)
"""
CHECK = "uv run --no-sync python -m app.core.migrations.check"

needs_scripts = pytest.mark.skipif(
    sys.platform == "win32", reason="the stand-in for uv is a script, which Windows does not run"
)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """The files of a project that the hook looks at, and a stand-in for uv beside it."""
    root = tmp_path / "task-service"
    files = {"app/core/migrations/static_check.py": STATIC_CHECK} | dict.fromkeys(hook.ONLY_FOR, "")
    files[".cookiecutter.json"] = '{"template": {"version": "0.1.0"}, "default_context": {}}'
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
    uv = tmp_path / "bin" / "uv"
    uv.parent.mkdir()
    uv.write_text(f"#!{sys.executable}{UV}", "utf-8")
    uv.chmod(0o755)
    return root


def rendered_hook(root: Path, **answers: object) -> list[str]:
    """Render the hook as Cookiecutter does; return the command that runs it."""
    context = {"project_name": "Task Service", "database": "postgresql", "ci": "none"}
    context |= {"__kubernetes": "", "__setup": "yes"}
    path = root.parent / "hook.py"
    path.write_text(
        SOURCE.replace("{{ cookiecutter | tojson }}", json.dumps(context | answers)), "utf-8"
    )
    return [sys.executable, str(path)]


def environment_of(root: Path) -> dict[str, str]:
    path = f"{root.parent / 'bin'}{os.pathsep}{os.environ['PATH']}"
    return os.environ | {"PATH": path, "PYTHONIOENCODING": "utf-8"}


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
        env=environment_of(root) | (environment or {}),
        capture_output=True,
        encoding="utf-8",
    )


def log(root: Path) -> list[str]:
    path = root / "log"
    return path.read_text("utf-8").splitlines() if path.exists() else []


def later(*targets: str) -> str:
    return ", then ".join(command for target in targets for command in hook.commands_for(target))


@pytest.mark.parametrize("ci", CI_FILES)
def test_the_files_of_other_answers_and_their_folders_are_gone(
    bake: Callable[..., Path], ci: str
) -> None:
    root = bake(database="postgresql", ci=ci)
    found = [path for path in root.rglob("*") if path.relative_to(root).parts[0][:4] == ".git"]
    files = {path.relative_to(root).as_posix() for path in found if path.is_file()}
    assert files - {".gitignore", ".gitattributes"} == CI_FILES[ci]
    assert (root / ".github").exists() == (ci == "github")


def test_every_file_of_a_choice_is_in_the_template() -> None:
    rendered = TEMPLATE / "{{cookiecutter.project_slug}}"
    folder = {"sqlite": rendered / hook.SQLITE}
    missing = [
        name
        for name, (_, answer) in hook.ONLY_FOR.items()
        if not (folder.get(answer, rendered) / name).is_file()
    ]
    assert missing == []


def test_what_only_one_database_has_is_listed_as_a_choice(bake: Callable[..., Path]) -> None:
    """Or a project that is rendered again with the other one keeps these files."""
    postgresql, sqlite = (set(tree(bake(database=name))) for name in ("postgresql", "sqlite"))
    chosen = {
        name: answer for name, (question, answer) in hook.ONLY_FOR.items() if question == "database"
    }
    assert chosen == dict.fromkeys(postgresql - sqlite, "postgresql") | dict.fromkeys(
        sqlite - postgresql, "sqlite"
    )


@pytest.mark.parametrize("database", ["postgresql", "sqlite"])
def test_rendered_again_with_the_other_database_a_project_is_as_if_made_with_it(
    bake: Callable[..., Path], tmp_path: Path, database: str
) -> None:
    (other,) = {"postgresql", "sqlite"} - {database}
    root = shutil.copytree(bake(database=other), tmp_path / "task-service")
    cookiecutter(
        str(TEMPLATE),
        no_input=True,
        extra_context={"setup": False, "database": database},
        output_dir=str(tmp_path),
        overwrite_if_exists=True,
    )
    assert tree(root) == tree(bake(database=database))


def tree(root: Path) -> dict[str, bytes]:
    files = (path for path in root.rglob("*") if path.is_file())
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in files}


def test_what_else_a_folder_holds_stays(project: Path) -> None:
    own = project / ".github" / "workflows" / "release.yml"
    own.write_text("", "utf-8")
    hook.drop_unchosen(project, {"ci": "none", "__kubernetes": "", "database": "sqlite"})
    assert own.exists()
    assert not (project / ".github" / "dependabot.yml").exists()


def test_github_runs_all_checks_on_the_chosen_python(bake: Callable[..., Path]) -> None:
    root = bake(database="postgresql", ci="github")
    workflow = yaml.safe_load((root / ".github/workflows/ci.yml").read_text("utf-8"))
    (job,) = workflow["jobs"].values()
    assert job["env"] == {"UV_PYTHON": "3.14"}
    assert job["steps"][-1] == {"run": "make check"}
    assert (workflow["permissions"], job["permissions"]) == ({}, {"contents": "read"})


def test_gitlab_runs_all_checks_on_the_chosen_python(bake: Callable[..., Path]) -> None:
    root = bake(database="postgresql", ci="gitlab")
    job = yaml.safe_load((root / ".gitlab-ci.yml").read_text("utf-8"))["check"]
    assert (job["image"], job["variables"]["UV_PYTHON"]) == ("python:3.14", "3.14")
    assert job["script"] == ["pip install --quiet uv", "make check"]


@needs_scripts
def test_setting_up_locks_syncs_and_checks_with_a_line_of_progress_each(project: Path) -> None:
    done = run_hook(project)
    assert (done.returncode, done.stderr) == (0, "")
    assert log(project) == ["uv lock", "uv sync", CHECK]
    lines = done.stdout.splitlines()
    assert lines[0] == "Setting up Task Service:"
    for line, label in zip(
        lines[1:4], ["lock file", "environment", "first migration"], strict=True
    ):
        assert re.fullmatch(rf"  {label} \.\.\. \d+\.\d s", line)
    assert re.search(r"[\x00-\x09\x0b-\x1f\x7f]", done.stdout) is None


@needs_scripts
def test_a_terminal_shows_a_step_when_it_begins(project: Path) -> None:
    (project / "behaviour.json").write_text("{}", "utf-8")
    (project / "wait").touch()
    terminal, slave = os.openpty()
    process = subprocess.Popen(
        rendered_hook(project),
        cwd=project,
        env=environment_of(project) | {"PYTHONUNBUFFERED": ""},
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


def test_an_error_in_the_alembic_files_fails_the_render_with_a_line_each(project: Path) -> None:
    done = run_hook(project, {"static": ["alembic.ini: no logging", "env.py: no metadata"]})
    assert done.returncode == 1
    assert done.stderr == (
        "\nWhat was rendered is wrong:\n  alembic.ini: no logging\n  env.py: no metadata\n"
    )
    assert log(project) == []


@needs_scripts
def test_an_error_found_by_running_alembic_fails_the_render_with_a_line_each(project: Path) -> None:
    done = run_hook(project, {"run": ("upgrade: no\n\ndowngrade: no\n", 1)})
    assert done.returncode == 1
    assert done.stderr == "\nWhat was rendered is wrong:\n  upgrade: no\n  downgrade: no\n"


@needs_scripts
@pytest.mark.parametrize(
    ("said", "code", "reason"),
    [
        ("Alembic is not installed\n", 2, "Alembic is not installed"),
        ("Traceback (most …):\n  …\nOSError: full\n", 1, "OSError: full"),
        ("", 3, "the check ended with 3"),
    ],
)
def test_a_check_that_cannot_run_is_skipped_and_told(
    project: Path, said: str, code: int, reason: str
) -> None:
    done = run_hook(project, {"run": (said, code)})
    assert (done.returncode, done.stderr) == (0, "")
    assert "  first migration ... not done\n" in done.stdout
    skipped = f"Skipped check-alembic ({reason}). Run: {later('check-alembic')}\n"
    assert skipped in done.stdout


@needs_scripts
@pytest.mark.parametrize("command", ["lock", "sync"])
def test_a_missing_network_never_costs_the_project(project: Path, command: str) -> None:
    done = run_hook(project, {command: ("warning: slow\nerror: no network\n", 2)})
    assert (done.returncode, done.stderr) == (0, "")
    assert (
        f"Skipped setup (`uv {command}` failed). Run: {later('setup', 'check-alembic')}\n"
        "  warning: slow\n  error: no network\n"
    ) in done.stdout
    assert CHECK not in log(project)
    assert "Next (http://127.0.0.1:8000/docs):\n" in done.stdout


@needs_scripts
def test_an_interrupt_while_setting_up_never_costs_the_project(project: Path) -> None:
    done = run_hook(project, {"interrupt": "sync"})
    assert (done.returncode, done.stderr) == (0, "")
    assert "Skipped setup (set-up was interrupted). Run: " in done.stdout
    assert log(project) == ["uv lock", "uv sync"]


def test_without_uv_the_project_is_whole_and_it_says_how_to_get_uv(
    bake: Callable[..., Path], tmp_path: Path
) -> None:
    command = [sys.executable, "-m", "cookiecutter", str(TEMPLATE), "--no-input"]
    done = subprocess.run(
        command,
        cwd=tmp_path,
        env=os.environ | {"PATH": str(tmp_path)},
        capture_output=True,
        encoding="utf-8",
        check=True,
    )
    files = tree(tmp_path / "task-service")
    answers = files.pop(".cookiecutter.json").decode()
    expected = tree(bake(database="postgresql"))
    assert json.loads(answers)["default_context"].pop("setup") is True
    expected.pop(".cookiecutter.json")
    assert files == expected
    assert (
        "Skipped setup (uv is not installed: pipx install uv, or see "
        "https://docs.astral.sh/uv/). Run: uv sync, then uv run python -m app.core.migrations.check"
    ) in done.stdout


def test_without_setup_nothing_runs_and_it_says_how_to_set_up(project: Path) -> None:
    done = run_hook(project, __setup="")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"Skipped setup (setup=no). Run: {later('setup')}\n\nNext (")
    assert log(project) == []


def test_under_cruft_the_files_are_finished_in_silence_and_nothing_is_set_up(project: Path) -> None:
    done = run_hook(project, _commit="0" * 40)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert log(project) == []
    assert not (project / ".github").exists()


def test_under_cruft_an_error_still_fails_the_render(project: Path) -> None:
    done = run_hook(project, {"static": ["env.py: no metadata"]}, _commit="0" * 40)
    assert (done.returncode, done.stdout) == (1, "")
    assert "  env.py: no metadata\n" in done.stderr


@needs_scripts
def test_a_console_that_lacks_a_character_of_the_name_costs_nothing(project: Path) -> None:
    done = run_hook(
        project, environment={"PYTHONIOENCODING": "ascii"}, project_name="Служба \U0001f680"
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert r"\u0421\u043b\u0443\u0436\u0431\u0430 \U0001f680" in done.stdout


def test_the_hook_leaves_no_file_of_its_own(project: Path) -> None:
    before = {path.name for path in project.rglob("*")}
    run_hook(project, ci="github")
    assert {path.name for path in project.rglob("*")} - before <= {"log", "behaviour.json"}


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
    assert hook.commands_for("setup") == ["uv sync"]


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
