import io

import pytest
from dotenv import dotenv_values
from pydantic import SecretStr

from app.core import ROOT
from app.core.settings import CoreSettings
from app.core.startup import load_settings

ENV_EXAMPLE = ROOT / ".env.example"


def test_the_example_lists_every_setting_with_its_default_and_description() -> None:
    # What follows these words is not a setting of the service.
    text = ENV_EXAMPLE.read_text("utf-8").partition("# For compose.yaml alone")[0]
    example = dotenv_values(stream=io.StringIO(text))
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
