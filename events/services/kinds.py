"""What is told of which things, and who renders them: each app says so of its own.

A kind is a thing that changes, such as an order; with what happened to it, it names the type of an
event: `order.paid`. The names are the published ones wherever there are any.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.conf import settings

# Of each kind what may happen to it, in the order in which it is told of one transaction.
CHANGES: Mapping[str, tuple[str, ...]] = {
    "cart": ("updated", "deleted"),
    "currency": ("created", "updated", "deleted"),
    "file": ("created", "deleted"),
    "integration": ("created", "updated", "deleted"),
    "order": (
        *("created", "updated", "authorized", "paid"),
        *("fulfilled", "cancelled", "refunded"),
    ),
    "payment-gateway": ("updated",),
    "product": ("created", "updated", "deleted"),
    # These three are not published.
    "return": ("created", "updated"),
    "shipment": ("created", "updated"),
    "stock": ("low", "out", "back"),
    "settings": ("created", "updated"),
    "stock-transaction": ("created",),
    "transaction": ("created", "updated"),
}
TYPES = frozenset(f"{kind}.{change}" for kind, changes in CHANGES.items() for change in changes)
# Published, and never told here: there are no such things, or they are kept elsewhere.
PUBLISHED_ONLY = frozenset(
    f"{kind}.{change}"
    for kind in (
        *("account", "account-member", "account-membership", "address", "catalog-release"),
        *("catalog-rule", "customAPIEntryType", "customer", "user-authentication-info"),
    )
    for change in ("created", "updated", "deleted")
) | {"one-time-password-token-request.created"}

# What the API calls a thing, where that is not the name of its kind.
_CALLED = {"payment-gateway": "gateway"}

Document = Mapping[str, Any]
# Documents of the things with these ids, by id: of those that are still there.
Render = Callable[[Collection[str]], Mapping[str, Document]]


@dataclass(frozen=True)
class Range:
    """Entries of a stock's log that one transaction wrote: from `first` to `last`."""

    stock: str
    first: int
    last: int


@dataclass(frozen=True)
class Told:
    """What becomes one event. `sequence` is the number of an entry in its stock's log."""

    kind: str
    change: str
    subject: str
    occurred_at: datetime
    payload: Document
    sequence: int | None = None

    @property
    def type(self) -> str:
        return f"{self.kind}.{self.change}"


Unfold = Callable[[Sequence[Range]], Mapping[Range, Iterable[Told]]]

_renders: dict[str, Render] = {}
_unfolds: list[Unfold] = []


def renders(kind: str, render: Render) -> None:
    """Let `render` make the documents of this kind, as the API gives them."""
    assert kind in CHANGES
    _renders[kind] = render


def unfolds_stock(unfold: Unfold) -> None:
    """Let `unfold` make the events of the log's entries."""
    _unfolds[:] = [unfold]


def documents(kind: str, ids: Collection[str]) -> Mapping[str, Document]:
    return _renders[kind](ids)


def entries(ranges: Sequence[Range]) -> Mapping[Range, Iterable[Told]]:
    [unfold] = _unfolds
    return unfold(ranges)


def absolute(address: str) -> str:
    """Put where the shop is found before a path; what is elsewhere stays as it is."""
    return f"{settings.PUBLIC_URL}{address}" if address.startswith("/") else address


def gone(kind: str, subject: str) -> Document:
    """Return what is told of a thing that is not there any more."""
    return {"type": _CALLED.get(kind, kind), "id": subject}


def happened(kind: str, changes: Collection[str]) -> list[str]:
    """Sum up what one transaction did to one thing, in the order in which it is told.

    What was made is not changed besides; what was deleted is nothing else, and nothing at all if
    it was made in the same transaction.
    """
    if "deleted" in changes:
        return [] if "created" in changes else ["deleted"]
    without = {"updated"} if "created" in changes else set()
    return [change for change in CHANGES[kind] if change in changes and change not in without]
