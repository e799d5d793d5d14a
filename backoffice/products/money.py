"""Money on forms: amounts in major units, and a product's prices."""

import re
from collections.abc import Mapping
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from unfold.widgets import UnfoldAdminTextInputWidget

from api.fields import AMOUNT_MAX
from backoffice.base import number_of
from backoffice.forms import EditForm, WholeForm
from inventory.models import Currency
from inventory.services.products import Money, NewCost


class MoneyField(forms.Field):
    """An amount as people write it, 12.50, read as the currency's smallest unit, 1250."""

    def __init__(self, currency: Currency, **options: Any) -> None:
        self.currency = currency
        options.setdefault("widget", _money_widget(currency))
        super().__init__(**options)

    def prepare_value(self, value: Any) -> Any:
        return self.currency.major_units(value) if isinstance(value, int) else value

    def to_python(self, value: Any) -> int | None:
        written = self._without_symbol(str(value or ""))
        if not written:
            return None
        if written.startswith("-"):
            raise ValidationError("An amount cannot be negative.", code="negative")
        match = self._pattern().fullmatch(written)
        if match is None:
            raise ValidationError(self._wrong(written), code="invalid")
        whole = match["whole"].replace(self.currency.thousand_separator, "")
        fraction = (match["fraction"] or "").ljust(self.currency.decimal_places, "0")
        # Not made a number before its length is known: that would take Python long.
        if len(whole) > len(str(AMOUNT_MAX)) or int(whole + fraction) > AMOUNT_MAX:
            raise ValidationError("This amount is too large.", code="too_large")
        return int(whole + fraction)

    def has_changed(self, initial: Any, data: Any) -> bool:
        try:
            return bool(self.to_python(data) != initial)
        except ValidationError:
            return True

    def _without_symbol(self, written: str) -> str:
        """Accept the price as it is shown elsewhere, $12.50, too."""
        before, _, after = self.currency.format.partition("{price}")
        return written.strip().removeprefix(before).removesuffix(after).strip()

    def _pattern(self) -> re.Pattern[str]:
        digits = self.currency.decimal_places
        group = re.escape(self.currency.thousand_separator)
        whole = rf"[0-9]+|[0-9]{{1,3}}(?:{group}[0-9]{{3}})+" if group else "[0-9]+"
        point = re.escape(self.currency.decimal_point)
        fraction = rf"(?:{point}(?P<fraction>[0-9]{{1,{digits}}}))?" if digits else "(?P<fraction>)"
        return re.compile(rf"(?P<whole>{whole}){fraction}")

    def _wrong(self, written: str) -> str:
        digits = self.currency.decimal_places
        _, point, fraction = written.rpartition(self.currency.decimal_point)
        if point and fraction.isdecimal() and len(fraction) > digits:
            allowed = f"at most {number_of(digits, 'digit')}" if digits else "no digits"
            return f"{self.currency.code} has {allowed} after the decimal point."
        return f"Write the amount in {self.currency.code} like {example(self.currency)}."


def example(currency: Currency) -> str:
    return currency.major_units(1250 if currency.decimal_places == 2 else 12345)


def _money_widget(currency: Currency) -> forms.Widget:
    return UnfoldAdminTextInputWidget(
        {"inputmode": "decimal", "autocomplete": "off", "placeholder": example(currency)}
    )


class CostField(forms.Field):
    """What a unit costs the store: 4.20, or 4.20 EUR in a currency other than the first one."""

    def __init__(self, currencies: Mapping[str, Currency], **options: Any) -> None:
        self.currencies = currencies
        self.first, *others = in_order(currencies)
        hint = "What you pay for a unit. Shoppers never see it."
        if others:
            codes = " or ".join(each.code for each in others)
            hint += f" In {self.first.code}, unless {codes} is written behind it."
        options = {"label": "Cost", "required": False, "help_text": hint, **options}
        super().__init__(widget=_money_widget(self.first), **options)

    def prepare_value(self, value: Any) -> Any:
        if not isinstance(value, Money):
            return value
        return f"{self.currencies[value.currency].major_units(value.amount)} {value.currency}"

    def to_python(self, value: Any) -> Money | None:
        written = str(value or "").strip()
        currency = self.currencies.get(written[-3:].upper())
        if currency and (before := written[:-3]):
            written = before
        currency = currency or self.first
        amount = MoneyField(currency).to_python(written)
        return None if amount is None else Money(currency.code, amount)

    def clean(self, value: Any) -> Money | None:
        cost: Money | None = super().clean(value)
        if cost and cost != self.initial and not self.currencies[cost.currency].enabled:
            raise ValidationError(f"{cost.currency} is disabled.", code="disabled")
        return cost


def in_order(currencies: Mapping[str, Currency]) -> list[Currency]:
    """Sort the enabled ones, the store's default first."""
    enabled = [currency for currency in currencies.values() if currency.enabled]
    return sorted(enabled, key=lambda each: (not each.default, each.code))


def price_field(currency: Currency, **options: Any) -> MoneyField:
    return MoneyField(
        currency,
        label=f"Price ({currency.code})",
        required=currency.default,
        help_text=f"As people write it: {example(currency)}",
        **options,
    )


class PricesForm(EditForm, WholeForm, forms.Form):
    """A product's price in each currency, by currency code. None stands for no price."""

    def __init__(
        self,
        data: Any,
        *,
        currencies: Mapping[str, Currency],
        amounts: Mapping[str, int],
        cost_fields: Mapping[str, CostField],
    ) -> None:
        super().__init__(data, label_suffix="")
        self.currencies, self.amounts = currencies, amounts
        for name, currency in currencies.items():
            self.fields[name] = price_field(currency, initial=amounts.get(currency.code))
        self.fields.update(cost_fields)
        self.carry()

    @property
    def changed(self) -> dict[str, int | None]:
        return self._by_code(self.cleaned_data)

    @property
    def were(self) -> dict[str, int | None]:
        """The prices that are changed, as they were."""
        return self._by_code(self.seen)

    def _by_code(self, amounts: Mapping[str, Any]) -> dict[str, int | None]:
        return {
            currency.code: amounts[name]
            for name, currency in self.currencies.items()
            if name in self.changed_data
        }

    @property
    def new_cost(self) -> NewCost | None:
        """The cost, if it is changed."""
        for name, was in self.seen.items():
            if name not in self.currencies:
                return NewCost(self.cleaned_data[name], was)
        return None
