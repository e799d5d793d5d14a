"""What the deferred triggers cost, which compare log and stock at each commit.

With and without them in turn, in the same run, so that a machine that is busy is so for both.
"""

import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from django.db import connection, transaction

from benchmarks import stock

ROUNDS = 5
DEFERRED = {
    "inventory_stock": ("inserted_stock_is_logged", "updated_stock_is_logged"),
    "inventory_stocktransaction": ("entry_has_its_stock",),
}


@dataclass(frozen=True)
class Cost:
    """Of one movement, in microseconds of CPU, and how many of them there are in a second."""

    cpu_us: float
    cpu_us_without: float
    per_second: float
    per_second_without: float

    @property
    def share(self) -> float:
        return 1 - self.cpu_us_without / self.cpu_us


def measure(
    products: list[uuid.UUID], lines: int, operations: int, cpu: Callable[[], float]
) -> Cost:
    """Allocate at random products, so many times each way."""
    found, without = [], []
    for _ in range(ROUNDS):
        found.append(stock.measure(products, lines, operations // ROUNDS, cpu))
        with _disabled():
            without.append(stock.measure(products, lines, operations // ROUNDS, cpu))
    return Cost(
        sum(each.cpu_us for each in found) / ROUNDS,
        sum(each.cpu_us for each in without) / ROUNDS,
        ROUNDS / sum(1 / each.per_second for each in found),
        ROUNDS / sum(1 / each.per_second for each in without),
    )


@contextmanager
def _disabled() -> Iterator[None]:
    _alter("DISABLE")
    try:
        yield
    finally:
        _alter("ENABLE")


def _alter(what: str) -> None:
    with transaction.atomic(), connection.cursor() as cursor:
        for table, triggers in DEFERRED.items():
            for trigger in triggers:
                cursor.execute(f"ALTER TABLE {table} {what} TRIGGER {trigger}")
