"""What of a list of orders is asked for: when, how much, in which state, of what and of whom."""

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

from django import forms
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.utils.datastructures import MultiValueDict
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextInputWidget

from api.fields import storable
from backoffice import dates
from backoffice.orders.search import of_email
from backoffice.products.forms import DayField
from backoffice.products.money import MoneyField
from inventory.services import codes, currencies
from orders.models import Order, OrderItem, OrderQuerySet

# Each state as its list has it, and found by the same index.
STATES: Mapping[str, tuple[str, Callable[[OrderQuerySet], QuerySet[Order]]]] = {
    "unpaid": ("Not paid in full", OrderQuerySet.unpaid),
    "to-ship": ("To ship", OrderQuerySet.to_ship),
    "shipped": ("Shipped", OrderQuerySet.shipped),
    "cancelled": ("Cancelled", OrderQuerySet.cancelled),
}
PERIODS = {
    "today": "Today",
    "yesterday": "Yesterday",
    "7-days": "The past 7 days",
    "this-month": "This month",
    "last-month": "Last month",
}


def _choice(label: str, choices: Mapping[str, str]) -> forms.ChoiceField:
    return forms.ChoiceField(
        label=label,
        choices=[("", "Any"), *choices.items()],
        required=False,
        widget=UnfoldAdminSelectWidget,
        error_messages={"invalid_choice": "There is no such choice."},
    )


def _text(label: str, placeholder: str, length: int) -> forms.CharField:
    widget = UnfoldAdminTextInputWidget({"placeholder": placeholder})
    return forms.CharField(label=label, max_length=length, required=False, widget=widget)


# What the address of a list may hold of them. Amounts and their currency depend on the store's.
NAMES = (
    *("placed", "since", "until", "state", "payment", "sku", "email"),
    *("currency", "at_least", "at_most"),
)


class OrderFilter(forms.Form):
    """Nothing is shown of a list for which something else was asked than there is."""

    placed = _choice("Placed", PERIODS)
    since = DayField(label="From")
    until = DayField(label="To")
    state = _choice("State", {name: title for name, (title, _) in STATES.items()})
    payment = _choice(
        "Payment", {value: label.capitalize() for value, label in Order.Payment.choices}
    )
    sku = _text("With product", "SKU or barcode", 100)
    email = _text("Customer", "E-mail address", 254)

    def __init__(self, data: MultiValueDict[str, str]) -> None:
        super().__init__(data, label_suffix="", auto_id="id_filter_%s")
        known = currencies.by_code()
        # The currency in which amounts are read; of several, the one that is asked for.
        usual = next(each for each in known.values() if each.default)
        asked = known.get(data.get("currency", ""), usual)
        if len(known) > 1:
            self.fields["currency"] = _choice("Currency", {code: code for code in known})
        for name, label in (("at_least", "Total from"), ("at_most", "Total to")):
            self.fields[name] = MoneyField(asked, label=label, required=False)
        self.currency = asked.code

    def clean(self) -> dict[str, Any]:
        asked = self.cleaned_data
        if asked.get("placed") and (asked.get("since") or asked.get("until")):
            self.add_error("placed", "Choose this or days, not both.")
        self._require_order("since", "until", "This day is before the first one.")
        self._require_order("at_least", "at_most", "This is less than the smallest total.")
        for name in ("sku", "email"):
            if not storable(asked.get(name, "")):
                self.add_error(name, "Nothing is written like this.")
        return asked

    def _require_order(self, first: str, last: str, message: str) -> None:
        low, high = self.cleaned_data.get(first), self.cleaned_data.get(last)
        if low is not None and high is not None and high < low:
            self.add_error(last, message)

    @property
    def said(self) -> list[str]:
        """What is asked for, as people read it."""
        return [f"{self[name].label}: {self._written(name)}" for name in self.filled]

    def _written(self, name: str) -> str:
        choices = dict(getattr(self.fields[name], "choices", []))
        return str(choices.get(self.data[name], self.data[name]))

    @property
    def filled(self) -> dict[str, str]:
        """What is asked for, as a link asks for it."""
        return {name: self.data[name] for name in self.fields if self.data.get(name)}

    def of(self, found: Any) -> Any:
        if not self.is_valid():
            return found.none()
        asked = self.cleaned_data
        for condition in (*self._when(), *self._how_much()):
            found = found.filter(condition)
        if asked["state"]:
            found = STATES[asked["state"]][1](found)
        if asked["payment"]:
            found = found.filter(payment=asked["payment"])
        if asked["sku"]:
            found = found.filter(_has_product(asked["sku"]))
        return of_email(found, asked["email"]) if asked["email"] else found

    def _when(self) -> list[Q]:
        since, until = self.cleaned_data["since"], self.cleaned_data["until"]
        if period := self.cleaned_data["placed"]:
            since, until = dates.spans()[period]
        conditions = [Q(created_at__gte=dates.midnight(since))] if since else []
        if until:
            conditions.append(Q(created_at__lt=dates.midnight(until + timedelta(days=1))))
        return conditions

    def _how_much(self) -> list[Q]:
        asked = self.cleaned_data
        amounts = {"total__gte": asked["at_least"], "total__lte": asked["at_most"]}
        conditions = [Q(**{name: sum_}) for name, sum_ in amounts.items() if sum_ is not None]
        # An amount is one of a currency, whether or not anybody has said so.
        if conditions or asked.get("currency"):
            conditions.append(Q(currency=self.currency))
        return conditions


def _has_product(code: str) -> Exists:
    """Of a product by what is typed or scanned, as the search knows it."""
    skus = {code, code.lower(), code.upper(), *(each.sku for each in codes.look_alikes([code]))}
    return Exists(OrderItem.objects.filter(order=OuterRef("pk"), sku__in=skus))
