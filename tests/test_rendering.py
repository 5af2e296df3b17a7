"""Every combination of answers gives a project that is whole, and nothing but it."""

import itertools
import json
import re
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner
from cookiecutter.main import cookiecutter

from tests.conftest import TEMPLATE

QUESTIONS = {
    "database": ["postgresql", "sqlite"],
    "license": ["MIT", "Apache-2.0", "BSD-3-Clause", "Proprietary"],
    "python_version": ["3.14", "3.13", "3.12"],
    "ci": ["github", "gitlab", "none"],
}
COMBINATIONS = [
    dict(zip(QUESTIONS, chosen, strict=True)) for chosen in itertools.product(*QUESTIONS.values())
]
# Each answer meets each database in one of these eight. The slow tests try all combinations.
FAST = [
    {
        "database": QUESTIONS["database"][database],
        "license": QUESTIONS["license"][license],
        "python_version": QUESTIONS["python_version"][(license + database) % 3],
        "ci": QUESTIONS["ci"][(license + 2 * database) % 3],
    }
    for database, license in itertools.product(range(2), range(4))
]
# No other answer changes what this one adds, but for what removes the files of `ci`.
WITH_KUBERNETES = [
    {"database": "postgresql", "license": "MIT", "python_version": "3.14", "ci": ci}
    | {"kubernetes": "yes"}
    for ci in QUESTIONS["ci"]
]
CI_FILES = {
    "github": [".github/dependabot.yml", ".github/workflows/ci.yml"],
    "gitlab": [".gitlab-ci.yml"],
    "none": [],
}
KUBERNETES_FILES = [
    "deploy/kubernetes/base/deployment.yaml",
    "deploy/kubernetes/base/hpa.yaml",
    "deploy/kubernetes/base/kustomization.yaml",
    "deploy/kubernetes/base/pdb.yaml",
    "deploy/kubernetes/base/service.yaml",
    "deploy/kubernetes/components/migration-job/job.yaml",
    "deploy/kubernetes/components/migration-job/kustomization.yaml",
    "deploy/kubernetes/overlays/production/kustomization.yaml",
    "docs/kubernetes.md",
]
YAML_RULES = (
    "{extends: default, rules: {document-start: disable, truthy: {check-keys: false},"
    " line-length: {max: 100}}}"
)
DRIVERS = {"postgresql": "psycopg", "sqlite": "aiosqlite"}
SPDX = {"Proprietary": "LicenseRef-Proprietary"}

Bake = Callable[..., Path]

# Words of one database. A project of the other one has no use for them.
FOREIGN_WORDS = {
    "postgresql": r"sqlite|batch_alter",
    "sqlite": r"postgres|psycopg|pgserver|squawk|embedded|psql|pg_|libpq|pooler|jsonb|advisory"
    r"|concurrently|MIGRATION_DATABASE_URL|(statement|lock)_timeout",
}
# What says, in a SQLite project, how it moves to PostgreSQL: a section, and a line that names it.
MOVING = {
    "docs/migrations.md": r"^## Move to PostgreSQL later$.*?(?=^## |\Z)",
    "README.md": r"^[^\n]*`docs/migrations\.md`, \"Move to PostgreSQL later\"[^\n]*$",
}

every_combination = pytest.mark.parametrize(
    "answers",
    [
        pytest.param(
            answers,
            id="-".join(answers.values()),
            marks=[] if answers in FAST or answers == WITH_KUBERNETES[0] else pytest.mark.slow,
        )
        for answers in COMBINATIONS + WITH_KUBERNETES
    ],
)


every_database = pytest.mark.parametrize("database", QUESTIONS["database"])


def combination(**wanted: str) -> dict[str, str]:
    """The first of the fast combinations with these answers."""
    return next(answers for answers in FAST if wanted.items() <= answers.items())


def files_of(project: Path) -> list[str]:
    return sorted(
        path.relative_to(project).as_posix() for path in project.rglob("*") if path.is_file()
    )


def texts_of(project: Path) -> dict[str, str]:
    return {name: (project / name).read_bytes().decode("utf-8") for name in files_of(project)}


def snapshot(database: str) -> list[str]:
    """The files of rendered_files.txt: those of one database alone begin with its name."""
    lines = (TEMPLATE / "tests/rendered_files.txt").read_text("utf-8").splitlines()
    named = (line.rpartition(": ") for line in lines)
    return [name for only, _, name in named if only in ("", database)]


def test_each_answer_meets_each_database_in_the_fast_tests() -> None:
    def met(combinations: list[dict[str, str]]) -> set[tuple[str, str]]:
        return {(one["database"], answer) for one in combinations for answer in one.values()}

    assert met(FAST) == met(COMBINATIONS)


