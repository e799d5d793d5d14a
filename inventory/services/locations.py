"""Where stock lies. Until there are several locations, the one there is can only be named."""

import uuid
from collections.abc import Mapping
from typing import Any

from api import changes
from api.actors import Actor
from api.transactions import in_transaction
from inventory.models import Location


@in_transaction
def rename(
    location_id: uuid.UUID, name: str, *, actor: Actor, seen: Mapping[str, Any] | None = None
) -> None:
    """`seen` is the name that it had. Raises: Moved."""
    location = Location.objects.select_for_update(no_key=True).get(pk=location_id)
    with changes.recorded(actor, location, seen=seen):
        location.name = name
        location.save(update_fields=["name"])
