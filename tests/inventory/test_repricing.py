"""Prices that go up or down, and how they are rounded: in the smallest unit, exactly."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inventory.models import Currency
from inventory.services.repricing import PriceChange, Rounding, roundings

CENT, FIVE, TEN, WHOLE = (Rounding(step) for step in (1, 5, 10, 100))
ENDS_99, ENDS_95 = (Rounding(100, ending) for ending in (99, 95))


@pytest.mark.parametrize(
    ("before", "per_cent", "amount", "rounding", "after"),
    [
        (1000, "10", 0, CENT, 1100),
        # 12.50 and 10 % are 13.75, of 12.55 they are 13.805: half goes up.
        (1250, "10", 0, CENT, 1375),
        (1255, "10", 0, CENT, 1381),
        (1245, "10", 0, CENT, 1370),
        # Down by half of a cent ends halfway, too.
        (5, "-50", 0, CENT, 3),
        (1000, "-10", 0, CENT, 900),
        (1999, "-33.33", 0, CENT, 1333),
        (1000, "0", 250, CENT, 1250),
        (1000, "0", -250, CENT, 750),
        # Never below zero.
        (200, "0", -250, CENT, 0),
        (200, "0", -250, ENDS_99, 0),
        (1000, "-100", 0, ENDS_95, 0),
        (0, "10", 0, ENDS_99, 0),
        (0, "0", 100, CENT, 100),
        (1234, "0", 0, FIVE, 1235),
        (1232, "0", 0, FIVE, 1230),
        (1235, "0", 0, TEN, 1240),
        (1234, "0", 0, TEN, 1230),
        (1250, "0", 0, WHOLE, 1300),
        (1249, "0", 0, WHOLE, 1200),
        (1, "0", 0, WHOLE, 0),
        (1375, "0", 0, ENDS_99, 1399),
        (1349, "0", 0, ENDS_99, 1399),
        (1348, "0", 0, ENDS_99, 1299),
        (1345, "0", 0, ENDS_95, 1395),
        (1344, "0", 0, ENDS_95, 1295),
        (1399, "0", 0, ENDS_99, 1399),
        # The lowest that ends so.
        (10, "0", 0, ENDS_99, 99),
        (2**53, "1000", 0, CENT, 11 * 2**53),
        (1, "0", 0, CENT, 1),
        # First by per cent, then by an amount, then rounded.
        (1000, "33", 0, ENDS_99, 1299),
        (1000, "10.5", 50, CENT, 1155),
    ],
)
def test_a_price_is_reckoned_exactly_and_rounded_half_up(before, per_cent, amount, rounding, after):
    assert PriceChange(Decimal(per_cent), amount, rounding)(before) == after


@given(st.integers(0, 10**12), st.sampled_from([CENT, FIVE, TEN, WHOLE, ENDS_99, ENDS_95]))
def test_what_is_rounded_is_the_nearest_of_its_kind(amount, rounding):
    rounded = rounding(amount)

    assert rounded == 0 or rounded % rounding.step == rounding.ending
    if amount > rounding.step:
        assert abs(rounded - amount) * 2 <= rounding.step


@pytest.mark.parametrize(
    ("code", "digits", "offered"),
    [
        ("USD", 2, ["0.01", "0.05", "0.10", "1.00", "0.99", "0.95"]),
        ("JPY", 0, ["1", "5", "10", "100", "99", "95"]),
        ("KWD", 3, ["0.001", "0.010", "0.050", "0.100", "1.000", "0.990", "0.950"]),
    ],
)
def test_what_is_offered_is_in_the_digits_of_the_currency(code, digits, offered):
    currency = Currency(code=code, decimal_places=digits)

    said = [rounding.written(currency) for rounding in roundings(currency)]

    assert [words.split()[-1] for words in said] == offered
    endings = [(each.step, each.ending) for each in roundings(currency) if each.ending]
    scale = 10 if digits == 3 else 1
    assert endings == [(100 * scale, 99 * scale), (100 * scale, 95 * scale)]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (PriceChange(Decimal("10")), "+10 %"),
        (PriceChange(Decimal("-2.50")), "\N{MINUS SIGN}2.5 %"),
        (PriceChange(Decimal("0.5")), "+0.5 %"),
        (PriceChange(amount=-50), "\N{MINUS SIGN}$0.50"),
        (PriceChange(amount=1), "+$0.01"),
    ],
)
def test_a_change_of_prices_is_named_by_what_it_does(change, words):
    assert change.written(Currency(code="USD", format="${price}")) == words
