"""Stripe's documented test cards, as payment methods (`pm_card_…`) and tokens (`tok_…`)."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Card:
    """How the card behaves when it is charged. A card without an error code is accepted."""

    code: str = ""
    decline_code: str = ""
    message: str = ""
    asks_for_authentication: bool = False


_DECLINED = "Your card was declined."

CARDS = {
    "visa": Card(),
    "mastercard": Card(),
    "chargeDeclined": Card("card_declined", "generic_decline", _DECLINED),
    "chargeDeclinedInsufficientFunds": Card(
        "card_declined", "insufficient_funds", "Your card has insufficient funds."
    ),
    "chargeDeclinedLostCard": Card("card_declined", "lost_card", _DECLINED),
    "chargeDeclinedExpiredCard": Card("expired_card", message="Your card has expired."),
    "chargeDeclinedProcessingError": Card(
        "processing_error",
        message="An error occurred while processing your card. Try again in a little bit.",
    ),
    "threeDSecure2Required": Card(asks_for_authentication=True),
    "authenticationRequired": Card(asks_for_authentication=True),
}


def card(name: str) -> Card | None:
    """Find the card of a payment method or token."""
    return CARDS.get(name.removeprefix("pm_card_").removeprefix("tok_"))
