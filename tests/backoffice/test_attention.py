"""Orders that need somebody's attention, and those that are left be."""

from datetime import timedelta
from typing import Any

import pytest

from api import clock
from backoffice import attention, dashboard
from orders.errors import PaymentUnderWay
from orders.models import Order
from orders.services import orders
from payments.errors import GatewayRefused, NothingToLeaveBe, PaymentDeclined
from payments.gateways.base import SUCCEEDED, Answer, Outcome
from payments.models import Attempt, Payment
from payments.services import payments, recovery, settling
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
from tests.fake_gateway import DECLINED, OK

pytestmark = pytest.mark.django_db

ORDERS = "/admin/orders/order/"


def after(**passed: float) -> Any:
    """The time when so much has passed."""
    moment = clock.now() + timedelta(**passed)
    return clock.replaced(lambda: moment)


def why(order: Order) -> list[str]:
    return [reason for _, reason in attention.reasons([order.pk])]


def needing_attention() -> list[int]:
    found = Order.objects.filter(pk__in=attention.order_ids())
    return list(found.values_list("number", flat=True))


def test_every_reason_has_a_list_to_which_the_dashboard_leads(admin_client):
    order = unpaid_order({product(9, price=1000): 1})
    overpaid = PaymentRequest("manual", amount=1500, takes_excess=True)
    payments.pay(order.pk, overpaid, actor=MERCHANT)

    assert {reason for reason, _, _ in attention._found(clock.now())} == set(attention.SLUGS)
    assert "Paid more than was owed" in text(admin_client.get("/admin/"))


def test_ordinary_orders_need_no_attention():
    shirt = product(9)
    for order in (unpaid_order({shirt: 1}), shipped_order({shirt: 1}), cancelled_order({shirt: 1})):
        assert why(order) == []
    refunded = paid_order({shirt: 1})
    payments.refund(refunded.pk, refunded.payments.get().pk, 5, actor=MERCHANT)

    assert needing_attention() == []


def test_a_payment_whose_outcome_nobody_knows_needs_attention_until_it_is_settled():
    order = unpaid_order({product(9): 1})
    payment = payments.pay(order.pk, PaymentRequest("test", token="unknown"), actor=MERCHANT)

    assert why(order) == [attention.UNKNOWN]
    with after(minutes=6):
        assert why(order) == [attention.PENDING]
        assert needing_attention() == [order.number]
    recovery.settle_by_hand(
        order.pk, payment.pk, succeeded=True, reference="ch_1", reason="asked", actor=MERCHANT
    )
    assert why(order) == []


def test_a_payment_that_waits_for_its_buyer_needs_attention_only_past_its_deadline():
    order = unpaid_order({product(9): 1})
    payments.pay(order.pk, PaymentRequest("test", token="requires_action"), actor=MERCHANT)

    assert why(order) == []
    with after(minutes=29):
        assert why(order) == []
    with after(minutes=36):
        assert why(order) == [attention.PENDING]


def test_a_payment_under_way_needs_attention_only_after_some_minutes(gateway):
    order = unpaid_order({product(9): 1})
    payments.begin(order.pk, PaymentRequest("fake"), actor=MERCHANT)

    assert why(order) == []
    with after(minutes=6):
        assert why(order) == [attention.PENDING]


def test_a_refund_that_failed_needs_attention_until_one_succeeds(gateway):
    order = unpaid_order({product(9): 1})
    payment = payments.pay(order.pk, PaymentRequest("fake"), actor=MERCHANT)
    gateway.on_perform = lambda attempt: DECLINED
    with pytest.raises(GatewayRefused):
        payments.refund(order.pk, payment.pk, 100, actor=MERCHANT)

    assert why(order) == [attention.FAILED]

    gateway.on_perform = lambda attempt: OK
    payments.refund(order.pk, payment.pk, 100, actor=MERCHANT)
    assert why(order) == []


def test_a_refund_that_fails_later_is_not_made_good_by_others(gateway):
    """The bank has sent it back to the gateway, days after it was made."""
    order = unpaid_order({product(9): 1})
    payment = payments.pay(order.pk, PaymentRequest("fake"), actor=MERCHANT)

    def refund(amount: int) -> Attempt:
        return payments.refund(order.pk, payment.pk, amount, actor=MERCHANT)

    first = refund(400)
    refund(100)
    settling.settle_attempt(first, Answer(Outcome.FAILED, "ch_1", "account closed"))

    assert why(order) == [attention.FAILED]
    refund(100)
    assert why(order) == [attention.FAILED]
    refund(300)
    assert why(order) == []


def test_a_void_that_failed_needs_attention_until_the_money_is_let_go(gateway):
    order = unpaid_order({product(9): 1})
    payment = payments.pay(
        order.pk, PaymentRequest("fake", Payment.Method.AUTHORIZE), actor=MERCHANT
    )
    gateway.on_perform = lambda attempt: DECLINED
    payments.cancel(order.pk, actor=MERCHANT)

    assert set(why(order)) == {attention.FAILED, attention.HELD}

    gateway.on_perform = lambda attempt: OK
    payments.void(order.pk, payment.pk, actor=MERCHANT)
    assert why(order) == []


