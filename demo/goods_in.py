"""The demo's deliveries: what came in the past, what is being unpacked, and what is late."""

import uuid
from datetime import date, datetime, timedelta
from functools import partial
from typing import NamedTuple

from demo.people import JONAS, MARIA
from demo.replay import Lines, Story
from inventory.models import Delivery
from inventory.services import booking, deliveries

# How many days before it comes, its supplier announces a delivery.
_ANNOUNCED_DAYS = 4


class Announced(NamedTuple):
    """A delivery as its supplier has announced it: how many days ago it was to come."""

    days_ago: int
    number: str
    supplier: str

    @property
    def made_days_ago(self) -> int:
        return self.days_ago + _ANNOUNCED_DAYS


PAST = [
    Announced(9, "4711", "Harbour Mills"),
    Announced(21, "4703", "Harbour Mills"),
    Announced(32, "4697", "Lighthouse Print"),
    Announced(44, "4688", "Harbour Mills"),
    Announced(53, "4683", "Weaver & Daughters"),
]
# Before the shop opens, and after the day's new products were made.
ARRIVES_AT = (7, 59)


def arrival(story: Story, announced: Announced) -> datetime:
    return story.at(announced.days_ago, *ARRIVES_AT)


def came_in(story: Story, announced: Announced, lines: Lines) -> None:
    """Have it expected, unpacked in the morning, and booked, as it was announced."""
    arrived_at = arrival(story, announced)
    _expect(story, announced, lines, arrived_at - timedelta(days=_ANNOUNCED_DAYS))
    story.happens(arrived_at, partial(_book, announced.number, lines), lines)


def under_way(story: Story) -> None:
    """Leave one delivery half unpacked today, and another one late."""
    today = Announced(0, "4718", "Harbour Mills")
    expected = {"MUG-WHITE": 24, "TOTE-NATURAL": 30, "SOCKS-RED-36-40": 20, "CANDLE": 12}
    _expect(story, today, expected, story.at(6, 10, 12))
    unpacked = [("MUG-WHITE", 24), ("TOTE-NATURAL", 12), ("MUG-BLUE", 6)]
    for minutes, (sku, units) in enumerate(unpacked):
        story.happens(story.ago(minutes=45 - minutes), partial(_scan, today.number, {sku: units}))
    late = Announced(4, "4715", "Weaver & Daughters")
    _expect(story, late, {"SHIRT-NAVY-M": 20, "SHIRT-NAVY-L": 20}, story.at(15, 11, 30))


def _expect(story: Story, announced: Announced, lines: Lines, at: datetime) -> None:
    day = (story.now - timedelta(days=announced.days_ago)).date()
    story.happens(at, partial(_make, announced, day, lines, story.new_id(at)))


def _make(announced: Announced, day: date, lines: Lines, delivery_id: uuid.UUID) -> None:
    deliveries.create(
        delivery_id=delivery_id,
        number=announced.number,
        supplier=announced.supplier,
        expected_on=day,
        actor=MARIA,
    )
    _scan(announced.number, lines, expecting=True)


def _scan(number: str, lines: Lines, *, expecting: bool = False) -> None:
    delivery_id = _id_of(number)
    for sku, units in lines.items():
        deliveries.scan(delivery_id, sku, units, expecting=expecting)


def _id_of(number: str) -> uuid.UUID:
    return Delivery.objects.values_list("pk", flat=True).get(number=number)


def _book(number: str, lines: Lines) -> None:
    _scan(number, lines)
    booking.book(_id_of(number), actor=JONAS)
