"""How to talk to the gateways, which move the money."""

from django.conf import settings

from payments.errors import GatewayNotFound
from payments.gateways.base import Adapter
from payments.gateways.stripe import StripeGateway
from payments.gateways.test import DemoGateway
from payments.models import Payment

# Money that moves outside of Holdfast, in cash or by bank transfer: no gateway is asked, and what
# is recorded has happened.
ASKING_NOBODY = frozenset({"manual"})

_stripe = StripeGateway()
_test = DemoGateway()


def _offered() -> dict[str, Adapter]:
    """Return every gateway that this server is written for, by slug. Add new gateways here."""
    offered: dict[str, Adapter] = {"stripe": _stripe}
    if settings.HOLDFAST_DEMO:
        offered["test"] = _test
    return offered


def adapters() -> dict[str, Adapter]:
    """Return every gateway that this server can ask, by slug."""
    return {slug: adapter for slug, adapter in _offered().items() if adapter.can_be_asked()}


def adapter(slug: str) -> Adapter:
    """Raises: GatewayNotFound."""
    try:
        return adapters()[slug]
    except KeyError as error:
        raise GatewayNotFound from error


def every() -> dict[str, Adapter]:
    """Return every gateway that has an adapter, by slug, even if its keys are missing."""
    return {**_offered(), **adapters()}


def known() -> set[str]:
    """Return the slugs of the gateways to show to the store; not all of them can be used."""
    return {*ASKING_NOBODY, *every()}


def usable() -> set[str]:
    """Return the slugs that can be enabled: the others lack their keys in the environment."""
    able = {slug for slug, adapter in adapters().items() if adapter.is_usable()}
    return {*ASKING_NOBODY, *able}


def asks_outside(payment: Payment) -> bool:
    """Tell whether charging this payment may mean waiting for an outside system."""
    return payment.gateway not in ASKING_NOBODY and adapter(payment.gateway).asks_outside(payment)
