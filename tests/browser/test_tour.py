"""Every page, in the demo, as it is seen on a desk and on a phone, by day and at night."""

import os
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from django.core.management import call_command
from django.db import connection
from playwright.sync_api import Page

from tests.browser.accessibility import obstacles, wider_than_the_screen
from tests.browser.tour import SIGHTS

# Where `make screenshots` wants its pictures.
PICTURES = os.environ.get("SCREENSHOTS", "")


class Look(NamedTuple):
    name: str
    width: int
    height: int
    color_scheme: str

    @property
    def options(self) -> dict[str, Any]:
        size = {"width": self.width, "height": self.height}
        return {"viewport": size, "color_scheme": self.color_scheme}


LOOKS = [
    Look("light", 1280, 900, "light"),
    Look("dark", 1280, 900, "dark"),
    Look("phone", 390, 844, "light"),
    Look("phone-dark", 390, 844, "dark"),
]
# Between them, the first and the last show each width and each set of colours.
SEEN = LOOKS if PICTURES else [LOOKS[0], LOOKS[-1]]


@pytest.fixture
def demo(transactional_db, monkeypatch):
    # The tests have no pool, and so would connect anew after each payment.
    with monkeypatch.context() as patch:
        patch.setattr(connection, "close", lambda: None)
        call_command("load_demo", verbosity=0)


@pytest.mark.usefixtures("demo")
def test_every_page_can_be_used_by_everybody(browse, subtests):
    for look in SEEN:
        pages = {role: browse(role, **look.options) for role in {sight.role for sight in SIGHTS}}
        for sight in SIGHTS:
            with subtests.test(sight.name, look=look.name):
                page = pages[sight.role]
                sight.visit(page)
                if PICTURES:
                    take_picture(page, look, f"{sight.name}-{look.name}")

                assert obstacles(page) == []
                assert not wider_than_the_screen(page)


def take_picture(page: Page, look: Look, name: str) -> None:
    """The whole page, in a window that holds it, so that what sticks to the window's end does."""
    height = page.evaluate("document.documentElement.scrollHeight")
    page.set_viewport_size({"width": look.width, "height": max(height, look.height)})
    page.screenshot(path=Path(PICTURES, f"{name}.png"))
    page.set_viewport_size({"width": look.width, "height": look.height})
