"""Figures of a rendered project: its files, its lines, and the circles of its imports."""

import ast
from collections.abc import Set
from pathlib import Path

CORES_TESTS = "tests/core/"
TOOLKIT = "app/core/migrations/"


def figures(project: Path) -> dict[str, int]:
    """By what is counted; `project` has no environment and no caches in it."""
    lines = {
        path.relative_to(project).as_posix(): path.read_bytes().count(b"\n")
        for path in project.rglob("*")
        if path.is_file()
    }
    python = {name: count for name, count in lines.items() if name.endswith(".py")}

    def without(*folders: str) -> int:
        return sum(count for name, count in python.items() if not name.startswith(folders))

    return {
        "files": len(lines),
        "lines": sum(lines.values()),
        "lines of Python": sum(python.values()),
        "lines of Python without tests": without("tests/"),
        "lines of Python without the core's tests and the migration toolkit": without(
            CORES_TESTS, TOOLKIT
        ),
        "import circles": len(import_circles(project)),
    }


def import_circles(project: Path) -> set[frozenset[str]]:
    """Groups of modules that import each other, be it inside a function."""
    paths = {
        ".".join(path.relative_to(project).with_suffix("").parts).removesuffix(".__init__"): path
        for path in project.rglob("*.py")
    }
    imports = {name: imports_of(path, paths.keys()) for name, path in paths.items()}
    reached = {name: reachable(name, imports) for name in imports}
    return {
        frozenset(other for other in reached[name] if name in reached[other])
        for name in imports
        if name in reached[name]
    }


def imports_of(path: Path, modules: Set[str]) -> set[str]:
    """Which of these modules a file imports, be it inside a function."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names = {f"{node.module}.{alias.name}" for alias in node.names}
            # `from package import module` needs nothing of the package itself.
            found |= names if names <= modules else names | {str(node.module)}
    return found & modules


def reachable(start: str, imports: dict[str, set[str]]) -> set[str]:
    seen: set[str] = set()
    left = [start]
    while left:
        new = imports[left.pop()] - seen
        seen |= new
        left += new
    return seen
