"""How tests fill carts, look into them, and set the clock."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from api import clock
from inventory.models import Product
from orders.services import cart_contents, carts

MIDNIGHT = datetime(2026, 3, 1, tzinfo=UTC)


@contextmanager
def at(moment: datetime) -> Iterator[None]:
    with clock.replaced(lambda: moment):
        yield


def add(cart_id: str, wanted: Product, quantity: int, **more: Any) -> None:
    carts.add_item(cart_id, product_id=wanted.pk, quantity=quantity, **{"currency": "USD", **more})


def quantities(cart_id: str) -> list[int]:
    return [line.item.quantity for line in cart_contents.contents(cart_id).lines]
