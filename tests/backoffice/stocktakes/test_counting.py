"""A stocktake's pages: begun, scanned into, counted by hand, closed, discarded, gone on with."""

from typing import Any

import pytest
from django.test import Client

from api import store
from api.idempotency import KeyInUse
from inventory.models import Product, Sheet, Stocktake, StocktakeLine
from inventory.services import categories, stocktakes
from inventory.services.sheets import processing
from tests.backoffice.pages import client_with, hidden, send, text
from tests.factories import MERCHANT, product, stock_of

pytestmark = pytest.mark.django_db

BARCODE = "4006381333931"
STOCKTAKES = "/admin/inventory/stocktake/"
# A number that stands nowhere else on a page, and has more digits than an id or a token shares with
# it by chance.
BOOKS = 73_130_451


@pytest.fixture
def mug() -> Product:
    return product(BOOKS, name="Blue mug", sku="MUG", barcode=BARCODE)


def begun(**options: Any) -> Stocktake:
    return stocktakes.begin("Yearly count", actor=MERCHANT, **options)


def page(made: Stocktake, name: str = "counting", query: str = "") -> str:
    return f"{STOCKTAKES}{made.pk}/{name}/{query}"


def scan(client: Client, made: Stocktake, code: str, *, alone: bool = True, **typed: Any) -> str:
    """Send a scan as scanning.js does, or as a whole, and read what is said to it."""
    headers = {"X-Scan": "1"} if alone else {}
    sent = {"action": "scan", "code": code, "quantity": "1", **typed}
    answer = client.post(page(made), sent, headers=headers, follow=True)
    assert answer.status_code == 200
    return read(answer)


def read(answer: Any) -> str:
    return " ".join(text(answer).split())


def units_of(made: Stocktake, wanted: Product) -> int | None:
    return StocktakeLine.objects.get(stocktake=made, product=wanted).units


# Beginning.


def test_a_stocktake_of_a_category_is_begun_once_by_a_doubled_click(admin_client, mug):
    clothes = categories.create("Clothes", actor=MERCHANT)
    product(1, name="Shirt").categories.add(clothes)
    form = hidden(admin_client, f"{STOCKTAKES}add/")
    sent = {**form, "name": "Clothes, May", "category": str(clothes.pk), "is_blind": "on"}

    first, second = (admin_client.post(f"{STOCKTAKES}add/", sent) for _ in range(2))

    made = Stocktake.objects.get()
    assert (first["Location"], second["Location"]) == (page(made), page(made))
    assert (made.scope, made.is_blind, made.products) == ("Clothes", True, 1)
    assert 'value="Stocktake 20' in read(admin_client.get(f"{STOCKTAKES}add/"))
    listed = read(admin_client.get(STOCKTAKES))
    assert "0 of 1" in listed
    assert "Clothes" in listed


def test_a_stocktake_of_nothing_is_refused_on_its_form(admin_client):
    answer = send(admin_client, f"{STOCKTAKES}add/", {"name": "Yearly"})

    assert "nothing to count" in read(answer)
    for wrong in ({"name": ""}, {"name": "x", "category": "nothing"}):
        assert send(admin_client, f"{STOCKTAKES}add/", wrong).status_code == 200
    assert not Stocktake.objects.exists()


# Scanning.


@pytest.mark.parametrize("alone", [True, False])
def test_a_scan_is_counted_and_told_large_with_a_way_back(admin_client, mug, alone):
    made = begun()

    told = scan(admin_client, made, f"12*{BARCODE}", alone=alone)

    assert "Blue mug" in told
    assert "1 of 1 product counted" in told
    assert f"The books say {BOOKS:,}." in told
    assert "Undo this scan" in told
    # With scanning.js only what has changed is drawn.
    assert ("Every scan is kept at once" in told) is not alone
    assert units_of(made, mug) == 12
    line = made.lines.get()
    sent = {"action": "back", "line": line.pk, "units": "5", "once": "abc"}
    assert f'name="since" value="{line.first_at}"' in told
    assert "anew meanwhile" in read(admin_client.post(page(made), {**sent, "since": "x"}))
    sent["since"] = str(line.first_at)
    for _ in range(2):
        admin_client.post(page(made), sent)
    assert units_of(made, mug) == 7


