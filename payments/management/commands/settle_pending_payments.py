from typing import Any

from django.core.management.base import BaseCommand

from payments.services import gateway_events, recovery


class Command(BaseCommand):
    help = "Ask the gateways about payments that are still open and settle them by the answer."

    def handle(self, **options: Any) -> None:
        gateway_events.take_up_again()
        settled = recovery.settle_pending()
        self.stdout.write(f"Settled: {settled}.")
