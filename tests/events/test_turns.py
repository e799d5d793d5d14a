"""Whose turn it is, what is sent next, and what an answer means; nothing goes over a network."""

import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from structlog.testing import capture_logs

from api import clock
from api.models import Change
from events.models import Delivery, DeliveryAttempt, Event, Integration, Progress
from events.services import turns
from events.services.sending import Answer
from events.services.turns import PAUSES, Lease, Lost, Taken, Turn
from tests.events.telling import PAID, numbered, progress, states, taken_by, told_to

pytestmark = pytest.mark.django_db

MORNING = datetime(2026, 11, 28, 4, tzinfo=UTC)
ME = uuid.uuid4()


@contextmanager
def at(moment: datetime) -> Iterator[None]:
    with clock.replaced(lambda: moment):
        yield


def answered(status: int | None = 200, **fields) -> Answer:
    fault = "" if status and status < 300 else f"It answered {status}."
    return Answer(at=clock.now(), milliseconds=7, status=status, fault=fault, **fields)


# What a receiver answers to an event at this position, or to a test.
Receiving = Callable[[int | None], Answer]


def well(position: int | None) -> Answer:
    return answered(200)


def badly(position: int | None) -> Answer:
    return answered(500)


def lease_on(integration: Integration) -> Lease:
    [lease] = [lease for lease in turns.claim(ME) if lease.integration_id == integration.pk]
    return lease


def a_turn(lease: Lease, receiving: Receiving) -> list[int | None]:
    """Send one turn, until something in it fails; return the positions in the order of sending."""
    turn = turns.next_turn(lease)
    if turn is None:
        return []
    taken: list[Taken] = []
    position = turn.position
    for parcel in turn.parcels:
        taken.append(Taken(parcel, receiving(parcel.told.position)))
        if taken[-1].answer.fault:
            new = [one.parcel.told.position or 0 for one in taken if one.parcel.is_new]
            position = max([lease.position, *new])
            break
    turns.settle(lease, taken, position)
    return [one.parcel.told.position for one in taken]


def next_turn(lease: Lease) -> Turn:
    turn = turns.next_turn(lease)
    assert turn is not None
    return turn


def next_at(**which: Any) -> datetime:
    """When the delivery that waits is tried again."""
    moment = Delivery.objects.get(**which).next_at
    assert moment
    return moment


def sent(lease: Lease, receiving: Receiving) -> list[int | None]:
    """Send turn after turn until there is nothing more to send now."""
    positions = []
    while some := a_turn(lease, receiving):
        positions += some
    return positions


@pytest.fixture
def lease() -> Lease:
    integration = told_to()
    return lease_on(integration)


@pytest.fixture
def integration(lease: Lease) -> Integration:
    return Integration.objects.get(pk=lease.integration_id)


# In order, and only what is observed.


def test_events_are_told_in_order_and_what_came_of_them_is_kept(lease, integration):
    numbered(range(1, 4))

    assert sent(lease, well) == [1, 2, 3]

    first, _, _ = Delivery.objects.order_by("pk")
    assert (first.state, first.attempts, first.origin) == ("delivered", 1, "feed")
    assert first.ended_at is not None
    attempt = DeliveryAttempt.objects.get(delivery=first)
    assert (attempt.number, attempt.succeeded, attempt.status_code) == (1, True, 200)
    assert attempt.milliseconds == 7
    now = progress(integration)
    assert now.position == 3
    assert now.delivered_at is not None
    assert now.failing_since is None
    assert lease.is_caught_up


def test_what_is_not_observed_is_passed_over(lease, integration):
    numbered([1, 2], "cart.updated")
    numbered([3])
    numbered([4, 5], "cart.updated")

    assert sent(lease, well) == [3]
    assert lease.position == 5


def test_it_begins_where_its_position_is():
    numbered(range(1, 6))
    lease = lease_on(told_to(position=3))

    assert sent(lease, well) == [4, 5]


def test_it_begins_with_the_first_that_is_kept_where_the_feed_has_forgotten():
    numbered(range(1, 10))
    Event.objects.filter(position__lt=7).delete()
    lease = lease_on(told_to(position=2))

    with capture_logs() as logged:
        assert sent(lease, well) == [7, 8, 9]
    [said] = logged
    assert (said["event"], said["told"], said["goes_on"]) == ("not_in_the_feed_any_more", 2, 6)


def test_a_position_that_the_feed_never_reached_is_set_to_its_last():
    numbered(range(1, 4))
    lease = lease_on(told_to(position=90))

    assert sent(lease, well) == []
    assert lease.position == 3


def test_a_turn_is_a_batch_and_takes_few_statements(lease):
    numbered(range(1, turns.BATCH + 21))

    with CaptureQueriesContext(connection) as asked:
        assert len(a_turn(lease, well)) == turns.BATCH
    assert len(asked) <= 9
    assert len(a_turn(lease, well)) == 20


