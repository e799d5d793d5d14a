"""Money and stock that several want at once, and the same without the locks."""

import contextlib
import hashlib
import random
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from django.db import OperationalError, connection, connections, transaction
from django.db.backends.base.base import BaseDatabaseWrapper

from api import clock, transactions
from api.errors import Busy, Refusal
from api.idempotency import Answered, Key, KeyInUse
from api.ids import uuid7
from inventory.errors import UnitsAllocated
from inventory.models import Action, Product, Stock, StockQuerySet, StockTransaction
from inventory.services import products
from inventory.services import stock as inventory
from inventory.services.sheets import processing
from orders.errors import InsufficientStock, NotForSale, OrderNotCancellable, PaymentUnderWay
from orders.models import Order, OrderItem, OrderQuerySet
from orders.services import audit, carts, orders, shipments
from payments.errors import NotRefundable, OrderNotPayable, RestIsPending
from payments.gateways.base import UNKNOWN, Answer, Outcome
from payments.models import Attempt, Payment
from payments.services import bookkeeping, payments, recovery, settling, waiting
from payments.services.audit import money_differences
from payments.services.payments import PaymentRequest
from payments.services.settling import State
from tests.concurrency import PATIENCE_SECONDS, run_together
from tests.factories import (
    BUYER,
    MERCHANT,
    filled_cart,
    paid_order,
    product,
    stock_of,
    unpaid_order,
)
from tests.fake_gateway import DECLINED, GIVEN_UP, OK
from tests.product_sheets import checked, the_line, worked

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.thorough]

AUTHORIZE = Payment.Method.AUTHORIZE


def numbers(wanted: Product) -> tuple[int, int, int]:
    """Total, available and allocated."""
    stock = stock_of(wanted)
    return stock.total, stock.available, stock.allocated


def moved(order: Order) -> list[str]:
    log = StockTransaction.objects.filter(order_id=order.pk).order_by("sequence")
    return list(log.values_list("action", flat=True))


def kinds(outcomes: list[Any]) -> list[str]:
    """What came out, without order: `done` for whatever returned."""
    return sorted(type(one).__name__ if isinstance(one, Exception) else "done" for one in outcomes)


def paying(order: Order, amount: int | None = None, **more: Any) -> Callable[[], Payment]:
    request = PaymentRequest(more.pop("gateway", "fake"), amount=amount)
    return lambda: payments.pay(order.pk, request, actor=MERCHANT, **more)


def beginning(order: Order, amount: int | None = None) -> Callable[[], Payment]:
    return lambda: payments.begin(order.pk, PaymentRequest("fake", amount=amount), actor=MERCHANT)


def cancelling(order: Order) -> Callable[[], None]:
    return lambda: payments.cancel(order.pk, actor=MERCHANT)


def read_instead_of_locking(monkeypatch: pytest.MonkeyPatch, parties: int) -> None:
    """Take the order's lock away and let all read the order before any goes on."""
    all_have_read = threading.Barrier(parties, timeout=PATIENCE_SECONDS)

    def read(self: OrderQuerySet, order_id: Any, **seen: Any) -> Order:
        order = self.get(pk=order_id)
        all_have_read.wait()
        return order

    monkeypatch.setattr(OrderQuerySet, "lock", read)


