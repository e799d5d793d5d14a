"""What somebody means who types at the desk: a code that is scanned, or words to look for."""

import uuid
from dataclasses import dataclass

from django.db.models import Q
from django.utils.safestring import SafeString

from backoffice.sent_pictures import thumbnails
from inventory.errors import CodeAmbiguous, CodeUnknown
from inventory.models import Currency, Product
from inventory.services import codes
from orders.services.offers import Offer, offers

# So many products are offered to choose from.
FOUND_MAX = 10
WORDS_MAX = 6


@dataclass(frozen=True)
class Shown:
    """A product as it may be chosen now."""

    offer: Offer
    price: str
    stock: str
    thumbnail: SafeString
    # Whether it can be added now, as many units as were wanted.
    is_there: bool
    # The key of the form that takes it.
    once: str


@dataclass(frozen=True)
class Found:
    """What there is of what was looked for, and how many units were wanted of it."""

    term: str
    units: int
    shown: list[Shown]
    # Whether there are more than are shown.
    more: bool


def product_of(code: str) -> uuid.UUID | None:
    """Return the product that a whole SKU or barcode means."""
    try:
        return codes.scanned(code).id
    except (CodeUnknown, CodeAmbiguous):
        return None


def look_for(term: str, currency: Currency, units: int = 1) -> Found:
    """Find live products by parts of their name, SKU or barcode: each word is to be there."""
    condition = Q()
    for word in term.split()[:WORDS_MAX]:
        condition &= Q(name__icontains=word) | Q(sku__icontains=word) | Q(barcode__icontains=word)
    live = Product.objects.kept().filter(condition, status=Product.Status.LIVE)
    ids = list(live.order_by("name", "sku").values_list("pk", flat=True)[: FOUND_MAX + 1])
    shown = ids[:FOUND_MAX]
    offered, drawn = offers(shown, currency.code), thumbnails(shown)
    return Found(
        term,
        units,
        [_shown(offered[each], currency, drawn[each], units) for each in shown if each in offered],
        more=len(ids) > FOUND_MAX,
    )


def _shown(offer: Offer, currency: Currency, thumbnail: SafeString, wanted: int) -> Shown:
    priced = offer.unit_price is not None
    price = currency.formatted(offer.value_of(1)) if priced else f"no price in {currency.code}"
    is_there = offer.available is None or offer.available >= wanted
    return Shown(
        offer, price, in_stock(offer), thumbnail, priced and is_there, once=uuid.uuid4().hex
    )


def in_stock(offer: Offer) -> str:
    """Say how many units of a product there are to be sold."""
    if offer.available is None:
        return "" if offer.product_id is None else "stock not managed"
    return f"{offer.available:,} available"
