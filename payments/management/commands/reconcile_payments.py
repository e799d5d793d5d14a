import json
import sys
from argparse import ArgumentTypeError
from collections import Counter
from datetime import timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from api import clock
from payments.services import reconciliation
from payments.services.reconciliation import ChargeDifference, Kind

# A century: no books are older.
DAYS_MAX = 36_500
# What a shell learns: 1 says that something differs, and this that nobody knows.
COULD_NOT_COMPARE = 2
# Of a kind that has more, the first ones tell people enough; `--json` tells all.
SHOWN = 100


def days(text: str) -> int:
    """Raises: ArgumentTypeError."""
    if not (text.isdecimal() and 1 <= int(text) <= DAYS_MAX):
        raise ArgumentTypeError(f"at least 1, and at most {DAYS_MAX}")
    return int(text)


class Command(BaseCommand):
    help = (
        "Compare our payments with the gateways' own books, and say of every difference what is "
        "known and what to do. Ends with status 1 if there is any, and with 2 if not all could be "
        "compared."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--days", type=days, default=7, help="How far back to look (7).")
        parser.add_argument(
            "--json",
            action="store_true",
            help="tell each difference as a JSON object on a line of its own, and the sums last",
        )

    def handle(self, *, days: int, **options: Any) -> None:
        since = clock.now() - timedelta(days=days)
        tell = self._tell if sys.stderr.isatty() else None
        comparison = reconciliation.Comparison(since, tell)
        report = _Lines(self) if options["json"] else _Page(self)
        report.begin()
        why_not = ""
        try:
            for difference in comparison.differences():
                report.add(difference)
        except reconciliation.NotCompared as error:
            why_not = str(error)
        report.end(comparison, why_not)
        number = report.counts.total()
        found = f"{number} difference{'' if number == 1 else 's'} in the last {days} days."
        if why_not:
            raise CommandError(f"{why_not} {found}", returncode=COULD_NOT_COMPARE)
        if number:
            raise CommandError(found)
        if not options["json"]:
            self.stdout.write(f"The books of the last {days} days agree.")

    def _tell(self, gateway: str, charges: int) -> None:
        self.stderr.write(f"\r{charges} charges of {gateway} ", ending="")


class _Report:
    """Counts and sums of each kind."""

    def __init__(self, command: Command) -> None:
        self.write = command.stdout.write
        self.counts: Counter[Kind] = Counter()
        self.sums: dict[Kind, Counter[str]] = {kind: Counter() for kind in Kind}

    def begin(self) -> None:
        pass

    def add(self, difference: ChargeDifference) -> None:
        self.counts[difference.kind] += 1
        self.sums[difference.kind][difference.currency] += difference.amount

    def end(self, comparison: reconciliation.Comparison, why_not: str) -> None:
        raise NotImplementedError


class _Lines(_Report):
    """For programs: whatever is found is told at once, and nothing is kept."""

    def add(self, difference: ChargeDifference) -> None:
        super().add(difference)
        told = {
            "kind": difference.kind.name.lower(),
            "gateway": difference.gateway,
            "reference": difference.reference,
            "what": difference.what,
            "amount": difference.amount,
            "currency": difference.currency,
            **{name.replace(" ", "_"): text for name, text in difference.known.items()},
            "advice": difference.kind.advice,
        }
        self.write(json.dumps(told))

    def end(self, comparison: reconciliation.Comparison, why_not: str) -> None:
        kinds = {
            kind.name.lower(): {"differences": number, "sums": self.sums[kind]}
            for kind, number in self.counts.items()
        }
        self.write(
            json.dumps(
                {
                    "since": comparison.since.isoformat(),
                    "charges": comparison.charges,
                    "charges_of_other_installations": comparison.of_others,
                    "changed_meanwhile": comparison.of_changing,
                    "not_compared": [*reconciliation.without_books()],
                    "is_complete": not why_not,
                    "why_not": why_not,
                    "kinds": kinds,
                }
            )
        )


class _Page(_Report):
    """For people: kind by kind, with what to do."""

    def __init__(self, command: Command) -> None:
        super().__init__(command)
        self.shown: dict[Kind, list[ChargeDifference]] = {kind: [] for kind in Kind}

    def begin(self) -> None:
        if slugs := reconciliation.without_books():
            self.write(f"Not compared, because it keeps no books: {', '.join(slugs)}.")

    def add(self, difference: ChargeDifference) -> None:
        super().add(difference)
        if self.counts[difference.kind] <= SHOWN:
            self.shown[difference.kind].append(difference)

    def end(self, comparison: reconciliation.Comparison, why_not: str) -> None:
        for kind in self.counts:
            self._tell(kind)
        if comparison.of_others:
            self.write(
                f"Passed over: {comparison.of_others} charges of other installations, in the same "
                "account."
            )
        if comparison.of_changing:
            self.write(
                f"Passed over: {comparison.of_changing} differences of payments that changed "
                "meanwhile. Compare again."
            )
        for listed in reconciliation.marked_only(comparison.since):
            self.write(listed)

    def _tell(self, kind: Kind) -> None:
        sums = ", ".join(
            reconciliation.money(amount, currency) for currency, amount in self.sums[kind].items()
        )
        self.write(f"== {self.counts[kind]} x {kind.title}: {sums}")
        self.write(f"   {kind.advice}")
        for difference in self.shown[kind]:
            self.write(str(difference))
            known = "; ".join(f"{name} {text}" for name, text in difference.known.items())
            if known:
                self.write(f"   {known}")
        if self.counts[kind] > SHOWN:
            self.write(f"   … and {self.counts[kind] - SHOWN} more: --json tells all of them.")
