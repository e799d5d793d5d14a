"""Money that comes when its order or its stock can no longer take it."""

from typing import Any

import pytest

from inventory.models import Action, Product
from inventory.services import stock as inventory
from orders.models import Order
from orders.services import shipments
from payments.errors import NotCapturable, PaymentReturned
from payments.gateways.base import Answer, Outcome
from payments.models import Payment
from payments.services import payments, recovery, settling
from tests.factories import MERCHANT, stock_of, unpaid_order
from tests.fake_gateway import DECLINED, OK, FakeGateway
from tests.payments.paying import AUTHORIZE, declined, in_a_minute, money, pay, states
from tests.stock import entries, numbers

pytestmark = pytest.mark.django_db


def test_late_money_is_accepted_if_the_order_can_take_it(gateway, shirt, order):
    gateway.on_charge = lambda payment: DECLINED
    payment = declined(order)

    settling.settle(payment, OK)

    payment.refresh_from_db()
    assert (payment.status, payment.late, payment.failure) == ("complete", False, "")
    assert states(order) == ("complete", "paid")
    assert numbers(shirt) == (10, 9, 1)
    assert entries(shirt)[-1] == ("allocate", 1, "payment started")


def test_late_money_is_accepted_beside_another_part(gateway, shirt, order):
    gateway.on_charge = lambda payment: DECLINED
    late = declined(order, 400)
    gateway.on_charge = lambda payment: OK
    pay(order, 600)

    settling.settle(late, OK)

    assert states(order) == ("complete", "paid")
    assert numbers(shirt) == (10, 9, 1)


def make_it_paid(order: Order, wanted: Product) -> None:
    pay(order, gateway="manual")


def make_it_cancelled(order: Order, wanted: Product) -> None:
    payments.cancel(order.pk, actor=MERCHANT)


def sell_the_stock(order: Order, wanted: Product) -> None:
    stock = stock_of(wanted)
    pay(unpaid_order({wanted: stock.available}), gateway="manual")


def ship_it(order: Order, wanted: Product) -> None:
    pay(order, gateway="manual")
    shipments.ship(order.pk, actor=MERCHANT)


TOO_LATE = [make_it_paid, make_it_cancelled, sell_the_stock, ship_it]


@pytest.mark.parametrize("meanwhile", TOO_LATE)
def test_late_money_that_the_order_cannot_take_goes_back(gateway, shirt, order, meanwhile):
    gateway.on_charge = lambda payment: DECLINED
    late = declined(order)
    meanwhile(order, shirt)
    before, stock_before = states(order), numbers(shirt)
    captured = order.captured

    settling.settle(late, OK)

    late.refresh_from_db()
    assert (late.status, late.late, late.captured_amount) == ("complete", True, 1000)
    attempt = late.attempts.get()
    assert (attempt.kind, attempt.status, attempt.amount) == ("refund", "pending", 1000)
    assert states(order) == before
    assert money(order) == {
        **({"captured": captured} if captured else {}),
        "refunds_open": 1,
    }
    assert numbers(shirt) == stock_before


@pytest.mark.parametrize("meanwhile", TOO_LATE)
def test_the_way_back_of_late_money_is_taken(gateway, shirt, order, meanwhile):
    gateway.on_charge = lambda payment: DECLINED
    late = declined(order)
    meanwhile(order, shirt)
    before = states(order)
    settling.settle(late, OK)

    with in_a_minute():
        recovery.settle_pending()

    assert gateway.performed == [("refund", 1000)]
    late.refresh_from_db()
    assert (late.refunded_amount, late.refundable_amount) == (1000, 0)
    assert states(order) == before
    assert order.refunded == 0


