"""The messages of gateways: each is kept once, and makes us ask about the payment it names."""

import uuid
from collections.abc import Collection, Iterator, Mapping
from datetime import timedelta

import structlog
from procrastinate.contrib.django import app

from api import clock
from api.fields import storable_json
from api.transactions import in_transaction
from payments import gateways
from payments.errors import GatewayNotFound, NoMessage, StillUnderWay
from payments.gateways.base import Dispute, Message
from payments.models import GatewayEvent, Payment
from payments.services import recovery

log = structlog.get_logger(__name__)

# Longer than a request waits for a gateway and writes down what it heard.
_LOOKED_INTO_AGAIN = timedelta(seconds=30)
_LOOKED_INTO_FOR = timedelta(days=3)

# The longest name that is kept: the type has room for no longer one.
_LENGTH_MAX = 100
# Deeper than any message is nested.
_LEVELS_MAX = 50


def read(gateway: str, headers: Mapping[str, str], body: bytes) -> Message:
    """Read what was sent in a gateway's name, once it is sure that the gateway sent it.

    Raises: GatewayNotFound, also for one that tells nothing by itself; SignatureRefused; NoMessage.
    """
    adapter = gateways.every().get(gateway)
    if adapter is None:
        raise GatewayNotFound
    message = adapter.read_message(headers, body)
    words = [message.id, message.type, message.reference]
    if any(len(word) > _LENGTH_MAX for word in words):
        raise NoMessage
    if not storable_json([*words, message.body], levels=_LEVELS_MAX + 1):
        raise NoMessage
    return message


@in_transaction
def receive(gateway: str, message: Message) -> None:
    """Keep a message and, if it may have changed something, a job to look into it."""
    now = clock.now()
    payment = _payment_named(gateway, message)
    looks_into_it = payment is not None and message.may_have_changed
    event, is_new = GatewayEvent.objects.get_or_create(
        id=message.id,
        defaults={
            "gateway": gateway,
            "type": message.type,
            "reference": message.reference,
            "payment": payment,
            "body": message.body,
            "received_at": now,
            "handled_at": None if looks_into_it else now,
        },
    )
    if payment is None and message.may_have_changed:
        log.warning("event_of_unknown_payment", event_id=message.id, reference=message.reference)
    if is_new and _dispute(event):
        log.error("payment_disputed", event_id=message.id, reference=message.reference)
    if is_new and looks_into_it:
        _have_looked_into(message.id)


def _payment_named(gateway: str, message: Message) -> Payment | None:
    """Find the payment by its reference, or by what we told the gateway of it beforehand."""
    named = Payment.objects.filter(gateway=gateway)
    if message.reference and (payment := named.filter(reference=message.reference).first()):
        return payment
    try:
        return named.filter(pk=uuid.UUID(message.payment_id)).first()
    except ValueError:
        return None


def disputes_of(payments: Collection[Payment]) -> Iterator[tuple[GatewayEvent, Dispute]]:
    """Name the messages about buyers who want their money back from the bank, oldest first."""
    for event in GatewayEvent.objects.filter(payment__in=payments).order_by("received_at"):
        if dispute := _dispute(event):
            yield event, dispute


def _dispute(event: GatewayEvent) -> Dispute | None:
    adapter = gateways.every().get(event.gateway)
    return adapter.dispute(event) if adapter else None


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
