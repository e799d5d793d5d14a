"""What others are told of products, currencies, pictures and stock: what the API shows of them."""

from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

from django.db import connection
from django.db.models import Prefetch

from api import compiled
from api.clock import at
from api.models import StoreSettings
from events.services import kinds
from events.services.kinds import Document, Range, Told
from inventory import serializers
from inventory.models import (
    DEFAULT_LOCATION_ID,
    Currency,
    Picture,
    Product,
    ProductPicture,
    Stock,
    StockTransaction,
)
from inventory.services import currencies


def register() -> None:
    kinds.renders("currency", _currencies)
    kinds.renders("file", _files)
    kinds.renders("product", _products)
    kinds.unfolds_stock(unfold)


def _currencies(ids: Collection[str]) -> Mapping[str, Document]:
    rows = Currency.objects.filter(pk__in=ids)
    return {
        str(row.pk): {"data": serializers.currency(row, kinds.absolute(f"/v2/currencies/{row.pk}"))}
        for row in rows
    }


def _files(ids: Collection[str]) -> Mapping[str, Document]:
    rows = Picture.objects.filter(pk__in=ids)
    return {str(row.pk): {"data": serializers.file(row, kinds.absolute)} for row in rows}


def _products(ids: Collection[str]) -> Mapping[str, Document]:
    """Render products, drafts too, as administrators see them: prices in the store's currency."""
    rows = (
        Product.objects.kept()
        .filter(pk__in=ids)
        .prefetch_related(
            "prices",
            Prefetch("stocks", Stock.objects.filter(location_id=DEFAULT_LOCATION_ID)),
            Prefetch("product_pictures", ProductPicture.objects.order_by("position")),
        )
    )
    by_code, default = currencies.by_code(), currencies.named("").code
    return {
        str(row.pk): {"data": serializers.product(row, by_code, default, kinds.absolute)}
        for row in rows
    }


# Stock, of which each entry of the log is told.

# With the entry before each range, which knows what was available then.
_ENTRIES = """
JOIN unnest(%s::uuid[], %s::bigint[], %s::bigint[]) AS told (stock, after, until)
    ON stock_id = told.stock AND sequence BETWEEN told.after AND told.until
"""


def unfold(ranges: Sequence[Range]) -> Mapping[Range, list[Told]]:
    """Make the events of each range: its entries, and then which threshold it has crossed.

    What one transaction wrote is one movement: shipping gives units back and takes them away, and
    in between nobody could have had them.
    """
    stocks = _stocks(ranges)
    entries = _entries(ranges)
    general = _general_threshold()
    told: dict[Range, list[Told]] = {}
    crossed: dict[Range, tuple[StockTransaction, list[str]]] = {}
    for each in ranges:
        stock = stocks.get(each.stock)
        numbers = range(each.first, each.last + 1)
        # All of them, unless somebody has taken entries out of the log, or the stock away from it,
        # of which the audit tells.
        found = [
            entries[each.stock, number] for number in numbers if (each.stock, number) in entries
        ]
        if not stock or not found:
            continue
        told[each] = [_entry(stock.product_id, entry) for entry in found]
        before = entries.get((each.stock, each.first - 1))
        if changes := _crossed(stock, before, found[-1], general):
            crossed[each] = found[-1], changes
    for each, crossings in _crossings(crossed).items():
        told[each].extend(crossings)
    return told


class _Watched(NamedTuple):
    """What there is to know of a stock to tell of its entries, and of what they cross."""

    id: str
    product_id: str
    # Nobody waits for a product that is archived, or for stock that is not managed.
    is_watched: bool
    # The product's own.
    threshold: int | None


_WATCHED = """
SELECT stock.id::text, product_id::text, managed AND archived_at IS NULL, low_stock_threshold
FROM inventory_stock AS stock JOIN inventory_product AS product ON product.id = product_id
WHERE stock.id = ANY(%s::uuid[])
"""


def _stocks(ranges: Sequence[Range]) -> dict[str, _Watched]:
    with connection.cursor() as cursor:
        cursor.execute(_WATCHED, [list({each.stock for each in ranges})])
        return {row[0]: _Watched(*row) for row in cursor.fetchall()}


def _entries(ranges: Sequence[Range]) -> dict[tuple[str, int], StockTransaction]:
    columns = [(each.stock, each.first - 1, each.last) for each in ranges]
    rows = compiled.fetch(
        StockTransaction, _ENTRIES, [list(column) for column in zip(*columns, strict=True)]
    )
    return {(str(row.stock_id), row.sequence): row for row in rows}


def _entry(product_id: str, entry: StockTransaction) -> Told:
    document = {"data": serializers.stock_transaction(entry, product_id)}
    return Told(
        *("stock-transaction", "created", product_id, entry.created_at, document),
        sequence=entry.sequence,
    )


def _crossed(
    stock: _Watched, before: StockTransaction | None, entry: StockTransaction, general: int
) -> list[str]:
    """Tell what was crossed from one entry to the other: each line once, on the way across it.

    The first units of a stock cross nothing: it was never out.
    """
    if not before or not stock.is_watched:
        return []
    threshold = general if stock.threshold is None else stock.threshold
    crossed = {
        "low": before.available > threshold >= entry.available,
        "out": before.available > 0 >= entry.available,
        "back": entry.available > 0 >= before.available,
    }
    return [change for change in crossed if crossed[change]]


def _crossings(
    crossed: Mapping[Range, tuple[StockTransaction, list[str]]],
) -> Mapping[Range, list[Told]]:
    """Make the events of what was crossed. Few cross anything: only their stocks are read whole."""
    if not crossed:
        return {}
    stocks = Stock.objects.select_related("product").in_bulk({each.stock for each in crossed})
    by_id = {str(pk): stock for pk, stock in stocks.items()}
    return {
        each: [_crossing(change, by_id[each.stock], entry) for change in changes]
        for each, (entry, changes) in crossed.items()
    }


def _crossing(change: str, stock: Stock, entry: StockTransaction) -> Told:
    return Told(
        *("stock", change, str(stock.product_id), entry.created_at),
        {"data": _numbers(stock, entry)},
        sequence=entry.sequence,
    )


def _numbers(stock: Stock, entry: StockTransaction) -> Document:
    """Show the stock as it was after the entry, and not as it may be by now."""
    answer = serializers.stock(stock)
    answer["available"], answer["allocated"] = entry.available, entry.allocated
    answer["total"] = entry.total
    answer["meta"]["updated_at"] = at(entry.created_at)
    return answer


def _general_threshold() -> int:
    """Read the store's threshold anew: what crosses it is told once, and never again."""
    row = StoreSettings.objects.only("low_stock_threshold").first() or StoreSettings()
    return row.low_stock_threshold
