from dataclasses import dataclass


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
