"""A delivery's page: scanning into it, correcting its lines, booking it and taking that back."""

from typing import Any

import pytest
from django.test import Client

from api import store
from backoffice.products.page import archived_url
from inventory.errors import LinesNotBookable
from inventory.models import Delivery, DeliveryLine, Product
from inventory.services import booking, deliveries, products
from inventory.services import stock as inventory
from tests.backoffice.pages import client_with, send, text
from tests.factories import MERCHANT, delivery, product, stock_of
from tests.http import statements
from tests.stock import entries, numbers

pytestmark = pytest.mark.django_db

BARCODE = "4006381333931"


def page(made: Delivery, name: str = "goods") -> str:
    return f"/admin/inventory/delivery/{made.pk}/{name}/"


def scan(client: Client, made: Delivery, code: str, *, alone: bool = True, **typed: Any) -> str:
    """Send a scan as scanning.js does, or as a whole, and read what is said to it."""
    headers = {"X-Scan": "1"} if alone else {}
    sent = {"action": "scan", "code": code, "quantity": "1", **typed}
    answer = client.post(page(made), sent, headers=headers, follow=True)
    assert answer.status_code == 200
    return " ".join(text(answer).split())


def line_of(made: Delivery, wanted: Product) -> tuple[int, int]:
    line = DeliveryLine.objects.get(delivery=made, product=wanted)
    return line.expected, line.received


@pytest.fixture
def mug() -> Product:
    return product(name="Blue mug", sku="MUG", barcode=BARCODE)


@pytest.mark.parametrize("alone", [True, False])
def test_a_scan_is_counted_and_told_large_with_a_way_back(admin_client, mug, alone):
    made = delivery({mug: 2})

    told = scan(admin_client, made, BARCODE, alone=alone)

    assert "Blue mug" in told
    assert "1 of 2" in told
    assert "Undo this scan" in told
    # With scanning.js only what has changed is drawn.
    assert ("Stock moves when it is booked" in told) is not alone
    line = made.lines.get()
    sent = {"action": "back", "line": line.pk, "units": "1", "once": "abc"}
    for _ in range(2):
        admin_client.post(page(made), sent)
    assert line_of(made, mug) == (2, 0)


@pytest.mark.parametrize(
    ("code", "typed", "received"),
    [
        (BARCODE, {"quantity": "12"}, 12),
        (f"12*{BARCODE}", {}, 12),
        ("3 * mug", {}, 3),
        (BARCODE, {"quantity": ""}, 1),
    ],
)
def test_several_units_are_counted_at_once(admin_client, mug, code, typed, received):
    made = delivery({mug: 20})

    scan(admin_client, made, code, **typed)

    assert line_of(made, mug) == (20, received)


@pytest.mark.parametrize(
    ("code", "typed", "why"),
    [
        ("nothing", {}, "No product has the SKU or barcode nothing."),
        ("", {}, "Scan or type the code of a product."),
        ("MUG", {"quantity": BARCODE}, f"{BARCODE} is the code of a product, and no quantity."),
        ("MUG", {"quantity": "1.5"}, "Enter a whole number."),
        ("9999999999*MUG", {}, "9999999999 is no quantity"),
        ("MUG", {"quantity": "5000"}, "5,000 units of MUG at once?"),
    ],
)
def test_what_is_not_counted_is_said_loudly_and_why(admin_client, mug, code, typed, why):
    made = delivery({mug: 2})

    for alone in (True, False):
        told = scan(admin_client, made, code, alone=alone, **typed)
        assert "Not counted" in told
        assert why in told

    assert line_of(made, mug) == (2, 0)


def test_many_units_are_counted_when_that_is_confirmed(admin_client, mug):
    made = delivery({mug: 2})

    assert "Yes, count 5,000 units" in scan(admin_client, made, "5000*MUG")
    scan(admin_client, made, "MUG", quantity="5000", confirmed="on")

    assert line_of(made, mug) == (2, 5_000)


