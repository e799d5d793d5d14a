"""Every answer to every payment, whenever it comes: settle and settle_attempt."""

import re
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from api import clock
from api.actors import SYSTEM
from inventory.models import Product, StockTransaction
from inventory.services import products
from orders.errors import InsufficientStock
from orders.models import Order, OrderItem
from payments.errors import PaymentDeclined, PaymentNotFound
from payments.gateways.base import UNKNOWN, Answer, Outcome, Refunded
from payments.models import Attempt, Payment
from payments.services import payments, recovery, settling
from payments.services.bookkeeping import payment_state
from payments.services.payments import PaymentRequest
from payments.services.settling import State
from tests.factories import MERCHANT, paid_order, product, stock_of, unpaid_order
from tests.fake_gateway import DECLINED, GIVEN_UP, OK, FakeGateway

pytestmark = pytest.mark.django_db

AUTHORIZE, PURCHASE = Payment.Method.AUTHORIZE, Payment.Method.PURCHASE
ACTION = {"client_parameters": {"client_secret": "secret"}, "next_actions": [{"type": "sdk"}]}
CAPTURED = Answer(Outcome.CAPTURED, "ch_1")
ANSWERS = {
    Outcome.SUCCEEDED: OK,
    Outcome.CAPTURED: CAPTURED,
    Outcome.FAILED: DECLINED,
    Outcome.CANCELLED: GIVEN_UP,
    Outcome.ACTION: Answer(Outcome.ACTION, action=ACTION),
    Outcome.OPEN: Answer(Outcome.OPEN),
    Outcome.UNKNOWN: UNKNOWN,
}


@pytest.fixture
def shirt() -> Product:
    return product(stock=10, price=1000)


@pytest.fixture
def order(shirt: Product) -> Order:
    return unpaid_order({shirt: 1})


def begin(order: Order, method: Payment.Method = PURCHASE, amount: int | None = None) -> Payment:
    return payments.begin(order.pk, PaymentRequest("fake", method, amount), actor=MERCHANT)


def books(order: Order) -> list[Any]:
    """All that is known of the order, but for when it was last looked at."""
    tables: list[Any] = [
        Order.objects.filter(pk=order.pk),
        OrderItem.objects.filter(order=order),
        Payment.objects.filter(order=order),
        Attempt.objects.filter(payment__order=order),
        StockTransaction.objects.all(),
    ]
    rows = [row for table in tables for row in table.order_by("pk").values()]
    looked_at = {"updated_at", "charging_until"}
    return [{name: row[name] for name in row.keys() - looked_at} for row in rows]


def in_state(order: Order, state: State) -> Payment:
    """A payment of the order that has come to this state on the usual way."""
    authorizes = state in {State.AUTHORIZED, State.CANCELLED}
    payment = begin(order, AUTHORIZE if authorizes else PURCHASE)
    if state is State.FAILED:
        settling.settle(payment, DECLINED)
    elif state is not State.PENDING:
        settling.settle(payment, OK)
    if state is State.CANCELLED:
        payments.void(order.pk, payment.pk, actor=MERCHANT)
    return payment


# Where a payment in each state stands: its status, the order's payment, the units held.
STANDS = {
    State.PENDING: ("pending", "unpaid", 1),
    State.AUTHORIZED: ("complete", "authorized", 1),
    State.CAPTURED: ("complete", "paid", 1),
    State.FAILED: ("failed", "unpaid", 0),
    State.CANCELLED: ("cancelled", "unpaid", 0),
}
# From which state which answer leads where; from everywhere else, and with every other, nowhere.
LEADS = {
    (State.PENDING, Outcome.SUCCEEDED): State.CAPTURED,
    (State.PENDING, Outcome.CAPTURED): State.CAPTURED,
    (State.PENDING, Outcome.FAILED): State.FAILED,
    (State.PENDING, Outcome.CANCELLED): State.FAILED,
    (State.AUTHORIZED, Outcome.CANCELLED): State.CANCELLED,
    (State.AUTHORIZED, Outcome.FAILED): State.CANCELLED,
    (State.AUTHORIZED, Outcome.CAPTURED): State.CAPTURED,
    (State.FAILED, Outcome.SUCCEEDED): State.CAPTURED,
    (State.FAILED, Outcome.CAPTURED): State.CAPTURED,
    (State.CANCELLED, Outcome.CAPTURED): State.CAPTURED,
}
PAIRS = [(state, outcome) for state in State for outcome in Outcome]
# What only says that somebody has to ask again later.
WAITS = [(State.PENDING, outcome) for outcome in (Outcome.ACTION, Outcome.OPEN, Outcome.UNKNOWN)]


