"""Payments that only wait for their buyer: given up by paying anew, and by cancelling the order."""

from collections.abc import Callable
from typing import Any

import pytest

from api.actors import SYSTEM
from api.errors import Moved
from api.idempotency import Answered, Key
from api.ids import uuid7
from api.models import IdempotencyKey
from inventory.models import StockTransaction
from orders.errors import InsufficientStock, OrderNotCancellable, PaymentUnderWay
from orders.models import Order
from payments import gateways
from payments.errors import (
    AmountRefused,
    GatewayNotEnabled,
    NotVoidable,
    OrderNotPayable,
    PaymentDeclined,
    PaymentTokenRequired,
    RestIsPending,
    StillUnderWay,
)
from payments.gateways.base import UNKNOWN, Answer, Outcome
from payments.models import Payment
from payments.services import bookkeeping, payments, recovery, settling, waiting
from payments.services.payments import PaymentRequest
from tests.factories import MERCHANT, product, unpaid_order
from tests.fake_gateway import DECLINED, GIVEN_UP, OK, FakeGateway
from tests.http import administrator, shopper
from tests.payments.paying import AUTHORIZE, in_a_minute, money, pay, states
from tests.stock import entries, numbers

pytestmark = pytest.mark.django_db

ACTION = Answer(
    Outcome.ACTION, "ch_1", action={"client_parameters": {}, "next_actions": [{"type": "sdk"}]}
)
ASKS = "pm_card_threeDSecure2Required"


def waiting_payment(gateway: FakeGateway, order: Order, amount: int | None = None) -> Payment:
    """A payment whose buyer has been asked for something; the next one goes well."""
    gateway.on_charge = lambda payment: ACTION
    gateway.on_find_charge = lambda payment: ACTION
    payment = pay(order, amount)
    gateway.on_charge = lambda payment: OK
    return payment


def statuses(order: Order) -> list[str]:
    return list(order.payments.order_by("pk").values_list("status", flat=True))


@pytest.fixture
def given_up(gateway: FakeGateway) -> list[Payment]:
    """Those that the gateway was asked to give up."""
    asked: list[Payment] = []
    answer = gateway.on_give_up

    def note(payment: Payment) -> Answer:
        asked.append(payment)
        return answer(payment)

    gateway.on_give_up = note
    return asked


@pytest.fixture
def last_unit() -> Order:
    return unpaid_order({product(stock=1, price=1000): 1})


# Paying anew.


def test_t13_another_card_takes_the_place_of_the_one_that_waits(gateway, given_up, last_unit):
    first = waiting_payment(gateway, last_unit)

    second = pay(last_unit)

    assert given_up == [first]
    assert statuses(last_unit) == ["failed", "complete"]
    first.refresh_from_db()
    assert first.failure == "Given up while it waited for its buyer, who paid otherwise."
    assert second.amount == 1000
    assert states(last_unit) == ("complete", "paid")
    # The unit never went back, so nobody else could take it.
    assert entries(last_unit.items.get().product) == [("allocate", 1, "payment started")]


@pytest.mark.parametrize("slug", ["test", "manual"])
def test_it_need_not_be_the_same_gateway(gateway, shirt, order, slug):
    waiting_payment(gateway, order)

    pay(order, gateway=slug)

    assert statuses(order) == ["failed", "complete"]
    assert money(order) == {"captured": 1000}


def test_the_new_one_may_wait_too_and_be_given_up_in_turn(gateway, order):
    waiting_payment(gateway, order)

    second = waiting_payment(gateway, order)
    third = pay(order)

    assert second.is_pending
    assert third.status == "complete"
    assert statuses(order) == ["failed", "failed", "complete"]
    assert money(order) == {"captured": 1000}


def test_a_new_one_that_is_declined_leaves_the_order_unpaid(gateway, shirt, order):
    waiting_payment(gateway, order)
    gateway.on_charge = lambda payment: DECLINED

    with pytest.raises(PaymentDeclined):
        pay(order)

    assert statuses(order) == ["failed", "failed"]
    assert states(order) == ("incomplete", "unpaid")
    assert money(order) == {}
    assert numbers(shirt) == (10, 10, 0)


