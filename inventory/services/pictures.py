"""The pictures that people upload, and which product shows which.

Locks: products, then pictures. A picture that a product shows is never deleted.
"""

import hashlib
import re
import uuid
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence

from django.db import IntegrityError
from django.db.models import Exists, OuterRef, QuerySet
from django.db.models.functions import Upper

from api import changes, clock
from api.actors import Actor
from api.idempotency import Key, claim
from api.ids import uuid7
from api.models import Change
from api.transactions import Stale, assert_in_transaction, in_transaction
from inventory.errors import (
    PictureInUse,
    PictureNotFound,
    PicturesMoved,
    ProductNotFound,
    TooManyPictures,
)
from inventory.models import PICTURE_NAME_LENGTH, Picture, Product, ProductPicture
from inventory.services import images, picture_files

PICTURES_MAX = 20
_DELETED_AT_ONCE = 200


# Keeping pictures.


def take(
    name: str,
    content: bytes,
    *,
    actor: Actor,
    picture_id: uuid.UUID | None = None,
    key: Key | None = None,
) -> Picture:
    """Keep a picture. The same content is the same picture, whatever it is called.

    The files are there before the row is. Raises: PictureTooLarge, PictureUnreadable, PicturesBusy,
    PicturesUnavailable.
    """
    sha256 = hashlib.sha256(content).hexdigest()
    if known := Picture.objects.filter(sha256=sha256).first():
        return _claimed(known, key)
    drawn = images.draw(content)
    picture = Picture(
        id=picture_id or uuid7(),
        name=_cleaned(name),
        sha256=sha256,
        size=len(drawn.files[images.LARGE]),
        width=drawn.width,
        height=drawn.height,
        created_at=clock.now(),
    )
    picture.actor = actor
    picture_files.write(picture.pk, drawn.files)
    kept = _kept(picture, actor, key)
    if kept.pk != picture.pk:
        picture_files.delete([picture.pk])
    return kept


def _cleaned(name: str) -> str:
    """Leave of a file's name what people can read, and what comes after its folders."""
    last = name.replace("\\", "/").rpartition("/")[2]
    readable = "".join(letter for letter in last if letter.isprintable()).strip()
    return readable[-PICTURE_NAME_LENGTH:] or "picture"


@in_transaction
def _claimed(picture: Picture, key: Key | None) -> Picture:
    claim(key, picture.pk)
    return picture


@in_transaction
def _kept(picture: Picture, actor: Actor, key: Key | None) -> Picture:
    """Write the row, or return the one of the same content that has come meanwhile."""
    known = Picture.objects.filter(sha256=picture.sha256).first()
    claim(key, (known or picture).pk)
    if known:
        return known
    try:
        picture.save(force_insert=True)
    except IntegrityError as error:
        raise Stale from error
    changes.created(actor, picture)
    return picture


def delete(picture_id: uuid.UUID, *, actor: Actor, key: Key | None = None) -> None:
    """Delete a picture that no product shows. Raises: PictureNotFound, PictureInUse."""
    _delete_row(picture_id, actor, key)
    picture_files.delete([picture_id])


def delete_unused(until: uuid.UUID, *, actor: Actor) -> int:
    """Delete all pictures that no product shows, up to the newest that somebody has seen.

    The files of the first of them go at once, and those of the others with `picture_files.purge`:
    a bucket is asked for each of them, and somebody waits.
    """
    deleted = 0
    while some := _delete_unused(until, actor):
        if not deleted:
            picture_files.delete(some)
        deleted += len(some)
    return deleted


@in_transaction
def _delete_row(picture_id: uuid.UUID, actor: Actor, key: Key | None) -> None:
    claim(key, picture_id)
    picture = Picture.objects.select_for_update().filter(pk=picture_id).first()
    if picture is None:
        raise PictureNotFound
    if picture.product_pictures.exists():
        raise PictureInUse
    changes.deleted(actor, picture)
    picture.delete()


@in_transaction
def _delete_unused(until: uuid.UUID, actor: Actor) -> list[uuid.UUID]:
    found = unused().filter(pk__lte=until).order_by("pk").values_list("pk", flat=True)
    ids = list(found[:_DELETED_AT_ONCE])
    _ = list(Picture.objects.filter(pk__in=ids).order_by("pk").select_for_update())
    # Once more, for a product may show one by now.
    pictures = list(unused().filter(pk__in=ids))
    for picture in pictures:
        changes.deleted(actor, picture)
    gone = [picture.pk for picture in pictures]
    Picture.objects.filter(pk__in=gone).delete()
    return gone


# Which product shows which.


@in_transaction
def attach(
    product_id: uuid.UUID,
    picture_ids: Sequence[uuid.UUID],
    *,
    actor: Actor,
    key: Key | None = None,
) -> None:
    """Have a product show more pictures, after those that it shows.

    Raises: ProductNotFound, PictureNotFound, TooManyPictures.
    """
    claim(key, product_id)
    product = _lock(product_id)
    shown = of_products([product_id])[product_id]
    _show(product, [*shown, *(each for each in picture_ids if each not in shown)], actor)


