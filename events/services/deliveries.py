"""What people do about deliveries: try an integration, and have it told again."""

import json
import uuid
from datetime import datetime
from typing import Any

from api import changes, clock
from api.actors import Actor
from api.idempotency import Key, claim
from api.ids import uuid7
from api.models import Change
from api.transactions import in_transaction
from events.errors import EventNotKept, IntegrationNotFound, JobNotFound
from events.models import Delivery, Event, Integration, Progress
from events.services import kinds, turns
from events.services.moments import first_since

# The id of no thing: whoever takes a test for an event finds nothing of that name.
_NOBODY = str(uuid.UUID(int=0))


@in_transaction
def send_test(
    integration_id: uuid.UUID, type: str, *, actor: Actor, key: Key | None = None
) -> uuid.UUID:
    """Have an event sent that did not happen, once, also while the integration is disabled.

    Raises: IntegrationNotFound.
    """
    delivery = Delivery(
        integration_id=integration_id,
        origin=Delivery.Origin.TEST,
        event_id=uuid7(),
        type=type,
        payload=json.dumps(_example(type)),
        next_at=clock.now(),
        created_at=clock.now(),
    )
    claim(key, delivery.pk)
    integration = _lock(integration_id)
    delivery.save(force_insert=True)
    _put_on_record(actor, integration, "test", type)
    return delivery.pk


def _example(type: str) -> Any:
    kind, _, change = type.rpartition(".")
    thing = kinds.gone(kind, _NOBODY)
    return thing if change == "deleted" else {"data": thing}


@in_transaction
def resend(delivery_id: uuid.UUID, *, actor: Actor, key: Key | None = None) -> uuid.UUID:
    """Have the event of a delivery sent again, under the id that it had, and as it was then.

    Raises: JobNotFound; IntegrationNotFound; EventNotKept.
    """
    again_id = uuid7()
    claim(key, again_id)
    delivery = Delivery.objects.filter(pk=delivery_id).first()
    if delivery is None:
        raise JobNotFound
    again = turns.again(delivery)
    again.pk = again_id
    integration = _lock(delivery.integration_id)
    if delivery.position is None or not Event.objects.filter(pk=delivery.position).exists():
        raise EventNotKept
    again.save(force_insert=True)
    _put_on_record(actor, integration, "sent_again", f"{delivery.type}, {delivery.position}")
    return again.pk


@in_transaction
def resend_since(
    integration_id: uuid.UUID, since: datetime, *, actor: Actor, key: Key | None = None
) -> None:
    """Have everything sent once more that was numbered at this moment or later, in order.

    Whoever sends now has lost its lease, and goes on from there. Raises: IntegrationNotFound.
    """
    claim(key, integration_id)
    integration = _lock(integration_id)
    progress = Progress.objects.select_for_update(no_key=True).get(pk=integration_id)
    before = first_since(since) - 1
    progress.position = min(progress.position, before)
    progress.leased_by = progress.leased_until = progress.waits_until = None
    progress.save(update_fields=["position", "leased_by", "leased_until", "waits_until"])
    # These come again by themselves.
    Delivery.objects.filter(
        integration=integration, state=Delivery.State.WAITING, position__gt=progress.position
    ).update(state=Delivery.State.GIVEN_UP, next_at=None, ended_at=clock.now())
    _put_on_record(actor, integration, "sent_again_since", since.isoformat())


def _lock(integration_id: uuid.UUID) -> Integration:
    """Raises: IntegrationNotFound."""
    integration = (
        Integration.objects.filter(pk=integration_id).select_for_update(no_key=True).first()
    )
    if integration is None:
        raise IntegrationNotFound
    return integration


def _put_on_record(actor: Actor, integration: Integration, name: str, what: str) -> None:
    states: list[tuple[Integration, changes.State, changes.State]] = [
        (integration, {}, {name: what})
    ]
    changes.record(changes.entries(actor, Change.What.CHANGED, states))
