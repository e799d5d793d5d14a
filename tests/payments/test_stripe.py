"""The real `stripe` library over real HTTP, against a stand-in that behaves as Stripe does."""

import time
from contextlib import AbstractContextManager
from datetime import timedelta
from typing import Any

import pytest
from procrastinate.contrib.django.models import ProcrastinateJob

from api import clock
from inventory.models import Currency, Product
from inventory.services import currencies
from inventory.services.products import Money
from orders.models import Order
from orders.services import orders
from payments import gateways
from payments.errors import (
    AmountRefused,
    CaptureRefused,
    CurrencyNotChargeable,
    GatewayNotConfigured,
    GatewayNotEnabled,
    GatewayRefused,
    NotRefundable,
    PaymentDeclined,
    PaymentTokenRequired,
)
from payments.gateways import deadline
from payments.gateways.base import Outcome
from payments.models import Payment
from payments.services import payments, reconciliation, recovery, settling
from payments.services.payments import PaymentRequest
from tests.factories import BUYER, MERCHANT, filled_cart, product, stock_of, unpaid_order
from tests.fake_stripe import FakeStripe

pytestmark = pytest.mark.django_db

AUTHORIZE, PURCHASE = Payment.Method.AUTHORIZE, Payment.Method.PURCHASE
VISA = "pm_card_visa"
ASKS = "pm_card_threeDSecure2Required"


@pytest.fixture
def shirt() -> Product:
    return product(stock=10, price=1000)


@pytest.fixture
def order(shirt: Product) -> Order:
    return unpaid_order({shirt: 1})


def pay(order: Order, token: str = VISA, method: Payment.Method = PURCHASE) -> Payment:
    return payments.pay(order.pk, PaymentRequest("stripe", method, token=token), actor=MERCHANT)


def known(payment: Payment) -> Payment:
    return payments.payment_of(payment.order_id, payment.pk)


def intent(stripe: FakeStripe) -> dict[str, Any]:
    """The only intent that there is."""
    [made] = stripe.book()["intents"]
    return dict(made)


def moved(stripe: FakeStripe) -> list[tuple[str, int]]:
    return [(move["kind"], move["amount"]) for move in stripe.book()["moves"]]


def done(stripe: FakeStripe) -> list[str]:
    return [call["operation"] for call in stripe.calls()]


def state(order: Order) -> tuple[str, int]:
    """The order's payment, and the units that it holds."""
    order.refresh_from_db()
    return order.payment, stock_of(order.items.get().product).allocated


def in_a_minute() -> AbstractContextManager[None]:
    return later(timedelta(minutes=1))


def later(by: timedelta) -> AbstractContextManager[None]:
    at = clock.now() + by
    return clock.replaced(lambda: at)


# Charging.


def test_a_purchase_is_announced_then_confirmed_and_paid(stripe, order):
    payment = pay(order)

    made = intent(stripe)
    assert (payment.status, payment.reference) == ("complete", made["id"])
    assert state(order) == ("paid", 1)
    assert made["metadata"] == {"payment_id": str(payment.pk), "order_id": str(order.pk)}
    assert (made["amount_received"], made["currency"]) == (1000, "usd")
    assert done(stripe) == ["create_intent", "confirm"]


def test_the_reference_is_committed_before_anything_is_charged(stripe, order, monkeypatch):
    seen: list[Any] = []
    adapter = gateways.adapters()["stripe"]
    charge = type(adapter).charge

    def looking(self: Any, payment: Payment) -> Any:
        seen.append((known(payment).reference, intent(stripe)["status"]))
        return charge(self, payment)

    monkeypatch.setattr(type(adapter), "charge", looking)

    payment = pay(order)

    assert seen == [(payment.reference, "requires_confirmation")]


def test_an_authorization_reserves_and_a_capture_takes(stripe, order):
    payment = pay(order, method=AUTHORIZE)
    authorized = (state(order), intent(stripe)["status"])

    payments.capture(order.pk, payment.pk, actor=MERCHANT)

    assert authorized == (("authorized", 1), "requires_capture")
    assert state(order) == ("paid", 1)
    assert intent(stripe)["amount_received"] == 1000


