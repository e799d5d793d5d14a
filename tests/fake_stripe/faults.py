"""What goes wrong on the way to Stripe and back, when a test says so."""

import threading
from dataclasses import dataclass, field

from tests.fake_stripe.errors import LOCKED, WENT_WRONG

# Answers that are not the one of the work that was done.
DROPPED = "dropped"
ANSWERS = {"500": WENT_WRONG, "429": LOCKED}


@dataclass
class Fault:
    """For the next calls of an operation: wait, do the work or not, and answer or not.

    `answer` is `given` as the work comes out, `dropped` with the connection, `500` or `429`. A 500
    is remembered by the call's key, as Stripe remembers it: the repetition gets a 500 again,
    whether the work was done or not. After a 429 nothing was done and nothing is remembered.
    """

    operation: str = "any"
    times: int = 1
    seconds: float = 0
    hold: bool = False
    # The wait comes before the work, rather than between work and answer.
    before: bool = False
    works: bool = True
    answer: str = "given"

    def __post_init__(self) -> None:
        assert self.answer in ("given", DROPPED, *ANSWERS), self.answer
        if self.answer == "429":
            self.works = False


@dataclass
class Held:
    """A call that waits to be released."""

    operation: str
    object_id: str
    released: threading.Event = field(default_factory=threading.Event)


class Faults:
    def __init__(self) -> None:
        self.condition = threading.Condition()
        self.waiting: list[Fault] = []
        self.held: list[Held] = []

    def add(self, fault: Fault) -> None:
        with self.condition:
            self.waiting.append(fault)

    def take(self, operation: str) -> Fault:
        """Find what is to go wrong with this call, once less often from now on."""
        with self.condition:
            for fault in self.waiting:
                if fault.operation in ("any", operation):
                    fault.times -= 1
                    if not fault.times:
                        self.waiting.remove(fault)
                    return fault
        return Fault()

    def clear(self) -> None:
        with self.condition:
            self.waiting.clear()
        self.release()

    def hold(self, operation: str, object_id: str) -> None:
        """Keep the caller here until the call is released."""
        held = Held(operation, object_id)
        with self.condition:
            self.held.append(held)
            self.condition.notify_all()
        held.released.wait()

    def wait_until_held(self, operation: str, calls: int, seconds: float) -> list[Held]:
        """Wait for so many calls to be held, and say which."""

        def held() -> list[Held]:
            return [one for one in self.held if operation in ("any", one.operation)]

        with self.condition:
            self.condition.wait_for(lambda: len(held()) >= calls, seconds)
            return held()

    def release(self, operation: str = "any") -> int:
        """Let what is held go on; say how many calls that were."""
        with self.condition:
            going = [one for one in self.held if operation in ("any", one.operation)]
            self.held = [one for one in self.held if one not in going]
        for one in going:
            one.released.set()
        return len(going)
