import sys
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from api.actors import COMMAND_LINE
from payments.services import installation


class Command(BaseCommand):
    help = (
        "Let this installation ask its payment gateways, after a backup was restored, the database "
        "was moved, or HOLDFAST_INSTALLATION or a key's mode has changed. It is on record."
    )

    def handle(self, **options: Any) -> None:
        for line in installation.remembered().told():
            self.stdout.write(line)
        if not self._is_typed():
            raise CommandError("Left as it is.")
        installation.open_gateways(actor=COMMAND_LINE)
        self.stdout.write("The gateways may be asked.")

    def _is_typed(self) -> bool:
        word = settings.HOLDFAST_INSTALLATION or "open"
        self.stdout.write(f"Type {word} to go on: ", ending="")
        self.stdout.flush()
        return sys.stdin.readline().strip() == word
