"""The feature folders, discovered by their files."""

from importlib import import_module
from types import ModuleType

from app.core import ROOT

APP = ROOT / "app"


def load(name: str) -> list[ModuleType]:
    """Import each `<name>.py` of a folder below `app/`, in the order of the paths.

    A folder may be nested: `app/billing/invoices/router.py`. The core has no features.
    """
    paths = [path.relative_to(ROOT) for path in APP.rglob(f"*/{name}.py")]
    return [
        import_module(".".join(path.with_suffix("").parts))
        for path in sorted(paths)
        if path.parts[1] != "core"
    ]