def test_the_table_of_transitions_has_what_leads_somewhere_and_what_waits():
    assert set(settling.TRANSITIONS) == {*LEADS, *WAITS}


@pytest.mark.parametrize(("state", "outcome"), PAIRS)
def test_every_answer_leads_where_the_table_says(gateway, shirt, order, state, outcome):
    payment = in_state(order, state)
    before = books(order)

    settled = settling.settle(payment, ANSWERS[outcome])

    order.refresh_from_db()
    stands = (settled.status, order.payment, stock_of(shirt).allocated)
    assert stands == STANDS[LEADS.get((state, outcome), state)]
    assert settled == payments.payment_of(order.pk, payment.pk)
    if (state, outcome) not in {*LEADS, (State.PENDING, Outcome.ACTION)}:
        assert books(order) == before


@pytest.mark.parametrize(("state", "outcome"), PAIRS)
def test_the_same_answer_again_changes_nothing(gateway, order, state, outcome):
    payment = in_state(order, state)
    settling.settle(payment, ANSWERS[outcome])
    before = books(order)

    settling.settle(payment, ANSWERS[outcome])

    assert books(order) == before


@pytest.mark.parametrize(("state", "outcome"), [*LEADS, *WAITS])
def test_whatever_is_settled_is_dated(gateway, order, state, outcome):
    payment = in_state(order, state)
    later = clock.now() + timedelta(minutes=1)

    with clock.replaced(lambda: later):
        settled = settling.settle(payment, ANSWERS[outcome])

    order.refresh_from_db()
    assert settled.updated_at == later
    assert (order.updated_at == later) is ((state, outcome) in LEADS)


def drawn(diagram: int) -> set[tuple[str, str]]:
    """The arrows of a diagram of docs/payments.md."""
    pages = Path(__file__).parents[2].joinpath("docs/payments.md").read_text().split("```mermaid")
    arrows = re.findall(r"^ +(\S+) --> ([^\s:]+)", pages[diagram].split("```")[0], re.MULTILINE)
    return {(whence, whither) for whence, whither in arrows if "[*]" not in (whence, whither)}


def leads(state: State, outcome: Outcome, method: Payment.Method, *, is_cancelled: bool) -> str:
    """Where an answer takes a payment of an order of its own."""
    order = unpaid_order({product(stock=1, price=1000): 1})
    payment = begin(order, method)
    if state is not State.PENDING:
        settling.settle(payment, DECLINED if state is State.FAILED else OK)
    if state is State.CANCELLED:
        payments.void(order.pk, payment.pk, actor=MERCHANT)
    if is_cancelled:
        payments.cancel(order.pk, actor=MERCHANT)
    settled = settling.settle(payment, ANSWERS[outcome])
    return "goesback" if settled.late else settling.state_of(settled).value


def test_the_diagram_of_payments_is_the_table(gateway):
    takes = {State.AUTHORIZED: [AUTHORIZE], State.CANCELLED: [AUTHORIZE]}
    found = {
        (state.value, leads(state, outcome, method, is_cancelled=is_cancelled))
        for state, outcome in settling.TRANSITIONS
        for method in takes.get(state, [PURCHASE, AUTHORIZE])
        for is_cancelled in ([False, True] if state in {State.FAILED, State.CANCELLED} else [False])
    }

    assert drawn(1) == found | {("captured", "captured")}, "a refund leaves it captured"


def test_the_diagram_of_attempts_is_the_table():
    becomes = {Outcome.SUCCEEDED: "succeeded", Outcome.FAILED: "failed", Outcome.UNKNOWN: "pending"}

    assert drawn(2) == {
        (status.value, becomes[outcome]) for status, outcome in settling.ATTEMPT_TRANSITIONS
    }