@pytest.mark.parametrize(
    ("token", "words"),
    [
        ("pm_card_chargeDeclined", "Your card was declined."),
        ("pm_card_chargeDeclinedInsufficientFunds", "Your card has insufficient funds."),
    ],
)
def test_f17_a_decline_ends_the_intent_and_gives_the_units_back(stripe, order, token, words):
    with pytest.raises(PaymentDeclined):
        pay(order, token)

    payment = order.payments.get()
    assert (payment.status, payment.failure) == ("failed", words)
    assert intent(stripe)["status"] == "canceled"
    assert moved(stripe) == [("decline", 1000)]
    assert state(order) == ("unpaid", 0)


def test_f17_a_declined_buyer_may_try_again(stripe, order):
    with pytest.raises(PaymentDeclined):
        pay(order, "pm_card_chargeDeclined")

    pay(order)

    assert state(order) == ("paid", 1)


def test_a_card_that_stripe_does_not_know_is_declined(stripe, order):
    with pytest.raises(PaymentDeclined):
        pay(order, "pm_card_of_nobody")

    assert state(order) == ("unpaid", 0)


def test_f15_a_charge_whose_answer_was_lost_is_found_by_its_reference(stripe, order):
    stripe.fault(operation="confirm", answer="dropped")
    pending = pay(order)

    recovery.settle_pending()

    assert (pending.status, known(pending).status) == ("pending", "complete")
    assert state(order) == ("paid", 1)
    assert done(stripe).count("confirm") == 1


def test_f16_a_gateway_that_is_silent_and_charges_all_the_same(stripe, order):
    stripe.fault(operation="confirm", answer="500")
    pending = pay(order)
    waiting = state(order)
    stripe.forget_keys()

    recovery.settle_pending()

    assert pending.status == "pending"
    assert waiting == ("unpaid", 1)
    assert state(order) == ("paid", 1)
    assert moved(stripe) == [("charge", 1000)]


def test_f16_a_gateway_that_is_silent_and_charged_nothing(stripe, order):
    stripe.fault(operation="confirm", answer="500", works=False)
    pending = pay(order)

    recovery.settle_pending()

    assert known(pending).status == "failed"
    assert intent(stripe)["status"] == "canceled"
    assert state(order) == ("unpaid", 0)
    assert done(stripe).count("confirm") == 1


def test_f14_what_was_never_announced_is_called_failed_without_asking(stripe, order):
    payment = payments.begin(order.pk, PaymentRequest("stripe", token=VISA), actor=MERCHANT)

    with in_a_minute():
        recovery.settle_pending()

    assert known(payment).status == "failed"
    assert done(stripe) == []
    assert state(order) == ("unpaid", 0)


