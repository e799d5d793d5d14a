"""Stripe, in two steps: an unconfirmed intent, whose reference is committed, and its confirmation.

Stripe cannot look up an idempotency key and forgets it after a day. So nothing is learnt from
repeating a call: the result of a charge is read from its intent, that of a refund from the intent's
list of refunds. An intent whose card was declined can still succeed later; a charge has failed only
once its intent is cancelled. docs/payments.md draws it.
"""

import functools
import json
import math
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import stripe
import structlog
from django.conf import settings
from stripe import PaymentIntent, Refund, StripeClient, StripeError

from inventory.services import currencies
from payments.errors import (
    CurrencyNotChargeable,
    NoMessage,
    PaymentTokenRequired,
    SignatureRefused,
)
from payments.gateways import deadline
from payments.gateways.base import (
    UNKNOWN,
    Adapter,
    Answer,
    Booked,
    Dispute,
    Message,
    Outcome,
    Refunded,
)
from payments.models import Attempt, GatewayEvent, Payment

log = structlog.get_logger(__name__)

# How many digits Stripe counts in; every other currency has two.
# https://docs.stripe.com/currencies#zero-decimal (and #three-decimal, #special-cases)
_ZERO_DIGITS = (
    *("BIF", "CLP", "DJF", "GNF", "JPY", "KMF", "KRW", "MGA"),
    *("PYG", "RWF", "VND", "VUV", "XAF", "XOF", "XPF"),
)
_DIGITS = {
    **dict.fromkeys(_ZERO_DIGITS, 0),
    **dict.fromkeys(("BHD", "JOD", "KWD", "OMR", "TND"), 3),
}
# Currencies that have no digits themselves, but for which Stripe wants two zeros.
_WITHOUT_DIGITS = frozenset({"ISK", "UGX"})

_NOT_IN_TIME = "The payment was not completed in time."


