"""What people do with the units of an order: ship, undo, cancel items, take back, inspect."""

from datetime import timedelta

import pytest

from api import clock
from api.errors import Moved
from backoffice import attention
from backoffice.actions import read_standing
from inventory.models import StockTransaction
from inventory.services import products
from inventory.services import stock as inventory
from inventory.services.stock import Whereabouts
from orders.models import Order, OrderItem, Shipment
from orders.services import shipments
from payments.models import Payment
from payments.services import payments
from payments.services.payments import PaymentRequest
from tests.backoffice.orders.looking import (
    action,
    money,
    numbers,
    opened,
    page,
    states,
    told,
)
from tests.backoffice.pages import client_with, send, send_as_it_is, text
from tests.factories import MERCHANT, paid_order, product, shipped_order, undo_ship, unpaid_order
from tests.fake_gateway import DECLINED

pytestmark = pytest.mark.django_db


def units(**of_lines: int) -> dict[str, str]:
    """What is typed beside the lines of these skus."""
    items = {item.sku: item for item in OrderItem.objects.filter(sku__in=of_lines)}
    return {f"units_{items[sku].pk.hex}": str(typed) for sku, typed in of_lines.items()}


def became(**of_lines: str) -> dict[str, str]:
    items = {item.sku: item for item in OrderItem.objects.filter(sku__in=of_lines)}
    return {f"became_{items[sku].pk.hex}": chosen for sku, chosen in of_lines.items()}


def shipment_of(order: Order, number: int = 1) -> Shipment:
    return order.shipments.get(number=number)


def partly_shipped(*, price: int = 1000) -> Order:
    """Three mugs and a tin, of which one mug is shipped."""
    mug, tin = product(10, sku="MUG", price=price), product(10, sku="TIN", price=500)
    order = paid_order({mug: 3, tin: 1})
    shipments.ship(order.pk, units={order.items.get(sku="MUG").pk: 1}, actor=MERCHANT)
    order.refresh_from_db()
    return order


# Ship.


def test_ship_says_what_it_does_and_ships_all_that_is_left(admin_client):
    shirt = product(10)
    order = paid_order({shirt: 3})

    asked = text(admin_client.get(action(order, "ship")))
    before = numbers(shirt)
    response = send_as_it_is(admin_client, action(order, "ship"))

    assert "Takes what is shipped out of the total: 3 units at most." in asked
    assert before == (10, 7, 3)
    assert (response.status_code, response.url) == (302, page(order))
    assert numbers(shirt) == (7, 7, 0)
    assert states(order) == ("complete", "paid", "fulfilled")
    assert StockTransaction.objects.latest("sequence").actor_name == "admin"


def test_an_order_is_shipped_in_parts_with_a_parcel_each(admin_client):
    mug, tin = product(10, sku="MUG"), product(10, sku="TIN")
    order = paid_order({mug: 3, tin: 1})
    parcel = {"carrier": "dhl", "tracking": "0034 0434"}

    first = send_as_it_is(
        admin_client, action(order, "ship"), {**units(MUG=2, TIN=0), **parcel}, follow=True
    )
    part = text(admin_client.get(page(order)))
    rest = admin_client.get(action(order, "ship"))
    last = send_as_it_is(
        admin_client, action(order, "ship"), {"tracking": "https://parcels.example/7"}, follow=True
    )

    assert f"Shipment 1 of order {order} is on its way. The rest is to be shipped." in text(first)
    assert "Paid, 2 of 4 shipped" in part
    assert "Ship the rest" in part
    assert [row.most for row in rest.context["form"].rows()] == [1, 1]
    assert f"Order {order} is shipped." in text(last)
    shown = text(last)
    assert (
        'href="https://www.dhl.com/global-en/home/tracking.html?tracking-id=0034%200434"' in shown
    )
    assert 'href="https://parcels.example/7"' in shown
    assert "2 of MUG" in shown
    assert "1 of MUG, 1 of TIN" in shown
    assert (numbers(mug), numbers(tin)) == ((7, 7, 0), (9, 9, 0))
    assert [entry[2] for entry in told(admin_client, order) if entry[0] == "Shipped"] == [
        "Shipment 1: dhl 0034 0434: 2 of MUG",
        "Shipment 2: https://parcels.example/7",
    ]