def test_f14_what_was_announced_and_never_confirmed_is_given_up(stripe, order, monkeypatch):
    def die(*known: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as dying:
        dying.setattr(type(gateways.adapters()["stripe"]), "charge", die)
        with pytest.raises(KeyboardInterrupt):
            pay(order)

    with in_a_minute():
        recovery.settle_pending()

    assert order.payments.get().status == "failed"
    assert intent(stripe)["status"] == "canceled"
    assert state(order) == ("unpaid", 0)


def test_a_confirmation_is_not_sent_for_what_recovery_has_settled_meanwhile(
    stripe, order, monkeypatch
):
    adapter = type(gateways.adapters()["stripe"])
    announce = adapter.announce

    def announce_slowly(self: Any, payment: Payment) -> Any:
        answer = announce(self, payment)
        with in_a_minute():
            recovery.settle_pending()
        return answer

    monkeypatch.setattr(adapter, "announce", announce_slowly)

    with pytest.raises(PaymentDeclined):
        pay(order)

    assert "confirm" not in done(stripe)
    assert state(order) == ("unpaid", 0)


def test_recovery_that_comes_while_a_charge_is_confirmed_wins_or_finds_it_charged(stripe, order):
    """The intent is cancelled under the confirmation: it can then not be charged any more."""
    payment = payments.begin(order.pk, PaymentRequest("stripe", token=VISA), actor=MERCHANT)
    adapter = gateways.adapter("stripe")
    announced = adapter.announce(payment)
    assert announced is not None
    payment.reference = announced.reference
    given_up = adapter.give_up(payment)

    confirmed = adapter.charge(payment)

    assert given_up.outcome is confirmed.outcome is Outcome.CANCELLED
    settling.settle(payment, confirmed)
    assert moved(stripe) == []


def test_to_give_up_what_was_charged_finds_the_charge(stripe, order):
    payment = pay(order)

    answer = gateways.adapter("stripe").give_up(payment)

    assert (answer.outcome, answer.reference) == (Outcome.SUCCEEDED, payment.reference)


def test_f25_money_that_comes_after_it_was_called_failed_goes_back(stripe, order):
    stripe.fault(operation="confirm", answer="dropped")
    payment = pay(order)
    recovery.settle_by_hand(
        order.pk, payment.pk, succeeded=False, reference="", reason="no answer", actor=MERCHANT
    )
    payments.cancel(order.pk, actor=MERCHANT)

    recovery.look_at(order.pk, payment.pk)
    recovery.settle_pending()

    assert known(payment).late
    assert moved(stripe) == [("charge", 1000), ("refund", 1000)]
    assert state(order) == ("unpaid", 0)
    assert list(order.events.values_list("kind", flat=True)) == [
        "payment_settled_by_hand",
        "cancelled",
        "money_came_late",
    ]


def test_a_reference_typed_by_a_person_does_not_replace_the_gateways_own(stripe, order):
    """People type what they see, such as the name of a charge; refunds need that of the intent."""
    stripe.fault(operation="confirm", answer="dropped")
    payment = pay(order)

    settled = recovery.settle_by_hand(
        order.pk, payment.pk, succeeded=True, reference="ch_1", reason="seen", actor=MERCHANT
    )
    refunded = payments.refund(order.pk, payment.pk, 400, actor=MERCHANT)

    assert settled.reference == intent(stripe)["id"]
    assert "ch_1" in order.events.get().text
    assert refunded.status == "succeeded"


# A buyer who has to act.


def test_a_buyer_who_has_to_act_is_told_what_stripes_script_needs(stripe, order):
    payment = pay(order, ASKS)

    made = intent(stripe)
    assert payment.status == "pending"
    assert payment.action is not None
    assert payment.action["client_parameters"] == {
        "payment_intent": made["id"],
        "client_secret": made["client_secret"],
        "publishable_key": "pk_test_fake",
    }
    assert [action["type"] for action in payment.action["next_actions"]] == ["use_stripe_sdk"]
    assert state(order) == ("unpaid", 1)


def test_a_buyer_who_has_acted_goes_on(stripe, order):
    payment = pay(order, ASKS)
    stripe.authenticate(payment.reference)

    confirmed = payments.confirm(order.pk, payment.pk)

    assert confirmed.status == "complete"
    assert state(order) == ("paid", 1)


def test_a_buyer_who_failed_to_prove_himself_is_declined(stripe, order):
    payment = pay(order, ASKS)
    stripe.authenticate(payment.reference, succeeds=False)

    with pytest.raises(PaymentDeclined):
        payments.confirm(order.pk, payment.pk)

    assert intent(stripe)["status"] == "canceled"
    assert state(order) == ("unpaid", 0)


def test_a_buyer_who_has_not_acted_yet_goes_on_waiting(stripe, order):
    payment = pay(order, ASKS)

    confirmed = payments.confirm(order.pk, payment.pk)
    recovery.settle_pending()

    assert confirmed.action == payment.action
    assert known(payment).status == "pending"


def test_a_buyer_who_acts_without_telling_us_is_found(stripe, order):
    payment = pay(order, ASKS)
    stripe.authenticate(payment.reference)

    recovery.settle_pending()

    assert known(payment).status == "complete"


def test_a_buyer_who_never_acts_is_given_up_after_half_an_hour(stripe, order):
    payment = pay(order, ASKS)

    with later(timedelta(minutes=29)):
        recovery.settle_pending()
    early = known(payment).status
    with later(timedelta(minutes=31)):
        recovery.settle_pending()

    assert (early, known(payment).status) == ("pending", "failed")
    assert intent(stripe)["status"] == "canceled"
    assert state(order) == ("unpaid", 0)


# Captures, voids and refunds.


def test_refunds_in_parts_up_to_what_was_captured(stripe, order):
    payment = pay(order)

    for amount in (300, 700):
        payments.refund(order.pk, payment.pk, amount, actor=MERCHANT)

    assert moved(stripe) == [("charge", 1000), ("refund", 300), ("refund", 700)]
    assert state(order) == ("refunded", 1)


def test_a_refund_that_stripe_refuses_leaves_the_payment_as_it_is_there(stripe, order):
    payment = pay(order)
    refund_elsewhere(stripe, payment, 900)

    with pytest.raises(GatewayRefused):
        payments.refund(order.pk, payment.pk, 200, actor=MERCHANT)

    assert known(payment).refunded_amount == 900
    assert state(order) == ("paid", 1)


def test_f18_a_refund_that_stripe_puts_off_is_made_later(stripe, order):
    payment = pay(order)
    stripe.fault(operation="create_refund", answer="429")
    attempt = payments.refund(order.pk, payment.pk, 400, actor=MERCHANT)

    recovery.settle_pending()

    assert attempt.is_pending
    assert known(payment).refunded_amount == 400


@pytest.mark.parametrize("answer", ["dropped", "500"])
def test_f18_a_refund_whose_answer_was_lost_is_found_in_the_list(stripe, order, answer):
    payment = pay(order)
    stripe.fault(operation="create_refund", answer=answer)
    attempt = payments.refund(order.pk, payment.pk, 400, actor=MERCHANT)
    stripe.forget_keys()

    recovery.settle_pending()

    attempt.refresh_from_db()
    assert attempt.status == "succeeded"
    assert moved(stripe) == [("charge", 1000), ("refund", 400)]


def test_f18_a_refund_that_failed_at_stripe_itself_is_made_by_another_key(stripe, order):
    payment = pay(order)
    stripe.fault(operation="create_refund", answer="500", works=False)
    attempt = payments.refund(order.pk, payment.pk, 400, actor=MERCHANT)

    recovery.settle_pending()

    attempt.refresh_from_db()
    assert attempt.status == "succeeded"
    assert moved(stripe) == [("charge", 1000), ("refund", 400)]


def test_a_refund_that_takes_its_time_is_on_its_way_until_stripe_says_so(stripe, order):
    stripe.settings(refund_status="pending")
    payment = pay(order)
    attempt = payments.refund(order.pk, payment.pk, 400, actor=MERCHANT)
    recovery.settle_pending()
    attempt.refresh_from_db()
    waiting = (attempt.status, known(payment).refunding_amount)
    [refund] = stripe.book()["refunds"]
    stripe.set_refund(refund["id"], status="succeeded")

    recovery.settle_pending()

    assert waiting == ("pending", 400)
    assert known(payment).refunded_amount == 400


def test_f24_a_refund_that_a_person_called_failed_and_that_was_made_is_found(stripe, order):
    stripe.fault(operation="create_refund", answer="dropped")
    payment = pay(order)
    payments.refund(order.pk, payment.pk, 400, actor=MERCHANT)
    recovery.settle_by_hand(
        order.pk, payment.pk, succeeded=False, reference="", reason="not there", actor=MERCHANT
    )

    recovery.look_at(order.pk, payment.pk)

    assert known(payment).refunded_amount == 400
    assert moved(stripe) == [("charge", 1000), ("refund", 400)]


def test_f24_a_refund_that_a_person_called_made_and_that_never_arrives_is_owed_again(stripe, order):
    stripe.fault(operation="create_refund", answer="dropped")
    payment = pay(order)
    payments.refund(order.pk, payment.pk, 400, actor=MERCHANT)
    recovery.settle_by_hand(
        order.pk, payment.pk, succeeded=True, reference="", reason="seen there", actor=MERCHANT
    )
    [made] = stripe.book()["refunds"]
    stripe.set_refund(made["id"], status="failed")

    recovery.look_at(order.pk, payment.pk)

    assert known(payment).refunded_amount == 0
    assert reconciliation.differences(payment.created_at) == []


@pytest.mark.parametrize("answer", ["dropped", "500"])
@pytest.mark.parametrize("works", [True, False])
@pytest.mark.parametrize(("amount", "becomes"), [(1000, "paid"), (600, "partially_paid")])
def test_f18_a_capture_whose_answer_was_lost_is_made_once(
    stripe, order, answer, works, amount, becomes
):
    payment = pay(order, method=AUTHORIZE)
    stripe.fault(operation="capture", answer=answer, works=works)
    payments.capture(order.pk, payment.pk, amount, actor=MERCHANT)

    recovery.settle_pending()

    assert state(order) == (becomes, 1)
    assert intent(stripe)["amount_received"] == amount
    assert reconciliation.differences(payment.created_at) == []


@pytest.mark.parametrize("works", [True, False])
def test_f18_a_void_whose_answer_was_lost_is_made_once(stripe, order, works):
    payment = pay(order, method=AUTHORIZE)
    stripe.fault(operation="cancel", answer="dropped", works=works)
    payments.void(order.pk, payment.pk, actor=MERCHANT)

    recovery.settle_pending()

    assert known(payment).status == "cancelled"
    assert intent(stripe)["status"] == "canceled"
    assert state(order) == ("unpaid", 0)


def test_a_cancelled_order_lets_its_authorization_go_at_stripe(stripe, order):
    pay(order, method=AUTHORIZE)

    payments.cancel(order.pk, actor=MERCHANT)

    assert intent(stripe)["status"] == "canceled"
    assert state(order) == ("unpaid", 0)


def test_f28_an_authorization_that_lapsed_is_found_when_it_is_to_be_captured(stripe, order):
    payment = pay(order, method=AUTHORIZE)
    stripe.lapse(payment.reference)

    with pytest.raises(GatewayRefused, match="lapsed"):
        payments.capture(order.pk, payment.pk, actor=MERCHANT)

    assert known(payment).status == "cancelled"
    assert state(order) == ("unpaid", 0)
    assert [event.kind for event in order.events.all()] == ["authorization_lapsed"]


def test_f28_authorizations_are_let_go_when_their_time_is_over(stripe, order):
    payment = pay(order, method=AUTHORIZE)

    with later(timedelta(days=6, hours=23)):
        early = recovery.void_lapsed_authorizations()
    with later(timedelta(days=7, hours=1)):
        voided = recovery.void_lapsed_authorizations()

    assert (early, voided) == (0, 1)
    assert known(payment).status == "cancelled"
    assert intent(stripe)["status"] == "canceled"
    assert state(order) == ("unpaid", 0)


# What is done at Stripe itself, past us.


def capture_elsewhere(stripe: FakeStripe, payment: Payment, amount: int) -> None:
    stripe.account.capture({"amount_to_capture": str(amount)}, payment.reference)


def refund_elsewhere(stripe: FakeStripe, payment: Payment, amount: int) -> dict[str, Any]:
    return stripe.account.create_refund(
        {"payment_intent": payment.reference, "amount": str(amount)}
    )


def test_a_capture_finds_that_less_was_captured_already(stripe, order):
    payment = pay(order, method=AUTHORIZE)
    capture_elsewhere(stripe, payment, 600)

    attempt = payments.capture(order.pk, payment.pk, actor=MERCHANT)

    assert (attempt.status, attempt.amount) == ("succeeded", 600)
    assert known(payment).captured_amount == 600
    assert state(order) == ("partially_paid", 1)
    assert reconciliation.differences(payment.created_at) == []


@pytest.mark.parametrize("amount", [600, 1000])
def test_a_void_finds_that_the_money_was_captured_already(stripe, order, amount):
    payment = pay(order, method=AUTHORIZE)
    capture_elsewhere(stripe, payment, amount)

    with pytest.raises(GatewayRefused, match="captured already"):
        payments.void(order.pk, payment.pk, actor=MERCHANT)

    assert known(payment).captured_amount == amount
    assert reconciliation.differences(payment.created_at) == []


def test_money_captured_at_stripe_of_an_order_that_is_cancelled_can_be_given_back(stripe, order):
    payment = pay(order, method=AUTHORIZE)
    capture_elsewhere(stripe, payment, 600)

    payments.cancel(order.pk, actor=MERCHANT)
    payments.refund(order.pk, payment.pk, 600, actor=MERCHANT)

    assert moved(stripe) == [("authorize", 1000), ("capture", 600), ("refund", 600)]
    assert reconciliation.differences(payment.created_at) == []


def test_f28_what_was_captured_at_stripe_is_not_voided_again_and_again(stripe, order):
    payment = pay(order, method=AUTHORIZE)
    capture_elsewhere(stripe, payment, 1000)

    with later(timedelta(days=8)):
        for _ in range(3):
            recovery.void_lapsed_authorizations()

    assert known(payment).captured_amount == 1000
    assert payment.attempts.filter(kind="void").count() == 1


def test_an_authorization_that_was_captured_before_we_heard_of_it(stripe, order):
    stripe.fault(operation="confirm", answer="dropped")
    payment = pay(order, method=AUTHORIZE)
    capture_elsewhere(stripe, known(payment), 1000)

    recovery.settle_pending()

    assert known(payment).captured_amount == 1000
    assert state(order) == ("paid", 1)


def test_refunds_made_at_stripe_are_booked_once_beside_ours(stripe, order):
    payment = pay(order)
    for amount in (100, 200):
        refund_elsewhere(stripe, payment, amount)
    payments.refund(order.pk, payment.pk, 300, actor=MERCHANT)

    for _ in range(2):
        recovery.look_at(order.pk, payment.pk)

    assert known(payment).refunded_amount == 600
    assert state(order) == ("paid", 1)
    made = payment.attempts.order_by("amount").values_list("amount", "status", "reason")
    assert list(made) == [
        (100, "succeeded", "Refunded at the gateway itself."),
        (200, "succeeded", "Refunded at the gateway itself."),
        (300, "succeeded", ""),
    ]
    assert reconciliation.differences(payment.created_at) == []


def test_a_payment_that_hung_and_was_refunded_at_stripe_is_booked_with_its_refund(stripe, order):
    stripe.fault(operation="confirm", answer="dropped")
    payment = pay(order)
    refund_elsewhere(stripe, known(payment), 1000)

    recovery.look_at(order.pk, payment.pk)

    assert state(order) == ("refunded", 1)
    assert reconciliation.differences(payment.created_at) == []


def test_a_refund_made_at_stripe_that_never_arrives_is_owed_again(stripe, order):
    payment = pay(order)
    made = refund_elsewhere(stripe, payment, 1000)
    recovery.look_at(order.pk, payment.pk)
    refunded = state(order)
    stripe.set_refund(made["id"], status="failed")

    recovery.look_at(order.pk, payment.pk)

    assert (refunded, state(order)) == (("refunded", 1), ("paid", 1))
    assert reconciliation.differences(payment.created_at) == []


def test_a_refund_that_somebody_waits_for_is_left_to_him(stripe, order):
    payment = pay(order)
    attempt = payments.begin_refund(order.pk, payment.pk, 300, actor=MERCHANT)
    gateways.adapter("stripe").perform(attempt)

    payments.look_after_refunds(payment)

    left = payment.attempts.get()
    assert (left.is_under_way(clock.now()), left.reference) == (True, "")
    assert known(payment).refunding_amount == 300


def test_a_refund_made_at_stripe_counts_once_it_is_made(stripe, order):
    stripe.settings(refund_status="pending")
    payment = pay(order)
    made = refund_elsewhere(stripe, payment, 400)
    recovery.look_at(order.pk, payment.pk)
    waiting = known(payment).refunded_amount
    stripe.set_refund(made["id"], status="succeeded")

    recovery.look_at(order.pk, payment.pk)

    assert (waiting, known(payment).refunded_amount) == (0, 400)


def test_f24_what_was_marked_as_refunded_is_the_refund_that_is_found_at_stripe(stripe, order):
    payment = pay(order)
    payments.refund(order.pk, payment.pk, None, actor=MERCHANT)
    made = refund_elsewhere(stripe, payment, 1000)

    recovery.look_at(order.pk, payment.pk)

    assert known(payment).refunded_amount == 1000
    assert payment.attempts.get().reference == made["id"]
    assert reconciliation.differences(payment.created_at) == []


def test_f24_more_refunded_at_stripe_than_is_left_here_is_a_difference(stripe, order):
    payment = pay(order)
    payments.refund(order.pk, payment.pk, None, actor=MERCHANT)
    refund_elsewhere(stripe, payment, 400)

    recovery.look_at(order.pk, payment.pk)

    assert known(payment).refunded_amount == 1000
    [found] = reconciliation.differences(payment.created_at)
    assert "$4.00 refunded there, $0.00 here" in str(found)


@pytest.mark.parametrize(
    ("changed", "value"), [("currency", "eur"), ("amount_received", 999), ("amount_received", 1001)]
)
def test_other_money_than_was_asked_for_is_never_taken_for_it(
    stripe, order, caplog, changed, value
):
    stripe.fault(operation="confirm", answer="dropped")
    payment = pay(order)
    setattr(stripe.account.intents[known(payment).reference], changed, value)

    with later(timedelta(hours=1)):
        recovery.settle_pending()

    assert known(payment).status == "pending"
    assert "gateway_has_other_money" in caplog.text
    assert state(order) == ("unpaid", 1)


# What it cannot be asked for.


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("STRIPE_SECRET_KEY", ""),
        ("STRIPE_PUBLISHABLE_KEY", ""),
        ("STRIPE_PUBLISHABLE_KEY", "pk_live_of_another_mode"),
        ("STRIPE_SECRET_KEY", "rk_live_of_another_mode"),
    ],
)
def test_stripe_needs_both_its_keys_of_one_mode_to_be_enabled(stripe, settings, order, name, key):
    setattr(settings, name, key)

    with pytest.raises(GatewayNotConfigured):
        payments.set_gateway("stripe", enabled=True, actor=MERCHANT)
    with pytest.raises(GatewayNotEnabled):
        pay(order)
    assert payments.set_gateway("stripe", enabled=False, actor=MERCHANT).slug == "stripe"