class StripeGateway(Adapter):
    keeps_books = True

    def can_be_asked(self) -> bool:
        return bool(settings.STRIPE_SECRET_KEY)

    def is_usable(self) -> bool:
        """Tell whether both keys are set, and not one for test mode and one for real money."""
        secret, publishable = settings.STRIPE_SECRET_KEY, settings.STRIPE_PUBLISHABLE_KEY
        return bool(secret and publishable and _mode(secret) == _mode(publishable))

    def account(self) -> str:
        """Tell the mode: a key does not tell whose it is."""
        return "".join(_mode(settings.STRIPE_SECRET_KEY))

    def require_chargeable(self, payment: Payment) -> None:
        if not payment.token:
            raise PaymentTokenRequired(source="data.payment")
        if currencies.by_code()[payment.currency].decimal_places != _own_digits(payment.currency):
            raise CurrencyNotChargeable

    def can_move(self, amount: int, currency: str) -> bool:
        """Stripe rounds three digits to two."""
        return _DIGITS.get(currency) != 3 or amount % 10 == 0

    # Charging.

    def announce(self, payment: Payment) -> Answer:
        answer = self._announced(payment, str(payment.pk))
        if answer is None:
            # A second intent does no harm: only one whose reference is committed is confirmed.
            answer = self._announced(payment, f"{payment.pk}-again")
        return answer or UNKNOWN

    def _announced(self, payment: Payment, key: str) -> Answer | None:
        """Make the intent by this key. None: Stripe only repeats that it once failed by it."""
        shop = settings.HOLDFAST_INSTALLATION
        try:
            intent = _client().v1.payment_intents.create(
                {
                    "amount": _in_its_digits(payment.amount, payment.currency),
                    "currency": payment.currency.lower(),
                    "capture_method": "manual" if payment.is_authorization else "automatic",
                    "payment_method": payment.token,
                    # No redirects, which 3-D Secure does not need: with them, Stripe confirms no
                    # intent that lacks a page to come back to.
                    "automatic_payment_methods": {"enabled": True, "allow_redirects": "never"},
                    "metadata": {
                        "payment_id": str(payment.pk),
                        "order_id": str(payment.order_id),
                        # Which of several shops of the same account.
                        **({"shop": shop} if shop else {}),
                    },
                },
                {"idempotency_key": key},
            )
        except _UNANSWERED as error:
            log.warning("gateway_silent", payment_id=str(payment.pk), error=_words(error))
            return None if _is_repeated(error) else UNKNOWN
        except StripeError as error:
            # Nothing was made, so nothing can be charged.
            log.warning("gateway_refused", payment_id=str(payment.pk), error=_words(error))
            return Answer(Outcome.FAILED, failure=_words(error))
        return Answer(Outcome.OPEN, intent.id)

    def charge(self, payment: Payment) -> Answer:
        """Confirm the intent: at most once, since a repetition could charge what was given up."""
        try:
            intent = _client().v1.payment_intents.confirm(
                payment.reference, {}, {"idempotency_key": f"{payment.pk}-confirm"}
            )
        except _UNANSWERED as error:
            log.warning("gateway_silent", payment_id=str(payment.pk), error=_words(error))
            return Answer(Outcome.UNKNOWN, payment.reference)
        except StripeError as error:
            return self._ended(payment, Outcome.FAILED, _words(error))
        answer = _answer(intent, payment)
        if answer.outcome is Outcome.OPEN:
            return self._ended(payment, Outcome.FAILED, answer.failure)
        return answer

    def find_charge(self, payment: Payment) -> Answer:
        if not payment.reference:
            # The intent is confirmed only after its reference was committed.
            return Answer(Outcome.FAILED, failure=_NOT_IN_TIME)
        return _answer(_client().v1.payment_intents.retrieve(payment.reference), payment)

    def give_up(self, payment: Payment) -> Answer:
        if not payment.reference:
            return Answer(Outcome.FAILED, failure=_NOT_IN_TIME)
        return self._ended(payment, Outcome.CANCELLED, "")

    def _ended(self, payment: Payment, outcome: Outcome, failure: str) -> Answer:
        """Cancel the intent and answer accordingly or, if it is too late, as the intent stands."""
        try:
            intent = _client().v1.payment_intents.cancel(payment.reference)
        except stripe.InvalidRequestError:
            return _answer(_client().v1.payment_intents.retrieve(payment.reference), payment)
        return Answer(outcome, intent.id, failure or _last_failure(intent) or _NOT_IN_TIME)

    # Captures, voids and refunds.

    def perform(self, attempt: Attempt) -> Answer:
        answer = self._performed(attempt, str(attempt.pk))
        if answer is None and self.find(attempt) is None:
            # Stripe repeats a failure of its own for a day, though it is over and did nothing.
            answer = self._performed(attempt, f"{attempt.pk}-again")
        return answer or UNKNOWN

    def _performed(self, attempt: Attempt, key: str) -> Answer | None:
        """Perform by this key. None: Stripe only repeats that it once failed by that key."""
        try:
            return _PERFORM[Attempt.Kind(attempt.kind)](attempt, key)
        except _UNANSWERED as error:
            log.warning("gateway_silent", attempt_id=str(attempt.pk), error=_words(error))
            return None if _is_repeated(error) else UNKNOWN
        except StripeError as error:
            # Refused, or done before: Stripe's own books say which.
            return self.find(attempt) or Answer(Outcome.FAILED, failure=_words(error))

    def find(self, attempt: Attempt) -> Answer | None:
        return _FIND[Attempt.Kind(attempt.kind)](attempt)

    def refunds(self, payment: Payment) -> Iterator[Refunded]:
        for refund in _refunds(payment) if payment.reference else ():
            amount = _in_our_digits(refund.amount, refund.currency.upper())
            yield Refunded(_our_metadata(refund, "attempt_id"), amount, _refund_answer(refund))

    # For the comparison of the books.

    def booked_since(self, moment: datetime) -> Iterator[Booked]:
        """Yield every charge made since, with what was captured and refunded of it."""
        intents = _client().v1.payment_intents.list(
            {
                "created": {"gte": int(moment.timestamp())},
                "limit": 100,
                "expand": ["data.latest_charge"],
            }
        )
        yield from (_booked(intent) for intent in intents.auto_paging_iter())

    # Messages that Stripe sends unasked.

    def read_message(self, headers: Mapping[str, str], body: bytes) -> Message:
        try:
            text = body.decode()
            _require_signed(text, headers.get("Stripe-Signature", ""))
            return _message(json.loads(text))
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise NoMessage from error

    def dispute(self, event: GatewayEvent) -> Dispute | None:
        if not event.type.startswith(_DISPUTE):
            return None
        about = event.body["data"]["object"]
        event_name = event.type.removeprefix(_DISPUTE).replace("_", " ")
        return Dispute(
            event_name, [str(about.get(name) or "") for name in ("reason", "status", "id")]
        )


