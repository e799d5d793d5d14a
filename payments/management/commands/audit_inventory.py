from typing import Any

from django.core.management.base import BaseCommand, CommandError

from payments.services import audit


class Command(BaseCommand):
    help = "Replay the log of every stock and name what differs from stock, orders or payments."

    def handle(self, **options: Any) -> None:
        differences = audit.run()
        for difference in differences:
            self.stdout.write(str(difference))
        if differences:
            number = f"{len(differences)} difference{'' if len(differences) == 1 else 's'}"
            raise CommandError(f"{number} between log, stock, orders and payments.")
        self.stdout.write("Log, stock, orders and payments agree.")