@pytest.mark.parametrize(
    ("code", "typed", "why"),
    [
        ("nothing", {}, "No product has the SKU or barcode nothing."),
        ("", {}, "Scan or type the code of a product."),
        ("FREE", {}, "The stock of FREE is not managed"),
        ("MUG", {"quantity": BARCODE}, f"{BARCODE} is the code of a product, and no quantity."),
        ("MUG", {"quantity": "5000"}, "5,000 units of MUG at once?"),
    ],
)
def test_what_is_not_counted_is_said_loudly_and_why(admin_client, mug, code, typed, why):
    product(sku="FREE", managed=False)
    made = begun()

    for alone in (True, False):
        told = scan(admin_client, made, code, alone=alone, **typed)
        assert "Not counted" in told
        assert why in told

    assert units_of(made, mug) is None


def test_a_scan_that_is_sent_again_counts_once_and_is_told_again(admin_client, mug):
    made = begun()

    first, again = (scan(admin_client, made, "MUG", once="abc") for _ in range(2))

    assert "Blue mug" in first
    assert "Blue mug" in again
    assert units_of(made, mug) == 1
    assert "sent before" in scan(admin_client, made, "MUG", quantity="2", once="abc")
    for sent in ({"action": "burn"}, {"action": "back", "line": "x", "units": "1"}):
        assert admin_client.post(page(made), sent).status_code == 400


@pytest.mark.parametrize(
    "sent", [{"action": "scan", "code": "MUG"}, {"action": "back", "line": "1", "units": "1"}]
)
def test_what_nobody_had_the_time_for_is_sent_again_by_the_page_alone(
    admin_client, monkeypatch, mug, sent
):
    made = begun()

    def refuse(*args: Any, **options: Any) -> None:
        raise KeyInUse

    monkeypatch.setattr(stocktakes, "scan", refuse)
    monkeypatch.setattr(stocktakes, "take_back_scan", refuse)

    assert admin_client.post(page(made), sent, headers={"X-Scan": "1"}).status_code == 409
    assert "being done. Look again in a moment" in read(admin_client.post(page(made), sent))


def test_a_product_that_came_later_is_counted_and_said_to_be_not_on_the_list(admin_client, mug):
    made = begun()
    product(1, sku="NEW")

    assert "It was not on the list, and is counted all the same." in scan(admin_client, made, "NEW")
    assert "· not on the list" in read(admin_client.get(page(made)))


def test_a_blind_stocktake_tells_nobody_what_the_books_say_until_it_is_closed(admin_client, mug):
    made = begun(is_blind=True)
    line = made.lines.get()
    written = {str(BOOKS), f"{BOOKS:,}"}

    shown = [
        scan(admin_client, made, "MUG"),
        scan(admin_client, made, "MUG", alone=False),
        scan(admin_client, made, "nothing"),
        *(read(admin_client.get(page(made, query=each))) for each in ("", "?show=left")),
        *(read(admin_client.get(page(made, each))) for each in ("close", "discard")),
        read(admin_client.get(page(made, "line", f"?line={line.pk}"))),
        read(admin_client.get(f"{STOCKTAKES}{made.pk}/history/")),
    ]
    assert [each for each in shown if any(number in each for number in written)] == []
    assert "Books say" not in " ".join(shown)

    stocktakes.close(made.pk, actor=MERCHANT)
    assert f">{BOOKS}<" in admin_client.get(page(made)).content.decode()


# Lists.


def test_what_is_left_and_what_was_counted_are_turned_over_page_by_page(admin_client):
    for number in range(60):
        product(1, sku=f"S{number:02}", name=f"Thing {number:02}")
    made = begun()
    for number in range(28):
        stocktakes.scan(made.pk, f"S{number:02}")

    def listed(query: str) -> list[str]:
        shown = admin_client.get(page(made, query=query)).context["page"]
        return [line.product.sku for line, _ in shown.lines]

    first = admin_client.get(page(made, query="?show=left"))
    after = first.context["page"].next
    assert listed("?show=left") == [f"S{number}" for number in range(28, 53)]
    assert listed(f"?show=left&after={after}") == [f"S{number}" for number in range(53, 60)]
    back = admin_client.get(page(made, query=f"?show=left&after={after}")).context["page"].previous
    assert listed(f"?show=left&after={back}")[0] == "S28"
    after = admin_client.get(page(made)).context["page"].next
    assert listed("") == [f"S{number:02}" for number in range(27, 2, -1)]
    assert listed(f"?after={after}") == ["S02", "S01", "S00"]
    # Whatever stands in the address.
    for odd in ("x", "9" * 30, f"{'9' * 18}-1", "1-x", "-"):
        for show in ("counted", "left"):
            assert (
                admin_client.get(page(made, query=f"?show={show}&after={odd}")).status_code == 200
            )


