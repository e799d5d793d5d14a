from dataclasses import dataclass

from payments.gateways.answers import Answer


@dataclass(frozen=True)
class Booked:
    """A charge in a gateway's own books, in our smallest unit."""

    reference: str
    # Ours, as we told the gateway; empty for what was charged elsewhere.
    payment_id: str
    currency: str
    # Reserved and not captured.
    authorized: int
    captured: int
    refunded: int


@dataclass(frozen=True)
class Refunded:
    """A refund in a gateway's own books, in our smallest unit."""

    # Ours, as we told the gateway; of no use where somebody else made it.
    attempt_id: str
    amount: int
    answer: Answer