@pytest.mark.parametrize("outcome", [Outcome.SUCCEEDED, Outcome.FAILED, Outcome.CANCELLED])
def test_what_the_buyer_had_to_do_is_forgotten_once_it_is_settled(gateway, order, outcome):
    payment = in_state(order, State.PENDING)
    waiting = settling.settle(payment, ANSWERS[Outcome.ACTION])
    silent = settling.settle(payment, UNKNOWN)

    settled = settling.settle(payment, ANSWERS[outcome])

    assert waiting.action == silent.action == ACTION
    assert settled.action is None


def test_f28_an_authorization_that_lapsed_leaves_its_void_to_whoever_asked_for_it(gateway, order):
    payment = in_state(order, State.AUTHORIZED)
    attempt = payments.begin_void(order.pk, payment.pk, actor=MERCHANT)
    before = books(order)

    settling.settle(payment, ANSWERS[Outcome.CANCELLED])
    unchanged = books(order) == before
    settling.settle_attempt(attempt, OK)

    order.refresh_from_db()
    assert unchanged
    assert (order.authorized, order.attempts_open, order.payment) == (0, 0, "unpaid")


def test_an_authorization_that_lapsed_says_so(gateway, order):
    payment = in_state(order, State.AUTHORIZED)

    settled = settling.settle(payment, ANSWERS[Outcome.CANCELLED])

    assert settled.failure == "The authorization has lapsed."
    [event] = order.events.all()
    assert (event.kind, event.actor, event.text) == ("authorization_lapsed", SYSTEM, "$10.00")


# What somebody captures at the gateway itself, past us.

PARTLY = Answer(Outcome.CAPTURED, "ch_1", captured=600)


@pytest.mark.parametrize("state", [State.PENDING, State.AUTHORIZED, State.FAILED, State.CANCELLED])
def test_less_captured_than_authorized_counts_as_what_it_is(gateway, shirt, order, state):
    payment = begin(order, AUTHORIZE)
    if state is not State.PENDING:
        settling.settle(payment, DECLINED if state is State.FAILED else OK)
    if state is State.CANCELLED:
        payments.void(order.pk, payment.pk, actor=MERCHANT)

    for _ in range(2):
        settled = settling.settle(payment, PARTLY)

    order.refresh_from_db()
    assert (settled.captured_amount, settled.status, settled.late) == (600, "complete", False)
    assert (order.payment, order.captured, order.authorized) == ("partially_paid", 600, 0)
    assert (order.payable, order.attempts_open) == (400, 0)
    assert stock_of(shirt).allocated == 1
    attempt = settled.attempts.get(kind="capture")
    assert (attempt.amount, attempt.status, attempt.reason) == (
        600,
        "succeeded",
        "Captured at the gateway itself.",
    )


def test_what_is_captured_elsewhere_leaves_our_own_capture_to_whoever_asked_for_it(gateway, order):
    payment = in_state(order, State.AUTHORIZED)
    attempt = payments.begin_capture(order.pk, payment.pk, actor=MERCHANT)
    before = books(order)

    settling.settle(payment, PARTLY)
    unchanged = books(order) == before
    ended = settling.settle_attempt(attempt, Answer(Outcome.SUCCEEDED, "ch_1", captured=600))

    order.refresh_from_db()
    assert unchanged
    assert ended.amount == 600
    assert (order.captured, order.authorized, order.attempts_open) == (600, 0, 0)


def test_f25_late_money_that_was_captured_elsewhere_is_refunded(gateway, shirt, order):
    late = begin(order, AUTHORIZE)
    settling.settle(late, DECLINED)
    payments.cancel(order.pk, actor=MERCHANT)

    settled = settling.settle(late, PARTLY)

    order.refresh_from_db()
    assert (settled.late, settled.captured_amount, settled.refunding_amount) == (True, 600, 600)
    assert (order.captured, order.authorized, order.refunds_open) == (0, 0, 1)
    assert settled.attempts.get().kind == "refund"


