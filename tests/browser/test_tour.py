"""Every page, in the demo, as it is seen on a desk and on a phone, by day and at night."""

import io
import os
from pathlib import Path
from typing import Any, Literal, NamedTuple

import pytest
from django.conf import settings
from django.core.management import call_command
from django.db import connection
from PIL import Image
from playwright.sync_api import Page

from tests.browser.accessibility import obstacles, wider_than_the_screen
from tests.browser.test_keyboard import out_of_reach
from tests.browser.tour import DOCUMENTED, SIGHTS

# Where `make screenshots` wants its pictures.
PICTURES = os.environ.get("SCREENSHOTS", "")


class Look(NamedTuple):
    name: str
    width: int
    height: int
    color_scheme: Literal["light", "dark"]

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
# In which the documents show pages: each line of them takes a third of a screen.
ON_PAPER = Look("paper", 1040, 660, "light")
DOCUMENTS = settings.BASE_DIR / "docs"
# A page of a document with all its pictures is there at once, also on a phone.
PICTURE_BYTES_MAX = 120_000
COLOURS = 64


@pytest.fixture
def demo(transactional_db, monkeypatch):
    # The tests have no pool, and so would connect anew after each payment.
    with monkeypatch.context() as patch:
        patch.setattr(connection, "close", lambda: None)
        call_command("load_demo", verbosity=0)


@pytest.mark.usefixtures("demo")
def test_every_page_can_be_used_by_everybody(browse, subtests):
    """Each is opened once, gone through by Tab, and seen at both widths.

    Every other one by day, the rest at night.
    """
    day, night, phone, _ = LOOKS
    pages = {role: browse(role) for role in {sight.role for sight in SIGHTS}}
    for place, sight in enumerate(SIGHTS):
        with subtests.test(sight.name):
            page = pages[sight.role]
            page.emulate_media(color_scheme=(night if place % 2 else day).color_scheme)
            page.set_viewport_size({"width": day.width, "height": day.height})
            sight.visit(page)

            assert obstacles(page) == []
            # The document of the API is drawn by a program of others.
            assert sight.name == "docs-call" or out_of_reach(page) == []
            page.set_viewport_size({"width": phone.width, "height": phone.height})
            assert obstacles(page) == []
            assert not wider_than_the_screen(page)
    if PICTURES:
        photograph(browse)
        illustrate(browse)


def photograph(browse: Any) -> None:
    for look in LOOKS:
        pages = {role: browse(role, **look.options) for role in {sight.role for sight in SIGHTS}}
        for sight in SIGHTS:
            sight.visit(pages[sight.role])
            take_picture(pages[sight.role], look, f"{sight.name}-{look.name}")


def test_documents_show_what_the_tour_takes_pictures_of():
    pictures = {path.name: path.stat().st_size for path in (DOCUMENTS / "pictures").iterdir()}
    texts = [settings.BASE_DIR / "README.md", *DOCUMENTS.glob("*.md")]
    told = "".join(path.read_text() for path in texts)

    assert pictures.keys() == DOCUMENTED.keys()
    assert {*DOCUMENTED.values()} <= {sight.name for sight in SIGHTS}
    assert [name for name in pictures if f"pictures/{name})" not in told] == []
    assert max(pictures.values()) <= PICTURE_BYTES_MAX


def illustrate(browse: Any) -> None:
    """Take the pictures of the documents anew: small, and with few colours."""
    named = {sight.name: sight for sight in SIGHTS}
    for name, sight in DOCUMENTED.items():
        page = browse(named[sight].role, **ON_PAPER.options)
        named[sight].visit(page)
        taken = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
        palette = taken.quantize(COLOURS, dither=Image.Dither.NONE)
        palette.save(DOCUMENTS / "pictures" / name, optimize=True)
        page.context.close()


def take_picture(page: Page, look: Look, name: str) -> None:
    """The whole page, in a window that holds it, so that what sticks to the window's end does."""
    height = page.evaluate("document.documentElement.scrollHeight")
    page.set_viewport_size({"width": look.width, "height": max(height, look.height)})
    page.screenshot(path=Path(PICTURES, f"{name}.png"))
    page.set_viewport_size({"width": look.width, "height": look.height})
