import subprocess
import sys
from urllib.parse import quote

import pytest
from dotenv import dotenv_values
from pydantic import SecretStr

from app.core import ROOT
from app.core.db.settings import DEVELOPMENT_PASSWORD, parse_url
from app.core.settings import CoreSettings
from app.core.startup import load_settings

ENV_EXAMPLE = ROOT / ".env.example"


def test_the_example_lists_every_setting_with_its_default_and_description() -> None:
    example = dotenv_values(ENV_EXAMPLE, encoding="utf-8")
    text = ENV_EXAMPLE.read_text("utf-8")
    for name, field in CoreSettings.model_fields.items():
        default = field.default
        if isinstance(default, SecretStr):
            default = default.get_secret_value()
        elif isinstance(default, bool):
            default = str(default).lower()
        elif isinstance(default, tuple):
            default = ",".join(default)
        assert name.upper() in example, f"{name.upper()} is missing in .env.example"
        assert (example[name.upper()] or None) == (None if default in (None, "") else str(default))
        assert f"# {field.description}\n{name.upper()}=" in text
    assert example.pop("POSTGRES_PASSWORD") == DEVELOPMENT_PASSWORD  # compose.yaml's
    assert len(example) == len(CoreSettings.model_fields)


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
        ("sqlite:///app.db", "must begin with"),
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


@pytest.mark.parametrize("command", ["uvicorn app.main:app --port 1", "alembic current"])
def test_a_wrong_setting_stops_the_start_with_one_line(
    command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_POOL_SIZE", "0")
    result = subprocess.run(
        [sys.executable, "-m", *command.split()],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 1
    assert result.stderr.splitlines() == [
        "Wrong setting: DATABASE_POOL_SIZE: "
        "Input should be greater than or equal to 1 (see .env.example)"
    ]


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


@pytest.mark.parametrize(
    ("variable", "value", "reason"),
    [
        ("CORS_ORIGINS", "https://app.example/", "without a slash at the end"),
        ("CORS_ORIGINS", "app.example", "must be like https://app.example"),
        ("ALLOWED_HOSTS", "https://api.example", "without a scheme"),
        ("ALLOWED_HOSTS", "api.*", "must be like api.example"),
        ("ENVIRONMENT", "prod", "'development', 'staging' or 'production'"),
        ("LOG_FORMAT", "xml", "'text' or 'json'"),
        ("WEB_CONCURRENCY", "0", "greater than or equal to 1"),
    ],
)
def test_a_wrong_value_is_one_line(
    variable: str, value: str, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(SystemExit) as caught:
        load_settings(CoreSettings)
    (line,) = str(caught.value).splitlines()
    assert line.startswith(f"Wrong setting: {variable}: ")
    assert reason in line


def test_several_values_have_commas_between_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CORS_ORIGINS", "https://a.example, http://localhost:3000,")
    assert CoreSettings().cors_origins == ("https://a.example", "http://localhost:3000")
