"""Money as people write it on forms."""

from typing import Any

import pytest
from django.core.exceptions import ValidationError

from api.fields import AMOUNT_MAX
from backoffice.products.money import CostField, MoneyField
from inventory.models import Currency
from inventory.services.products import Money

pytestmark = pytest.mark.django_db


def currency(digits: int, **fields: Any) -> Currency:
    return Currency(code="XXX", decimal_places=digits, **fields)


@pytest.mark.parametrize(
    ("digits", "written", "amount"),
    [
        (2, "12.50", 1250),
        (2, "12.5", 1250),
        (2, "12", 1200),
        (2, " $1,234.50 ", 123450),
        (2, "0", 0),
        (2, "90071992547409.91", AMOUNT_MAX),
        (0, "1250", 1250),
        (0, "1,250", 1250),
        (3, "1.250", 1250),
        (3, "1.2", 1200),
    ],
)
def test_money_is_read_in_major_units(digits, written, amount):
    field = MoneyField(currency(digits, format="${price}"))

    assert field.clean(written) == amount


@pytest.mark.parametrize(
    ("digits", "written"),
    [
        (2, "12.505"),
        (2, "12."),
        (2, ".50"),
        (2, "-12.50"),
        (2, "1,23"),
        (2, "12,50"),
        (2, "1 000"),
        (2, "٣"),
        (2, "NaN"),
        (2, "90071992547409.92"),
        (2, "9" * 10_000),
        (0, "12.5"),
        (0, "12."),
        (3, "1.2505"),
    ],
)
def test_money_that_cannot_be_meant_is_refused(digits, written):
    with pytest.raises(ValidationError):
        MoneyField(currency(digits)).clean(written)


@pytest.mark.parametrize(("digits", "shown"), [(0, "123,456"), (2, "1,234.56"), (3, "123.456")])
def test_money_is_shown_with_the_digits_of_its_currency(digits, shown):
    field = MoneyField(currency(digits))

    assert field.prepare_value(123456) == shown
    assert field.clean(shown) == 123456
    assert not field.has_changed(123456, shown)


def test_money_is_read_with_the_points_of_its_currency():
    euro = currency(2, format="{price} €", decimal_point=",", thousand_separator=".")

    assert MoneyField(euro).clean("1.234,50 €") == 123450


DOLLAR = Currency(code="USD", format="${price}", default=True)
EURO = Currency(
    code="EUR", format="{price} €", decimal_point=",", thousand_separator=".", enabled=True
)
YEN = Currency(code="JPY", decimal_places=0, enabled=False)
STORE = {each.code: each for each in (YEN, EURO, DOLLAR)}


@pytest.mark.parametrize(
    ("written", "cost"),
    [
        ("4.20", Money("USD", 420)),
        ("$4.20 USD", Money("USD", 420)),
        (" 4,20 eur ", Money("EUR", 420)),
        ("1.234,50 € EUR", Money("EUR", 123450)),
        ("4,20EUR", Money("EUR", 420)),
        ("0", Money("USD", 0)),
        ("", None),
    ],
)
def test_a_cost_is_in_the_first_currency_unless_another_is_written_behind_it(written, cost):
    assert CostField(STORE).clean(written) == cost


@pytest.mark.parametrize("cost", [Money("USD", 123450), Money("EUR", 123450), Money("JPY", 7)])
def test_a_cost_is_read_as_it_is_written(cost):
    field = CostField(STORE, initial=cost)

    assert field.clean(field.prepare_value(cost)) == cost


@pytest.mark.parametrize(
    ("written", "told"),
    [
        ("4.20 EUR", "Write the amount in EUR like 12,50."),
        ("4.20 GBP", "Write the amount in USD like 12.50."),
        ("EUR", "Write the amount in EUR like 12,50."),
        ("-1", "An amount cannot be negative."),
        ("7 JPY", "JPY is disabled."),
        ("9" * 400, "This amount is too large."),
    ],
)
def test_what_is_no_cost_is_refused_in_words(written, told):
    with pytest.raises(ValidationError) as refused:
        CostField(STORE).clean(written)

    assert refused.value.messages == [told]