def test_f25_a_late_authorization_that_is_captured_before_it_is_let_go_is_refunded(gateway, order):
    late = begin(order, AUTHORIZE)
    settling.settle(late, DECLINED)
    payments.cancel(order.pk, actor=MERCHANT)
    settling.settle(late, OK)
    gateway.on_find_charge = lambda payment: PARTLY
    gateway.on_perform = lambda attempt: DECLINED if attempt.kind == "void" else OK

    recovery.settle_pending()
    recovery.settle_pending()

    order.refresh_from_db()
    settled = payments.payment_of(order.pk, late.pk)
    assert (settled.captured_amount, settled.refunded_amount) == (600, 600)
    assert (order.captured, order.authorized, order.attempts_open) == (0, 0, 0)
    kinds = settled.attempts.order_by("created_at").values_list("kind", "status")
    assert list(kinds) == [("void", "failed"), ("capture", "succeeded"), ("refund", "succeeded")]


def test_f25_money_captured_elsewhere_whose_units_are_gone_is_refunded(gateway, shirt, order):
    payment = in_state(order, State.CANCELLED)
    paid_order({shirt: 10})

    settled = settling.settle(payment, PARTLY)

    assert (settled.late, settled.refunding_amount) == (True, 600)


@pytest.mark.parametrize("answer", [OK, CAPTURED])
def test_money_that_goes_back_is_dated_and_nobody_waits_for_it(gateway, order, answer):
    late = begin(order, AUTHORIZE)
    settling.settle(late, DECLINED)
    payments.cancel(order.pk, actor=MERCHANT)
    later = clock.now() + timedelta(minutes=1)

    with clock.replaced(lambda: later):
        settled = settling.settle(late, answer)

    order.refresh_from_db()
    assert (settled.updated_at, order.updated_at) == (later, later)
    assert settled.captured_at == (later if answer is CAPTURED else None)
    assert settled.attempts.get().charging_until is None


@pytest.mark.parametrize("kind", ["void", "refund"])
def test_late_money_that_went_back_was_never_the_orders(gateway, order, kind):
    late = begin(order, AUTHORIZE)
    settling.settle(late, DECLINED)
    payments.cancel(order.pk, actor=MERCHANT)
    settling.settle(late, OK if kind == "void" else CAPTURED)

    attempt = settling.settle_attempt(late.attempts.get(), OK)

    order.refresh_from_db()
    assert (attempt.kind, attempt.status) == (kind, "succeeded")
    assert (order.captured, order.authorized, order.refunded, order.attempts_open) == (0, 0, 0, 0)


def test_an_authorization_lapses_after_a_void_of_it_was_refused(gateway, shirt, order):
    attempt = void(gateway, order)
    settling.settle_attempt(attempt, DECLINED)

    lapsed = settling.settle(attempt.payment, GIVEN_UP)

    assert (lapsed.status, stock_of(shirt).allocated) == ("cancelled", 0)


@pytest.mark.parametrize("answer", ANSWERS.values())
def test_money_that_goes_back_goes_back_once(gateway, shirt, order, answer):
    late = in_state(order, State.FAILED)
    payments.cancel(order.pk, actor=MERCHANT)
    settling.settle(late, OK)
    before = books(order)

    settling.settle(late, answer)

    assert books(order) == before
    assert late.attempts.count() == 1


def test_out_of_order_answers_end_where_ordered_ones_do(gateway, shirt, order):
    """A failure that is delivered after the success that followed it."""
    payment = begin(order)

    for answer in (OK, DECLINED, UNKNOWN, OK):
        settling.settle(payment, answer)

    order.refresh_from_db()
    assert (order.payment, order.captured, order.attempts_open) == ("paid", 1000, 0)
    assert StockTransaction.objects.filter(order_id=order.pk).count() == 1


def test_a_reference_is_kept_from_whichever_answer_names_it(gateway, order):
    payment = begin(order)

    settling.settle(payment, Answer(Outcome.UNKNOWN, reference="ch_9"))
    settled = settling.settle(payment, Answer(Outcome.SUCCEEDED))

    assert settled.reference == "ch_9"


def test_f25_success_after_a_cancellation_is_sent_back_and_on_record(gateway, shirt, order):
    payment = in_state(order, State.FAILED)
    payments.cancel(order.pk, actor=MERCHANT)

    settled = settling.settle(payment, OK)

    order.refresh_from_db()
    assert (settled.late, settled.captured_amount, settled.refunding_amount) == (True, 1000, 1000)
    assert (order.status, order.payment, order.captured) == ("cancelled", "unpaid", 0)
    assert order.refunds_open == 1
    attempt = settled.attempts.get()
    assert (attempt.kind, attempt.amount, attempt.reason) == (
        "refund",
        1000,
        "The payment came too late for the order.",
    )
    assert stock_of(shirt).allocated == 0


