"""The messages of gateways: each is kept once, and makes us ask about the payment it names."""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import structlog
from procrastinate.contrib.django import app

from api import clock
from api.transactions import in_transaction
from payments.errors import StillUnderWay
from payments.models import GatewayEvent, Payment
from payments.services import recovery

log = structlog.get_logger(__name__)

# Longer than a request waits for a gateway and writes down what it heard.
_LOOKED_INTO_AGAIN = timedelta(seconds=30)
_LOOKED_INTO_FOR = timedelta(days=3)

# What may have changed a charge, or a refund of it. Any other message is kept and changes nothing.
TELLING = frozenset(
    {
        "payment_intent.succeeded",
        "payment_intent.amount_capturable_updated",
        "payment_intent.payment_failed",
        "payment_intent.canceled",
        "payment_intent.requires_action",
        "charge.refunded",
        "charge.refund.updated",
        "refund.created",
        "refund.updated",
        "refund.failed",
    }
)
# How messages begin that tell of a buyer who wants his money back from his bank.
DISPUTE = "charge.dispute."


@dataclass(frozen=True)
class Message:
    gateway: str
    id: str
    type: str
    # The charge that it is about, as the gateway calls it.
    reference: str
    body: Mapping[str, Any]


@in_transaction
def receive(message: Message) -> None:
    """Keep a message and, if it may have changed something, a job to look into it."""
    now = clock.now()
    payment = _payment_named(message)
    looks_into_it = payment is not None and message.type in TELLING
    _, is_new = GatewayEvent.objects.get_or_create(
        id=message.id,
        defaults={
            "gateway": message.gateway,
            "type": message.type,
            "reference": message.reference,
            "payment": payment,
            "body": message.body,
            "received_at": now,
            "handled_at": None if looks_into_it else now,
        },
    )
    if payment is None and message.type in TELLING:
        log.warning("event_of_unknown_payment", event_id=message.id, reference=message.reference)
    if is_new and message.type.startswith(DISPUTE):
        log.error("payment_disputed", event_id=message.id, reference=message.reference)
    if is_new and looks_into_it:
        _have_looked_into(message.id)


def _payment_named(message: Message) -> Payment | None:
    """Find the payment by its reference, or by what we told the gateway of it beforehand."""
    named = Payment.objects.filter(gateway=message.gateway)
    if message.reference and (payment := named.filter(reference=message.reference).first()):
        return payment
    metadata = message.body["data"]["object"].get("metadata") or {}
    try:
        return named.filter(pk=uuid.UUID(str(metadata.get("payment_id")))).first()
    except ValueError:
        return None


def look_into(event_id: str) -> None:
    """Ask the gateway what it has to say of the payment, and settle that.

    While somebody waits for an answer, that one is theirs to write down. It need not be what the
    message is about, which may be a refund of last week: so it is looked into afterwards, as it is
    when the gateway is silent, less and less often.
    """
    event = GatewayEvent.objects.select_related("payment").get(pk=event_id)
    if event.payment is None:
        return
    try:
        heard = recovery.look_at(event.payment.order_id, event.payment.pk)
    except StillUnderWay:
        heard = False
    age = clock.now() - event.received_at
    if heard or age > _LOOKED_INTO_FOR:
        GatewayEvent.objects.filter(pk=event_id, handled_at=None).update(handled_at=clock.now())
    else:
        log.info("event_looked_into_later", event_id=event_id)
        wait = _LOOKED_INTO_AGAIN + age / 2
        _have_looked_into(event_id, in_seconds=int(wait.total_seconds()))


def _have_looked_into(event_id: str, *, in_seconds: int = 0) -> None:
    look = app.configure_task(
        "payments.jobs.look_into_event",
        queue="payments",
        schedule_in={"seconds": in_seconds} if in_seconds else None,
    )
    look.defer(event_id=event_id)
