import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import app
from app.core import features
from tests.core.conftest import probe_app


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder `app` of a service without features."""
    folder = tmp_path / "app"
    folder.mkdir()
    monkeypatch.setattr(features, "ROOT", tmp_path)
    monkeypatch.setattr(features, "APP", folder)
    monkeypatch.setattr(app, "__path__", [*app.__path__, str(folder)])
    yield folder
    for name in [name for name in sys.modules if name.startswith("app.probed")]:
        del sys.modules[name]


def write(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True)
    file.write_text(text)


def test_features_are_discovered_also_in_nested_folders(folder: Path) -> None:
    write(folder / "probed_b/router.py", "name = 'b'")
    write(folder / "probed_a/nested/router.py", "name = 'nested'")
    write(folder / "core/router.py", "name = 'core'")
    write(folder / "probed_c/models.py", "name = 'c'")
    assert [module.name for module in features.load("router")] == ["nested", "b"]
    assert [module.name for module in features.load("models")] == ["c"]


@pytest.mark.usefixtures("probe_database_url")
def test_a_router_file_without_a_router_stops_the_start_with_one_line(folder: Path) -> None:
    write(folder / "probed/router.py", "routes = []")
    with pytest.raises(SystemExit) as caught:
        probe_app()
    (line,) = str(caught.value).splitlines()
    assert "probed/router.py has no `router = APIRouter(…)`" in line
