"""Nobody dies, but the gateway is slow, silent or wrong, and tells things late or out of order."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import pytest

from inventory.models import StockTransaction
from orders.models import Order
from payments.models import Attempt, Payment
from tests.factories import product, stock_of
from tests.torture.caller import Entry, Shopper
from tests.torture.store import Store

pytestmark = pytest.mark.django_db(transaction=True)

HELD: dict[str, Any] = {"hold": True}
HELD_BEFORE: dict[str, Any] = {"hold": True, "before": True}
DROPPED: dict[str, Any] = {"answer": "dropped"}
DROPPED_BEFORE: dict[str, Any] = {"answer": "dropped", "works": False}
WRONG: dict[str, Any] = {"answer": "500"}
WRONG_BEFORE: dict[str, Any] = {"answer": "500", "works": False}


def reasons() -> list[tuple[str, str]]:
    log = StockTransaction.objects.filter(by_order=True).order_by("sequence")
    return list(log.values_list("action", "reason"))


# F16: nobody knows what became of a charge.


@pytest.mark.parametrize(
    ("fault", "charged"),
    [
        (HELD, True),
        (HELD_BEFORE, False),
        (DROPPED, True),
        (DROPPED_BEFORE, False),
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
@pytest.mark.parametrize("fault", [DROPPED, DROPPED_BEFORE, WRONG])
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


# F17: the gateway says no.


@pytest.mark.parametrize(
    "card",
    [
        "pm_card_chargeDeclined",
        "pm_card_chargeDeclinedInsufficientFunds",
        "pm_card_chargeDeclinedProcessingError",
    ],
)
def test_f17_a_declined_card_gives_the_units_back_and_another_card_pays(store: Store, card):
    shirt = product(stock=1)
    order = store.order(shirt)

    declined = store.shopper.pay(order, card)
    left = stock_of(shirt).available
    store.paid(order)

    assert (declined.status, declined.code, left) == (402, "payment_declined", 1)
    assert reasons() == [
        ("allocate", "payment started"),
        ("deallocate", "payment failed"),
        ("allocate", "payment started"),
    ]
    assert store.moves() == {"decline": 1, "charge": 1}
    assert store.differences() == []


# F28: the bank lets an authorization go, and nobody tells.


def test_f28_a_capture_that_comes_too_late_finds_the_authorization_gone(store: Store):
    store.site.control("settings", webhooks_kept=True)
    shirt = product(stock=10)
    order = store.order(shirt)
    payment = store.paid(order, method="authorize")
    store.site.control("lapse", intent=Payment.objects.get().reference)

    capturing = store.merchant.capture(order, payment)

    assert (capturing.status, capturing.code) == (422, "gateway_refused")
    assert (Order.objects.get().payment, Payment.objects.get().status) == ("unpaid", "cancelled")
    assert stock_of(shirt).available == 10
    assert store.differences() == []


# F12, F20: many at once.


def test_f12_payments_at_a_silent_gateway_slow_nobody_else(store: Store):
    """Half of the server's threads wait for the gateway; whoever else pays by it is told so."""
    shirt = product(stock=100)
    waiting = [store.order(shirt) for _ in range(6)]
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

    assert (unanswered, told) == ([202] * 2, [202] * 4)
    assert read == paid == [200] * 4
    assert max(seconds) < 1
    assert Order.objects.filter(payment="paid").count() == 10
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