def test_t14_late_money_for_what_went_off_sale_goes_back(gateway, shirt, order):
    late = in_state(order, State.FAILED)
    products.update(shirt.pk, actor=MERCHANT, status="draft")

    settled = settling.settle(late, OK)

    assert (settled.late, settled.refunding_amount) == (True, 1000)
    assert stock_of(shirt).allocated == 0


def test_late_money_that_another_process_booked_meanwhile_is_not_sent_back(
    gateway, order, monkeypatch
):
    late = in_state(order, State.FAILED)
    settle = settling._settle

    def beaten(*known: Any) -> Payment:
        """The units were gone a moment ago; they came back, and somebody else has settled it."""
        settle(*known)
        raise InsufficientStock

    monkeypatch.setattr(settling, "_settle", beaten)

    settled = settling.settle(late, OK)

    order.refresh_from_db()
    assert (settled.late, settled.attempts.count()) == (False, 0)
    assert (order.payment, order.refunds_open) == ("paid", 0)


def test_late_money_for_what_another_part_is_paying_goes_back(gateway, shirt, order):
    late = in_state(order, State.FAILED)
    begin(order, amount=600)

    settled = settling.settle(late, OK)

    order.refresh_from_db()
    assert settled.late
    assert (order.captured, order.pending) == (0, 600)
    assert stock_of(shirt).allocated == 1


# Attempts.


def authorized(gateway: FakeGateway, order: Order) -> Payment:
    return settling.settle(begin(order, AUTHORIZE), OK)


def capture(gateway: FakeGateway, order: Order) -> Attempt:
    payment = authorized(gateway, order)
    return payments.begin_capture(order.pk, payment.pk, actor=MERCHANT)


def void(gateway: FakeGateway, order: Order) -> Attempt:
    payment = authorized(gateway, order)
    return payments.begin_void(order.pk, payment.pk, actor=MERCHANT)


def refund(gateway: FakeGateway, order: Order) -> Attempt:
    payment = settling.settle(begin(order), OK)
    return payments.begin_refund(order.pk, payment.pk, 1000, actor=MERCHANT)


ATTEMPTS: list[Callable[[FakeGateway, Order], Attempt]] = [capture, void, refund]
PAID_WHEN = {
    (capture, Outcome.SUCCEEDED): ("paid", 1),
    (capture, Outcome.FAILED): ("authorized", 1),
    (capture, Outcome.UNKNOWN): ("authorized", 1),
    (void, Outcome.SUCCEEDED): ("unpaid", 0),
    (void, Outcome.FAILED): ("authorized", 1),
    (void, Outcome.UNKNOWN): ("authorized", 1),
    (refund, Outcome.SUCCEEDED): ("refunded", 1),
    (refund, Outcome.FAILED): ("paid", 1),
    (refund, Outcome.UNKNOWN): ("paid", 1),
}


def test_the_table_of_attempts_has_what_leads_somewhere_and_what_waits():
    pending, failed = Attempt.Status.PENDING, Attempt.Status.FAILED
    assert set(settling.ATTEMPT_TRANSITIONS) == {
        *((pending, outcome) for _, outcome in PAID_WHEN),
        (failed, Outcome.SUCCEEDED),
        (Attempt.Status.SUCCEEDED, Outcome.FAILED),
    }


@pytest.mark.parametrize(("attempt_of", "outcome"), PAID_WHEN)
def test_every_attempt_ends_as_the_gateway_says(gateway, shirt, order, attempt_of, outcome):
    attempt = attempt_of(gateway, order)

    settled = settling.settle_attempt(attempt, ANSWERS[outcome])

    order.refresh_from_db()
    assert settled.status == ("pending" if outcome is Outcome.UNKNOWN else outcome.value)
    assert (order.payment, stock_of(shirt).allocated) == PAID_WHEN[attempt_of, outcome]
    assert order.attempts_open + order.refunds_open == (outcome is Outcome.UNKNOWN)


