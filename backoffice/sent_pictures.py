"""Pictures that people send: several with a form or, by the page's script, one after the other."""

import uuid
from collections.abc import Callable, Iterable
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect
from django.utils.html import format_html
from django.utils.safestring import SafeString

from api.errors import Refusal
from backoffice.base import actor_of, number_of
from backoffice.uploads import takes_files
from inventory.models import Picture
from inventory.services import images, picture_files, pictures

MAY_UPLOAD = "inventory.add_picture"
FILES_MAX = 20
# Of all files of one form; each is read and drawn while who sent it waits.
BYTES_AT_ONCE = 20_000_000
NO_THUMBNAIL = SafeString('<span class="hf-thumb" aria-hidden="true"></span>')
NOTHING_CHOSEN = "Choose a picture."

takes_pictures = takes_files([MAY_UPLOAD], BYTES_AT_ONCE, FILES_MAX)
WORDS: dict[str, Any] = {
    "bytes_max": images.BYTES_MAX // 1_000_000,
    "pixels_max": images.PIXELS_MAX // 1_000_000,
    "files_max": FILES_MAX,
    "together_max": BYTES_AT_ONCE // 1_000_000,
    "accepted": ",".join(f"image/{kind}" for kind in ("jpeg", "png", "webp", "gif", "avif")),
}


def may_upload(request: HttpRequest) -> bool:
    return request.user.has_perm(MAY_UPLOAD)


def receive(
    request: HttpRequest, then: str, show: Callable[[Picture], None] = lambda picture: None
) -> HttpResponse:
    """Take the pictures that were sent, and `show` each. One that is refused stops no other.

    Answers a script with what became of its picture, and a form with the page `then`.
    """
    taken, refused = 0, list[tuple[str, Refusal]]()
    for file in request.FILES.getlist("files"):
        try:
            show(pictures.take(str(file.name), file.read(), actor=actor_of(request)))
        except Refusal as refusal:
            refused.append((str(file.name)[:100], refusal))
        else:
            taken += 1
    if request.headers.get("Accept") == "application/json":
        return _told(taken, refused)
    if taken:
        messages.success(request, f"{_pictures(taken)} uploaded.")
    for name, why in refused:
        messages.error(request, f"{name}: {why}")
    if not taken and not refused:
        messages.error(request, NOTHING_CHOSEN)
    return redirect(then)


def _told(taken: int, refused: list[tuple[str, Refusal]]) -> HttpResponse:
    """Tell a script what became of its one picture, and after how long it may come again."""
    if refused:
        _, why = refused[0]
        return JsonResponse({"error": str(why), "again": why.retry_after_seconds})
    return JsonResponse({"error": "" if taken else NOTHING_CHOSEN, "again": None})


def _pictures(count: int) -> str:
    return number_of(count, "picture was", "pictures were")


def thumbnail(picture_id: uuid.UUID | None) -> SafeString:
    """Draw a small picture, or an empty place of its size.

    It stands beside the name of what it shows, and needs no words of its own.
    """
    if picture_id is None:
        return NO_THUMBNAIL
    address = picture_files.address(picture_id, images.THUMBNAIL)
    return format_html('<img class="hf-thumb" src="{}" alt="">', address)


def thumbnails(product_ids: Iterable[uuid.UUID | None]) -> dict[uuid.UUID | None, SafeString]:
    """Draw the main picture of each product, in one query; of what is none, an empty place."""
    ids = {*product_ids, None}
    main = pictures.main_of([each for each in ids if each])
    return {each: thumbnail(main.get(each) if each else None) for each in ids}
