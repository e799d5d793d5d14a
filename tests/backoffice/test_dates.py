"""Times as people say them."""

from datetime import UTC, date, datetime

import pytest
from django.utils import timezone

from api import clock
from backoffice import dates

NOW = datetime(2026, 11, 27, 14, 30, tzinfo=UTC)


@pytest.fixture(autouse=True)
def friday():
    with clock.replaced(lambda: NOW):
        yield


@pytest.mark.parametrize(
    ("at", "words"),
    [
        (datetime(2026, 11, 27, 14, 5, 59, tzinfo=UTC), "today at 14:05"),
        (datetime(2026, 11, 26, 9, 10, tzinfo=UTC), "yesterday at 09:10"),
        (datetime(2026, 11, 24, 0, 51, tzinfo=UTC), "Tuesday at 00:51"),
        (datetime(2026, 11, 21, 23, 59, tzinfo=UTC), "Saturday at 23:59"),
        (datetime(2026, 11, 20, 23, 59, tzinfo=UTC), "20 November at 23:59"),
        (datetime(2026, 1, 2, 10, 0, tzinfo=UTC), "2 January at 10:00"),
        (datetime(2025, 11, 27, 10, 0, tzinfo=UTC), "27 November 2025 at 10:00"),
        (datetime(2026, 11, 28, 8, 0, tzinfo=UTC), "tomorrow at 08:00"),
        (datetime(2026, 11, 30, 8, 0, tzinfo=UTC), "30 November at 08:00"),
        (date(2026, 11, 28), "tomorrow"),
        (date(2027, 1, 1), "1 January 2027"),
    ],
)
def test_t26_a_time_is_said_as_people_say_it(at, words):
    assert dates.said(at) == words


def test_what_is_said_on_a_page_has_the_whole_time_behind_it():
    at = datetime(2026, 11, 24, 0, 51, 7, tzinfo=UTC)

    assert dates.moment(at) == (
        '<time datetime="2026-11-24T00:51:07+00:00" title="2026-11-24 00:51:07 UTC">'
        "Tuesday at 00:51</time>"
    )
    assert dates.day(date(2026, 11, 27)) == '<time datetime="2026-11-27">Today</time>'
    assert dates.moment(None) == dates.day(None) == "\N{EN DASH}"


def test_days_are_those_of_the_store():
    with timezone.override("Asia/Tokyo"):
        assert dates.said(datetime(2026, 11, 26, 15, 0, tzinfo=UTC)) == "today at 00:00"
