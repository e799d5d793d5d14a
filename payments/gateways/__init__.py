"""How to talk to those who move the money. An adapter answers; it never touches our records."""

from typing import Protocol, cast

from django.conf import settings

from payments.errors import GatewayNotFound
from payments.gateways import test
from payments.gateways.answers import Answer
from payments.models import Attempt, Payment

# Money that moves outside of Holdfast, in cash or by bank transfer: nobody is asked, and what is
# recorded has happened.
ASKING_NOBODY = frozenset({"manual"})


class Adapter(Protocol):
    """Called with no transaction open and no connection held: it may take long."""

    def charge(self, payment: Payment) -> Answer:
        """Purchase or authorize. The payment's id makes a repetition harmless."""

    def perform(self, attempt: Attempt) -> Answer:
        """Capture, void or refund. The attempt's id makes a repetition harmless."""

    def find_charge(self, payment: Payment) -> Answer:
        """Ask what became of a charge that nobody waited for."""

    def find(self, attempt: Attempt) -> Answer | None:
        """Ask what became of a capture, void or refund. None: it never heard of it."""


def adapters() -> dict[str, Adapter]:
    """Every gateway that this server can ask, by slug."""
    return {"test": cast(Adapter, test)} if settings.HOLDFAST_DEMO else {}


def adapter(slug: str) -> Adapter:
    """Raises: GatewayNotFound."""
    try:
        return adapters()[slug]
    except KeyError as error:
        raise GatewayNotFound from error


def known() -> set[str]:
    return {*ASKING_NOBODY, *adapters()}
