import uuid
from collections.abc import Callable

from payments.gateways.answers import UNKNOWN, Answer, Outcome
from payments.models import Attempt, Payment

OK = Answer(Outcome.SUCCEEDED, reference="ch_1")
DECLINED = Answer(Outcome.FAILED, failure="The card was declined.")


class FakeGateway:
    """A gateway that writes down what it is asked and answers as its test says."""

    asks_outside = True

    def __init__(self) -> None:
        self.charged: list[uuid.UUID] = []
        self.performed: list[tuple[str, int]] = []
        self.on_charge: Callable[[Payment], Answer] = lambda payment: OK
        self.on_perform: Callable[[Attempt], Answer] = lambda attempt: OK
        self.on_find_charge: Callable[[Payment], Answer] = lambda payment: UNKNOWN
        # None: it never heard of the attempt.
        self.on_find: Callable[[Attempt], Answer | None] = lambda attempt: None

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
