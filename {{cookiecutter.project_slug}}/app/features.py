"""The feature folders: each is found by its files, none is registered by hand."""

from importlib import import_module
from pathlib import Path
from types import ModuleType

APP = Path(__file__).parent


def load(name: str) -> list[ModuleType]:
    """Import `app/<feature>/<name>.py` of every feature that has one, in the order of the names."""
    return [
        import_module(f"app.{path.parent.name}.{name}") for path in sorted(APP.glob(f"*/{name}.py"))
    ]
