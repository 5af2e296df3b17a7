"""Which URLs the settings take, and what of them is printed."""

from urllib.parse import quote

import pytest

from app.core import ROOT
from app.core.db.settings import DEVELOPMENT_PASSWORD, parse_url
from app.core.settings import CoreSettings
from app.core.startup import load_settings


@pytest.mark.parametrize("password", ["a%b", "a@b", "a/b", "a:b", "a b", "пароль", "p@s/s:w%rd#"])
@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg"])
def test_a_password_may_hold_any_character(scheme: str, password: str) -> None:
    for written in (quote(password, safe=""), password):
        url = parse_url(f"{scheme}://user:{written}@db.example:5433/name")
        assert (url.password, url.host, url.port, url.database) == (
            password,
            "db.example",
            5433,
            "name",
        )
        assert url.drivername == "postgresql+psycopg"
        assert password not in repr(url)


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("mysql://user:secret@host/name", "must begin with"),
        ("secret", "must begin with"),
        ("postgresql://user:secret@host:port/name", "cannot be read"),
        ("postgresql://user:secret@host", "must name a database"),
    ],
)
def test_a_wrong_url_is_one_line_without_the_password(
    url: str, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", url)
    with pytest.raises(SystemExit) as caught:
        load_settings(CoreSettings)
    message = str(caught.value)
    assert message.startswith("Wrong setting: DATABASE_URL: ")
    assert reason in message
    assert "secret" not in message
    assert len(message.splitlines()) == 1


def test_no_password_is_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://user:secret@host/name")
    settings = CoreSettings()
    assert "secret" not in f"{settings!r} {settings}"


@pytest.mark.parametrize("environment", ["staging", "production"])
@pytest.mark.parametrize("variable", ["DATABASE_URL", "MIGRATION_DATABASE_URL"])
def test_the_development_password_is_refused_outside_development(
    environment: str, variable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, f"postgresql://app:{DEVELOPMENT_PASSWORD}@database/app")
    load_settings(CoreSettings)
    monkeypatch.setenv("ENVIRONMENT", environment)
    with pytest.raises(SystemExit, match=f"ENVIRONMENT is {environment}"):
        load_settings(CoreSettings)


def test_compose_starts_with_the_development_password() -> None:
    text = (ROOT / "compose.yaml").read_text("utf-8")
    assert text.count(f"POSTGRES_PASSWORD:-{DEVELOPMENT_PASSWORD}}}") == 2
    assert f"POSTGRES_PASSWORD={DEVELOPMENT_PASSWORD}\n" in (ROOT / ".env.example").read_text(
        "utf-8"
    )
