"""What Stripe keeps of one account: intents, refunds, and a book of all money that ever moved."""

import secrets
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from tests.fake_stripe import cards
from tests.fake_stripe.cards import Card
from tests.fake_stripe.errors import BadParameters, StripeError, missing, refused
from tests.fake_stripe.forms import Form, choice, flag, metadata, number, require_known, text

# The least that can be charged, where it is not one unit.
LEAST = {"usd": 50, "eur": 50, "gbp": 30, "jpy": 50}
MOST = 99_999_999
# What an amount must be a multiple of: the third decimal cannot be charged, and currencies that
# have lost their decimals are still written with two.
STEPS = {"bhd": 10, "jod": 10, "kwd": 10, "omr": 10, "tnd": 10, "isk": 100, "ugx": 100}

CONFIRMABLE = ("requires_payment_method", "requires_confirmation", "requires_action")
CANCELLABLE = (*CONFIRMABLE, "requires_capture", "processing")


def _id(prefix: str) -> str:
    return f"{prefix}_{secrets.token_hex(12)}"


@dataclass
class Intent:
    amount: int
    currency: str
    capture_method: str
    confirmation_method: str
    metadata: dict[str, str]
    description: str | None
    may_redirect: bool
    created: int
    id: str = field(default_factory=lambda: _id("pi"))
    status: str = "requires_payment_method"
    payment_method: str | None = None
    is_authenticated: bool = False
    amount_capturable: int = 0
    amount_received: int = 0
    latest_charge: str | None = None
    last_payment_error: dict[str, Any] | None = None
    next_action: dict[str, Any] | None = None
    canceled_at: int | None = None
    cancellation_reason: str | None = None

    def shown(self) -> dict[str, Any]:
        hidden = ("may_redirect", "is_authenticated")
        return {
            "object": "payment_intent",
            "client_secret": f"{self.id}_secret_{self.id[-8:]}",
            "livemode": False,
            "payment_method_types": ["card"],
            **{name: value for name, value in vars(self).items() if name not in hidden},
        }


@dataclass
class Refund:
    amount: int
    currency: str
    payment_intent: str
    charge: str | None
    metadata: dict[str, str]
    reason: str | None
    created: int
    status: str
    id: str = field(default_factory=lambda: _id("re"))
    failure_reason: str | None = None

    def shown(self) -> dict[str, Any]:
        return {"object": "refund", **vars(self)}

    @property
    def counts(self) -> bool:
        return self.status in ("pending", "succeeded")


