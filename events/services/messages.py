"""What a receiver gets: the published body and headers, and what signs them."""

import json
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from api.clock import at
from events.models import Integration
from events.services import signing


class Occurrence(NamedTuple):
    """An event, or a test of one, as it is told to one integration."""

    event_id: UUID
    type: str
    position: int | None
    occurred_at: datetime
    # JSON.
    payload: str
    is_test: bool = False


def message(
    integration: Integration, told: Occurrence, *, attempt: int, moment: datetime
) -> tuple[dict[str, str], bytes]:
    """Return headers and body of one attempt to tell it, signed at this moment."""
    body = _body(integration, told, attempt).encode()
    headers = {"X-MOLTIN-INTEGRATION-TRIGGER": told.type}
    if integration.secret_key:
        headers["X-MOLTIN-SECRET-KEY"] = integration.secret_key
    return headers | signing.headers(integration, str(told.event_id), moment, body), body


def _body(integration: Integration, told: Occurrence, attempt: int) -> str:
    configuration = {"url": integration.url}
    if integration.secret_key:
        configuration["secret_key"] = integration.secret_key
    document = {
        "id": str(told.event_id),
        "triggered_by": told.type,
        "attempt": attempt,
        "integration": {
            "id": str(integration.pk),
            "integration_type": integration.integration_type,
            "name": integration.name,
            "description": integration.description,
        },
        "configuration": configuration,
        "position": told.position,
        "occurred_at": at(told.occurred_at),
    }
    if told.is_test:
        document["test"] = True
    # The payload goes in as it is kept. The older name for it has it as text, unless it says no
    # more than what was deleted.
    resources = json.dumps(told.payload) if "data" in json.loads(told.payload) else told.payload
    begins = json.dumps(document, ensure_ascii=False)[:-1]
    return f'{begins}, "resources": {resources}, "payload": {told.payload}}}'
