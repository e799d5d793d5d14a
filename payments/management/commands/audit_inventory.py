import json
import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import DatabaseError
from psycopg.errors import InsufficientPrivilege

from api.actors import COMMAND_LINE
from config import outages
from inventory.errors import StockNotFound
from inventory.services import repairing
from inventory.services.audit import Difference
from orders.models import AuditResult
from payments.services import audit

# What a shell learns: 1 says that something differs, and this that nobody knows.
COULD_NOT_COMPARE = 2


class Command(BaseCommand):
    help = (
        "Compare log, stock, counts, orders and payments as of one moment, and name what differs: "
        "what was written since they agreed last, or the whole. Ends with status 1 if anything "
        "differs, and with 2 if it could not be compared."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--whole", action="store_true", help="compare all of it, however long ago it was"
        )
        parser.add_argument(
            "--json", action="store_true", help="tell the result as one JSON object"
        )

        parser.add_argument(
            "--repair",
            metavar="SKU",
            nargs="?",
            const="",
            help="set the stock of this product, or of all that differ, to what its log says, once "
            "its sku is typed; takes the owner of the tables",
        )
        parser.add_argument("--yes", action="store_true", help="repair without asking")

    def handle(self, **options: Any) -> None:
        try:
            if options["repair"] is None:
                self._compare(options)
            else:
                self._repair(options["repair"], asks=not options["yes"])
        except DatabaseError as error:
            if outages.is_away(error):
                raise
            raise CommandError(
                f"It could not be compared: {error}".strip(), returncode=COULD_NOT_COMPARE
            ) from error

    def _repair(self, sku: str, *, asks: bool) -> None:
        left = 0
        try:
            differing = repairing.differing(sku)
        except StockNotFound:
            raise CommandError(f"No product has the sku {sku}.") from None
        for product, stock_id, what in differing:
            self.stdout.write(f"{product.sku}: {what}")
            if asks and not self._is_typed(product.sku):
                self.stdout.write("Left as it is.")
                left += 1
                continue
            try:
                is_changed = repairing.repair(stock_id, actor=COMMAND_LINE)
            except DatabaseError as error:
                self.stderr.write(f"Not repaired: {_why(error)}")
                left += 1
            else:
                self.stdout.write("Repaired." if is_changed else "It agrees by now.")
        if left:
            raise CommandError(f"{left} of {len(differing)} left as they are.")
        if not differing:
            self.stdout.write("No stock differs from its log.")

    def _is_typed(self, sku: str) -> bool:
        self.stdout.write("Type the sku to set the stock to what the log says: ", ending="")
        self.stdout.flush()
        return sys.stdin.readline().strip() == sku

    def _compare(self, options: dict[str, Any]) -> None:
        tell = self._tell if options["whole"] and sys.stderr.isatty() else None
        try:
            result, differences = audit.compare(whole=options["whole"], tell=tell)
        except audit.UnderWay:
            raise CommandError(
                "It is being compared already.", returncode=COULD_NOT_COMPARE
            ) from None
        if options["json"]:
            self.stdout.write(json.dumps(_as_json(result, differences)))
        else:
            for difference in differences:
                self.stdout.write(str(difference))
        if differences:
            number = f"{len(differences)} difference{'' if len(differences) == 1 else 's'}"
            raise CommandError(f"{number} between log, stock, orders and payments.")
        if not options["json"]:
            self.stdout.write("Log, stock, orders and payments agree.")

    def _tell(self, done: int, parts: int) -> None:
        self.stderr.write(f"\r{done} of {parts} parts ", ending="\n" if done == parts else "")


def _why(error: DatabaseError) -> str:
    if isinstance(error.__cause__, InsufficientPrivilege):
        return "only the owner of the tables may, by its own DATABASE_URL."
    return str(error).partition("CONTEXT:")[0].strip()


def _as_json(result: AuditResult, differences: list[Difference]) -> dict[str, Any]:
    return {
        "kind": result.kind,
        "started": result.checked_at.isoformat(),
        "seconds": result.seconds,
        "stocks": result.stocks,
        "entries": result.entries,
        "orders": result.orders,
        # From where the next one goes on, if this one has found nothing.
        "checkpoint": None if differences else result.checked_at.isoformat(),
        "differences": [
            {
                "of": each.row,
                "id": str(each.row_id),
                "name": each.sku,
                "what": each.what,
            }
            for each in differences
        ],
    }
