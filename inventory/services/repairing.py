"""Setting a stock to what its log says, which nothing does by itself.

Where the two differ, somebody went around the triggers, and the log is what cannot be changed in
passing. It takes the owner of the tables: see inventory_repair_stock, in the migrations.
"""

import uuid
from collections.abc import Mapping
from typing import Any, NamedTuple

from django.db import connection

from api import changes
from api.actors import Actor
from api.models import Change
from api.transactions import in_transaction
from inventory.errors import StockNotFound
from inventory.models import Product, Stock
from inventory.services import audit

_NAMES = {
    "available": "available",
    "allocated": "allocated",
    "held": "set aside",
    "sequence": "number of the last movement",
    "last_moved_at": "moment of the last movement",
}


class Differing(NamedTuple):
    product: Product
    stock_id: uuid.UUID
    what: str


def differing(sku: str = "", limit: int = 100) -> list[Differing]:
    """Return the stock that is not what its log adds up to: of one sku, or of all.

    Raises: StockNotFound, if nothing has this sku.
    """
    stocks = Stock.objects.select_related("product")
    ids = list(stocks.filter(product__sku=sku).values_list("pk", flat=True)) if sku else None
    if sku and not ids:
        raise StockNotFound
    found = audit.stock_unlike_its_log(limit, ids)
    by_id = stocks.in_bulk([difference.row_id for difference in found])
    return [
        Differing(by_id[difference.row_id].product, difference.row_id, difference.what)
        for difference in found
        # A log without any stock is nothing that could be set.
        if difference.row_id in by_id
    ]


@in_transaction
def repair(stock_id: uuid.UUID, *, actor: Actor) -> bool:
    """Set the stock to what its log says by now, on record; false if it does already.

    Raises: DatabaseError if the log itself is broken, if the numbers cannot be those of a stock, or
    for anybody but the owner of the tables.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT * FROM inventory_repair_stock(%s)", [stock_id])
        before = _told(dict(zip(_NAMES, cursor.fetchone(), strict=True)))
    stock = Stock.objects.select_related("product").get(pk=stock_id)
    after = _told({name: getattr(stock, name) for name in _NAMES})
    entries = changes.entries(actor, Change.What.CHANGED, [(stock.product, before, after)])
    changes.record(entries)
    return bool(entries)


def _told(row: Mapping[str, Any]) -> changes.State:
    told = {f"stock: {name}": row[field] for field, name in _NAMES.items()}
    moment = f"stock: {_NAMES['last_moved_at']}"
    return {**told, moment: told[moment] and told[moment].isoformat(sep=" ")}