@pytest.mark.parametrize("typed", ["4", "-1", "half", "1.0"])
def test_no_more_is_shipped_than_is_left(admin_client, typed):
    mug = product(10, sku="MUG")
    order = paid_order({mug: 3})
    [field] = units(MUG=0)

    response = send_as_it_is(admin_client, action(order, "ship"), {field: typed})

    assert list(response.context["form"].errors) == [field]
    assert numbers(mug) == (10, 7, 3)


def test_a_shipment_of_nothing_is_none(admin_client):
    order = paid_order({product(10, sku="MUG"): 3})

    response = send_as_it_is(admin_client, action(order, "ship"), units(MUG=0))

    assert "Say of at least one line how many units." in text(response)
    assert not order.shipments.exists()


def test_a_tracking_number_leads_nowhere_that_is_not_known(admin_client):
    order = paid_order({product(10): 1})
    parcel = {"carrier": "Aunt Emma", "tracking": "javascript:alert(1)"}

    shown = text(send_as_it_is(admin_client, action(order, "ship"), parcel, follow=True))

    assert "Aunt Emma javascript:alert(1)" in shown
    assert 'href="javascript' not in shown


def test_ship_of_what_is_not_paid_is_refused(admin_client):
    shirt = product(10)
    order = unpaid_order({shirt: 3})

    asked = text(admin_client.get(action(order, "ship")))
    response = send_as_it_is(admin_client, action(order, "ship"), follow=True)

    assert "Only a paid order can be shipped." in asked
    assert "Only a paid order can be shipped." in text(response)
    assert numbers(shirt) == (10, 10, 0)
    assert states(order) == ("incomplete", "unpaid", "unfulfilled")


def test_the_second_of_two_who_ship_the_same_units_is_told(admin_client):
    mug = product(10, sku="MUG")
    order = paid_order({mug: 3})
    first = opened(admin_client, order, "ship")
    second = opened(client_with("view_order", "change_order"), order, "ship")

    first.send(**units(MUG=2))
    shown = text(second.send(**units(MUG=2)))

    assert "It changed since this form was opened, so nothing was done." in shown
    assert "Units of MUG: was 3 allocated, and is 1 allocated, 2 shipped now." in shown
    assert order.shipments.count() == 1
    assert numbers(mug) == (8, 7, 1)


# Undo a shipment.


def test_one_shipment_is_undone_and_the_others_stay(admin_client):
    order = partly_shipped()
    shipments.ship(order.pk, actor=MERCHANT)
    last = shipment_of(order, 2)

    asked = text(admin_client.get(action(last, "undo-ship")))
    response = send(admin_client, action(last, "undo-ship"), {"reason": "Still here"}, follow=True)

    assert "Brings 3 units back into the total" in asked
    assert "Undo shipment 2" in asked
    assert "It is to be shipped again." in text(response)
    assert "Paid, 1 of 4 shipped" in text(response)
    assert action(shipment_of(order), "undo-ship") in text(response)
    assert action(last, "undo-ship") not in text(response)
    assert ("Ship undone", "admin", "Shipment 2: Still here") in told(admin_client, order)


def test_undo_is_not_offered_once_units_were_taken_back(admin_client):
    order = shipped_order({product(10, sku="MUG"): 3})
    undo = action(shipment_of(order), "undo-ship")
    offered = undo in text(admin_client.get(page(order)))
    typed = {**units(MUG=1), "reason": "Torn", "amount": "0"}
    send_as_it_is(admin_client, action(order, "take-back"), typed)

    assert offered
    assert undo not in text(admin_client.get(page(order)))
    assert "taken back already" in text(admin_client.get(undo))


def test_t19_what_does_not_come_back_is_named_and_the_rest_does(admin_client):
    mug, tin = product(10, sku="MUG"), product(10, sku="TIN")
    order = shipped_order({mug: 3, tin: 2})
    products.archive(tin.pk, actor=MERCHANT)
    undo = action(shipment_of(order), "undo-ship")

    asked = text(admin_client.get(undo))
    send(admin_client, undo, {"reason": "Still here"})

    assert "Brings 3 units back into the total" in asked
    assert "2 of TIN do not come back: its stock is no longer managed." in asked
    assert numbers(mug) == (10, 7, 3)
    assert states(order)[2] == "unfulfilled"


