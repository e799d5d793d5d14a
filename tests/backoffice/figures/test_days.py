"""The sums of days: exact, at the store's own midnight, kept or not."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta, tzinfo
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.utils import timezone

from api import clock, store
from backoffice.figures import days, sums
from backoffice.figures.days import MONEY, MOVED, ORDERED, PRODUCTS_SOLD, Period
from backoffice.jobs import add_up_days
from backoffice.models import AddedUp, MoneyOfDay
from inventory.models import Action, StockTransaction
from inventory.services import stock
from orders.models import Order, Shipment
from orders.services import shipments
from payments.gateways.base import Answer, Outcome
from payments.models import Attempt, Payment
from payments.services import payments, settling
from tests.concurrency import run_together
from tests.factories import MERCHANT, paid_order, product, shipped_order, unpaid_order

NEW_YORK = ZoneInfo("America/New_York")
# The clocks were put back on the first of them: it has 25 hours.
WEEK = Period(date(2026, 11, 1), date(2026, 11, 7))
FACTS = {"money": MONEY, "sold": PRODUCTS_SOLD, "ordered": ORDERED, "moved": MOVED}


@contextmanager
def at(moment: datetime) -> Iterator[None]:
    with clock.replaced(lambda: moment):
        yield


def local(day: int, hour: int, minute: int = 0, **more: Any) -> datetime:
    return datetime(2026, 11, day, hour, minute, tzinfo=NEW_YORK, **more)


@pytest.fixture
def a_week() -> Iterator[None]:
    """What happens in a week in New York, most of it just before or after a midnight there."""
    store.change(time_zone="America/New_York", actor=MERCHANT)
    with at(local(1, 0)):
        shirt, mug = product(100, price=1000), product(100, price=300)
    for moment in (
        local(1, 0),
        # Two hours that are one on the clock.
        local(1, 1, 30),
        local(1, 1, 30, fold=1),
        local(1, 23, 59, second=59),
        local(2, 0),
        local(4, 23, 30),
        local(5, 0, 30),
    ):
        with at(moment):
            paid_order({shirt: 2, mug: 1})
            payments.cancel(paid_order({mug: 3}).pk, actor=MERCHANT)
            refund_of(shipped_order({shirt: 1}), 250)
            stock.record(mug.pk, Action.INCREMENT, 5, actor=MERCHANT, reason=f"Delivery {moment}")
            unpaid_order({shirt: 1})
    with timezone.override(NEW_YORK), at(local(7, 12)):
        yield


def refund_of(order: Order, amount: int) -> None:
    payments.refund(order.pk, order.payments.get().pk, amount, actor=MERCHANT)


def read(name: str, period: Period = WEEK) -> set[tuple[Any, ...]]:
    return set(days.fetched(days.rows_of(FACTS[name], period)))


def refunds() -> list[tuple[Any, ...]]:
    return [row for row in days.fetched(days.later_of(WEEK)) if row[1] == "refunded"]


def reason_of(entry: StockTransaction) -> str:
    return "delivery" if entry.reason.startswith("Delivery ") else entry.reason


def recounted() -> dict[str, set[tuple[Any, ...]]]:
    """The same from each row of the sources, in Python."""
    sums: dict[str, dict[tuple[Any, ...], list[int]]] = {name: {} for name in FACTS}

    def add(name: str, key: tuple[Any, ...], *numbers: int) -> None:
        known = sums[name].setdefault(key, [0] * len(numbers))
        sums[name][key] = [one + other for one, other in zip(known, numbers, strict=True)]

    for payment in Payment.objects.filter(late=False, captured_amount__gt=0):
        assert payment.captured_at
        day = payment.captured_at.astimezone(NEW_YORK).date()
        add("money", (day, "taken", payment.currency), 1, payment.captured_amount)
    for order in Order.objects.prefetch_related("items"):
        if order.cancelled_at:
            day = order.cancelled_at.astimezone(NEW_YORK).date()
            add("money", (day, "cancelled", order.currency_id), 1, order.total)
        if order.fully_paid_at:
            day = order.fully_paid_at.astimezone(NEW_YORK).date()
            add("money", (day, "sold", order.currency_id), 1, order.total)
            for item in order.items.all():
                key = (day, item.product_id, order.currency_id)
                add("sold", key, 1, item.quantity, item.value)
    for shipment in Shipment.objects.select_related("order").prefetch_related("lines__item"):
        day = shipment.created_at.astimezone(NEW_YORK).date()
        value = sum(line.quantity * line.item.unit_price for line in shipment.lines.all())
        add("money", (day, "shipped", shipment.order.currency_id), 1, value)
    for entry in StockTransaction.objects.select_related("stock"):
        day = entry.created_at.astimezone(NEW_YORK).date()
        add("moved", (day, entry.action, entry.by_order, reason_of(entry)), 1, entry.quantity)
        if entry.by_order:
            takes = 1 if entry.action in {Action.ALLOCATE, Action.DECREMENT} else -1
            add("ordered", (day, entry.stock.product_id), takes * entry.quantity)
    return {
        name: {(*key, *numbers) for key, numbers in of.items() if any(numbers)}
        for name, of in sums.items()
    }


@pytest.mark.django_db(transaction=True)
def test_days_are_exact_at_the_stores_midnight_whether_they_are_kept_or_not(a_week):
    live = {name: read(name) for name in FACTS}

    added = days.add_up()

    # Today is not over, and yesterday is.
    assert added == 6
    assert {name: read(name) for name in FACTS} == live == recounted()
    assert {row[0].day for row in live["money"]} == {1, 2, 4, 5}
    assert (days.add_up(), MoneyOfDay.objects.filter(kind="taken").count()) == (0, 4)


@pytest.mark.django_db(transaction=True)
def test_a_part_of_the_days_is_kept_and_the_rest_added_up(a_week):
    with at(local(4, 0, 59)):
        # The third is over, but not for an hour.
        days.add_up()

    row = AddedUp.objects.get()

    assert (row.since.day, row.until.day, row.zone) == (1, 2, "America/New_York")
    assert {name: read(name) for name in FACTS} == recounted()


@pytest.mark.django_db(transaction=True)
def test_a_refund_counts_on_its_own_day_and_no_more_once_it_came_back(a_week):
    days.add_up()
    order = Order.objects.filter(refunded=250).first()
    assert order
    refunded = {row[0].day: row[4] for row in refunds()}
    refund_of(order, 100)

    today = {row[0].day: row[4] for row in refunds()}
    refund = Attempt.objects.get(amount=100)
    settling.settle_attempt(refund, Answer(Outcome.FAILED, reference=refund.reference))

    assert refunded == {1: 1000, 2: 250, 4: 250, 5: 250}
    assert today == {**refunded, 7: 100}
    assert {row[0].day: row[4] for row in refunds()} == refunded


@pytest.mark.django_db(transaction=True)
def test_a_shipment_counts_on_its_day_until_it_is_undone(a_week):
    days.add_up()
    made = Shipment.objects.order_by("created_at").last()
    assert made
    before = sums.money(WEEK)

    shipments.undo(made.order_id, made.pk, actor=MERCHANT, reason="Not packed")
    after = dict(sums.money(WEEK))

    key = (date(2026, 11, 5), "USD", "shipped")
    assert (before[key], after.pop(key)) == (sums.Sum(1, 1000), sums.Sum())
    assert after == {each: of for each, of in before.items() if each != key}


@pytest.mark.django_db(transaction=True)
def test_another_time_zone_begins_all_days_anew(a_week):
    days.add_up()
    store.change(time_zone="UTC", actor=MERCHANT)

    with timezone.override(ZoneInfo("UTC")):
        before = read("money")
        days.add_up()
        after = read("money")

    assert before == after
    assert {row[0] for row in after} == {date(2026, 11, day) for day in (1, 2, 5)}


@pytest.mark.django_db(transaction=True)
def test_two_workers_keep_each_day_once(a_week):
    assert sorted(run_together(days.add_up, days.add_up)) == [0, 6]
    assert read("money") == recounted()["money"]


@pytest.mark.django_db(transaction=True)
def test_without_taking_turns_one_of_them_would_fail(a_week, monkeypatch):
    both = threading.Barrier(2, timeout=30)
    first_day = days._first_day

    def first_day_of_both(zone: tzinfo) -> date | None:
        both.wait()
        return first_day(zone)

    monkeypatch.setattr(days, "_take_turns", lambda: None)
    monkeypatch.setattr(days, "_first_day", first_day_of_both)

    outcomes = run_together(days.add_up, days.add_up)

    assert sum(isinstance(outcome, Exception) for outcome in outcomes) == 1


@pytest.mark.django_db
def test_nothing_is_kept_before_anything_happened():
    assert add_up_days(0) is None
    assert not AddedUp.objects.exists()


@pytest.mark.django_db
def test_too_many_days_that_are_not_kept_are_not_added_up_for_a_page():
    with pytest.raises(days.NotAddedUp):
        days.rows_of(MONEY, Period(clock.now().date() - timedelta(days=99), clock.now().date()))


@pytest.mark.django_db
def test_days_to_come_are_none_that_want_adding_up():
    today = clock.now().astimezone(UTC).date()

    assert days.fetched(days.rows_of(MONEY, Period(today, today + timedelta(days=900)))) == []
