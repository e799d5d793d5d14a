"""The menu: what somebody works with stands in it, and not all that they may look at.

What is rarely needed is folded. Pages that are in nobody's menu are reached by links.
"""

import re
from collections.abc import Iterable
from typing import Any, NamedTuple

from django.http import HttpRequest

_APP_PAGE = re.compile(r"/admin/\w+/")


class Entry(NamedTuple):
    title: str
    icon: str
    # Its address below /admin/.
    path: str
    # What it takes for the page to be of use.
    permission: str = ""


class Group(NamedTuple):
    title: str
    entries: Iterable[Entry]
    is_folded: bool = False


_GROUPS = [
    Group("", [Entry("Dashboard", "dashboard", "")]),
    Group(
        "Orders",
        [
            Entry("Orders", "orders", "orders/order/", "orders.view_order"),
            Entry("New order", "add_shopping_cart", "orders/order/add/", "orders.add_order"),
            Entry("Figures", "monitoring", "orders/order/figures/", "payments.view_payment"),
            Entry("Carts", "shopping_cart", "orders/cart/", "orders.change_order"),
        ],
    ),
    Group(
        "Stock",
        [
            Entry("Products", "inventory_2", "inventory/product/", "inventory.view_product"),
            Entry(
                "Deliveries", "local_shipping", "inventory/delivery/", "inventory.change_delivery"
            ),
            Entry(
                "Stocktakes",
                "barcode_scanner",
                "inventory/stocktake/",
                "inventory.change_stocktake",
            ),
            Entry("Imports and counts", "fact_check", "inventory/sheet/", "inventory.change_stock"),
            Entry(
                "Stock log",
                "receipt_long",
                "inventory/stocktransaction/",
                "inventory.view_stocktransaction",
            ),
        ],
    ),
    Group(
        "More",
        [
            Entry(
                "Stock value", "savings", "inventory/product/stock-value/", "inventory.view_cost"
            ),
            Entry("Categories", "category", "inventory/category/", "inventory.change_category"),
            Entry("Variants", "style", "inventory/parent/", "inventory.change_parent"),
            Entry("Pictures", "photo_library", "inventory/picture/", "inventory.add_picture"),
        ],
        is_folded=True,
    ),
    Group(
        "Settings",
        [
            Entry("Store", "storefront", "api/storesettings/", "api.change_storesettings"),
            Entry("People", "person", "auth/user/", "auth.change_user"),
            Entry("Roles", "group", "auth/group/", "auth.change_group"),
            Entry(
                "Currencies",
                "universal_currency_alt",
                "inventory/currency/",
                "inventory.change_currency",
            ),
            Entry("Locations", "warehouse", "inventory/location/", "inventory.change_location"),
            Entry("Gateways", "payments", "payments/gateway/", "payments.change_gateway"),
            Entry(
                "Gateway events",
                "notifications",
                "payments/gatewayevent/",
                "payments.change_gateway",
            ),
            Entry("Mail", "mail", "events/mailsettings/", "events.change_mailsettings"),
            Entry("Mails sent", "outbox", "events/mail/", "events.change_mailsettings"),
            Entry("Integrations", "webhook", "events/integration/", "events.change_integration"),
            Entry("Events", "rss_feed", "events/event/", "events.change_integration"),
            Entry("API clients", "key", "api/apiclient/", "api.change_apiclient"),
            Entry("Changes", "history", "api/change/", "api.view_change"),
        ],
        is_folded=True,
    ),
]


def navigation(request: HttpRequest) -> list[dict[str, Any]]:
    """Draw up somebody's menu, for Unfold."""
    opened = _opened(request.path)
    groups = []
    for group in _GROUPS:
        entries = [each for each in group.entries if _is_of_use(request, each)]
        if entries:
            items = [_item(entry, opened) for entry in entries]
            groups.append({"title": group.title, "items": items, "collapsible": group.is_folded})
    return groups


def _is_of_use(request: HttpRequest, entry: Entry) -> bool:
    return not entry.permission or request.user.has_perm(entry.permission)


def _item(entry: Entry, opened: Entry | None) -> dict[str, Any]:
    link = f"/admin/{entry.path}"
    return {"title": entry.title, "icon": entry.icon, "link": link, "active": entry is opened}


def _opened(path: str) -> Entry | None:
    """Find the entry that a page is of: the one whose address it lies the deepest below."""
    below = path.removeprefix("/admin/")
    entries = [entry for group in _GROUPS for entry in group.entries]
    over = [each for each in entries if below.startswith(each.path) and (each.path or not below)]
    return max(over, key=lambda entry: len(entry.path), default=None)


# What is reached by links from a page that is in the menu.
_BELOW = {"/admin/events/delivery/": "Deliveries of events"}


def title_of(address: str) -> str:
    """Return what the page at an address is called, or "" if its model says it."""
    return _named().get(address, "")


def _named() -> dict[str, str]:
    shown = {f"/admin/{each.path}": each.title for group in _GROUPS for each in group.entries}
    return shown | _BELOW


def crumbs(parts: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Name the pages above one as the menu does, without the apps that they are made of."""
    named = _named()
    links = [(str(part.get("link", "")), part) for part in parts]
    return [
        {**part, "title": named.get(link, part["title"])}
        for link, part in links
        if not _APP_PAGE.fullmatch(link)
    ]
