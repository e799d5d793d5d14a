"""Orders paid at the fake gateway, and what they and their stock say afterwards."""

from datetime import timedelta
from typing import Any

import pytest

from api import clock
from orders.models import Order
from payments.errors import PaymentDeclined
from payments.models import Payment
from payments.services import payments
from payments.services.payments import PaymentRequest
from tests.factories import MERCHANT

AUTHORIZE, PURCHASE = Payment.Method.AUTHORIZE, Payment.Method.PURCHASE


def pay(
    order: Order,
    amount: int | None = None,
    *,
    gateway: str = "fake",
    method: Payment.Method = PURCHASE,
    **more: Any,
) -> Payment:
    request = PaymentRequest(gateway, method, amount)
    return payments.pay(order.pk, request, actor=MERCHANT, **more)


def declined(order: Order, amount: int | None = None, **more: Any) -> Payment:
    """Pay where the gateway is about to decline."""
    with pytest.raises(PaymentDeclined):
        pay(order, amount, **more)
    return order.payments.latest("pk")


def states(order: Order) -> tuple[str, str]:
    order.refresh_from_db()
    return order.status, order.payment


def money(order: Order) -> dict[str, int]:
    """What the order says of its money, without the zeros."""
    order.refresh_from_db()
    names = ("captured", "authorized", "pending", "refunded", "attempts_open", "refunds_open")
    return {name: getattr(order, name) for name in names if getattr(order, name)}


def in_a_minute() -> Any:
    """The time when nobody waits for a gateway any more."""
    moment = clock.now() + timedelta(minutes=1)
    return clock.replaced(lambda: moment)
