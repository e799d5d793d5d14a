"""What a gateway must be able to do. An adapter answers; it never touches our records."""

from abc import ABC, abstractmethod
from collections.abc import Iterable
from datetime import datetime

from payments.gateways.answers import Answer
from payments.gateways.books import Booked, Refunded
from payments.models import Attempt, Payment


class Adapter(ABC):
    """Asked with no transaction open and no connection held: it may take long.

    Whatever it raises counts as no answer, since the money may have moved.
    """

    def require_chargeable(self, payment: Payment) -> None:  # noqa: B027 - most charge anything
        """Refuse what the gateway could never charge, before any stock is touched.

        Raises: Refusal.
        """

    def asks_outside(self, payment: Payment) -> bool:
        """Tell whether somebody else is asked, who may be slow."""
        return True

    def announce(self, payment: Payment) -> Answer | None:
        """Make a charge known without charging; its reference is committed before `charge`.

        None: this gateway is asked in one step.
        """
        return None

    @abstractmethod
    def charge(self, payment: Payment) -> Answer:
        """Purchase or authorize. The payment's id makes a repetition harmless."""

    def confirm(self, payment: Payment) -> Answer:
        """Go on after the buyer has done what was asked."""
        return self.find_charge(payment)

    @abstractmethod
    def find_charge(self, payment: Payment) -> Answer:
        """Ask what became of a charge that nobody waits for, and change nothing."""

    @abstractmethod
    def give_up(self, payment: Payment) -> Answer:
        """See to it that a charge can never succeed any more, or learn that it already has."""

    @abstractmethod
    def perform(self, attempt: Attempt) -> Answer:
        """Capture, void or refund. The attempt's id makes a repetition harmless."""

    @abstractmethod
    def find(self, attempt: Attempt) -> Answer | None:
        """Ask what became of a capture, void or refund. None: it never heard of it."""

    def refunds(self, payment: Payment) -> Iterable[Refunded]:
        """Name every refund of a charge, also those that somebody made at the gateway itself."""
        return ()

    def booked_since(self, moment: datetime) -> Iterable[Booked]:
        """Name every charge made since, where the gateway keeps books of its own."""
        return ()