@pytest.mark.parametrize("attempt_of", ATTEMPTS)
@pytest.mark.parametrize("answer", [OK, DECLINED, UNKNOWN])
def test_an_attempt_that_is_settled_is_dated_and_waited_for_no_longer(
    gateway, order, attempt_of, answer
):
    attempt = attempt_of(gateway, order)
    began = clock.now()
    later = began + timedelta(minutes=1)

    with clock.replaced(lambda: later):
        settling.settle_attempt(attempt, answer)

    order.refresh_from_db()
    settled = Attempt.objects.get(pk=attempt.pk)
    assert attempt.charging_until > began
    assert (settled.updated_at, settled.charging_until) == (later, None)
    ended = answer is not UNKNOWN
    assert [row.updated_at == later for row in (settled.payment, order)] == [ended, ended]


@pytest.mark.parametrize(("attempt_of", "outcome"), PAID_WHEN)
def test_an_attempt_settled_again_changes_nothing(gateway, order, attempt_of, outcome):
    attempt = attempt_of(gateway, order)
    # Two processes hold it as it was.
    settling.settle_attempt(Attempt.objects.get(pk=attempt.pk), ANSWERS[outcome])
    before = books(order)

    settling.settle_attempt(attempt, ANSWERS[outcome])

    assert books(order) == before


@pytest.mark.parametrize("attempt_of", ATTEMPTS)
@pytest.mark.parametrize("answer", [DECLINED, UNKNOWN])
def test_what_succeeded_stays_so_whatever_is_heard_later(gateway, order, attempt_of, answer):
    attempt = attempt_of(gateway, order)
    settling.settle_attempt(attempt, OK)
    before = books(order)

    settling.settle_attempt(attempt, answer)

    assert books(order) == before


@pytest.mark.parametrize("attempt_of", ATTEMPTS)
def test_what_was_given_up_and_then_succeeded_is_in_the_books(gateway, shirt, order, attempt_of):
    attempt = attempt_of(gateway, order)
    settling.settle_attempt(attempt, DECLINED)

    settled = settling.settle_attempt(attempt, OK)

    order.refresh_from_db()
    assert (settled.status, settled.failure) == ("succeeded", "")
    assert (order.payment, stock_of(shirt).allocated) == PAID_WHEN[attempt_of, Outcome.SUCCEEDED]
    assert order.attempts_open + order.refunds_open == 0


def test_f24_a_refund_that_succeeds_after_the_money_went_back_another_way_is_not_counted(
    gateway, order
):
    attempt = refund(gateway, order)
    settling.settle_attempt(attempt, DECLINED)
    payments.refund(order.pk, attempt.payment_id, None, actor=MERCHANT)

    settling.settle_attempt(attempt, OK)

    order.refresh_from_db()
    assert (order.captured, order.refunded, order.refunds_open) == (1000, 1000, 0)


def test_a_refund_that_comes_back_is_owed_again(gateway, shirt, order):
    attempt = refund(gateway, order)
    settling.settle_attempt(attempt, Answer(Outcome.SUCCEEDED, "re_1"))
    order.refresh_from_db()
    refunded = (order.payment, order.refunded)

    for _ in range(2):
        came_back = settling.settle_attempt(attempt, Answer(Outcome.FAILED, "re_1", "lost card"))

    order.refresh_from_db()
    assert refunded == ("refunded", 1000)
    assert (order.payment, order.refunded) == ("paid", 0)
    assert (came_back.status, came_back.failure) == ("failed", "lost card")
    assert [event.kind for event in order.events.all()] == ["refund_came_back"]
    assert stock_of(shirt).allocated == 1


@pytest.mark.parametrize(
    ("amount", "reference", "booked"),
    [(400, "", 400), (400, "re_1", 800), (300, "", 700)],
)
def test_a_refund_at_the_gateway_is_the_one_that_was_marked_only_if_all_of_it_fits(
    gateway, order, amount, reference, booked
):
    payment = settling.settle(begin(order), OK)
    marked = payments.begin_refund(order.pk, payment.pk, 400, actor=MERCHANT)
    settling.settle_attempt(marked, Answer(Outcome.SUCCEEDED, reference))

    settling.settle_refunded(payment, Refunded("", amount, Answer(Outcome.SUCCEEDED, "re_2")))

    order.refresh_from_db()
    assert order.refunded == booked


