"""The Inventory tab's forms, which move stock, and who may send them."""

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from inventory.models import Action, Product, StockTransaction
from inventory.services import products
from inventory.services import stock as inventory
from tests.backoffice.pages import client_with, hidden, send, text
from tests.factories import MERCHANT, holding_order, paid_order, product, stock_of

pytestmark = pytest.mark.django_db

PRODUCTS = "/admin/inventory/product/"


def tab(product: Product) -> str:
    return f"{PRODUCTS}{product.pk}/inventory/"


def numbers(product: Product) -> tuple[int, int, int, int]:
    stock = stock_of(product)
    return stock.total, stock.available, stock.allocated, stock.held


def move(client: Client, product: Product, action: str, quantity: Any, **fields: Any) -> Any:
    body = {"action": action, "quantity": quantity, "reason": "because", **fields}
    return send(client, tab(product), body)


def start(client: Client, product: Product, **options: Any) -> Any:
    form = client.get(tab(product)).context["start_form"]
    carried = {name: form[name].value() for name in ("once", "seen")}
    body = {**carried, "action": "start", "quantity": 7}
    return client.post(tab(product), body, **options)


def chosen(response: Any) -> str:
    """Tell which of the card's tabs is open."""
    [operation] = [each.action for each in response.context["operations"] if each.chosen]
    return str(operation)


def test_the_tab_says_how_the_total_is_made_up(admin_client):
    shirt = product(50)
    paid_order({shirt: 9})
    inventory.record(shirt.pk, Action.ALLOCATE, 3, actor=MERCHANT)

    response = admin_client.get(tab(shirt))

    assert "Total 50 = Available 38 + Allocated 12 (orders 9, set aside 3)" in text(response)


def test_a_form_that_was_sent_before_with_other_values_says_so_and_stays(admin_client):
    shirt = product(10)
    once = {"once": "k", "seen": "1"}
    move(admin_client, shirt, "increment", 1, **once)

    answer = move(admin_client, shirt, "increment", 5, **once)

    assert (answer.status_code, numbers(shirt)[0]) == (200, 11)
    assert "This form was sent before, with other values." in text(answer)


@pytest.mark.parametrize("written", ["12.000", "12.", "12,000"])
def test_t05_a_point_does_not_make_twelve_of_twelve_thousand(admin_client, written):
    shirt = product(12_000)

    response = move(admin_client, shirt, "count", written)

    assert "Enter a whole number." in text(response)
    assert numbers(shirt)[0] == 12_000


@pytest.mark.parametrize(
    ("action", "after"),
    [
        ("allocate", (10, 4, 6, 6)),
        ("deallocate", (10, 8, 2, 2)),
        ("increment", (12, 8, 4, 4)),
        ("decrement", (8, 4, 4, 4)),
    ],
)
def test_each_form_moves_stock_and_the_log_says_who_and_why(admin_client, action, after):
    shirt = product(10)
    inventory.record(shirt.pk, Action.ALLOCATE, 4, actor=MERCHANT)

    response = move(admin_client, shirt, action, 2, reason="Counted twice")

    assert (response.status_code, response.url) == (302, f"{tab(shirt)}?do={action}")
    assert numbers(shirt) == after
    entry = StockTransaction.objects.latest("sequence")
    assert (entry.action, entry.quantity, entry.reason) == (action, 2, "Counted twice")
    assert (entry.actor_kind, entry.actor_name) == ("user", "admin")
    shown = text(admin_client.get(tab(shirt)))
    assert "Counted twice" in shown
    assert "admin" in shown


def test_a_refusal_stands_on_its_form_with_what_was_typed_and_changes_nothing(admin_client):
    shirt = product(10)
    paid_order({shirt: 4})

    response = move(admin_client, shirt, "deallocate", 3, reason="Wrong shelf")

    refused = response.context["form"].non_field_errors()
    assert refused == ["None are set aside by hand; 3 asked for."]
    assert chosen(response) == "deallocate"
    assert 'value="3"' in text(response)
    assert 'value="Wrong shelf"' in text(response)
    assert numbers(shirt) == (10, 6, 4, 0)
    assert StockTransaction.objects.count() == 2


