"""Who is told of events by webhook, as people and programs set it."""

import uuid
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from api import changes, clock
from api.actors import Actor
from api.idempotency import Key, claim
from api.ids import uuid7
from api.models import Change
from api.transactions import in_transaction
from events.errors import IntegrationNotFound, TooManyIntegrations
from events.models import Delivery, Integration, Progress
from events.services import addresses, closing, feed, kinds, signing

INTEGRATIONS_MAX = 100
# So long after a new secret the one before signs beside it.
OLD_SECRET_SIGNS_FOR = timedelta(hours=24)


def found(integration_id: uuid.UUID) -> Integration:
    """Raises: IntegrationNotFound."""
    integration = Integration.objects.filter(pk=integration_id).first()
    if integration is None:
        raise IntegrationNotFound
    return integration


@in_transaction
def create(
    *,
    name: str,
    url: str,
    observes: Sequence[str],
    actor: Actor,
    description: str = "",
    enabled: bool = False,
    secret_key: str = "",
    key: Key | None = None,
) -> tuple[Integration, str]:
    """Make an integration, which is told of what is numbered from now on; return it and the secret
    that signs its deliveries, which is told to nobody later.

    Raises: TooManyIntegrations.
    """
    now = clock.now()
    integration = Integration(
        id=uuid7(),
        name=name,
        description=description,
        enabled=enabled,
        url=url,
        secret_key=secret_key,
        observes=[*observes],
        signing_secret=signing.new_secret(),
        created_at=now,
        updated_at=now,
    )
    claim(key, integration.pk)
    _require_sound({"url": url, "observes": observes})
    # A lock that had to wait returns the rows that were there before: so they are counted after it.
    _ = list(Integration.objects.order_by("pk").select_for_update(no_key=True))
    if Integration.objects.count() >= INTEGRATIONS_MAX:
        raise TooManyIntegrations
    integration.save(force_insert=True)
    Progress.objects.create(integration=integration, position=feed.last_position())
    if enabled:
        closing.remember()
    changes.created(actor, integration)
    return integration, integration.signing_secret


@in_transaction
def change(
    integration_id: uuid.UUID,
    *,
    actor: Actor,
    seen: Mapping[str, Any] | None = None,
    key: Key | None = None,
    **fields: Any,
) -> None:
    """Change the given fields and leave the rest. `seen` is what stood in some of them.

    Whoever enables one that people had disabled has it told of what comes from now on. One that was
    disabled by itself goes on from where it was.

    Raises: IntegrationNotFound; Moved.
    """
    claim(key, integration_id)
    _require_sound(fields)
    integration = _lock(integration_id)
    with changes.recorded(actor, integration, seen=seen):
        differ = {
            name: value for name, value in fields.items() if getattr(integration, name) != value
        }
        if differ:
            for name, value in differ.items():
                setattr(integration, name, value)
            integration.updated_at = clock.now()
            integration.save(update_fields=[*differ, "updated_at"])
    if "enabled" in differ:
        _begin(integration) if integration.enabled else _stop(integration)
    elif differ.keys() & {"url", "secret_key"}:
        _try_at_once(integration)
    if "observes" in differ:
        _look_anew(integration)


@in_transaction
def renew_secret(integration_id: uuid.UUID, *, actor: Actor, key: Key | None = None) -> str:
    """Replace the secret that signs deliveries and return the new one, told to nobody later.

    The one before signs beside it for a day, so that the receiver can change over meanwhile.

    Raises: IntegrationNotFound.
    """
    claim(key, integration_id)
    integration = _lock(integration_id)
    with changes.recorded(actor, integration, Change.What.SECRET_RENEWED):
        integration.old_signing_secret = integration.signing_secret
        integration.signing_secret = signing.new_secret()
        integration.updated_at = clock.now()
        integration.old_signs_until = integration.updated_at + OLD_SECRET_SIGNS_FOR
        integration.save(
            update_fields=["signing_secret", "old_signing_secret", "old_signs_until", "updated_at"]
        )
    return integration.signing_secret


@in_transaction
def delete(integration_id: uuid.UUID, *, actor: Actor, key: Key | None = None) -> None:
    """Delete an integration. What became of its deliveries stays as long as that of all others.

    Raises: IntegrationNotFound.
    """
    claim(key, integration_id)
    integration = _lock(integration_id, to_delete=True)
    changes.deleted(actor, integration)
    _give_up_what_waits(integration)
    integration.delete()


def _lock(integration_id: uuid.UUID, *, to_delete: bool = False) -> Integration:
    """Raises: IntegrationNotFound."""
    rows = Integration.objects.filter(pk=integration_id)
    integration = rows.select_for_update(no_key=not to_delete).first()
    if integration is None:
        raise IntegrationNotFound
    return integration


def _require_sound(fields: Mapping[str, Any]) -> None:
    """Whoever calls has checked it, and has told people or programs what is wrong with it."""
    assert "url" not in fields or not addresses.fault_of(fields["url"])
    assert {*fields.get("observes", ())} <= kinds.TYPES


def _begin(integration: Integration) -> None:
    """Go on: whoever delivered before has lost its lease, and writes nothing any more."""
    closing.remember()
    progress = _lock_progress(integration)
    if progress.given_up_at is None:
        progress.position = feed.last_position()
    progress.leased_by = progress.leased_until = progress.waits_until = None
    progress.failing_since = progress.given_up_at = None
    progress.given_up_why = ""
    progress.save()
    _wait_no_longer(integration)


def _stop(integration: Integration) -> None:
    progress = _lock_progress(integration)
    progress.leased_by = progress.leased_until = None
    progress.save(update_fields=["leased_by", "leased_until"])
    _give_up_what_waits(integration)


def _try_at_once(integration: Integration) -> None:
    """Wait no longer for what failed: somebody may have mended it by what was changed."""
    progress = _lock_progress(integration)
    progress.waits_until = None
    progress.save(update_fields=["waits_until"])
    _wait_no_longer(integration)


def _look_anew(integration: Integration) -> None:
    """Have the lease taken anew: whoever had it may have passed over what is wanted from now on."""
    progress = _lock_progress(integration)
    progress.leased_by = progress.leased_until = None
    progress.save(update_fields=["leased_by", "leased_until"])


def _lock_progress(integration: Integration) -> Progress:
    return Progress.objects.select_for_update(no_key=True).get(pk=integration.pk)


def _wait_no_longer(integration: Integration) -> None:
    """Have what failed tried now, and not after hours: its receiver may be well again."""
    now = clock.now()
    _waiting(integration).filter(next_at__gt=now).update(next_at=now)


def _give_up_what_waits(integration: Integration) -> None:
    _waiting(integration).update(state=Delivery.State.GIVEN_UP, next_at=None, ended_at=clock.now())


def _waiting(integration: Integration) -> Any:
    return Delivery.objects.filter(integration=integration, state=Delivery.State.WAITING)
