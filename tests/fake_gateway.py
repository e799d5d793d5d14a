import uuid
from collections.abc import Callable

from payments.gateways.base import UNKNOWN, Adapter, Answer, Outcome
from payments.models import Attempt, Payment

OK = Answer(Outcome.SUCCEEDED, reference="ch_1")
DECLINED = Answer(Outcome.FAILED, failure="The card was declined.")


GIVEN_UP = Answer(Outcome.CANCELLED, failure="The payment was not completed in time.")


class FakeGateway(Adapter):
    """A gateway that writes down what it is asked and answers as its test says."""

    def __init__(self) -> None:
        self.charged: list[uuid.UUID] = []
        self.performed: list[tuple[str, int]] = []
        self.on_charge: Callable[[Payment], Answer] = lambda payment: OK
        self.on_perform: Callable[[Attempt], Answer] = lambda attempt: OK
        # None: it is asked in one step.
        self.on_announce: Callable[[Payment], Answer] | None = None
        self.on_give_up: Callable[[Payment], Answer] = lambda payment: GIVEN_UP
        self.on_find_charge: Callable[[Payment], Answer] = lambda payment: UNKNOWN
        # None: it never heard of the attempt.
        self.on_find: Callable[[Attempt], Answer | None] = lambda attempt: None

    def announce(self, payment: Payment) -> Answer | None:
        return self.on_announce(payment) if self.on_announce else None

    def give_up(self, payment: Payment) -> Answer:
        return self.on_give_up(payment)

    def charge(self, payment: Payment) -> Answer:
        self.charged.append(payment.pk)
        return self.on_charge(payment)

    def perform(self, attempt: Attempt) -> Answer:
        self.performed.append((attempt.kind, attempt.amount))
        return self.on_perform(attempt)

    def find_charge(self, payment: Payment) -> Answer:
        return self.on_find_charge(payment)

    def find(self, attempt: Attempt) -> Answer | None:
        return self.on_find(attempt)