@pytest.mark.parametrize("found", ["looked", "given up"])
def test_what_succeeded_meanwhile_counts_and_nothing_is_paid_twice(gateway, order, found):
    waiting_payment(gateway, order)
    if found == "looked":
        gateway.on_find_charge = lambda payment: OK
    gateway.on_give_up = lambda payment: OK

    with pytest.raises(OrderNotPayable):
        pay(order)

    assert statuses(order) == ["complete"]
    assert states(order) == ("complete", "paid")
    assert len(gateway.charged) == 1


def test_a_message_that_it_succeeded_may_come_in_between(gateway, order):
    first = waiting_payment(gateway, order)

    def succeed_just_before(payment: Payment) -> Answer:
        settling.settle(first, OK)
        return OK

    gateway.on_give_up = succeed_just_before

    with pytest.raises(OrderNotPayable):
        pay(order)

    assert states(order) == ("complete", "paid")
    assert len(gateway.charged) == 1


def test_a_message_that_it_ended_may_come_in_between_and_the_units_be_gone(gateway):
    shirt = product(stock=1, price=1000)
    order, other = unpaid_order({shirt: 1}), unpaid_order({shirt: 1})
    first = waiting_payment(gateway, order)

    def end_just_before(payment: Payment) -> Answer:
        settling.settle(first, GIVEN_UP)
        pay(other, gateway="manual")
        return GIVEN_UP

    gateway.on_give_up = end_just_before

    with pytest.raises(InsufficientStock):
        pay(order)

    assert statuses(order) == ["failed"]
    assert states(other) == ("complete", "paid")
    assert len(gateway.charged) == 1


@pytest.mark.parametrize("silent", ["look", "give up"])
def test_without_an_answer_nothing_is_given_up_nor_paid(gateway, shirt, order, silent):
    waiting_payment(gateway, order)
    if silent == "look":
        gateway.on_find_charge = lambda payment: UNKNOWN
    gateway.on_give_up = lambda payment: UNKNOWN

    with pytest.raises(RestIsPending):
        pay(order)
    with pytest.raises(PaymentUnderWay):
        payments.cancel(order.pk, actor=MERCHANT)

    assert statuses(order) == ["pending"]
    assert money(order) == {"pending": 1000, "attempts_open": 1}
    assert numbers(shirt) == (10, 9, 1)
    assert len(gateway.charged) == 1


def test_while_no_thread_may_wait_nothing_is_given_up(gateway, given_up, order, monkeypatch):
    waiting_payment(gateway, order)
    with monkeypatch.context() as busy:
        busy.setattr("payments.services.gateway_calls._waits", _none_free())
        with pytest.raises(RestIsPending):
            pay(order)

    assert given_up == []
    assert pay(order).status == "complete"


def test_nobody_else_asks_while_one_is_given_up(gateway, order):
    """A message that it is cancelled may come before the answer, and would free the units."""
    first = waiting_payment(gateway, order)
    seen: list[Any] = []

    def look_meanwhile(payment: Payment) -> Answer:
        with pytest.raises(StillUnderWay):
            recovery.look_at(order.pk, first.pk)
        with pytest.raises(RestIsPending):
            pay(order)
        seen.append((payments.confirm(order.pk, first.pk).status, recovery.settle_pending()))
        return GIVEN_UP

    gateway.on_give_up = look_meanwhile

    pay(order)

    assert seen == [("pending", 0)]
    assert statuses(order) == ["failed", "complete"]


def _none_free() -> Any:
    class NoneFree:
        def acquire(self, *, blocking: bool) -> bool:
            return False

    return NoneFree()


def test_who_does_not_wait_for_a_buyer_is_not_given_up(gateway, given_up, order):
    gateway.on_charge = lambda payment: UNKNOWN
    pay(order)

    with pytest.raises(RestIsPending):
        pay(order)
    with pytest.raises(PaymentUnderWay):
        payments.cancel(order.pk, actor=MERCHANT)

    assert given_up == []


def test_a_gateway_whose_keys_are_gone_cannot_give_up(gateway, order, monkeypatch):
    waiting_payment(gateway, order)
    known = {slug: each for slug, each in gateways.adapters().items() if slug != "fake"}
    monkeypatch.setattr(gateways, "adapters", lambda: known)

    with pytest.raises(RestIsPending):
        pay(order, gateway="manual")