# Failures.


def test_what_fails_waits_while_later_events_go_on(lease, integration):
    numbered(range(1, 4))

    with at(MORNING):
        assert sent(lease, lambda position: badly(1) if position == 1 else well(1)) == [1, 2, 3]

    poison = Delivery.objects.get(position=1)
    assert poison.state == "waiting"
    assert PAUSES[0] <= next_at(position=1) - MORNING <= PAUSES[0] * 1.1
    assert states(integration) == {1: "waiting", 2: "delivered", 3: "delivered"}
    with at(MORNING + timedelta(seconds=4)):
        assert sent(lease, well) == []
    with at(MORNING + timedelta(seconds=6)):
        assert sent(lease, well) == [1]
    assert states(integration)[1] == "delivered"
    assert [each.number for each in DeliveryAttempt.objects.filter(delivery=poison)] == [1, 2]


def test_its_pauses_are_those_of_standard_webhooks(lease):
    numbered([1])
    now = MORNING
    hours: list[float] = []
    while len(hours) < 9:
        with at(now):
            assert sent(lease, badly) == [1]
        waits = next_at() - now
        hours.append(waits / timedelta(hours=1))
        now += waits

    expected = [5 / 3600, 5 / 60, 0.5, 2, 5, 10, 14, 20, 24]
    assert all(
        least <= waited <= least * 1.1 for least, waited in zip(expected, hours, strict=True)
    )
    assert timedelta(days=3) < now - MORNING < timedelta(days=3.5)


def test_after_three_in_a_row_nothing_new_is_sent(lease, integration):
    numbered(range(1, 10))

    with at(MORNING):
        assert sent(lease, badly) == [1, 2, 3]

    now = progress(integration)
    assert (now.position, now.failing_since) == (3, MORNING)
    # As long as the oldest waits.
    assert now.waits_until == next_at(position=1)


def test_then_the_oldest_is_tried_and_the_others_wait_with_it(lease):
    numbered(range(1, 10))
    with at(MORNING):
        sent(lease, badly)

    with at(MORNING + timedelta(seconds=10)):
        assert sent(lease, badly) == [1]
    with at(MORNING + timedelta(minutes=10)):
        assert sent(lease, badly) == [1]

    attempts = Delivery.objects.order_by("position").values_list("attempts", flat=True)
    assert list(attempts) == [3, 1, 1]


def test_a_receiver_that_is_back_hears_everything_in_order(lease, integration):
    numbered(range(1, 121))
    with at(MORNING):
        assert sent(lease, badly) == [1, 2, 3]
    with at(MORNING + timedelta(seconds=10)):
        sent(lease, badly)

    # The others would wait for longer than the oldest, by their own times.
    Delivery.objects.exclude(position=1).update(next_at=MORNING + timedelta(days=1))
    with at(MORNING + timedelta(minutes=6)):
        assert sent(lease, well) == list(range(1, 121))
    now = progress(integration)
    assert (now.waits_until, now.failing_since, now.position) == (None, None, 120)


def test_one_event_that_cannot_be_taken_stops_no_other_however_often_it_fails(lease):
    numbered([1])
    now = MORNING
    for _ in range(4):
        with at(now):
            assert sent(lease, badly) == [1]
        now = next_at()

    numbered([2, 3])
    with at(now - timedelta(seconds=1)):
        assert sent(lease, well) == [2, 3]


def test_where_a_thousand_wait_nothing_new_is_sent(lease, monkeypatch):
    monkeypatch.setattr(turns, "WAITING_MAX", 4)
    numbered(range(1, 21))

    # Every other one fails, so that there are never three in a row.
    with at(MORNING):
        every_other = sent(lease, lambda position: (well, badly)[(position or 0) % 2](1))
    assert every_other == list(range(1, 10))

    with at(MORNING + timedelta(seconds=6)):
        assert sent(lease, well) == [1, 3, 5, 7, 9, *range(10, 21)]


def test_since_when_it_fails_is_told_from_the_first_failure_on(lease, integration):
    numbered([1])
    for minutes in (0, 1):
        with at(MORNING + timedelta(minutes=minutes)):
            sent(lease, badly)
    assert progress(integration).failing_since == MORNING

    numbered([2])
    with at(MORNING + timedelta(minutes=2)):
        sent(lease, well)
    assert progress(integration).failing_since is None


# Retry-After, and 410.


