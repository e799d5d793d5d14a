"""The numbers of what others are told, as monitoring reads them."""

from datetime import timedelta

import pytest
from django.test import Client

from api import clock
from events.models import Delivery, Integration, Outbox, Progress
from events.services import standing
from tests.events.telling import numbered, told_to
from tests.events.test_turns import badly, lease_on, sent

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def nothing_waits_to_be_numbered():
    Outbox.objects.all().delete()


def test_where_there_is_nothing_there_is_nothing_to_tell():
    told = standing.told()

    assert set(told.integrations.values()) == {0}
    assert (told.outbox_seconds, told.behind, told.waiting, told.waiting_seconds) == (0, 0, 0, 0)


def test_integrations_are_counted_by_how_it_goes():
    for enabled in (True, True, False, False):
        told_to(enabled=enabled)
    failing = told_to()
    Progress.objects.filter(pk=failing.pk).update(failing_since=clock.now())
    gone = Integration.objects.filter(enabled=False)[0]
    Progress.objects.filter(pk=gone.pk).update(given_up_at=clock.now(), failing_since=clock.now())

    assert standing.told().integrations == {
        "well": 2,
        "failing": 1,
        "disabled": 1,
        "given_up": 1,
    }


def test_what_waits_is_told_of_those_that_are_enabled():
    numbered(range(1, 10))
    integration = told_to()
    sent(lease_on(integration), badly)
    Delivery.objects.filter(position=1).update(created_at=clock.now() - timedelta(minutes=5))

    told = standing.told()
    assert (told.waiting, told.behind) == (3, 6)
    assert 300 <= told.waiting_seconds < 360

    Integration.objects.update(enabled=False)
    told = standing.told()
    assert (told.waiting, told.waiting_seconds, told.behind) == (0, 0, 0)


def test_it_is_told_for_how_long_the_oldest_change_waits():
    Outbox.objects.create(
        kind="order", changes=["paid"], occurred_at=clock.now() - timedelta(minutes=1)
    )
    Outbox.objects.create(kind="order", changes=["paid"])

    assert 60 <= standing.told().outbox_seconds < 120
    assert "holdfast_outbox_oldest_seconds 6" in Client().get("/metrics").text
