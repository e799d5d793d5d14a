"""What is left open: who takes it up, for how long it may stay, and who hears of it."""

import logging
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import timedelta
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.db import connection
from django.test import Client
from procrastinate.contrib.django import app
from procrastinate.contrib.django.models import ProcrastinateJob

from api import clock, store, work
from api.actors import SYSTEM
from api.errors import Moved
from api.idempotency import Answered, Key
from api.ids import uuid7
from inventory.models import Product
from orders.models import Order
from payments import jobs
from payments.errors import GatewayRefused, NotOpen, PaymentDeclined, PaymentNotFound, StillUnderWay
from payments.gateways import deadline
from payments.gateways.base import UNKNOWN, Answer, Outcome, Refunded
from payments.models import Attempt, Payment
from payments.services import bookkeeping, gateway_calls, payments, recovery, settling
from payments.services.payments import PaymentRequest
from tests.factories import MERCHANT, paid_order, product, stock_of, unpaid_order
from tests.fake_gateway import DECLINED, OK, FakeGateway
from tests.orders.statements import sql_of

pytestmark = pytest.mark.django_db

AUTHORIZE = Payment.Method.AUTHORIZE
ANNOUNCED = Answer(Outcome.OPEN, "pi_1")


@pytest.fixture
def shirt() -> Product:
    return product(stock=10, price=1000)


@pytest.fixture
def order(shirt: Product) -> Order:
    return unpaid_order({shirt: 1})


def pay(order: Order, **more: Any) -> Payment:
    return payments.pay(order.pk, PaymentRequest("fake", **more), actor=MERCHANT)


def known(payment: Payment) -> Payment:
    return payments.payment_of(payment.order_id, payment.pk)


def state(order: Order) -> tuple[str, str, int]:
    order.refresh_from_db()
    return order.status, order.payment, stock_of(order.items.get().product).allocated


def later(by: timedelta) -> AbstractContextManager[None]:
    at = clock.now() + by
    return clock.replaced(lambda: at)


def begun(order: Order) -> Payment:
    """A payment whose process is killed before its gateway has answered."""
    return payments.begin(order.pk, PaymentRequest("fake"), actor=MERCHANT)


def pay_unknown(gateway: FakeGateway, order: Order) -> Payment:
    gateway.on_charge = lambda payment: UNKNOWN
    return pay(order)


def no_wait_is_free(monkeypatch: pytest.MonkeyPatch) -> None:
    waits = threading.BoundedSemaphore(1)
    waits.acquire()
    monkeypatch.setattr(gateway_calls, "_waits", waits)


# Announced first.


def test_an_announced_charge_is_charged_by_its_reference(gateway, order):
    gateway.on_announce = lambda payment: ANNOUNCED
    seen: list[str] = []

    def charge(payment: Payment) -> Answer:
        seen.append(payment.reference)
        return OK

    gateway.on_charge = charge

    pay(order)

    assert seen == ["pi_1"]
    assert state(order) == ("complete", "paid", 1)


def test_what_is_refused_when_it_is_announced_is_never_charged(gateway, order):
    gateway.on_announce = lambda payment: DECLINED

    with pytest.raises(PaymentDeclined):
        pay(order)

    assert gateway.charged == []
    assert state(order) == ("incomplete", "unpaid", 0)


def settled_after(*moments: int, by: Callable[[], int]) -> list[int]:
    settled = []
    for seconds in moments:
        with later(timedelta(seconds=seconds)):
            settled.append(by())
    return settled


def test_who_waits_for_a_gateway_has_time_to_write_down_its_answer(gateway, order, settings):
    settings.GATEWAY_TIMEOUT_SECONDS = 5
    payments.begin(order.pk, PaymentRequest("fake"), actor=MERCHANT)
    gateway.on_find_charge = lambda payment: DECLINED

    assert settled_after(14, 16, by=recovery.settle_pending) == [0, 1]


def test_t48_what_a_killed_process_was_asking_is_asked_about_as_soon_as_it_could_not_be_any_more(
    gateway, order, shirt
):
    waiting, killed = pay_unknown(gateway, unpaid_order({shirt: 1})), begun(order)
    gateway.on_find_charge = lambda payment: DECLINED

    assert settled_after(14, 16, by=recovery.settle_left_behind) == [0, 1]
    assert known(killed).status == "failed"
    # Whoever lived has written that nobody knows, and each minute is soon enough for that.
    assert known(waiting).is_pending


def test_what_a_killed_process_was_asking_is_asked_about_once_and_then_each_minute(gateway, order):
    begun(order)
    seen: list[Payment] = []

    def find_charge(payment: Payment) -> Answer:
        seen.append(payment)
        return UNKNOWN

    gateway.on_find_charge = find_charge

    with later(timedelta(seconds=16)):
        assert [recovery.settle_left_behind() for _ in range(2)] == [0, 0]
        assert len(seen) == 1
        recovery.settle_pending()
    assert len(seen) == 2


