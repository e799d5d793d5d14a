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
from dataclasses import dataclass, field
from typing import Any

from django.db import connection, connections
from django.db.models import Q
from procrastinate.contrib.django.models import ProcrastinateJob

from tests.factories import product
from tests.torture import check_history, crowd
from tests.torture import hearing as hearing_of
from tests.torture.caller import Entry
from tests.torture.cluster import Cluster
from tests.torture.crowd import Town
from tests.torture.hearing import Hearing
from tests.torture.history import Record
from tests.torture.marks import MARKS
from tests.torture.store import SECRET, Store

ROLES = (
    *[crowd.buy] * 5,
    *[crowd.keep_shop] * 2,
    crowd.cancel_orders,
    *[crowd.count] * 2,
    crowd.watch,
)
# How many there are of each product at first: some are short all the time, some never.
STOCKS = [3, 6, 12, 30, 100, 100]
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
    # By what was asked for, and how it ended: done, refused, or without an answer.
    calls: Counter[tuple[str, str]]
    # What died, was stopped, or was cut.
    deaths: Counter[str]
    # What those who are told of it have heard, and how much of it again.
    heard: Counter[str]
    # What Stripe's stand-in did with money.
    moves: Counter[str]
    differences: list[str]

    def __str__(self) -> str:
        calls: Counter[str] = Counter()
        for (what, _), number in self.calls.items():
            calls[what] += number
        return (
            f"seed {self.seed}: {_counted(self.deaths) or 'no deaths'}; "
            f"calls: {_counted(calls)}; at the gateway: {_counted(self.moves)}; "
            f"told: {_counted(self.heard) or 'nobody'}"
        )


def _counted(numbers: Counter[str]) -> str:
    return ", ".join(f"{number} {what}" for what, number in sorted(numbers.items()))


def run(store: Store, *, seed: int, seconds: float, cluster: Cluster | None = None) -> Report:
    """Let the crowd in for so long, then let everything recover, and compare.

    With a cluster of servers behind the site, they die too.
    """
    chance = random.Random(seed)
    record = Record(store.site.folder / f"run-{seed}")
    products = stocked(record, STOCKS)
    people = {f"{seed} {role.__name__} {number}": role for number, role in enumerate(ROLES)}
    town = Town(
        port=store.site.port,
        stripe_url=store.site.stripe_url,
        storefront=store.storefront,
        back_office=store.back_office,
        secret=SECRET,
        sessions={name: store.signed_in() for name, role in people.items() if role is crowd.count},
        products=products,
        history=str(record.path),
        until=time.time() + seconds,
    )
    hearing = Hearing(chance) if store.site.tell("processes", kind="worker") else None
    harm = Harm(store, chance, cluster, hearing)
    before = Counter(store.site.tell("fallen"))
    context = multiprocessing.get_context("fork")
    with ProcessPoolExecutor(len(people), mp_context=context) as pool:
        coming = [pool.submit(role, town, name) for name, role in people.items()]
        while town.is_open:
            time.sleep(chance.uniform(0.1, 0.6))
            harm.do_some(1 - (town.until - time.time()) / seconds)
            store.site.control("release")
        harm.end()
        history = [entry for one in _all(coming) for entry in one]
    recover(store, chance)
    store.merchant.history = history
    differences = [*store.differences(), *_of_telling(hearing)]
    heard = hearing.heard() if hearing else Counter[str]()
    if hearing:
        hearing.end()
    record.close(store.merchant, seed, products)
    return Report(
        seed=seed,
        calls=Counter((entry.what, entry.type) for entry in history),
        deaths=harm.done + Counter(store.site.tell("fallen")) - before,
        heard=heard,
        moves=Counter(store.moves()),
        differences=[*differences, *check_history.complaints(record.folder)],
    )


def _of_telling(hearing: Hearing | None) -> list[str]:
    """Name what the feed does not have as it was, and who has not heard of it."""
    return hearing.differences() if hearing else hearing_of.differences_of_feed()


def stocked(record: Record, stocks: list[int]) -> dict[str, str]:
    """Make products with so many units each, and return their skus by their ids."""
    pen = record.pen("harness")
    products = {}
    for stock in stocks:
        made = product(stock, price=crowd.PRICE)
        products[str(made.pk)] = made.sku
        value = {"product": str(made.pk), "quantity": stock}
        pen.write("invoke", "stock", value)
        pen.write("ok", "stock", value)
    return products


def _all(coming: list[concurrent.futures.Future[list[Entry]]]) -> list[list[Entry]]:
    return [one.result() for one in concurrent.futures.as_completed(coming)]


# What befalls them.


