"""What the core may import."""

import ast
from pathlib import Path

from app.core import ROOT

CORE = ROOT / "app" / "core"


def module_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def imports_of(path: Path) -> set[str]:
    """The modules of `app` that a file imports, be it inside a function."""
    found = set()
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {str(node.module), *(f"{node.module}.{alias.name}" for alias in node.names)}
    return {name for name in found if name.split(".")[0] == "app"}


IMPORTS = {module_of(path): imports_of(path) for path in CORE.rglob("*.py")}


def test_the_core_imports_nothing_of_the_service() -> None:
    for module, imported in IMPORTS.items():
        outside = {name for name in imported if name != "app" and not name.startswith("app.core")}
        assert outside == set(), module


def test_no_import_goes_in_a_circle() -> None:
    left = {module: imported & IMPORTS.keys() for module, imported in IMPORTS.items()}
    while free := {module for module, imported in left.items() if not imported - {module}}:
        left = {module: imported - free for module, imported in left.items() if module not in free}
    assert left == {}