class Account:
    """Every operation is atomic. What happens is told as an event, and what moved is booked."""

    def __init__(self, tell: Callable[[str, dict[str, Any]], None]) -> None:
        self.tell = tell
        self.lock = threading.RLock()
        self.intents: dict[str, Intent] = {}
        self.refunds: dict[str, Refund] = {}
        self.moves: list[dict[str, Any]] = []
        # What a new refund is: `succeeded` as for most cards, or `pending`.
        self.refund_status = "succeeded"

    # The calls.

    def create_intent(self, form: Form) -> dict[str, Any]:
        require_known(
            form,
            *("amount", "currency", "capture_method", "confirmation_method", "metadata"),
            *("description", "payment_method", "payment_method_data", "payment_method_types"),
            "automatic_payment_methods",
        )
        currency = text(form, "currency").lower()
        intent = Intent(
            amount=_amount(form, currency),
            currency=currency,
            capture_method=choice(form, "capture_method", "automatic_async", "automatic", "manual"),
            confirmation_method=choice(form, "confirmation_method", "automatic", "manual"),
            metadata=metadata(form),
            description=form.get("description"),
            may_redirect=_may_redirect(form),
            created=int(time.time()),
        )
        _take_card(intent, form)
        self.intents[intent.id] = intent
        self._told("payment_intent.created", intent)
        return intent.shown()

    def retrieve_intent(self, form: Form, intent_id: str) -> dict[str, Any]:
        require_known(form, "expand")
        intent = self._intent(intent_id)
        return self._expanded(intent.shown(), form, "latest_charge")

    def list_intents(self, form: Form) -> dict[str, Any]:
        require_known(form, "created", "limit", "starting_after", "expand")
        found = [one for one in self.intents.values() if _is_within(one.created, form)]
        page = _page("/v1/payment_intents", form, found, "payment_intent")
        page["data"] = [self._expanded(one, form, "data.latest_charge") for one in page["data"]]
        return page

    def confirm(self, form: Form, intent_id: str) -> dict[str, Any]:
        require_known(form, "payment_method", "payment_method_data", "return_url")
        intent = self._intent(intent_id)
        _require_status(intent, "confirmed", *CONFIRMABLE)
        _take_card(intent, form)
        if intent.payment_method is None:
            raise _unexpected(
                intent,
                "You cannot confirm this PaymentIntent because it's missing a payment method.",
            )
        if intent.may_redirect and "return_url" not in form:
            raise BadParameters(
                "This PaymentIntent is configured to accept payment methods enabled in your "
                "Dashboard. Because some of these payment methods might redirect your customer off "
                "of your page, you must provide a `return_url`. If you don't want to accept "
                "redirect-based payment methods, set `automatic_payment_methods[enabled]` to "
                "`true` and `automatic_payment_methods[allow_redirects]` to `never`.",
                param="return_url",
            )
        card = cards.card(intent.payment_method)
        assert card is not None
        if card.code:
            raise self._declined(intent, card)
        if card.asks_for_authentication and not intent.is_authenticated:
            self._ask_for_authentication(intent, form.get("return_url"))
        else:
            self._charge(intent)
        return intent.shown()

    def capture(self, form: Form, intent_id: str) -> dict[str, Any]:
        require_known(form, "amount_to_capture", "metadata")
        intent = self._intent(intent_id)
        _require_status(intent, "captured", "requires_capture")
        amount = number(form, "amount_to_capture", intent.amount_capturable)
        if amount > intent.amount_capturable:
            raise refused(
                "The requested capture amount is greater than the amount you can capture for this "
                "charge.",
                code="amount_too_large",
                param="amount_to_capture",
            )
        intent.status = "succeeded"
        intent.amount_received, intent.amount_capturable = amount, 0
        self._book("capture", intent, amount)
        self._told("charge.captured", intent)
        self._told("payment_intent.succeeded", intent)
        return intent.shown()

    def cancel(self, form: Form, intent_id: str) -> dict[str, Any]:
        require_known(form, "cancellation_reason")
        reasons = ("duplicate", "fraudulent", "requested_by_customer", "abandoned")
        reason = choice(form, "cancellation_reason", *reasons) if form else None
        intent = self._intent(intent_id)
        _require_status(intent, "canceled", *CANCELLABLE)
        self._cancel(intent, reason)
        return intent.shown()

    def create_refund(self, form: Form) -> dict[str, Any]:
        require_known(form, "payment_intent", "amount", "reason", "metadata")
        intent = self._intent(text(form, "payment_intent"), param="payment_intent")
        if intent.status != "succeeded":
            raise refused(
                f"This PaymentIntent ({intent.id}) does not have a successful charge to refund."
            )
        left = self._refundable(intent)
        amount = number(form, "amount", left or 1)
        if not left:
            raise refused(
                f"Charge {intent.latest_charge} has already been refunded.",
                code="charge_already_refunded",
            )
        if amount > left:
            raise refused(
                f"Refund amount ({amount}) is greater than unrefunded amount on charge ({left})",
                param="amount",
            )
        refund = Refund(
            amount=amount,
            currency=intent.currency,
            payment_intent=intent.id,
            charge=intent.latest_charge,
            metadata=metadata(form),
            reason=form.get("reason"),
            created=int(time.time()),
            status=self.refund_status,
        )
        self.refunds[refund.id] = refund
        self._book("refund", intent, amount, refund=refund.id, **refund.metadata)
        self._told("charge.refunded", intent)
        self._told("refund.created", refund)
        return refund.shown()

    def retrieve_refund(self, form: Form, refund_id: str) -> dict[str, Any]:
        require_known(form)
        if refund_id not in self.refunds:
            raise missing("refund", refund_id, param="id")
        return self.refunds[refund_id].shown()

    def list_refunds(self, form: Form) -> dict[str, Any]:
        require_known(form, "payment_intent", "created", "limit", "starting_after")
        wanted = form.get("payment_intent")
        if wanted is not None:
            self._intent(wanted, param="payment_intent")
        found = [
            refund
            for refund in self.refunds.values()
            if wanted in (None, refund.payment_intent) and _is_within(refund.created, form)
        ]
        return _page("/v1/refunds", form, found, "refund")

    # What buyers, banks and time do.

    def authenticate(self, intent: str, *, succeeds: bool = True) -> dict[str, Any]:
        """The buyer comes back from 3-D Secure."""
        found = self._intent(intent)
        _require_status(found, "authenticated", "requires_action")
        found.next_action = None
        if not succeeds:
            self._decline(
                found,
                {
                    "type": "invalid_request_error",
                    "code": "payment_intent_authentication_failure",
                    "message": "The provided PaymentMethod has failed authentication.",
                },
            )
            return found.shown()
        found.is_authenticated = True
        if found.confirmation_method == "manual":
            found.status = "requires_confirmation"
        else:
            self._charge(found)
        return found.shown()

    def lapse(self, intent: str) -> dict[str, Any]:
        """The bank lets an authorization go that nobody captured in time."""
        found = self._intent(intent)
        _require_status(found, "expired", "requires_capture")
        self._told("charge.expired", found)
        self._cancel(found, "automatic", kind="lapse")
        return found.shown()

    def set_refund(self, refund: str, *, status: str) -> dict[str, Any]:
        """The bank is done with a refund: `succeeded`, `failed`."""
        found = self.refunds[refund]
        found.status = status
        if status == "failed":
            found.failure_reason = "lost_or_stolen_card"
            intent = self.intents[found.payment_intent]
            self._book("refund_failed", intent, found.amount, refund=found.id, **found.metadata)
        self._told("refund.failed" if status == "failed" else "refund.updated", found)
        return found.shown()

    def book(self) -> dict[str, Any]:
        """Show all that moved, in order, and where every intent and refund stands now."""
        with self.lock:
            return {
                "moves": list(self.moves),
                "intents": [
                    intent.shown() | {"refunded": intent.amount_received - self._refundable(intent)}
                    for intent in self.intents.values()
                ],
                "refunds": [refund.shown() for refund in self.refunds.values()],
            }

    # What an intent can go through.

    def _charge(self, intent: Intent) -> None:
        intent.latest_charge = _id("ch")
        intent.last_payment_error = intent.next_action = None
        if intent.capture_method == "manual":
            intent.status = "requires_capture"
            intent.amount_capturable = intent.amount
            self._book("authorize", intent, intent.amount)
            self._told("payment_intent.amount_capturable_updated", intent)
        else:
            intent.status = "succeeded"
            intent.amount_received = intent.amount
            self._book("charge", intent, intent.amount)
            self._told("charge.succeeded", intent)
            self._told("payment_intent.succeeded", intent)

    def _declined(self, intent: Intent, card: Card) -> StripeError:
        error = {"type": "card_error", "code": card.code, "message": card.message}
        if card.decline_code:
            error["decline_code"] = card.decline_code
        self._decline(intent, error)
        kind, message = error.pop("type"), error.pop("message")
        return StripeError(
            402, kind, message, charge=intent.latest_charge, payment_intent=intent.shown(), **error
        )

    def _decline(self, intent: Intent, error: dict[str, Any]) -> None:
        """The intent stays open: another card, or the same one, may succeed yet."""
        intent.latest_charge = _id("ch")
        intent.status = "requires_payment_method"
        intent.last_payment_error = dict(error)
        intent.payment_method = None
        self._book("decline", intent, intent.amount)
        self._told("charge.failed", intent)
        self._told("payment_intent.payment_failed", intent)

    def _ask_for_authentication(self, intent: Intent, return_url: str | None) -> None:
        intent.status = "requires_action"
        page = f"https://hooks.stripe.com/3d_secure_2/{intent.id}"
        intent.next_action = (
            {"type": "redirect_to_url", "redirect_to_url": {"url": page, "return_url": return_url}}
            if return_url
            else {"type": "use_stripe_sdk", "use_stripe_sdk": {"type": "three_d_secure_redirect"}}
        )
        self._told("payment_intent.requires_action", intent)

    def _cancel(self, intent: Intent, reason: str | None, *, kind: str = "void") -> None:
        """Let go what was authorized. Stripe makes no refund of it since 2025-03-31."""
        if intent.status == "requires_capture":
            self._book(kind, intent, intent.amount_capturable)
        intent.status, intent.cancellation_reason = "canceled", reason
        intent.amount_capturable, intent.next_action = 0, None
        intent.canceled_at = int(time.time())
        self._told("payment_intent.canceled", intent)

    def _intent(self, intent_id: str, *, param: str = "intent") -> Intent:
        if intent_id not in self.intents:
            raise missing("payment_intent", intent_id, param=param)
        return self.intents[intent_id]

    def _expanded(self, shown: dict[str, Any], form: Form, name: str) -> dict[str, Any]:
        """Put the charge itself in the place of its id, if that is asked."""
        for wanted in form.get("expand", {}).values():
            if wanted != name:
                raise BadParameters(f"This property cannot be expanded ({wanted}).", param="expand")
            intent = self.intents[shown["id"]]
            if intent.latest_charge:
                shown["latest_charge"] = self._charge_shown(intent)
        return shown

    def _charge_shown(self, intent: Intent) -> dict[str, Any]:
        return {
            "id": intent.latest_charge,
            "object": "charge",
            "amount": intent.amount,
            "amount_captured": intent.amount_received,
            "amount_refunded": intent.amount_received - self._refundable(intent),
            "captured": bool(intent.amount_received),
            "currency": intent.currency,
            "metadata": dict(intent.metadata),
            "paid": intent.status in ("succeeded", "requires_capture"),
            "payment_intent": intent.id,
        }

    def _refundable(self, intent: Intent) -> int:
        refunds = (one for one in self.refunds.values() if one.payment_intent == intent.id)
        return intent.amount_received - sum(one.amount for one in refunds if one.counts)

    def _book(self, kind: str, intent: Intent, amount: int, **more: str) -> None:
        entry = {"kind": kind, "intent": intent.id, "amount": amount, "currency": intent.currency}
        self.moves.append({**entry, **intent.metadata, **more})

    def _told(self, kind: str, what: Intent | Refund) -> None:
        if kind.startswith("charge.") and isinstance(what, Intent):
            self.tell(kind, self._charge_shown(what))
        else:
            self.tell(kind, what.shown())


