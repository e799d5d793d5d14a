"""What the gateway tells while a server waits for its answer, each in a process of its own."""

import threading

import pytest

from orders.models import Order
from payments.models import Payment
from tests.factories import product, stock_of
from tests.torture.caller import Entry
from tests.torture.store import Store

pytestmark = pytest.mark.django_db(transaction=True)


def test_f25_a_message_before_the_answer_leaves_it_to_whoever_waits(store: Store):
    shirt = product(stock=10)
    order = store.order(shirt)
    store.site.control("fault", operation="confirm", hold=True)
    answers: list[Entry] = []
    paying = threading.Thread(target=lambda: answers.append(store.shopper.pay(order, key="k")))
    paying.start()
    store.site.control("wait_until_held", operation="confirm")

    store.site.control("send_events", names=["payment_intent.succeeded"])
    store.site.work_off()
    store.site.control("release")
    paying.join()

    assert answers[0].status in (200, 202)
    store.recover()
    assert Order.objects.get().payment == "paid"
    assert store.moves() == {"charge": 1}
    assert store.differences() == []


def test_f25_a_buyer_who_authenticates_after_the_deadline_is_not_charged(store: Store):
    shirt = product(stock=10)
    order = store.order(shirt)
    asked = store.shopper.pay(order, "pm_card_authenticationRequired")

    store.recover()
    with pytest.raises(OSError, match="400"):
        store.site.control("authenticate", intent=Payment.objects.get().reference)

    assert (asked.status, Payment.objects.get().status) == (202, "failed")
    assert stock_of(shirt).available == 10
    assert store.moves() == {}
    assert store.differences() == []


def test_f09_a_refund_and_the_message_of_it_count_once(store: Store):
    shirt = product(stock=10, price=1000)
    order = store.order(shirt)
    payment = store.paid(order)
    store.site.control("fault", operation="create_refund", hold=True)
    refunding = threading.Thread(target=lambda: store.merchant.refund(order, payment, 400))
    refunding.start()
    store.site.control("wait_until_held", operation="create_refund")

    store.site.control("send_events", names=["refund.created", "charge.refunded"], times=2)
    store.site.work_off()
    store.site.control("release")
    refunding.join()
    store.recover()

    assert Order.objects.get().refunded == 400
    assert store.moves() == {"charge": 1, "refund": 1}
    assert store.differences() == []
