"""What the pages show of a sheet of each kind, and who may apply one."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.db.models import Q
from django.http import HttpRequest

from backoffice.sheets.told import PRIVATE, tell
from inventory.models import ProductLine, Sheet
from inventory.services.product_rows import ARCHIVED

What = ProductLine.What

# Lines that are shown under every kind, by the name in the page's address.
ALL = ("All lines", Q(), "There are no lines.")
MARKED = ("Marked", Q(error="") & ~Q(mark=""), "No line looks like a mistake.")
ERRORS = ("Errors", ~Q(error=""), "No line has an error.")


@dataclass(frozen=True)
class Shown:
    """How a kind is shown: its templates are in admin/inventory/sheet/."""

    # Whoever applies such a sheet, uploads one or takes it back needs all of these.
    permissions: Sequence[str]
    # Tabs over the lines: a label, the condition on them, and what is said if there are none.
    tabs: Mapping[str, tuple[str, Q, str]]
    # What applying it does or did, in a sentence or two; given the sheet and its numbers.
    summary: str
    # The table of lines: given the sheet and `page.lines`.
    lines: str
    # What a file of this kind looks like, for who uploads one.
    about: str
    # What else the lines show: fetched with them, in as many queries for any number of lines.
    related: Sequence[str] = ("product",)
    # What taking it back does.
    reverting: str = ""
    # Gives the lines of a page what their template shows beside their own fields, to whom may see
    # it: given the lines, and whether somebody has a permission.
    tell: Callable[[Sequence[Any], Callable[[str], bool]], None] = lambda lines, may: None


_STOCK = Shown(
    permissions=("inventory.change_stock",),
    tabs={
        "all": ALL,
        "changes": ("Changes", Q(error="") & ~Q(change=0), "No line changes anything."),
        "marked": MARKED,
        "errors": ERRORS,
    },
    summary="counts_summary.html",
    lines="counts_lines.html",
    about="counts_about.html",
    reverting=(
        "Writes the opposite entry for each of its changes, and no longer goes by what it counted. "
        "What moved since then stays moved."
    ),
)

_PRODUCTS = Shown(
    permissions=("inventory.add_product", "inventory.change_product"),
    tabs={
        "all": ALL,
        "created": ("New", Q(error="", what=What.CREATE), "No line makes a product."),
        "changes": ("Changes", Q(error="", what=What.CHANGE), "No line changes anything."),
        "unchanged": ("Unchanged", Q(error="", what=What.LEAVE), "Every line changes something."),
        "marked": MARKED,
        "errors": ERRORS,
    },
    summary="products_summary.html",
    lines="products_lines.html",
    about="products_about.html",
    reverting=(
        "Takes back each of its changes that nobody has changed since, and archives the products "
        "that it made, if nothing has become of them."
    ),
    tell=tell,
)

SHOWN: Mapping[Sheet.Kind, Shown] = {
    Sheet.Kind.COUNTS: _STOCK,
    Sheet.Kind.CHANGES: _STOCK,
    Sheet.Kind.PRODUCTS: _PRODUCTS,
}
# What it takes to send a file at all: whoever has one of these may apply some kind, perhaps.
SENDS_FILES = tuple({shown.permissions[0] for shown in SHOWN.values()})


def of(sheet: Sheet) -> Shown:
    return SHOWN[Sheet.Kind(sheet.kind)]


def kinds_of(request: HttpRequest) -> list[Sheet.Kind]:
    """Return the kinds of sheets that somebody may apply."""
    return [kind for kind, shown in SHOWN.items() if request.user.has_perms(shown.permissions)]


def may_any(request: HttpRequest) -> bool:
    """Tell whether there are sheets that somebody may apply, whatever they are."""
    return bool(kinds_of(request)) or request.user.has_perm(_CHANGES_PRODUCTS)


def hidden_from(request: HttpRequest) -> list[str]:
    """Return the columns whose values somebody may not see, and so not write either."""
    return [name for name, permission in PRIVATE.items() if not request.user.has_perm(permission)]


def may_apply(request: HttpRequest, sheet: Sheet) -> bool:
    if sheet.kind != Sheet.Kind.PRODUCTS:
        return request.user.has_perms(of(sheet).permissions)
    # A selection makes no products.
    is_chosen = sheet.source == Sheet.Source.SELECTION
    permissions = (_CHANGES_PRODUCTS,) if is_chosen else of(sheet).permissions
    if not request.user.has_perms(permissions) or {*hidden_from(request)} & {*sheet.columns}:
        return False
    # All lines are looked at only for who may not do what one of them might.
    return all(
        request.user.has_perm(permission) or not sheet.lines.filter(does, error="").exists()
        for permission, does in _ALSO.items()
    )


_CHANGES_PRODUCTS = "inventory.change_product"
# What else it takes, if a line does such a thing, as on the product's own pages.
_ALSO = {
    "inventory.delete_product": Q(wanted__status=ARCHIVED),
    "inventory.change_stock": Q(what=What.CHANGE, wanted__has_key="manage_stock"),
}