def test_a_payment_without_a_card_is_refused_before_any_stock_moves(stripe, order):
    with pytest.raises(PaymentTokenRequired):
        pay(order, token="")

    assert not order.payments.exists()
    assert state(order) == ("unpaid", 0)


def test_what_is_open_is_settled_without_the_key_for_storefronts(stripe, settings, order):
    stripe.fault(operation="confirm", answer="dropped")
    pay(order)
    settings.STRIPE_PUBLISHABLE_KEY = ""

    recovery.settle_pending()

    assert state(order) == ("paid", 1)


@pytest.mark.parametrize("price", [49, 100_000_000])
def test_what_stripe_finds_too_little_or_too_much_is_declined_and_holds_nothing(stripe, price):
    bought = unpaid_order({product(stock=1, price=price): 1})

    with pytest.raises(PaymentDeclined):
        pay(bought)

    assert "Amount must be no" in bought.payments.get().failure
    assert state(bought) == ("unpaid", 0)


def test_a_wrong_key_charges_nothing(stripe, settings, order):
    settings.STRIPE_SECRET_KEY = "sk_test_wrong"

    with pytest.raises(PaymentDeclined):
        pay(order)

    assert state(order) == ("unpaid", 0)


# Currencies: what the store counts in, and what Stripe counts in.