def test_what_could_not_be_asked_about_at_once_is_tried_again_each_minute_alone(gateway, order):
    payment = begun(order)
    Payment.objects.filter(pk=payment.pk).update(gateway="gone")

    tried = []
    for seconds in (16, 36):
        with later(timedelta(seconds=seconds)):
            recovery.settle_left_behind()
            tried.append(known(payment).updated_at)

    assert payment.updated_at < tried[0] == tried[1]


def test_a_refund_that_a_killed_process_was_making_is_made_at_once(gateway, order):
    payment = pay(order)
    payments.begin_refund(order.pk, payment.pk, 300, actor=MERCHANT)

    with later(timedelta(seconds=16)):
        assert recovery.settle_left_behind() == 1

    assert gateway.performed == [("refund", 300)]


def test_t48_what_was_killed_is_taken_up_within_a_minute(settings):
    [every] = [
        each.cron
        for each in app.periodic_registry.periodic_tasks.values()
        if each.task.name == "payments.jobs.settle_left_behind"
    ]
    assert every == "* * * * * */20"

    asking = gateway_calls.lease() - clock.now()
    # And to ask, and to have the job taken.
    assert asking + timedelta(seconds=20 + settings.GATEWAY_TIMEOUT_SECONDS) < timedelta(minutes=1)


def break_off(asked: Any) -> Answer:
    raise ConnectionResetError


def test_what_could_not_be_announced_is_not_charged(gateway, order):
    gateway.on_announce = break_off

    payment = pay(order)

    assert gateway.charged == []
    assert known(payment).queued_until is not None


def test_what_could_not_be_asked_about_is_not_made_again(gateway, order):
    payment = pay(order)
    gateway.on_perform = lambda attempt: UNKNOWN
    payments.refund(order.pk, payment.pk, 300, actor=MERCHANT)
    gateway.on_find = break_off

    assert recovery.settle_pending() == 0

    assert gateway.performed == [("refund", 300)]
    assert known(payment).refunding_amount == 300


# More payments than threads that may wait.


def test_beyond_the_waits_of_a_process_a_worker_charges(gateway, order, monkeypatch):
    no_wait_is_free(monkeypatch)

    payment = pay(order)

    assert payment.status == "pending"
    assert gateway.charged == []
    assert state(order) == ("incomplete", "unpaid", 1)
    [job] = ProcrastinateJob.objects.all()
    assert job.task_name == jobs.charge_queued.name
    assert (job.queue_name, job.args) == ("payments", {"payment_id": str(payment.pk)})
    jobs.charge_queued(**job.args)
    assert state(order) == ("complete", "paid", 1)


def test_a_queued_payment_is_charged_once_however_often_its_job_runs(gateway, order, monkeypatch):
    no_wait_is_free(monkeypatch)
    payment = pay(order)

    for _ in range(3):
        payments.charge_queued(payment.pk)

    assert gateway.charged == [payment.pk]


def test_a_payment_is_charged_by_one_worker_while_another_has_its_job_too(
    gateway, order, monkeypatch
):
    no_wait_is_free(monkeypatch)
    payment = pay(order)

    def charge(payment: Payment) -> Answer:
        payments.charge_queued(payment.pk)
        return UNKNOWN

    gateway.on_charge = charge

    for _ in range(2):
        payments.charge_queued(payment.pk)

    assert gateway.charged == [payment.pk]


def test_recovery_leaves_a_payment_alone_while_a_worker_may_be_charging_it(
    gateway, order, monkeypatch
):
    no_wait_is_free(monkeypatch)
    payment = pay(order)
    asked: list[Payment] = []

    def find_charge(payment: Payment) -> Answer:
        asked.append(payment)
        return DECLINED

    def charge(payment: Payment) -> Answer:
        for seconds in (0, 60):
            with later(timedelta(seconds=seconds)):
                recovery.settle_pending()
        return OK

    gateway.on_find_charge, gateway.on_charge = find_charge, charge

    payments.charge_queued(payment.pk)

    assert asked == []
    assert state(order) == ("complete", "paid", 1)


def test_what_was_settled_while_it_was_announced_in_vain_is_left_to_no_worker(gateway, order):
    def announce(payment: Payment) -> Answer:
        gateway.on_find_charge = lambda payment: DECLINED
        with later(timedelta(minutes=1)):
            recovery.settle_pending()
        return UNKNOWN

    gateway.on_announce = announce

    with pytest.raises(PaymentDeclined):
        pay(order)

    assert not ProcrastinateJob.objects.exists()
    assert order.payments.get().queued_until is None


def test_recovery_leaves_a_queued_payment_to_its_worker_for_five_minutes(
    gateway, order, monkeypatch
):
    no_wait_is_free(monkeypatch)
    payment = pay(order)
    gateway.on_find_charge = lambda payment: DECLINED

    with later(timedelta(minutes=4)):
        early = recovery.settle_pending()
    with later(timedelta(minutes=6)):
        late = recovery.settle_pending()
    payments.charge_queued(payment.pk)

    assert (early, late) == (0, 1)
    assert gateway.charged == [], "what was called failed is charged no more"
    assert state(order) == ("incomplete", "unpaid", 0)


