"""How whoever is told knows that it was this shop: the signatures of Standard Webhooks.

A delivery is signed with the integration's secret and, for a while after a new one was made, with
the one before, so that a receiver may change its own at any moment of these days.
"""

import base64
import hashlib
import hmac
import secrets
from datetime import datetime

from events.models import Integration

_PREFIX = "whsec_"
_BYTES = 32


def new_secret() -> str:
    return _PREFIX + base64.b64encode(secrets.token_bytes(_BYTES)).decode()


def headers(
    integration: Integration, message_id: str, moment: datetime, body: bytes
) -> dict[str, str]:
    timestamp = int(moment.timestamp())
    keys = [integration.signing_secret]
    if integration.old_signs_until and moment < integration.old_signs_until:
        keys.append(integration.old_signing_secret)
    signed = f"{message_id}.{timestamp}.".encode() + body
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": " ".join(_signature(key, signed) for key in keys),
    }


def _signature(secret: str, signed: bytes) -> str:
    key = base64.b64decode(secret.removeprefix(_PREFIX))
    return "v1," + base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()