@pytest.mark.parametrize("quantity", ["", "0", "-1", "1.5", "many", "2147483648"])
def test_a_quantity_that_is_no_positive_number_changes_nothing(admin_client, quantity):
    shirt = product(10)

    response = move(admin_client, shirt, "increment", quantity)

    assert response.status_code == 200
    assert "hf-field-error" in text(response)
    assert numbers(shirt) == (10, 10, 0, 0)


def test_a_reason_is_asked_for(admin_client):
    shirt = product(10)

    response = move(admin_client, shirt, "increment", 1, reason="  ")

    assert "Say why: the log keeps it." in text(response)
    assert numbers(shirt) == (10, 10, 0, 0)


def test_a_form_sent_twice_moves_once(admin_client):
    shirt = product(10)
    page = admin_client.get(tab(shirt))
    once = page.context["form"]["once"].value()

    move(admin_client, shirt, "increment", 5, once=once)
    body = {"action": "increment", "quantity": 5, "reason": "because", "once": once}
    response = send(admin_client, tab(shirt), body, follow=True)

    assert "recorded already" in text(response)
    assert numbers(shirt) == (15, 15, 0, 0)


def test_a_refused_form_can_be_corrected_and_sent_again(admin_client):
    shirt = product(10)

    move(admin_client, shirt, "decrement", 50, once="the-same-form")
    move(admin_client, shirt, "decrement", 5, once="the-same-form")

    assert numbers(shirt) == (5, 5, 0, 0)


def test_the_log_links_to_the_order_that_moved_the_stock(admin_client):
    shirt = product(10)
    order = holding_order({shirt: 2})

    shown = text(admin_client.get(tab(shirt)))

    assert reverse("admin:orders_order_change", args=[order.pk]) in shown


def test_an_unmanaged_product_says_so_and_can_be_managed(admin_client):
    gift = product(managed=False)
    assert "The stock of this product is not managed." in text(admin_client.get(tab(gift)))

    response = start(admin_client, gift, follow=True)

    assert "Total 7 = Available 7 + Allocated 0 (orders 0, set aside 0)" in text(response)
    assert StockTransaction.objects.get().reason == "initial stock"


def test_a_product_that_is_managed_already_is_not_started_again(admin_client):
    shirt = product(3)

    response = admin_client.post(tab(shirt), {"action": "start", "quantity": 7})

    assert response.status_code == 200
    assert "The form did not say what it was made from" in text(response)
    assert numbers(shirt) == (3, 3, 0, 0)


def test_t11_stock_is_not_begun_twice_by_two_people(admin_client):
    gift = product(managed=False)
    form = admin_client.get(tab(gift)).context["start_form"]
    start(admin_client, gift)

    body = {"seen": form["seen"].value(), "action": "start", "quantity": 7}
    answer = text(admin_client.post(tab(gift), body))

    assert "Managed: was no, and is yes now." in answer
    assert numbers(gift) == (7, 7, 0, 0)


def test_t11_two_people_record_one_delivery_and_the_second_is_asked(admin_client):
    shirt = product(10)
    body = {"action": "increment", "quantity": "5", "reason": "Delivery"}
    first, second = [{**hidden(admin_client, tab(shirt)), **body} for _ in range(2)]
    paid_order({shirt: 2})

    admin_client.post(tab(shirt), first)
    once = numbers(shirt)
    asked = admin_client.post(tab(shirt), second)
    unmoved = numbers(shirt)
    form = asked.context["form"]
    again = {name: form[name].value() for name in ("once", "seen", *body)}
    admin_client.post(tab(shirt), again)

    assert once == unmoved == (15, 13, 2, 0)
    assert "somebody recorded the same 5 (Delivery): it is 15 = 13 available" in text(asked)
    assert numbers(shirt) == (20, 18, 2, 0)


def test_t11_what_comes_or_goes_is_right_whatever_else_moved_meanwhile(admin_client):
    shirt = product(10)
    body = {**hidden(admin_client, tab(shirt)), "action": "increment", "quantity": "5"}
    inventory.record(shirt.pk, Action.DECREMENT, 5, actor=MERCHANT)
    inventory.record(shirt.pk, Action.INCREMENT, 1, actor=MERCHANT)
    paid_order({shirt: 5})

    admin_client.post(tab(shirt), {**body, "reason": "Delivery"})

    assert numbers(shirt) == (11, 6, 5, 0)


