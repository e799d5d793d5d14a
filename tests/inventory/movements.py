"""Stock moved and looked at in few words."""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from django.db import transaction

from api.ids import uuid7
from inventory.models import Action, Product, Stock, StockTransaction
from inventory.services import stock as inventory
from tests.factories import MERCHANT, stock_of


def record(made: Product, action: Action, quantity: int, reason: str = "") -> uuid.UUID:
    return inventory.record(made.pk, action, quantity, actor=MERCHANT, reason=reason)


def numbers_of(made: Product) -> tuple[int, int, int, int]:
    stock = stock_of(made)
    return stock.total, stock.available, stock.allocated, stock.held


def log_of(made: Product) -> list[StockTransaction]:
    return list(StockTransaction.objects.filter(stock__product=made).order_by("sequence"))


def actions_of(made: Product) -> list[tuple[str, int, bool]]:
    return [(entry.action, entry.quantity, entry.by_order) for entry in log_of(made)]


@contextmanager
def refused(refusal: type[Exception]) -> Iterator[None]:
    """Expect a refusal that leaves every stock row and the whole log as they were."""

    def everything() -> list[list[object]]:
        rows = Stock.objects.order_by("pk").values_list()
        entries = StockTransaction.objects.order_by("stock_id", "sequence").values_list()
        return [list(rows), list(entries)]

    before = everything()
    with pytest.raises(refusal):
        yield
    assert everything() == before


def _quantities(lines: dict[Product, int]) -> dict[uuid.UUID, int]:
    return {made.pk: quantity for made, quantity in lines.items()}


def allocate(lines: dict[Product, int], order_id: uuid.UUID) -> None:
    with transaction.atomic():
        inventory.allocate(_quantities(lines), order_id=order_id, actor=MERCHANT)


def deallocate(lines: dict[Product, int], order_id: uuid.UUID) -> None:
    with transaction.atomic():
        inventory.deallocate(
            _quantities(lines), order_id=order_id, actor=MERCHANT, reason="order cancelled"
        )


def ship(lines: dict[Product, int], order_id: uuid.UUID) -> None:
    with transaction.atomic():
        entry_ids = {product.pk: (uuid7(), uuid7()) for product in lines}
        inventory.ship(_quantities(lines), order_id=order_id, actor=MERCHANT, entry_ids=entry_ids)