def test_a_scan_that_is_sent_again_counts_once_and_is_told_again(admin_client, mug):
    made = delivery({mug: 2})

    first = scan(admin_client, made, "MUG", once="abc")
    again = scan(admin_client, made, "MUG", once="abc")

    assert "1 of 2" in first
    assert "1 of 2" in again
    assert line_of(made, mug) == (2, 1)


def test_what_is_expected_is_scanned_too(admin_client, mug):
    made = delivery()

    told = scan(admin_client, made, "MUG", quantity="30", expecting="True")

    assert "30 expected" in told
    assert line_of(made, mug) == (30, 0)


def test_a_line_is_corrected_and_removed_by_hand(admin_client, mug):
    made = delivery({mug: 2})
    at = f"{page(made, 'line')}?line={made.lines.get().pk}"

    refused = send(admin_client, at, {"expected": "2", "received": "5000"})
    assert "5,000 units of MUG at once?" in text(refused)
    assert 'type="checkbox" name="confirmed"' in text(refused).replace("\n", " ")
    send(admin_client, at, {"expected": "3", "received": "4"})
    assert line_of(made, mug) == (3, 4)

    send(admin_client, at, {"expected": "3", "received": "4", "_remove": "yes"})
    assert not made.lines.exists()
    assert send(admin_client, at, {"expected": "3", "received": "4"}).status_code == 302


def test_booking_says_beforehand_what_it_will_do_and_does_it_once(admin_client, mug):
    shirt = product(name="Shirt", sku="SHIRT")
    made = delivery({mug: 5, shirt: 1}, supplier="Harbour Mills")
    deliveries.scan(made.pk, "MUG", 3)
    deliveries.scan(made.pk, "SHIRT", 2)

    shown = " ".join(text(admin_client.get(page(made, "book"))).split())
    send(admin_client, page(made, "book"), {"expect_rest": "on"})

    assert "Adds 5 units of 2 products to the stock" in shown
    assert "2 units of what was expected did not come." in shown
    assert "1 unit came that nobody expected." in shown
    assert "2 short" in shown
    assert entries(mug) == [("increment", 3, "Delivery D-1001 from Harbour Mills")]
    rest = Delivery.objects.get(follows=made)
    assert line_of(rest, mug) == (2, 0)


def sent_hidden(client: Client, made: Delivery) -> dict[str, Any]:
    form = client.get(page(made, "book")).context["form"]
    return {field.html_name: field.value() for field in form.hidden_fields()}


def test_what_a_count_found_before_it_was_booked_is_said_before_it_is_booked_too(admin_client, mug):
    cap = product(3, sku="CAP")
    inventory.count(mug.pk, 7, actor=MERCHANT)
    made = delivery({mug: 2, cap: 1})
    scan(admin_client, made, "MUG", quantity="2")
    scan(admin_client, made, "CAP")
    inventory.count(cap.pk, 3, actor=MERCHANT)
    assert "Counted since" not in text(admin_client.get(page(made, "book")))

    inventory.count(mug.pk, 9, actor=MERCHANT)

    said = " ".join(text(admin_client.get(page(made, "book"))).split())
    assert "Counted since this delivery was made: MUG, 2 more than the books said, at 20" in said
    assert "CAP, " not in said
    inventory.undo(mug.pk, stock_of(mug).sequence, actor=MERCHANT)
    assert "Counted since" not in text(admin_client.get(page(made, "book")))


def test_what_somebody_scanned_meanwhile_is_looked_at_before_it_is_booked(admin_client, mug):
    made = delivery({mug: 5})
    deliveries.scan(made.pk, "MUG")
    sent = sent_hidden(admin_client, made)
    deliveries.scan(made.pk, "MUG")

    answer = admin_client.post(page(made, "book"), {**sent, "expect_rest": ""})

    assert "It changed since this form was opened" in text(answer)
    assert "Book 2 units" in text(answer)
    assert numbers(mug) == (0, 0, 0)


