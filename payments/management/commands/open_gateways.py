import sys
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError, CommandParser

from api.actors import COMMAND_LINE
from payments.management.commands.reconcile_payments import COULD_NOT_COMPARE, days
from payments.services import installation, reconciliation


class Command(BaseCommand):
    help = (
        "Let this installation ask its payment gateways, after a backup was restored, the database "
        "was moved, or HOLDFAST_INSTALLATION or a key's mode has changed. It is on record."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--days", type=days, default=7, help="How far back to compare with the gateways (7)."
        )

    def handle(self, *, days: int, **options: Any) -> None:
        remembered = installation.remembered()
        for line in remembered.told():
            self.stdout.write(line)
        if not remembered.why_foreign():
            self._compare(days)
        if not self._is_typed():
            raise CommandError("Left as it is.")
        noted = 0 if remembered.why_foreign() else reconciliation.note_names()
        installation.open_gateways(actor=COMMAND_LINE)
        self.stdout.write(
            f"The gateways may be asked. The worker asks about what is pending, {noted} of it by "
            "names that were lost here."
        )

    def _compare(self, days: int) -> None:
        """Show what differs, which is for whoever types to weigh; without an answer, none may."""
        try:
            call_command("reconcile_payments", days=days, stdout=self.stdout)
        except CommandError as error:
            if error.returncode == COULD_NOT_COMPARE:
                raise
            self.stdout.write(f"{error} Opening changes nothing about them.")

    def _is_typed(self) -> bool:
        word = settings.HOLDFAST_INSTALLATION or "open"
        self.stdout.write(f"Type {word} to open them: ", ending="")
        self.stdout.flush()
        return sys.stdin.readline().strip() == word