def order_in(code: str, decimal_places: int, price: int) -> Order:
    now = clock.now()
    Currency.objects.create(
        code=code,
        format="{price}",
        decimal_places=decimal_places,
        enabled=True,
        created_at=now,
        updated_at=now,
    )
    currencies.forget()
    sold = product(stock=5, prices=[Money(code, price)])
    made, _ = orders.checkout(filled_cart({sold: 1}, currency=code), BUYER)
    return made


@pytest.mark.parametrize(
    ("code", "decimal_places", "price", "charged"),
    [("EUR", 2, 1250, 1250), ("JPY", 0, 1250, 1250), ("KWD", 3, 1250, 1250), ("ISK", 0, 12, 1200)],
)
def test_an_amount_is_charged_in_the_digits_of_stripe(stripe, code, decimal_places, price, charged):
    bought = order_in(code, decimal_places, price)

    payment = pay(bought)
    payments.refund(bought.pk, payment.pk, price, actor=MERCHANT)

    assert moved(stripe) == [("charge", charged), ("refund", charged)]
    [booked] = gateways.adapter("stripe").booked_since(payment.created_at)
    assert (booked.captured, booked.refunded) == (price, price)


def test_a_currency_that_the_store_counts_otherwise_is_refused(stripe):
    with pytest.raises(CurrencyNotChargeable):
        pay(order_in("JPY", 2, 1250))


