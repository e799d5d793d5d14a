"""What happened to the stock, in the words of people; the API and the log keep their own four."""

from dataclasses import dataclass

from django.db.models import Q
from django.utils.html import format_html

from inventory.models import BY_HAND, FOR_ORDER, Action, StockTransaction

# How the log says why, where a count or a delivery wrote it.
_BY_COUNT, _BY_DELIVERY = "count of ", "delivery"


@dataclass(frozen=True)
class Movement:
    """A word for entries of one kind, of which some may begin their reason in their own way."""

    word: str
    action: Action
    by_order: bool
    begins: str = ""

    def fits(self, entry: StockTransaction) -> bool:
        is_of_kind = (entry.action, entry.by_order) == (self.action, self.by_order)
        return is_of_kind and entry.reason.lower().startswith(self.begins)

    @property
    def condition(self) -> Q:
        kind = Q(action=self.action, by_order=self.by_order)
        return kind & Q(reason__istartswith=self.begins) if self.begins else kind


# Shipping takes units out in two steps, so that the log adds up by its four words alone.
TAKEN_TO_SHIP, SHIPPED = "Taken to ship", "Shipped"
# The first that fits an entry is its word.
_MOVEMENTS = [
    Movement("Adjusted", Action.INCREMENT, BY_HAND, _BY_COUNT),
    Movement("Adjusted", Action.DECREMENT, BY_HAND, _BY_COUNT),
    Movement("Received", Action.INCREMENT, BY_HAND, _BY_DELIVERY),
    Movement("Added", Action.INCREMENT, BY_HAND),
    Movement("Removed", Action.DECREMENT, BY_HAND),
    Movement("Set aside", Action.ALLOCATE, BY_HAND),
    Movement("Released", Action.DEALLOCATE, BY_HAND),
    Movement("Allocated", Action.ALLOCATE, FOR_ORDER),
    Movement(TAKEN_TO_SHIP, Action.DEALLOCATE, FOR_ORDER, "shipped"),
    Movement("Released", Action.DEALLOCATE, FOR_ORDER),
    Movement(SHIPPED, Action.DECREMENT, FOR_ORDER, "shipped"),
    Movement("Removed", Action.DECREMENT, FOR_ORDER),
    Movement("Put back", Action.INCREMENT, FOR_ORDER),
]
WORDS = list(dict.fromkeys(movement.word for movement in _MOVEMENTS))


def word(entry: StockTransaction) -> str:
    return next(movement.word for movement in _MOVEMENTS if movement.fits(entry))


def called(wanted: str) -> Q:
    """Find the entries that go by one of WORDS."""
    found = Q(pk__in=[])
    for position, movement in enumerate(_MOVEMENTS):
        if movement.word == wanted:
            condition = movement.condition
            for earlier in _MOVEMENTS[:position]:
                kind = (earlier.action, earlier.by_order)
                if kind == (movement.action, movement.by_order):
                    condition &= ~earlier.condition
            found |= condition
    return found


def shown(entry: StockTransaction) -> str:
    """Draw the word beside a dot that tells in or out, taken or given back."""
    template = '<span class="hf-movement hf-of-{}">{}</span>'
    return format_html(template, entry.action, word(entry))
