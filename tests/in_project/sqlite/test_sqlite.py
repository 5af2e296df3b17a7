"""How the service uses its SQLite file."""

from pathlib import Path

import pytest
import sqlalchemy as sa

from app.core.db.engine import NoDatabaseError
from app.core.db.pool import Pool
from app.settings import Settings

pytestmark = pytest.mark.anyio


async def test_writers_wait_for_each_other_and_references_are_kept(database_url: str) -> None:
    pool = Pool(Settings())
    values = {}
    for pragma in ("journal_mode", "foreign_keys", "busy_timeout"):
        row = await pool.first(sa.text(f"PRAGMA {pragma}"))
        assert row is not None
        values[pragma] = row[0]
    await pool.engine.dispose()
    assert values == {"journal_mode": "wal", "foreign_keys": 1, "busy_timeout": 5000}


async def test_a_folder_that_does_not_exist_is_an_error_that_names_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", f"sqlite:///{tmp_path}/no/app.db")
    with pytest.raises(NoDatabaseError, match=f"there is no folder {tmp_path}/no"):
        Pool(Settings())
