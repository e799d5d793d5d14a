"""Two want different things of one order, over HTTP, while servers die and answers get lost."""

import http.client
import json
import os
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from functools import partial

import pytest
from procrastinate.contrib.django.models import ProcrastinateJob

from inventory.models import StockTransaction
from orders.models import Order
from payments import jobs
from payments.models import Attempt, GatewayEvent, Payment
from tests.factories import product, stock_of
from tests.fake_stripe import WEBHOOK_SECRET
from tests.fake_stripe.webhooks import signature
from tests.torture.caller import Entry, Merchant, Shopper
from tests.torture.store import SECRET, Store

pytestmark = pytest.mark.django_db(transaction=True)


def at_once(*calls: Callable[[], Entry]) -> list[Entry]:
    with ThreadPoolExecutor(len(calls)) as people:
        return [one.result() for one in [people.submit(call) for call in calls]]


def statuses(entries: Iterable[Entry]) -> list[int]:
    return sorted(entry.status or 0 for entry in entries)


def shopper(store: Store) -> Shopper:
    """Return a buyer of one's own, whose history is nobody else's."""
    return Shopper(store.site.port, store.storefront)


def merchant(store: Store) -> Merchant:
    return Merchant(store.site.port, store.back_office, SECRET)


def actions() -> list[str]:
    """What the log says that orders did, in its order."""
    log = StockTransaction.objects.filter(by_order=True).order_by("sequence")
    return list(log.values_list("action", flat=True))


def kill_the_servers(store: Store) -> None:
    for process in store.site.tell("processes"):
        with suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)
    store.site.wait_until_ready()


def test_f07_of_a_payment_and_a_cancellation_exactly_one_wins(store: Store):
    shirt = product(stock=10)
    orders = [store.order(shirt) for _ in range(6)]

    for order in orders:
        paid, cancelled = at_once(
            partial(shopper(store).pay, order), partial(merchant(store).cancel, order)
        )
        assert (paid.status, cancelled.status) in {(200, 409), (200, 200), (422, 200)}

    store.recover()
    # Who cancels after the payment keeps the money, which is to be given back.
    for found in Order.objects.all():
        assert (found.allocated_at is None) == found.is_cancelled
        assert found.is_cancelled or found.payment == "paid"
    assert store.differences() == []


def test_f07_an_order_is_not_cancelled_while_its_charge_runs_though_the_server_dies(store: Store):
    shirt = product(stock=10, price=1000)
    order = store.order(shirt)
    store.site.control("fault", operation="confirm", hold=True)

    with ThreadPoolExecutor(1) as buyer:
        paying: Future[Entry] = buyer.submit(store.shopper.pay, order)
        store.site.control("wait_until_held", operation="confirm")
        early = store.merchant.cancel(order)
        kill_the_servers(store)
        still = store.merchant.cancel(order)
    store.site.control("release")
    store.recover()
    payment = store.payment(order)
    late = store.merchant.cancel(order)
    refunded = store.merchant.refund(order, str(payment.pk), 1000)

    assert paying.result().status is None
    assert (early.status, still.status, late.status, refunded.status) == (409, 409, 200, 200)
    assert store.moves() == {"charge": 1, "refund": 1}
    assert actions() == ["allocate", "deallocate"]
    assert store.differences() == []


def test_f08_of_a_shipment_that_died_and_a_cancellation_exactly_one_happens(store: Store):
    shirt = product(stock=10)
    orders = [store.order(shirt) for _ in range(4)]
    for order in orders:
        store.paid(order)
    store.dies_at("ship.before_commit", lambda: store.merchant.ship(orders[0]))

    answers = [
        at_once(partial(merchant(store).ship, order), partial(merchant(store).cancel, order))
        for order in orders
    ]

    assert [statuses(both) for both in answers] == [[200, 422]] * 4
    for found in Order.objects.all():
        assert found.is_shipped != found.is_cancelled
    assert store.differences() == []


def test_f21_a_part_that_died_and_was_declined_leaves_the_first_its_units(store: Store):
    shirt = product(stock=10, price=1000)
    order = store.order(shirt)
    first = store.paid(order, amount=400)
    store.dies_at(
        "charge.accepted",
        lambda: store.shopper.pay(order, "pm_card_chargeDeclined", amount=600),
    )

    store.recover()
    held, paid = stock_of(shirt).allocated, Order.objects.get().payment
    second = store.paid(order, amount=600, method="authorize")
    store.dies_at("cancel.committed", lambda: store.merchant.cancel(order))
    store.recover()
    store.merchant.refund(order, first, 400)

    assert (held, paid) == (1, "partially_paid")
    assert Payment.objects.get(pk=second).status == "cancelled"
    assert store.moves() == {"charge": 1, "decline": 1, "authorize": 1, "void": 1, "refund": 1}
    assert actions() == ["allocate", "deallocate"]
    assert store.differences() == []