def test_t11_what_was_mistyped_keeps_what_was_seen(admin_client):
    shirt = product(10)
    carried = hidden(admin_client, tab(shirt))
    inventory.record(shirt.pk, Action.INCREMENT, 5, actor=MERCHANT)

    body = {**carried, "action": "increment", "quantity": "5"}
    wrong = admin_client.post(tab(shirt), body).context["form"]

    assert list(wrong.errors) == ["reason"]
    assert wrong["seen"].value() == str(carried["seen"])


@pytest.mark.parametrize("action", ["increment", "count"])
def test_t11_a_movement_that_says_not_what_was_seen_or_more_than_can_be_is_none(
    admin_client, action
):
    shirt = product(10)
    body = {"action": action, "quantity": "5", "reason": "Delivery"}

    unseen = admin_client.post(tab(shirt), body)
    more = send(admin_client, tab(shirt), {**body, "shelf": "4"})

    assert "The form did not say what it was made from" in text(unseen)
    assert unseen.context["form"]["seen"].value() == "1"
    assert 'There is no place for "shelf" any more' in text(more)
    assert numbers(shirt) == (10, 10, 0, 0)


def test_t11_no_other_units_are_written_off_than_were_seen(admin_client):
    shirt = product(8)
    seen = hidden(admin_client, f"{tab(shirt)}stop/")
    inventory.record(shirt.pk, Action.INCREMENT, 5, actor=MERCHANT)

    answer = text(admin_client.post(f"{tab(shirt)}stop/", seen))

    assert "Available: was 8, and is 13 now." in answer
    assert "Write off and stop managing" in answer
    assert stock_of(shirt).managed


def test_stop_managing_says_what_is_written_off_before_it_does_it(admin_client):
    shirt = product(8)

    asked = text(admin_client.get(f"{tab(shirt)}stop/"))
    unchanged = numbers(shirt)
    send(admin_client, f"{tab(shirt)}stop/")

    assert "8 units" in asked
    assert unchanged == (8, 8, 0, 0)
    assert not stock_of(shirt).managed
    assert StockTransaction.objects.latest("sequence").actor_name == "admin"


def test_stop_managing_is_refused_while_units_are_allocated(admin_client):
    shirt = product(8)
    paid_order({shirt: 1})

    response = send(admin_client, f"{tab(shirt)}stop/")

    assert "Units of this product are allocated." in text(response)
    assert numbers(shirt) == (8, 7, 1, 0)


def test_who_may_only_view_sees_the_numbers_and_no_forms():
    shirt = product(8)
    client = client_with("view_product", "view_stock")

    shown = text(client.get(tab(shirt)))

    assert "Total 8 = Available 8" in shown
    assert 'name="quantity"' not in shown
    assert move(client, shirt, "increment", 1).status_code == 403
    assert client.post(tab(shirt), {"action": "start", "quantity": 1}).status_code == 403
    assert client.get(f"{tab(shirt)}stop/").status_code == 403
    assert client.post(f"{tab(shirt)}stop/").status_code == 403
    assert numbers(shirt) == (8, 8, 0, 0)


def test_a_stock_clerk_may_move_stock_without_changing_products():
    shirt = product(8)
    client = client_with("view_product", "change_stock")

    assert move(client, shirt, "increment", 1).status_code == 302
    assert client.post(f"{PRODUCTS}{shirt.pk}/change/", {"name": "X"}).status_code == 403


def test_the_tab_is_closed_to_everybody_else(client):
    shirt = product(8)

    assert client.get(tab(shirt)).status_code == 302
    assert client_with().get(tab(shirt)).status_code == 403


def test_forms_without_a_token_are_turned_away():
    shirt = product(8)
    client = Client(enforce_csrf_checks=True)
    client.force_login(User.objects.create_superuser("boss"))

    assert move(client, shirt, "increment", 1).status_code == 403
    assert numbers(shirt) == (8, 8, 0, 0)


def test_an_unknown_action_and_an_unknown_product_move_nothing(admin_client):
    shirt = product(8)

    assert move(admin_client, shirt, "set", 1).status_code == 400
    products.archive(shirt.pk, actor=MERCHANT)
    assert admin_client.get(tab(shirt)).status_code == 302
