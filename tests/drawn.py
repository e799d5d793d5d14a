"""Pictures for tests, as somebody might send them."""

import itertools
from io import BytesIO
from typing import Any

from PIL import Image

from inventory.models import Picture
from inventory.services import pictures
from tests.factories import MERCHANT

_colours = itertools.count(1)


def drawn(
    kind: str = "PNG",
    size: tuple[int, int] = (60, 40),
    *,
    mode: str = "RGB",
    colour: Any = None,
    **options: Any,
) -> bytes:
    """Draw a picture in one colour: one that no other test has sent, unless one is named."""
    image = Image.new("RGB", size, next(_colours) if colour is None else colour).convert(mode)
    file = BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def picture(name: str = "shirt.png", content: bytes | None = None) -> Picture:
    return pictures.take(name, content or drawn(), actor=MERCHANT)
