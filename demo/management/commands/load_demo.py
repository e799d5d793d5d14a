import time
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from api import clock
from api.actors import SYSTEM
from backoffice.figures import days
from demo import logins, story
from events.services import mail_settings
from inventory.models import Product
from orders.models import Order
from payments.services import audit


class Command(BaseCommand):
    help = "Fill an empty database with a shop that has a past, and with well-known logins."

    def handle(self, **options: Any) -> None:
        if not settings.HOLDFAST_DEMO:
            raise CommandError("The demo's passwords are public: it needs HOLDFAST_DEMO=1.")
        if Product.objects.exists():
            raise CommandError("There are products already: the demo goes into an empty database.")
        began = time.monotonic()
        story.tell(clock.now())
        # Last, with a commit that waits for the disk, which brings every earlier commit there too.
        logins.create()
        # The past was told to nobody.
        mail_settings.change(
            actor=SYSTEM,
            sender_name="Holdfast demo",
            sender_address="shop@example.com",
            staff=["owner@example.com"],
        )
        audit.run()
        days.add_up()
        self.stdout.write(
            f"  {Product.objects.count()} products and {Order.objects.count()} orders of the last "
            f"{story.DAYS} days, in {time.monotonic() - began:.0f} s"
        )
