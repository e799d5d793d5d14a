"""What is told by mail, to whom, and of which events: each app says so of its own things.

A notice is to a buyer, who gets a mail for each thing, or to staff, who are told of a matter once,
and of many matters in one mail. What its texts are made with is plain: strings, numbers, and lists
and dicts of them.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from events.models import Event

Words = Mapping[str, Any]

# What came about longer than this before it was told came about elsewhere, and was brought here:
# its buyer knows of it.
FRESH = timedelta(hours=1)


@dataclass(frozen=True)
class Letter:
    """A mail to a buyer. `key` says what it tells: of that, nobody is told twice."""

    key: str
    recipient: str
    words: Words
    # When it came about.
    at: datetime
    order_id: UUID | None = None

    def is_news(self, event: Event, since: datetime) -> bool:
        """Tell whether it came about with the event, and since mail was switched on."""
        return self.at >= since and self.at > event.occurred_at - FRESH


@dataclass(frozen=True)
class Matter:
    """Something that staff are to know. `key` says what it is, and how often it has been that."""

    key: str
    words: Words


@dataclass(frozen=True)
class Notice:
    # As in addresses, and in the names of the files of its texts.
    name: str
    title: str
    # When it is sent, for people.
    when: str
    # For a preview, where there is nothing real to show.
    sample: Words
    # The events that it is about, and what becomes of one: mails to buyers, or matters for staff.
    types: frozenset[str] = frozenset()
    letters: Callable[[Event], Iterable[Letter]] | None = None
    matters: Callable[[Event], Iterable[Matter]] | None = None
    # What stands and is told in no event: all of it, each time, or None where that cannot be said.
    standing: Callable[[], Iterable[Matter] | None] | None = None
    # What a text about this order would be made with; None without such a thing.
    example: Callable[[str], Words | None] | None = None
    # Notices that say more of the same: where one of them tells a matter, this one does not.
    said_by: frozenset[str] = field(default_factory=frozenset)

    @property
    def is_for_staff(self) -> bool:
        return self.letters is None


_notices: dict[str, Notice] = {}


def register(*notices: Notice) -> None:
    for notice in notices:
        _notices[notice.name] = notice


def known() -> list[Notice]:
    """Return all of them: to buyers first."""
    return sorted(_notices.values(), key=lambda each: each.is_for_staff)


def named(name: str) -> Notice | None:
    return _notices.get(name)


def of_events() -> list[str]:
    """Name the notices to staff that follow from events, and stand for nothing that lasts."""
    return [each.name for each in known() if each.is_for_staff and not each.standing]
