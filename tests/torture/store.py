"""A site with its first API clients: what the tests and the crowd deal with."""

import uuid
from collections import Counter
from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client

from inventory.models import Product
from payments.models import Gateway, Payment
from tests import factories
from tests.roles import as_owner
from tests.torture import checker
from tests.torture.caller import Entry, Merchant, Shopper
from tests.torture.site import Site

SECRET = "back-office-secret"
# Money that is found too late makes a refund, which recovery takes to the gateway the next time.
ROUNDS_OF_RECOVERY = 5


class Store:
    """The harness works on the database, which it shares with the site's processes."""

    def __init__(self, site: Site) -> None:
        self.site = site
        with as_owner(), connection.cursor() as cursor:
            # The tests empty their own tables, and the jobs' are not among them.
            cursor.execute("TRUNCATE procrastinate_jobs, procrastinate_periodic_defers CASCADE")
        # A database that has only been migrated takes no money yet.
        for slug, name in (("stripe", "Stripe"), ("manual", "Manual")):
            Gateway.objects.update_or_create(slug=slug, defaults={"name": name, "enabled": True})
        self.storefront = factories.api_client(secret="").client_id
        self.back_office = factories.api_client(SECRET).client_id
        self.shopper = Shopper(site.port, self.storefront)
        self.merchant = Merchant(site.port, self.back_office, SECRET)

    def signed_in(self) -> str:
        """Return the session of somebody new; a password would take half a second to hash."""
        desk = Client()
        desk.force_login(User.objects.create_superuser(f"owner-{uuid.uuid4().hex}"))
        return str(desk.cookies[settings.SESSION_COOKIE_NAME].value)

    @property
    def history(self) -> list[Entry]:
        return [*self.shopper.history, *self.merchant.history]

    def order(self, product: Product, quantity: int = 1) -> str:
        """Let the shopper check out a cart with this product."""
        checked_out = self.shopper.order({str(product.pk): quantity})
        assert checked_out.status == 201, checked_out
        return str(checked_out.data["id"])

    def paid(self, order: str, **more: Any) -> str:
        """Let the shopper pay, and return the payment."""
        paying = self.shopper.pay(order, **more)
        assert paying.status == 200, paying
        return str(paying.data["id"])

    def dies_at(self, mark: str, call: Callable[[], Entry]) -> None:
        """Make a call whose server kills itself at the mark, and wait for the next one."""
        self.site.kill_at(mark)
        lost = call()
        assert lost.status is None, lost
        assert self.site.waiting_orders() == []
        self.site.wait_until_ready()

    def worker_dies_at(self, mark: str) -> None:
        """Let a worker do what is waiting, and kill itself at the mark."""
        self.site.kill_at(mark)
        assert self.site.worker_ends() < 0
        assert self.site.waiting_orders() == []

    def payment(self, order: str) -> Payment:
        return Payment.objects.select_related("order").get(order_id=order)

    def recover(self) -> None:
        """Let recovery run, much later, until nothing is open; what remains is a difference."""
        for _ in range(ROUNDS_OF_RECOVERY):
            self.site.recover()
            if not checker.open_money():
                return

    def intent(self, payment: Payment) -> Any:
        """Show what Stripe knows of a payment."""
        known = {intent["id"]: intent for intent in self.site.book()["intents"]}
        return known[payment.reference]

    def moves(self) -> dict[str, int]:
        """Count what Stripe ever did with money, by kind."""
        return dict(Counter(move["kind"] for move in self.site.book()["moves"]))

    def differences(self) -> list[str]:
        """Name what does not agree, in the eyes of the checker and in those of the command."""
        [[status, said]] = self.site.run("reconcile_payments")
        found = checker.differences(self.site.book(), self.history)
        return found if status == 0 else [*found, said or "reconcile_payments has failed"]
