"""A process dies at every marked point once; recovery runs, twice at once; everything agrees."""

import random
from collections import Counter
from collections.abc import Callable, Iterator

import pytest

from events.models import Event
from inventory.models import StockTransaction
from orders.models import Order, OrderItem
from payments.models import Attempt, Payment
from tests.factories import product, stock_of
from tests.torture.caller import Entry
from tests.torture.hearing import Hearing
from tests.torture.marks import MARKS
from tests.torture.store import Store

pytestmark = pytest.mark.django_db(transaction=True)


def actions() -> list[str]:
    """What the log says that orders did, in its order."""
    log = StockTransaction.objects.filter(by_order=True).order_by("sequence")
    return list(log.values_list("action", flat=True))


def reached_in(kind: str) -> list[str]:
    return [mark for mark in MARKS if mark.startswith(f"{kind}.")]


# Paying.


@pytest.mark.parametrize("mark", ["begin.before_commit", "begin.committed"])
def test_f14_a_server_killed_before_it_asks_charges_nothing(store: Store, mark):
    shirt = product(stock=10)
    order = store.order(shirt)
    store.dies_at(mark, lambda: store.shopper.pay(order, key="k"))

    store.recover()

    assert Order.objects.get().payment == "unpaid"
    assert store.moves() == {}
    assert actions() == (["allocate", "deallocate"] if mark == "begin.committed" else [])
    assert stock_of(shirt).available == 10
    assert store.differences() == []
    # The buyer comes again, and the order can be paid as if nothing had been.
    store.paid(order, key="another")
    assert store.differences() == []


@pytest.mark.parametrize("mark", ["announce.made", "reference.committed"])
def test_f14_an_intent_that_nobody_confirmed_is_given_up(store: Store, mark):
    shirt = product(stock=10)
    order = store.order(shirt)
    store.dies_at(mark, lambda: store.shopper.pay(order, key="k"))

    store.recover()
    again = store.shopper.pay(order, key="k")

    assert (again.status, again.code) == (402, "payment_declined")
    assert Order.objects.get().payment == "unpaid"
    assert store.moves() == {}
    assert actions() == ["allocate", "deallocate"]
    assert store.differences() == []


@pytest.mark.parametrize("mark", ["charge.accepted", "settle.before_commit", "settle.committed"])
@pytest.mark.parametrize("method", ["purchase", "authorize"])
def test_f15_money_that_was_taken_before_the_death_pays_the_order(store: Store, mark, method):
    shirt = product(stock=10)
    order = store.order(shirt)
    store.dies_at(mark, lambda: store.shopper.pay(order, key="k", method=method))

    store.recover()
    again = store.shopper.pay(order, key="k", method=method)

    assert again.status == 200
    assert Order.objects.get().payment == ("paid" if method == "purchase" else "authorized")
    assert store.moves() == {"charge" if method == "purchase" else "authorize": 1}
    assert actions() == ["allocate"]
    assert store.differences() == []


@pytest.mark.parametrize("mark", ["charge.accepted", "settle.before_commit"])
def test_f17_a_decline_that_the_death_kept_from_us_gives_the_units_back(store: Store, mark):
    shirt = product(stock=10)
    order = store.order(shirt)
    store.dies_at(mark, lambda: store.shopper.pay(order, "pm_card_chargeDeclined"))

    store.recover()

    payment = store.payment(order)
    assert (payment.status, payment.failure) == ("failed", "Your card was declined.")
    assert store.intent(payment)["status"] == "canceled"
    assert actions() == ["allocate", "deallocate"]
    store.paid(order)
    assert store.differences() == []


@pytest.mark.parametrize("mark", ["queue.committed", "take_up.committed"])
def test_f14_a_payment_left_to_a_worker_survives_the_one_that_left_it(store: Store, mark):
    shirt = product(stock=10)
    order = store.order(shirt)
    store.site.control("fault", operation="create_intent", answer="429")
    if mark == "queue.committed":
        store.dies_at(mark, lambda: store.shopper.pay(order, key="k"))
    else:
        assert store.shopper.pay(order, key="k").status == 202
        store.worker_dies_at(mark)

    # A queued payment is a worker's for minutes; one that was taken up by the dead is given up.
    store.site.work_off()
    store.recover()

    expected = "paid" if mark == "queue.committed" else "unpaid"
    assert Order.objects.get().payment == expected
    assert store.differences() == []


@pytest.mark.parametrize("mark", reached_in("give_up"))
def test_f14_a_server_killed_while_it_gives_up_who_waits_charges_one_card(store: Store, mark):
    shirt = product(stock=1)
    order = store.order(shirt)
    assert store.shopper.pay(order, "pm_card_threeDSecure2Required").status == 202
    store.dies_at(mark, lambda: store.shopper.pay(order, key="k"))

    store.recover()
    again = store.shopper.pay(order, key="k")

    assert again.status == 200
    assert Order.objects.get().payment == "paid"
    assert sorted(Payment.objects.values_list("status", flat=True)) == ["complete", "failed"]
    assert store.moves() == {"charge": 1}
    assert stock_of(shirt).allocated == 1
    assert store.differences() == []


# Captures, refunds, voids.


def _capture(store: Store, order: str, payment: str) -> Entry:
    return store.merchant.capture(order, payment)