def _capture(attempt: Attempt, key: str) -> Answer:
    """Capture the amount; what else was authorized, Stripe lets go by itself."""
    amount = _in_its_digits(attempt.amount, attempt.payment.currency)
    intent = _client().v1.payment_intents.capture(
        attempt.payment.reference, {"amount_to_capture": amount}, {"idempotency_key": key}
    )
    return _let_go_or_taken(intent)


def _void(attempt: Attempt, key: str) -> Answer:
    intent = _client().v1.payment_intents.cancel(
        attempt.payment.reference, {}, {"idempotency_key": key}
    )
    return _let_go_or_taken(intent)


def _refund(attempt: Attempt, key: str) -> Answer:
    refund = _client().v1.refunds.create(
        {
            "payment_intent": attempt.payment.reference,
            "amount": _in_its_digits(attempt.amount, attempt.payment.currency),
            "metadata": {"attempt_id": str(attempt.pk)},
        },
        {"idempotency_key": key},
    )
    return _refund_answer(refund)


def _find_capture(attempt: Attempt) -> Answer | None:
    return _found_ended(attempt, "succeeded", otherwise="The authorization has lapsed.")


def _find_void(attempt: Attempt) -> Answer | None:
    return _found_ended(attempt, "canceled", otherwise="The money was captured already.")


def _found_ended(attempt: Attempt, status: str, *, otherwise: str) -> Answer | None:
    """Answer whether an authorization ended as it should. None: it has not ended."""
    intent = _client().v1.payment_intents.retrieve(attempt.payment.reference)
    if intent.status == "requires_capture":
        return None
    if intent.status == status:
        return _let_go_or_taken(intent)
    return Answer(Outcome.FAILED, intent.id, otherwise)


def _let_go_or_taken(intent: PaymentIntent) -> Answer:
    """Answer for an authorization that was let go or captured, perhaps in part."""
    return Answer(Outcome.SUCCEEDED, intent.id, captured=_received(intent) or None)


def _find_refund(attempt: Attempt) -> Answer | None:
    for refund in _refunds(attempt.payment):
        if _our_metadata(refund, "attempt_id") == str(attempt.pk):
            return _refund_answer(refund)
    return None


def _refunds(payment: Payment) -> Iterator[Refund]:
    refunds = _client().v1.refunds.list({"payment_intent": payment.reference, "limit": 100})
    return refunds.auto_paging_iter()


_PERFORM: Mapping[Attempt.Kind, Callable[[Attempt, str], Answer]] = {
    Attempt.Kind.CAPTURE: _capture,
    Attempt.Kind.VOID: _void,
    Attempt.Kind.REFUND: _refund,
}
_FIND: Mapping[Attempt.Kind, Callable[[Attempt], Answer | None]] = {
    Attempt.Kind.CAPTURE: _find_capture,
    Attempt.Kind.VOID: _find_void,
    Attempt.Kind.REFUND: _find_refund,
}

# Reading Stripe's answers.

# Nobody knows whether the call was carried out. One that is still running elsewhere counts too.
_UNANSWERED = (
    stripe.APIConnectionError,
    stripe.APIError,
    stripe.RateLimitError,
    stripe.IdempotencyError,
)

