"""What a receiver gets: the published body and headers, signed."""

import json
import uuid
from datetime import UTC, datetime

from standardwebhooks.webhooks import Webhook

from api import clock
from events.models import Integration
from events.services import signing
from events.services.messages import Occurrence, message

INTEGRATION = Integration(
    name="Order paid notification",
    description="Fire an event on order paid",
    url="https://webhook.url",
    secret_key="secret_squirrel",
    signing_secret=signing.new_secret(),
)
PAYLOAD = '{"data": {"type": "order", "id": "1d67160d", "name": "Fräulein \\"Smilla\\""}}'
OCCURRED = datetime(2026, 11, 28, 4, 5, 6, 789012, tzinfo=UTC)
TOLD = Occurrence(uuid.uuid4(), "order.paid", 12, OCCURRED, PAYLOAD)


def sent(told: Occurrence = TOLD, integration: Integration = INTEGRATION, attempt: int = 1):
    headers, body = message(integration, told, attempt=attempt, moment=clock.now())
    return headers, json.loads(body)


def test_the_body_is_the_published_one_with_position_and_moment_beside_it():
    _, body = sent(attempt=3)

    assert body == {
        "id": str(TOLD.event_id),
        "triggered_by": "order.paid",
        "attempt": 3,
        "integration": {
            "id": str(INTEGRATION.pk),
            "integration_type": "webhook",
            "name": "Order paid notification",
            "description": "Fire an event on order paid",
        },
        # The older name has the payload as text.
        "resources": PAYLOAD,
        "payload": json.loads(PAYLOAD),
        "configuration": {"secret_key": "secret_squirrel", "url": "https://webhook.url"},
        "position": 12,
        "occurred_at": "2026-11-28T04:05:06.789012Z",
    }


def test_of_what_was_deleted_both_names_have_its_type_and_id():
    gone = '{"type": "product", "id": "a34a378b"}'

    _, body = sent(TOLD._replace(type="product.deleted", payload=gone))

    assert body["resources"] == body["payload"] == {"type": "product", "id": "a34a378b"}


def test_the_published_headers_tell_the_event_and_the_key():
    headers, _ = sent()

    assert headers["X-MOLTIN-INTEGRATION-TRIGGER"] == "order.paid"
    assert headers["X-MOLTIN-SECRET-KEY"] == "secret_squirrel"


def test_without_a_key_there_is_none():
    integration = Integration(url="https://webhook.url", signing_secret=signing.new_secret())

    headers, body = sent(integration=integration)

    assert "X-MOLTIN-SECRET-KEY" not in headers
    assert body["configuration"] == {"url": "https://webhook.url"}


def test_a_test_says_that_it_is_one_and_nothing_else_does():
    assert sent(TOLD._replace(position=None, is_test=True))[1]["test"] is True
    assert "test" not in sent()[1]


def test_what_is_sent_is_what_was_signed_under_the_event_s_own_id():
    headers, body = message(INTEGRATION, TOLD, attempt=1, moment=clock.now())

    assert headers["webhook-id"] == str(TOLD.event_id)
    verified = Webhook(INTEGRATION.signing_secret).verify(body.decode(), headers)
    assert verified["payload"]["data"]["name"] == 'Fräulein "Smilla"'