def test_nobody_is_given_up_for_a_payment_that_its_gateway_could_not_charge(
    stripe, gateway, given_up, order
):
    waiting_payment(gateway, order)

    with pytest.raises(PaymentTokenRequired):
        pay(order, gateway="stripe")

    assert given_up == []
    assert statuses(order) == ["pending"]


def test_who_gave_one_up_in_vain_is_named_beside_the_units_that_come_back(gateway, shirt, order):
    waiting_payment(gateway, order)

    def switch_off(payment: Payment) -> Answer:
        payments.set_gateway("test", enabled=False, actor=SYSTEM)
        return GIVEN_UP

    gateway.on_give_up = switch_off

    with pytest.raises(GatewayNotEnabled):
        pay(order, gateway="test")

    assert statuses(order) == ["failed"]
    assert numbers(shirt) == (10, 10, 0)
    came_back = StockTransaction.objects.latest("sequence")
    assert (came_back.action, came_back.actor) == ("deallocate", MERCHANT)


def test_what_is_here_takes_the_place_of_who_waits_and_the_rest_is_to_be_given_back(
    gateway, given_up, order
):
    first = waiting_payment(gateway, order)
    request = PaymentRequest("manual", amount=1500, takes_excess=True)

    payment = payments.pay(order.pk, request, actor=MERCHANT)

    assert given_up == [first]
    assert payment.amount == 1000
    assert [(each.status, each.amount, each.late) for each in order.payments.order_by("pk")] == [
        ("failed", 1000, False),
        ("complete", 1000, False),
        ("complete", 500, True),
    ]


def test_more_than_is_owed_gives_nobody_up_where_it_is_not_here(gateway, given_up, order):
    waiting_payment(gateway, order)

    with pytest.raises(RestIsPending):
        pay(order, 1500, gateway="manual")

    assert given_up == []


def test_what_is_left_to_pay_counts_who_waits_for_the_buyer_and_nobody_else(gateway, order):
    gateway.on_charge = lambda payment: UNKNOWN
    pay(order, 300)
    order.refresh_from_db()
    before = payments.left_to_pay(order)
    waiting_payment(gateway, order, 200)
    order.refresh_from_db()

    assert (before, payments.left_to_pay(order), order.payable) == (700, 700, 500)


def test_it_is_said_beforehand_whether_an_order_can_be_cancelled(gateway, shirt, order):
    waits, hangs, cancelled = order, unpaid_order({shirt: 1}), unpaid_order({shirt: 1})
    waiting_payment(gateway, waits, 400)
    payments.cancel(cancelled.pk, actor=MERCHANT)

    def say(of: Order) -> None:
        of.refresh_from_db()
        payments.require_cancellable(of)

    say(waits)
    gateway.on_charge = lambda payment: UNKNOWN
    pay(hangs)
    pay(waits, 600)
    for each in (hangs, waits):
        with pytest.raises(PaymentUnderWay):
            say(each)
    with pytest.raises(OrderNotCancellable):
        say(cancelled)


# Parts of an order.


@pytest.mark.parametrize(
    ("amount", "expected"),
    [
        (None, ["failed", "failed", "failed", "complete"]),
        (200, ["failed", "pending", "pending", "complete"]),
        (300, ["pending", "failed", "pending", "complete"]),
        (500, ["pending", "pending", "failed", "complete"]),
        (400, ["pending", "pending", "failed", "complete"]),
        (700, ["pending", "failed", "failed", "complete"]),
        (1000, ["failed", "failed", "failed", "complete"]),
        (1001, ["pending", "pending", "pending"]),
        (0, ["pending", "pending", "pending"]),
        (-1, ["pending", "pending", "pending"]),
    ],
)
def test_of_several_parts_no_more_are_given_up_than_are_in_the_way(
    gateway, order, amount, expected
):
    for part in (200, 300, 500):
        waiting_payment(gateway, order, part)

    if len(expected) == 3:
        with pytest.raises(RestIsPending):
            pay(order, amount)
    else:
        assert pay(order, amount).amount == (amount or 1000)

    assert statuses(order) == expected