def test_an_attempt_that_was_refused_is_not_the_refund_that_was_made_at_the_gateway(gateway, order):
    payment = settling.settle(begin(order), OK)
    refused = payments.begin_refund(order.pk, payment.pk, 400, actor=MERCHANT)
    settling.settle_attempt(refused, DECLINED)

    settling.settle_refunded(payment, Refunded("", 400, Answer(Outcome.SUCCEEDED, "re_2")))

    refunds = payment.attempts.order_by("created_at").values_list("status", "reference")
    assert list(refunds) == [("failed", ""), ("succeeded", "re_2")]


def test_a_refund_of_ours_that_is_on_its_way_settles_by_itself(gateway, order):
    attempt = refund(gateway, order)
    before = books(order)

    for outcome in (Outcome.SUCCEEDED, Outcome.FAILED):
        answer = Answer(outcome, "re_1")
        settling.settle_refunded(attempt.payment, Refunded(str(attempt.pk), 1000, answer))

    assert books(order) == before


def test_a_refund_that_failed_at_the_gateway_is_not_the_one_that_was_marked(gateway, order):
    payment = settling.settle(begin(order), OK)
    payments.refund(order.pk, payment.pk, None, actor=MERCHANT)
    before = books(order)

    settling.settle_refunded(payment, Refunded("", 1000, Answer(Outcome.FAILED, "re_1")))

    assert books(order) == before


@pytest.mark.parametrize("outcome", [Outcome.FAILED, Outcome.UNKNOWN])
def test_a_refund_at_the_gateway_counts_once_it_is_made(gateway, order, outcome):
    payment = settling.settle(begin(order), OK)
    before = books(order)

    settling.settle_refunded(payment, Refunded("", 400, Answer(outcome, "re_1")))

    assert books(order) == before


@pytest.mark.parametrize(("amount", "refunded"), [(601, 0), (600, 600)])
def test_f24_a_refund_at_the_gateway_is_booked_if_there_is_so_much_to_go_back(
    gateway, order, amount, refunded
):
    payment = settling.settle(begin(order), OK)
    payments.begin_refund(order.pk, payment.pk, 400, actor=MERCHANT)
    later = clock.now() + timedelta(minutes=1)

    with clock.replaced(lambda: later):
        settling.settle_refunded(payment, Refunded("", amount, Answer(Outcome.SUCCEEDED, "re_1")))

    order.refresh_from_db()
    assert (order.refunded, order.refunds_open) == (refunded, 1)
    assert (order.updated_at == later) is bool(refunded)
    there = payment.attempts.filter(status="succeeded")
    assert [(each.amount, each.reference, each.reason, each.actor) for each in there] == (
        [(600, "re_1", "Refunded at the gateway itself.", SYSTEM)] if refunded else []
    )


def test_a_capture_of_the_same_name_and_amount_is_no_refund(gateway, order):
    payment = settling.settle_attempt(capture(gateway, order), Answer(Outcome.SUCCEEDED, "x_1"))
    captured = payment.payment

    settling.settle_refunded(captured, Refunded("", 1000, Answer(Outcome.SUCCEEDED, "x_1")))

    order.refresh_from_db()
    assert (order.captured, order.refunded) == (1000, 1000)


def test_f24_what_was_given_up_and_no_longer_fits_is_found_by_its_name(gateway, order):
    attempt = refund(gateway, order)
    settling.settle_attempt(attempt, DECLINED)
    payments.refund(order.pk, attempt.payment_id, None, actor=MERCHANT)

    settling.settle_attempt(attempt, Answer(Outcome.SUCCEEDED, "re_1"))

    attempt.refresh_from_db()
    assert (attempt.status, attempt.reference) == ("failed", "re_1")


def test_a_refund_comes_back_only_by_its_own_name(gateway, order):
    attempt = refund(gateway, order)
    settling.settle_attempt(attempt, Answer(Outcome.SUCCEEDED, "re_1"))
    before = books(order)

    settling.settle_attempt(attempt, Answer(Outcome.FAILED, "re_2"))

    assert books(order) == before