def test_a_gateway_that_asks_nobody_outside_takes_no_wait(order, monkeypatch):
    no_wait_is_free(monkeypatch)

    payments.pay(order.pk, PaymentRequest("test", amount=400), actor=MERCHANT)
    payments.pay(order.pk, PaymentRequest("manual", amount=300), actor=MERCHANT)
    asks = PaymentRequest("test", amount=300, token="requires_action")
    payments.pay(order.pk, asks, actor=MERCHANT)
    # Given up for another one, which its buyer confirms.
    second = payments.pay(order.pk, asks, actor=MERCHANT)
    payments.confirm(order.pk, second.pk)

    assert state(order) == ("complete", "paid", 1)


def test_a_wait_is_given_back_whatever_comes_of_it(gateway, shirt, monkeypatch):
    monkeypatch.setattr(gateway_calls, "_waits", threading.BoundedSemaphore(1))
    gateway.on_charge = lambda payment: DECLINED
    for _ in range(2):
        with pytest.raises(PaymentDeclined):
            pay(unpaid_order({shirt: 1}))
    gateway.on_charge = lambda payment: OK

    assert pay(unpaid_order({shirt: 1})).status == "complete"


def test_an_attempt_beyond_the_waits_is_made_by_recovery(gateway, order, monkeypatch):
    payment = pay(order)
    no_wait_is_free(monkeypatch)

    attempt = payments.refund(order.pk, payment.pk, 300, actor=MERCHANT)
    asked = list(gateway.performed)
    recovery.settle_pending()

    attempt.refresh_from_db()
    assert asked == []
    assert (attempt.status, gateway.performed) == ("succeeded", [("refund", 300)])


# In turn.


def refunds_on_their_way(gateway: FakeGateway, *orders: Order) -> list[Attempt]:
    payments_of_them = [pay(order) for order in orders]
    gateway.on_perform = lambda attempt: UNKNOWN
    return [
        payments.refund(payment.order_id, payment.pk, 300, actor=MERCHANT)
        for payment in payments_of_them
    ]


def test_one_refund_that_stays_unknown_does_not_hold_up_the_others(gateway, shirt):
    stuck, other = refunds_on_their_way(gateway, *(unpaid_order({shirt: 1}) for _ in range(2)))
    gateway.on_find = lambda attempt: UNKNOWN if attempt.pk == stuck.pk else OK

    settled = [recovery.settle_pending(limit=1) for _ in range(2)]

    other.refresh_from_db()
    assert (settled, other.status) == ([0, 1], "succeeded")


def test_a_refund_that_somebody_waits_for_is_left_to_him(gateway, order):
    payment = pay(order)
    payments.begin_refund(order.pk, payment.pk, 300, actor=MERCHANT)

    assert recovery.settle_pending() == 0
    assert gateway.performed == []
    with later(timedelta(minutes=1)):
        assert recovery.settle_pending() == 1


def test_all_that_is_settled_is_counted(gateway, shirt):
    refunds_on_their_way(gateway, unpaid_order({shirt: 1}))
    gateway.on_charge = lambda payment: UNKNOWN
    for _ in range(2):
        pay(unpaid_order({shirt: 1}))
    gateway.on_find_charge = gateway.on_find = lambda asked: OK

    assert recovery.settle_pending() == 3


def test_what_cannot_be_settled_goes_to_the_end_of_the_queue_and_moves_no_other(gateway, shirt):
    gateway.on_charge = lambda payment: UNKNOWN
    broken, other = pay(unpaid_order({shirt: 1})), pay(unpaid_order({shirt: 1}))
    Payment.objects.filter(pk=broken.pk).update(gateway="gone")
    at = clock.now() + timedelta(minutes=1)

    with clock.replaced(lambda: at):
        settled = recovery.settle_pending(limit=1)

    assert settled == 0
    assert (known(broken).updated_at, known(other).updated_at) == (at, other.updated_at)


def test_all_that_is_asked_at_once_is_waited_for_together(gateway, order, settings):
    settings.GATEWAY_TIMEOUT_SECONDS = 3
    left: list[float] = []

    def note(payment: Payment) -> Answer:
        # Whoever does not wait already would wait for as long as this.
        settings.GATEWAY_TIMEOUT_SECONDS = 60
        left.append(deadline.seconds_left())
        return UNKNOWN

    gateway.on_charge = gateway.on_find_charge = note

    pay(order)
    settings.GATEWAY_TIMEOUT_SECONDS = 3
    recovery.settle_pending()

    assert [seconds <= 3 for seconds in left] == [True, True]


# The deadline.