@pytest.mark.parametrize(
    ("left", "wait", "wanted", "make_way"),
    [
        (50, [350, 400, 200], None, []),
        (50, [350, 400, 200], 50, []),
        (200, [350, 400, 200], 200, []),
        (50, [350, 400, 200], 400, [400]),
        (50, [350, 400, 200], 249, [200]),
        (50, [350, 400, 200], 250, [200]),
        (50, [350, 400, 200], 251, [200, 400]),
        (50, [350, 400, 200], 1000, [200, 400, 350]),
        (50, [350, 400, 200], 1001, []),
        (0, [350, 400, 200], None, [200, 400, 350]),
        (0, [350, 400, 200], 1, [200]),
        (0, [350, 400, 200], 0, []),
        (0, [200, 200], 200, [200]),
    ],
)
def test_the_fewest_make_way_and_the_newest_first(monkeypatch, left, wait, wanted, make_way):
    order = Order(total=left + sum(wait), pending=sum(wait))
    all_waiting = [Payment(amount=amount) for amount in wait]
    monkeypatch.setattr(waiting, "waiting_of", lambda order: all_waiting)

    chosen = waiting.in_the_way(order, wanted)

    assert [payment.amount for payment in chosen] == make_way
    assert make_way != [200] or chosen == all_waiting[-1:]


def test_of_two_alike_one_makes_way(gateway, order):
    for _ in range(2):
        waiting_payment(gateway, order, 500)

    pay(order, 500)

    assert statuses(order) == ["pending", "failed", "complete"]


def test_while_something_is_left_to_pay_nobody_is_given_up(gateway, given_up, order):
    waiting_payment(gateway, order, 400)

    rest = pay(order)

    assert rest.amount == 600
    assert given_up == []
    assert money(order) == {"captured": 600, "pending": 400, "attempts_open": 1}


@pytest.mark.parametrize("amount", [700, 800, 1000])
def test_t13_a_part_that_waits_is_in_the_way_of_what_does_not_fit_beside_it(
    gateway, shirt, order, amount
):
    """A first part is tried with another card, or another card is to pay for all of it."""
    waiting_payment(gateway, order, 700)

    assert pay(order, amount).amount == amount

    assert statuses(order) == ["failed", "complete"]
    assert money(order) == {"captured": amount}
    assert numbers(shirt) == (10, 9, 1)


@pytest.mark.parametrize("amount", [1001, 0, -1])
def test_nobody_is_given_up_for_what_is_no_amount_of_the_order(gateway, given_up, order, amount):
    waiting_payment(gateway, order, 700)

    with pytest.raises(AmountRefused):
        pay(order, amount)

    assert given_up == []
    assert statuses(order) == ["pending"]


def test_a_part_that_waits_is_given_up_beside_one_that_does_not(gateway, order):
    gateway.on_charge = lambda payment: UNKNOWN
    pay(order, 400)
    waiting_payment(gateway, order, 600)

    with pytest.raises(PaymentUnderWay):
        payments.cancel(order.pk, actor=MERCHANT)
    assert statuses(order) == ["pending", "pending"]
    assert pay(order).amount == 600

    assert statuses(order) == ["pending", "failed", "complete"]


def test_what_one_gateway_gave_up_is_written_down_though_another_is_silent(gateway, order):
    waiting_payment(gateway, order, 400)
    second = waiting_payment(gateway, order, 600)
    gateway.on_give_up = lambda payment: GIVEN_UP if payment.pk == second.pk else UNKNOWN

    with pytest.raises(RestIsPending):
        pay(order)

    assert statuses(order) == ["pending", "failed"]
    assert money(order) == {"pending": 400, "attempts_open": 1}


# Cancelling.


def test_t13_to_cancel_an_order_gives_up_who_waits(gateway, given_up, last_unit):
    first = waiting_payment(gateway, last_unit)

    payments.cancel(last_unit.pk, actor=MERCHANT)

    assert given_up == [first]
    assert statuses(last_unit) == ["failed"]
    assert states(last_unit) == ("cancelled", "unpaid")
    assert money(last_unit) == {}
    shirt = last_unit.items.get().product
    assert entries(shirt)[1:] == [("deallocate", 1, "order cancelled")]
    assert numbers(shirt) == (1, 1, 0)
    with pytest.raises(OrderNotCancellable):
        payments.cancel(last_unit.pk, actor=MERCHANT)


def test_what_succeeded_meanwhile_is_cancelled_as_a_paid_order(gateway, shirt, order):
    waiting_payment(gateway, order)
    gateway.on_give_up = lambda payment: OK

    payments.cancel(order.pk, actor=MERCHANT)

    assert states(order) == ("cancelled", "paid")
    assert money(order) == {"captured": 1000}
    assert numbers(shirt) == (10, 10, 0)


