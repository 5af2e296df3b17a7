"""Schemathesis for longer than in a project's own tests, and with all of its phases."""

from pathlib import Path

import pytest

from tests.conftest import on_both_databases
from tests.project import Databases, Project
from tests.test_server_faults import serving

EXAMPLES = 60


@pytest.mark.slow
@on_both_databases
def test_every_answer_is_one_that_the_document_allows(
    project: Project, databases: Databases, tmp_path: Path
) -> None:
    url = databases.create()
    project.alembic("upgrade", "head", url=url)
    with serving(project, url) as server:
        document = f"http://127.0.0.1:{server.port}/openapi.json"
        options = ["--max-examples", str(EXAMPLES), "--seed", "1", "--no-color"]
        options += ["--generation-database", "none"]
        said = project.run("-m", "schemathesis.cli", "run", document, *options)
        assert said.returncode == 0, said.stdout + said.stderr
        assert "Tested: 7" in said.stdout
        assert server.status("/health/ready") == 200
