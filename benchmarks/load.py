"""Load by wrk, which takes a fraction of what a server here does."""

import json
import re
import shutil
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from benchmarks.servers import Server

UNITS = {"us": 1e-3, "ms": 1.0, "s": 1e3, "m": 6e4}
FIELDS = {"id", "title", "status", "created_at", "updated_at"}
BODY = '{"title": "Water the plants"}'


@dataclass
class Result:
    rate: float  # answers a second
    p50: float  # milliseconds
    p99: float
    errors: int  # answers that are not 2xx, and connections that failed


def need_wrk() -> None:
    if shutil.which("wrk") is None:
        raise SystemExit("wrk is missing: apt-get install wrk, or brew install wrk")


def cursor(last_id: int) -> str:
    return f"{last_id:x}"


def script(kind: str, rows: int) -> str:
    """What each request is, in wrk's Lua: `get`, `page` and `post`, or `deepest` page."""
    spread = range(max(21, rows // 1000), rows, max(1, rows // 1000))
    pages = ",".join(f'"/tasks?limit=20&cursor={cursor(number)}"' for number in spread)
    return {
        "get": f'function request() return wrk.format("GET", "/tasks/" .. math.random({rows})) end',
        "page": f"local pages = {{{pages}}}\n"
        'function request() return wrk.format("GET", pages[math.random(#pages)]) end',
        "deepest": f"function request() return "
        f'wrk.format("GET", "/tasks?limit=20&cursor={cursor(22)}") end',
        "post": f"wrk.method = 'POST'\nwrk.body = '{BODY}'\n"
        "wrk.headers['content-type'] = 'application/json'",
    }[kind]


def check(server: Server) -> None:
    """Every answer, its status and its body, before anything is timed."""
    for path, status, body in (
        ("/tasks/1", 200, None),
        ("/tasks?limit=20", 200, None),
        (f"/tasks?limit=20&cursor={cursor(22)}", 200, None),
        ("/tasks", 201, BODY.encode()),
    ):
        headers = {"content-type": "application/json"}
        request = urllib.request.Request(server.url + path, body, headers)
        with urllib.request.urlopen(request, timeout=10) as response:
            content = json.load(response)
        items = content.get("items", [content])
        right = response.status == status and all(set(item) == FIELDS for item in items)
        if not right or ("items" in content and len(items) != 20):
            raise SystemExit(f"{server.url}{path}: {response.status} {content}")


def load(server: Server, kind: str, *, rows: int, clients: int = 32, seconds: int = 2) -> Result:
    time.sleep(0.5)  # requests that the load before has left are answered first
    with tempfile.TemporaryDirectory() as folder:
        lua = Path(folder, "requests.lua")
        lua.write_text(script(kind, rows))
        command = ["wrk", "--threads", "1", "--connections", str(clients), "--latency"]
        command += ["--duration", f"{seconds}s", "--timeout", "30s", "--script", str(lua)]
        done = subprocess.run([*command, server.url + "/tasks"], capture_output=True, text=True)
    text = done.stdout
    errors = sum(int(count) for count in re.findall(r"Non-2xx or 3xx responses: (\d+)", text))
    for line in re.findall(r"Socket errors: (.*)", text):
        errors += sum(int(count) for count in re.findall(r"\d+", line))
    rate = re.search(r"Requests/sec:\s+([\d.]+)", text)
    if rate is None:
        raise SystemExit(f"wrk: {done.stdout}{done.stderr}")
    return Result(float(rate[1]), latency(text, "50"), latency(text, "99"), errors)


def latency(text: str, percent: str) -> float:
    found = re.search(rf"\b{percent}%\s+([\d.]+)(us|ms|s|m)\b", text)
    return float(found[1]) * UNITS[found[2]] if found else float("nan")


def middle(results: Sequence[Result]) -> Result:
    """The medians; the errors of all."""
    return Result(
        median(result.rate for result in results),
        median(result.p50 for result in results),
        median(result.p99 for result in results),
        sum(result.errors for result in results),
    )