def test_undo_asks_where_the_units_were_if_they_were_counted_since(admin_client):
    shirt = product(10, sku="SHIRT")
    undo = action(shipment_of(shipped_order({shirt: 3})), "undo-ship")
    before_count = text(admin_client.get(undo))
    inventory.count(shirt.pk, 10, actor=MERCHANT)

    asked = send(admin_client, undo, {"reason": "Still here"})
    send(admin_client, undo, {"reason": "Still here", "whereabouts": "no"})
    before = numbers(shirt)
    send(admin_client, undo, {"reason": "Still here", "whereabouts": "shelf"})

    assert "whereabouts" not in before_count
    assert "Counted since it was shipped: SHIRT at 2" in text(asked)
    assert (before, numbers(shirt)) == ((10, 10, 0), (10, 7, 3))


def test_t11_where_the_units_were_is_said_of_the_counts_that_were_seen(admin_client):
    shirt = product(10, sku="SHIRT")
    order = shipped_order({shirt: 3})
    undo = action(shipment_of(order), "undo-ship")
    inventory.count(shirt.pk, 7, actor=MERCHANT)
    seen = admin_client.get(undo).context["form"]["seen"].value()
    inventory.count(shirt.pk, 10, actor=MERCHANT)

    answer = {"reason": "Back", "whereabouts": "back", "seen": seen}
    told_of = send(admin_client, undo, answer)
    with pytest.raises(Moved):
        undo_ship(order, reason="Back", whereabouts=Whereabouts.CAME_BACK, seen=read_standing(seen))

    assert "Count of SHIRT: was 2" in text(told_of)
    assert numbers(shirt) == (10, 10, 0)


def test_undo_wants_a_reason(admin_client):
    shirt = product(10)
    order = shipped_order({shirt: 3})

    response = send(admin_client, action(shipment_of(order), "undo-ship"), {"reason": " "})

    assert "Say why" in text(response)
    assert numbers(shirt) == (7, 7, 0)


def test_undo_is_for_those_who_may():
    order = shipped_order({product(10): 3})
    undo = action(shipment_of(order), "undo-ship")
    client = client_with("view_order", "change_order")

    assert "undo-ship" not in text(client.get(page(order)))
    assert send(client, undo, {"reason": "Oh"}).status_code == 403


def test_t11_a_shipment_is_undone_once_and_as_it_was_seen(admin_client):
    shirt = product(10, price=1000)
    order = shipped_order({shirt: 3})
    first, second, third = [opened(admin_client, shipment_of(order), "undo-ship") for _ in "123"]
    payments.refund(order.pk, order.payments.get().pk, 500, actor=MERCHANT)

    assert "Refunded: was $0.00" in text(first.send(reason="Oh"))
    assert numbers(shirt) == (7, 7, 0)
    undo_ship(order, reason="Wrong parcel")
    shipments.ship(order.pk, actor=MERCHANT)
    for form in (second, third):
        assert "was undone already" in text(form.send(reason="Oh"))
    assert numbers(shirt) == (7, 7, 0)


def test_a_shipment_of_another_order_leads_back(admin_client):
    order, other = shipped_order({product(10): 1}), paid_order({product(10): 1})
    foreign = action(shipment_of(order), "undo-ship").replace(str(order.pk), str(other.pk))

    assert admin_client.get(foreign).url == page(other)


# Cancel items.


def test_the_rest_is_cancelled_and_exactly_its_price_given_back(admin_client):
    order = partly_shipped()
    mug, tin = [item.product for item in order.items.order_by("position")]

    form = admin_client.get(action(order, "cancel-items"))
    done = send_as_it_is(
        admin_client, action(order, "cancel-items"), {"reason": "Sold out"}, follow=True
    )

    assert [row.fields[0].value() for row in form.context["form"].rows()] == [2, 1]
    assert "up to $35.00, which can go back" in text(form)
    assert f"3 units of order {order} cancelled. $25.00 is refunded." in text(done)
    assert money(order) == (3500, 0, 2500)
    assert states(order) == ("complete", "paid", "fulfilled")
    assert "Shipped, partly refunded" in text(done)
    assert (numbers(mug), numbers(tin)) == ((9, 9, 0), (10, 10, 0))
    assert ("Items cancelled", "admin", "2 of MUG, 1 of TIN: Sold out") in told(admin_client, order)