def test_what_was_authorized_meanwhile_is_let_go(gateway, order):
    gateway.on_charge = lambda payment: ACTION
    gateway.on_find_charge = lambda payment: OK
    pay(order, method=AUTHORIZE)

    payments.cancel(order.pk, actor=MERCHANT)

    assert gateway.performed == [("void", 1000)]
    assert states(order) == ("cancelled", "unpaid")


# Giving up one payment.


def let_go(payment: Payment, **more: Any) -> Any:
    return payments.let_go(payment.order_id, payment.pk, actor=MERCHANT, **more)


def test_one_that_waits_is_let_go_and_the_units_with_it(gateway, shirt, order):
    payment = waiting_payment(gateway, order)

    let_go(payment, reason="asked by phone")

    payment.refresh_from_db()
    assert (payment.status, payment.failure) == ("failed", "asked by phone")
    assert money(order) == {}
    assert entries(shirt)[1:] == [("deallocate", 1, "payment given up")]
    with pytest.raises(NotVoidable):
        let_go(payment)


def test_who_says_no_reason_is_the_shop(gateway, order):
    payment = waiting_payment(gateway, order)

    assert let_go(payment) is None

    payment.refresh_from_db()
    assert payment.failure == "Given up while it waited for its buyer."


def test_what_is_authorized_is_let_go_by_a_void(gateway, order):
    payment = pay(order, method=AUTHORIZE)
    seen = bookkeeping.standing(order, payment)

    with pytest.raises(Moved):
        let_go(payment, seen={**seen, "captured": 1})
    attempt = let_go(payment, reason="asked by phone")

    assert (attempt.kind, attempt.reason, attempt.actor) == ("void", "asked by phone", MERCHANT)


def test_one_of_several_parts_that_wait_is_let_go_and_the_units_stay(gateway, shirt, order):
    first, second = (waiting_payment(gateway, order, part) for part in (400, 600))

    let_go(first)

    assert statuses(order) == ["failed", "pending"]
    assert money(order) == {"pending": 600, "attempts_open": 1}
    assert numbers(shirt) == (10, 9, 1)
    assert second.is_pending


@pytest.mark.parametrize(
    ("answer", "refusal", "status"),
    [(OK, NotVoidable, "complete"), (UNKNOWN, PaymentUnderWay, "pending")],
)
def test_what_cannot_be_let_go_any_more_stays_as_its_gateway_says(
    gateway, shirt, order, answer, refusal, status
):
    payment = waiting_payment(gateway, order)
    gateway.on_give_up = lambda payment: answer

    with pytest.raises(refusal):
        let_go(payment)

    assert statuses(order) == [status]
    assert numbers(shirt) == (10, 9, 1)


def test_what_waits_for_its_gateway_is_not_let_go(gateway, given_up, order):
    gateway.on_charge = lambda payment: UNKNOWN
    payment = pay(order)

    with pytest.raises(NotVoidable):
        let_go(payment)

    assert given_up == []


def test_f27_the_same_key_lets_go_once(gateway, given_up, order):
    payment = waiting_payment(gateway, order)
    key = Key("client", "POST", "/cancel", "k", "body", uuid7())
    let_go(payment, key=key)

    with pytest.raises(Answered):
        let_go(payment, key=key)

    assert len(given_up) == 1


# Crashes and keys.


