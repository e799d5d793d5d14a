"""Products and a log by the hundred thousand, for trying Holdfast at the size of a large shop.

Each unit is moved by `Stock.move`, in memory; only the rows are written in bulk. Log and stock are
written in one transaction, at whose end the database's triggers compare them, as they always do.
"""

import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from random import Random
from typing import NamedTuple

from django.db import connection
from django.utils.text import slugify

from api.actors import Actor
from api.ids import uuid7_of
from api.transactions import assert_in_transaction
from demo import fill_catalogue
from demo.fill_progress import Progress
from inventory.models import Currency, NewEntry, Price, Product, Stock, StockTransaction

SKU = "FILL-"
ROWS_A_STATEMENT = 1_000
LINES_A_WRITE = 5_000
# After so many, what is complete is written and forgotten, so that memory stays small.
ENTRIES_A_COPY = 20_000
PRODUCTS_AT_ONCE = 300 * fill_catalogue.STRETCH
COLOURS = ("Amber", "Black", "Blue", "Green", "Grey", "Ivory", "Red", "White", "Yellow")
_NULL = "\\N"
THINGS = ("anchor", "blanket", "cap", "lamp", "mug", "notebook", "poster", "scarf", "shirt", "tin")


class Made(NamedTuple):
    """What is remembered of a product that was made, for there may be millions."""

    pk: uuid.UUID
    sku: str
    name: str
    price: int


@dataclass(frozen=True)
class Entry:
    """A future line of the log, and when it happened."""

    at: datetime
    new: NewEntry
    actor: Actor
    reason: str
    id: uuid.UUID
    order_id: uuid.UUID | None = None


def id_at(at: datetime, dice: Random) -> uuid.UUID:
    """Make a version 7 id of that moment, as api.ids makes them of now."""
    return uuid7_of(int(at.timestamp() * 1000), dice.getrandbits(12), dice.getrandbits(62))


def make_products(
    count: int, *, currency: Currency, at: datetime, actor: Actor, dice: Random, progress: Progress
) -> list[Made]:
    """Write `count` products with prices; their numbers continue after the existing ones.

    Of most it is known what they cost, some are variants, and each is in a few categories.
    """
    first = Product.objects.filter(sku__startswith=SKU).count() + 1
    category_ids = fill_catalogue.make_tree(actor)
    made: list[Made] = []
    while len(made) < count:
        begin, some = first + len(made), min(PRODUCTS_AT_ONCE, count - len(made))
        products = [_product(number, at, dice) for number in range(begin, begin + some)]
        prices = [
            Price(product=product, currency=currency, amount=dice.randrange(100, 20_000, 5))
            for product in products
        ]
        for price in prices[: some - some // 10]:
            price.product.cost = price.amount * dice.randint(3, 7) // 10
            price.product.cost_currency = currency
        fill_catalogue.make_variants(products, at, dice)
        for written in range(0, some, ROWS_A_STATEMENT):
            Product.objects.bulk_create(products[written : written + ROWS_A_STATEMENT])
            progress.at(len(made) + written)
        Price.objects.bulk_create(prices, batch_size=ROWS_A_STATEMENT)
        fill_catalogue.place(products, category_ids, dice)
        fill_catalogue.put_on_record(prices, at, actor)
        made += [
            Made(product.pk, product.sku, product.name, price.amount)
            for product, price in zip(products, prices, strict=True)
        ]
        progress.at(len(made))
    return made


def _product(number: int, at: datetime, dice: Random) -> Product:
    name = f"{dice.choice(COLOURS)} {dice.choice(THINGS)} {number}"
    return Product(
        id=id_at(at, dice),
        name=name,
        sku=f"{SKU}{number:07}",
        slug=slugify(f"fill {name}"),
        # With leading zeros, as many scanners give them.
        barcode=f"{number:013}",
        created_at=at,
        updated_at=at,
    )


_COLUMNS = (
    "id, stock_id, sequence, action, quantity, by_order, available, allocated, held, "
    "actor_kind, actor_id, actor_name, reason, order_id, created_at, effective_at"
)


def store(
    stocks: Sequence[Stock],
    entries: Iterable[Entry],
    *,
    between: Callable[[], None],
    progress: Progress,
) -> None:
    """Write the entries, which move `stocks` as they are taken, and then the stock they lead to.

    Every now and then comes what is to be written `between` them.
    """
    assert_in_transaction()
    entries, written = iter(entries), 0
    while some := _copy(islice(entries, ENTRIES_A_COPY)):
        between()
        written += some
        progress.at(written)
    with progress.waiting():
        Stock.objects.bulk_create(stocks, batch_size=ROWS_A_STATEMENT)


def _copy(entries: Iterator[Entry]) -> int:
    statement = f"COPY {StockTransaction._meta.db_table} ({_COLUMNS}) FROM STDIN"
    written = 0
    with connection.cursor() as cursor, cursor.copy(statement) as copy:
        while some := list(islice(entries, LINES_A_WRITE)):
            for entry in some:
                entry.new.stock.last_moved_at = entry.at
            copy.write("".join(map(_line, some)))
            written += len(some)
    return written


def _line(entry: Entry) -> str:
    """Write an entry as COPY reads it, in the order of the columns. No text needs quotes."""
    new, actor = entry.new, entry.actor
    return (
        f"{entry.id}\t{new.stock.pk}\t{new.sequence}\t{new.action.value}\t"
        f"{new.quantity}\t{new.by_order}\t{new.available}\t{new.allocated}\t{new.held}\t"
        f"{actor.kind}\t{actor.id}\t{actor.name}\t{entry.reason}\t"
        f"{entry.order_id or _NULL}\t{entry.at.isoformat()}\t{_NULL}\n"
    )