def test_what_cannot_be_booked_is_said_before_anybody_tries(admin_client, mug):
    made = delivery({mug: 5})
    assert "Nothing was received yet" in text(admin_client.get(page(made, "book")))
    deliveries.scan(made.pk, "MUG")
    products.stop_managing(mug.pk, actor=MERCHANT)

    assert "The stock of MUG is not managed." in text(admin_client.get(page(made, "book")))
    assert "it cannot be booked" in text(admin_client.get(page(made)))


def test_of_a_product_that_was_deleted_it_is_said_and_where_it_is(admin_client, mug):
    made = delivery({mug: 2})
    scan(admin_client, made, "MUG")
    products.archive(mug.pk, actor=MERCHANT)

    goods = admin_client.get(page(made))

    assert "It was deleted from the store, so it cannot be booked." in text(goods)
    assert archived_url(mug.pk) in goods.content.decode()
    assert "MUG: deleted from the store. Take it off" in text(admin_client.get(page(made, "book")))
    with pytest.raises(LinesNotBookable, match="MUG: deleted"):
        booking.book(made.pk, actor=MERCHANT)


def test_a_scan_into_a_delivery_that_is_deleted_at_that_moment_is_no_fault(
    admin_client, monkeypatch, mug
):
    made = delivery({mug: 2})
    scan_it = deliveries.scan

    def scan_after_the_deletion(*args: Any, **options: Any) -> None:
        deliveries.delete(made.pk, actor=MERCHANT)
        scan_it(*args, **options)

    monkeypatch.setattr(deliveries, "scan", scan_after_the_deletion)
    sent = {"action": "scan", "code": "MUG", "quantity": "1"}

    assert admin_client.post(page(made), sent, headers={"X-Scan": "1"}).status_code == 302


def test_a_booking_is_undone_on_the_page(admin_client, mug):
    made = delivery({mug: 5})
    deliveries.scan(made.pk, "MUG")
    booking.book(made.pk, actor=MERCHANT)

    booked = text(admin_client.get(page(made)))
    assert "4 did not come" in booked
    assert "Booked (UTC)" in booked
    assert "Undo booking" in booked
    send(admin_client, page(made, "undo"))

    assert numbers(mug) == (0, 0, 0)
    assert "Booking undone" in text(admin_client.get(page(made)))


def test_who_may_only_look_scans_nothing(mug):
    made = delivery({mug: 5})
    viewer = client_with("view_delivery")

    shown = text(viewer.get(page(made)))

    assert "Blue mug" in shown
    for hidden in ('id="scan"', "Book …", "Correct"):
        assert hidden not in shown
    assert viewer.post(page(made), {"action": "scan", "code": "MUG"}).status_code == 403


def test_the_page_and_a_scan_cost_the_same_however_many_lines_there_are(admin_client, mug):
    made = delivery({mug: 5})

    def costs() -> tuple[int, int]:
        at = statements(lambda: admin_client.get(page(made)))
        return at, statements(lambda: scan(admin_client, made, "MUG"))

    store.current()
    few = costs()
    for _ in range(5):
        deliveries.scan(made.pk, product().sku)

    assert costs() == few


def test_lines_are_shown_by_how_they_compare_and_a_page_at_a_time(admin_client, mug, monkeypatch):
    monkeypatch.setattr("backoffice.deliveries.goods.LINES_A_PAGE", 1)
    shirt = product(name="Shirt")
    made = delivery({mug: 5, shirt: 1})
    deliveries.scan(made.pk, product(name="Surprise").sku)

    first = admin_client.get(page(made))
    second = admin_client.get(f"{page(made)}?after={first.context['page'].next}")

    assert ("Blue mug" in text(first), "Shirt" in text(first)) == (True, False)
    assert ("Blue mug" in text(second), "Shirt" in text(second)) == (False, True)
    assert second.context["page"].previous is not None
    assert "Surprise" in text(admin_client.get(f"{page(made)}?show=unexpected"))
