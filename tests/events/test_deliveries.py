"""What people do about deliveries: a test, one more time, and all of them since a moment."""

import json
import uuid
from collections.abc import Callable
from datetime import timedelta

import pytest

from api import clock
from api.models import Change
from events.errors import EventNotKept, IntegrationNotFound, JobNotFound
from events.models import Delivery, Event, Integration, Progress
from events.services import deliveries, integrations, turns
from events.services.turns import Lost
from tests.events.telling import PAID, numbered, progress, told_to
from tests.events.test_turns import ME, badly, lease_on, sent, well
from tests.factories import MERCHANT

pytestmark = pytest.mark.django_db


@pytest.fixture
def integration() -> Integration:
    return told_to()


def on_record(integration: Integration) -> list[tuple[str, str]]:
    entries = Change.objects.filter(thing_id=str(integration.pk)).order_by("pk")
    return [(told["field"], told["after"]) for entry in entries for told in entry.fields]


@pytest.mark.parametrize(
    ("type", "payload"),
    [
        (PAID, {"data": {"type": "order", "id": str(uuid.UUID(int=0))}}),
        ("payment-gateway.updated", {"data": {"type": "gateway", "id": str(uuid.UUID(int=0))}}),
        ("product.deleted", {"type": "product", "id": str(uuid.UUID(int=0))}),
    ],
)
def test_a_test_is_of_nothing_that_there_is(integration: Integration, type: str, payload):
    delivery_id = deliveries.send_test(integration.pk, type, actor=MERCHANT)

    delivery = Delivery.objects.get(pk=delivery_id)
    assert (delivery.origin, delivery.type, delivery.state) == ("test", type, "waiting")
    assert json.loads(delivery.payload) == payload
    assert on_record(integration) == [("test", type)]
    assert sent(lease_on(integration), well) == [None]


def test_one_is_sent_again_under_the_id_that_it_had(integration: Integration):
    numbered([1, 2])
    sent(lease_on(integration), well)
    first = Delivery.objects.get(position=1)

    again = Delivery.objects.get(pk=deliveries.resend(first.pk, actor=MERCHANT))

    assert (again.event_id, again.position, again.origin) == (first.event_id, 1, "resent")
    assert on_record(integration) == [("sent_again", "order.paid, 1")]
    Progress.objects.update(leased_by=None, leased_until=None)
    assert sent(lease_on(integration), well) == [1]


def test_all_since_a_moment_are_sent_again_in_order(integration: Integration):
    numbered(range(1, 7))
    Event.objects.filter(position__lt=3).update(numbered_at=clock.now() - timedelta(hours=2))
    lease = lease_on(integration)
    assert sent(lease, lambda position: badly(1) if position == 5 else well(1)) == list(range(1, 7))

    deliveries.resend_since(integration.pk, clock.now() - timedelta(hours=1), actor=MERCHANT)

    # What waited is sent with them, and not a second time by itself.
    assert Delivery.objects.get(position=5).state == "given up"
    assert progress(integration).leased_by is None
    assert [name for name, _ in on_record(integration)] == ["sent_again_since"]
    numbered([7])
    assert sent(lease_on(integration), well) == list(range(3, 8))
    origins = Delivery.objects.filter(state="delivered").order_by("pk").values_list("origin")
    assert [origin for (origin,) in origins][-5:] == [*["resent"] * 4, "feed"]


def test_what_it_was_not_told_yet_is_not_passed_over_by_that(integration: Integration):
    numbered(range(1, 5))
    Event.objects.update(numbered_at=clock.now() - timedelta(hours=2))

    deliveries.resend_since(integration.pk, clock.now() - timedelta(hours=1), actor=MERCHANT)

    assert sent(lease_on(integration), well) == [1, 2, 3, 4]


def test_what_the_feed_has_let_go_of_cannot_be_sent_again(integration: Integration):
    numbered([1])
    sent(lease_on(integration), well)
    Event.objects.all().delete()

    with pytest.raises(EventNotKept):
        deliveries.resend(Delivery.objects.get().pk, actor=MERCHANT)
    assert Delivery.objects.count() == 1


@pytest.mark.parametrize(
    ("ask", "refusal"),
    [
        (lambda: deliveries.send_test(uuid.uuid4(), PAID, actor=MERCHANT), IntegrationNotFound),
        (
            lambda: deliveries.resend_since(uuid.uuid4(), clock.now(), actor=MERCHANT),
            IntegrationNotFound,
        ),
        (lambda: deliveries.resend(uuid.uuid4(), actor=MERCHANT), JobNotFound),
    ],
)
def test_what_is_not_there_is_not_found(ask: Callable[[], object], refusal: type[Exception]):
    with pytest.raises(refusal):
        ask()


def test_a_delivery_of_an_integration_that_is_gone_is_not_sent_again(integration: Integration):
    numbered([1])
    sent(lease_on(integration), well)
    integrations.delete(integration.pk, actor=MERCHANT)

    with pytest.raises(IntegrationNotFound):
        deliveries.resend(Delivery.objects.get().pk, actor=MERCHANT)


# What people set meanwhile.


def test_what_is_wanted_from_now_on_is_not_passed_over_by_who_looked_before(
    integration: Integration,
):
    """Whoever tells it has looked at the feed for what was wanted before."""
    numbered([1], "cart.updated")
    lease = lease_on(integration)
    assert sent(lease, well) == []
    assert lease.position == 1

    integrations.change(integration.pk, actor=MERCHANT, observes=[PAID, "cart.updated"])
    numbered([2], "cart.updated")

    assert turns.renew(ME, {integration.pk: 2}) == set()
    assert sent(lease_on(integration), well) == [1, 2]


def test_one_that_people_enable_is_told_of_what_comes_from_then_on(integration: Integration):
    numbered([1, 2])
    sent(lease_on(integration), badly)
    integrations.change(integration.pk, actor=MERCHANT, enabled=False)
    numbered([3])

    integrations.change(integration.pk, actor=MERCHANT, enabled=True)
    numbered([4])

    assert sent(lease_on(integration), well) == [4]


def test_one_that_was_disabled_by_itself_is_told_of_all_that_it_missed(integration: Integration):
    numbered(range(1, 6))
    lease = lease_on(integration)
    sent(lease, badly)
    Delivery.objects.filter(position=1).update(attempts=9, next_at=clock.now())
    Progress.objects.update(waits_until=None)
    with pytest.raises(Lost):
        sent(lease, badly)
    numbered([6])

    integrations.change(integration.pk, actor=MERCHANT, enabled=True)

    assert sent(lease_on(integration), well) == [1, 2, 3, 4, 5, 6]
    assert progress(integration).given_up_at is None