@pytest.mark.parametrize("meanwhile", TOO_LATE)
def test_a_late_authorization_that_the_order_cannot_take_is_voided(
    gateway, shirt, order, meanwhile
):
    gateway.on_charge = lambda payment: DECLINED
    late = declined(order, method=AUTHORIZE)
    meanwhile(order, shirt)
    before, stock_before = states(order), numbers(shirt)
    settling.settle(late, OK)
    attempt = late.attempts.get()

    with in_a_minute():
        recovery.settle_pending()

    assert (attempt.kind, attempt.status) == ("void", "pending")
    assert gateway.performed == [("void", 1000)]
    late.refresh_from_db()
    assert late.status == "cancelled"
    assert states(order) == before
    assert order.authorized == order.attempts_open == 0
    assert numbers(shirt) == stock_before


def late_payment(gateway: FakeGateway, order: Order, wanted: Product, **more: Any) -> Payment:
    """Money that came when the stock was gone, and whose way back failed."""
    gateway.on_charge = lambda payment: DECLINED
    late = declined(order, **more)
    sell_the_stock(order, wanted)
    settling.settle(late, OK)
    settling.settle_attempt(late.attempts.get(), DECLINED)
    return late


def test_late_money_whose_way_back_failed_can_still_be_refunded(gateway, shirt, order):
    late = late_payment(gateway, order, shirt)

    payments.refund(order.pk, late.pk, 1000, actor=MERCHANT)

    late.refresh_from_db()
    assert late.refunded_amount == 1000
    assert money(order) == {}


def test_a_late_authorization_is_never_captured(gateway, shirt, order):
    late = late_payment(gateway, order, shirt, method=AUTHORIZE)

    with pytest.raises(NotCapturable):
        payments.capture(order.pk, late.pk, actor=MERCHANT)

    payments.void(order.pk, late.pk, actor=MERCHANT)
    assert gateway.performed == [("void", 1000)]
    assert money(order) == {}


def test_a_late_authorization_goes_back_by_itself_and_not_with_its_order(gateway, shirt, order):
    late = late_payment(gateway, order, shirt, method=AUTHORIZE)

    payments.cancel(order.pk, actor=MERCHANT)

    assert gateway.performed == []
    assert late.attempts.get().reason == "The payment came too late for the order."
    payments.void(order.pk, late.pk, actor=MERCHANT)
    assert states(order) == ("cancelled", "unpaid")


def test_a_late_authorization_that_was_captured_after_all_counts_if_it_can(gateway, shirt, order):
    """It was let go since the stock was gone, which is there again when its money comes."""
    late = late_payment(gateway, order, shirt, method=AUTHORIZE)
    payments.void(order.pk, late.pk, actor=MERCHANT)
    inventory.record(shirt.pk, Action.INCREMENT, 5, actor=MERCHANT)

    settling.settle(late, Answer(Outcome.CAPTURED, "ch_1"))

    late.refresh_from_db()
    assert (late.status, late.late, late.captured_amount) == ("complete", False, 1000)
    assert states(order) == ("complete", "paid")
    assert money(order) == {"captured": 1000}


def test_what_a_cancelled_order_could_not_let_go_is_not_captured_either(gateway, order):
    payment = pay(order, method=AUTHORIZE)
    gateway.on_perform = lambda attempt: DECLINED
    payments.cancel(order.pk, actor=MERCHANT)

    with pytest.raises(NotCapturable):
        payments.capture(order.pk, payment.pk, actor=MERCHANT)

    gateway.on_perform = lambda attempt: OK
    payments.void(order.pk, payment.pk, actor=MERCHANT)
    assert [kind for kind, _ in gateway.performed] == ["void", "void"]


def test_the_buyer_does_not_read_complete_for_money_that_goes_back(gateway, shirt, order):
    def fail_meanwhile(payment: Payment) -> Answer:
        settling.settle(payment, DECLINED)
        payments.cancel(order.pk, actor=MERCHANT)
        return OK

    gateway.on_charge = fail_meanwhile

    with pytest.raises(PaymentReturned):
        pay(order)

    assert order.payments.get().late
    assert states(order) == ("cancelled", "unpaid")
