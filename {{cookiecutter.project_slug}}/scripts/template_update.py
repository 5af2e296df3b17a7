"""Merges a later version of the template, or changed answers: `make template-update`.

The code that does this comes from the template's repository, so that each project has its fixes.
`python3 scripts/template_update.py --help` lists the options.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
HOSTS = {"gh": "github.com", "gl": "gitlab.com", "bb": "bitbucket.org"}


def without_login(text: str) -> str:
    """An address may hold a token."""
    return re.sub(r"(\w+://)[^/@\s]*@", r"\1", text)


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--from", dest="repository")
    given, others = parser.parse_known_args(arguments)
    try:
        record = json.loads((ROOT / ".cookiecutter.json").read_text("utf-8"))
        repository = given.repository or record["template"]["repository"]
    except (OSError, ValueError, KeyError, TypeError):
        repository = given.repository
    if not repository:
        print("Not updated: .cookiecutter.json names no template: use from=…", file=sys.stderr)
        return 1
    host, _, path = repository.partition(":")
    url = f"https://{HOSTS[host]}/{path}.git" if host in HOSTS else repository
    if "--check" not in others:
        print(f"Getting the template from {without_login(url)}", flush=True)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        clone = ["git", "clone", "--quiet", url, folder]
        try:
            subprocess.run(clone, cwd=ROOT, capture_output=True, text=True, check=True)
        except FileNotFoundError:
            print("Not updated: git is not installed", file=sys.stderr)
            return 1
        except subprocess.CalledProcessError as error:
            said = without_login(error.stderr.strip())
            print(f"Not updated: git clone failed:\n{said}", file=sys.stderr)
            return 1
        update = [sys.executable, "-m", "template_update", "--template", folder, *others]
        env = os.environ | {"PYTHONPATH": folder, "PYTHONDONTWRITEBYTECODE": "1"}
        return subprocess.run(update, cwd=ROOT, env=env, check=False).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
