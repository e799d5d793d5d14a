"""Nobody dies, but the gateway is slow, silent or wrong, and tells things late or out of order."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import pytest

from orders.models import Order
from payments.models import Attempt
from tests.factories import product, stock_of
from tests.torture.caller import Entry, Shopper
from tests.torture.store import Store

pytestmark = pytest.mark.django_db(transaction=True)

HELD: dict[str, Any] = {"hold": True}
HELD_BEFORE: dict[str, Any] = {"hold": True, "before": True}
DROPPED: dict[str, Any] = {"answer": "dropped"}
WRONG: dict[str, Any] = {"answer": "500"}
WRONG_BEFORE: dict[str, Any] = {"answer": "500", "works": False}


# F16: nobody knows what became of a charge.


@pytest.mark.parametrize(
    ("fault", "charged"),
    [
        (HELD, True),
        (HELD_BEFORE, False),
        (DROPPED, True),
        (WRONG, True),
        (WRONG_BEFORE, False),
    ],
)
def test_f16_a_charge_without_an_answer_keeps_its_units_until_it_is_known(
    store: Store, fault, charged
):
    shirt = product(stock=10)
    order = store.order(shirt)
    store.site.control("fault", operation="confirm", **fault)

    paying = store.shopper.pay(order, key="k")
    again = store.shopper.pay(order, key="k")
    held = stock_of(shirt).allocated
    second = store.shopper.pay(order, key="another")
    cancelling = store.merchant.cancel(order)

    assert (paying.status, paying.data["status"]) == (202, "pending")
    assert (again.status, again.data["id"]) == (202, paying.data["id"])
    assert (held, second.status, cancelling.status) == (1, 409, 409)
    store.recover()
    store.site.control("release")
    assert Order.objects.get().payment == ("paid" if charged else "unpaid")
    assert store.moves() == ({"charge": 1} if charged else {})
    assert stock_of(shirt).allocated == int(charged)
    assert store.differences() == []


@pytest.mark.parametrize("operation", ["capture", "create_refund", "cancel"])
@pytest.mark.parametrize("fault", [DROPPED, WRONG_BEFORE])
def test_f16_what_is_done_without_an_answer_is_done_once(store: Store, operation, fault):
    shirt = product(stock=10, price=1000)
    order = store.order(shirt)
    is_refund = operation == "create_refund"
    payment = store.paid(order, method="purchase" if is_refund else "authorize")
    store.site.control("fault", operation=operation, **fault)

    answer = {
        "capture": lambda: store.merchant.capture(order, payment),
        "create_refund": lambda: store.merchant.refund(order, payment, 400),
        "cancel": lambda: store.merchant.void(order, payment),
    }[operation]()

    kind = "refund" if is_refund else {"capture": "capture", "cancel": "void"}[operation]
    assert (answer.status, answer.data["pending_action"]) == (202, kind)
    store.recover()
    store.site.control("release")
    assert Attempt.objects.get().status == "succeeded"
    assert store.moves()[kind] == 1
    assert store.differences() == []


def test_f16_after_a_day_the_gateway_has_forgotten_our_keys_and_charges_once(store: Store):
    shirt = product(stock=10, price=1000)
    order = store.order(shirt)
    payment = store.paid(order)
    store.site.control("fault", operation="create_refund", answer="dropped")
    store.merchant.refund(order, payment, 400)

    store.site.control("forget_keys")
    store.recover()

    assert store.moves() == {"charge": 1, "refund": 1}
    assert store.differences() == []


# F12, F20: many at once.


def test_f12_payments_at_a_silent_gateway_slow_nobody_else(store: Store):
    """Half of the server's threads wait for the gateway; whoever else pays by it is told so."""
    shirt = product(stock=100)
    waiting = [store.order(shirt) for _ in range(16)]
    quick = [store.order(shirt) for _ in range(4)]
    store.site.control("fault", operation="any", times=1000, hold=True)
    seconds: list[float] = []

    def timed(call: Callable[[], Entry]) -> int | None:
        before = time.monotonic()
        status = call().status
        seconds.append(time.monotonic() - before)
        return status

    with ThreadPoolExecutor(2) as buyers:
        paying = [buyers.submit(_shopper(store).pay, order) for order in waiting[:2]]
        assert len(store.site.control("wait_until_held", calls=2)) == 2
        told = [timed(partial(store.shopper.pay, order)) for order in waiting[2:]]
        read = [timed(partial(store.shopper.get, f"/v2/products/{shirt.pk}")) for _ in range(4)]
        paid = [timed(partial(store.shopper.pay, order, gateway="manual")) for order in quick]
        unanswered = [one.result().status for one in paying]
    store.site.control("clear_faults")
    store.site.work_off()
    store.recover()

    assert (unanswered, told) == ([202] * 2, [202] * 14)
    assert read == paid == [200] * 4
    assert max(seconds) < 1
    assert Order.objects.filter(payment="paid").count() == 20
    assert store.differences() == []


def _shopper(store: Store) -> Shopper:
    """Return a buyer of one's own, whose history is nobody else's."""
    return Shopper(store.site.port, store.storefront)


def test_f20_recovery_twice_at_once_settles_everything_once(store: Store):
    shirt = product(stock=100, price=1000)
    orders = [store.order(shirt) for _ in range(6)]
    store.site.control("fault", operation="confirm", times=3, answer="dropped")
    store.site.control("fault", operation="confirm", times=3, answer="dropped", works=False)
    pending = [store.shopper.pay(order).status for order in orders]

    store.recover()

    assert pending == [202] * 6
    assert store.moves() == {"charge": 3}
    assert Order.objects.filter(payment="paid").count() == 3
    assert stock_of(shirt).allocated == 3
    assert store.differences() == []
