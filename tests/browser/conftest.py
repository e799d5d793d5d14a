"""Real browsers on the real application. What they need is told in CONTRIBUTING.md."""

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.contrib.auth.models import Group, User
from django.db import connection
from django.test import Client
from playwright.sync_api import BrowserContext, Page, expect

from tests.browser.watching import Watch

FOLDER = Path(__file__).parent
# The first is the same without what surrounds a page, at little more than half the cost.
NAMES = (
    "chromium-headless-shell",
    *("chromium", "chromium-browser", "google-chrome-stable", "google-chrome"),
)
ARGUMENTS = [
    "--disable-gpu",
    "--disable-quic",
    "--disable-sync",
    "--disable-background-networking",
    "--disable-component-update",
    "--no-first-run",
    # Whatever a page asks for elsewhere is not even looked up; the watch tells of it.
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE localhost, EXCLUDE 127.0.0.1",
]
NO_BROWSER = (
    "No chromium was found: install it (Debian: apt-get install chromium-headless-shell), "
    "or say where it is: CHROMIUM=/path/to/chromium"
)
# A page of this machine answers at once or not at all; cores with other tests may take their time.
PATIENCE_MS = 30_000
expect.set_options(timeout=PATIENCE_MS)


def chromium() -> str | None:
    """Find the browser: the one named by CHROMIUM, or Debian's, or another one of that kind."""
    return os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if FOLDER in item.path.parents:
            item.add_marker(pytest.mark.browser)
            if not chromium() and not os.environ.get("CI"):
                # Two commands and Python are all it takes; only the build must have a browser.
                item.add_marker(pytest.mark.skip(NO_BROWSER))


def pytest_collection_finish(session: pytest.Session) -> None:
    browser = [item for item in session.items if item.get_closest_marker("browser")]
    if browser and len(browser) < len(session.items):
        # Playwright leaves an event loop running, in which asyncio.run() fails.
        raise pytest.UsageError("Browser tests run in a process of their own: pytest -m browser")
    if browser and os.environ.get("CI") and not chromium():
        raise pytest.UsageError(NO_BROWSER)


@pytest.fixture(scope="session")
def django_db_modify_db_settings() -> None:
    """Have a database of one's own: the other tests run on the same server at the same time."""
    database, process = connection.settings_dict, os.environ.get("PYTEST_XDIST_WORKER", "")
    database["TEST"]["NAME"] = f"test_{database['NAME']}_browser{process}"


@pytest.fixture(scope="session", autouse=True)
def database_beside_the_browser() -> None:
    """Let tests use the ORM in the thread in which Playwright's event loop runs."""
    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "true"


@pytest.fixture(scope="session")
def browser_type_launch_args(browser_type_launch_args: dict[str, Any]) -> dict[str, Any]:
    return {
        **browser_type_launch_args,
        "executable_path": chromium(),
        "args": ARGUMENTS,
    }


@pytest.fixture(scope="session")
def base_url(live_server: Any) -> str:
    """Where the application answers, so that pages are opened by their path."""
    return str(live_server.url)


@pytest.fixture
def watch(base_url: str) -> Iterator[Watch]:
    """Fail the test for what its browsers did elsewhere, were forbidden, or stumbled over."""
    watch = Watch(base_url)
    yield watch
    assert watch.complaints == []


@pytest.fixture
def new_context(
    live_server: Any, watch: Watch, new_context: Callable[..., BrowserContext]
) -> Callable[..., BrowserContext]:
    """Start a browser with cookies and storage of its own, under the watch."""

    def watched(**options: Any) -> BrowserContext:
        context = new_context(**options)
        context.set_default_timeout(PATIENCE_MS)
        watch.over(context)
        return context

    return watched


@pytest.fixture
def browse(new_context: Callable[..., BrowserContext], base_url: str) -> Callable[..., Page]:
    """Open an empty page in a browser of its own, signed in as somebody of that role, if any."""

    def page(role: str = "", **options: Any) -> Page:
        context = new_context(**options)
        if role:
            context.add_cookies([_session(person(role), base_url)])
        return context.new_page()

    return page


def person(role: str) -> User:
    """Somebody of this role, by that name."""
    user, is_new = User.objects.get_or_create(username=role, defaults={"is_staff": True})
    if is_new:
        user.groups.add(Group.objects.get(name=role))
    return user


def _session(user: User, url: str) -> Any:
    client = Client()
    client.force_login(user)
    name = settings.SESSION_COOKIE_NAME
    return {"name": name, "value": client.cookies[name].value, "url": url}