_OUTCOMES = {
    "succeeded": Outcome.SUCCEEDED,
    "requires_capture": Outcome.SUCCEEDED,
    "requires_action": Outcome.ACTION,
    "requires_confirmation": Outcome.OPEN,
    "requires_payment_method": Outcome.OPEN,
    "canceled": Outcome.CANCELLED,
    "processing": Outcome.UNKNOWN,
}


def _answer(intent: PaymentIntent, payment: Payment) -> Answer:
    outcome = _OUTCOMES.get(intent.status, Outcome.UNKNOWN)
    if outcome is Outcome.ACTION:
        return Answer(outcome, intent.id, action=_action(intent))
    if outcome is Outcome.SUCCEEDED:
        return _answer_of_money(intent, payment)
    return Answer(outcome, intent.id, _last_failure(intent))


def _answer_of_money(intent: PaymentIntent, payment: Payment) -> Answer:
    """Answer what was taken or reserved. An amount other than the payment's needs a person."""
    currency = intent.currency.upper()
    received = _received(intent)
    amount = _in_our_digits(intent.amount_capturable, currency) or received
    is_captured = payment.is_authorization and received > 0
    # A capture may take less than was authorized.
    fits = amount <= payment.amount if is_captured else amount == payment.amount
    if currency != payment.currency or not fits:
        log.error("gateway_has_other_money", payment_id=str(payment.pk), reference=intent.id)
        return Answer(Outcome.UNKNOWN, intent.id)
    if is_captured:
        return Answer(Outcome.CAPTURED, intent.id, captured=received)
    return Answer(Outcome.SUCCEEDED, intent.id)


def _action(intent: PaymentIntent) -> dict[str, Any]:
    """Return what Stripe's own script in the buyer's browser needs to go on."""
    return {
        "client_parameters": {
            "payment_intent": intent.id,
            "client_secret": intent.client_secret,
            "publishable_key": settings.STRIPE_PUBLISHABLE_KEY,
        },
        "next_actions": [_next_action(intent)],
    }


def _next_action(intent: PaymentIntent) -> dict[str, Any]:
    action = intent.next_action
    # Stripe sets only the attribute of the action's kind.
    redirect = getattr(action, "redirect_to_url", None)
    if redirect is not None:
        return {"type": "redirect_to_url", "url": redirect.url}
    return {"type": action.type if action else "use_stripe_sdk"}


def _refund_answer(refund: Refund) -> Answer:
    outcome = {
        "succeeded": Outcome.SUCCEEDED,
        "failed": Outcome.FAILED,
        "canceled": Outcome.FAILED,
    }.get(refund.status or "", Outcome.UNKNOWN)
    return Answer(outcome, refund.id, getattr(refund, "failure_reason", None) or "")


def _our_metadata(stripe_object: PaymentIntent | Refund, name: str) -> str:
    """Read the metadata that we set when the object was made; empty if it is not ours."""
    return getattr(stripe_object.metadata, name, "")


def _last_failure(intent: PaymentIntent) -> str:
    error = intent.last_payment_error
    return (error.message or "")[:500] if error else ""


def _is_repeated(error: StripeError) -> bool:
    return (error.headers or {}).get("Idempotent-Replayed") == "true"


def _words(error: StripeError) -> str:
    return (error.user_message or str(error))[:500]


def _booked(intent: PaymentIntent) -> Booked:
    charge = intent.latest_charge
    refunded = getattr(charge, "amount_refunded", 0)
    currency = intent.currency.upper()
    return Booked(
        reference=intent.id,
        payment_id=_our_metadata(intent, "payment_id"),
        currency=currency,
        authorized=_in_our_digits(intent.amount_capturable, currency),
        captured=_received(intent),
        refunded=_in_our_digits(refunded, currency),
        order_id=_our_metadata(intent, "order_id"),
        shop=_our_metadata(intent, "shop"),
        made_at=datetime.fromtimestamp(intent.created, UTC),
        status=intent.status,
        buyer=_buyer(intent),
    )


