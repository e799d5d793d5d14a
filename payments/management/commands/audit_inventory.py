import json
import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import DatabaseError

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

    def handle(self, **options: Any) -> None:
        tell = self._tell if options["whole"] and sys.stderr.isatty() else None
        try:
            result, differences = audit.compare(whole=options["whole"], tell=tell)
        except audit.UnderWay:
            raise CommandError(
                "It is being compared already.", returncode=COULD_NOT_COMPARE
            ) from None
        except DatabaseError as error:
            raise CommandError(
                f"It could not be compared: {error}".strip(), returncode=COULD_NOT_COMPARE
            ) from error
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