def test_every_choice_is_among_the_combinations() -> None:
    questions = json.loads((TEMPLATE / "cookiecutter.json").read_text("utf-8"))
    choices = {
        name: choice
        for name, choice in questions.items()
        if isinstance(choice, list) and not name.startswith("_")
    }
    assert choices == QUESTIONS


@every_combination
def test_the_files_are_those_of_the_snapshot(bake: Bake, answers: dict[str, str]) -> None:
    project = bake(**answers)
    chosen = CI_FILES[answers["ci"]] + (KUBERNETES_FILES if "kubernetes" in answers else [])
    assert files_of(project) == sorted(snapshot(answers["database"]) + chosen)
    empty = [path for path in project.rglob("*") if path.is_dir() and not any(path.iterdir())]
    assert empty == []


@every_combination
def test_nothing_of_the_other_database_is_rendered(bake: Bake, answers: dict[str, str]) -> None:
    database, found = answers["database"], []
    for name, text in texts_of(bake(**answers)).items():
        if database == "sqlite" and name in MOVING:
            text, times = re.subn(MOVING[name], "", text, flags=re.MULTILINE | re.DOTALL)
            assert times == 1, name
        lines = text.splitlines()
        found += [
            f"{name}: {one}" for one in lines if re.search(FOREIGN_WORDS[database], one, re.I)
        ]
    assert found == []


@every_combination
def test_no_template_syntax_is_left(bake: Bake, answers: dict[str, str]) -> None:
    source = TEMPLATE / "{{cookiecutter.project_slug}}"
    for name, text in texts_of(bake(**answers)).items():
        assert "cookiecutter." not in text.replace(".cookiecutter.json", ""), name
        if any(
            (place / name).is_file() and (place / name).read_text("utf-8") == text
            for place in (source, source / "_sqlite")
        ):
            continue  # copied as it stands, with braces of its own
        without_actions = re.sub(r"\$\{\{.*?\}\}", "", text)
        assert not re.search(r"\{\{|\{%|\{#", without_actions), name


@every_combination
def test_every_file_ends_with_one_newline_and_has_no_stray_space(
    bake: Bake, answers: dict[str, str]
) -> None:
    for name, text in texts_of(bake(**answers)).items():
        if text:
            assert text.endswith("\n"), name
            assert not text.endswith("\n\n"), name
        assert "\r" not in text, name
        assert not re.search(r"[ \t]$", text, re.MULTILINE), name


@every_combination
def test_the_answers_are_where_they_belong(bake: Bake, answers: dict[str, str]) -> None:
    project = bake(**answers)
    metadata = tomllib.loads((project / "pyproject.toml").read_text("utf-8"))["project"]
    assert metadata["license"] == SPDX.get(answers["license"], answers["license"])
    assert metadata["requires-python"] == ">=3.11"
    drivers = {re.split(r"[\[>]", one)[0] for one in metadata["dependencies"]}
    assert drivers & {"psycopg", "aiosqlite"} == {DRIVERS[answers["database"]]}
    kept = json.loads((project / ".cookiecutter.json").read_text("utf-8"))["default_context"]
    assert {name: kept[name] for name in QUESTIONS} == {name: answers[name] for name in QUESTIONS}
    versions = {
        str(value)
        for name in CI_FILES[answers["ci"]]
        for value in re.findall(
            r"UV_PYTHON: ['\"]?([\d.]+)['\"]?\n", (project / name).read_text("utf-8")
        )
    }
    assert versions <= {answers["python_version"]}
    assert versions or answers["ci"] == "none"