def _buyer(intent: PaymentIntent) -> str:
    """Return what Stripe tells of who paid, from the card's form or its own receipt."""
    details = getattr(intent.latest_charge, "billing_details", None)
    told = [getattr(details, "name", None), getattr(details, "email", None)]
    told.append(getattr(intent, "receipt_email", None))
    return ", ".join(dict.fromkeys(each for each in told if each))


# Stripe's messages.

# Messages that may mean a change of a charge or its refunds. Others are kept and change nothing.
_TELLING = frozenset(
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
# The prefix of messages about a buyer who wants the money back from the bank.
_DISPUTE = "charge.dispute."


def _require_signed(body: str, signature: str) -> None:
    """Raises: SignatureRefused, also while no secret is set."""
    secret = settings.STRIPE_WEBHOOK_SECRET
    # Python compares no other text in constant time.
    if not secret or not signature.isascii():
        raise SignatureRefused
    try:
        tolerance = stripe.Webhook.DEFAULT_TOLERANCE
        stripe.WebhookSignature.verify_header(body, signature, secret, tolerance)
    except stripe.SignatureVerificationError as error:
        raise SignatureRefused from error
    # The library looks only for what is too old.
    if _signed_at(signature) > time.time() + tolerance:
        raise SignatureRefused


def _signed_at(signature: str) -> int:
    """Read the moment of a header that has been verified: the first `t`, as it was read there."""
    parts = (part.split("=") for part in signature.split(","))
    return next(int(part[1]) for part in parts if part[0] == "t")


def _why_foreign(event: Any) -> str:
    """Tell why a message is not about what our key charges, if it is not."""
    if event.get("account"):
        return "another account"
    mode, is_live = _mode(settings.STRIPE_SECRET_KEY), event.get("livemode")
    if mode and is_live not in (None, mode == ["live"]):
        return "live mode" if mode == ["test"] else "test mode"
    return ""


def _message(event: Any) -> Message:
    about = event["data"]["object"]
    is_intent = about["object"] == "payment_intent"
    fields = {
        "id": event["id"],
        "type": event["type"],
        "reference": (about["id"] if is_intent else about.get("payment_intent")) or "",
        "payment_id": str((about.get("metadata") or {}).get("payment_id", "")),
    }
    if not all(isinstance(value, str) for value in fields.values()):
        raise NoMessage
    foreign = _why_foreign(event)
    may_have_changed = event["type"] in _TELLING and not foreign
    return Message(**fields, may_have_changed=may_have_changed, body=event, foreign=foreign)


# Stripe's digits and ours.


def _received(intent: PaymentIntent) -> int:
    return _in_our_digits(intent.amount_received, intent.currency.upper())


def _own_digits(currency: str) -> int:
    return 0 if currency in _WITHOUT_DIGITS else _DIGITS.get(currency, 2)


def _in_its_digits(amount: int, currency: str) -> int:
    return amount * 100 if currency in _WITHOUT_DIGITS else amount


def _in_our_digits(amount: int, currency: str) -> int:
    return amount // 100 if currency in _WITHOUT_DIGITS else amount


# Asking Stripe.


def _mode(key: str) -> list[str]:
    """Return the second word of a key: `sk_test_…`, `rk_live_…`, `pk_live_…`."""
    return key.split("_")[1:2]


def _client() -> StripeClient:
    """Return a client that waits no longer than its caller does."""
    seconds = max(1, math.ceil(deadline.seconds_left()))
    return _made_client(settings.STRIPE_SECRET_KEY, settings.STRIPE_API_BASE, seconds)


@functools.lru_cache(maxsize=100)
def _made_client(key: str, api_base: str, seconds: int) -> StripeClient:
    """Make one client per timeout, so that connections are reused; it retries nothing by itself."""
    return StripeClient(
        key,
        base_addresses={"api": api_base} if api_base else None,
        http_client=stripe.RequestsClient(timeout=seconds),
        max_network_retries=0,
    )
