"""Which URLs the settings take."""

import pytest

from app.core.settings import CoreSettings
from app.core.startup import load_settings


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("mysql://user:secret@host/name", "must begin with"),
        ("secret", "must begin with"),
        ("sqlite:///", "must name a file"),
        ("sqlite:///:memory:", "must name a file"),
    ],
)
def test_a_wrong_url_is_one_line_that_does_not_repeat_it(
    url: str, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", url)
    with pytest.raises(SystemExit) as caught:
        load_settings(CoreSettings)
    (message,) = str(caught.value).splitlines()
    assert message.startswith("Wrong setting: DATABASE_URL: ")
    assert reason in message
    assert "secret" not in message
