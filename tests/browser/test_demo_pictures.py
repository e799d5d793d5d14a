"""The demo's pictures, as a browser draws them.

DRAW=1 has the files written: `DRAW=1 .venv/bin/python -m pytest -m browser <this file>`
"""

import os
from io import BytesIO

from PIL import Image, ImageChops, ImageStat
from playwright.sync_api import Page

from demo.drawings import FOLDER, drawings

SIDE = 480
STYLE = f"body{{margin:0}}svg{{display:block;width:{SIDE}px;height:{SIDE}px}}"


def drawn_by(page: Page, drawing: str) -> bytes:
    page.set_viewport_size({"width": SIDE, "height": SIDE})
    page.set_content(f"<style>{STYLE}</style>{drawing}")
    return page.screenshot(omit_background=True)


def is_like(drawn: bytes, kept: bytes) -> bool:
    """Tell whether two pictures differ by no more than how browsers smooth edges."""
    first, second = (Image.open(BytesIO(each)).convert("RGB") for each in (drawn, kept))
    return sum(ImageStat.Stat(ImageChops.difference(first, second)).mean) < 6


def test_the_demo_s_pictures_are_what_is_drawn(page):
    for name, drawing in drawings():
        drawn, file = drawn_by(page, drawing), FOLDER / f"{name}.png"
        if os.environ.get("DRAW"):
            file.parent.mkdir(exist_ok=True)
            file.write_bytes(drawn)

        assert is_like(drawn, file.read_bytes()), name
