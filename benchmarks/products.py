"""A catalogue that comes in while the shop is open: products by file, made and then changed.

50,000 lines in under two minutes on two cores, each time, and no order waits long for it.
"""

import csv
import io
import random
import time

from django.core.management import call_command

from api.actors import SYSTEM
from benchmarks import run
from benchmarks.counts import (
    CALM_SECONDS,
    CLIENT_ID,
    LINES,
    SHOPPERS,
    buying,
    open_store,
    tell,
    wait_for,
    worker,
)
from benchmarks.flow import Shopper
from inventory.models import Price, Product, Sheet
from inventory.services.sheets import processing

# What a merchant's catalogue has, and what is in the store before.
CATEGORIES = 200
BEFORE = LINES // 2


def bench() -> None:
    for_sale = open_store(BEFORE)
    with run.web_server() as (port, _), worker():
        crowd = [Shopper(port, CLIENT_ID) for _ in range(SHOPPERS)]
        with buying(crowd, for_sale) as warming_up:
            time.sleep(5)
        assert warming_up
        with buying(crowd, for_sale) as calm:
            time.sleep(CALM_SECONDS)
        with buying(crowd, for_sale) as while_made:
            _import("made", _new())
        with buying(crowd, for_sale) as while_changed:
            _import("changed", _changes())
    print(f"\n{'purchase over HTTP':<26}{'per s':>7}{'p50 ms':>8}{'p99 ms':>8}{'max ms':>8}")
    tell("without a file", calm)
    tell("while products are made", while_made)
    tell("while they are changed", while_changed)
    made = Product.objects.filter(sku__startswith="NEW-")
    assert made.count() == LINES, "a product was lost"
    assert not Price.objects.filter(product__in=made).exclude(amount=1350).exists()
    call_command("audit_inventory")


def _new() -> list[list[str]]:
    header = ["sku", "name", "description", "barcode", "price_usd", "categories", "initial_stock"]
    dice = random.Random(1)
    return [
        header,
        *(
            [
                f"NEW-{number:06}",
                f"{dice.choice(('Linen', 'Wool', 'Silk'))} shirt number {number}",
                f"A shirt that keeps. It has number {number}, and is made to last. " * 3,
                f"{2_000_000_000_000 + number}",
                "12.50",
                f"Clothes > Shirts {number % CATEGORIES}",
                str(number % 50),
            ]
            for number in range(LINES)
        ),
    ]


def _changes() -> list[list[str]]:
    """Change the price, the name and the threshold of every product that was made."""
    return [
        ["sku", "name", "price_usd", "threshold"],
        *([f"NEW-{number:06}", f"Shirt {number}", "13.50", "3"] for number in range(LINES)),
    ]


def _import(what: str, table: list[list[str]]) -> None:
    content = io.StringIO()
    csv.writer(content).writerows(table)
    started = time.perf_counter()
    sheet, _ = processing.upload("catalogue.csv", content.getvalue().encode(), actor=SYSTEM)
    uploaded = time.perf_counter()
    wait_for(sheet, Sheet.State.CHECKED)
    checked = time.perf_counter()
    processing.apply(sheet.pk, actor=SYSTEM, looked_at=True)
    wait_for(sheet, Sheet.State.APPLIED)
    applied = time.perf_counter()
    print(
        f"\n{sheet.lines_total:,} products {what}, {sheet.refused:,} refused, with {SHOPPERS} "
        "shoppers buying all the time"
    )
    steps = {"upload": uploaded - started, "check": checked - uploaded, "apply": applied - checked}
    for step, seconds in {**steps, "together": applied - started}.items():
        print(f"  {step:<10}{seconds:>6.1f} s{sheet.lines_total / seconds:>10,.0f} lines per s")
