"""The page at /docs, used in a real browser: the system's Chromium or Chrome."""

import contextlib
import http.client
import os
import shutil
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Locator, Page, expect, sync_playwright

from tests.project import Project, free_port
from tests.test_first_run import answers

CHROMIUM = (
    shutil.which("chromium") or shutil.which("google-chrome") or shutil.which("chromium-browser")
)

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        sys.platform != "linux" or (CHROMIUM is None and "CI" not in os.environ),
        reason="needs chromium or google-chrome on Linux",
    ),
]

NAME = """R&D &lt;"Tasks"> 'n' </title></script><script>document.title = "ran"</script>"""
DESCRIPTION = """For "R&D" </script><script>document.title = "ran"</script>, and 'others'."""

# Not 127.0.0.1, where Swagger UI leaves out what asks other sites, and Chromium is less strict.
HOST = "tasks.example"
FLAGS = [
    f"--host-resolver-rules=MAP {HOST} 127.0.0.1",
    "--no-proxy-server",
    # Without these Chromium itself asks its maker's servers.
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-quic",
    "--disable-gpu",
    "--no-first-run",
]
VIOLATIONS = """
window.violations = [];
document.addEventListener("securitypolicyviolation", event =>
    window.violations.push(`${event.effectiveDirective}: ${event.blockedURI}`));
"""
PREFIX = "/api"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    assert CHROMIUM, "there is neither chromium nor google-chrome"
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def project(
    render: Callable[..., Path],
    set_up: Callable[..., Path],
    tmp_path_factory: pytest.TempPathFactory,
) -> Project:
    """A project with a name and a description that are to be text, and nothing else."""
    texts = {"project_name": NAME, "description": DESCRIPTION, "project_slug": "odd"}
    return Project(set_up(database="sqlite"), render(database="sqlite", **texts))


