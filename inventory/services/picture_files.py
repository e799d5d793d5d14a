"""Where the files of pictures are: a folder or a bucket, as the settings say.

A picture has a file for each of `images.SIDES`, all named after its id. They are written before the
picture's row is, and deleted after it; a file without a row is nobody's, and goes with `purge`.
"""

import re
import uuid
from collections.abc import Callable, Collection, Mapping
from datetime import UTC, datetime, timedelta

import structlog
from django.conf import settings
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage

from api import clock
from inventory.errors import PicturesUnavailable
from inventory.models import Picture
from inventory.services.images import SIDES

log = structlog.get_logger(__name__)

NAME = re.compile(rf"([0-9a-f]{{32}})-({'|'.join(map(str, SIDES))})\.webp")
# Whoever is about to write a row for a file has done so by then.
_STRAYS_KEPT = timedelta(days=1)
_ROWS_A_QUERY = 1_000

_is_a_copy: Callable[[], bool] | None = None


def let_be_while(is_a_copy: Callable[[], bool]) -> None:
    """Purge nothing while this is true, which an app above knows: that the database is a copy.

    Its environment may still name the folder or the bucket of the shop, which has more pictures.
    """
    global _is_a_copy
    _is_a_copy = is_a_copy


def address(picture_id: uuid.UUID, side: int) -> str:
    """Where a browser finds the file: on this server, unless there is a bucket."""
    return default_storage.url(_name(picture_id, side))


def read(name: str) -> bytes | None:
    """Read a file of ours, if it lies in our folder."""
    # From a bucket, browsers fetch it themselves.
    if not NAME.fullmatch(name) or not default_storage.url(name).startswith(settings.MEDIA_URL):
        return None
    try:
        with default_storage.open(name) as file:
            return bytes(file.read())
    except FileNotFoundError:
        return None


def write(picture_id: uuid.UUID, files: Mapping[int, bytes]) -> None:
    """Raises: PicturesUnavailable."""
    try:
        for side, content in files.items():
            file = ContentFile(content)
            # For a bucket, which tells browsers so.
            file.content_type = Picture.MIME_TYPE  # type: ignore[attr-defined]
            default_storage.save(_name(picture_id, side), file)
    except Exception as error:
        # A full disk, a bucket that is not there: each storage has exceptions of its own.
        log.exception("picture_not_kept", picture=str(picture_id))
        raise PicturesUnavailable from error


def delete(picture_ids: Collection[uuid.UUID]) -> None:
    """Delete the files of pictures whose rows are gone; what cannot be deleted now is purged."""
    for name in (_name(picture_id, side) for picture_id in picture_ids for side in SIDES):
        try:
            default_storage.delete(name)
        except Exception:
            log.warning("picture_file_left", name=name, exc_info=True)


def purge() -> int:
    """Delete files without a row, unless they are of today. Return of how many pictures.

    A picture's id tells when it was made.
    """
    if _is_a_copy and _is_a_copy():
        return 0
    try:
        names = default_storage.listdir("")[1]
    except FileNotFoundError:
        return 0
    before = clock.now() - _STRAYS_KEPT
    ids = {uuid.UUID(match[1]) for match in map(NAME.fullmatch, names) if match}
    old = sorted(picture_id for picture_id in ids if _made_at(picture_id) < before)
    strays: set[uuid.UUID] = set()
    for start in range(0, len(old), _ROWS_A_QUERY):
        some = old[start : start + _ROWS_A_QUERY]
        strays |= {*some} - {*Picture.objects.filter(pk__in=some).values_list("pk", flat=True)}
    delete(strays)
    return len(strays)


def _made_at(picture_id: uuid.UUID) -> datetime:
    return datetime.fromtimestamp((picture_id.int >> 80) / 1000, UTC)


def _name(picture_id: uuid.UUID, side: int) -> str:
    return f"{picture_id.hex}-{side}.webp"
