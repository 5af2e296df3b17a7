"""What the core may import."""

import ast
import re
from pathlib import Path

from app.core import ROOT

CORE = ROOT / "app" / "core"


def module_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


MODULES = {module_of(path): path for path in CORE.rglob("*.py")}


def imports_of(path: Path) -> set[str]:
    """What a file imports, be it inside a function."""
    found = set()
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names = {f"{node.module}.{alias.name}" for alias in node.names}
            # `from package import module` needs nothing of the package itself.
            found |= names if names <= MODULES.keys() else {str(node.module)} | names
    return found


IMPORTS = {module: imports_of(path) for module, path in MODULES.items()}


def test_the_core_imports_nothing_of_the_service() -> None:
    for module, imported in IMPORTS.items():
        of_the_service = {name for name in imported if re.match(r"app\.(?!core\b)", name)}
        assert of_the_service == set(), module


def test_no_import_goes_in_a_circle() -> None:
    left = {module: imported & IMPORTS.keys() for module, imported in IMPORTS.items()}
    while free := {module for module, imported in left.items() if not imported - {module}}:
        left = {module: imported - free for module, imported in left.items() if module not in free}
    assert left == {}


def test_alembic_does_without_fastapi() -> None:
    # Its import would double the time of a migration that has nothing to do.
    reached, new = set(), {"app.core.migrations.runner", "app.core.startup"}
    while new:
        reached |= new
        new = set().union(*(IMPORTS[module] & IMPORTS.keys() for module in new)) - reached
    assert [module for module in reached if "fastapi" in IMPORTS[module]] == []