@pytest.fixture
def retries(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Why transactions were begun again."""
    reasons: list[str] = []
    may_try_again = transactions._may_try_again

    def note(error: Any) -> bool:
        reasons.append(type(error.__cause__ or error).__name__)
        return may_try_again(error)

    monkeypatch.setattr(transactions, "_may_try_again", note)
    return reasons


@contextmanager
def in_a_minute() -> Iterator[None]:
    moment = clock.now() + timedelta(minutes=1)
    with clock.replaced(lambda: moment):
        yield


# The last units.


def test_f01_the_last_unit_goes_to_one_of_many_buyers(gateway, retries):
    shirt = product(stock=1)
    waiting = [unpaid_order({shirt: 1}) for _ in range(40)]

    outcomes = run_together(*map(paying, waiting))

    assert kinds(outcomes) == ["InsufficientStock"] * 39 + ["done"]
    assert len(gateway.charged) == 1
    assert Payment.objects.count() == 1
    assert list(Order.objects.filter(payment="paid").values_list("pk", flat=True)) == [
        Payment.objects.get().order_id
    ]
    assert numbers(shirt) == (1, 0, 1)
    assert retries == []


def test_f01_control_without_the_stocks_lock_buyers_read_the_same_unit(gateway, monkeypatch):
    """The write still sees that the row has moved: that is the second net, not the first."""
    shirt = product(stock=1)
    waiting = [unpaid_order({shirt: 1}) for _ in range(2)]
    both_have_read = threading.Barrier(2, timeout=PATIENCE_SECONDS)

    def read(self: StockQuerySet, product_ids: Any) -> list[Stock]:
        stocks = list(self.filter(product_id__in=product_ids))
        both_have_read.wait()
        return stocks

    monkeypatch.setattr(StockQuerySet, "lock", read)

    outcomes = run_together(*map(paying, waiting))

    assert kinds(outcomes) == ["RowMoved", "done"]


def test_f02_many_orders_of_several_units_sell_what_there_is_and_no_more(gateway, retries):
    shirt = product(stock=100)
    chance = random.Random(2)
    wanted = [chance.randint(1, 5) for _ in range(72)]
    waiting = [unpaid_order({shirt: quantity}) for quantity in wanted]
    share = len(waiting) // 24

    def buy(mine: list[Order]) -> list[Any]:
        outcomes: list[Any] = []
        for order in mine:
            try:
                outcomes.append(paying(order)())
            except InsufficientStock as refusal:
                outcomes.append(refusal)
        return outcomes

    shares = [waiting[at : at + share] for at in range(0, len(waiting), share)]
    outcomes = run_together(*[partial(buy, mine) for mine in shares])

    results = [outcome for mine in outcomes for outcome in mine]
    answered = list(zip(wanted, results, strict=True))
    sold = sum(quantity for quantity, one in answered if isinstance(one, Payment))
    refused = [quantity for quantity, one in answered if isinstance(one, InsufficientStock)]
    total, available, allocated = numbers(shirt)
    assert (total, allocated) == (100, sold)
    assert available >= 0
    assert refused
    # What is available only falls here, so whoever was refused would not fit at the end either.
    assert min(refused) > available
    assert retries == []


def test_f03_orders_of_two_lines_of_one_product_are_allocated_as_wholes(gateway):
    mug = product(stock=10)
    for text in ("Hi", "Ho"):
        carts.add_item(
            "ada", product_id=mug.pk, quantity=3, custom_inputs={"text": text}, currency="USD"
        )
    waiting = [orders.checkout("ada", BUYER)[0] for _ in range(4)]

    outcomes = run_together(*map(paying, waiting))

    assert kinds(outcomes) == ["InsufficientStock"] * 3 + ["done"]
    assert numbers(mug) == (10, 4, 6)


def test_f04_orders_that_share_a_scarce_product_hold_all_or_nothing(gateway):
    shirt, mug = product(stock=100), product(stock=3)
    waiting = [unpaid_order({shirt: 5, mug: 1}) for _ in range(8)]

    outcomes = run_together(*map(paying, waiting))

    assert kinds(outcomes) == ["InsufficientStock"] * 5 + ["done"] * 3
    assert numbers(shirt) == (100, 85, 15)
    assert numbers(mug) == (3, 0, 3)


# Two products in opposite order.


def test_f05_opposite_line_orders_do_not_deadlock(gateway, retries):
    shirt, mug = product(stock=100), product(stock=100)
    waiting = [
        unpaid_order(lines) for lines in ({shirt: 1, mug: 2}, {mug: 1, shirt: 2}) for _ in range(2)
    ]
    rounds = threading.Barrier(len(waiting), timeout=PATIENCE_SECONDS)

    def take_and_give_back(order: Order) -> None:
        for _ in range(100):
            rounds.wait()
            settling.settle(beginning(order)(), DECLINED)

    outcomes = run_together(*[partial(take_and_give_back, order) for order in waiting])

    assert kinds(outcomes) == ["done"] * len(waiting)
    assert retries == []
    assert numbers(shirt) == numbers(mug) == (100, 100, 0)
    assert [len(moved(order)) for order in waiting] == [400] * len(waiting)


def test_f05_control_locking_in_the_callers_order_deadlocks(gateway, retries, monkeypatch):
    shirt, mug = product(stock=100), product(stock=100)
    waiting = [unpaid_order({shirt: 1, mug: 1}) for _ in range(2)]
    one_each = threading.Barrier(2, timeout=PATIENCE_SECONDS)
    mine = threading.local()
    lock = StockQuerySet.lock

    def lock_one_by_one(self: StockQuerySet, product_ids: Any) -> list[Stock]:
        first, second = sorted(product_ids, reverse=mine.backwards)
        stocks = lock(self, [first])
        if not retries:
            one_each.wait()
        return stocks + lock(self, [second])

    monkeypatch.setattr(StockQuerySet, "lock", lock_one_by_one)

    def run(order: Order, backwards: bool) -> Payment:
        mine.backwards = backwards
        return paying(order)()

    outcomes = run_together(lambda: run(waiting[0], False), lambda: run(waiting[1], True))

    assert retries == ["DeadlockDetected"]
    assert kinds(outcomes) == ["done", "done"]


# Everybody at one product.


def test_f06_payments_decrements_cancellations_and_shipments_leave_a_true_count(gateway):
    shirt = product(stock=30)
    to_ship = [paid_order({shirt: 1}) for _ in range(5)]
    to_cancel = [paid_order({shirt: 2}) for _ in range(5)]
    to_pay = [unpaid_order({shirt: 2}) for _ in range(6)]

    outcomes = run_together(
        *map(paying, to_pay),
        *map(cancelling, to_cancel),
        *[partial(shipments.ship, order.pk, actor=MERCHANT) for order in to_ship],
        *[lambda: inventory.record(shirt.pk, Action.DECREMENT, 3, actor=MERCHANT)] * 6,
    )

    refused = [one for one in outcomes if isinstance(one, Refusal)]
    assert len(refused) == len([one for one in outcomes if isinstance(one, Exception)])
    assert {one.kind.status for one in refused} <= {400, 422}
    paid = Order.objects.filter(pk__in=[order.pk for order in to_pay], payment="paid").count()
    decremented = StockTransaction.objects.filter(action="decrement", by_order=False).count()
    assert numbers(shirt) == (25 - 3 * decremented, 25 - 3 * decremented - 2 * paid, 2 * paid)


# Paying and cancelling one order.


def test_f07_pay_and_cancel_never_leave_a_cancelled_order_with_units(gateway):
    shirt = product(stock=100)
    held = 0

    for _ in range(10):
        order = unpaid_order({shirt: 1})
        gateway.charged.clear()
        paid, cancelled = run_together(paying(order), cancelling(order))

        order.refresh_from_db()
        if isinstance(paid, Exception):
            assert isinstance(paid, OrderNotPayable)
            assert (cancelled, order.is_cancelled, gateway.charged) == (None, True, [])
            assert moved(order) == []
        elif cancelled is None:
            assert (order.status, order.payment) == ("cancelled", "paid")
            assert moved(order) == ["allocate", "deallocate"]
        else:
            assert isinstance(cancelled, PaymentUnderWay)
            assert (order.status, order.payment) == ("complete", "paid")
            assert moved(order) == ["allocate"]
            held += 1
        assert numbers(shirt) == (100, 100 - held, held)


def test_f07_an_order_is_not_cancelled_while_a_slow_gateway_charges(gateway):
    shirt = product(stock=10)
    order = unpaid_order({shirt: 1})
    charging, answered = threading.Event(), threading.Event()

    def charge_slowly(payment: Payment) -> Answer:
        charging.set()
        assert answered.wait(PATIENCE_SECONDS)
        return OK

    def cancel_meanwhile() -> None:
        assert charging.wait(PATIENCE_SECONDS)
        try:
            payments.cancel(order.pk, actor=MERCHANT)
        finally:
            answered.set()

    gateway.on_charge = charge_slowly

    paid, cancelled = run_together(paying(order), cancel_meanwhile)

    assert isinstance(cancelled, PaymentUnderWay)
    assert paid.status == "complete"
    assert numbers(shirt) == (10, 9, 1)
    payments.cancel(order.pk, actor=MERCHANT)
    assert numbers(shirt) == (10, 10, 0)


@pytest.mark.tampers_with_the_books
def test_f07_control_without_the_orders_lock_both_happen(gateway, monkeypatch):
    # Of what has stock, a cancelled line's CHECK would hold nothing if the cancel came first.
    order = unpaid_order({product(managed=False): 1})
    read_instead_of_locking(monkeypatch, 2)

    outcomes = run_together(beginning(order), cancelling(order))

    assert kinds(outcomes) == ["done", "done"]
    order.refresh_from_db()
    assert order.payments.get().is_pending
    assert (order.is_cancelled, order.pending) in {(True, 0), (False, 1250)}


def test_t14_a_product_that_goes_off_sale_while_it_is_paid_is_either_sold_or_not(gateway):
    for _ in range(5):
        shirt = product(stock=5)
        order = unpaid_order({shirt: 1})
        gateway.charged.clear()

        paid, _ = run_together(
            paying(order), partial(products.update, shirt.pk, actor=MERCHANT, status="draft")
        )

        order.refresh_from_db()
        if isinstance(paid, Exception):
            assert isinstance(paid, NotForSale)
            assert (order.payment, numbers(shirt), gateway.charged) == ("unpaid", (5, 5, 0), [])
        else:
            assert (order.payment, numbers(shirt)) == ("paid", (5, 4, 1))


def archiving(wanted: Product) -> Callable[[], None]:
    return lambda: products.archive(wanted.pk, actor=MERCHANT)


def archiving_by_file(wanted: Product) -> Callable[[], None]:
    sheet = checked(f"sku | status\n{wanted.sku} | archived")
    processing.apply(sheet.pk, actor=MERCHANT, looked_at=True)

    def run() -> None:
        if the_line(worked(sheet)).error:
            raise UnitsAllocated

    return run


@pytest.mark.parametrize("archiving", [archiving, archiving_by_file], ids=["by hand", "by file"])
def test_a_product_that_is_archived_while_it_is_paid_is_sold_before_or_not_at_all(
    gateway, archiving
):
    for _ in range(5):
        shirt = product(stock=5)
        order = unpaid_order({shirt: 1})
        gateway.charged.clear()

        paid, archived = run_together(paying(order), archiving(shirt))

        order.refresh_from_db()
        if isinstance(paid, Exception):
            assert isinstance(paid, NotForSale)
            assert (archived, order.payment, gateway.charged) == (None, "unpaid", [])
            assert numbers(shirt) == (0, 0, 0)
        else:
            assert isinstance(archived, UnitsAllocated)
            assert (order.payment, numbers(shirt)) == ("paid", (5, 4, 1))


@pytest.mark.parametrize("archiving", [archiving, archiving_by_file], ids=["by hand", "by file"])
def test_control_without_the_stocks_lock_the_product_is_archived_from_under_the_buyer(
    gateway, monkeypatch, archiving
):
    shirt = product(stock=5)
    order, archive = unpaid_order({shirt: 1}), archiving(shirt)
    both_have_read = threading.Barrier(2, timeout=PATIENCE_SECONDS)

    def read(rows: StockQuerySet, product_ids: Any) -> list[Stock]:
        found = list(rows.filter(product_id__in=product_ids))
        both_have_read.wait()
        return found

    with monkeypatch.context() as patched:
        patched.setattr(StockQuerySet, "lock", read)
        outcomes = run_together(beginning(order), archive)

    # The last net holds one of the two, who learns nothing that a person could understand.
    assert kinds(outcomes) == ["RowMoved", "done"]


def checked_out(cart_id: str) -> Callable[[], Order]:
    return lambda: orders.checkout(cart_id, BUYER)[0]


def test_what_is_archived_while_it_is_checked_out_is_never_paid(gateway):
    for _ in range(5):
        shirt = product(stock=5)

        order, archived = run_together(checked_out(filled_cart({shirt: 1})), archiving(shirt))

        assert archived is None
        if isinstance(order, Order):
            with pytest.raises(NotForSale):
                paying(order)()
        else:
            assert isinstance(order, NotForSale)
    assert gateway.charged == []


@pytest.mark.tampers_with_the_books
def test_control_whoever_does_not_look_again_sells_what_is_archived(gateway, monkeypatch):
    shirt = product(stock=5)
    order = unpaid_order({shirt: 1})
    archiving(shirt)()
    claim = OrderItem.claim_units
    monkeypatch.setattr(
        OrderItem,
        "claim_units",
        staticmethod(lambda order: [line for line in claim(order) if line.is_live]),
    )

    assert paying(order)().status == "complete"


def expiring(order: Order) -> Callable[[], None]:
    return lambda: payments.expire(order.pk, while_payment="unpaid")


def test_t15_an_order_that_is_paid_while_it_expires_is_either_paid_or_expired(gateway):
    shirt = product(stock=100)

    for _ in range(10):
        order = unpaid_order({shirt: 1})
        gateway.charged.clear()
        paid, expired = run_together(paying(order), expiring(order))

        order.refresh_from_db()
        if isinstance(paid, Exception):
            assert isinstance(paid, OrderNotPayable)
            assert (expired, order.is_cancelled, gateway.charged) == (None, True, [])
        else:
            assert isinstance(expired, OrderNotCancellable | PaymentUnderWay)
            assert (order.status, order.payment) == ("complete", "paid")


@pytest.mark.tampers_with_the_books
def test_t15_control_without_the_orders_lock_it_is_paid_and_expired(gateway, monkeypatch):
    # Of what has stock, a cancelled line's CHECK would hold nothing if the expiry came first.
    order = unpaid_order({product(managed=False): 1})
    read_instead_of_locking(monkeypatch, 2)

    assert kinds(run_together(beginning(order), expiring(order))) == ["done", "done"]


def test_f12_a_slow_gateway_keeps_no_other_buyer_waiting(gateway):
    shirt = product(stock=10)
    slow, quick = unpaid_order({shirt: 1}), unpaid_order({shirt: 1})
    charging, others_are_done = threading.Event(), threading.Event()

    def charge_slowly(payment: Payment) -> Answer:
        charging.set()
        assert others_are_done.wait(PATIENCE_SECONDS)
        return OK

    def buy_meanwhile() -> tuple[int, int, int]:
        assert charging.wait(PATIENCE_SECONDS)
        paying(quick, gateway="manual")()
        shipments.ship(quick.pk, actor=MERCHANT)
        inventory.record(shirt.pk, Action.DECREMENT, 1, actor=MERCHANT)
        seen = numbers(shirt)
        others_are_done.set()
        return seen

    gateway.on_charge = charge_slowly

    paid, meanwhile = run_together(paying(slow), buy_meanwhile)

    assert meanwhile == (8, 7, 1)
    assert paid.status == "complete"


# Parts.


def test_f22_two_first_parts_take_the_units_once(gateway):
    shirt = product(stock=10, price=1000)

    for _ in range(5):
        order = unpaid_order({shirt: 1})
        outcomes = run_together(paying(order, 400), paying(order, 600))

        order.refresh_from_db()
        assert kinds(outcomes) == ["done", "done"]
        assert (order.payment, order.captured, order.attempts_open) == ("paid", 1000, 0)
        assert moved(order) == ["allocate"]


def test_f22_two_first_parts_that_both_fail_give_the_units_back_once(gateway):
    shirt = product(stock=10, price=1000)
    order = unpaid_order({shirt: 1})
    both_charging = threading.Barrier(2, timeout=PATIENCE_SECONDS)

    def decline_together(payment: Payment) -> Answer:
        both_charging.wait()
        return DECLINED

    gateway.on_charge = decline_together

    outcomes = run_together(paying(order, 400), paying(order, 600))

    assert kinds(outcomes) == ["PaymentDeclined"] * 2
    assert moved(order) == ["allocate", "deallocate"]
    assert numbers(shirt) == (10, 10, 0)


@pytest.mark.tampers_with_the_books
def test_f22_control_without_the_orders_lock_the_units_are_taken_twice(gateway, monkeypatch):
    shirt = product(stock=10, price=1000)
    order = unpaid_order({shirt: 1})
    read_instead_of_locking(monkeypatch, 2)

    outcomes = run_together(beginning(order, 400), beginning(order, 600))

    assert kinds(outcomes) == ["done", "done"]
    assert moved(order) == ["allocate", "allocate"]
    assert audit.differences() != []


def test_f23_parts_that_together_exceed_the_total_are_not_both_taken(gateway):
    shirt = product(stock=100, price=1000)

    for _ in range(5):
        order = unpaid_order({shirt: 1})
        gateway.charged.clear()
        outcomes = run_together(paying(order, 600), paying(order, 600))

        order.refresh_from_db()
        assert kinds(outcomes) == ["AmountRefused", "done"]
        assert (order.payment, order.captured) == ("partially_paid", 600)
        assert len(gateway.charged) == 1


def test_f23_an_order_clicked_paid_many_times_is_paid_once(gateway):
    order = unpaid_order({product(stock=10, price=1000): 1})

    outcomes = run_together(*[paying(order)] * 12)

    refusals = [one for one in outcomes if isinstance(one, Exception)]
    assert len(refusals) == 11
    assert all(isinstance(one, OrderNotPayable | RestIsPending) for one in refusals)
    assert len(gateway.charged) == 1


@pytest.mark.tampers_with_the_books
def test_f23_control_without_the_orders_lock_both_are_taken(gateway, monkeypatch):
    order = unpaid_order({product(stock=10, price=1000): 1})
    read_instead_of_locking(monkeypatch, 2)

    outcomes = run_together(beginning(order, 600), beginning(order, 600))

    assert kinds(outcomes) == ["done", "done"]
    assert sum(order.payments.values_list("amount", flat=True)) == 1200
    assert money_differences() != []


# Captures, voids and refunds.


def authorized(order: Order) -> Payment:
    return payments.pay(order.pk, PaymentRequest("fake", AUTHORIZE), actor=MERCHANT)


def test_f09_money_is_captured_or_voided_once(gateway):
    shirt = product(stock=10, price=1000)

    for _ in range(5):
        gateway.performed.clear()
        order = unpaid_order({shirt: 1})
        part = authorized(order)
        outcomes = run_together(
            partial(payments.capture, order.pk, part.pk, actor=MERCHANT),
            partial(payments.capture, order.pk, part.pk, actor=MERCHANT),
            partial(payments.void, order.pk, part.pk, actor=MERCHANT),
        )

        assert kinds(outcomes).count("done") == 1
        assert set(kinds(outcomes)) <= {"done", "NotCapturable", "NotVoidable"}
        assert len(gateway.performed) == 1
        order.refresh_from_db()
        assert (order.captured, order.authorized) in {(1000, 0), (0, 0)}
        assert order.attempts_open == 0
        if not order.captured:
            assert moved(order) == ["allocate", "deallocate"]


def test_f09_of_two_refunds_of_everything_one_is_made(gateway):
    shirt = product(stock=10, price=1000)

    for _ in range(5):
        gateway.performed.clear()
        order = unpaid_order({shirt: 1})
        part = paying(order)()
        outcomes = run_together(
            *[partial(payments.refund, order.pk, part.pk, 1000, actor=MERCHANT)] * 2
        )

        assert kinds(outcomes) == ["NotRefundable", "done"]
        assert gateway.performed == [("refund", 1000)]


def test_f24_refunds_and_marks_together_never_exceed_what_was_captured(gateway):
    order = unpaid_order({product(stock=10, price=1000): 1})
    part = paying(order)()

    def refunding(amount: int | None) -> Callable[[], Attempt]:
        return lambda: payments.refund(order.pk, part.pk, amount, actor=MERCHANT)

    outcomes = run_together(*map(refunding, [300] * 6 + [None] * 2))

    assert all(isinstance(one, Attempt | NotRefundable) for one in outcomes)
    made = sum(one.amount for one in outcomes if isinstance(one, Attempt))
    sent = sum(amount for _, amount in gateway.performed)
    order.refresh_from_db()
    part.refresh_from_db()
    assert made == part.refunded_amount == order.refunded == 1000
    assert sent <= 1000
    assert (part.refunding_amount, order.refunds_open) == (0, 0)


@pytest.mark.tampers_with_the_books
def test_f24_control_without_the_orders_lock_more_is_sent_than_was_captured(gateway, monkeypatch):
    order = unpaid_order({product(stock=10, price=1000): 1})
    part = paying(order)()
    both_have_read = threading.Barrier(2, timeout=PATIENCE_SECONDS)

    def read(order_id: Any, payment_id: Any, **seen: Any) -> tuple[Order, Payment]:
        found = Order.objects.get(pk=order_id), Payment.objects.get(pk=payment_id)
        found[1].order = found[0]
        both_have_read.wait()
        return found

    monkeypatch.setattr(payments, "lock", read)

    outcomes = run_together(
        *[lambda: payments.begin_refund(order.pk, part.pk, 700, actor=MERCHANT)] * 2
    )

    assert kinds(outcomes) == ["done", "done"]
    assert sum(part.attempts.values_list("amount", flat=True)) == 1400


# Recovery.


@pytest.mark.parametrize("answer", [OK, DECLINED])
def test_f20_recovery_that_runs_twice_at_once_settles_once(gateway, monkeypatch, answer):
    shirt = product(stock=10, price=1000)
    order = unpaid_order({shirt: 1})
    gateway.on_charge = lambda payment: UNKNOWN
    paying(order)()
    all_have_asked = threading.Barrier(4, timeout=PATIENCE_SECONDS)

    def answer_together(payment: Payment) -> Any:
        all_have_asked.wait()
        return answer

    gateway.on_find_charge = answer_together
    transitions = count_transitions(monkeypatch)

    outcomes = run_together(*[recovery.settle_pending] * 4)

    order.refresh_from_db()
    assert kinds(outcomes) == ["done"] * 4
    assert len(transitions) == 1
    assert (order.pending, order.attempts_open) == (0, 0)
    if answer is OK:
        assert (order.payment, order.captured) == ("paid", 1000)
        assert moved(order) == ["allocate"]
    else:
        assert (order.payment, order.captured) == ("unpaid", 0)
        assert moved(order) == ["allocate", "deallocate"]


def count_transitions(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Note every time a pending payment is accepted or failed."""
    seen: list[str] = []

    def noting(transition: Callable[..., None]) -> Callable[..., None]:
        def run(*args: Any) -> None:
            seen.append(transition.__name__)
            transition(*args)

        return run

    for entry, transition in settling.TRANSITIONS.items():
        if entry[0] is State.PENDING:
            monkeypatch.setitem(settling.TRANSITIONS, entry, noting(transition))
    return seen


def test_f20_control_without_the_orders_lock_both_settle(gateway, monkeypatch):
    order = unpaid_order({product(stock=10, price=1000): 1})
    payment = beginning(order)()
    both_have_decided = threading.Barrier(2, timeout=PATIENCE_SECONDS)
    seen: list[str] = []

    def decide_together(*args: Any) -> None:
        seen.append("accepted")
        both_have_decided.wait()

    for entry in settling.TRANSITIONS:
        monkeypatch.setitem(settling.TRANSITIONS, entry, decide_together)
    read_instead_of_locking(monkeypatch, 2)

    run_together(*[lambda: settling.settle(payment, OK)] * 2)

    assert seen == ["accepted"] * 2


def test_f20_recovery_sends_a_refund_that_nobody_sent_once_into_the_books(gateway):
    order = unpaid_order({product(stock=10, price=1000): 1})
    part = paying(order)()
    payments.begin_refund(order.pk, part.pk, 400, actor=MERCHANT)
    both_have_asked = threading.Barrier(2, timeout=PATIENCE_SECONDS)

    def never_heard_of_it(attempt: Attempt) -> None:
        both_have_asked.wait()

    gateway.on_find = never_heard_of_it

    with in_a_minute():
        run_together(*[recovery.settle_pending] * 2)

    order.refresh_from_db()
    assert (order.refunded, order.refunds_open) == (400, 0)
    assert gateway.performed == [("refund", 400)] * 2, "harmless: one attempt, one key"


def test_f25_the_answer_and_its_late_twin_settle_once(gateway):
    """The charge returns while a webhook says the same, five times."""
    shirt = product(stock=10, price=1000)
    order = unpaid_order({shirt: 1})
    payment = beginning(order)()

    run_together(*[lambda: settling.settle(payment, OK)] * 6)

    order.refresh_from_db()
    assert (order.captured, order.attempts_open, order.payment) == (1000, 0, "paid")
    assert moved(order) == ["allocate"]


def test_f25_success_and_failure_at_once_end_with_the_money_counted(gateway):
    shirt = product(stock=10, price=1000)

    for _ in range(5):
        order = unpaid_order({shirt: 1})
        payment = beginning(order)()
        run_together(
            partial(settling.settle, payment, OK),
            partial(settling.settle, payment, DECLINED),
        )

        order.refresh_from_db()
        assert (order.captured, order.attempts_open, order.payment) == (1000, 0, "paid")
        assert moved(order) in (["allocate"], ["allocate", "deallocate", "allocate"])


def test_late_money_and_the_last_unit_sold_at_once(gateway):
    shirt = product(stock=1, price=1000)

    for _ in range(5):
        late, other = unpaid_order({shirt: 1}), unpaid_order({shirt: 1})
        payment = beginning(late)()
        settling.settle(payment, DECLINED)
        settled, bought = run_together(partial(settling.settle, payment, OK), paying(other))

        late.refresh_from_db()
        if isinstance(bought, Exception):
            assert isinstance(bought, InsufficientStock)
            assert (late.payment, settled.late) == ("paid", False)
        else:
            assert (late.payment, settled.late) == ("unpaid", True)
            assert settled.refunding_amount == 1000
        assert numbers(shirt) == (1, 0, 1)
        payments.cancel((late if isinstance(bought, Exception) else other).pk, actor=MERCHANT)


def test_late_money_that_two_hear_of_at_once_goes_back_once(gateway, monkeypatch):
    shirt = product(stock=1, price=1000)
    late = [unpaid_order({shirt: 1}) for _ in range(5)]
    sold = unpaid_order({shirt: 1})
    failed = [settling.settle(beginning(order)(), DECLINED) for order in late]
    paying(sold)()
    give_back = settling._settle_by_giving_back

    for payment in failed:
        all_are_there = threading.Barrier(4, timeout=PATIENCE_SECONDS)

        def give_back_together(
            *known: Any, all_are_there: threading.Barrier = all_are_there
        ) -> Payment:
            all_are_there.wait()
            return give_back(*known)

        monkeypatch.setattr(settling, "_settle_by_giving_back", give_back_together)
        outcomes = run_together(*[partial(settling.settle, payment, OK)] * 4)

        assert kinds(outcomes) == ["done"] * 4
        assert payment.attempts.count() == 1
        assert Order.objects.get(pk=payment.order_id).refunds_open == 1


# Keys, and connections that are lost at COMMIT.


def key(name: str = "click", body: str = "body") -> Key:
    fingerprint = hashlib.sha256(body.encode()).hexdigest()
    return Key("client", "POST", "/v2/orders/1/payments", name, fingerprint, uuid7())


def test_f27_one_key_pays_once_however_often_it_is_clicked(gateway):
    order = unpaid_order({product(stock=10, price=1000): 1})

    outcomes = run_together(*[lambda: paying(order, 300, key=key())()] * 8)

    refusals = [one for one in outcomes if isinstance(one, Exception)]
    assert len(refusals) == 7
    assert all(isinstance(one, KeyInUse | Answered) for one in refusals)
    assert len(gateway.charged) == 1
    order.refresh_from_db()
    assert order.captured == 300


def test_f27_control_without_a_key_every_click_pays_a_part(gateway):
    order = unpaid_order({product(stock=10, price=1000): 1})

    outcomes = run_together(*[paying(order, 300)] * 3)

    assert kinds(outcomes) == ["done"] * 3
    order.refresh_from_db()
    assert order.captured == 900


def lose_the_connection(monkeypatch: pytest.MonkeyPatch, *, committed: bool) -> None:
    """Lose the connection at the next COMMIT, just after it or just before it took effect."""
    commit: Callable[[BaseDatabaseWrapper], None] = vars(BaseDatabaseWrapper)["_commit"]

    def commit_and_hear_nothing(self: BaseDatabaseWrapper) -> None:
        monkeypatch.setattr(BaseDatabaseWrapper, "_commit", commit)
        if committed:
            commit(self)
        _terminate(self.connection.info.backend_pid)
        with self.wrap_database_errors:
            self.connection.execute("COMMIT")

    monkeypatch.setattr(BaseDatabaseWrapper, "_commit", commit_and_hear_nothing)


def _terminate(pid: int) -> None:
    """Let the server end a connection, as a failover does, and wait until it has."""
    other = connections["default"].copy()
    try:
        with other.cursor() as cursor:
            cursor.execute("SELECT pg_terminate_backend(%s, 5000)", [pid])
    finally:
        other.close()


@pytest.mark.parametrize("committed", [True, False])
def test_f19_a_checkout_whose_commit_got_no_answer_is_made_once(monkeypatch, committed):
    cart_id = filled_cart({product(stock=10): 1})
    lose_the_connection(monkeypatch, committed=committed)
    with pytest.raises(OperationalError):
        orders.checkout(cart_id, BUYER, key=key())
    connection.close()
    made = list(Order.objects.values_list("pk", flat=True))

    try:
        retried = str(orders.checkout(cart_id, BUYER, key=key())[0].pk)
    except Answered as earlier:
        retried = earlier.record.resource_id

    assert len(made) == committed
    assert retried == str(Order.objects.get().pk)


@pytest.mark.parametrize("committed", [True, False])
def test_f19_a_payment_whose_commit_got_no_answer_is_made_once(gateway, monkeypatch, committed):
    shirt = product(stock=10, price=1000)
    order = unpaid_order({shirt: 1})
    lose_the_connection(monkeypatch, committed=committed)
    with pytest.raises(OperationalError):
        paying(order, key=key())()
    connection.close()
    charged_before = len(gateway.charged)

    try:
        retried = str(paying(order, key=key())().pk)
    except Answered as earlier:
        retried = earlier.record.resource_id
    # The charge of the first call never began, and its lease ends.
    gateway.on_find_charge = lambda payment: DECLINED
    with in_a_minute():
        recovery.settle_pending()

    order.refresh_from_db()
    payment = order.payments.get()
    assert charged_before == 0
    assert retried == str(payment.pk)
    if committed:
        assert (payment.status, order.payment) == ("failed", "unpaid")
        assert numbers(shirt) == (10, 10, 0)
    else:
        assert (payment.status, order.payment) == ("complete", "paid")
        assert numbers(shirt) == (10, 9, 1)


@pytest.mark.parametrize("committed", [True, False])
def test_f19_an_answer_whose_commit_got_no_answer_ends_paid(gateway, monkeypatch, committed):
    shirt = product(stock=10, price=1000)
    order = unpaid_order({shirt: 1})

    def charge(payment: Payment) -> Answer:
        lose_the_connection(monkeypatch, committed=committed)
        return OK

    gateway.on_charge = charge
    gateway.on_find_charge = lambda payment: OK

    payment = paying(order, key=key())()
    connection.close()
    with in_a_minute():
        recovery.settle_pending()

    order.refresh_from_db()
    assert payment.status == "pending"
    assert (order.payment, order.captured, order.attempts_open) == ("paid", 1000, 0)
    assert len(gateway.charged) == 1
    assert moved(order) == ["allocate"]


@pytest.mark.parametrize("committed", [True, False])
def test_f19_a_shipment_whose_commit_got_no_answer_happens_once(monkeypatch, committed):
    shirt = product(stock=10)
    order = paid_order({shirt: 4})
    lose_the_connection(monkeypatch, committed=committed)
    with pytest.raises(OperationalError):
        shipments.ship(order.pk, actor=MERCHANT, key=key())
    connection.close()

    with contextlib.suppress(Answered):
        shipments.ship(order.pk, actor=MERCHANT, key=key())

    assert moved(order) == ["allocate", "deallocate", "decrement"]
    assert numbers(shirt) == (6, 6, 0)


# A lock that nobody gives back.


def test_who_waits_too_long_for_an_order_is_told_to_come_again(gateway, retries, monkeypatch):
    order = unpaid_order({product(stock=10): 1})
    lock = OrderQuerySet.lock

    def lock_impatiently(self: OrderQuerySet, order_id: Any, **seen: Any) -> Order:
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL lock_timeout = '50ms'")
        return lock(self, order_id, **seen)

    with transaction.atomic():
        Order.objects.lock(order.pk)
        monkeypatch.setattr(OrderQuerySet, "lock", lock_impatiently)
        (outcome,) = run_together(paying(order))

    assert isinstance(outcome, Busy)
    assert retries == ["LockNotAvailable"] * 3
    assert gateway.charged == []
    assert not order.payments.exists()


# Giving up who waits for a buyer.

ASKED = Answer(Outcome.ACTION, "ch_1", action={"client_parameters": {}, "next_actions": []})


@pytest.fixture
def rival() -> Order:
    """Another buyer's order of the last unit."""
    return unpaid_order({product(stock=1): 1})


@pytest.fixture
def waits(gateway, rival) -> Order:
    """An order of the last unit, whose payment waits for its buyer; the next one goes well."""
    order = unpaid_order({rival.items.get().product: 1})
    gateway.on_charge = gateway.on_find_charge = lambda payment: ASKED
    paying(order)()
    gateway.charged.clear()
    gateway.on_charge = lambda payment: OK
    return order


def all_find_it_waiting_before_any_goes_on(monkeypatch: pytest.MonkeyPatch, parties: int) -> None:
    all_were_refused = threading.Barrier(parties, timeout=PATIENCE_SECONDS)

    def after_all(choose: Callable[..., Any]) -> Callable[..., Any]:
        def wait_and_choose(*args: Any) -> Any:
            all_were_refused.wait()
            return choose(*args)

        return wait_and_choose

    for name in ("_in_the_way", "_all_that_is_open"):
        monkeypatch.setattr(payments, name, after_all(getattr(payments, name)))


def test_t13_of_several_who_pay_anew_at_once_one_pays(gateway, waits, retries, monkeypatch):
    all_find_it_waiting_before_any_goes_on(monkeypatch, 4)

    outcomes = run_together(*[paying(waits)] * 4)

    assert kinds(outcomes) == ["RestIsPending"] * 3 + ["done"]
    assert len(gateway.charged) == 1
    assert moved(waits) == ["allocate"]
    assert retries == []


def beginning_in_its_place(order: Order) -> Callable[[], Payment]:
    given_up = [waiting.GivenUp(order.payments.get(), GIVEN_UP)]
    return lambda: payments.begin(
        order.pk, PaymentRequest("fake"), actor=MERCHANT, in_place_of=given_up
    )


def test_t13_the_place_of_one_is_taken_once(waits):
    outcomes = run_together(*[beginning_in_its_place(waits)] * 2)

    assert kinds(outcomes) == ["RestIsPending", "done"]


@pytest.mark.tampers_with_the_books
def test_t13_control_without_the_orders_lock_both_take_its_place(waits, monkeypatch):
    both = [beginning_in_its_place(waits)] * 2
    read_instead_of_locking(monkeypatch, 2)
    # Nor may the first have written before the second reads what it is to write.
    all_have_read = threading.Barrier(2, timeout=PATIENCE_SECONDS)
    read = bookkeeping.payment_of

    def read_with_the_other(*which: Any) -> Payment:
        payment = read(*which)
        all_have_read.wait()
        return payment

    monkeypatch.setattr(bookkeeping, "payment_of", read_with_the_other)

    assert kinds(run_together(*both)) == ["done", "done"]
    assert money_differences() != []


def test_t13_to_pay_anew_and_to_cancel_at_once(gateway, waits, monkeypatch):
    all_find_it_waiting_before_any_goes_on(monkeypatch, 2)

    paid, cancelled = run_together(paying(waits), cancelling(waits))

    waits.refresh_from_db()
    if isinstance(paid, Exception):
        assert isinstance(paid, RestIsPending)
        assert (cancelled, waits.is_cancelled, gateway.charged) == (None, True, [])
        assert moved(waits) == ["allocate", "deallocate"]
    elif cancelled is None:
        assert (waits.status, waits.payment) == ("cancelled", "paid")
        assert moved(waits) == ["allocate", "deallocate"]
    else:
        assert isinstance(cancelled, PaymentUnderWay)
        assert (waits.status, waits.payment) == ("complete", "paid")
        assert moved(waits) == ["allocate"]


def test_t13_two_who_cancel_at_once(waits, monkeypatch):
    all_find_it_waiting_before_any_goes_on(monkeypatch, 2)

    outcomes = run_together(cancelling(waits), cancelling(waits))

    assert kinds(outcomes) in (["PaymentUnderWay", "done"], ["OrderNotCancellable", "done"])
    assert moved(waits) == ["allocate", "deallocate"]


def test_t13_nobody_else_gets_the_last_unit_while_its_holder_changes(gateway, waits, rival):
    given_up, tried = threading.Event(), threading.Event()

    def give_up(payment: Payment) -> Answer:
        given_up.set()
        assert tried.wait(PATIENCE_SECONDS)
        return GIVEN_UP

    def pounce() -> None:
        assert given_up.wait(PATIENCE_SECONDS)
        try:
            paying(rival, gateway="manual")()
        finally:
            tried.set()

    gateway.on_give_up = give_up

    paid, pounced = run_together(paying(waits), pounce)

    assert paid.status == "complete"
    assert isinstance(pounced, InsufficientStock)
    assert moved(waits) == ["allocate"]


def test_t13_control_if_the_old_one_ends_before_the_new_one_begins(
    gateway, waits, rival, monkeypatch
):
    def one_after_the_other(given_up: Any, act: Any, *, actor: Any) -> Any:
        for each in given_up:
            settling.settle(each.payment, each.answer)
        paying(rival, gateway="manual")()
        return act([])

    monkeypatch.setattr(waiting, "in_their_place", one_after_the_other)

    with pytest.raises(InsufficientStock):
        paying(waits)()


def test_t13_the_buyer_confirms_while_another_card_is_tried(gateway, waits):
    """The gateway decides: here the buyer was faster."""
    first = waits.payments.get()
    gateway.on_find_charge = lambda payment: OK if payment.pk == first.pk else UNKNOWN

    paid, confirmed = run_together(paying(waits), partial(payments.confirm, waits.pk, first.pk))

    # Whoever comes second while it is being asked about does not ask, too, and gives nobody up.
    assert isinstance(paid, OrderNotPayable | RestIsPending)
    assert confirmed.status in {"complete", "pending"}
    first.refresh_from_db()
    assert first.status == "complete"
    assert gateway.charged == []
    assert moved(waits) == ["allocate"]