def test_some_units_are_written_off_and_another_amount_is_given_back(admin_client):
    mug, tin = product(10, sku="MUG", price=1000), product(10, sku="TIN", price=500)
    order = paid_order({mug: 3, tin: 1})
    form = admin_client.get(action(order, "cancel-items")).context["form"]
    typed = {"whereto": "written_off", "amount": "5.00", "reason": "Dropped"}

    send_as_it_is(admin_client, action(order, "cancel-items"), {**units(MUG=1), **typed})

    assert [row.fields[0].value() for row in form.rows()] == [0, 0]
    assert money(order) == (3500, 0, 500)
    assert numbers(mug) == (9, 7, 2)
    assert states(order) == ("complete", "paid", "unfulfilled")
    assert [row.most for row in admin_client.get(action(order, "ship")).context["form"].rows()] == (
        [2, 1]
    )


def test_the_money_of_cancelled_items_goes_back_by_the_payments_it_came_with(admin_client):
    order = unpaid_order({product(10, sku="MUG", price=1000): 3})
    for amount in (1500, 1500):
        payments.pay(order.pk, PaymentRequest("test", amount=amount), actor=MERCHANT)

    typed = {**units(MUG=2), "reason": "Sold out"}
    done = send_as_it_is(admin_client, action(order, "cancel-items"), typed, follow=True)

    assert "$15.00 is refunded. $5.00 is refunded." in text(done)
    refunded = order.payments.order_by("pk").values_list("refunded_amount", flat=True)
    assert list(refunded) == [1500, 500]


@pytest.mark.parametrize("amount", ["-1", "35.01", "all"])
def test_an_amount_that_cannot_go_back_cancels_nothing(admin_client, amount):
    order = partly_shipped()
    typed = {"reason": "Sold out", "amount": amount}

    response = send_as_it_is(admin_client, action(order, "cancel-items"), typed)

    assert list(response.context["form"].errors) == ["amount"]
    assert money(order) == (3500, 0, 0)
    assert sum(item.left for item in order.items.all()) == 3


def test_all_of_an_order_is_cancelled_as_a_whole(admin_client):
    order = paid_order({product(10, sku="MUG"): 2})
    single = paid_order({product(10): 1})
    typed = {**units(MUG=2), "reason": "Sold out"}

    refused = send_as_it_is(admin_client, action(order, "cancel-items"), typed)

    assert "Nothing would be left of the order. Cancel it as a whole." in text(refused)
    assert money(order) == (3000 - 500, 0, 0)
    assert "cancel-items" not in text(admin_client.get(page(single)))


def test_who_may_not_refund_cancels_items_and_leaves_the_money():
    order = partly_shipped()
    client = client_with("view_order", "change_order")

    form = client.get(action(order, "cancel-items"))
    send_as_it_is(client, action(order, "cancel-items"), {"reason": "Sold out"})

    assert "Money stays as it is, until somebody refunds it." in text(form)
    assert "amount" not in form.context["form"].fields
    assert money(order) == (3500, 0, 0)
    assert states(order)[2] == "fulfilled"


def test_the_second_of_two_who_cancel_the_rest_is_told(admin_client):
    order = partly_shipped()
    second = opened(client_with("view_order", "change_order"), order, "cancel-items")

    send_as_it_is(admin_client, action(order, "cancel-items"), {"reason": "Sold out"})
    shown = text(second.send(reason="Sold out", whereto="available", **units(MUG=2, TIN=1)))

    assert "so nothing was done." in shown
    assert "Units of MUG: was 2 allocated, 1 shipped, and is 2 cancelled, 1 shipped now." in shown
    assert money(order) == (3500, 0, 2500)


