"""Archive a product, and stop managing its stock: what people do with all of its units at once."""

from dataclasses import dataclass
from functools import cached_property

from django.utils.html import format_html

from api.errors import Refusal, Standing
from backoffice.actions import Action, ActionForm, Case
from backoffice.base import units
from inventory.errors import UnitsAllocated
from inventory.models import Product, Stock
from inventory.services import products


@dataclass(frozen=True)
class ProductCase(Case[Product]):
    recorded_already = "This was recorded already, and nothing was moved a second time."
    sent_differently = (
        "This form was sent before, with other values. Look at the log, then send it."
    )

    @cached_property
    def stock(self) -> Stock:
        return Stock.objects.get(product_id=self.subject.pk)

    def standing(self) -> Standing:
        return self.stock.standing()


def _writing_off(stock: Stock) -> str:
    """Say what is written off, as the beginning of a sentence."""
    return format_html(
        'This writes off <span class="hf-strong">{}</span> that {} available',
        units(stock.available),
        _are(stock.available),
    )


def _are(quantity: int) -> str:
    return "is" if quantity == 1 else "are"


# Archive, which people know as deleting.


def _require_no_units_allocated(case: ProductCase) -> None:
    if allocated := case.stock.allocated:
        raise UnitsAllocated(
            f"{allocated} of its units {_are(allocated)} allocated. Ship, cancel or deallocate "
            "them first."
        )


def _what_archiving_does(case: ProductCase) -> list[str]:
    stock = case.stock
    effects = [
        f"It leaves the shop and these pages, and its SKU {case.subject.sku} is free again. "
        "Orders and the log keep it, and it can be brought back from the archived products."
    ]
    if stock.managed and stock.available and not stock.allocated:
        effects.append(format_html("{}.", _writing_off(stock)))
    return effects


def _archive(case: ProductCase, form: ActionForm) -> str:
    product, key = case.subject, form.key(case.request)
    products.archive(product.pk, actor=case.actor, seen=form.saw, key=key)
    return f"{product} is deleted."


ARCHIVE = Action(
    "delete",
    "Delete",
    "inventory.delete_product",
    _archive,
    effects=_what_archiving_does,
    guard=_require_no_units_allocated,
    dangerous=True,
    heading="Delete {subject.name}?",
)


# Stop managing.


def _require_stoppable(case: ProductCase) -> None:
    if not case.stock.managed:
        raise Refusal("The stock of this product is not managed.")
    if case.stock.allocated:
        raise UnitsAllocated


def _what_stopping_does(case: ProductCase) -> list[str]:
    stock = case.stock
    return [
        format_html("{}. The log says that they were removed.", _writing_off(stock))
        if stock.available
        else "There are no units to write off.",
        "After that the product never runs out, and nothing is counted or logged. The log so far "
        "stays.",
    ]


def _stop_managing(case: ProductCase, form: ActionForm) -> str:
    key = form.key(case.request)
    products.stop_managing(case.subject.pk, actor=case.actor, seen=form.saw, key=key)
    return "The stock of this product is no longer managed."


STOP_MANAGING = Action(
    "stop_managing",
    "Stop managing",
    "inventory.change_stock",
    _stop_managing,
    effects=_what_stopping_does,
    guard=_require_stoppable,
    dangerous=True,
    heading="Stop managing the stock of {subject.name}?",
    label=lambda case: "Write off and stop managing" if case.stock.available else "Stop managing",
)
