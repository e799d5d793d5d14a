"""Book a delivery, take its booking back, delete it: what people do with all of its lines."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from django import forms
from django.db.models import F, Q
from unfold.widgets import UnfoldBooleanWidget

from api.errors import Refusal, Standing
from backoffice.actions import Action, ActionForm, Case
from backoffice.base import number_of, units
from backoffice.dates import exact
from inventory.errors import listed
from inventory.models import Delivery, DeliveryLine, StockCount
from inventory.services import booking, deliveries

MAY_MOVE = "inventory.change_stock"
# Of a delivery's lines, so many are named before it is booked: what is not as expected first.
LINES_SHOWN = 100


@dataclass(frozen=True)
class DeliveryCase(Case[Delivery]):
    recorded_already = "This was done already, and nothing was moved a second time."
    sent_differently = "This form was sent before, with other values. Look what became of it."

    def standing(self) -> Standing:
        return self.subject.standing()

    @cached_property
    def totals(self) -> deliveries.Totals:
        return deliveries.totals(self.subject)

    def lines(self) -> Sequence[DeliveryLine]:
        """What booking will do, line by line."""
        lines = self.subject.lines.filter(Q(received__gt=0) | Q(expected__gt=0))
        as_expected = Q(received=F("expected"))
        return list(
            lines.select_related("product")
            .annotate(is_as_expected=as_expected)
            .order_by("is_as_expected", "pk")[:LINES_SHOWN]
        )


# Booking.


class BookForm(ActionForm):
    expect_rest = forms.BooleanField(
        label="Expect what is short in a delivery of its own",
        required=False,
        initial=True,
        widget=UnfoldBooleanWidget,
    )

    def __init__(self, data: object, *, case: DeliveryCase) -> None:
        super().__init__(data, case=case)
        if not case.totals.short:
            del self.fields["expect_rest"]


def _require_bookable(case: DeliveryCase) -> None:
    booking.require_bookable(case.subject)


def _what_booking_does(case: DeliveryCase) -> list[str]:
    totals = case.totals
    effects = [
        f"Adds {_units_of_products(totals)} to the stock, all at once, with the reason "
        f'"{case.subject.reason}". It can be undone.'
    ]
    if totals.short:
        effects.append(f"{units(totals.short).capitalize()} of what was expected did not come.")
    if totals.over:
        effects.append(f"{units(totals.over).capitalize()} came that nobody expected.")
    if found := booking.found_already(case.subject):
        effects.append(
            f"Counted since this delivery was made: {listed(list(map(_in_words, found)))}. If that "
            "is what it brought, the stock has it already: take it off the delivery first."
        )
    return effects


def _in_words(count: StockCount) -> str:
    more = f"{count.change:,} more than the books said"
    return f"{count.stock.product.sku}, {more}, at {exact(count.counted_at)}"


def _units_of_products(totals: deliveries.Totals) -> str:
    return f"{units(totals.units_received)} of {number_of(totals.lines_received, 'product')}"


def _book(case: DeliveryCase, form: BookForm) -> str:
    received = _units_of_products(case.totals)
    rest = booking.book(
        case.subject.pk,
        actor=case.actor,
        expect_rest=form.cleaned_data.get("expect_rest", False),
        seen=form.saw,
        key=form.key(case.request),
    )
    return f"Booked: {received}." + (f" {rest} expects the rest." if rest else "")


BOOK: Action[DeliveryCase] = Action(
    "book",
    "Book",
    MAY_MOVE,
    _book,
    effects=_what_booking_does,
    guard=_require_bookable,
    form=BookForm,
    heading="Book {subject}?",
    label=lambda case: f"Book {units(case.totals.units_received)}",
)


# Taking that back.


def _require_booked(case: DeliveryCase) -> None:
    case.subject.require(Delivery.State.BOOKED)


def _what_undoing_does(case: DeliveryCase) -> list[str]:
    totals = case.totals
    effects = [
        f"Takes {_units_of_products(totals)} out of the stock again, as if they had not come: all "
        "of them, or none, if some are gone or were counted since. Then the delivery is open, and "
        "can be corrected and booked again."
    ]
    effects += [f"{rest}, which expects the rest, goes." for rest in case.subject.followers.all()]
    return effects


def _undo(case: DeliveryCase, form: ActionForm) -> str:
    key = form.key(case.request)
    booking.undo(case.subject.pk, actor=case.actor, seen=form.saw, key=key)
    return f"The booking of {case.subject} is undone. The delivery is open again."


UNDO: Action[DeliveryCase] = Action(
    "undo",
    "Undo booking",
    MAY_MOVE,
    _undo,
    effects=_what_undoing_does,
    guard=_require_booked,
    dangerous=True,
    heading="Undo the booking of {subject}?",
)


# Deleting.


def _require_open(case: DeliveryCase) -> None:
    if not case.subject.is_open:
        raise Refusal("It is booked. Undo the booking first.")


def _what_deleting_does(case: DeliveryCase) -> list[str]:
    totals = case.totals
    effects = [
        f"Its {_lines(totals.lines_all)} are deleted, and nothing is expected by it any more."
    ]
    if totals.units_received:
        effects.append(
            f"{number_of(totals.units_received, 'unit was', 'units were')} received and not booked."
        )
    return effects


def _lines(number: int) -> str:
    return number_of(number, "line")


def _delete(case: DeliveryCase, form: ActionForm) -> str:
    key = form.key(case.request)
    deliveries.delete(case.subject.pk, actor=case.actor, seen=form.saw, key=key)
    return f"{case.subject} is deleted."


DELETE: Action[DeliveryCase] = Action(
    "delete",
    "Delete",
    "inventory.delete_delivery",
    _delete,
    effects=_what_deleting_does,
    guard=_require_open,
    dangerous=True,
    heading="Delete {subject}?",
)
