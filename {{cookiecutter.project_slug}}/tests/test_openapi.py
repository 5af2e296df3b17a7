"""The OpenAPI document: each operation is described, and answers as it says."""

import subprocess
import sys
from pathlib import Path

from app.main import app

# Endpoints that Schemathesis leaves out, such as "/files/{name}". It sends random bodies, which
# an endpoint that fetches a URL or takes a file may not deserve.
EXCLUDED: list[str] = []

# Those that a correct service always passes. The others guess what a service should accept.
CHECKS = [
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_schema_conformance",
]

OPERATIONS = {
    f"{method.upper()} {path}": operation
    for path, methods in app.openapi()["paths"].items()
    for method, operation in methods.items()
    if path not in EXCLUDED
}


def test_every_operation_has_a_description_and_a_tag() -> None:
    for name, operation in OPERATIONS.items():
        assert operation.get("description"), f"{name}: its function needs a docstring"
        assert operation.get("tags"), f"{name}: its router needs tags"


def test_operation_ids_are_unique() -> None:
    # They are the names of the functions, and those of the methods of generated clients.
    ids = [operation["operationId"] for operation in OPERATIONS.values()]
    assert sorted(ids) == sorted(set(ids))


def test_every_response_is_one_that_the_document_allows(server: str, tmp_path: Path) -> None:
    options = ["--phases", "examples,coverage,fuzzing", "--checks", ",".join(CHECKS)]
    options += ["--max-examples", "5", "--seed", "1", "--no-color"]
    for path in EXCLUDED:
        options += ["--exclude-path", path]
    done = subprocess.run(
        [sys.executable, "-m", "schemathesis.cli", "run", f"{server}/openapi.json", *options],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    # A failure names the request, as a command for curl.
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"Tested: {len(OPERATIONS)}" in done.stdout, done.stdout
