"""A gateway for the demo and the tests. The payment field tells it what to do; no money moves.

`ok` succeeds and `decline` is declined. `unknown` and `unknown_decline` give no answer in time;
asked again, the gateway says that the charge succeeded, or that it was declined.
"""

from payments.gateways.answers import UNKNOWN, Answer, Outcome
from payments.models import Attempt, Payment

_DECLINED = Answer(Outcome.FAILED, failure="The card was declined.")
_IN_TIME = {"ok": Outcome.SUCCEEDED, "": Outcome.SUCCEEDED, "decline": Outcome.FAILED}
_LATER = {"unknown": Outcome.SUCCEEDED}


def charge(payment: Payment) -> Answer:
    if payment.token.startswith("unknown"):
        return UNKNOWN
    return _answer(payment, _IN_TIME.get(payment.token, Outcome.FAILED))


def perform(attempt: Attempt) -> Answer:
    return Answer(Outcome.SUCCEEDED, reference=f"test_{attempt.pk.hex}")


def find_charge(payment: Payment) -> Answer:
    return _answer(payment, {**_IN_TIME, **_LATER}.get(payment.token, Outcome.FAILED))


def find(attempt: Attempt) -> Answer | None:
    return None


def _answer(payment: Payment, outcome: Outcome) -> Answer:
    if outcome is Outcome.FAILED:
        return _DECLINED
    return Answer(outcome, reference=f"test_{payment.pk.hex}")
