"""The feature folders, discovered by their files."""

from importlib import import_module
from types import ModuleType

from app.core import ROOT

APP = ROOT / "app"


def modules(name: str) -> list[str]:
    """The module of each `<name>.py` in a folder below `app/`, in the order of the paths.

    A folder may be nested: `app/billing/invoices/router.py`. The core has no features.
    """
    paths = [path.relative_to(ROOT).with_suffix("") for path in APP.rglob(f"*/{name}.py")]
    return [".".join(path.parts) for path in sorted(paths) if path.parts[1] != "core"]


def load(name: str) -> list[ModuleType]:
    """Import `<name>.py` of each feature that has one."""
    return [import_module(module) for module in modules(name)]
