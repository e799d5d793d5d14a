"""What `manage.py fill` makes of goods that come in and are counted: deliveries and stocktakes."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import islice
from random import Random

from api.actors import Actor
from demo.fill_progress import Progress
from demo.fill_stock import ROWS_A_STATEMENT, Entry, Made, id_at
from inventory.models import Delivery, DeliveryLine, Stocktake, StocktakeLine

NUMBER = "FILL-D"
LINES = 30
SUPPLIERS = ("Harbour Mills", "Lighthouse Print", "Weaver & Daughters", "North Pier Trading")
STOCKTAKES = ("Whole store", "Back room", "Front shelves")
# So many are held in memory before they are written.
DELIVERIES_KEPT = 100
# Of the products, for all but the first of them.
STOCKTAKE_PRODUCTS = 1_000


@dataclass
class Deliveries:
    """A third of them is open. What the others brought are increments that the log has anyway."""

    count: int
    began: datetime
    now: datetime
    actor: Actor
    dice: Random
    made: int = field(init=False, default=0)
    # Not written yet, each with its lines.
    kept: list[tuple[Delivery, list[DeliveryLine]]] = field(init=False, default_factory=list)
    # The products of the one that is being booked.
    unpacked: set[uuid.UUID] = field(init=False, default_factory=set)

    def __post_init__(self) -> None:
        self.booked = self.count * 2 // 3
        self.first = Delivery.objects.filter(number__startswith=NUMBER).count() + 1

    def bring(self, entry: Entry) -> Entry:
        """Let an increment be what a delivery brought, if it is time for one. Once a product."""
        product_id = entry.new.stock.product_id
        is_full = len(self.unpacked) == LINES or product_id in self.unpacked
        if not self.unpacked or is_full:
            if self.made >= self.booked or entry.at < self._next_at():
                return entry
            self.unpacked = set()
            self._make(entry.at)
        self.unpacked.add(product_id)
        delivery, units = self.kept[-1][0], entry.new.quantity
        delivery.state, delivery.booked_by = Delivery.State.BOOKED, self.actor.name
        delivery.booked_at = delivery.updated_at = entry.at
        # Of some, one unit is missing.
        expected = units + (self.dice.random() < 0.05)
        self._line(product_id, expected, units, [entry.new.sequence])
        return replace(entry, reason=delivery.reason)

    def _next_at(self) -> datetime:
        """Return when the next one is booked: evenly, from the first day to now."""
        return self.began + (self.now - self.began) * (self.made + 1) / (self.booked + 1)

    def _make(self, at: datetime) -> Delivery:
        delivery = Delivery(
            id=id_at(at, self.dice),
            number=f"{NUMBER}{self.first + self.made:05}",
            supplier=SUPPLIERS[self.made % len(SUPPLIERS)],
            expected_on=at.date(),
            made_by=self.actor.name,
            created_at=at,
            updated_at=at,
        )
        self.made += 1
        self.kept.append((delivery, []))
        return delivery

    def _line(
        self, product_id: uuid.UUID, expected: int, received: int, entries: Sequence[int] = ()
    ) -> None:
        delivery, lines = self.kept[-1]
        delivery.revision += 1
        lines.append(
            DeliveryLine(
                delivery=delivery,
                product_id=product_id,
                expected=expected,
                received=received,
                entries=[*entries],
            )
        )

    def store(self, products: Sequence[Made], progress: Progress) -> None:
        """Write what was booked, and what is still to come: some is unpacked in part."""
        while self.made < self.count:
            delivery = self._make(self.now)
            delivery.expected_on = (self.now + timedelta(days=self.dice.randint(-9, 20))).date()
            for product in self.dice.sample(products, min(LINES, len(products))):
                expected = self.dice.randint(1, 5) * 6
                came = self.made % 4 == 0 and self.dice.random() < 0.5
                self._line(product.pk, expected, expected if came else 0)
            if len(self.kept) > DELIVERIES_KEPT:
                self.store_complete()
                progress.at(self.made)
        self._write(self.kept)

    def store_complete(self) -> None:
        """Write those to which nothing is added any more, and forget them."""
        self._write(self.kept[:-1])
        del self.kept[:-1]

    def _write(self, some: Sequence[tuple[Delivery, list[DeliveryLine]]]) -> None:
        Delivery.objects.bulk_create([delivery for delivery, _ in some], ROWS_A_STATEMENT)
        lines = [line for _, its_lines in some for line in its_lines]
        DeliveryLine.objects.bulk_create(lines, ROWS_A_STATEMENT)


def store_stocktakes(
    products: Sequence[Made], at: datetime, actor: Actor, progress: Progress
) -> None:
    """Write stocktakes in the middle: one of all products, and shorter ones."""
    ordered = sorted(products, key=lambda product: product.name)
    for place, name in enumerate(STOCKTAKES):
        listed = ordered[:STOCKTAKE_PRODUCTS] if place else ordered
        counted = len(listed) // (2 + place)
        stocktake = Stocktake.objects.create(
            name=name,
            is_blind=place == 1,
            products=len(listed),
            counted=counted,
            revision=counted,
            opened_by=actor.name,
            created_at=at,
            updated_at=at,
        )
        lines = (
            StocktakeLine(
                stocktake=stocktake,
                product_id=product.pk,
                number=number,
                units=number % 40 if number <= counted else None,
                first_at=at if number <= counted else None,
                counted_at=at if number <= counted else None,
            )
            for number, product in enumerate(listed, 1)
        )
        while some := list(islice(lines, ROWS_A_STATEMENT)):
            StocktakeLine.objects.bulk_create(some)
            progress.at(some[-1].number)