@pytest.mark.parametrize("outcome", [Outcome.UNKNOWN, Outcome.ACTION])
def test_what_nobody_finishes_is_given_up_after_half_an_hour(gateway, order, outcome):
    gateway.on_charge = gateway.on_find_charge = lambda payment: Answer(outcome)
    payment = pay(order)

    with later(timedelta(minutes=29)):
        early = recovery.settle_pending()
    with later(timedelta(minutes=31)):
        recovery.settle_pending()

    assert early == 0
    assert known(payment).failure == "The payment was not completed in time."
    assert state(order) == ("incomplete", "unpaid", 0)


def test_what_turns_out_to_be_charged_when_it_is_given_up_is_paid(gateway, order):
    gateway.on_charge = gateway.on_find_charge = lambda payment: UNKNOWN
    gateway.on_give_up = lambda payment: OK
    pay(order)

    with later(timedelta(minutes=31)):
        recovery.settle_pending()

    assert state(order) == ("complete", "paid", 1)


def test_an_open_charge_is_given_up_at_once(gateway, order):
    gateway.on_charge = lambda payment: UNKNOWN
    gateway.on_find_charge = lambda payment: Answer(Outcome.OPEN)
    pay(order)

    recovery.settle_pending()

    assert state(order) == ("incomplete", "unpaid", 0)


def test_money_that_is_reserved_is_never_given_up(gateway, order):
    payment = pay(order, method=AUTHORIZE)
    gateway.on_find_charge = lambda payment: Answer(Outcome.OPEN)

    with later(timedelta(hours=2)):
        recovery.check_now(order.pk, payment.pk, actor=MERCHANT)

    assert state(order) == ("processing", "authorized", 1)


# A buyer who says: I have acted.


@pytest.fixture
def asked(gateway: FakeGateway) -> list[Payment]:
    """The payments that the gateway is asked about; it would say that nobody confirmed them."""
    seen: list[Payment] = []

    def find_charge(payment: Payment) -> Answer:
        seen.append(payment)
        return Answer(Outcome.OPEN)

    gateway.on_find_charge = find_charge
    return seen


def test_a_charge_that_is_under_way_is_not_given_up_because_its_buyer_is_early(
    gateway, order, asked
):
    payment = payments.begin(order.pk, PaymentRequest("fake"), actor=MERCHANT)

    confirmed = payments.confirm(order.pk, payment.pk)

    assert (confirmed.status, asked) == ("pending", [])


def test_a_buyer_who_confirms_when_no_wait_is_free_is_told_to_wait(
    gateway, order, asked, monkeypatch
):
    gateway.on_charge = lambda payment: Answer(Outcome.ACTION, action={})
    payment = pay(order)
    no_wait_is_free(monkeypatch)

    confirmed = payments.confirm(order.pk, payment.pk)

    assert (confirmed.status, asked) == ("pending", [])


# By a person.


def test_somebody_can_have_a_payment_looked_at_now(gateway, order):
    gateway.on_charge = lambda payment: UNKNOWN
    payment = pay(order)
    gateway.on_find_charge = lambda payment: OK

    checked = recovery.check_now(order.pk, payment.pk, actor=MERCHANT)

    assert checked.status == "complete"
    assert state(order) == ("complete", "paid", 1)
    [event] = order.events.all()
    assert (event.kind, event.actor_name, event.text) == (
        "payment_checked",
        MERCHANT.name,
        "$10.00",
    )


def test_what_is_on_its_way_of_a_payment_is_looked_at_too(gateway, order):
    payment = pay(order)
    gateway.on_perform = lambda attempt: UNKNOWN
    payments.refund(order.pk, payment.pk, 300, actor=MERCHANT)
    gateway.on_find = lambda attempt: OK

    checked = recovery.check_now(order.pk, payment.pk, actor=MERCHANT)

    assert checked.refunded_amount == 300


def test_nobody_asks_while_somebody_is_asking(gateway, order):
    payment = payments.begin(order.pk, PaymentRequest("fake"), actor=MERCHANT)

    with pytest.raises(StillUnderWay):
        recovery.check_now(order.pk, payment.pk, actor=MERCHANT)
    with pytest.raises(StillUnderWay):
        recovery.settle_by_hand(
            order.pk, payment.pk, succeeded=True, reference="", reason="seen", actor=MERCHANT
        )
    assert not order.events.exists()


def test_to_look_at_a_payment_by_hand_asks_nobody(order):
    payment = payments.pay(order.pk, PaymentRequest("manual"), actor=MERCHANT)

    assert recovery.check_now(order.pk, payment.pk, actor=MERCHANT) == payment
    assert recovery.look_at(order.pk, payment.pk), "nothing is left to ask"