def _amount(form: Form, currency: str) -> int:
    amount = number(form, "amount")
    if amount < LEAST.get(currency, 1):
        raise BadParameters(
            "Amount must be no less than the minimum.", code="amount_too_small", param="amount"
        )
    if amount > MOST:
        raise BadParameters(
            f"Amount must be no more than {MOST}", code="amount_too_large", param="amount"
        )
    if amount % STEPS.get(currency, 1):
        raise BadParameters(
            f"Invalid amount: must be evenly divisible by {STEPS[currency]}.", param="amount"
        )
    return amount


def _may_redirect(form: Form) -> bool:
    """Whether the buyer may be sent elsewhere: yes, unless it is said otherwise."""
    if "payment_method_types" in form:
        kinds = form["payment_method_types"]
        if list(kinds.values()) != ["card"]:
            raise BadParameters("Only cards are faked.", param="payment_method_types")
        return False
    automatic = form.get("automatic_payment_methods") or {"enabled": "true"}
    if not flag(automatic, "enabled"):
        return False
    return choice(automatic, "allow_redirects", "always", "never") == "always"


def _take_card(intent: Intent, form: Form) -> None:
    given = form.get("payment_method")
    if data := form.get("payment_method_data"):
        choice(data, "type", "card")
        given = text(data.get("card") or {}, "token")
    if given is None:
        return
    if cards.card(given) is None:
        raise missing("PaymentMethod", given, param="payment_method", status=400)
    if given != intent.payment_method:
        intent.is_authenticated = False
    intent.payment_method = given
    if intent.status == "requires_payment_method":
        intent.status = "requires_confirmation"


