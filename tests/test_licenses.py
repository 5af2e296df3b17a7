"""LICENSE is the official text of the license chosen, with the author as its holder."""

import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest

AUTHOR = "Your Name"
HOLDERS = {
    "MIT": f"Copyright (c) {AUTHOR}",
    "BSD-3-Clause": f"Copyright (c) {AUTHOR}",
    "Apache-2.0": f"   Copyright {AUTHOR}",
    "Proprietary": f"Copyright (c) {AUTHOR}. All rights reserved.",
}
# SHA-256 of the official text, one space between words, without the holder's line.
OFFICIAL = {
    "MIT": "7c9b48b52decb9837c70f608678129e1ac79e056829c8d1e82e8cdd8aed562f8",
    "BSD-3-Clause": "77bebd765dc6e78c3feb4e9856b5d733a736a0ce9621764f9a604daf488d6941",
    "Apache-2.0": "0649bc87ac07c40d996369e9e058b11734e3eedb25ae8be9e6293f1efb340353",
}


def license_of(bake: Callable[..., Path], name: str) -> str:
    return (bake(license=name) / "LICENSE").read_bytes().decode("utf-8")


@pytest.mark.parametrize("name", HOLDERS)
def test_the_license_names_the_author_as_its_holder_and_no_year(
    bake: Callable[..., Path], name: str
) -> None:
    lines = license_of(bake, name).split("\n")
    assert [line for line in lines if AUTHOR in line] == [HOLDERS[name]]


@pytest.mark.parametrize("name", HOLDERS)
def test_the_license_ends_with_one_line_break(bake: Callable[..., Path], name: str) -> None:
    assert license_of(bake, name).endswith(".\n")


@pytest.mark.parametrize("name", OFFICIAL)
def test_the_license_is_the_official_text(bake: Callable[..., Path], name: str) -> None:
    words = " ".join(license_of(bake, name).replace(HOLDERS[name], "").split())
    assert hashlib.sha256(words.encode()).hexdigest() == OFFICIAL[name]


def test_a_proprietary_license_grants_nothing(bake: Callable[..., Path]) -> None:
    text = license_of(bake, "Proprietary")
    assert "without prior written permission" in text
    assert "hereby granted" not in text
