"""Payments asked for twice under one key."""

from collections.abc import Callable
from typing import Any

import pytest

from api.idempotency import Answered, Key, KeyReused
from api.ids import uuid7
from inventory.models import Action
from inventory.services import stock as inventory
from orders.errors import InsufficientStock
from orders.models import Order
from payments.gateways.base import Answer
from payments.models import Payment
from payments.services import payments
from tests.factories import MERCHANT, unpaid_order
from tests.fake_gateway import OK
from tests.payments.paying import AUTHORIZE, money, pay, states

pytestmark = pytest.mark.django_db


def key(name: str = "k", body: str = "body") -> Key:
    return Key("client", "POST", "/v2/orders/1/payments", name, body, uuid7())


def test_f27_the_same_key_pays_once(gateway, order):
    payment = pay(order, 400, key=key())

    with pytest.raises(Answered) as again:
        pay(order, 400, key=key())

    assert again.value.record.resource_id == str(payment.pk)
    assert len(gateway.charged) == 1
    assert money(order) == {"captured": 400}


def test_f27_the_same_key_for_another_body_is_refused(gateway, order):
    pay(order, 400, key=key())

    with pytest.raises(KeyReused):
        pay(order, 500, key=key(body="another"))

    assert len(gateway.charged) == 1


def test_f27_the_key_of_a_running_charge_never_charges_again(gateway, order):
    def ask_again(payment: Payment) -> Answer:
        with pytest.raises(Answered) as again:
            pay(order, 400, key=key())
        assert again.value.record.resource_id == str(payment.pk)
        return OK

    gateway.on_charge = ask_again

    pay(order, 400, key=key())

    assert len(gateway.charged) == 1
    assert order.payments.count() == 1


def test_f27_the_key_of_a_refused_payment_is_free(gateway, shirt):
    order = unpaid_order({shirt: 4})
    inventory.record(shirt.pk, Action.DECREMENT, 10, actor=MERCHANT)
    with pytest.raises(InsufficientStock):
        pay(order, key=key())
    inventory.record(shirt.pk, Action.INCREMENT, 10, actor=MERCHANT)

    pay(order, key=key())

    assert states(order) == ("complete", "paid")


def test_f27_the_same_key_is_answered_though_the_gateway_is_disabled_since(gateway, order):
    pay(order, key=key())
    payments.set_gateway("fake", enabled=False, actor=MERCHANT)

    with pytest.raises(Answered):
        pay(order, key=key())


KEYED: list[tuple[str, Callable[[Order, Payment], Any]]] = [
    ("capture", lambda o, p: payments.capture(o.pk, p.pk, actor=MERCHANT, key=key("act"))),
    ("void", lambda o, p: payments.void(o.pk, p.pk, actor=MERCHANT, key=key("act"))),
    ("cancel", lambda o, p: payments.cancel(o.pk, actor=MERCHANT, key=key("act"))),
]


@pytest.mark.parametrize("act", [act for _, act in KEYED], ids=[name for name, _ in KEYED])
def test_f27_the_same_key_acts_once(gateway, order, act):
    payment = pay(order, method=AUTHORIZE)
    act(order, payment)
    before = (states(order), money(order))

    with pytest.raises(Answered):
        act(order, payment)

    assert len(gateway.performed) == 1
    assert (states(order), money(order)) == before


def test_f27_the_same_key_refunds_once(gateway, order):
    payment = pay(order)
    for_refund = key("refund")
    payments.refund(order.pk, payment.pk, 300, actor=MERCHANT, key=for_refund)

    with pytest.raises(Answered):
        payments.refund(order.pk, payment.pk, 300, actor=MERCHANT, key=for_refund)

    assert gateway.performed == [("refund", 300)]
