"""A gateway for the demo and the tests. The payment field tells it what to do; no money moves.

docs/frontend.md says what each value does. `slow` and `unknown` keep a buyer waiting as a real
gateway would: `slow` has charged when it is asked again, `unknown` never answers.
"""

import time

from payments.gateways import deadline
from payments.gateways.base import UNKNOWN, Adapter, Answer, Outcome
from payments.models import Attempt, Payment

_DECLINED = Answer(Outcome.FAILED, failure="The card was declined.")
_GIVEN_UP = Answer(Outcome.CANCELLED, failure="The payment was not completed in time.")
_AT_ONCE = {
    "": Outcome.SUCCEEDED,
    "ok": Outcome.SUCCEEDED,
    "decline": Outcome.FAILED,
    "requires_action": Outcome.ACTION,
    "requires_action_decline": Outcome.ACTION,
    "slow": Outcome.UNKNOWN,
    "slow_decline": Outcome.UNKNOWN,
    "unknown": Outcome.UNKNOWN,
}
_ASKED_AGAIN = {**_AT_ONCE, "slow": Outcome.SUCCEEDED, "slow_decline": Outcome.FAILED}
_CONFIRMED = {**_ASKED_AGAIN, "requires_action": Outcome.SUCCEEDED}


class DemoGateway(Adapter):
    def asks_outside(self, payment: Payment) -> bool:
        return payment.token.startswith("slow")

    def charge(self, payment: Payment) -> Answer:
        if payment.token.startswith("slow"):
            time.sleep(deadline.seconds_left())
        return _answer(payment, _AT_ONCE.get(payment.token, Outcome.FAILED))

    def confirm(self, payment: Payment) -> Answer:
        return _answer(payment, _CONFIRMED.get(payment.token, Outcome.FAILED), confirmed=True)

    def find_charge(self, payment: Payment) -> Answer:
        return _answer(payment, _ASKED_AGAIN.get(payment.token, Outcome.FAILED))

    def give_up(self, payment: Payment) -> Answer:
        return _GIVEN_UP

    def perform(self, attempt: Attempt) -> Answer:
        return Answer(Outcome.SUCCEEDED, reference=f"test_{attempt.pk.hex}")

    def find(self, attempt: Attempt) -> Answer | None:
        return None


def _answer(payment: Payment, outcome: Outcome, *, confirmed: bool = False) -> Answer:
    if outcome is Outcome.UNKNOWN:
        return UNKNOWN
    if outcome is Outcome.FAILED or (confirmed and outcome is Outcome.ACTION):
        return _DECLINED
    reference = f"test_{payment.pk.hex}"
    if outcome is Outcome.ACTION:
        action = {
            "client_parameters": {"reference": reference},
            "next_actions": [{"type": "confirm"}],
        }
        return Answer(outcome, reference, action=action)
    return Answer(outcome, reference)
