"""What gateways tell us by themselves. It is only a reason to look: what counts is what they say
when they are asked, so that messages may come late, twice, in any order, or never.
"""

import json
from typing import Any

import stripe
from django.conf import settings
from django.http import HttpRequest, JsonResponse
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from api.errors import BAD_REQUEST, UNAUTHORIZED, Refusal
from api.fields import storable_json
from payments.services import gateway_events
from payments.services.gateway_events import Message

# What Stripe itself allows in a name.
LENGTH_MAX = 100
# Deeper than any message of Stripe.
LEVELS_MAX = 50


class SignatureRefused(Refusal):
    kind = UNAUTHORIZED
    code = "signature_refused"
    detail = "The signature does not fit the message."


class NoMessage(Refusal):
    kind = BAD_REQUEST
    code = "no_message"
    detail = "The body is no message of the gateway."


@csrf_exempt
@require_POST
def stripe_webhook(request: HttpRequest) -> JsonResponse:
    """Verify the raw body, store the message once, answer at once: a worker does the rest."""
    try:
        message = _read(request)
    except Refusal as refusal:
        return JsonResponse({"errors": refusal.entries()}, status=refusal.kind.status)
    gateway_events.receive(message)
    return JsonResponse({"received": True})


def _read(request: HttpRequest) -> Message:
    """Raises: SignatureRefused, also while no secret is set; NoMessage."""
    signature = request.headers.get("Stripe-Signature", "")
    try:
        body = request.body.decode()
        if not settings.STRIPE_WEBHOOK_SECRET:
            raise SignatureRefused
        stripe.WebhookSignature.verify_header(
            body, signature, settings.STRIPE_WEBHOOK_SECRET, stripe.Webhook.DEFAULT_TOLERANCE
        )
        return _message(json.loads(body))
    except stripe.SignatureVerificationError as error:
        raise SignatureRefused from error
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise NoMessage from error


def _message(sent: Any) -> Message:
    about = sent["data"]["object"]
    named = about["id"] if about["object"] == "payment_intent" else about.get("payment_intent")
    words = (sent["id"], sent["type"], named or "")
    if not all(isinstance(word, str) and len(word) <= LENGTH_MAX for word in words):
        raise NoMessage
    if not storable_json(sent, levels=LEVELS_MAX):
        raise NoMessage
    return Message("stripe", *words, body=sent)
