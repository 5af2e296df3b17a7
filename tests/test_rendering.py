"""Every combination of answers gives a project that is whole, and nothing but it."""

import itertools
import re
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import TEMPLATE

QUESTIONS = {
    "license": ["MIT", "Apache-2.0", "BSD-3-Clause", "Proprietary"],
    "python_version": ["3.13", "3.12", "3.11"],
    "ci": ["github", "gitlab", "none"],
}
COMBINATIONS = [
    dict(zip(QUESTIONS, chosen, strict=True)) for chosen in itertools.product(*QUESTIONS.values())
]
# No other answer changes what this one adds, but for what removes the files of `ci`.
COMBINATIONS += [
    {"license": "MIT", "python_version": "3.13", "ci": ci, "kubernetes": "yes"}
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
SPDX = {"Proprietary": "LicenseRef-Proprietary"}

Bake = Callable[..., Path]

every_combination = pytest.mark.parametrize(
    "answers", COMBINATIONS, ids=["-".join(answers.values()) for answers in COMBINATIONS]
)


def files_of(project: Path) -> list[str]:
    return sorted(
        path.relative_to(project).as_posix() for path in project.rglob("*") if path.is_file()
    )


def texts_of(project: Path) -> dict[str, str]:
    return {name: (project / name).read_bytes().decode("utf-8") for name in files_of(project)}


@every_combination
def test_the_files_are_those_of_the_snapshot(bake: Bake, answers: dict[str, str]) -> None:
    project = bake(**answers)
    snapshot = (TEMPLATE / "tests/rendered_files.txt").read_text("utf-8").split()
    chosen = CI_FILES[answers["ci"]] + (KUBERNETES_FILES if "kubernetes" in answers else [])
    assert files_of(project) == sorted(snapshot + chosen)
    empty = [path for path in project.rglob("*") if path.is_dir() and not any(path.iterdir())]
    assert empty == []


@every_combination
def test_no_template_syntax_is_left(bake: Bake, answers: dict[str, str]) -> None:
    for name, text in texts_of(bake(**answers)).items():
        if name == "alembic/script.py.mako":
            continue
        without_actions = re.sub(r"\$\{\{.*?\}\}", "", text)
        if name != "scripts/alembic_static.py":  # it looks for just these
            assert not re.search(r"\{\{|\{%|\{#", without_actions), name
        assert "cookiecutter." not in text.replace(".cookiecutter.json", ""), name


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


def test_linters_have_nothing_to_say_of_any_combination(bake: Bake) -> None:
    projects = [bake(**answers) for answers in COMBINATIONS]
    folders = [str(project) for project in projects]
    run("ruff", "check", "--no-cache", *folders, cwd=projects[0])
    run("ruff", "format", "--no-cache", "--check", *folders, cwd=projects[0])
    yaml_files = [
        str(path) for project in projects for path in project.rglob("*.y*ml") if path.is_file()
    ]
    assert yaml_files
    run("yamllint", "--strict", "-d", YAML_RULES, *yaml_files, cwd=projects[0])


@pytest.mark.parametrize(
    ("ci", "schema"),
    [
        ("github", "vendor.github-workflows"),
        ("github", "vendor.dependabot"),
        ("gitlab", "vendor.gitlab-ci"),
    ],
)
def test_ci_files_follow_their_published_schemas(bake: Bake, ci: str, schema: str) -> None:
    name = {"vendor.dependabot": ".github/dependabot.yml"}.get(schema) or CI_FILES[ci][-1]
    run("check_jsonschema", "--builtin-schema", schema, name, cwd=bake(ci=ci))


def test_the_ci_of_the_template_follows_its_published_schema() -> None:
    file = str(TEMPLATE / ".github/workflows/ci.yml")
    run("check_jsonschema", "--builtin-schema", "vendor.github-workflows", file, cwd=TEMPLATE)
    run("yamllint", "--strict", "-d", YAML_RULES, file, cwd=TEMPLATE)


def test_compose_follows_its_published_schema(bake: Bake) -> None:
    run("check_jsonschema", "--builtin-schema", "vendor.compose-spec", "compose.yaml", cwd=bake())


def test_the_dockerfile_is_clean_and_of_the_chosen_python(bake: Bake) -> None:
    for version in QUESTIONS["python_version"]:
        project = bake(python_version=version)
        done = subprocess.run(
            [Path(sys.executable).with_name("hadolint"), "Dockerfile"],
            cwd=project,
            capture_output=True,
            text=True,
        )
        assert (done.returncode, done.stdout) == (0, "")
        text = (project / "Dockerfile").read_text("utf-8")
        assert f"ARG PYTHON_VERSION={version}\n" in text


def test_pyproject_follows_its_published_schema(bake: Bake) -> None:
    run("validate_pyproject", "pyproject.toml", cwd=bake())


def test_the_same_answers_give_the_same_bytes(bake: Bake, render: Bake) -> None:
    first, second = bake(), render()
    assert files_of(first) == files_of(second)
    assert texts_of(first) == texts_of(second)


def test_the_name_is_only_where_it_is_looked_for(bake: Bake) -> None:
    project = bake(project_name="Quokka Ledger")
    holders = {name for name, text in texts_of(project).items() if re.search("quokka", text, re.I)}
    assert holders == {
        ".cookiecutter.json",
        "Dockerfile",
        "README.md",
        "app/settings.py",
        "compose.yaml",
        "pyproject.toml",
    }


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
    output = ["--output-dir", str(tmp_path)]
    run("cookiecutter", str(template_copy), "--no-input", "setup=no", *output, cwd=tmp_path)
    for name in names:
        assert b"\r" not in (tmp_path / "task-service" / name).read_bytes(), name


def test_no_answer_changes_what_is_installed(bake: Bake) -> None:
    """So that one environment, set up and checked, stands for every combination of answers."""
    depends = re.compile(r"^dependencies = \[.*?^\]$|^\[dependency-groups\].*?^\]$", re.M | re.S)
    found = {
        tuple(depends.findall((bake(**answers) / "pyproject.toml").read_text("utf-8")))
        for answers in COMBINATIONS
    }
    assert len(found) == 1
    assert len(found.pop()) == 2
