"""The feature folders, discovered by their files."""

from importlib import import_module
from types import ModuleType

from app.core import ROOT


def load(name: str) -> list[ModuleType]:
    """Import `app/<feature>/<name>.py` of every feature that has one, in the order of the names."""
    return [
        import_module(f"app.{path.parent.name}.{name}")
        for path in sorted((ROOT / "app").glob(f"*/{name}.py"))
    ]
