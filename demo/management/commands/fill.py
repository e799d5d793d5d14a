from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from api import clock
from demo import fill_orders, fill_room, fill_sales
from demo.fill_progress import Progress
from inventory.models import Product

PRODUCTS_MAX = 5_000_000
ENTRIES_MAX = 50_000_000
DELIVERIES_MAX = 100_000
# As a shell has it of what Ctrl-C ended.
INTERRUPTED = 130


class Command(BaseCommand):
    help = (
        "Make a large shop to try Holdfast with: products with prices and stock, a year's log of "
        "how the stock came about, orders, deliveries and stocktakes. Only in the demo or in a "
        "database without products."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--products", type=int, default=100_000)
        parser.add_argument("--entries", type=int, default=1_000_000, help="rows of the log")
        parser.add_argument("--orders", type=int, default=5_000)
        parser.add_argument("--deliveries", type=int, default=300)
        parser.add_argument(
            "--force", action="store_true", help="also among the products of a real shop"
        )

    def handle(
        self,
        *,
        products: int,
        entries: int,
        orders: int,
        deliveries: int,
        force: bool,
        **options: Any,
    ) -> None:
        self._require_sense(products, entries, orders, deliveries)
        if not (settings.HOLDFAST_DEMO or force) and Product.objects.exists():
            raise CommandError(
                "There are products already, and this is no demo (HOLDFAST_DEMO=1). What fill "
                "makes stays in the log for ever; to have it all the same, say --force."
            )
        progress = Progress(self.stdout)
        self._require_room(progress, fill_room.needed(products, entries, orders, deliveries))
        try:
            fill_orders.fill(
                products=products,
                entries=entries,
                orders=orders,
                now=clock.now(),
                deliveries=deliveries,
                progress=progress,
            )
        except KeyboardInterrupt:
            raise CommandError(
                "Interrupted: nothing was made. It may be run again.", returncode=INTERRUPTED
            ) from None
        progress.step("Done.")

    def _require_sense(self, products: int, entries: int, orders: int, deliveries: int) -> None:
        if not 1 <= products <= PRODUCTS_MAX:
            raise CommandError(f"--products is between 1 and {PRODUCTS_MAX:,}.")
        if orders < 0:
            raise CommandError("--orders cannot be below zero.")
        if not 0 <= deliveries <= DELIVERIES_MAX:
            raise CommandError(f"--deliveries is between 0 and {DELIVERIES_MAX:,}.")
        needed = fill_orders.entries_needed(products, orders)
        if not needed <= entries <= ENTRIES_MAX:
            raise CommandError(
                f"{products:,} products and {orders:,} orders need --entries between {needed:,}, "
                f"one for each product and {fill_sales.ENTRIES_A_ORDER} for each order, and "
                f"{ENTRIES_MAX:,}."
            )

    def _require_room(self, progress: Progress, needed: int) -> None:
        """Refuse what fills the disk, on which a shop could not sell any more either."""
        free = fill_room.free()
        if free is None:
            progress.step(
                f"It takes some {_gigabytes(needed)} of disk. Whether the database has as much "
                "cannot be seen from here."
            )
        elif free < needed:
            raise CommandError(
                f"It takes some {_gigabytes(needed)} of disk, and where the database lies only "
                f"{_gigabytes(free)} are free. Nothing was made."
            )


def _gigabytes(size: int) -> str:
    return f"{size / 1e9:.1f} GB"