def test_items_are_cancelled_though_their_refund_fails_and_that_is_told(admin_client, gateway):
    order = unpaid_order({product(10, sku="MUG", price=1000): 3})
    payments.pay(order.pk, PaymentRequest("fake"), actor=MERCHANT)
    gateway.on_perform = lambda attempt: DECLINED
    typed = {**units(MUG=1), "reason": "Sold out"}

    done = text(send_as_it_is(admin_client, action(order, "cancel-items"), typed, follow=True))

    assert "$10.00 could not be refunded" in done
    assert money(order) == (3000, 0, 0)
    assert order.items.get().cancelled == 1
    assert attention.why(order.pk) == [attention.FAILED]


# Take back.


def test_units_are_taken_back_with_what_became_of_them_and_their_price(admin_client):
    mug, tin = product(10, sku="MUG", price=1000), product(10, sku="TIN", price=500)
    order = shipped_order({mug: 3, tin: 1})
    chosen = {**units(MUG=2, TIN=1), **became(MUG="restocked", TIN="discarded")}

    form = text(admin_client.get(action(order, "take-back")))
    done = send_as_it_is(
        admin_client, action(order, "take-back"), {**chosen, "reason": "Did not fit"}, follow=True
    )

    assert "Restocked, units are available again" in form
    assert "3 units taken back. $25.00 is refunded." in text(done)
    assert (numbers(mug), numbers(tin)) == ((9, 9, 0), (9, 9, 0))
    assert money(order) == (3500, 0, 2500)
    shown = text(done)
    for part in ("R-1", "2 of MUG restocked", "1 of TIN discarded", "Refund of $25.00 succeeded"):
        assert part in shown
    assert ("Stock: 2 units put back", "admin", "Did not fit · 2 of MUG") in told(
        admin_client, order
    )


def test_what_came_back_twice_for_one_reason_is_told_twice(admin_client):
    order = shipped_order({product(10, price=1250, sku="SHIRT"): 3})
    sent = {"amount": "1.00", "reason": "Did not fit", **units(SHIRT=1)}

    send_as_it_is(admin_client, action(order, "take-back"), sent)
    tomorrow = clock.now() + timedelta(days=1)
    with clock.replaced(lambda: tomorrow):
        send_as_it_is(admin_client, action(order, "take-back"), sent)

    back = ("Stock: 1 unit put back", "admin", "Did not fit · 1 of SHIRT")
    assert told(admin_client, order).count(back) == 2


def test_goods_come_back_after_all_the_money_went_back(admin_client):
    mug = product(10, sku="MUG", price=1000)
    order = shipped_order({mug: 1})
    payments.refund(order.pk, order.payments.get().pk, 1000, actor=MERCHANT)

    form = admin_client.get(action(order, "take-back"))
    typed = {**units(MUG=1), "reason": "Came late"}
    done = send_as_it_is(admin_client, action(order, "take-back"), typed, follow=True)

    assert "No money is left to give back." in text(form)
    assert "amount" not in form.context["form"].fields
    assert "1 unit taken back." in text(done)
    assert numbers(mug) == (10, 10, 0)


def test_what_has_no_stock_is_not_offered_to_be_put_there(admin_client):
    order = shipped_order({product(managed=False, sku="GIFT"): 2})

    [row] = admin_client.get(action(order, "take-back")).context["form"].rows()
    typed = {**units(GIFT=1), "reason": "Unwanted", "amount": "0"}
    send_as_it_is(admin_client, action(order, "take-back"), typed)

    assert [choice for choice, _ in row.fields[1].field.choices] == ["discarded", "missing"]
    assert order.items.get().returned == 1