def test_three_digits_are_charged_in_steps_of_ten(stripe):
    with pytest.raises(AmountRefused):
        pay(order_in("KWD", 3, 1255))


def test_three_digits_are_captured_and_refunded_in_steps_of_ten(stripe):
    bought = order_in("KWD", 3, 1250)
    payment = pay(bought, method=AUTHORIZE)

    with pytest.raises(CaptureRefused):
        payments.capture(bought.pk, payment.pk, 1245, actor=MERCHANT)
    payments.capture(bought.pk, payment.pk, 1240, actor=MERCHANT)
    payments.cancel(bought.pk, actor=MERCHANT)
    with pytest.raises(NotRefundable):
        payments.refund(bought.pk, payment.pk, 5, actor=MERCHANT)

    assert moved(stripe) == [("authorize", 1250), ("capture", 1240)]


# Waiting.


def test_nobody_waits_longer_than_he_may(stripe, order, settings):
    settings.GATEWAY_TIMEOUT_SECONDS = 1
    stripe.fault(operation="confirm", seconds=4)

    payment = pay(order)

    assert payment.status == "pending"


def test_a_wait_is_shared_by_all_the_calls_that_it_takes():
    with deadline.at_most(10):
        whole = deadline.seconds_left()
        with deadline.at_most(60):
            within = deadline.seconds_left()
        with deadline.at_most(1):
            shorter = deadline.seconds_left()

    assert 9 < within <= whole <= 10
    assert shorter <= 1