def _refund(store: Store, order: str, payment: str) -> Entry:
    return store.merchant.refund(order, payment, 400)


def _void(store: Store, order: str, payment: str) -> Entry:
    return store.merchant.void(order, payment)


ACTS: dict[str, Callable[[Store, str, str], Entry]] = {
    "capture": _capture,
    "refund": _refund,
    "void": _void,
}


@pytest.mark.parametrize("mark", [mark for kind in ACTS for mark in reached_in(kind)])
def test_f18_what_was_begun_of_a_payment_is_done_once(store: Store, mark):
    kind = mark.split(".")[0]
    shirt = product(stock=10, price=1000)
    order = store.order(shirt)
    method = "purchase" if kind == "refund" else "authorize"
    payment = store.paid(order, method=method)
    store.dies_at(mark, lambda: ACTS[kind](store, order, payment))

    store.recover()

    attempt = Attempt.objects.get()
    assert (attempt.kind, attempt.status) == (kind, "succeeded")
    assert store.moves()[kind] == 1
    assert store.differences() == []
    assert actions() == (["allocate", "deallocate"] if kind == "void" else ["allocate"])


# Orders.


@pytest.mark.parametrize("mark", reached_in("cancel"))
def test_f18_a_server_killed_while_cancelling_gives_units_back_once(store: Store, mark):
    shirt = product(stock=10)
    order = store.order(shirt)
    store.paid(order, method="authorize")
    store.dies_at(mark, lambda: store.merchant.cancel(order))

    again = store.merchant.cancel(order)
    store.recover()

    assert again.status == (422 if mark == "cancel.committed" else 200)
    assert Order.objects.get().is_cancelled
    assert Payment.objects.get().status == "cancelled"
    assert store.moves() == {"authorize": 1, "void": 1}
    assert actions() == ["allocate", "deallocate"]
    assert store.differences() == []


@pytest.mark.parametrize("mark", reached_in("ship"))
def test_f18_a_server_killed_while_shipping_ships_once(store: Store, mark):
    shirt = product(stock=10)
    order = store.order(shirt)
    store.paid(order)
    store.dies_at(mark, lambda: store.merchant.ship(order))

    again = store.merchant.ship(order)

    assert again.status == (422 if mark == "ship.committed" else 200)
    assert actions() == ["allocate", "deallocate", "decrement"]
    assert stock_of(shirt).total == 9
    assert store.differences() == []


PARTS = ("ship_some", "take_back", "undo_ship", "cancel_some")


@pytest.mark.parametrize("mark", [mark for kind in PARTS for mark in reached_in(kind)])
def test_f18_a_server_killed_while_it_moves_a_part_moves_it_once(store: Store, mark):
    shirt = product(stock=10)
    order = store.order(shirt, 5)
    store.paid(order)
    item = str(OrderItem.objects.get().pk)
    shipment = store.merchant.ship_some(order, {item: 3}).data["id"]
    act = {
        "undo_ship": lambda: store.merchant.undo_ship(order, shipment, key="k"),
        "cancel_some": lambda: store.merchant.cancel_some(order, {item: 2}, key="k"),
        "take_back": lambda: store.merchant.take_back(order, {item: 1}, "inspection", key="k"),
    }[mark.split(".")[0]]
    store.dies_at(mark, act)

    again = [act().status, act().status]

    assert again in ([200, 200], [201, 201])
    assert (
        stock_of(shirt).total
        == {"undo_ship": 10, "cancel_some": 7, "take_back": 8}[mark.split(".")[0]]
    )
    assert store.differences() == []


# Telling of it.


@pytest.fixture
def heard(store: Store) -> Iterator[Hearing]:
    """Those who listen; who numbers and delivers, and is replaced when he dies, ends with them."""
    hearing = Hearing(random.Random(1))
    try:
        yield hearing
    finally:
        store.site.tell("rest", kind="worker")
        hearing.end()


@pytest.mark.parametrize(
    "mark",
    [
        *("number.before_commit", "number.committed", "deliver.claimed", "deliver.chosen"),
        *("deliver.answered", "deliver.before_commit", "deliver.committed"),
    ],
)
def test_f40_whoever_numbers_or_delivers_and_dies_leaves_nothing_untold(
    store: Store, heard: Hearing, mark
):
    order = store.order(product(stock=10))
    store.paid(order)
    fallen = Counter(store.site.tell("fallen"))
    store.site.kill_at(mark)
    store.site.tell("work", workers=1)

    assert heard.differences() == []
    store.merchant.ship(order)
    assert heard.differences() == []

    assert store.site.waiting_orders() == []
    assert Counter(store.site.tell("fallen")) - fallen == {"workers died": 1}
    told = Counter(Event.objects.filter(subject=order).values_list("type", flat=True))
    assert told["order.created"] == told["order.paid"] == told["order.fulfilled"] == 1
    assert store.differences() == []


def test_every_mark_is_reached_by_a_test_here():
    tested = Counter(
        mark
        for name, test in globals().items()
        if name.startswith("test_f")
        for marker in getattr(test, "pytestmark", [])
        if marker.name == "parametrize" and marker.args[0] == "mark"
        for mark in marker.args[1]
    )

    assert set(tested) == set(MARKS)
