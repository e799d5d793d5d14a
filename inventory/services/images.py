"""Pictures as they were sent, made into what is shown: small enough, upright, in sRGB, and nothing
else.

Nothing of what was sent is kept but what can be seen: every file is drawn anew. Here alone is
Pillow asked, for one picture at a time in a process, so that pictures never take more memory than
one of them does.
"""

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from io import BytesIO

from PIL import Image, ImageCms

from inventory.errors import PicturesBusy, PictureTooLarge, PictureUnreadable

BYTES_MAX = 10_000_000
PIXELS_MAX = 40_000_000
# How wide and how high the files are at most.
THUMBNAIL, MEDIUM, LARGE = SIDES = (96, 480, 1600)
# For who reads only the head of a file that says something else further on: an error beyond twice.
Image.MAX_IMAGE_PIXELS = PIXELS_MAX

_FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "AVIF")
_TAKEN = "JPEG, PNG, WebP, GIF or AVIF"
_HEIC = {b"ftyp" + brand for brand in (b"hei", b"hev", b"mif", b"msf")}
_QUALITY = 82
# Each may cost as much as the whole picture, and take ten bytes of the file. Cameras and programs
# write ten or so; what they put behind a picture may hold the two bytes by chance.
_JPEG_SCANS_MAX = 500
_JPEG, _JPEG_SCAN = b"\xff\xd8", b"\xff\xda"
# How long a picture waits for its turn. Others than the next one are refused at once, since each
# holds a thread that could serve the shop.
TURN_SECONDS = 5.0
_turn = threading.BoundedSemaphore(1)
_line = threading.BoundedSemaphore(2)

_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_ORIENTATION = 0x0112
_SRGB = ImageCms.createProfile("sRGB")


@dataclass(frozen=True)
class Drawn:
    """The files of a picture, by their side, and how large the largest of them is in pixels."""

    width: int
    height: int
    files: Mapping[int, bytes]


def draw(content: bytes) -> Drawn:
    """Raises: PictureTooLarge, PictureUnreadable, PicturesBusy."""
    if len(content) > BYTES_MAX:
        raise PictureTooLarge(f"A picture has at most {BYTES_MAX // 1_000_000} MB.")
    if unknown := _unknown_kind(content):
        raise PictureUnreadable(unknown)
    with _a_turn():
        try:
            image = _large(content)
            return Drawn(image.width, image.height, {side: _file(image, side) for side in SIDES})
        except (PictureTooLarge, PictureUnreadable):
            raise
        except Image.DecompressionBombError as error:
            raise _too_many_pixels() from error
        except Exception as error:
            # A decoder that is handed rubbish stumbles in whichever way it likes.
            raise PictureUnreadable(
                f"This is not a whole picture of a kind that is taken: {_TAKEN}."
            ) from error


@contextmanager
def _a_turn() -> Iterator[None]:
    """Raises: PicturesBusy."""
    if not _line.acquire(blocking=False):
        raise PicturesBusy
    try:
        if not _turn.acquire(timeout=TURN_SECONDS):
            raise PicturesBusy
        try:
            yield
        finally:
            _turn.release()
    finally:
        _line.release()


def _unknown_kind(content: bytes) -> str:
    """Say what is wrong with files that people might well take for pictures."""
    if not content:
        return "The file is empty."
    if content[4:11] in _HEIC and b"avif" not in content[8:64]:
        return f"HEIC is not taken: save the picture as one of {_TAKEN}."
    if b"<svg" in content[:2_000].lower():
        return f"SVG is not taken, since it may hold programs: save the picture as one of {_TAKEN}."
    if content.startswith(_JPEG) and content.count(_JPEG_SCAN) > _JPEG_SCANS_MAX:
        return "This JPEG takes too long to draw: save the picture anew."
    return ""


def _too_many_pixels() -> PictureTooLarge:
    return PictureTooLarge(f"A picture has at most {PIXELS_MAX // 1_000_000} megapixels.")


def _large(content: bytes) -> Image.Image:
    """Read a picture, of an animation the first one, as large as it is ever shown."""
    with Image.open(BytesIO(content), formats=_FORMATS) as image:
        if image.width * image.height > PIXELS_MAX:
            raise _too_many_pixels()
        profile, turn = image.info.get("icc_profile"), _turn_of(image)
        shown = _in_full_colour(image)
        # Reduced before all else, for all else takes memory; a JPEG already while it is read.
        shown.thumbnail((LARGE, LARGE))
        shown = _in_srgb(shown if turn is None else shown.transpose(turn), profile)
    # Where it was taken, with what, and by whom.
    shown.info = {}
    return shown


def _turn_of(image: Image.Image) -> Image.Transpose | None:
    """How to turn what the camera held askew."""
    try:
        return _UPRIGHT.get(image.getexif().get(_ORIENTATION, 1))
    except Exception:
        # What is said about the picture is broken, and not the picture.
        return None


def _in_full_colour(image: Image.Image) -> Image.Image:
    """Give every point a colour of its own, where it is a number in a palette or of many bits."""
    if image.mode.startswith("I"):
        return image.convert("I").point(lambda value: value / 256).convert("L")
    if image.mode in {"1", "P", "PA"} or "transparency" in image.info:
        return image.convert("RGBA" if image.has_transparency_data else "RGB")
    return image


def _in_srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    alpha = image.getchannel("A") if image.mode in {"RGBA", "LA"} else None
    colours = image.convert(image.mode.removesuffix("A")) if alpha else image
    if profile:
        with suppress(ImageCms.PyCMSError, OSError, ValueError):
            # Broken or for something else, a profile says nothing.
            read = ImageCms.ImageCmsProfile(BytesIO(profile))
            colours = ImageCms.profileToProfile(colours, read, _SRGB, outputMode="RGB") or colours
    colours = colours.convert("RGB")
    if alpha:
        colours.putalpha(alpha)
    return colours


def _file(image: Image.Image, side: int) -> bytes:
    """Write a picture that is at most so wide and so high, never enlarged."""
    smaller, file = image.copy(), BytesIO()
    smaller.thumbnail((side, side))
    smaller.save(file, "WEBP", quality=_QUALITY)
    return file.getvalue()