def test_only_authorizations_that_wait_for_too_long_at_a_gateway_lapse(gateway, shirt, settings):
    settings.AUTHORIZATION_DAYS = 7
    orders = [unpaid_order({shirt: 1}) for _ in range(4)]
    authorized, captured, bought, by_hand = orders
    for order in (authorized, captured):
        pay(order, method=AUTHORIZE)
    payments.capture(captured.pk, captured.payments.get().pk, actor=MERCHANT)
    pay(bought)
    payments.pay(by_hand.pk, PaymentRequest("manual", AUTHORIZE), actor=MERCHANT)

    with in_hours(7 * 24 - 1):
        early = recovery.void_lapsed_authorizations()
    with in_hours(7 * 24 + 1):
        lapsed = recovery.void_lapsed_authorizations()

    assert (early, lapsed) == (0, 1)
    void = Attempt.objects.get(kind=Attempt.Kind.VOID)
    assert (void.payment.order_id, void.reason, void.actor) == (
        authorized.pk,
        "authorization lapsed",
        SYSTEM,
    )
    assert [state(order)[1] for order in orders] == ["unpaid", "paid", "paid", "authorized"]


def a_lapsed_authorization_that_is_refused(gateway: FakeGateway, order: Order) -> Payment:
    """Its gateway says neither that it has it nor that it has not, and lets it go for nobody."""
    payment = pay(order, method=AUTHORIZE)
    gateway.on_perform = lambda attempt: DECLINED
    return payment


def test_an_authorization_that_is_not_let_go_is_tried_again_after_days_and_not_each_time(
    gateway, order, settings
):
    settings.AUTHORIZATION_DAYS = 7
    payment = a_lapsed_authorization_that_is_refused(gateway, order)
    counted = []

    for hour in range(7 * 24 - 1, 22 * 24, 12):
        with in_hours(hour):
            recovery.void_lapsed_authorizations()
            counted.append(payment.attempts.count())

    assert counted == [0, *[1] * 14, *[2] * 14, 3, 3]
    assert state(order) == ("processing", "authorized", 1)


def test_what_is_not_let_go_keeps_nothing_else_from_lapsing(gateway, order, shirt):
    a_lapsed_authorization_that_is_refused(gateway, order)
    silent = unpaid_order({shirt: 1})
    gateway.on_perform = lambda attempt: UNKNOWN
    payments.void(silent.pk, pay(silent, method=AUTHORIZE).pk, actor=MERCHANT)
    last = unpaid_order({shirt: 1})
    gateway.on_perform = lambda attempt: OK if attempt.payment.order_id == last.pk else DECLINED
    pay(last, method=AUTHORIZE)

    with in_hours(8 * 24):
        for _ in range(2):
            recovery.void_lapsed_authorizations(limit=1)

    assert [state(each)[1] for each in (order, silent, last)] == [
        "authorized",
        "authorized",
        "unpaid",
    ]


# What a person called made, and its gateway says that it failed.


@pytest.fixture
def made_up(gateway: FakeGateway, order: Order) -> Payment:
    """An authorization that a person settled as made, though its gateway had declined it."""
    gateway.on_charge = lambda payment: UNKNOWN
    gateway.on_find_charge = lambda payment: DECLINED
    gateway.on_perform = lambda attempt: DECLINED
    payment = pay(order, method=AUTHORIZE)
    recovery.settle_by_hand(
        order.pk, payment.pk, succeeded=True, reference="ch_77", reason="guessed", actor=MERCHANT
    )
    assert state(order) == ("processing", "authorized", 1)
    return known(payment)


def let_it_lapse(payment: Payment) -> None:
    for hour in range(8 * 24, 9 * 24):
        with in_hours(hour):
            recovery.void_lapsed_authorizations()


def void_it(payment: Payment) -> None:
    with pytest.raises(GatewayRefused):
        payments.void(payment.order_id, payment.pk, actor=MERCHANT)


def capture_it(payment: Payment) -> None:
    with pytest.raises(GatewayRefused):
        payments.capture(payment.order_id, payment.pk, actor=MERCHANT)


def ask_about_it(payment: Payment) -> None:
    recovery.check_now(payment.order_id, payment.pk, actor=MERCHANT)


@pytest.mark.parametrize(
    ("act", "tries"), [(let_it_lapse, 1), (void_it, 1), (capture_it, 1), (ask_about_it, 0)]
)
def test_an_authorization_that_the_gateway_never_had_is_let_go_once(order, made_up, act, tries):
    act(made_up)

    payment = known(made_up)
    assert (payment.status, payment.failure) == ("cancelled", "The card was declined.")
    assert payment.attempts.count() == tries
    assert state(order) == ("incomplete", "unpaid", 0)
    assert order.events.latest("pk").kind == "authorization_lapsed"


@pytest.mark.parametrize(
    ("succeeded", "ends"),
    [(True, ("complete", "paid", 1)), (False, ("incomplete", "unpaid", 0))],
)
def test_an_owner_settles_a_stuck_payment_by_hand(gateway, order, succeeded, ends):
    gateway.on_charge = lambda payment: UNKNOWN
    payment = pay(order)

    settled = recovery.settle_by_hand(
        order.pk,
        payment.pk,
        succeeded=succeeded,
        reference="ch_77",
        reason="their support says so",
        actor=MERCHANT,
    )

    assert state(order) == ends
    assert settled.reference == "ch_77"
    [event] = order.events.all()
    assert (event.kind, event.actor_name) == ("payment_settled_by_hand", MERCHANT.name)
    assert "ch_77" in event.text
    assert "their support says so" in event.text