@contextlib.contextmanager
def serving(
    project: Project, folder: Path, *options: str, **variables: str
) -> Iterator[tuple[str, int]]:
    """Run the project's server on a new database; yields where a browser finds it, and its port."""
    url = f"sqlite:///{folder / 'tasks.db'}"
    project.alembic("upgrade", "head", url=url)
    port = free_port()
    command = ["-m", "uvicorn", "app.main:app", "--port", str(port), *options]
    process = project.start(*command, url=url, **variables)
    try:
        deadline = time.monotonic() + 60
        while not answers(f"http://127.0.0.1:{port}/health/ready"):
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < deadline, "the server does not answer"
            time.sleep(0.1)
        yield f"http://{HOST}:{port}", port
    finally:
        process.terminate()
        try:
            process.communicate(timeout=20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()


@contextlib.contextmanager
def proxied(port: int) -> Iterator[str]:
    """Put a proxy before a server, which cuts PREFIX off and knows no other path."""

    class Proxy(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if not self.path.startswith(f"{PREFIX}/"):
                self.send_error(404)
                return
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            server = http.client.HTTPConnection("127.0.0.1", port)
            path = self.path.removeprefix(PREFIX)
            server.request(self.command, path, body, dict(self.headers.items()))
            response = server.getresponse()
            self.send_response_only(response.status)
            for header in response.getheaders():
                self.send_header(*header)
            self.end_headers()
            self.wfile.write(response.read())
            server.close()

        do_POST = do_GET

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Proxy) as proxy:
        threading.Thread(target=proxy.serve_forever).start()
        try:
            yield f"http://{HOST}:{proxy.server_port}{PREFIX}"
        finally:
            proxy.shutdown()


@pytest.fixture(scope="module")
def base(project: Project, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with serving(project, tmp_path_factory.mktemp("server")) as (base, _):
        yield base


class Visit:
    """A page, and what went wrong on it."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.urls: list[str] = []
        self.errors: list[str] = []
        page.add_init_script(VIOLATIONS)
        page.on("request", lambda request: self.urls.append(request.url))
        page.on("requestfailed", lambda request: self.errors.append(f"failed: {request.url}"))
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("console", self.hear)

    def hear(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.errors.append(message.text)

    def open(self, url: str) -> None:
        """Open a page, and wait until it has asked for all it needs."""
        self.page.goto(url)
        self.page.wait_for_load_state("networkidle")
        assert self.problems() == []

    def hosts(self) -> set[str]:
        """Who was asked for something, whether or not the answer came."""
        urls = map(urlsplit, self.urls)
        return {url.netloc for url in urls if url.scheme not in ("data", "blob")}

    def problems(self) -> list[str]:
        return self.errors + list(self.page.evaluate("window.violations"))


@pytest.fixture
def visit(browser: Browser) -> Iterator[Visit]:
    page = browser.new_page()
    page.set_default_timeout(15_000)
    yield Visit(page)
    page.close()


def operation(page: Page, name: str) -> Locator:
    """Unfold an operation, ready to be tried out."""
    block = page.locator(f"#operations-tasks-{name}")
    block.locator(".opblock-summary-control").click()
    block.get_by_role("button", name="Try it out").click()
    return block


def execute(block: Locator) -> tuple[str, str]:
    """Send the request; the status and the body that the page shows."""
    block.get_by_role("button", name="Execute").click()
    response = block.locator(".live-responses-table .response")
    expect(response).to_be_visible()
    status = response.locator(".response-col_status").inner_text()
    return status.strip(), response.locator(".highlight-code").first.inner_text()


def make_and_list_a_task(page: Page, title: str) -> None:
    create = operation(page, "create_task")
    create.locator("textarea").fill(f'{{"title": "{title}"}}')
    status, body = execute(create)
    assert status == "201"
    assert f'"title": "{title}"' in body

    status, body = execute(operation(page, "list_tasks"))
    assert status == "200"
    assert f'"title": "{title}"' in body


def test_a_task_is_made_and_listed_with_the_mouse_and_no_other_site_is_asked(
    visit: Visit, base: str
) -> None:
    visit.open(f"{base}/")
    assert visit.page.url == f"{base}/docs"
    make_and_list_a_task(visit.page, "Water the plants")
    # What comes late would be missed otherwise.
    visit.page.wait_for_load_state("networkidle")
    assert visit.hosts() == {urlsplit(base).netloc}
    assert visit.problems() == []


def test_a_request_to_another_site_and_a_refused_script_would_be_seen(
    visit: Visit, base: str
) -> None:
    visit.open(f"{base}/docs")
    visit.page.evaluate(
        """() => {
            document.body.append(Object.assign(new Image(), {src: "http://127.0.0.1:9/x.png"}));
            const script = document.createElement("script");
            script.textContent = "document.title = 'ran'";
            document.body.append(script);
        }"""
    )
    expect(visit.page).not_to_have_title("ran")
    assert "127.0.0.1:9" in visit.hosts()
    assert {problem.partition(":")[0] for problem in visit.problems()} >= {
        "img-src",
        "script-src-elem",
    }


def test_name_and_description_run_nothing_and_the_icon_is_shown(visit: Visit, base: str) -> None:
    visit.open(f"{base}/docs")
    expect(visit.page.locator(".info .title")).to_contain_text(NAME)
    # Markdown, as OpenAPI has it, of which the page leaves scripts out.
    description = visit.page.locator(".info .description")
    expect(description).to_contain_text('For "R&D"')
    expect(description).to_contain_text("and 'others'.")
    expect(visit.page).to_have_title(NAME)
    width = visit.page.evaluate(
        """async () => {
            const icon = new Image();
            icon.src = document.querySelector("link[rel~=icon]").href;
            await icon.decode();
            return icon.naturalWidth;
        }"""
    )
    assert width >= 16
    assert visit.problems() == []


def test_the_page_works_behind_a_proxy_that_cuts_a_prefix_off(
    visit: Visit, project: Project, tmp_path: Path
) -> None:
    with (
        serving(project, tmp_path, "--root-path", PREFIX) as (_, port),
        proxied(port) as base,
    ):
        visit.open(f"{base}/")
        assert visit.page.url == f"{base}/docs"
        make_and_list_a_task(visit.page, "Behind a proxy")
        assert [url for url in visit.urls if not url.startswith(f"{base}/")] == []
        assert visit.problems() == []


def test_without_docs_there_is_no_page_and_no_document(project: Project, tmp_path: Path) -> None:
    with serving(project, tmp_path, DOCS="false") as (_, port):
        assert answers(f"http://127.0.0.1:{port}/tasks")
        for path in ("/docs", "/docs/static/swagger-ui.css", "/openapi.json", "/redoc", "/"):
            with pytest.raises(urllib.error.HTTPError, match="404"):
                urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5)
