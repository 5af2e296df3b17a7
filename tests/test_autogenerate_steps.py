"""Every step of model_cases.py by itself: what autogenerate wrote of it is right.

Three revisions have all steps: the models are added, changed and dropped. Each goes up, down and
up; rows are written through the models, and stay on the way.
"""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from tests import model_cases
from tests.model_cases import AFTER, BEFORE, DROPPED, Step
from tests.project import Databases, Project
from tests.stages import (
    Stage,
    differences,
    migration,
    revisions_of,
    take_through,
    write_models,
)

pytestmark = pytest.mark.slow

STEPS = model_cases.steps()


@pytest.fixture(scope="module")
def noted(set_up: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Project:
    """The project of the revisions of all cases."""
    return Project(set_up(), tmp_path_factory.mktemp("noted") / "project")


@pytest.fixture(scope="module")
def stages(noted: Project, postgresql: str) -> list[Stage]:
    databases = Databases("postgresql", noted.root, postgresql)
    lines = ("CREATE EXTENSION vector", "CREATE SCHEMA audit")
    return take_through(noted, databases, model_cases.cases, lines, model_cases.keep_rows())


@pytest.mark.parametrize("step", STEPS, ids=str)
def test_a_revision_does_the_step_and_its_downgrade_undoes_it(
    stages: list[Stage], step: Step
) -> None:
    stage = stages[step.stage]
    before, after = (
        {key: said for key, said in there.items() if step.has(key)}
        for there in (stage.before, stage.after)
    )
    assert before != after, "the revision has nothing of it"
    assert "\n".join(differences([stage], step.has)) == ""
    if step.stage != DROPPED and step.table in {table for table, _ in stage.after}:
        assert stage.rows[step.table] == ""


def test_the_steps_are_as_many_as_it_takes_and_leave_nothing_out(stages: list[Stage]) -> None:
    made, changed, dropped = (
        sum(step.stage == number for step in STEPS) for number, _ in enumerate(stages)
    )
    assert made >= 120
    assert changed >= 120
    assert dropped >= 120
    for number, stage in enumerate(stages):
        of_stage = [step for step in STEPS if step.stage == number]
        before_and_after = stage.before.keys() | stage.after.keys()
        differs = {key for key in before_and_after if stage.before.get(key) != stage.after.get(key)}
        tables = {table for table, _ in differs} - {""}
        assert tables == {step.table for step in of_stage}


def test_a_database_is_what_it_should_be_after_each_revision(stages: list[Stage]) -> None:
    # A sequence that belongs to no column is left alone when no model mentions it any more.
    assert differences(stages, lambda key: key != ("", "sequence order_no")) == []
    assert ("", "sequence order_no") in stages[1].after
    assert ("", "sequence order_no") not in stages[1].restored
    assert ("", "type audit.kind") in stages[0].after
    assert ("", "type audit.kind") not in stages[-1].after


def test_the_models_write_and_read_rows_which_stay_on_the_way_up_and_down(
    stages: list[Stage],
) -> None:
    for stage in stages:
        assert {table: said for table, said in stage.rows.items() if said} == {}
        assert stage.lost == []
    assert len(model_cases.keep_rows()) > len(model_cases.NOT_WITH_ROWS)
    assert model_cases.NOT_WITH_ROWS.keys() <= {table for table, _ in stages[BEFORE].after}
    assert "suit" in model_cases.keep_rows(), "a native enum that gets and loses values"


def test_a_check_finds_nothing_and_a_second_migration_writes_nothing(stages: list[Stage]) -> None:
    for stage in stages:
        assert "No new upgrade operations detected." in stage.said
        assert "no revision is written" in stage.said


def test_the_revisions_are_plain_and_accepted_by_ruff_and_mypy(
    noted: Project, stages: list[Stage]
) -> None:
    for stage in stages:
        assert "batch" not in stage.revision
        assert "sqlmodel" not in stage.revision
        assert "app." not in stage.revision
    tables = [
        name for text in model_cases.cases(BEFORE).values() for name in model_cases.tables(text)
    ]
    assert stages[0].revision.count("op.create_table(") == len(tables)
    assert stages[-1].revision.count("op.drop_table(") >= len(tables)
    checks = [
        ["-m", "ruff", "check", "--no-cache", "alembic"],
        ["-m", "ruff", "format", "--no-cache", "--check", "alembic"],
        ["-m", "mypy", *map(str, revisions_of(noted))],
    ]
    for check in checks:
        done = noted.run(*check)
        assert done.returncode == 0, done.stdout + done.stderr


def test_the_projects_own_tests_pass_with_all_models(project: Project, postgresql: str) -> None:
    cases = model_cases.cases(AFTER)
    del cases["unknown"]  # create_all() does not install an extension
    write_models(project, model_cases.models(cases))
    migration(project, postgresql, "add everything")
    tests = ["-m", "pytest", "-q", "tests/test_migrations.py"]
    done = project.run(*tests, TEST_DATABASE_URL=postgresql)
    assert done.returncode == 0, done.stdout + done.stderr


def test_constraints_without_a_name_get_one(stages: list[Stage]) -> None:
    things = {thing for table, thing in stages[0].after if table == "note"}
    names = {thing.partition(" ")[2] for thing in things if thing.startswith("constraint")}
    assert names == {
        "pk_note",
        "fk_note_task_id_task",
        "uq_note_text_flag",
        "ck_note_amount_positive",
    }
    colored = {thing for table, thing in stages[0].after if table == "colored"}
    assert any(re.fullmatch(r"constraint ck_colored_color_[0-9a-f]{8}", name) for name in colored)
