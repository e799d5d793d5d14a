"""Files of products in random histories: what nobody else has changed comes back, and no more."""

import random
from collections.abc import Callable
from typing import Any

import pytest

from api.errors import Refusal
from inventory.models import Action, Price, Product, Stock
from inventory.services import categories, currencies, product_rows, products
from inventory.services import stock as inventory
from inventory.services.products import Money
from tests.factories import MERCHANT, category, product
from tests.product_sheets import apply, lines_of, reverted, sheet_of_rows, worked

pytestmark = pytest.mark.django_db

CELLS = {
    "name": ["Alpha", "Beta", "Gamma"],
    "description": ["one", "two", "(empty)"],
    "status": ["live", "draft", "archived"],
    "barcode": ["111", "222", "(empty)"],
    "price_usd": ["10.00", "12.50", "(empty)"],
    "price_eur": ["10", "9.99", "(empty)"],
    "cost": ["4", "5 EUR", "(empty)"],
    "threshold": ["0", "3", "(empty)"],
    "categories": ["A", "B > C", "A; B", "(empty)"],
    "slug": ["s1", "s2", "s3", "s4"],
    "manage_stock": ["yes", "no"],
    "image": ["https://x/1.png", "(empty)"],
}
FIELDS = (
    *("name", "description", "status", "barcode", "price_USD", "price_EUR", "cost"),
    *("low_stock_threshold", "categories", "slug", "manage_stock", "image_url"),
)
Edit = Callable[[random.Random, Product], Any]
# What other people do meanwhile.
EDITS: list[Edit] = [
    lambda r, p: products.update(p.pk, actor=MERCHANT, name=r.choice(CELLS["name"])),
    lambda r, p: products.update(p.pk, actor=MERCHANT, slug=r.choice(CELLS["slug"])),
    lambda r, p: products.update(p.pk, actor=MERCHANT, manage_stock=r.random() < 0.5),
    lambda r, p: products.update(p.pk, actor=MERCHANT, prices=[Money("USD", 999, False)]),
    lambda r, p: categories.set_for([p.pk], [category("A").pk], actor=MERCHANT),
    lambda r, p: inventory.record(p.pk, Action.INCREMENT, 2, actor=MERCHANT, reason="found"),
    lambda r, p: inventory.record(p.pk, Action.ALLOCATE, 1, actor=MERCHANT, reason="kept"),
    lambda r, p: products.archive(p.pk, actor=MERCHANT),
    lambda r, p: products.restore(p.pk, sku=p.sku, slug=p.slug, actor=MERCHANT),
]


def all_there_is() -> dict[Any, dict[str, Any]]:
    wholes = product_rows.read(list(Product.objects.all()))
    stocks = {stock.product_id: stock for stock in Stock.objects.all()}
    return {
        pk: {
            **{name: whole.value(name) for name in FIELDS},
            "units": (stocks[pk].available, stocks[pk].allocated),
            "tax": sorted(Price.objects.filter(product=pk).values_list("currency", "includes_tax")),
        }
        for pk, whole in wholes.items()
    }


def edit(r: random.Random, times: int) -> set[tuple[Any, str]]:
    """Have others change something; return which fields of which products changed, if any."""
    changed = set()
    for _ in range(times):
        before, some = all_there_is(), r.choice(list(Product.objects.order_by("pk")))
        try:
            r.choice(EDITS)(r, some)
        except Refusal:
            continue
        after = all_there_is()[some.pk]
        changed |= {(some.pk, "")} | {
            (some.pk, name) for name in after if after[name] != before[some.pk][name]
        }
    return changed


@pytest.mark.parametrize("seed", range(10))
def test_what_nobody_else_changed_comes_back_and_nothing_else_is_touched(seed):
    r = random.Random(seed)
    currencies.create(code="EUR", enabled=True, actor=MERCHANT)
    skus = [product(r.choice([0, 5]), sku=f"S{number}").sku for number in range(4)]
    columns = ["sku", "name", *r.sample([*CELLS][1:], 4)]
    rows = [
        [sku, *(r.choice(["", *CELLS[name]]) for name in columns[1:])]
        for sku in [*skus, "NEW-1", "NEW-2"]
    ]
    sheet = worked(sheet_of_rows(columns, rows))

    edit(r, times=1)
    before = all_there_is()
    apply(sheet)
    changed = edit(r, times=r.choice([0, 1, 2]))
    meanwhile = all_there_is()
    reverted(sheet)

    after = all_there_is()
    stays = {line.product_id for line in lines_of(sheet) if "archived by now" in line.error}
    for pk, fields in before.items():
        for name, value in fields.items():
            if (pk, name) in changed or pk in stays:
                assert name in ("units", "tax") or after[pk][name] == meanwhile[pk][name]
            else:
                assert after[pk][name] == value, (name, sheet.lines.get(product=pk).error)
    for pk in after.keys() - before.keys():
        is_touched = any(of == pk for of, _ in changed)
        assert is_touched or after[pk]["status"] == "archived"