@dataclass
class Harm:
    """What is done to whom, at random."""

    store: Store
    chance: random.Random
    cluster: Cluster | None
    hearing: Hearing | None
    done: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        # What happens in every run, the last one first, once so much of its time has passed.
        self.certain = [(0.3, Harm.promote), (0.1, Harm.stop_postgresql)] if self.cluster else []

    def do_some(self, passed: float) -> None:
        if self.certain and self.certain[-1][0] <= passed:
            self.certain.pop()[1](self)
            return
        on_postgresql = self.cluster and not self.certain
        tricks = _TRICKS | (_TRICKS_ON_POSTGRESQL if on_postgresql else {})
        self.chance.choices(list(tricks), list(tricks.values()))[0](self)

    def end(self) -> None:
        """Let nothing go wrong any more; those who are still waiting get their answers."""
        while self.certain:
            self.certain.pop()[1](self)
        site = self.store.site
        site.withdraw_orders()
        site.control("clear_faults")
        if self.cluster:
            self.cluster.wait_until_replicated()
            self.done += Counter(self.cluster.end_cuts())
            # The harness's own is broken too.
            connections.close_all()
        site.wait_until_ready()

    # Processes and their gateway.

    def order_a_death(self) -> None:
        self.store.site.kill_at(self.chance.choice(list(MARKS)))

    def kill_somebody(self) -> None:
        self._kill_one_of(self.store.site.tell("processes"))

    def kill_a_worker(self) -> None:
        self._kill_one_of(self.store.site.tell("processes", kind="worker"))

    def _kill_one_of(self, processes: list[int]) -> None:
        with suppress(ProcessLookupError, IndexError):
            os.kill(self.chance.choice(processes), signal.SIGKILL)

    def let_the_gateway_fail(self) -> None:
        self.store.site.control(
            "fault",
            operation=self.chance.choice(OPERATIONS),
            times=self.chance.randint(1, 3),
            **self.chance.choice(FAULTS),
        )

    def tell_again(self) -> None:
        names = [event["id"] for event in self.store.site.control("events")]
        chosen = self.chance.sample(names, min(len(names), 5))
        self.store.site.control("send_events", names=chosen, times=2, wait=False)

    def let_one_lapse(self) -> None:
        intents = self.store.site.book()["intents"]
        held = [one for one in intents if one["status"] == "requires_capture"]
        # It may be captured or voided before that.
        with suppress(OSError, IndexError):
            self.store.site.control("lapse", intent=self.chance.choice(held)["id"])

    def let_refunds_take_their_time(self) -> None:
        status = self.chance.choice(["pending", "succeeded"])
        self.store.site.control("settings", refund_status=status)

    def end_refunds(self) -> None:
        _end_refunds(self.store, self.chance)

    def use_the_dashboard(self) -> None:
        """A merchant captures or refunds at Stripe itself, often not all of it."""
        site, chance = self.store.site, self.chance
        intents = site.book()["intents"]
        # Somebody else may do something about it before that.
        with suppress(OSError, IndexError):
            if chance.random() < 0.5:
                one = chance.choice([one for one in intents if one["amount_capturable"]])
                amount = chance.randint(50, one["amount_capturable"])
                site.control("capture_there", intent=one["id"], amount=amount)
            else:
                one = chance.choice([one for one in intents if one["amount_received"]])
                amount = chance.randint(1, one["amount_received"])
                site.control("refund_there", intent=one["id"], amount=amount)

    def recover_meanwhile(self) -> None:
        # A mark may be reached by recovery as well, and then that is what dies.
        self.store.site.run("settle_pending_payments", times=2)

    def let_a_receiver_die_or_come_back(self) -> None:
        if self.hearing:
            self.hearing.is_dead = not self.hearing.is_dead
            self.done["receivers died"] += self.hearing.is_dead

    # PostgreSQL and the way to it.

    def cut_at_commits(self) -> None:
        """The commit of some is done or not, and they do not learn which."""
        assert self.cluster
        heard, times = self.chance.random() < 0.7, self.chance.randint(1, 3)
        self.cluster.tell("cut", times=times, heard=heard)

    def sever(self) -> None:
        assert self.cluster
        self.done["connections cut"] += self.cluster.tell("sever")

    # A server that is being copied has to live; so these three wait for another time.

    def stop_postgresql(self) -> None:
        assert self.cluster
        if self.cluster.is_replicated:
            self.cluster.stop_at_once()
            self.done["immediate stops of PostgreSQL"] += 1

    def kill_a_backend(self) -> None:
        assert self.cluster
        if self.cluster.is_replicated:
            self.done["backends killed"] += self.cluster.kill_a_backend(self.chance)

    def promote(self) -> None:
        """Lose the first server for good, and go on with the other one and a new copy of it."""
        assert self.cluster
        if self.cluster.is_replicated:
            self.cluster.promote(behind_seconds=self.chance.choice([0, 0.2, 1]))
            self.done["standbys promoted"] += 1
            self.cluster.replicate_meanwhile()


# How often each.
_TRICKS: dict[Callable[[Harm], None], int] = {
    Harm.order_a_death: 35,
    Harm.kill_somebody: 12,
    Harm.kill_a_worker: 5,
    Harm.let_the_gateway_fail: 30,
    Harm.tell_again: 8,
    Harm.let_one_lapse: 3,
    Harm.let_refunds_take_their_time: 3,
    Harm.end_refunds: 3,
    Harm.use_the_dashboard: 4,
    Harm.recover_meanwhile: 3,
    Harm.let_a_receiver_die_or_come_back: 6,
}
_TRICKS_ON_POSTGRESQL: dict[Callable[[Harm], None], int] = {
    Harm.cut_at_commits: 25,
    Harm.sever: 3,
    Harm.stop_postgresql: 6,
    Harm.kill_a_backend: 4,
    Harm.promote: 6,
}


def _end_refunds(store: Store, chance: random.Random) -> None:
    """The banks are done with refunds that were on their way; some came back."""
    for refund in store.site.book()["refunds"]:
        if refund["status"] == "pending":
            status = chance.choices(["succeeded", "failed"], [4, 1])[0]
            store.site.control("set_refund", refund=refund["id"], status=status)


# Afterwards.


def recover(store: Store, chance: random.Random) -> None:
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
    ours = Q(task_name__startswith="payments.") | Q(task_name__startswith="inventory.")
    stalled = ProcrastinateJob.objects.filter(ours, status="doing")
    deadline = time.monotonic() + STALLED_SECONDS
    while stalled.exists() and time.monotonic() < deadline:
        time.sleep(0.5)
