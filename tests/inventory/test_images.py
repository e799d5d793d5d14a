"""What becomes of a picture that is sent: whatever it is, it is drawn anew or refused in words."""

import struct
import zlib
from io import BytesIO
from typing import Any

import pytest
from PIL import Image, ImageCms

from inventory.errors import PicturesBusy, PictureTooLarge, PictureUnreadable
from inventory.services import images
from tests.drawn import drawn

RED = (200, 30, 30)


def shown(content: bytes, side: int = images.LARGE) -> Image.Image:
    """Read what became of a picture as a browser would."""
    image = Image.open(BytesIO(images.draw(content).files[side]))
    assert image.format == "WEBP"
    return image


def is_red(pixel: Any) -> bool:
    return bool(pixel[0] > 150 and max(pixel[1:3]) < 80)


@pytest.mark.parametrize(
    ("kind", "mode"),
    [
        *(("PNG", mode) for mode in ("RGB", "RGBA", "P")),
        *(("JPEG", mode) for mode in ("RGB", "CMYK")),
        ("WEBP", "RGB"),
        ("GIF", "P"),
        ("AVIF", "RGB"),
        ("MPO", "RGB"),
    ],
)
def test_a_picture_of_each_kind_is_taken(kind, mode):
    image = shown(drawn(kind, colour=RED, mode=mode))

    assert image.size == (60, 40)
    assert is_red(image.convert("RGB").getpixel((30, 20)))


def test_a_picture_becomes_files_of_three_sizes_and_is_never_enlarged():
    files = images.draw(drawn(size=(2000, 500))).files

    sizes = {side: Image.open(BytesIO(file)).size for side, file in files.items()}
    assert sizes == {96: (96, 24), 480: (480, 120), 1600: (1600, 400)}
    assert shown(drawn(size=(300, 1)), 480).size == (300, 1)
    assert images.draw(drawn(size=(2000, 500))).width == 1600


def test_an_avif_that_calls_itself_an_image_of_any_kind_is_taken():
    sent = drawn("AVIF", colour=RED)

    assert is_red(shown(sent[:8] + b"mif1" + sent[12:]).convert("RGB").getpixel((30, 20)))


def test_a_jpeg_that_is_drawn_over_and_over_is_refused_before_it_is_drawn():
    file = BytesIO()
    Image.new("RGB", (64, 64), RED).save(file, "JPEG", progressive=True)
    whole = file.getvalue()
    last_scan = whole[whole.rindex(b"\xff\xda") : -2]

    most = 500 - whole.count(b"\xff\xda")
    assert is_red(shown(whole[:-2] + last_scan * most + whole[-2:]).getpixel((30, 30)))
    with pytest.raises(PictureUnreadable, match="too long to draw"):
        images.draw(whole[:-2] + last_scan * 501 + whole[-2:])


def test_sixteen_bits_of_grey_become_eight():
    file = BytesIO()
    Image.new("I;16", (8, 8), 40_000).save(file, "PNG")

    assert shown(file.getvalue()).convert("L").getpixel((4, 4)) == pytest.approx(156, abs=3)


def test_what_can_be_seen_through_stays_so():
    file = BytesIO()
    Image.new("RGBA", (10, 10), (*RED, 0)).save(file, "PNG")
    palette = BytesIO()
    Image.new("P", (10, 10), 3).save(palette, "GIF", transparency=3)

    for sent in (file, palette):
        assert shown(sent.getvalue()).getchannel("A").getpixel((5, 5)) == 0


@pytest.mark.parametrize(("orientation", "corner"), [(1, (5, 5)), (6, (35, 5)), (3, (55, 35))])
def test_a_picture_stands_upright_and_says_nothing_of_where_it_was_taken(orientation, corner):
    image = Image.new("RGB", (60, 40), "white")
    image.paste(RED, (0, 0, 10, 10))
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = orientation, "Camera of Ada"
    file = BytesIO()
    image.save(file, "JPEG", exif=exif, quality=95, comment=b"at home")

    drawn_anew = images.draw(file.getvalue()).files[images.LARGE]

    assert is_red(Image.open(BytesIO(drawn_anew)).getpixel(corner))
    assert b"Exif" not in drawn_anew
    assert b"Ada" not in drawn_anew


def test_what_is_hidden_behind_a_picture_is_gone():
    polyglot = drawn("GIF") + b"<script>alert(1)</script>"

    assert not any(b"script" in file for file in images.draw(polyglot).files.values())


def test_a_broken_profile_of_colours_says_nothing():
    sent = drawn("JPEG", colour=RED, icc_profile=b"rubbish" * 40)

    assert is_red(shown(sent).getpixel((9, 9)))
    assert not any(b"rubbish" in file for file in images.draw(sent).files.values())