def run(*command: str, cwd: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", *command], cwd=cwd, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def lint(projects: list[Path]) -> None:
    folders = [str(project) for project in projects]
    run("ruff", "check", "--no-cache", *folders, cwd=projects[0])
    run("ruff", "format", "--no-cache", "--check", *folders, cwd=projects[0])
    yaml_files = [
        str(path) for project in projects for path in project.rglob("*.y*ml") if path.is_file()
    ]
    yaml_files.append(str(TEMPLATE / ".github/workflows/ci.yml"))
    run("yamllint", "--strict", "-d", YAML_RULES, *yaml_files, cwd=projects[0])


def test_linters_have_nothing_to_say_of_either_database(bake: Bake) -> None:
    lint([bake(**combination(database=database)) for database in QUESTIONS["database"]])


@pytest.mark.slow
def test_linters_have_nothing_to_say_of_any_combination(bake: Bake) -> None:
    lint([bake(**answers) for answers in COMBINATIONS + WITH_KUBERNETES])


@pytest.mark.parametrize(
    ("schema", "name", "chosen"),
    [
        ("github-workflows", ".github/workflows/ci.yml", [{"ci": "github"}]),
        ("dependabot", ".github/dependabot.yml", [{"ci": "github"}]),
        ("gitlab-ci", ".gitlab-ci.yml", [{"ci": "gitlab"}]),
        ("compose-spec", "compose.yaml", [{"database": "postgresql"}, {"database": "sqlite"}]),
    ],
)
def test_a_file_follows_its_published_schema(
    bake: Bake, schema: str, name: str, chosen: list[dict[str, str]]
) -> None:
    files = [str(bake(**combination(**answers)) / name) for answers in chosen]
    if schema == "github-workflows":
        files.append(str(TEMPLATE / name))  # the template's own
    # In this process, and in no other one of the tests: the import takes longer than the check.
    from check_jsonschema import main as check_jsonschema

    done = CliRunner().invoke(check_jsonschema, ["--builtin-schema", f"vendor.{schema}", *files])
    assert done.exit_code == 0, done.output


def test_the_dockerfile_is_clean_and_of_the_chosen_python(bake: Bake) -> None:
    linted = set()
    for answers in FAST:
        file = bake(**answers) / "Dockerfile"
        assert f"ARG PYTHON_VERSION={answers['python_version']}\n" in file.read_text("utf-8")
        if answers["database"] not in linted:
            linted.add(answers["database"])
            hadolint = Path(sys.executable).with_name("hadolint")
            done = subprocess.run([hadolint, file], capture_output=True, text=True)
            assert (done.returncode, done.stdout) == (0, "")
    assert len(linted) == 2


def test_pyproject_follows_its_published_schema(bake: Bake) -> None:
    projects = [bake(**combination(database=database)) for database in QUESTIONS["database"]]
    run("validate_pyproject", *(str(one / "pyproject.toml") for one in projects), cwd=TEMPLATE)


def test_the_same_answers_give_the_same_bytes(bake: Bake, render: Bake) -> None:
    answers = combination(database="sqlite")
    first, second = bake(**answers), render(**answers)
    assert files_of(first) == files_of(second)
    assert texts_of(first) == texts_of(second)


def test_the_name_is_only_where_it_is_looked_for(bake: Bake) -> None:
    project = bake(project_name="Quokka Ledger", kubernetes=True)
    texts = texts_of(project)
    holders = {name for name, text in texts.items() if "quokka" in text.lower()}
    assert holders == {
        ".cookiecutter.json",
        "Dockerfile",
        "README.md",
        "app/main.py",
        "compose.yaml",
        "pyproject.toml",
        *KUBERNETES_FILES,
    }
    # There it is the slug.
    assert not [name for name in KUBERNETES_FILES if "Quokka" in texts[name]]


def test_paths_can_be_checked_out_on_windows() -> None:
    listed = subprocess.run(
        ["git", "ls-files", "-s"], cwd=TEMPLATE, capture_output=True, text=True, check=True
    ).stdout.splitlines()
    reserved = {"con", "prn", "aux", "nul", *(f"{d}{n}" for d in ("com", "lpt") for n in range(10))}
    for line in listed:
        mode, path = line.split()[0], line.split("\t")[1]
        assert mode != "120000", f"{path} is a symbolic link"
        assert not re.search(r'["|<>?*:\\]', path), path
        assert not {Path(part).stem.lower() for part in Path(path).parts} & reserved, path


def test_a_checkout_has_the_line_ends_of_the_repository() -> None:
    names = subprocess.run(["git", "ls-files", "-z"], cwd=TEMPLATE, capture_output=True).stdout
    said = subprocess.run(
        ["git", "check-attr", "-z", "--stdin", "eol"],
        cwd=TEMPLATE,
        input=names,
        capture_output=True,
    ).stdout.split(b"\0")
    assert set(said[2::3]) == {b"lf"}


def test_carriage_returns_of_a_source_file_are_not_rendered(
    template_copy: Path, tmp_path: Path
) -> None:
    names = ["README.md", "Makefile", "pyproject.toml", ".env.example", "Dockerfile"]
    for name in names:
        file = template_copy / "{{cookiecutter.project_slug}}" / name
        file.write_bytes(file.read_bytes().replace(b"\n", b"\r\n"))
    answers = {"setup": False}
    output = str(tmp_path)
    cookiecutter(str(template_copy), no_input=True, extra_context=answers, output_dir=output)
    for name in names:
        assert b"\r" not in (tmp_path / "task-service" / name).read_bytes(), name


@every_database
def test_only_the_database_changes_what_is_installed(bake: Bake, database: str) -> None:
    """So that one environment for each, set up and checked, stands for every combination."""
    depends = re.compile(r"^dependencies = \[.*?^\]$|^\[dependency-groups\].*?^\]$", re.M | re.S)
    found = {
        tuple(depends.findall((bake(**answers) / "pyproject.toml").read_text("utf-8")))
        for answers in FAST
        if answers["database"] == database
    }
    assert len(found) == 1
    assert len(found.pop()) == 2
