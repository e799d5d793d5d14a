from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any


class Outcome(Enum):
    SUCCEEDED = "succeeded"
    # What was authorized has been captured, be it by somebody at the gateway itself.
    CAPTURED = "captured"
    # Declined, and it can never succeed any more.
    FAILED = "failed"
    # The gateway let go of it, or of what it had authorized: it can never succeed any more.
    CANCELLED = "cancelled"
    # The buyer has to do something first, such as 3-D Secure.
    ACTION = "action"
    # Nothing was charged so far, and it could still succeed: somebody must finish it or give it up.
    OPEN = "open"
    # No answer, or none that settles anything: the gateway must be asked again.
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Answer:
    """What a gateway said: its own name for what happened, and why it refused."""

    outcome: Outcome
    reference: str = ""
    failure: str = ""
    # How much was captured, which may be less than was authorized. None: all of it.
    captured: int | None = None
    # What a frontend needs for its buyer to act: `client_parameters` and `next_actions`.
    action: Mapping[str, Any] | None = None


SUCCEEDED = Answer(Outcome.SUCCEEDED)
UNKNOWN = Answer(Outcome.UNKNOWN)