def _red_for_blue() -> bytes:
    """A profile of colours in which a camera's red is what sRGB calls blue."""
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    return profile.replace(b"rXYZ", b"....").replace(b"bXYZ", b"rXYZ").replace(b"....", b"bXYZ")


@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_colours_are_those_that_the_profile_says(mode):
    file = BytesIO()
    colour = (*RED, 90) if mode == "RGBA" else RED
    Image.new(mode, (20, 20), colour).save(file, "PNG", icc_profile=_red_for_blue())

    pixel = shown(file.getvalue()).getpixel((9, 9))

    assert isinstance(pixel, tuple)
    assert is_red(pixel[2::-1])
    assert pixel[3:] == colour[3:]


@pytest.mark.parametrize("mode", ["L", "CMYK"])
def test_a_profile_for_something_else_says_nothing(mode):
    file = BytesIO()
    Image.new("RGB", (20, 20), "white").convert(mode).save(
        file, "JPEG", icc_profile=_red_for_blue()
    )

    assert shown(file.getvalue()).getpixel((9, 9)) == (255, 255, 255)


@pytest.mark.parametrize("mode", ["1", "P", "RGB"])
def test_points_are_mixed_where_a_picture_becomes_smaller(mode):
    stripes = Image.new("RGB", (3200, 20), "black")
    for column in range(0, 3200, 2):
        stripes.paste("white", (column, 0, column + 1, 20))
    file = BytesIO()
    stripes.convert(mode).save(file, "PNG")

    assert shown(file.getvalue()).convert("L").getpixel((800, 5)) == pytest.approx(128, abs=20)


@pytest.mark.parametrize(("mode", "how"), [("RGB", {"transparency": RED}), ("LA", {})])
def test_one_colour_or_grey_that_can_be_seen_through_stays_so(mode, how):
    file = BytesIO()
    Image.new(mode, (10, 10), RED if mode == "RGB" else (200, 0)).save(file, "PNG", **how)

    assert shown(file.getvalue()).getchannel("A").getpixel((5, 5)) == 0


def test_a_picture_that_says_nothing_of_how_it_was_held_stays_as_it_is():
    image = Image.new("RGB", (60, 40), "white")
    image.paste(RED, (0, 0, 10, 10))
    file = BytesIO()
    image.save(file, "JPEG", quality=95)

    assert is_red(shown(file.getvalue()).getpixel((5, 5)))


def test_of_an_animation_the_first_picture_is_taken():
    file = BytesIO()
    others = [Image.new("RGB", (20, 20), "blue")]
    Image.new("RGB", (20, 20), RED).save(file, "GIF", save_all=True, append_images=others)

    assert is_red(shown(file.getvalue()).convert("RGB").getpixel((9, 9)))


def chunk(kind: bytes, content: bytes) -> bytes:
    return (
        struct.pack(">I", len(content))
        + kind
        + content
        + struct.pack(">I", zlib.crc32(kind + content))
    )


def png_that_says(width: int, height: int) -> bytes:
    """A small file of a picture that would be large."""
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"\0" * 999))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "empty"),
        (b"sku,name\nA,B\n", "not a whole picture"),
        (drawn("PNG", (200, 200))[:-60], "not a whole picture"),
        (drawn("JPEG", (200, 200))[:300], "not a whole picture"),
        (b"\x89PNG\r\n\x1a\n", "not a whole picture"),
        (png_that_says(30, 30), "not a whole picture"),
        (drawn("TIFF"), "not a whole picture"),
        (b'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg"/>', "SVG"),
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "HEIC"),
    ],
    ids=range(9),
)
def test_what_is_no_picture_is_refused_in_words(content, words):
    with pytest.raises(PictureUnreadable, match=words):
        images.draw(content)


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize("size", [(6325, 6325), (9_000, 9_000), (60_000, 60_000)], ids=str)
def test_a_picture_of_too_many_pixels_is_refused_before_it_is_read(size):
    with pytest.raises(PictureTooLarge, match="40 megapixels"):
        images.draw(png_that_says(*size))


def test_a_file_of_too_many_bytes_is_refused():
    with pytest.raises(PictureTooLarge, match="10 MB"):
        images.draw(bytes(images.BYTES_MAX + 1))
    with pytest.raises(PictureUnreadable):
        images.draw(bytes(images.BYTES_MAX))


def test_one_picture_is_read_at_a_time_and_whoever_waits_too_long_may_come_again(monkeypatch):
    monkeypatch.setattr(images, "TURN_SECONDS", 0.001)

    with images._a_turn(), pytest.raises(PicturesBusy):
        images.draw(drawn())
    with images._line, images._line, pytest.raises(PicturesBusy):
        images.draw(drawn())

    assert images.draw(drawn()).width == 60
