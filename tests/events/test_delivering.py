"""The loop that tells integrations, with receivers that are real servers on loopback."""

import asyncio
import functools
import itertools
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import timedelta

import psycopg
import pytest
from django.db import OperationalError, connection
from standardwebhooks.webhooks import Webhook

from events.models import Delivery, DeliveryAttempt, Integration, Progress
from events.services import closing, delivering, messages, signing, turns
from tests.concurrency import PATIENCE_SECONDS
from tests.events.receiver import Received, Receiver, never, ok, receiving, status
from tests.events.telling import numbered, progress, states, taken_by, told_to
from tests.logged import logged

pytestmark = pytest.mark.django_db(transaction=True)

# A worker ends within this time, whatever receivers do.
SOON_SECONDS = 3


@pytest.fixture(autouse=True)
def hurried(monkeypatch):
    """What else is due is looked for all the time, so that no test waits for a clock."""
    monkeypatch.setattr(delivering, "LOOK_SECONDS", 0)
    monkeypatch.setattr(delivering, "RENEW_SECONDS", 0)
    monkeypatch.setattr(delivering, "POLL_SECONDS", 0.02)
    monkeypatch.setattr(delivering, "GENTLENESS", 0)


@pytest.fixture(scope="module")
def servers() -> Iterator[list[Receiver]]:
    with ExitStack() as stack:
        yield [stack.enter_context(receiving()) for _ in range(2)]


@pytest.fixture
def receivers(servers: list[Receiver]) -> list[Receiver]:
    for server in servers:
        server.reset()
    return servers


@pytest.fixture
def receiver(receivers: list[Receiver]) -> Receiver:
    return receivers[0]


class Worker:
    def __init__(self) -> None:
        self.stop = threading.Event()
        self.ended: list[BaseException | None] = []
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self) -> None:
        try:
            delivering.run(self.stop)
        except BaseException as error:
            self.ended.append(error)
        else:
            self.ended.append(None)
        finally:
            connection.close()

    def end(self) -> BaseException | None:
        self.stop.set()
        self.thread.join(SOON_SECONDS)
        assert not self.thread.is_alive()
        return self.ended[0]


@contextmanager
def working() -> Iterator[Worker]:
    worker = Worker()
    try:
        yield worker
    finally:
        assert worker.end() is None


def soon(is_so: Callable[[], bool]) -> None:
    """Wait until something is so in the database."""
    until = time.monotonic() + PATIENCE_SECONDS
    while not is_so():
        assert time.monotonic() < until
        time.sleep(0.01)


def are_written(attempts: int) -> bool:
    return DeliveryAttempt.objects.count() == attempts


def positions(received: list[Received]) -> list[int]:
    return [int(one.headers["x-position"]) for one in received]


@pytest.fixture(autouse=True)
def told_positions(monkeypatch):
    """Have each delivery say in a header, too, which event it is of."""
    made = messages.message

    def message(integration, told, **options):
        headers, body = made(integration, told, **options)
        return headers | {"X-Position": str(told.position)}, body

    monkeypatch.setattr(delivering, "message", message)


def test_a_receiver_hears_of_what_happened_before_and_meanwhile(receiver: Receiver):
    integration = told_to(receiver.url)
    numbered([1, 2])

    with working():
        receiver.wait_for(2)
        numbered([3], "cart.updated")
        numbered([4])
        received = receiver.wait_for(3)
        soon(lambda: states(integration).get(4) == "delivered")

    assert positions(received) == [1, 2, 4]
    for one in received:
        assert Webhook(integration.signing_secret).verify(one.body, one.headers)
    assert states(integration) == dict.fromkeys((1, 2, 4), "delivered")
    assert progress(integration).leased_by is None


def test_one_that_was_told_nothing_keeps_its_position_up(receiver: Receiver):
    integration = told_to(receiver.url)

    with working():
        soon(lambda: progress(integration).leased_by is not None)
        numbered(range(1, 5), "cart.updated")
        soon(lambda: progress(integration).position == 4)

    assert receiver.received == []


