"""A gateway with books of its own, which does what the machine has drawn."""

import uuid
from dataclasses import dataclass

from payments.gateways.base import Adapter, Answer, Outcome
from payments.models import Attempt, Payment
from tests.model.money import Died, Fate

REFUSED = Answer(Outcome.FAILED, failure="Refused.")
ACTION = Answer(Outcome.ACTION, action={"next_actions": []})


class Silence(Exception):
    """No answer in time."""


@dataclass
class Account:
    """What the bank knows of a payment."""

    authorized: int = 0
    captured: int = 0
    refunded: int = 0
    is_authorization: bool = False
    acting: bool = False
    let_go: bool = False


class Bank(Adapter):
    def __init__(self) -> None:
        self.fate = Fate()
        self.is_silent = False
        self.accounts: dict[uuid.UUID, Account] = {}
        self.answers: dict[uuid.UUID, Answer] = {}
        # What it was asked for that nobody may ask for.
        self.complaints: list[str] = []

    # What moves money.

    def charge(self, payment: Payment) -> Answer:
        if payment.pk in self.accounts:
            self.complaints.append(f"{payment} was charged twice")
        self._lose_the_question()
        account = Account(is_authorization=payment.is_authorization)
        self.accounts[payment.pk] = account
        if self.fate.there == "yes":
            self._pay(account, payment.amount)
        account.acting = self.fate.there == "act"
        self._lose_the_answer()
        return self._charged(payment)

    @staticmethod
    def _pay(account: Account, amount: int) -> None:
        account.acting = False
        if account.is_authorization:
            account.authorized = amount
        else:
            account.captured = amount

    def buyer_acts(self, payment: Payment, *, pays: bool) -> None:
        account = self.accounts[payment.pk]
        account.acting = False
        if pays:
            self._pay(account, payment.amount)

    def perform(self, attempt: Attempt) -> Answer:
        if attempt.pk in self.answers:
            self.complaints.append(f"{attempt} was performed twice")
        self._lose_the_question()
        account = self.accounts.get(attempt.payment_id, Account())
        is_done = self.fate.there == "yes" and self._do(account, attempt)
        answer = Answer(Outcome.SUCCEEDED, f"at_{attempt.pk}") if is_done else REFUSED
        self.answers[attempt.pk] = answer
        self._lose_the_answer()
        return answer

    @staticmethod
    def _do(account: Account, attempt: Attempt) -> bool:
        if attempt.kind == Attempt.Kind.REFUND:
            if attempt.amount > account.captured - account.refunded:
                return False
            account.refunded += attempt.amount
            return True
        if not account.authorized:
            return False
        account.let_go = attempt.kind == Attempt.Kind.VOID
        account.captured = 0 if account.let_go else attempt.amount
        account.authorized = 0
        return True

    def give_up(self, payment: Payment) -> Answer:
        self._be_silent()
        account = self.accounts.setdefault(payment.pk, Account())
        if account.acting:
            account.acting, account.let_go = False, True
        return self._charged(payment)

    # What only asks.

    def find_charge(self, payment: Payment) -> Answer:
        self._be_silent()
        return self._charged(payment)

    def find(self, attempt: Attempt) -> Answer | None:
        self._be_silent()
        return self.answers.get(attempt.pk)

    def _charged(self, payment: Payment) -> Answer:
        account = self.accounts.get(payment.pk, Account())
        reference = f"ch_{payment.pk}"
        if account.acting:
            return ACTION
        if account.let_go:
            return Answer(Outcome.CANCELLED, reference, "Given up.")
        if account.is_authorization and account.captured:
            return Answer(Outcome.CAPTURED, reference, captured=account.captured)
        if account.captured or account.authorized:
            return Answer(Outcome.SUCCEEDED, reference)
        return REFUSED

    # What goes wrong.

    def _lose_the_question(self) -> None:
        if self.fate.is_heard:
            return
        raise Died if "dies" in self.fate.here else Silence

    def _lose_the_answer(self) -> None:
        if self.fate.here == "dies":
            raise Died
        if self.fate.here == "silent":
            raise Silence

    def _be_silent(self) -> None:
        if self.is_silent:
            raise Silence
