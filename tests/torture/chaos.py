"""A random run: a crowd on a site whose processes die and whose gateway is unreliable."""

import concurrent.futures
import http
import multiprocessing
import os
import random
import signal
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from django.db import connection
from procrastinate.contrib.django.models import ProcrastinateJob

from tests.factories import product
from tests.torture import crowd
from tests.torture.caller import Entry
from tests.torture.crowd import Town
from tests.torture.marks import MARKS
from tests.torture.store import SECRET, Store

ROLES = (*[crowd.buy] * 5, *[crowd.keep_shop] * 2, crowd.cancel_orders)
PRODUCTS = 6
STOCK = 100
TOLD_AGAIN = 200
# A worker counts as dead after half a minute, and is looked for every minute.
STALLED_SECONDS = 150
OPERATIONS = ["create_intent", "confirm", "capture", "cancel", "create_refund", "retrieve_intent"]
FAULTS: list[dict[str, Any]] = [
    {"answer": "dropped"},
    {"answer": "dropped", "works": False},
    {"answer": "500"},
    {"answer": "500", "works": False},
    {"answer": "429"},
    {"hold": True},
    {"hold": True, "before": True},
    {"seconds": 1},
]


@dataclass
class Report:
    """What a run was like, and what did not agree at its end."""

    seed: int
    calls: Counter[str]
    deaths: int
    moves: dict[str, int]
    differences: list[str]

    def __str__(self) -> str:
        calls = ", ".join(f"{number} {what}" for what, number in sorted(self.calls.items()))
        moves = ", ".join(f"{number} {what}" for what, number in sorted(self.moves.items()))
        return f"seed {self.seed}: {self.deaths} deaths; calls: {calls}; at the gateway: {moves}"


def run(store: Store, *, seed: int, seconds: float) -> Report:
    """Let the crowd in for so long, then let everything recover, and compare."""
    chance = random.Random(seed)
    town = Town(
        port=store.site.port,
        stripe_url=store.site.stripe_url,
        storefront=store.storefront,
        back_office=store.back_office,
        secret=SECRET,
        products=[str(product(STOCK, price=crowd.PRICE).pk) for _ in range(PRODUCTS)],
        until=time.time() + seconds,
    )
    before = store.site.tell("fallen")
    context = multiprocessing.get_context("fork")
    with ProcessPoolExecutor(len(ROLES), mp_context=context) as people:
        coming = [
            people.submit(role, town, f"{seed} {role.__name__} {number}")
            for number, role in enumerate(ROLES)
        ]
        while town.is_open:
            time.sleep(chance.uniform(0.1, 0.6))
            chance.choices(_TRICKS, _WEIGHTS)[0](store, chance)
            store.site.control("release")
        _calm_down(store)
        history = [entry for one in _all(coming) for entry in one]
    _recover(store, chance)
    store.merchant.history = history
    return Report(
        seed=seed,
        calls=Counter(entry.what for entry in history),
        deaths=store.site.tell("fallen") - before,
        moves=store.moves(),
        differences=store.differences(),
    )


def _all(coming: list[concurrent.futures.Future[list[Entry]]]) -> list[list[Entry]]:
    return [one.result() for one in concurrent.futures.as_completed(coming)]


# What befalls them.


def _order_a_death(store: Store, chance: random.Random) -> None:
    store.site.kill_at(chance.choice(list(MARKS)))


def _kill_somebody(store: Store, chance: random.Random) -> None:
    with suppress(ProcessLookupError, IndexError):
        os.kill(chance.choice(store.site.tell("processes")), signal.SIGKILL)


def _let_the_gateway_fail(store: Store, chance: random.Random) -> None:
    store.site.control(
        "fault",
        operation=chance.choice(OPERATIONS),
        times=chance.randint(1, 3),
        **chance.choice(FAULTS),
    )


def _tell_again(store: Store, chance: random.Random) -> None:
    names = [event["id"] for event in store.site.control("events")]
    chosen = chance.sample(names, min(len(names), 5))
    store.site.control("send_events", names=chosen, times=2, wait=False)


