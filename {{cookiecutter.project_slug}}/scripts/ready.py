"""Wait until every replica that compose has started is ready, and say where it is.

Used by `make compose-up`: `python -m scripts.ready REPLICAS docker compose`.
"""

import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from http.client import HTTPException

SECONDS = float(os.environ.get("READY_SECONDS", "90"))
# Never through a proxy of the environment's.
OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def address(compose: list[str], index: int) -> str | None:
    """Where a replica listens, like 127.0.0.1:8000; None as long as it does not run."""
    # Docker says 127.0.0.1:8000, podman-compose 8000.
    command = [*compose, "port", "--index", str(index), "app", "8000"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    port = done.stdout.strip().rpartition(":")[2]
    return f"127.0.0.1:{port}" if done.returncode == 0 and port else None


def problem(place: str | None) -> str | None:
    """Why a replica is not ready; None when it is."""
    if place is None:
        return "its container does not run."
    try:
        with OPENER.open(f"http://{place}/health/ready", timeout=5):
            return None
    except urllib.error.HTTPError as error:
        try:
            return str(json.load(error)["detail"])
        except (ValueError, KeyError, TypeError):
            return f"{place} answers with status {error.code}, as another program would."
    except (OSError, HTTPException):
        return "it does not answer."


def main(replicas: int, compose: list[str]) -> int:
    deadline = time.monotonic() + SECONDS
    for index in range(1, replicas + 1):
        while reason := problem(place := address(compose, index)):
            if time.monotonic() > deadline:
                print(
                    f"app {index} is not ready: {reason} Look at `make compose-logs`.",
                    file=sys.stderr,
                )
                return 1
            time.sleep(0.5)
        print(f"Ready: http://{place}/docs")
    return 0


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), sys.argv[2:]))
