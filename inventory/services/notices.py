"""What staff are told of stock by mail: that some is low, or sold out."""

import json
from collections.abc import Iterable

from django.conf import settings

from events.models import Event
from events.services.notices import Matter, Notice, Words
from inventory.models import Product

_SAMPLE: Words = {
    "name": "Shirt, navy, M",
    "sku": "SHIRT-NAVY-M",
    "available": 3,
    "link": f"{settings.PUBLIC_URL}/admin/inventory/product/",
}


def _crossed(event: Event) -> Iterable[Matter]:
    product = Product.objects.filter(pk=event.subject).first()
    if product:
        numbers = json.loads(event.payload).get("data", {})
        words = {
            "name": product.name,
            "sku": product.sku,
            "available": numbers.get("available", 0),
            "link": f"{settings.PUBLIC_URL}/admin/inventory/product/{product.pk}/inventory/",
        }
        # An entry of the log that crosses both lines is one matter.
        yield Matter(f"{event.subject} {event.sequence}", words)


OUT = Notice(
    "stock-out",
    "Out of stock",
    "To staff, when the last available unit of a product is gone.",
    sample={**_SAMPLE, "available": 0},
    types=frozenset({"stock.out"}),
    matters=_crossed,
)
LOW = Notice(
    "stock-low",
    "Stock is low",
    "To staff, when a product comes down to its threshold.",
    sample=_SAMPLE,
    types=frozenset({"stock.low"}),
    matters=_crossed,
    said_by=frozenset({OUT.name}),
)