@pytest.mark.parametrize("answer", ["dropped", "429"])
def test_a_gateway_that_cannot_be_reached_to_announce_leaves_it_to_a_worker(stripe, order, answer):
    stripe.fault(operation="create_intent", answer=answer, works=False)
    payment = pay(order)
    queued = known(payment)

    payments.charge_queued(payment.pk)

    assert queued.status == "pending"
    assert queued.queued_until is not None
    assert known(payment).status == "complete"
    assert state(order) == ("paid", 1)


@pytest.mark.parametrize("works", [True, False])
def test_a_failure_to_announce_that_stripe_repeats_does_not_cost_the_sale(stripe, order, works):
    stripe.fault(operation="create_intent", answer="500", works=works)
    payment = pay(order)

    payments.charge_queued(payment.pk)

    assert state(order) == ("paid", 1)
    assert moved(stripe) == [("charge", 1000)]


def test_a_worker_who_cannot_reach_it_either_tries_for_five_minutes(stripe, order):
    stripe.fault(operation="create_intent", times=4, answer="dropped", works=False)
    payment = pay(order)

    payments.charge_queued(payment.pk)
    trying = known(payment)
    with later(timedelta(minutes=4)):
        payments.charge_queued(payment.pk)
    still_trying = known(payment)
    with later(timedelta(minutes=6)):
        payments.charge_queued(payment.pk)

    assert trying.queued_until is not None
    assert (trying.status, still_trying.status) == ("pending", "pending")
    assert known(payment).failure == payments.UNREACHABLE
    assert state(order) == ("unpaid", 0)
    waits = ProcrastinateJob.objects.order_by("pk").values_list("scheduled_at", flat=True)
    assert len(waits) == 3
    assert all(waits[1:]), "the next try is not made at once"


def test_a_worker_who_comes_while_the_first_call_is_still_running_tries_again(stripe, order):
    """The call by whose key a second one is refused may have been given up by whoever made it."""
    stripe.fault(operation="create_intent", seconds=3, before=True)
    with deadline.at_most(1):
        payment = pay(order)
    payments.charge_queued(payment.pk)
    refused = known(payment)
    time.sleep(3)

    payments.charge_queued(payment.pk)

    assert refused.status == "pending"
    assert known(payment).status == "complete"
    assert len(stripe.book()["intents"]) == 1