def _let_one_lapse(store: Store, chance: random.Random) -> None:
    held = [one for one in store.site.book()["intents"] if one["status"] == "requires_capture"]
    # It may be captured or voided before that.
    with suppress(OSError, IndexError):
        store.site.control("lapse", intent=chance.choice(held)["id"])


def _let_refunds_take_their_time(store: Store, chance: random.Random) -> None:
    store.site.control("settings", refund_status=chance.choice(["pending", "succeeded"]))


def _end_refunds(store: Store, chance: random.Random) -> None:
    """The banks are done with refunds that were on their way; some came back."""
    for refund in store.site.book()["refunds"]:
        if refund["status"] == "pending":
            status = chance.choices(["succeeded", "failed"], [4, 1])[0]
            store.site.control("set_refund", refund=refund["id"], status=status)


def _use_the_dashboard(store: Store, chance: random.Random) -> None:
    """A merchant captures or refunds at Stripe itself, often not all of it."""
    intents = store.site.book()["intents"]
    # Somebody else may do something about it before that.
    with suppress(OSError, IndexError):
        if chance.random() < 0.5:
            one = chance.choice([one for one in intents if one["amount_capturable"]])
            amount = chance.randint(50, one["amount_capturable"])
            store.site.control("capture_there", intent=one["id"], amount=amount)
        else:
            one = chance.choice([one for one in intents if one["amount_received"]])
            amount = chance.randint(1, one["amount_received"])
            store.site.control("refund_there", intent=one["id"], amount=amount)


def _recover_meanwhile(store: Store, chance: random.Random) -> None:
    # A mark may be reached by recovery as well, and then that is what dies.
    store.site.run("settle_pending_payments", times=2)


_TRICKS: list[Callable[[Store, random.Random], None]] = [
    _order_a_death,
    _kill_somebody,
    _let_the_gateway_fail,
    _tell_again,
    _let_one_lapse,
    _let_refunds_take_their_time,
    _end_refunds,
    _use_the_dashboard,
    _recover_meanwhile,
]
_WEIGHTS = [35, 15, 30, 8, 3, 3, 3, 4, 3]


# Afterwards.


def _calm_down(store: Store) -> None:
    """Nothing goes wrong any more; those who are still waiting get their answers."""
    store.site.withdraw_orders()
    store.site.control("clear_faults")
    store.site.wait_until_ready()


def _recover(store: Store, chance: random.Random) -> None:
    """Tell what nobody heard, and more, in no order; do all jobs; recover; a day later again.

    What Stripe answered with 500 it answers so for a day, whatever it did.
    """
    store.site.wait_until_ready()
    store.site.control("settings", refund_status="succeeded")
    _end_refunds(store, chance)
    _tell_what_was_missed(store, chance)
    _wait_for_stalled_jobs()
    _let_postponed_jobs_come_up()
    store.site.work_off()
    store.recover()
    store.site.control("forget_keys")
    store.recover()
    store.site.work_off()
    store.site.control("forget_events")


def _tell_what_was_missed(store: Store, chance: random.Random) -> None:
    """Stripe repeats a message until it is heard, for days; and others for no reason."""
    heard = {
        delivery["event"]
        for delivery in store.site.control("send_events", names=[])
        if delivery["status"] == http.HTTPStatus.OK
    }
    names = [event["id"] for event in store.site.control("events")]
    missed = [name for name in names if name not in heard]
    told = missed + chance.sample(names, min(len(names), TOLD_AGAIN))
    store.site.control("send_events", names=chance.sample(told, len(told)))


def _let_postponed_jobs_come_up() -> None:
    """Half a minute later, messages are looked into that came while a gateway was being asked."""
    with connection.cursor() as cursor:
        cursor.execute("UPDATE procrastinate_jobs SET scheduled_at = NULL WHERE status = 'todo'")


def _wait_for_stalled_jobs() -> None:
    """Wait until a living worker has taken up what a killed one left behind in the middle."""
    stalled = ProcrastinateJob.objects.filter(status="doing", task_name__startswith="payments.")
    deadline = time.monotonic() + STALLED_SECONDS
    while stalled.exists() and time.monotonic() < deadline:
        time.sleep(0.5)
