"""Times as people write them, in the store's zone."""

from datetime import UTC, datetime

import pytest

from api import store
from api.store import NoMoment, moment_written
from tests.factories import MERCHANT

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def in_berlin() -> None:
    store.change(time_zone="Europe/Berlin", actor=MERCHANT)


@pytest.mark.parametrize(
    ("written", "hour"),
    [
        ("2026-10-25 01:59", 23),
        ("25.10.2026 01:59", 23),
        ("2026-10-25T03:00", 2),
        ("2026-10-25T02:59+02:00", 0),
        ("2026-10-25T00:59Z", 0),
        ("2026-03-29 03:00", 1),
        ("2026-03-29 02:30+01:00", 1),
    ],
)
def test_a_time_that_was_there_once_is_read(written, hour):
    assert moment_written(written).astimezone(UTC).hour == hour


@pytest.mark.parametrize(
    ("written", "why"),
    [
        ("2026-03-29 02:00", "There was no 2026-03-29 02:00: the clocks were put forward."),
        ("29.03.2026 02:59", "There was no 2026-03-29 02:59"),
        (
            "2026-10-25 02:30",
            "was there twice, since the clocks were put back. Write it in UTC, as "
            "2026-10-25T00:30Z or 2026-10-25T01:30Z.",
        ),
        ("2026-10-25T02:00:00", "was there twice"),
        ("2026-10-25", '"2026-10-25" is no date with a time'),
        ("10/25/2026 14:30", "is no date with a time"),
        ("2026-02-30 10:00", "is no date with a time"),
    ],
)
def test_t07_a_time_that_never_was_or_was_twice_is_no_moment(written, why):
    with pytest.raises(NoMoment) as refused:
        moment_written(written)

    assert why in str(refused.value)


def test_where_the_clocks_are_left_alone_every_time_is_there_once():
    store.change(time_zone="Asia/Tokyo", actor=MERCHANT)

    assert moment_written("2026-10-25 02:30") == datetime(2026, 10, 24, 17, 30, tzinfo=UTC)
