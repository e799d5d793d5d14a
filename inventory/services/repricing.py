"""What becomes of a price that goes up or down by per cent or by an amount, and is rounded."""

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property

from inventory.models import Currency


@dataclass(frozen=True)
class Rounding:
    """Prices are multiples of a step, or end in the same digits within it; in smallest units."""

    step: int = 1
    ending: int = 0

    def __call__(self, numerator: int, denominator: int = 1) -> int:
        """Return the nearest such price, half up. What comes to nothing or less is free.

        The exact price is a fraction: there may be a hundred thousand of them.
        """
        if numerator <= 0:
            return 0
        step = self.step * denominator
        steps = (2 * (numerator - self.ending * denominator) + step) // (2 * step)
        return max(steps, 0) * self.step + self.ending

    def written(self, currency: Currency) -> str:
        if self.ending:
            return f"to a price that ends in {currency.major_units(self.ending)}"
        return f"to {currency.major_units(self.step)}"


@dataclass(frozen=True)
class PriceChange:
    """Up or, below zero, down: by per cent first, then by an amount of the smallest unit."""

    per_cent: Decimal = Decimal(0)
    amount: int = 0
    rounding: Rounding = Rounding()

    def __call__(self, amount: int) -> int:
        """Return the new price, exactly reckoned and never below zero."""
        numerator, denominator = self._factor
        return self.rounding(amount * numerator + self.amount * denominator, denominator)

    @cached_property
    def _factor(self) -> tuple[int, int]:
        return (1 + self.per_cent / 100).as_integer_ratio()

    def written(self, currency: Currency) -> str:
        """Say what it does, as in: prices +10 %."""
        if self.amount:
            sign = "+" if self.amount > 0 else "\N{MINUS SIGN}"
            return f"{sign}{currency.formatted(abs(self.amount))}"
        sign = "+" if self.per_cent > 0 else "\N{MINUS SIGN}"
        return f"{sign}{abs(self.per_cent).normalize():f} %"


def roundings(currency: Currency) -> Iterator[Rounding]:
    """Offer for a currency with two digits 0.01, 0.05, 0.10, 1.00 and what ends in .99 or .95.

    For one with fewer digits the same of its smallest units, as in 990 yen; one with more has its
    smallest unit besides.
    """
    scale: int = 10 ** max(currency.decimal_places - 2, 0)
    if scale > 1:
        yield Rounding()
    yield from (Rounding(step * scale) for step in (1, 5, 10, 100))
    yield from (Rounding(100 * scale, ending * scale) for ending in (99, 95))