@pytest.mark.parametrize(
    ("seconds", "waits"), [(60.0, 60), (1.0, 5), (10.0**9, 86_400), (None, None)]
)
def test_it_is_left_alone_for_as_long_as_it_asks(lease, integration, seconds, waits):
    numbered([1, 2])

    def busy(position: int | None) -> Answer:
        return answered(429, retry_after=seconds)

    with at(MORNING):
        positions = sent(lease, busy)

    if waits is None:
        assert positions == [1, 2]
        return
    assert positions == [1]
    until = next_at()
    assert progress(integration).waits_until == until
    assert timedelta(seconds=waits) <= until - MORNING <= timedelta(seconds=waits * 1.1)
    with at(until - timedelta(seconds=1)):
        assert sent(lease, well) == []
    with at(until):
        assert sent(lease, well) == [1, 2]


def test_gone_disables_it_at_once(lease, integration):
    numbered([1, 2])

    with pytest.raises(Lost):
        sent(lease, lambda position: answered(410))

    integration.refresh_from_db()
    assert not integration.enabled
    now = progress(integration)
    assert now.given_up_at is not None
    assert now.given_up_why == "It answered 410. It wants to be told nothing more."
    assert now.leased_by is None
    [change] = Change.objects.filter(thing_id=str(integration.pk))
    assert change.actor.kind == "system"
    assert [entry["field"] for entry in change.fields] == ["enabled"]
    # Nobody tells it anything any more.
    assert turns.claim(uuid.uuid4()) == []


def given_up(lease: Lease) -> datetime:
    """Let it fail until it is given up."""
    now = MORNING
    while True:
        with at(now):
            try:
                sent(lease, badly)
            except Lost:
                return now
        now = Delivery.objects.filter(state="waiting").earliest("position").next_at or now


def test_after_the_tenth_attempt_it_is_disabled_by_itself(lease, integration):
    numbered(range(1, 10))

    given_up(lease)

    last = Delivery.objects.get(state="given up")
    assert (last.position, last.attempts) == (1, 10)
    integration.refresh_from_db()
    assert not integration.enabled
    assert progress(integration).given_up_why == (
        "order.paid failed 10 times. The last time: It answered 500."
    )


def test_whoever_enables_it_again_has_it_told_everything_that_it_missed(lease, integration):
    numbered(range(1, 10))
    now = given_up(lease)
    numbered(range(10, 15))

    Integration.objects.update(enabled=True)
    Progress.objects.update(given_up_at=None, given_up_why="")
    with at(now + timedelta(days=2)):
        assert sent(lease_on(integration), well) == list(range(1, 15))


# What the feed has let go of.


def test_what_waits_and_is_forgotten_is_given_up_and_stops_nothing(lease, integration):
    numbered([1, 2])
    with at(MORNING):
        sent(lease, badly)
    Event.objects.filter(position=1).delete()

    with at(MORNING + timedelta(seconds=10)):
        assert sent(lease, well) == [2]
    assert states(integration) == {1: "given up", 2: "delivered"}
    integration.refresh_from_db()
    assert integration.enabled


def test_where_all_that_waits_is_forgotten_what_is_new_is_told_at_once(lease, integration):
    numbered([1])
    with at(MORNING):
        sent(lease, badly)
    numbered([2])
    Event.objects.filter(position=1).delete()

    with at(MORNING + timedelta(seconds=10)):
        assert next_turn(lease).parcels[0].told.position == 2
    assert states(integration) == {1: "given up"}


# Tests.


def a_test_for(integration: Integration) -> Delivery:
    return Delivery.objects.create(
        integration=integration,
        origin="test",
        event_id=uuid.uuid4(),
        type=PAID,
        payload='{"data": {}}',
        next_at=clock.now(),
    )


def test_a_test_goes_first_and_once(lease, integration):
    numbered([1])
    a_test_for(integration)

    assert sent(lease, lambda position: well(1) if position else badly(None)) == [None, 1]
    test = Delivery.objects.get(origin="test")
    assert (test.state, test.attempts) == ("given up", 1)
    integration.refresh_from_db()
    assert integration.enabled


def test_a_disabled_integration_is_told_of_tests_and_nothing_else():
    integration = told_to(enabled=False)
    numbered([1])
    assert turns.claim(ME) == []

    a_test_for(integration)
    lease = lease_on(integration)
    assert a_turn(lease, well) == [None]
    with pytest.raises(Lost):
        turns.next_turn(lease)


def test_not_even_gone_disables_one_that_is_tested(lease, integration):
    a_test_for(integration)

    sent(lease, lambda position: answered(410))

    integration.refresh_from_db()
    assert integration.enabled


# Leases.


def test_an_integration_is_told_by_one_at_a_time():
    told_to()
    first, second = uuid.uuid4(), uuid.uuid4()

    assert len(turns.claim(first)) == 1
    assert turns.claim(second) == []
    assert turns.claim(first) == []


