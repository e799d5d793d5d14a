"""`manage.py tail_events`: the feed on a terminal, as it comes."""

import io
import itertools
import json
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from django.core.management import CommandError, call_command
from django.db import OperationalError

from api import news
from events.models import Event
from events.services import feed, following
from tests.events.made import events

pytestmark = pytest.mark.django_db


def tail(**options: Any) -> list[str]:
    said = io.StringIO()
    call_command("tail_events", once=True, stdout=said, **options)
    return said.getvalue().splitlines()


def positions(told: Iterator[Event], most: int) -> list[int]:
    return [event.position for event in itertools.islice(told, most)]


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What happens each time it waits, in this order; nothing sleeps."""
    coming: list[Any] = []
    monkeypatch.setattr(news.Waiter, "wait", lambda *how: coming.pop(0)())
    return coming


def test_it_prints_each_event_as_the_api_has_it(back_office, monkeypatch):
    monkeypatch.setattr(following, "PAGE", 2)
    events("order.created", "order.paid", "stock.low", "order.paid", "order.paid", first=7)

    told = [json.loads(line) for line in tail(after=0)]

    assert told == back_office.get("/v2/events").json()["data"]
    assert [each["position"] for each in told] == [7, 8, 9, 10, 11]


def test_it_begins_where_it_is_told_and_leaves_out_what_nobody_wants():
    events("order.created", "order.paid", "stock.low", "order.paid", "order.cancelled")

    assert [line.split()[0] for line in tail(after=2, readable=True)] == ["3", "4", "5"]
    [line] = tail(after=2, types={"order.paid"}, readable=True)
    assert line.split()[0::2] == ["4", "order.paid"]
    assert line.split()[3:] == ["id=4"]
    assert tail() == []


@pytest.mark.parametrize(
    ("option", "why"),
    [
        (["--types", "order.payed"], "'order.payed' is no type of event"),
        (["--types", "order.paid,customer.created"], "'customer.created' is never told here"),
        (["--after", "-1"], "a position is a whole number"),
    ],
)
def test_what_would_be_waited_for_in_vain_is_refused(option, why):
    with pytest.raises(CommandError, match=why):
        call_command("tail_events", "--once", *option)


@pytest.mark.parametrize(("after", "why"), [(3, "no longer kept"), (12, "set back")])
def test_where_it_cannot_go_on_it_says_so_and_what_there_is(after, why):
    events("order.created", "order.paid", first=10)

    with pytest.raises(CommandError, match=f"{why}.* It has 10 to 11"):
        tail(after=after)


def test_without_a_position_it_tells_what_comes_from_now_on(waits):
    events("order.created")
    waits += [lambda: None, lambda: events("order.paid", "order.fulfilled")]

    assert positions(following.follow(None), 2) == [2, 3]
    assert waits == []


def test_a_filter_leaves_nobody_behind(waits):
    """Whoever waits for something rare is not told one day that what he waited for is forgotten."""
    events("order.created", "order.created")
    Event.objects.filter(position__lt=2).delete()
    waits += [
        lambda: events("order.created", "order.created"),
        lambda: Event.objects.filter(position__lt=4).delete(),
        lambda: events("order.paid"),
    ]

    assert positions(following.follow(1, {"order.paid"}), 1) == [5]


@pytest.mark.django_db(transaction=True)
def test_while_the_database_is_away_it_waits_and_says_so_once(waits, monkeypatch):
    events("order.paid")
    page, said = feed.page, []
    away = OperationalError()
    away.__cause__ = psycopg.OperationalError("no route")

    def fail(*asked: Any, **how: Any) -> Any:
        raise away

    monkeypatch.setattr(feed, "page", fail)
    waits += [lambda: None, lambda: monkeypatch.setattr(feed, "page", page)]

    told = following.follow(0, is_away=lambda: said.append("away"))

    assert positions(told, 1) == [1]
    assert said == ["away"]
    monkeypatch.setattr(feed, "page", fail)
    with pytest.raises(OperationalError):
        next(following.follow(0, ends=True))
