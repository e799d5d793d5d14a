"""Money as people write it on forms."""

from typing import Any

import pytest
from django.core.exceptions import ValidationError

from api.fields import AMOUNT_MAX
from backoffice.products.money import MoneyField
from inventory.models import Currency

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
