"""The messages of gateways: each is kept once, and makes us ask about the payment it names."""

import uuid
from collections.abc import Collection, Iterator, Mapping
from datetime import timedelta

import structlog
from django.db.models.fields.json import KT
from procrastinate.contrib.django import app
from procrastinate.contrib.django.models import ProcrastinateJob

from api import clock
from api.fields import storable_json
from api.transactions import in_transaction
from payments import gateways
from payments.errors import GatewayNotFound, NoMessage, StillUnderWay
from payments.gateways.base import Dispute, Message
from payments.models import GatewayEvent, Payment
from payments.services import recovery

log = structlog.get_logger(__name__)

# Longer than a request takes to wait for a gateway and write down the answer.
_LOOKED_INTO_AGAIN = timedelta(seconds=30)
_LOOKED_INTO_FOR = timedelta(days=3)
# A message that should have been looked into, and was not for this long, has lost its job.
_LEFT_ALONE = timedelta(minutes=2)
_JOB = "payments.jobs.look_into_event"

# The longest name that is kept: the type's column has room for no more.
_LENGTH_MAX = 100
# More levels than any message has.
_LEVELS_MAX = 50


def read(gateway: str, headers: Mapping[str, str], body: bytes) -> Message:
    """Read a message after making sure that the gateway sent it.

    Raises: GatewayNotFound, also for a gateway that sends none; SignatureRefused; NoMessage.
    """
    adapter = gateways.every().get(gateway)
    if adapter is None:
        raise GatewayNotFound
    message = adapter.read_message(headers, body)
    names = [message.id, message.type, message.reference]
    if not message.id.strip() or any(len(name) > _LENGTH_MAX for name in names):
        raise NoMessage
    # A name stands in lines of the log, and an id in the address of its page.
    if not all(map(str.isprintable, names)):
        raise NoMessage
    if not storable_json([*names, message.body], levels=_LEVELS_MAX + 1):
        raise NoMessage
    return message


@in_transaction
def receive(gateway: str, message: Message) -> None:
    """Store a message and, if something may have changed, a job to look into it."""
    now = clock.now()
    payment = None if message.foreign else _payment_named(gateway, message)
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
    if is_new and message.foreign:
        log.error("event_of_somebody_else", event_id=message.id, whose=message.foreign)
    elif is_new and _dispute(event):
        log.error("payment_disputed", event_id=message.id, reference=message.reference)
    if is_new and looks_into_it:
        _have_looked_into(message.id)


def _payment_named(gateway: str, message: Message) -> Payment | None:
    """Find the payment by its reference, or by the id that we gave the gateway beforehand."""
    payments = Payment.objects.filter(gateway=gateway)
    if message.reference and (payment := payments.filter(reference=message.reference).first()):
        return payment
    try:
        return payments.filter(pk=uuid.UUID(message.payment_id)).first()
    except ValueError:
        return None


def disputes_of(payments: Collection[Payment]) -> Iterator[tuple[GatewayEvent, Dispute]]:
    """Yield the messages about buyers who want their money back from the bank, oldest first."""
    for event in GatewayEvent.objects.filter(payment__in=payments).order_by("received_at"):
        if dispute := _dispute(event):
            yield event, dispute


def _dispute(event: GatewayEvent) -> Dispute | None:
    adapter = gateways.every().get(event.gateway)
    return adapter.dispute(event) if adapter else None


def look_into(event_id: str) -> None:
    """Ask the gateway about the message's payment, and settle what it answers.

    While another process waits for an answer, that process writes it down. Its answer need not
    cover the message, which may be about a refund of last week: so the message is looked into
    later, as it is when the gateway is silent, less and less often.
    """
    event = GatewayEvent.objects.select_related("payment").get(pk=event_id)
    if event.payment is None:
        return
    try:
        answered = recovery.look_at(event.payment.order_id, event.payment.pk)
    except StillUnderWay:
        answered = False
    age = clock.now() - event.received_at
    if answered or age > _LOOKED_INTO_FOR:
        GatewayEvent.objects.filter(pk=event_id, handled_at=None).update(handled_at=clock.now())
    else:
        log.info("event_looked_into_later", event_id=event_id)
        wait = _LOOKED_INTO_AGAIN + age / 2
        _have_looked_into(event_id, in_seconds=int(wait.total_seconds()))


def take_up_again() -> int:
    """Find the messages whose job was lost, in whatever way, and give each another job.

    A gateway that was told that its message has arrived does not send it again.
    """
    waiting = ProcrastinateJob.objects.filter(task_name=_JOB, status="todo")
    waiting = waiting.annotate(event_id=KT("args__event_id"))
    now = clock.now()
    lost = GatewayEvent.objects.filter(
        handled_at=None,
        received_at__lt=now - _LEFT_ALONE,
        # Longer than any is looked into.
        received_at__gt=now - 2 * _LOOKED_INTO_FOR,
    ).exclude(pk__in=waiting.values("event_id"))
    event_ids = list(lost.values_list("pk", flat=True))
    for event_id in event_ids:
        log.warning("event_taken_up_again", event_id=event_id)
        _have_looked_into(event_id)
    return len(event_ids)


def _have_looked_into(event_id: str, *, in_seconds: int = 0) -> None:
    look = app.configure_task(
        _JOB,
        queue="events",
        schedule_in={"seconds": in_seconds} if in_seconds else None,
    )
    look.defer(event_id=event_id)
