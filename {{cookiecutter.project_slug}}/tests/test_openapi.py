"""What the document promises is what comes: all checks of Schemathesis, on a running service."""

import subprocess
import sys
from pathlib import Path

# The most requests of one kind for each operation, and in how many orders these follow each other.
EXAMPLES = 15


def test_every_answer_is_one_that_the_document_allows(server: str, tmp_path: Path) -> None:
    options = ["--max-examples", str(EXAMPLES), "--generation-database", "none", "--no-color"]
    result = subprocess.run(
        # What it sends differs each time. A failure names the seed, and the request for curl.
        [sys.executable, "-m", "schemathesis.cli", "run", f"{server}/openapi.json", *options],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    assert "Tested: 7" in result.stdout
