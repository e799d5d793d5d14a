"""How far an order is, as people read it."""

import pytest

from backoffice.order_states import payment_words, state_of
from orders.models import Order
from orders.services import cancelling, shipments
from payments.models import Payment
from payments.services import payments
from payments.services.payments import PaymentRequest
from tests.backoffice.pages import text
from tests.factories import (
    MERCHANT,
    cancelled_order,
    paid_order,
    product,
    shipped_order,
    unpaid_order,
)

pytestmark = pytest.mark.django_db


def said(order: Order) -> tuple[str, str]:
    order.refresh_from_db()
    state = state_of(order)
    return state.words, state.colour


def refund(order: Order, amount: int) -> None:
    payments.refund(order.pk, order.payments.get().pk, amount, actor=MERCHANT)


def test_only_what_is_done_is_green():
    shirt = product(20, price=1000)
    part, authorized, waiting = (unpaid_order({shirt: 1}) for _ in range(3))
    payments.pay(part.pk, PaymentRequest("manual", amount=1), actor=MERCHANT)
    method = Payment.Method.AUTHORIZE
    payments.pay(authorized.pk, PaymentRequest("test", method=method), actor=MERCHANT)
    payments.pay(waiting.pk, PaymentRequest("test", token="requires_action"), actor=MERCHANT)

    assert said(unpaid_order({shirt: 1})) == ("Unpaid", "")
    assert said(waiting) == ("Payment under way", "warning")
    assert said(part) == ("Partly paid", "warning")
    assert said(authorized) == ("Authorized, to capture", "warning")
    assert said(paid_order({shirt: 1})) == ("Paid, to ship", "info")
    assert said(shipped_order({shirt: 1})) == ("Shipped", "success")
    assert said(cancelled_order({shirt: 1})) == ("Cancelled", "")


def test_what_is_cancelled_is_not_among_what_is_to_be_shipped():
    order = paid_order({product(20, price=1000): 4})
    item = order.items.get()
    shipments.ship(order.pk, units={item.pk: 1}, actor=MERCHANT)
    cancelling.cancel_items(order.pk, {item.pk: 1}, actor=MERCHANT, reason="sold out")

    assert said(order) == ("Paid, 1 of 3 shipped", "info")


def test_t16_an_order_of_which_a_part_was_given_back_says_so_everywhere(admin_client):
    shirt = product(20, price=1000)
    to_ship, shipped, cancelled = (
        paid_order({shirt: 1}),
        shipped_order({shirt: 1}),
        paid_order({shirt: 1}),
    )
    payments.cancel(cancelled.pk, actor=MERCHANT)
    for order in (to_ship, shipped, cancelled):
        refund(order, 400)

    assert said(to_ship) == ("Partly refunded, to ship", "info")
    assert said(shipped) == ("Shipped, partly refunded", "success")
    assert said(cancelled) == ("Cancelled, money still held", "danger")
    assert payment_words(to_ship) == "Partly refunded"
    for page in ("?list=all", f"{to_ship.pk}/change/"):
        assert "Partly refunded, to ship" in text(admin_client.get(f"/admin/orders/order/{page}"))
    for order in (shipped, cancelled):
        refund(order, 600)
    assert said(shipped) == ("Shipped, refunded", "success")
    assert said(cancelled) == ("Cancelled, refunded", "")