def test_f22_two_first_parts_take_the_units_once_though_the_server_dies(store: Store):
    shirt = product(stock=10, price=1000)
    together, apart = store.order(shirt), store.order(shirt)

    paid = at_once(
        partial(shopper(store).pay, together, amount=400),
        partial(shopper(store).pay, together, amount=600),
    )
    store.dies_at("begin.committed", lambda: store.shopper.pay(apart, amount=400))
    store.paid(apart, amount=600)
    store.recover()

    assert statuses(paid) == [200, 200]
    assert actions() == ["allocate", "allocate"]
    assert stock_of(shirt).allocated == 2
    assert Order.objects.get(pk=apart).payment == "partially_paid"
    assert store.differences() == []


def test_f23_parts_that_exceed_the_total_are_not_both_taken_though_nobody_answers(store: Store):
    shirt = product(stock=10, price=1000)
    order = store.order(shirt)
    store.site.control("fault", operation="confirm", times=2, answer="dropped")

    asked = at_once(
        partial(shopper(store).pay, order, amount=600),
        partial(shopper(store).pay, order, amount=600),
    )
    store.recover()

    assert statuses(asked) == [202, 400]
    assert Order.objects.get().captured == 600
    assert store.moves() == {"charge": 1}
    assert store.differences() == []


def test_f24_refunds_never_exceed_what_was_captured_though_one_dies(store: Store):
    shirt = product(stock=10, price=1000)
    order = store.order(shirt)
    payment = store.paid(order)
    store.dies_at("refund.accepted", lambda: store.merchant.refund(order, payment, 700))

    more = at_once(
        partial(merchant(store).refund, order, payment, 700),
        partial(merchant(store).refund, order, payment, 300),
        partial(merchant(store).refund, order, payment, 300),
    )
    store.recover()

    assert statuses(more) == [202, 422, 422], "the first is still on its way"
    assert Order.objects.get().refunded == 1000
    assert store.moves() == {"charge": 1, "refund": 2}
    assert store.differences() == []


def test_f26_only_a_signed_message_that_may_have_changed_something_is_looked_into(store: Store):
    shirt = product(stock=10)
    order = store.order(shirt)
    store.site.control("settings", webhooks_kept=True)
    store.site.control("fault", operation="confirm", answer="dropped")
    store.shopper.pay(order)
    about = {"object": "payment_intent", "id": "pi_of_nobody"}
    stranger = {"id": "evt_1", "type": "payment_intent.succeeded", "data": {"object": about}}

    answers = [told(store, stranger, secret) for secret in (WEBHOOK_SECRET, "whsec_wrong")]
    store.site.control("send_events", names=["payment_intent.created"])

    assert answers == [200, 401]
    kept = Counter(GatewayEvent.objects.values_list("type", "payment__order_id"))
    assert kept == {
        ("payment_intent.succeeded", None): 1,
        ("payment_intent.created", Order.objects.get().pk): 1,
    }
    assert not ProcrastinateJob.objects.filter(task_name=jobs.look_into_event.name).exists()
    assert store.payment(order).status == "pending"
    store.recover()
    assert store.differences() == []


def told(store: Store, message: object, secret: str) -> int:
    """Send a message as Stripe does, by this secret."""
    body = json.dumps(message)
    connection = http.client.HTTPConnection("127.0.0.1", store.site.port, timeout=10)
    signed = signature(body, secret, int(time.time()))
    connection.request("POST", "/webhooks/stripe", body, {"Stripe-Signature": signed})
    status = connection.getresponse().status
    connection.close()
    return status


def test_f27_a_key_whose_server_died_while_it_charged_pays_once(store: Store):
    shirt = product(stock=10)
    order = store.order(shirt)
    store.site.control("fault", operation="confirm", hold=True)

    with ThreadPoolExecutor(1) as buyer:
        paying = buyer.submit(store.shopper.pay, order, key="k")
        store.site.control("wait_until_held", operation="confirm")
        during = shopper(store).pay(order, key="k")
        kill_the_servers(store)
        dead = paying.result().status
        afterwards = store.shopper.pay(order, key="k")
        other = store.shopper.pay(order, "pm_card_mastercard", key="k")
    store.site.control("release")
    store.recover()
    again = store.shopper.pay(order, key="k")

    assert (dead, during.status, afterwards.status, other.status) == (None, 409, 409, 422)
    assert again.status == 200
    assert Payment.objects.count() == 1
    assert store.moves() == {"charge": 1}
    assert store.differences() == []


@pytest.mark.parametrize("is_told", [True, False])
def test_f28_an_authorization_that_lapses_gives_its_units_back(store: Store, is_told):
    shirt = product(stock=10)
    order = store.order(shirt)
    payment = store.paid(order, method="authorize")
    store.site.control("settings", webhooks_kept=not is_told)
    store.site.control("lapse", intent=store.payment(order).reference)

    if is_told:
        store.site.control("send_events", names=[])
        store.site.work_off()
    else:
        captured = store.merchant.capture(order, payment)
        assert (captured.status, captured.code) == (422, "gateway_refused")
        assert Attempt.objects.get().status == "failed"

    assert Payment.objects.get().status == "cancelled"
    assert actions() == ["allocate", "deallocate"]
    assert store.differences() == []
