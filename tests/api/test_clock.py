from datetime import UTC, datetime, timedelta

import pytest

from api import clock

NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)


def test_the_clock_tells_the_time_in_utc():
    before = datetime.now(UTC)

    now = clock.now()

    assert now.tzinfo is UTC
    assert before <= now <= datetime.now(UTC)


def test_a_replaced_clock_is_put_back_even_after_an_error():
    with pytest.raises(KeyError), clock.replaced(lambda: NOON):
        raise KeyError(clock.now())

    assert clock.now() != NOON


def test_clocks_are_put_back_in_order():
    with clock.replaced(lambda: NOON):
        with clock.replaced(lambda: NOON + timedelta(hours=1)):
            assert clock.now() == NOON + timedelta(hours=1)

        assert clock.now() == NOON


def test_only_the_demo_and_the_tests_may_replace_the_clock(settings):
    settings.HOLDFAST_DEMO = False

    with pytest.raises(AssertionError), clock.replaced(lambda: NOON):
        pytest.fail("the clock was replaced")