def test_what_was_set_aside_is_looked_at_later_a_part_at_a_time(admin_client):
    mug = product(10, sku="MUG", price=1000)
    order = shipped_order({mug: 3})
    typed = {**units(MUG=2), **became(MUG="inspection"), "reason": "Opened", "amount": "0"}
    send_as_it_is(admin_client, action(order, "take-back"), typed)
    set_aside, waiting = numbers(mug), attention.why(order.pk)
    line = order.returns.get().lines.get()
    inspect = action(line, "inspect")

    offered = inspect in text(admin_client.get(page(order)))
    second = opened(admin_client, line, "inspect")
    found = {"quantity": "1", "reason": "Like new"}
    done = send_as_it_is(admin_client, inspect, {**found, "outcome": "restocked"}, follow=True)
    again = second.send(**found, outcome="discarded")
    rest = order.returns.get().lines.get(settled_at=None)
    send_as_it_is(admin_client, action(rest, "inspect"), {"outcome": "discarded", "reason": "Torn"})

    assert offered
    assert waiting == [attention.TO_INSPECT]
    assert attention.why(order.pk) == []
    assert set_aside == (9, 7, 2)
    assert "1 unit restocked." in text(done)
    assert "looked at already" in text(again)
    assert numbers(mug) == (8, 8, 0)
    shown = text(admin_client.get(page(order)))
    assert "1 of MUG inspected: restocked" in shown
    assert "1 of MUG inspected: discarded" in shown
    assert "/inspect/" not in shown


@pytest.mark.parametrize("typed", ["4", "-1", "half"])
def test_no_more_is_taken_back_than_is_away(admin_client, typed):
    shirt = product(10, price=1250, sku="SHIRT")
    order = shipped_order({shirt: 3})
    [field] = units(SHIRT=0)

    response = send_as_it_is(
        admin_client, action(order, "take-back"), {"reason": "Did not fit", field: typed}
    )

    assert list(response.context["form"].errors) == [field]
    assert numbers(shirt) == (7, 7, 0)
    assert money(order) == (3750, 0, 0)


def test_t11_two_people_take_back_one_unit_and_it_is_taken_back_once(admin_client):
    shirt = product(10, price=4000, sku="SHIRT")
    order = shipped_order({shirt: 1})
    typed = {"amount": "40.00", "reason": "Returned", **units(SHIRT=1), **became(SHIRT="restocked")}
    second_client = client_with("view_order", "change_order", "refund_payment")
    first = opened(admin_client, order, "take-back")
    second = opened(second_client, order, "take-back")

    first.send(**typed)
    shown = text(second.send(**typed))

    assert money(order) == (4000, 0, 4000)
    assert numbers(shirt) == (10, 10, 0)
    assert "Refunded: was $0.00, and is $40.00 now." in shown
    assert "Units of SHIRT: was 1 shipped, and is 1 returned, 1 shipped now." in shown
    assert 'There is no place for "Units of SHIRT", "what became of SHIRT"' in shown
    # The same person's second click is nothing new.
    assert "recorded already" in text(first.send(**typed))
    assert Payment.objects.get().attempts.count() == 1


@pytest.mark.parametrize("gone", ["amount", "reason", "units", "became"])
def test_t11_a_form_that_arrives_without_one_of_its_fields_does_nothing(admin_client, gone):
    shirt = product(10, price=4000, sku="SHIRT")
    order = shipped_order({shirt: 1})
    form = opened(admin_client, order, "take-back")
    typed = {"amount": "40.00", "reason": "Returned", **units(SHIRT=1), **became(SHIRT="restocked")}
    sent = {name: value for name, value in {**form.hidden, **typed}.items() if gone not in name}

    shown = text(admin_client.post(form.address, sent))

    assert "did not arrive, so nothing was done." in shown
    assert (money(order), numbers(shirt)) == ((4000, 0, 0), (9, 9, 0))


@pytest.mark.parametrize("name", ["ship", "cancel-items", "take-back"])
def test_who_may_only_view_orders_moves_no_units(name):
    order = partly_shipped()
    client = client_with("view_order")

    assert f"/{name}/" not in text(client.get(page(order)))
    assert client.get(action(order, name)).status_code == 403
    assert send(client, action(order, name)).status_code == 403


# The page.


def test_the_page_costs_the_same_for_one_shipment_and_return_and_for_several(
    admin_client, django_assert_max_num_queries
):
    order = paid_order({product(50, sku="MUG", price=1000): 9})
    item = order.items.get()
    costs = []
    for _ in range(3):
        shipments.ship(order.pk, units={item.pk: 2}, actor=MERCHANT)
        typed = {**units(MUG=1), "reason": "Torn", "amount": "1"}
        send_as_it_is(admin_client, action(order, "take-back"), typed)
        with django_assert_max_num_queries(20) as queries:
            admin_client.get(page(order))
        costs.append(len(queries))

    assert costs[0] == costs[2]