@pytest.mark.parametrize("act", ["pay", "cancel"])
def test_f14_a_crash_after_the_gateway_gave_up_is_made_up_for_by_recovery(
    gateway, shirt, order, monkeypatch, act
):
    waiting_payment(gateway, order)

    def die(*args: Any, **more: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as dying:
        dying.setattr(waiting, "in_their_place", die)
        with pytest.raises(KeyboardInterrupt):
            pay(order) if act == "pay" else payments.cancel(order.pk, actor=MERCHANT)
    left = statuses(order)
    gateway.on_find_charge = lambda payment: GIVEN_UP
    with in_a_minute():
        recovery.settle_pending()

    assert left == ["pending"]
    assert statuses(order) == ["failed"]
    assert states(order) == ("incomplete", "unpaid")
    assert numbers(shirt) == (10, 10, 0)


def test_f27_the_same_key_pays_anew_once(gateway, given_up, order):
    waiting_payment(gateway, order)
    key = Key("client", "POST", "/v2/orders/1/payments", "k", "body", uuid7())
    pay(order, key=key)

    with pytest.raises(Answered):
        pay(order, key=key)

    assert len(given_up) == 1
    assert len(gateway.charged) == 2


def test_what_the_gateway_gave_up_is_written_down_also_if_the_call_was_done_meanwhile(
    gateway, order
):
    first = waiting_payment(gateway, order)

    def was_done(given_up: Any) -> None:
        raise Answered(IdempotencyKey())

    with pytest.raises(Answered):
        waiting.in_their_place([waiting.GivenUp(first, GIVEN_UP)], was_done, actor=MERCHANT)

    assert statuses(order) == ["failed"]


# At Stripe, and on the wire.


def at_stripe(stripe: Any) -> list[str]:
    return [intent["status"] for intent in stripe.book()["intents"]]


@pytest.fixture
def asked_for_3d_secure(stripe, last_unit) -> Callable[[str], Any]:
    """An order whose buyer left 3-D Secure open; pays it with this card."""
    storefront = shopper()

    def pay_with(card: str) -> Any:
        return storefront.pay(str(last_unit.pk), gateway="stripe", payment=card)

    assert pay_with(ASKS).status_code == 202
    return pay_with


def test_t13_another_card_while_3d_secure_is_open(stripe, asked_for_3d_secure, last_unit):
    answer = asked_for_3d_secure("pm_card_visa")

    assert (answer.status_code, answer.json()["data"]["status"]) == (200, "complete")
    assert at_stripe(stripe) == ["canceled", "succeeded"]
    assert [move["kind"] for move in stripe.book()["moves"]] == ["charge"]
    assert states(last_unit) == ("complete", "paid")


def test_t13_the_shop_cancels_while_3d_secure_is_open(stripe, asked_for_3d_secure, last_unit):
    answer = administrator().put(f"/v2/orders/{last_unit.pk}", {"status": "cancelled"})

    assert answer.status_code == 200
    assert at_stripe(stripe) == ["canceled"]
    assert numbers(last_unit.items.get().product) == (1, 1, 0)


def test_t13_the_shop_cancels_the_transaction_while_3d_secure_is_open(
    stripe, asked_for_3d_secure, last_unit
):
    path = f"/v2/orders/{last_unit.pk}/transactions/{last_unit.payments.get().pk}/cancel"

    answer = administrator().post(path)

    assert (answer.status_code, answer.json()["data"]["status"]) == (200, "failed")
    assert at_stripe(stripe) == ["canceled"]
    assert numbers(last_unit.items.get().product) == (1, 1, 0)


def test_a_buyer_who_did_act_has_paid_whatever_is_tried_then(
    stripe, asked_for_3d_secure, last_unit
):
    stripe.authenticate(last_unit.payments.get().reference)

    answer = asked_for_3d_secure("pm_card_visa")

    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (422, "order_not_payable")
    assert at_stripe(stripe) == ["succeeded"]
    assert states(last_unit) == ("complete", "paid")


def test_a_buyer_who_failed_to_act_pays_with_another_card(stripe, asked_for_3d_secure, last_unit):
    stripe.authenticate(last_unit.payments.get().reference, succeeds=False)

    assert asked_for_3d_secure("pm_card_visa").status_code == 200

    assert at_stripe(stripe) == ["canceled", "succeeded"]


def test_while_stripe_is_silent_the_call_waits_for_another_time(stripe, asked_for_3d_secure):
    stripe.fault(operation="cancel", answer="dropped", works=False)

    answer = asked_for_3d_secure("pm_card_visa")

    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (409, "payment_pending")
    assert at_stripe(stripe) == ["requires_action"]
    assert asked_for_3d_secure("pm_card_visa").status_code == 200


def test_a_cancel_at_stripe_whose_answer_was_lost_is_found_the_next_time(
    stripe, asked_for_3d_secure
):
    stripe.fault(operation="cancel", answer="dropped")

    assert asked_for_3d_secure("pm_card_visa").status_code == 409
    assert asked_for_3d_secure("pm_card_visa").status_code == 200

    assert at_stripe(stripe) == ["canceled", "succeeded"]
