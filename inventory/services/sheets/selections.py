"""Sheets of products that somebody chose: what is wanted of each, to be looked at and applied."""

import json
import uuid
from collections.abc import Callable, Collection, Generator, Mapping, Sequence
from contextlib import closing
from itertools import islice
from typing import Any, NamedTuple

from django.db import connection
from django.db.models import QuerySet

from api.actors import Actor
from api.fields import AMOUNT_MAX
from api.idempotency import Key, claim
from api.transactions import in_transaction
from inventory.errors import SelectionRefused
from inventory.models import Product, ProductLine, Sheet
from inventory.services import categories
from inventory.services.category_tree import A_PRODUCT_MAX, paths, text_of
from inventory.services.product_rows import PRICE
from inventory.services.repricing import PriceChange
from inventory.services.sheets import processing

LINES_MAX = 200_000
BATCH_TO_READ = 10_000
NAME_LENGTH_MAX = 200


class Wanted(NamedTuple):
    """What one of the chosen products is to have, by field, or why it is left as it is."""

    fields: Mapping[str, Any]
    error: str = ""


# What some thousands of products are to have, each by its id.
Want = Callable[[Sequence[uuid.UUID]], Mapping[uuid.UUID, Wanted]]


@in_transaction
def make(
    named: str, chosen: QuerySet[Product], want: Want, *, actor: Actor, key: Key | None = None
) -> Sheet:
    """Make a sheet with a line for each product, in this order, which is checked next.

    It is named by what is done, as in: Prices +10 % of {products}. What is wanted is reckoned from
    what is there now, and stays so: applying it changes no product that has changed meanwhile.
    Raises: SelectionRefused; SheetUnreadable, if too many sheets wait.
    """
    sheet = processing.make(named, Sheet.Kind.PRODUCTS, Sheet.Source.SELECTION, actor=actor)
    claim(key, sheet.pk)
    written = _write(sheet, chosen, want)
    if not written:
        raise SelectionRefused("No product was chosen, or what was chosen is no longer there.")
    products = "1 product" if written == 1 else f"{written:,} products"
    sheet.name = named.replace("{products}", products)[:NAME_LENGTH_MAX]
    sheet.save(update_fields=["name"])
    processing.have_checked(sheet, lines=written)
    return sheet


def _write(sheet: Sheet, chosen: QuerySet[Product], want: Want) -> int:
    """Write the lines some thousands at a time, so that no statement takes long."""
    table = ProductLine._meta.db_table
    statement = f"COPY {table} (sheet_id, number, product_id, sku, wanted, error) FROM STDIN"
    number = 0
    # Read to the end or not, their cursor is closed before the transaction is rolled back: where
    # that comes later, it breaks whichever transaction is open by then.
    with closing(_batches(chosen)) as batches:
        for batch in batches:
            if number + len(batch) > LINES_MAX:
                raise SelectionRefused(
                    f"At most {LINES_MAX:,} products are changed at once. Filter the list further."
                )
            wanted = want([product_id for product_id, _ in batch])
            with connection.cursor() as cursor, cursor.copy(statement) as copy:
                for product_id, sku in batch:
                    number += 1
                    fields, error = wanted[product_id]
                    copy.write_row((sheet.pk, number, product_id, sku, json.dumps(fields), error))
    return number


def _batches(chosen: QuerySet[Product]) -> Generator[list[tuple[uuid.UUID, str]]]:
    rows = chosen.prefetch_related(None).values_list("pk", "sku").iterator(BATCH_TO_READ)
    while batch := list(islice(rows, BATCH_TO_READ)):
        yield batch


# What may be wanted.


def the_same(**fields: Any) -> Want:
    """Want the same of every product."""
    wanted = Wanted(fields)
    return lambda product_ids: dict.fromkeys(product_ids, wanted)


_AMOUNTS = """
SELECT product_id, amount FROM inventory_price WHERE currency = %s AND product_id = ANY(%s)
"""


def new_prices(code: str, change: PriceChange) -> Want:
    """Want of each product its present price in a currency, changed. Who has none is left."""
    none = Wanted({}, f"It has no price in {code}.")
    too_much = Wanted({}, "The new price is too large.")

    def want(product_ids: Sequence[uuid.UUID]) -> dict[uuid.UUID, Wanted]:
        with connection.cursor() as cursor:
            cursor.execute(_AMOUNTS, [code, list(product_ids)])
            amounts = dict(cursor.fetchall())
        return {
            product_id: _wanted(amounts[product_id]) if product_id in amounts else none
            for product_id in product_ids
        }

    def _wanted(amount: int) -> Wanted:
        after = change(amount)
        return Wanted({f"{PRICE}{code}": after}) if after <= AMOUNT_MAX else too_much

    return want


def new_categories(*, add: Collection[uuid.UUID] = (), remove: Collection[uuid.UUID] = ()) -> Want:
    """Want each product in some more categories, and out of some others."""
    return _categories(lambda now: (now - {*remove}) | {*add})


def only_categories(category_ids: Collection[uuid.UUID]) -> Want:
    """Want every product in exactly these categories."""
    return _categories(lambda now: {*category_ids})


def _categories(after: Callable[[set[uuid.UUID]], set[uuid.UUID]]) -> Want:
    names = paths()

    def want(product_ids: Sequence[uuid.UUID]) -> dict[uuid.UUID, Wanted]:
        now = categories.of(product_ids)
        return {product_id: _wanted(after(now[product_id])) for product_id in product_ids}

    def _wanted(category_ids: set[uuid.UUID]) -> Wanted:
        if len(category_ids) > A_PRODUCT_MAX:
            return Wanted({}, f"A product is in at most {A_PRODUCT_MAX} categories.")
        known = [names[each] for each in category_ids if each in names]
        return Wanted({"categories": text_of(known)})

    return want
