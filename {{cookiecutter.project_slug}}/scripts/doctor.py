"""Finds problems, and names the command that fixes each: `make doctor`.

This part needs nothing but Python and looks at the machine; app/core/doctor.py, in the project's
environment, looks at the project. Neither changes anything. Exits with 0 when all is well, and
otherwise with 1.
"""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
OLDEST_PYTHON = (3, 11)


class Report:
    """Prints a line for what is well, and two or more for a problem."""

    def __init__(self) -> None:
        self.problems = 0

    def well(self, text: str) -> None:
        print(f"ok  {text}", flush=True)

    def problem(self, text: str, *fixes: str) -> None:
        self.problems += 1
        print(f"!!  {text}", *(f"      {fix}" for fix in fixes), sep="\n", flush=True)


def check_tools(report: Report) -> None:
    version = sys.version.split()[0]
    if sys.version_info >= OLDEST_PYTHON or shutil.which("uv"):
        report.well(f"Python {version}")
    else:
        report.problem(f"Python {version} is too old: 3.11 or newer, or uv, which can get one")
    if shutil.which("uv"):
        report.well("uv")
    else:
        report.problem("There is no uv", "pipx install uv, or see https://docs.astral.sh/uv/")
    if shutil.which("git"):
        report.well("git")
    else:
        report.problem("There is no git, which puts revisions in order", "install git")
    if not (shutil.which("docker") or shutil.which("podman")):
        report.well("no Docker or Podman, which `make compose-up` alone needs")


def check_port(report: Report, port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            free = False
        else:
            free = True
    if free:
        report.well(f"port {port} is free")
    elif is_ours(port):
        report.well(f"the service answers on port {port}")
    else:
        report.problem(f"Port {port} is taken by another program", f"make run PORT={port + 1}")


def is_ours(port: int) -> bool:
    try:
        # While it reloads, it answers after some seconds.
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/health/live", timeout=10) as answer:
            return b'"live"' in answer.read(100)
    except (OSError, ValueError):
        return False


def check_environment(report: Report) -> Path | None:
    """The Python of the project's environment, if there is one to go on with."""
    pythons = [ROOT / ".venv" / name for name in ("bin/python", "Scripts/python.exe")]
    python = next((path for path in pythons if path.exists()), None)
    uv = shutil.which("uv")
    if python is None:
        report.problem("There is no environment, .venv", "make setup")
    elif (
        uv
        and subprocess.run(
            [uv, "sync", "--locked", "--check", "--offline"],
            cwd=ROOT,
            capture_output=True,
            check=False,
        ).returncode
    ):
        report.problem("The environment is not what pyproject.toml and uv.lock say", "make setup")
    else:
        report.well("the environment")
    return python


def main() -> int:
    report = Report()
    check_tools(report)
    check_port(report, int(sys.argv[1]) if len(sys.argv) > 1 else 8000)
    python = check_environment(report)
    if python is not None:
        command = [str(python), "-m", "app.core.doctor"]
        report.problems += subprocess.run(command, cwd=ROOT, check=False).returncode
    print("Problems found." if report.problems else "All is well.")
    return 1 if report.problems else 0


if __name__ == "__main__":
    sys.exit(main())
