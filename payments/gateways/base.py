"""What a gateway must be able to do, and what it may say. It never touches our records."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import Any

from payments.errors import GatewayNotFound
from payments.models import Attempt, GatewayEvent, Payment


class Outcome(Enum):
    SUCCEEDED = "succeeded"
    # The authorization has been captured, perhaps by somebody at the gateway itself.
    CAPTURED = "captured"
    # Declined, and it can never succeed any more.
    FAILED = "failed"
    # The gateway cancelled the charge or its authorization: it can never succeed any more.
    CANCELLED = "cancelled"
    # The buyer has to do something first, such as 3-D Secure.
    ACTION = "action"
    # Nothing was charged so far, but it could still succeed: it must be finished or given up.
    OPEN = "open"
    # No answer, or one that settles nothing: the gateway must be asked again.
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Answer:
    """What a gateway answered: its own name for what happened, and why it refused."""

    outcome: Outcome
    reference: str = ""
    failure: str = ""
    # How much was captured, which may be less than was authorized. None: all of it.
    captured: int | None = None
    # What a frontend needs for its buyer to act: `client_parameters` and `next_actions`.
    action: Mapping[str, Any] | None = None


SUCCEEDED = Answer(Outcome.SUCCEEDED)
UNKNOWN = Answer(Outcome.UNKNOWN)


@dataclass(frozen=True)
class Booked:
    """A charge in a gateway's own books, in our smallest unit."""

    reference: str
    # Our payment's id, as we told the gateway; empty for what was charged elsewhere.
    payment_id: str
    currency: str
    # The amount that is reserved and not captured.
    authorized: int
    captured: int
    refunded: int
    # What else the gateway tells: our order's id, the installation that charged, when that was,
    # how it stands in the gateway's words, and whose money it is.
    order_id: str = ""
    shop: str = ""
    made_at: datetime | None = None
    status: str = ""
    buyer: str = ""


@dataclass(frozen=True)
class Refunded:
    """A refund in a gateway's own books, in our smallest unit."""

    # Our attempt's id, as we told the gateway; meaningless for a refund that is not ours.
    attempt_id: str
    amount: int
    answer: Answer


@dataclass(frozen=True)
class Message:
    """A message that a gateway sent unasked: a reason to ask it, and never an answer."""

    # The gateway's own name for the message, by which it is kept once.
    id: str
    type: str
    # The gateway's name for the charge that the message is about; empty where it names none.
    reference: str
    # Our payment's id, as we told the gateway; empty where the message does not say.
    payment_id: str
    # Whether a charge, or a refund of it, may have changed. Otherwise the message is only kept.
    may_have_changed: bool
    body: dict[str, Any]
    # Whose it is, if not ours: of another account, or of test mode. It is only kept, and said.
    foreign: str = ""


@dataclass(frozen=True)
class Dispute:
    """What became of a buyer's dispute with the bank, in the gateway's words."""

    what: str
    notes: Sequence[str] = ()


class Adapter(ABC):
    """How to ask a gateway: with no transaction open and no connection held, as it may take long.

    Any exception from it counts as no answer, since the money may have moved.
    """

    # Whether it has books of its own, with which ours can be compared.
    keeps_books = False

    def can_be_asked(self) -> bool:
        """Tell whether this server has the keys to ask, if only about earlier charges."""
        return True

    def is_usable(self) -> bool:
        """Tell whether the store may enable it: no key that a payment needs is missing here."""
        return True

    def account(self) -> str:
        """Tell whose money the keys here move, as far as they tell; empty if they do not."""
        return ""

    def require_chargeable(self, payment: Payment) -> None:  # noqa: B027 - most charge anything
        """Refuse a payment that the gateway could never charge, before any stock is touched.

        Raises: Refusal.
        """

    def can_move(self, amount: int, currency: str) -> bool:
        """Tell whether it could charge, capture or refund exactly so much, without rounding."""
        return True

    def asks_outside(self, payment: Payment) -> bool:
        """Tell whether an outside system is asked, which may be slow."""
        return True

    def announce(self, payment: Payment) -> Answer | None:
        """Make a charge known without charging; its reference is committed before `charge`.

        None: this gateway is asked in one step.
        """
        return None

    @abstractmethod
    def charge(self, payment: Payment) -> Answer:
        """Purchase or authorize. The payment's id makes repeating this harmless."""

    def confirm(self, payment: Payment) -> Answer:
        """Continue after the buyer has done what was asked."""
        return self.find_charge(payment)

    @abstractmethod
    def find_charge(self, payment: Payment) -> Answer:
        """Ask what became of a charge that nobody waits for, and change nothing."""

    @abstractmethod
    def give_up(self, payment: Payment) -> Answer:
        """Make sure that a charge can never succeed any more, or learn that it already has."""

    @abstractmethod
    def perform(self, attempt: Attempt) -> Answer:
        """Capture, void or refund. The attempt's id makes repeating this harmless."""

    @abstractmethod
    def find(self, attempt: Attempt) -> Answer | None:
        """Ask what became of a capture, void or refund. None: the gateway never heard of it."""

    def refunds(self, payment: Payment) -> Iterable[Refunded]:
        """Return every refund of a charge, including those made at the gateway itself."""
        return ()

    def booked_since(self, moment: datetime) -> Iterable[Booked]:
        """Return every charge made since `moment`, where the gateway keeps books."""
        return ()

    def read_message(self, headers: Mapping[str, str], body: bytes) -> Message:
        """Make sure that the gateway sent this, and read it. Headers are found in any case.

        Raises: SignatureRefused, also while there is no secret to verify it by; NoMessage;
        GatewayNotFound by a gateway that sends no messages.
        """
        raise GatewayNotFound

    def dispute(self, event: GatewayEvent) -> Dispute | None:
        """Read a stored message. None: it is not about a dispute."""
        return None