def test_money_that_came_late_needs_attention_until_it_is_back(gateway):
    shirt = product(9)
    order = unpaid_order({shirt: 1})
    late = payments.begin(order.pk, PaymentRequest("fake"), actor=MERCHANT)
    settling.settle(late, DECLINED)
    payments.pay(order.pk, PaymentRequest("manual"), actor=MERCHANT)
    settling.settle(late, SUCCEEDED)

    assert attention.LATE in why(order)

    recovery.settle_pending()
    assert why(order) == []


def test_money_of_a_cancelled_order_needs_attention_until_it_is_given_back():
    order = paid_order({product(9): 1})
    payments.cancel(order.pk, actor=MERCHANT)

    assert why(order) == [attention.HELD]

    payments.refund(order.pk, order.payments.get().pk, None, actor=MERCHANT)
    assert why(order) == []


def test_a_partly_paid_order_needs_attention_after_three_days():
    order = unpaid_order({product(9, price=1000): 1})
    payments.pay(order.pk, PaymentRequest("manual", amount=400), actor=MERCHANT)

    with after(hours=71):
        assert why(order) == []
    with after(hours=73):
        assert why(order) == [attention.PARTLY_PAID]
        assert needing_attention() == [order.number]


# What needs it and is left be.


def leave_be(order: Order) -> None:
    attention.leave_be(order.pk, actor=MERCHANT, reason="the agreed fee")


def partly_paid_order(long_ago: Any) -> Order:
    with long_ago:
        order = unpaid_order({product(9, price=1000): 1})
        payments.pay(order.pk, PaymentRequest("manual", amount=400), actor=MERCHANT)
    return order


def partly_refunded_order() -> Order:
    """Cancelled, and some of the money was kept."""
    order = paid_order({product(9): 1})
    payments.cancel(order.pk, actor=MERCHANT)
    payments.refund(order.pk, order.payments.get().pk, 1, actor=MERCHANT)
    return order


def test_an_order_that_is_left_be_is_off_the_list_for_a_reason_that_is_kept():
    order = partly_refunded_order()
    other = partly_refunded_order()

    leave_be(order)

    assert needing_attention() == [other.number]
    assert why(order) == []
    event = order.events.get(kind="left_be")
    assert (event.text, event.actor_name) == ("the agreed fee", MERCHANT.name)


def test_money_that_is_kept_is_counted_though_it_is_left_be():
    order = partly_refunded_order()
    leave_be(order)

    assert [held.orders for held in dashboard.money_held()] == [1]


def test_whatever_happens_to_an_order_that_is_left_be_brings_it_back(gateway):
    order = partly_paid_order(after(hours=-100))
    assert why(order) == [attention.PARTLY_PAID]
    leave_be(order)
    assert why(order) == []

    gateway.on_charge = lambda payment: DECLINED
    with pytest.raises(PaymentDeclined):
        payments.pay(order.pk, PaymentRequest("fake", amount=100), actor=MERCHANT)

    assert why(order) == [attention.PARTLY_PAID]


def test_a_refund_that_failed_and_another_that_does(gateway):
    order = unpaid_order({product(9): 1})
    payment = payments.pay(order.pk, PaymentRequest("fake"), actor=MERCHANT)
    gateway.on_perform = lambda attempt: DECLINED

    for _ in range(2):
        with pytest.raises(GatewayRefused):
            payments.refund(order.pk, payment.pk, 100, actor=MERCHANT)
        assert why(order) == [attention.FAILED]
        leave_be(order)
        assert why(order) == []


def test_a_colleagues_note_brings_nothing_back():
    order = partly_refunded_order()
    leave_be(order)

    orders.write_note(order.pk, "agreed on the phone", actor=MERCHANT)

    assert why(order) == []


def test_money_on_its_way_is_not_left_be():
    order = unpaid_order({product(9): 1})
    payments.pay(order.pk, PaymentRequest("test", token="unknown"), actor=MERCHANT)

    with pytest.raises(PaymentUnderWay):
        leave_be(order)

    assert why(order) == [attention.UNKNOWN]


def test_what_needs_no_attention_is_not_left_be():
    ordinary, left = paid_order({product(9): 1}), partly_refunded_order()
    leave_be(left)

    for order in (ordinary, left):
        with pytest.raises(NothingToLeaveBe):
            leave_be(order)


def test_the_list_says_why(admin_client):
    order = paid_order({product(9): 1})
    payments.cancel(order.pk, actor=MERCHANT)

    response = admin_client.get(ORDERS, {"list": "attention"})

    assert [row.number for row in response.context["cl"].result_list] == [order.number]
    assert attention.HELD in text(response)