def test_page_and_scan_cost_the_same_on_a_list_of_any_length(
    admin_client, django_assert_max_num_queries
):
    store.current()
    for number in range(30):
        product(1, sku=f"S{number}")
    made = begun()
    # Who it is, the stocktake, the lines of a page with their products, and their stock.
    with django_assert_max_num_queries(6):
        admin_client.get(page(made, query="?show=left"))
    for number in range(26):
        stocktakes.scan(made.pk, f"S{number}")
    with django_assert_max_num_queries(6):
        admin_client.get(page(made))
    # And of a scan: the code, whether it is managed, the lock, the line, what was counted last.
    with django_assert_max_num_queries(20):
        scan(admin_client, made, "S27")


# By hand.


def test_a_product_is_counted_by_hand_also_as_none_or_not_at_all(admin_client, mug):
    made = begun()
    at = page(made, "line", f"?line={made.lines.get().pk}")

    refused = send(admin_client, at, {"units": "5000"})
    assert "5,000 units of MUG at once?" in read(refused)
    assert 'type="checkbox" name="confirmed"' in read(refused)
    for written, units in (("12", 12), ("0", 0), ("", None)):
        assert send(admin_client, at, {"units": written}).status_code == 302
        assert units_of(made, mug) == units
    form = hidden(admin_client, at)
    stocktakes.scan(made.pk, "MUG", 3)

    told = admin_client.post(at, {**form, "units": "9"})
    assert "Counted: was not counted, and is 3 now." in read(told)
    assert units_of(made, mug) == 3
    assert admin_client.get(page(made, "line", "?line=1x"))["Location"] == page(made)


# The end.


def test_closing_says_what_is_left_and_leads_to_the_sheet(admin_client, mug):
    shirt = product(4, name="Shirt")
    made = begun()
    stocktakes.scan(made.pk, "MUG", BOOKS, confirmed=True)

    shown = read(admin_client.get(page(made, "close")))
    assert "1 product on the list was not counted." in shown
    answer = send(admin_client, page(made, "close"), {"rest": "none"})

    sheet = Sheet.objects.get()
    assert answer["Location"] == f"/admin/inventory/sheet/{sheet.pk}/change/"
    while processing.take_a_batch(sheet.pk):
        pass
    checked = read(admin_client.get(answer["Location"]))
    assert "looks like a mistake" in checked
    assert stock_of(shirt).total == 4
    assert "What it comes to" in read(admin_client.get(page(made)))


def test_closed_twice_by_a_doubled_click_it_leads_to_the_same_sheet(admin_client, mug):
    made = begun()
    stocktakes.scan(made.pk, "MUG", BOOKS, confirmed=True)
    form = hidden(admin_client, page(made, "close"))

    first, second = (admin_client.post(page(made, "close"), form) for _ in range(2))

    assert first["Location"] == second["Location"]
    assert Sheet.objects.count() == 1


def test_what_somebody_scanned_meanwhile_is_looked_at_before_it_is_closed(admin_client, mug):
    made = begun()
    stocktakes.scan(made.pk, "MUG")
    form = hidden(admin_client, page(made, "close"))
    stocktakes.scan(made.pk, "MUG")

    answer = admin_client.post(page(made, "close"), form)

    assert "It changed since this form was opened" in read(answer)
    assert not Sheet.objects.exists()


def test_a_stocktake_is_discarded_when_that_is_confirmed_and_reopened_after_its_sheet(
    admin_client, mug
):
    discarded, closed = begun(), begun()
    for each in (discarded, closed):
        stocktakes.scan(each.pk, "MUG")
    assert "is forgotten" in read(admin_client.get(page(discarded, "discard")))
    send(admin_client, page(discarded, "discard"))
    sheet = stocktakes.close(closed.pk, actor=MERCHANT)
    while processing.take_a_batch(sheet.pk):
        pass
    processing.discard(sheet.pk)

    assert "Go on counting" in read(admin_client.get(page(closed)))
    send(admin_client, page(closed, "reopen"))

    assert "is discarded" in scan(admin_client, discarded, "MUG")
    assert "Blue mug" in scan(admin_client, closed, "MUG")


def test_whoever_may_only_look_sees_what_is_counted_and_no_field(mug):
    made = begun()
    viewer = client_with("view_stocktake", "view_product")

    shown = read(viewer.get(page(made)))

    assert "0 of 1 product counted" in shown
    assert 'id="scan"' not in shown
    assert viewer.post(page(made), {"action": "scan", "code": "MUG"}).status_code == 403
