from typing import Any

from django.core.management.base import BaseCommand, CommandError

from orders.services import audit


class Command(BaseCommand):
    help = "Replay the log of every stock and name what differs from the stock, or from the orders."

    def handle(self, **options: Any) -> None:
        differences = audit.run()
        for difference in differences:
            self.stdout.write(str(difference))
        if differences:
            raise CommandError(f"{len(differences)} differences between log, stock and orders.")
        self.stdout.write("The log agrees with the stock, and the stock with the orders.")