def test_a_stuck_refund_can_be_settled_by_hand_too(gateway, order):
    payment = pay(order)
    gateway.on_perform = lambda attempt: UNKNOWN
    payments.refund(order.pk, payment.pk, 300, actor=MERCHANT)

    recovery.settle_by_hand(
        order.pk, payment.pk, succeeded=True, reference="re_1", reason="seen", actor=MERCHANT
    )

    assert known(payment).refunded_amount == 300


def by_hand(payment: Payment, **more: Any) -> Payment:
    how: dict[str, Any] = {"succeeded": True, "reference": "", "reason": "seen", **more}
    return recovery.settle_by_hand(payment.order_id, payment.pk, actor=MERCHANT, **how)


def test_of_several_refunds_on_their_way_the_oldest_is_settled_by_hand(gateway, order):
    payment = pay(order)
    gateway.on_perform = lambda attempt: UNKNOWN
    for amount in (100, 200):
        payments.refund(order.pk, payment.pk, amount, actor=MERCHANT)

    by_hand(payment, succeeded=False, reason="their support says so")
    by_hand(payment, reference="re_2")

    attempts = payment.attempts.order_by("created_at")
    assert list(attempts.values_list("amount", "status", "reference", "failure")) == [
        (100, "failed", "", "their support says so"),
        (200, "succeeded", "re_2", ""),
    ]
    assert list(order.events.order_by("pk").values_list("text", flat=True)) == [
        "failed: their support says so",
        "succeeded, re_2: seen",
    ]


def test_a_payment_that_is_open_is_settled_by_hand_before_what_is_done_with_it(gateway, order):
    gateway.on_charge = lambda payment: UNKNOWN
    payment = pay(order)

    settled = by_hand(payment, succeeded=False, reason="no such charge")

    assert (settled.status, settled.failure, settled.actor) == (
        "failed",
        "no such charge",
        MERCHANT,
    )


def test_the_gateways_own_name_stays_whatever_a_person_types(gateway, order):
    gateway.on_charge = lambda payment: Answer(Outcome.UNKNOWN, "ch_own")
    payment = pay(order)

    assert by_hand(payment, reference="ch_typed").reference == "ch_own"
    [event] = order.events.all()
    assert event.text == "succeeded, ch_typed: seen"


def test_the_name_of_a_payment_is_not_that_of_its_refund(gateway, order):
    payment = pay(order)
    gateway.on_perform = lambda attempt: UNKNOWN
    payments.refund(order.pk, payment.pk, 100, actor=MERCHANT)

    by_hand(payment, reference="re_1")

    assert payment.attempts.get().reference == "re_1"
    assert known(payment).reference == payment.reference


def test_what_is_settled_by_hand_is_settled_as_it_was_seen_and_once(gateway, order):
    gateway.on_charge = lambda payment: UNKNOWN
    payment = pay(order)
    order.refresh_from_db()
    seen = bookkeeping.standing(order, payment)
    key = Key("client", "POST", "/", "settle", "body", uuid7())

    with pytest.raises(Moved):
        by_hand(payment, seen={**seen, "pending": 0})
    by_hand(payment, seen=seen, key=key)
    with pytest.raises(Answered) as again:
        by_hand(payment, key=key)

    assert again.value.record.resource_id == str(payment.pk)
    assert order.events.count() == 1


def test_a_refund_that_somebody_asks_about_is_not_settled_by_hand(gateway, order):
    payment = pay(order)
    payments.begin_refund(order.pk, payment.pk, 100, actor=MERCHANT)

    with pytest.raises(StillUnderWay):
        by_hand(payment)
    with pytest.raises(StillUnderWay):
        recovery.look_at(order.pk, payment.pk)

    assert payment.attempts.get().is_pending


def test_what_is_not_open_cannot_be_settled_by_hand(gateway, order, shirt):
    payment = pay(order)
    other = paid_order({shirt: 1})

    with pytest.raises(NotOpen):
        recovery.settle_by_hand(
            order.pk, payment.pk, succeeded=False, reference="", reason="no", actor=MERCHANT
        )
    with pytest.raises(PaymentNotFound):
        recovery.check_now(other.pk, payment.pk, actor=MERCHANT)
    assert not order.events.exists()


def test_the_gateway_has_the_last_word_after_a_person(gateway, order):
    gateway.on_charge = lambda payment: UNKNOWN
    payment = pay(order)
    recovery.settle_by_hand(
        order.pk, payment.pk, succeeded=False, reference="", reason="guessed", actor=MERCHANT
    )

    settling.settle(payment, OK)

    assert state(order) == ("complete", "paid", 1)


# Orders that wait for their money.


@pytest.fixture
def patience_of_a_day(order: Order) -> None:
    store.change(unpaid_order_expiry_hours=24, partly_paid_order_expiry_hours=48, actor=MERCHANT)