def _require_status(intent: Intent, done: str, *statuses: str) -> None:
    if intent.status not in statuses:
        raise _unexpected(
            intent,
            f"This PaymentIntent could not be {done} because it has a status of {intent.status}. "
            f"Only a PaymentIntent with one of the following statuses may be {done}: "
            f"{', '.join(statuses)}.",
        )


def _unexpected(intent: Intent, message: str) -> StripeError:
    return refused(message, code="payment_intent_unexpected_state", payment_intent=intent.shown())


_COMPARISONS: dict[str, Callable[[int, int], bool]] = {
    "gt": lambda created, than: created > than,
    "gte": lambda created, than: created >= than,
    "lt": lambda created, than: created < than,
    "lte": lambda created, than: created <= than,
}


def _is_within(created: int, form: Form) -> bool:
    asked = form.get("created", {})
    if isinstance(asked, str):
        return created == int(asked)
    require_known(asked, *_COMPARISONS)
    return all(_COMPARISONS[name](created, int(than)) for name, than in asked.items())


def _page(url: str, form: Form, found: Iterable[Intent | Refund], kind: str) -> dict[str, Any]:
    """List the newest first, from after the one named on."""
    limit = number(form, "limit", 10)
    if limit > 100:
        raise BadParameters("Limit must be at most 100.", param="limit")
    newest_first = [one.shown() for one in reversed(list(found))]
    if after := form.get("starting_after"):
        ids = [one["id"] for one in newest_first]
        if after not in ids:
            raise missing(kind, after, param="starting_after", status=400)
        newest_first = newest_first[ids.index(after) + 1 :]
    return {
        "object": "list",
        "url": url,
        "has_more": len(newest_first) > limit,
        "data": newest_first[:limit],
    }
