"""How to talk to those who move the money."""

from django.conf import settings

from payments.errors import GatewayNotFound
from payments.gateways import stripe
from payments.gateways.base import Adapter
from payments.gateways.test import DemoGateway
from payments.models import Payment

# Money that moves outside of Holdfast, in cash or by bank transfer: nobody is asked, and what is
# recorded has happened.
ASKING_NOBODY = frozenset({"manual"})


def adapters() -> dict[str, Adapter]:
    """Every gateway that this server can ask, by slug."""
    able: dict[str, Adapter] = {}
    if settings.STRIPE_SECRET_KEY:
        able["stripe"] = _stripe
    if settings.HOLDFAST_DEMO:
        able["test"] = _test
    return able


_stripe = stripe.StripeGateway()
_test = DemoGateway()


def adapter(slug: str) -> Adapter:
    """Raises: GatewayNotFound."""
    try:
        return adapters()[slug]
    except KeyError as error:
        raise GatewayNotFound from error


def known() -> set[str]:
    """Every gateway that the store may be shown; not each can be used."""
    return {*ASKING_NOBODY, "stripe", *adapters()}


def usable() -> set[str]:
    """Those that can be enabled: the others lack their keys in the environment."""
    lacking = set() if stripe.has_its_keys() else {"stripe"}
    return {*ASKING_NOBODY, *adapters()} - lacking


def asks_outside(payment: Payment) -> bool:
    """Tell whether whoever charges this may have to wait for somebody else."""
    return payment.gateway not in ASKING_NOBODY and adapter(payment.gateway).asks_outside(payment)
