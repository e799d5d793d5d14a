from dataclasses import dataclass
from enum import Enum


class Outcome(Enum):
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    # No answer, or none that settles anything: the gateway must be asked again.
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Answer:
    """What a gateway said: its own name for what happened, and why it refused."""

    outcome: Outcome
    reference: str = ""
    failure: str = ""


SUCCEEDED = Answer(Outcome.SUCCEEDED)
UNKNOWN = Answer(Outcome.UNKNOWN)
