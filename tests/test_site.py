"""The pages of the documentation: they build, their links work, and they load nothing else."""

import re
import shutil
import subprocess
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from tests.project import users_environment


@pytest.mark.slow
def test_the_site_builds_and_every_link_works(template_copy: Path) -> None:
    done = subprocess.run(
        ["make", "site"], cwd=template_copy, env=users_environment(), capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    site = template_copy / "build/site"
    pages = {page: page.read_text("utf-8") for page in site.rglob("index.html")}
    assert len(pages) == len(list((template_copy / "build/pages").rglob("*.md")))
    ids = {page: set(re.findall(r'\bid="([^"]+)"', text)) for page, text in pages.items()}
    for page, text in pages.items():
        for link in re.findall(r'<(?:a|img)\b[^>]*?\b(?:href|src)="([^"]+)"', text):
            url = urlsplit(link)
            if url.scheme or url.netloc:
                continue
            target = (page.parent / unquote(url.path)).resolve() if url.path else page
            if target.is_dir():
                target /= "index.html"
            assert target.is_file(), f"{page.relative_to(site)}: {link}"
            if url.fragment and target in ids:
                assert unquote(url.fragment) in ids[target], f"{page.relative_to(site)}: {link}"
        fetched = re.findall(r'<(?:script|link)\b[^>]*?\b(?:src|href)="(https?://[^"]+)"', text)
        assert [url for url in fetched if "canonical" not in url] == []
    shutil.rmtree(template_copy / "build")


def test_every_page_is_in_the_navigation() -> None:
    root = Path(__file__).parents[1]
    navigation = (root / "mkdocs.yml").read_text("utf-8")
    for page in (root / "docs").rglob("*.md"):
        assert f": {page.relative_to(root).as_posix()}\n" in navigation, page.name
