from datetime import timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from api import clock
from payments.services import reconciliation

# A century: no books are older.
DAYS_MAX = 36_500


class Command(BaseCommand):
    help = "Compare our payments with the gateways' own books, and list every difference."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--days", type=int, default=7, help="How far back to look (7).")

    def handle(self, *, days: int, **options: Any) -> None:
        if not 1 <= days <= DAYS_MAX:
            raise CommandError(f"--days is at least 1, and at most {DAYS_MAX}.")
        if slugs := reconciliation.without_books():
            self.stdout.write(f"Not compared, because it keeps no books: {', '.join(slugs)}.")
        since = clock.now() - timedelta(days=days)
        differences = reconciliation.differences(since)
        for listed in [*differences, *reconciliation.marked_only(since)]:
            self.stdout.write(str(listed))
        if differences:
            raise CommandError(f"{len(differences)} differences in the last {days} days.")
        self.stdout.write(f"The books of the last {days} days agree.")
