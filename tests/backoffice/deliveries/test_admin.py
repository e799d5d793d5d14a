"""The list of deliveries, and what is written on each."""

from datetime import date, timedelta

import pytest

from api import clock, store
from inventory.models import Delivery
from inventory.services import booking, deliveries
from tests.backoffice.pages import send, text
from tests.factories import MERCHANT, delivery, product
from tests.http import statements

pytestmark = pytest.mark.django_db

LIST = "/admin/inventory/delivery/"
ADD = f"{LIST}add/"


def booked(number: str) -> Delivery:
    made = delivery(number=number)
    deliveries.scan(made.pk, product().sku)
    booking.book(made.pk, actor=MERCHANT)
    return made


def test_the_open_ones_come_first_and_say_how_far_they_are(admin_client):
    mug = product(sku="MUG")
    day = clock.now().date()
    booked("D-1")
    delivery({mug: 3}, number="D-2", expected_on=day + timedelta(days=9))
    delivery({mug: 3}, number="D-3", expected_on=day - timedelta(days=2))
    half = delivery({mug: 3}, number="D-4", expected_on=day + timedelta(days=1))
    deliveries.scan(half.pk, "MUG")

    answer = admin_client.get(LIST)

    listed = answer.context["cl"].result_list
    assert [each.number for each in listed] == ["D-3", "D-4", "D-2", "D-1"]
    shown = text(answer)
    for words in ("overdue", "being received", "1 of 3", "booked"):
        assert words in shown


@pytest.mark.parametrize("asked", ["d-77", "mills", "4006381333931"])
def test_one_is_found_by_number_supplier_or_product(admin_client, asked):
    delivery({product(barcode="4006381333931"): 1}, number="D-77", supplier="Harbour Mills")
    delivery(number="D-88")

    found = admin_client.get(LIST, {"q": asked}).context["cl"].result_list

    assert [each.number for each in found] == ["D-77"]


def test_the_list_costs_the_same_however_many_there_are(admin_client):
    store.current()
    delivery({product(): 1})
    few = statements(lambda: admin_client.get(LIST))
    for number in range(3):
        delivery({product(): 1}, number=f"of {number}")

    assert statements(lambda: admin_client.get(LIST)) == few


def test_one_is_made_with_the_next_number_and_goes_on_to_its_goods(admin_client):
    delivery(number="D-1041")
    form = admin_client.get(ADD).context["adminform"].form
    typed = {"number": form["number"].value(), "expected_on": "2026-12-01", "supplier": "Mills"}

    answer = admin_client.post(ADD, {**typed, "note": ""})

    made = Delivery.objects.get(number="D-1042")
    assert answer.url == f"{LIST}{made.pk}/goods/?expecting=on"
    assert (made.supplier, made.expected_on) == ("Mills", date(2026, 12, 1))


def test_a_number_that_is_taken_is_said_at_its_field(admin_client):
    delivery(number="D-1001")

    answer = admin_client.post(ADD, {"number": "d-1001", "supplier": "", "note": ""})

    form = answer.context["adminform"].form
    assert form.errors == {"number": ["Another delivery has this number."]}


def test_what_is_written_on_it_is_changed_while_it_is_open(admin_client):
    made = delivery(supplier="Mills")
    at = f"{LIST}{made.pk}/change/"
    typed = {"number": "D-1001", "supplier": "Weavers", "expected_on": "", "note": "Ring twice"}

    admin_client.post(at, {**typed, "initial-supplier": "Mills", "initial-number": "D-1001"})

    made.refresh_from_db()
    assert (made.supplier, made.note) == ("Weavers", "Ring twice")
    assert "Weavers" in text(admin_client.get(f"{LIST}{made.pk}/history/"))
    deliveries.scan(made.pk, product().sku)
    booking.book(made.pk, actor=MERCHANT)
    assert admin_client.post(at, typed).status_code == 403


def test_one_is_deleted_while_it_is_open(admin_client):
    made, other = delivery(), booked("D-2")

    assert "1 line" not in text(admin_client.get(f"{LIST}{made.pk}/delete/"))
    send(admin_client, f"{LIST}{made.pk}/delete/")
    send(admin_client, f"{LIST}{other.pk}/delete/")

    assert list(Delivery.objects.all()) == [other]