def test_whoever_waits_passes_over_nothing_meanwhile(receiver: Receiver):
    receiver.answers = [status(503, Retry_After="3600")]
    waiting = told_to(receiver.url)
    other = told_to(receiver.url, observes=["settings.updated"])
    numbered([1])

    with working():
        soon(lambda: progress(waiting).waits_until is not None)
        numbered([2])
        soon(lambda: progress(other).position == 2)
        numbered([3], "cart.updated")
        soon(lambda: progress(other).position == 3)
        assert progress(waiting).position == 1
        Progress.objects.update(waits_until=None)
        Delivery.objects.update(next_at=waiting.created_at)
        received = receiver.wait_for(3)

    assert positions(received) == [1, 1, 2]


def test_a_receiver_that_hangs_slows_no_other(receivers: list[Receiver]):
    hanging, other = receivers
    hanging.answering = never
    told_to(hanging.url)
    told_to(other.url)
    numbered(range(1, 121))

    with working():
        hanging.wait_for(1)
        assert positions(other.wait_for(120)) == list(range(1, 121))
        # All of that while one request has no answer yet, and no second one is made.
        assert len(hanging.received) == 1


@pytest.mark.parametrize(("events", "gives_way"), [(4, True), (3, False)])
def test_whoever_has_much_to_tell_gives_way_where_cores_are_short(
    receiver: Receiver, monkeypatch, events: int, gives_way: bool
):
    """Nobody does for a few events: those are told as soon as they can be."""
    monkeypatch.setattr(turns, "BATCH", 4)
    monkeypatch.setattr(delivering, "GENTLENESS", 10)
    # It waits two milliseconds more whenever it looks.
    waited = itertools.count(0, 0.002)
    monkeypatch.setattr(delivering, "waited_for_a_core", lambda: next(waited))
    paused: list[float] = []
    sleep = asyncio.sleep

    async def pause(seconds: float) -> None:
        if seconds != delivering.GATHERED_SECONDS:
            paused.append(round(seconds, 4))
        await sleep(0)

    monkeypatch.setattr(asyncio, "sleep", pause)
    integration = told_to(receiver.url)
    numbered(range(1, events + 1))

    with working():
        soon(lambda: progress(integration).position == events)

    assert set(paused) == ({0.02} if gives_way else set())


def test_a_thread_knows_how_long_it_has_waited_for_a_core():
    before = delivering.waited_for_a_core()
    assert 0 <= before <= delivering.waited_for_a_core() < time.monotonic()


def test_what_came_of_others_is_written_while_one_hangs(receiver: Receiver, monkeypatch):
    monkeypatch.setattr(delivering, "UNWRITTEN_SECONDS", 0)
    integration = told_to(receiver.url)
    receiver.answers = [ok, ok, never]
    numbered(range(1, 5))

    with working():
        receiver.wait_for(3)
        soon(lambda: states(integration) == {1: "delivered", 2: "delivered"})
        assert progress(integration).position == 2


def test_a_receiver_that_was_away_hears_everything_in_order(receiver: Receiver):
    integration = told_to(receiver.url)
    receiver.answers = [status(500)] * 4
    numbered(range(1, 151))

    with working():
        for count in (3, 4):
            receiver.wait_for(count)
            soon(functools.partial(are_written, count))
            # Its time has come.
            Progress.objects.update(waits_until=None)
            Delivery.objects.filter(position=1).update(next_at=integration.created_at)
        received = receiver.wait_for(4 + 150)
        soon(lambda: progress(integration).position == 150)

    assert positions(received) == [1, 2, 3, 1, *range(1, 151)]
    assert states(integration) == dict.fromkeys(range(1, 151), "delivered")
    attempts = Delivery.objects.order_by("position").values_list("attempts", flat=True)
    assert list(attempts[:5]) == [3, 2, 2, 1, 1]
    # Every attempt at one event is under one id.
    ids = {one.headers["webhook-id"] for one in received if one.headers["x-position"] == "1"}
    assert len(ids) == 1