def test_a_refund_that_comes_back_is_dated_and_says_how_much(gateway, order):
    attempt = refund(gateway, order)
    settling.settle_attempt(attempt, Answer(Outcome.SUCCEEDED, "re_1"))
    later = clock.now() + timedelta(minutes=1)

    with clock.replaced(lambda: later):
        settled = settling.settle_attempt(attempt, Answer(Outcome.FAILED, "re_1"))

    order.refresh_from_db()
    payment = payments.payment_of(order.pk, attempt.payment_id)
    assert {settled.updated_at, payment.updated_at, order.updated_at} == {later}
    assert (payment.refunded_amount, payment.refundable_amount) == (0, 1000)
    [event] = order.events.all()
    assert (event.text, event.actor) == ("$10.00", SYSTEM)


def test_late_money_that_comes_back_once_more_was_never_the_orders(gateway, order):
    late = in_state(order, State.FAILED)
    payments.cancel(order.pk, actor=MERCHANT)
    settling.settle(late, OK)
    attempt = settling.settle_attempt(late.attempts.get(), Answer(Outcome.SUCCEEDED, "re_1"))

    settling.settle_attempt(attempt, Answer(Outcome.FAILED, "re_1"))

    order.refresh_from_db()
    assert order.refunded == 0
    assert payments.payment_of(order.pk, late.pk).refundable_amount == 1000


@pytest.mark.parametrize(("named", "kept"), [("ch_9", "ch_9"), ("", "ch_1")])
def test_money_that_goes_back_has_the_name_that_its_gateway_gave_it_last(
    gateway, order, named, kept
):
    payment = settling.settle(begin(order), Answer(Outcome.FAILED, "ch_1"))
    payments.cancel(order.pk, actor=MERCHANT)

    settled = settling.settle(payment, Answer(Outcome.SUCCEEDED, named))

    assert settled.reference == kept
    event = order.events.latest("pk")
    assert (event.kind, event.text) == ("money_came_late", "$10.00")


def test_a_payment_of_another_order_is_not_found(gateway, shirt, order):
    payment = authorized(gateway, order)
    other = unpaid_order({shirt: 1})

    with pytest.raises(PaymentNotFound):
        payments.void(other.pk, payment.pk, actor=MERCHANT)


def test_the_reference_of_an_attempt_is_kept(gateway, order):
    settled = settling.settle_attempt(refund(gateway, order), Answer(Outcome.SUCCEEDED, "re_1"))

    assert settled.reference == "re_1"
    assert payments.payment_of(order.pk, settled.payment_id).reference == "ch_1"


# What is called what.


def numbered(**numbers: int) -> Order:
    return Order(total=numbers.pop("total", 1000), **numbers)


@pytest.mark.parametrize(
    ("order", "state"),
    [
        (numbered(), "unpaid"),
        (numbered(pending=1000), "unpaid"),
        (numbered(authorized=1), "partially_authorized"),
        (numbered(captured=1), "partially_paid"),
        (numbered(captured=1, authorized=1), "partially_paid"),
        (numbered(authorized=1000), "authorized"),
        (numbered(authorized=1, captured=999), "authorized"),
        (numbered(captured=500, refunded=500), "refunded"),
        (numbered(captured=500, refunded=499), "partially_paid"),
        (numbered(captured=500, refunded=500, authorized=500), "authorized"),
    ],
)
def test_the_state_of_a_payment_follows_the_numbers(order, state):
    assert payment_state(order) == state


def test_a_paid_order_stays_paid_until_all_of_it_is_refunded():
    shirt = product(stock=2, price=500)
    order = paid_order({shirt: 2})
    payment = order.payments.get()

    seen = []
    for amount in (1, 998, 1):
        payments.refund(order.pk, payment.pk, amount, actor=MERCHANT)
        order.refresh_from_db()
        seen.append((order.status, order.payment))

    assert seen == [("complete", "paid")] * 2 + [("complete", "refunded")]


def test_a_declined_second_part_does_not_reset_what_the_first_paid(gateway, order, shirt):
    settling.settle(begin(order, amount=400), OK)

    gateway.on_charge = lambda payment: DECLINED
    with pytest.raises(PaymentDeclined):
        payments.pay(order.pk, PaymentRequest("fake"), actor=MERCHANT)

    order.refresh_from_db()
    assert (order.payment, order.captured) == ("partially_paid", 400)
    assert stock_of(shirt).allocated == 1