def in_hours(hours: int) -> AbstractContextManager[None]:
    return later(timedelta(hours=hours, minutes=1))


@pytest.mark.usefixtures("patience_of_a_day")
def test_an_order_that_is_never_paid_is_cancelled_after_a_day(order):
    with in_hours(23):
        early = recovery.expire_orders()
    with in_hours(24):
        expired = recovery.expire_orders()

    assert (early, expired) == (0, 1)
    assert state(order) == ("cancelled", "unpaid", 0)
    [event] = order.events.all()
    assert (event.kind, event.text, event.actor_name) == ("cancelled", "expired unpaid", "Holdfast")


def test_t15_an_unpaid_order_waits_for_14_days_unless_the_store_says_otherwise(
    order, shirt, admin_client
):
    with in_hours(14 * 24 - 1):
        early = recovery.expire_orders()
    with in_hours(14 * 24):
        expired = recovery.expire_orders()

    assert (early, expired) == (0, 1)
    page = admin_client.get(f"/admin/orders/order/{order.pk}/change/")
    assert "expired unpaid" in page.content.decode()
    store.change(unpaid_order_expiry_hours=0, actor=MERCHANT)
    unpaid_order({shirt: 1})
    with in_hours(10_000):
        assert recovery.expire_orders() == 0


def test_orders_expire_a_batch_at_a_time_and_one_that_fails_keeps_no_other(
    shirt, monkeypatch, caplog
):
    oldest, *others = [unpaid_order({shirt: 1}) for _ in range(5)]
    expire = payments.expire

    def fail(order_id: Any, **known: Any) -> None:
        if order_id == oldest.pk:
            raise ZeroDivisionError
        expire(order_id, **known)

    monkeypatch.setattr(payments, "expire", fail)

    with in_hours(14 * 24):
        expired = [recovery.expire_orders(limit=3) for _ in range(3)]

    assert expired == [2, 2, 0]
    assert [state(order)[0] for order in others] == ["cancelled"] * 4
    assert state(oldest)[0] == "incomplete"


def test_finding_what_expires_reads_only_what_is_unpaid(order):
    """However many orders there are: the index of unpaid ones has as many rows as there are."""
    sql = "".join(sql_of(recovery.expire_orders))

    assert '"fully_paid_at" IS NULL' in sql
    assert '"cancelled_at" IS NULL' in sql


@pytest.mark.usefixtures("patience_of_a_day")
def test_a_partly_paid_order_waits_for_as_long_as_its_own_setting_says(gateway, order):
    pay(order, amount=400)
    pay(order, amount=300, method=AUTHORIZE)

    with in_hours(47):
        early = recovery.expire_orders()
    with in_hours(48):
        expired = recovery.expire_orders()

    assert (early, expired) == (0, 1)
    assert state(order)[0::2] == ("cancelled", 0)
    assert (order.captured, order.authorized) == (400, 0), "captured money is given back by hand"


@pytest.mark.usefixtures("patience_of_a_day")
def test_a_part_that_was_refunded_at_the_gateway_completes_no_order_and_holds_none(gateway, order):
    payment = pay(order, amount=400)
    there = Refunded("", 400, Answer(Outcome.SUCCEEDED, "re_1"))

    settling.settle_refunded(payment, there)

    assert state(order) == ("incomplete", "refunded", 1)
    with in_hours(48):
        assert recovery.expire_orders() == 1
    assert state(order) == ("cancelled", "refunded", 0)


def test_a_refund_that_was_marked_and_is_on_its_way_there_may_fail_yet(gateway, order):
    payment = pay(order)
    payments.refund(order.pk, payment.pk, None, actor=MERCHANT)
    assert state(order)[1] == "refunded"

    for outcome in (Outcome.UNKNOWN, Outcome.FAILED):
        settling.settle_refunded(payment, Refunded("", 1000, Answer(outcome, "re_1")))

    assert state(order)[1] == "paid"
    assert known(payment).refundable_amount == 1000


@pytest.mark.usefixtures("patience_of_a_day")
def test_an_order_whose_money_is_on_its_way_does_not_expire(gateway, order):
    gateway.on_charge = lambda payment: UNKNOWN
    pay(order)

    with in_hours(100):
        assert recovery.expire_orders() == 0


@pytest.mark.usefixtures("patience_of_a_day")
def test_an_order_that_is_paid_just_when_it_expires_is_not_cancelled(gateway, order, monkeypatch):
    begin_cancel = payments.begin_cancel

    def pay_first(*known: Any, **more: Any) -> list[Attempt]:
        pay(order)
        return begin_cancel(*known, **more)

    monkeypatch.setattr(payments, "begin_cancel", pay_first)

    with in_hours(24):
        expired = recovery.expire_orders()

    assert expired == 0
    assert state(order) == ("complete", "paid", 1)


# What is heard of it.


