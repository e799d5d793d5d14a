"""Sheets of products that meet each other, or die on their way. Each race has a control."""

import threading
from collections.abc import Callable, Collection
from dataclasses import replace
from functools import partial
from uuid import UUID

import pytest
from django.db import OperationalError

from api import compiled
from api.models import Change
from inventory.models import Category, Product, ProductLine, Sheet
from inventory.services import product_rows, products
from inventory.services.sheets import processing
from tests.concurrency import PATIENCE_SECONDS, run_together
from tests.factories import MERCHANT, product, stock_of
from tests.product_sheets import checked, lines_of, named, prices_of, the_line, worked

pytestmark = pytest.mark.django_db(transaction=True)


def about_to_apply(table: str) -> Sheet:
    sheet = checked(table)
    processing.apply(sheet.pk, actor=MERCHANT, looked_at=True)
    return sheet


def working(sheet: Sheet) -> Callable[[], Sheet]:
    return partial(worked, sheet)


def _after_both_have_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only read the products that should be locked, and let nobody go on before both have."""
    both_have_read = threading.Barrier(2, timeout=PATIENCE_SECONDS)

    def read(product_ids: Collection[UUID]) -> list[Product]:
        found = list(Product.objects.filter(pk__in=product_ids).order_by("pk"))
        both_have_read.wait()
        return found

    monkeypatch.setattr(product_rows, "lock", read)


def _prices_on_record(made: Product) -> list[tuple[str, str]]:
    entries = Change.objects.filter(thing_id=str(made.pk), what="changed").order_by("pk")
    return [
        (told["before"], told["after"])
        for entry in entries
        for told in entry.fields
        if told["field"] == "price_in_USD"
    ]


def test_of_two_files_that_change_one_field_the_second_is_told(monkeypatch):
    made = product(sku="A", price=1000)
    sheets = [about_to_apply(f"sku | price_usd\nA | {price}") for price in (11, 12)]

    run_together(*map(working, sheets))

    lines = [the_line(sheet) for sheet in sheets]
    [applied] = [line for line in lines if line.applied]
    [refused] = [line for line in lines if line.error]
    assert "changed since this was checked" in refused.error
    [price] = [told["after"] for told in applied.fields]
    assert prices_of(made) == {"USD": price}
    assert _prices_on_record(made) == [("10.00", f"{price / 100:.2f}")]


def test_control_without_the_products_lock_both_overwrite_and_the_record_does_not_add_up(
    monkeypatch,
):
    made = product(sku="A", price=1000)
    sheets = [about_to_apply(f"sku | price_usd\nA | {price}") for price in (11, 12)]
    _after_both_have_read(monkeypatch)

    run_together(*map(working, sheets))

    assert all(the_line(sheet).applied for sheet in sheets)
    assert [before for before, _ in _prices_on_record(made)] == ["10.00", "10.00"]


def test_a_file_and_a_person_do_not_overwrite_each_other():
    for _ in range(3):
        made = product(price=1000)
        sheet = about_to_apply(f"sku | price_usd\n{made.sku} | 11")
        by_hand = partial(products.change_prices, made.pk, {"USD": 1200}, actor=MERCHANT)

        run_together(working(sheet), by_hand)

        # The person, who has not said what they saw, has the last word; the record adds up.
        expected = [("10.00", "11.00"), ("11.00", "12.00")]
        assert _prices_on_record(made) in (expected, [("10.00", "12.00")])
        assert bool(the_line(sheet).error) == (len(_prices_on_record(made)) == 1)


def test_files_that_make_the_same_make_it_once_in_whatever_order():
    skus = ["A", "B", "C"]
    tables = [
        "sku | name | categories\n" + "\n".join(f"{sku} | {name} {sku} | New" for sku in order)
        for name, order in (("One", skus), ("Two", skus[::-1]))
    ]
    sheets = [about_to_apply(table) for table in tables]

    run_together(*map(working, sheets))

    lines = [line for sheet in sheets for line in lines_of(sheet)]
    refused = ["Another product has this sku."] * 3
    assert sorted(line.error for line in lines) == ["", "", "", *refused]
    assert sorted(Product.objects.values_list("sku", flat=True)) == skus
    assert Category.objects.count() == 1


def test_control_whoever_inserts_without_a_look_at_conflicts_ends_its_job(monkeypatch):
    sheets = [about_to_apply(f"sku | name\nA | {name}") for name in ("One", "Two")]

    def insert(rows: list[Product]) -> list[Product]:
        compiled.insert(rows)
        return rows

    monkeypatch.setattr(compiled, "insert_unless_there", insert)

    outcomes = run_together(*map(working, sheets))

    assert [type(each).__name__ for each in outcomes if isinstance(each, Exception)] == ["SkuTaken"]


def _quicker(monkeypatch: pytest.MonkeyPatch, step: str, act: Callable[[], object]) -> None:
    """Let somebody else act just before a step is taken for the first time."""
    take, waiting = getattr(product_rows, step), [act]

    def after_somebody_else(products: Collection[Product]) -> object:
        if waiting:
            [outcome] = run_together(waiting.pop())
            assert not isinstance(outcome, Exception)
        return take(products)

    monkeypatch.setattr(product_rows, step, after_somebody_else)


def test_a_slug_that_somebody_takes_in_that_moment_refuses_the_line_that_wants_it(monkeypatch):
    product(sku="A", slug="mine")
    sheet = about_to_apply("sku | slug\nA | wanted")
    _quicker(monkeypatch, "_update", partial(product, sku="B", slug="wanted"))

    worked(sheet)

    assert the_line(sheet).error == "slug: another product has it."
    assert (named("A").slug, named("B").slug) == ("mine", "wanted")


def test_whoever_is_quicker_with_a_sku_or_slug_keeps_it_and_what_needs_neither_is_made(monkeypatch):
    sheet = about_to_apply(
        "sku | name | slug\nA | Mug |\nB | Cup | cup\nC | Plate |\nD | Bowl | bowl"
    )

    def theirs() -> None:
        product(sku="X", name="Mug")
        product(sku="Y", name="Cup", slug="cup")
        product(sku="C", name="Theirs")

    _quicker(monkeypatch, "_insert", theirs)

    worked(sheet)

    assert [line.error for line in lines_of(sheet)] == [
        "",
        "Another product has this slug.",
        "Another product has this sku.",
        "",
    ]
    made = named("A")
    assert (made.name, made.slug) == ("Mug", made.pk.hex)
    assert (named("D").slug, named("C").name) == ("bowl", "Theirs")
    assert (sheet.changed, sheet.refused) == (2, 2)


def _small_batches() -> dict[Sheet.State, processing._Work]:
    return {state: replace(work, batch=2) for state, work in processing._WORK.items()}


def _died(lines: list[ProductLine]) -> None:
    raise OperationalError("the connection was lost")


def test_a_job_that_dies_in_the_middle_loses_nothing_and_does_nothing_twice(monkeypatch):
    monkeypatch.setattr(processing, "_WORK", _small_batches())
    for number in range(3):
        product(sku=f"OLD{number}", name="Old")
    rows = [f"OLD{number} | Changed |" for number in range(3)]
    rows += [f"NEW{number} | New | 5" for number in range(3)]
    sheet = about_to_apply("\n".join(["sku | name | initial_stock", *rows]))

    def go_on_and_die() -> None:
        processing.take_a_batch(sheet.pk)
        with monkeypatch.context() as dying:
            # It dies with everything written, and nothing committed.
            dying.setattr(ProductLine, "write", _died)
            with pytest.raises(OperationalError):
                processing.take_a_batch(sheet.pk)

    go_on_and_die()
    assert Product.objects.filter(name="Changed").count() == 2
    assert worked(sheet).changed == 6
    assert {stock_of(named(f"NEW{number}")).available for number in range(3)} == {5}

    processing.revert(sheet.pk, actor=MERCHANT)
    go_on_and_die()
    assert (worked(sheet).state, sheet.reverted) == ("reverted", 6)
    assert set(Product.objects.kept().values_list("name", flat=True)) == {"Old"}
    assert Change.objects.count() == 3 + 6 + 6