@in_transaction
def arrange(
    product_id: uuid.UUID,
    picture_ids: Sequence[uuid.UUID],
    *,
    seen: Sequence[uuid.UUID],
    actor: Actor,
    key: Key | None = None,
) -> None:
    """Put the pictures that somebody saw in an order, and take away those that are left out.

    Raises: ProductNotFound, PicturesMoved.
    """
    claim(key, product_id)
    product = _lock(product_id)
    if of_products([product_id])[product_id] != list(seen) or not {*picture_ids} <= {*seen}:
        raise PicturesMoved
    _show(product, picture_ids, actor)


def _lock(product_id: uuid.UUID) -> Product:
    products = Product.objects.kept().select_for_update(no_key=True)
    product = products.filter(pk=product_id).first()
    if product is None:
        raise ProductNotFound
    return product


def _show(product: Product, picture_ids: Sequence[uuid.UUID], actor: Actor) -> None:
    if show({product: picture_ids}, actor):
        product.updated_at = clock.now()
        product.save(update_fields=["updated_at"])


def show(wanted: Mapping[Product, Sequence[uuid.UUID]], actor: Actor) -> set[Product]:
    """Write which pictures the locked products show, on record; return those that showed others.

    That they were changed is for the caller to write, who may be making them.
    Raises: PictureNotFound, TooManyPictures.
    """
    assert_in_transaction()
    before = of_products([product.pk for product in wanted])
    changed = {product: ids for product, ids in wanted.items() if before[product.pk] != list(ids)}
    if any(len(ids) > max(PICTURES_MAX, len(before[each.pk])) for each, ids in changed.items()):
        raise TooManyPictures
    names = _lock_pictures({pk for each, ids in changed.items() for pk in (*before[each.pk], *ids)})
    if not all(pk in names for ids in changed.values() for pk in ids):
        raise PictureNotFound
    ProductPicture.objects.filter(product__in=changed).delete()
    ProductPicture.objects.bulk_create(
        ProductPicture(product=product, picture_id=picture_id, position=position)
        for product, ids in changed.items()
        for position, picture_id in enumerate(ids)
    )

    def state(ids: Sequence[uuid.UUID]) -> changes.State:
        return {"pictures": ", ".join(names[picture_id] for picture_id in ids)}

    states = [(each, state(before[each.pk]), state(ids)) for each, ids in changed.items()]
    changes.record(changes.entries(actor, Change.What.CHANGED, states))
    return set(changed)


def _lock_pictures(ids: Collection[uuid.UUID]) -> dict[uuid.UUID, str]:
    """Keep pictures from being deleted, and return their names."""
    locked = Picture.objects.filter(pk__in=ids).order_by("pk").select_for_update(no_key=True)
    return dict(locked.values_list("pk", "name")) if ids else {}


# Looking them up.


def of_products(product_ids: Collection[uuid.UUID]) -> dict[uuid.UUID, list[uuid.UUID]]:
    """Return the pictures of each product, the main one first."""
    found: dict[uuid.UUID, list[uuid.UUID]] = defaultdict(list)
    rows = ProductPicture.objects.filter(product_id__in=product_ids).order_by("position")
    for product_id, picture_id in rows.values_list("product_id", "picture_id"):
        found[product_id].append(picture_id)
    return found


def main_of(product_ids: Collection[uuid.UUID]) -> dict[uuid.UUID, uuid.UUID]:
    """Return the main picture of each product that has one, in one query."""
    rows = ProductPicture.objects.filter(product_id__in=product_ids, position=0)
    return dict(rows.values_list("product_id", "picture_id"))


def named(names: Collection[str]) -> dict[str, uuid.UUID]:
    """Find pictures by the names that they were sent under, in any case; of several the newest."""
    upper = {name.upper() for name in names}
    rows = Picture.objects.annotate(upper=Upper("name")).filter(upper__in=upper).order_by("pk")
    found = dict(rows.values_list("upper", "pk"))
    return {name: found[name.upper()] for name in names if name.upper() in found}


def unused() -> "QuerySet[Picture]":
    """Return the pictures that no product shows, not even an archived one."""
    return Picture.objects.exclude(Exists(ProductPicture.objects.filter(picture=OuterRef("pk"))))


# Pictures from elsewhere.


# With a host, and without what ends an address in a page or in a mail.
_ELSEWHERE = re.compile(r"https://[^\s/?#@\\:]+(:[0-9]{1,5})?([/?#][^\s\\]*)?", re.IGNORECASE)


def fault_of_address(address: str) -> str:
    """Say why a picture is not shown from such an address; "" if it is.

    Pages are sent over https, and browsers show nothing in them that came another way.
    """
    is_own = address.startswith("/") and not address.startswith(("//", "/\\"))
    if not address or is_own:
        return ""
    if not address.lower().startswith("https://"):
        return "The address of a picture begins with https://."
    return "" if _ELSEWHERE.fullmatch(address) else "This address names no server, or has a gap."
