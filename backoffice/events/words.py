"""What the types of events mean, in the words of people, by what they are about."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Kind:
    """What events may be about: what many of it and one of it are called, and what happens to it.

    `permission` is what it takes to see such a thing, and so what an event tells of it.
    """

    many: str
    one: str
    permission: str
    # By the ends of the types' names.
    happens: Mapping[str, str]


_MADE = {"created": "added", "updated": "changed", "deleted": "deleted"}
_ORDER = {
    "created": "placed",
    "updated": "changed",
    "authorized": "authorized",
    "paid": "paid",
    "fulfilled": "shipped",
    "cancelled": "cancelled",
    "refunded": "refunded",
}
KINDS: Mapping[str, Kind] = {
    "order": Kind("Orders", "Order", "orders.view_order", _ORDER),
    "transaction": Kind(
        "Payments", "Payment", "payments.view_payment", {"created": "begun", "updated": "changed"}
    ),
    "shipment": Kind(
        "Shipments", "Shipment", "orders.view_order", {"created": "sent", "updated": "undone"}
    ),
    "return": Kind(
        "Returns", "Return", "orders.view_order", {"created": "taken", "updated": "inspected"}
    ),
    "cart": Kind("Carts", "Cart", "orders.view_cart", {"updated": "changed", "deleted": "deleted"}),
    "stock": Kind(
        "Stock levels",
        "Stock",
        "inventory.view_stock",
        {"low": "is low", "out": "is out", "back": "is back"},
    ),
    "stock-transaction": Kind(
        "Movements of stock",
        "Stock",
        "inventory.view_stocktransaction",
        {"created": "moved"},
    ),
    "product": Kind("Products", "Product", "inventory.view_product", _MADE),
    "file": Kind(
        "Pictures", "Picture", "inventory.view_picture", {"created": "added", "deleted": "deleted"}
    ),
    "currency": Kind("Currencies", "Currency", "inventory.view_currency", _MADE),
    "payment-gateway": Kind("Gateways", "Gateway", "payments.view_gateway", {"updated": "changed"}),
    "settings": Kind(
        "The store's settings",
        "Settings",
        "api.view_storesettings",
        {"created": "made", "updated": "changed"},
    ),
    "integration": Kind("Integrations", "Integration", "events.view_integration", _MADE),
}
# In the order in which people are shown them.
TYPES = [f"{name}.{end}" for name, kind in KINDS.items() for end in kind.happens]


def kind_of(type_: str) -> Kind | None:
    return KINDS.get(type_.rpartition(".")[0])


def words(type_: str) -> str:
    """Say what happens, as in "Order paid"."""
    kind, end = kind_of(type_), type_.rpartition(".")[2]
    if kind is None or end not in kind.happens:
        return type_
    return f"{kind.one} {kind.happens[end]}"


def grouped(types: Iterable[str]) -> Iterator[tuple[str, list[tuple[str, str]]]]:
    """Pair each kind with those of its types that are among these, in their order and words."""
    among = set(types)
    for name, kind in KINDS.items():
        own = [f"{name}.{end}" for end in kind.happens]
        if found := [(type_, words(type_)) for type_ in own if type_ in among]:
            yield kind.many, found
    if others := sorted(among - set(TYPES)):
        yield "Others", [(type_, type_) for type_ in others]


def summed_up(types: Iterable[str]) -> str:
    """Say which types these are in few words: a kind alone, where it is all of them."""
    among, said = set(types), []
    for name, kind in KINDS.items():
        own = {f"{name}.{end}" for end in kind.happens}
        if own <= among:
            said.append(kind.many)
        elif chosen := [end for end in kind.happens if f"{name}.{end}" in among]:
            said.append(f"{kind.one} {', '.join(kind.happens[end] for end in chosen)}")
    return " · ".join([*said, *sorted(among - set(TYPES))])