def test_what_stays_open_is_counted_by_gateway(gateway: FakeGateway, shirt):
    gateway.on_charge = lambda payment: UNKNOWN
    gateway.on_perform = lambda attempt: UNKNOWN
    first = pay(unpaid_order({shirt: 1}))
    gateway.on_charge = lambda payment: OK
    refunded = unpaid_order({shirt: 1})
    payments.refund(refunded.pk, pay(refunded).pk, 300, actor=MERCHANT)

    [row] = recovery.unresolved()

    assert (row.gateway, row.count, row.since) == ("fake", 2, first.created_at)
    assert recovery.unresolved(older_than=timedelta(minutes=1)) == []


def test_what_stays_open_is_told_of_each_gateway_since_its_oldest(gateway: FakeGateway, shirt):
    """Whether that is a payment or a refund."""
    began = clock.now()

    def at(minutes: int) -> AbstractContextManager[None]:
        return clock.replaced(lambda: began + timedelta(minutes=minutes))

    refunded, open_, at_test = (unpaid_order({shirt: 1}) for _ in range(3))
    with at(0):
        payment = pay(refunded)
        payments.refund(refunded.pk, payment.pk, 100, actor=MERCHANT)
    gateway.on_charge = gateway.on_find_charge = lambda payment: UNKNOWN
    gateway.on_perform = lambda attempt: UNKNOWN
    with at(1):
        payments.refund(refunded.pk, payment.pk, 300, actor=MERCHANT)
    with at(2):
        pay(open_)
        payments.refund(refunded.pk, payment.pk, 300, actor=MERCHANT)
        payments.pay(at_test.pk, PaymentRequest("test", token="unknown"), actor=MERCHANT)

    with at(3):
        rows = [(row.gateway, row.count, row.since) for row in recovery.unresolved()]
        [older] = recovery.unresolved(older_than=timedelta(minutes=2))

    one, two = (began + timedelta(minutes=minutes) for minutes in (1, 2))
    assert rows == [("fake", 3, one), ("test", 1, two)]
    assert (older.count, older.since) == (1, one)


def test_an_alarm_is_raised_about_what_stays_open_for_long(gateway, order, caplog):
    gateway.on_charge = lambda payment: UNKNOWN
    pay(order)

    with caplog.at_level(logging.ERROR):
        jobs.alarm_about_open_payments(0)
        early = len(caplog.records)
        with later(timedelta(minutes=16)):
            jobs.alarm_about_open_payments(0)

    assert early == 0
    [record] = caplog.records
    assert record.msg["event"] == "payments_stay_open"
    assert (record.msg["count"], record.msg["minutes"]) == (1, 16)


def test_a_monitoring_system_reads_how_many_are_open_and_since_when(gateway, order):
    gateway.on_charge = lambda payment: UNKNOWN
    pay(order)

    answer = Client().get("/metrics")

    assert answer["Content-Type"].startswith("text/plain")
    assert 'holdfast_payments_open{gateway="fake"} 1.0' in answer.content.decode()
    assert "holdfast_payments_open_oldest_seconds" in answer.content.decode()


def test_metrics_are_for_whoever_has_their_token(settings):
    settings.METRICS_TOKEN = "token"

    def status(**headers: str) -> int:
        return Client().get("/metrics", headers=headers).status_code

    assert status() == status(Authorization="Bearer other") == 404
    assert status(Authorization="Bearer token") == 200


def test_outside_of_the_demo_nobody_reads_metrics_without_a_token(settings):
    settings.HOLDFAST_DEMO = False

    assert Client().get("/metrics", secure=True).status_code == 404


# Jobs of a worker that was killed.


@pytest.mark.django_db(transaction=True)
def test_a_job_that_a_killed_worker_left_is_taken_up_again(gateway, order, monkeypatch):
    no_wait_is_free(monkeypatch)
    payment = pay(order)
    with connection.cursor() as cursor:
        cursor.execute("UPDATE procrastinate_jobs SET status = 'doing'")

    async_to_sync(work.take_up_again)()

    [job] = ProcrastinateJob.objects.all()
    assert job.status == "todo"
    assert job.args == {"payment_id": str(payment.pk)}


@pytest.mark.django_db(transaction=True)
def test_a_stalled_job_whose_like_waits_already_keeps_no_other_one_from_being_taken_up(
    gateway, order, monkeypatch
):
    no_wait_is_free(monkeypatch)
    scheduled = app.configure_task("payments.jobs.settle_pending_payments", queueing_lock="one")
    scheduled.defer(timestamp=0)
    pay(order)
    with connection.cursor() as cursor:
        cursor.execute("UPDATE procrastinate_jobs SET status = 'doing'")
    scheduled.defer(timestamp=60)

    async_to_sync(work.take_up_again)()

    told = ProcrastinateJob.objects.order_by("id").values_list("task_name", "status")
    assert list(told) == [
        ("payments.jobs.settle_pending_payments", "failed"),
        ("payments.jobs.charge_queued", "todo"),
        ("payments.jobs.settle_pending_payments", "todo"),
    ]