def test_what_a_dead_worker_told_others_take_over(lease, integration):
    numbered(range(1, 4))
    assert a_turn(lease, lambda position: badly(1) if position == 2 else well(1)) == [1, 2]
    Progress.objects.update(leased_until=clock.now() - timedelta(seconds=1))

    other = uuid.uuid4()
    [taken] = turns.claim(other)

    assert taken.position == 2
    assert sent(taken, well) == [3]
    assert states(integration) == {1: "delivered", 2: "waiting", 3: "delivered"}


def test_whoever_takes_over_knows_that_nobody_is_there(lease, integration):
    numbered(range(1, 10))
    with at(MORNING):
        assert sent(lease, badly) == [1, 2, 3]
    turns.leave(ME, [integration.pk])

    with at(MORNING + timedelta(minutes=1)):
        assert sent(lease_on(integration), badly) == [1]


def test_one_that_was_frozen_writes_nothing_when_it_goes_on(lease, integration):
    numbered([1, 2])
    turn = next_turn(lease)
    taken_by(uuid.uuid4(), integration)

    with pytest.raises(Lost):
        turns.settle(lease, [Taken(parcel, answered()) for parcel in turn.parcels], turn.position)

    assert not Delivery.objects.exists()
    assert not DeliveryAttempt.objects.exists()
    assert progress(integration).position == 0
    with pytest.raises(Lost):
        turns.next_turn(lease)


def test_nor_does_one_whose_lease_has_run_out(lease):
    numbered([1])
    turn = next_turn(lease)
    Progress.objects.update(leased_until=clock.now() - timedelta(seconds=1))

    with pytest.raises(Lost):
        turns.settle(lease, [Taken(parcel, answered()) for parcel in turn.parcels], turn.position)
    assert not Delivery.objects.exists()


def test_nor_does_it_disable_anything(lease, integration):
    numbered([1])
    turn = next_turn(lease)
    taken_by(uuid.uuid4(), integration)

    with pytest.raises(Lost):
        turns.settle(lease, [Taken(turn.parcels[0], answered(410))], 1)
    integration.refresh_from_db()
    assert integration.enabled


def test_a_lease_that_is_renewed_goes_on_and_says_how_far_it_has_looked(lease, integration):
    Progress.objects.update(leased_until=clock.now() + timedelta(seconds=1))

    assert turns.renew(ME, {integration.pk: 7, uuid.uuid4(): 1}) == {integration.pk}

    now = progress(integration)
    assert now.position == 7
    assert now.leased_until
    assert now.leased_until > clock.now() + timedelta(seconds=20)
    assert turns.renew(ME, {integration.pk: 3}) == {integration.pk}
    assert progress(integration).position == 7
    assert turns.renew(uuid.uuid4(), {integration.pk: 90}) == set()
    assert progress(integration).position == 7


def test_a_lease_that_is_left_is_free_at_once(lease, integration):
    turns.leave(uuid.uuid4(), [integration.pk])
    assert turns.claim(uuid.uuid4()) == []

    turns.leave(ME, [integration.pk])
    assert len(turns.claim(uuid.uuid4())) == 1


def test_whoever_sends_already_is_left_out():
    integration = told_to()

    assert turns.claim(ME, [integration.pk]) == []


# What wakes.


def test_it_stands_due_when_something_waits_whose_time_has_come(lease, integration):
    numbered([1])
    with at(MORNING):
        assert sent(lease, badly) == [1]
        [standing] = turns.standings(ME)
        assert (standing.observes, standing.is_due, standing.waits) == ([PAID], False, False)
    with at(MORNING + timedelta(seconds=10)):
        assert turns.standings(ME)[0].is_due
        Progress.objects.update(waits_until=MORNING + timedelta(minutes=1))
        [standing] = turns.standings(ME)
        assert (standing.is_due, standing.waits) == (False, True)
        a_test_for(integration)
        assert turns.standings(ME)[0].is_due


def test_news_are_the_types_of_what_came_since():
    numbered([1])
    numbered([2, 3], "cart.updated")

    assert turns.news(0) == (3, frozenset({PAID, "cart.updated"}))
    assert turns.news(1) == (3, frozenset({"cart.updated"}))
    assert turns.news(3) == (3, frozenset())


def test_what_one_turn_takes_is_counted(lease):
    numbered([1, 2])
    before = counted()

    sent(lease, lambda position: well(1) if position == 1 else badly(1))

    assert {name: counted()[name] - before[name] for name in before} == {
        "delivered": 1,
        "failed": 1,
        "given_up": 0,
    }


def counted() -> dict[str, float]:
    labels = ("delivered", "failed", "given_up")
    return {
        name: turns.metrics.DELIVERIES.labels(name)._value.get()  # type: ignore[attr-defined]
        for name in labels
    }