def test_a_test_reaches_one_that_is_disabled_and_nothing_else_does(receiver: Receiver):
    integration = told_to(receiver.url, enabled=False)
    numbered([1])

    with working():
        for number in (1, 2):
            Delivery.objects.create(
                integration=integration,
                origin="test",
                event_id=uuid.uuid4(),
                type="order.paid",
                payload='{"data": {}}',
                next_at=integration.created_at,
            )
            received = receiver.wait_for(number)
            soon(lambda: not Delivery.objects.filter(state="waiting").exists())

    assert [one.headers["x-position"] for one in received] == ["None", "None"]
    assert progress(integration).position == 0


# Those who die, freeze and end.


def test_whoever_was_frozen_writes_nothing_and_another_goes_on(receiver: Receiver):
    integration = told_to(receiver.url)
    receiver.answers = [never]
    numbered([1, 2])

    with working():
        receiver.wait_for(1)
        taken_by(uuid.uuid4(), integration)
        # It has noticed nothing yet, and now hears from its receiver.
        receiver.released.set()

    assert not DeliveryAttempt.objects.exists()
    assert progress(integration).position == 0

    Progress.objects.update(leased_by=None, leased_until=None)
    with working():
        received = receiver.wait_for(3)
    assert positions(received) == [1, 1, 2]
    assert received[0].headers["webhook-id"] == received[1].headers["webhook-id"]


def test_a_worker_ends_soon_though_a_receiver_hangs(receiver: Receiver):
    integration = told_to(receiver.url)
    receiver.answers = [ok, never]
    numbered([1, 2])

    worker = Worker()
    receiver.wait_for(2)
    assert worker.end() is None

    # What had come back is written, what had not is sent again.
    assert states(integration) == {1: "delivered"}
    assert progress(integration).leased_by is None
    with working():
        assert positions(receiver.wait_for(3)) == [1, 2, 2]


def test_without_the_database_it_ends_and_can_begin_anew(receiver: Receiver, monkeypatch):
    integration = told_to(receiver.url)
    receiver.answering = never
    numbered([1])
    worker = Worker()
    receiver.wait_for(1)

    def away(*args: object) -> None:
        raise OperationalError("gone") from psycopg.OperationalError("gone")

    with monkeypatch.context() as patch:
        # Nothing can be left in order, either.
        patch.setattr(turns, "leave", away)
        patch.setattr(turns, "news", away)
        worker.thread.join(SOON_SECONDS)
    assert isinstance(worker.end(), OperationalError)
    soon(lambda: not any("delivering" in thread.name for thread in threading.enumerate()))

    receiver.reset()
    Progress.objects.update(leased_until=integration.created_at)
    with working():
        receiver.wait_for(1)


def test_an_integration_that_cannot_be_told_by_our_own_fault_stops_no_other(receiver: Receiver):
    told_to(receiver.url, signing_secret="whsec_a")
    other = told_to(receiver.url)
    numbered([1])

    with logged() as written, working():
        receiver.wait_for(1)
        soon(lambda: states(other) == {1: "delivered"})
        soon(lambda: "integration_not_told" in written.getvalue())


def test_a_copy_of_a_shop_tells_nobody(receiver: Receiver, monkeypatch):
    monkeypatch.setattr(closing, "_is_a_copy", lambda: True)
    integration = told_to(receiver.url)
    numbered([1])

    with working():
        pass

    assert receiver.received == []
    assert progress(integration).leased_by is None


def test_a_shop_that_becomes_one_tells_nobody_from_then_on(receiver: Receiver, monkeypatch):
    told_to(receiver.url)
    numbered([1])
    with working() as worker:
        receiver.wait_for(1)
        monkeypatch.setattr(closing, "_is_a_copy", lambda: True)
        worker.thread.join(SOON_SECONDS)
        assert not worker.thread.is_alive()


def test_what_people_change_holds_for_the_next_turn(receivers: list[Receiver]):
    before, after = receivers
    integration = told_to(before.url)
    numbered([1])

    with working():
        before.wait_for(1)
        old = integration.signing_secret
        Integration.objects.update(
            url=after.url,
            signing_secret=signing.new_secret(),
            old_signing_secret=old,
            old_signs_until=integration.created_at + timedelta(hours=1),
        )
        numbered([2])
        [received] = after.wait_for(1)

    integration.refresh_from_db()
    for secret in (old, integration.signing_secret):
        assert Webhook(secret).verify(received.body, received.headers)
