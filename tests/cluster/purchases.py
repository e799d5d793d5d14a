"""Buyers who buy while something fails, and the comparison of all books afterwards."""

import math
import multiprocessing
import random
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.db import connections

from tests.cluster.estate import Estate
from tests.cluster.report import Outcome, acknowledged, after, longest
from tests.cluster.trials import TRIALS, Notes
from tests.http import BUYER
from tests.torture import chaos, check_history, crowd
from tests.torture.caller import Entry, Merchant, Shopper
from tests.torture.crowd import Town
from tests.torture.history import Record
from tests.torture.store import SECRET, Store

BUYERS = 6
# Between two things that somebody does, so that two cores carry all machines.
PAUSE_SECONDS = 0.5
BEFORE_SECONDS = 6
# One that is soon gone, and enough of the others for the longest trial.
STOCKS = [30, 100_000, 100_000, 100_000]
# A buyer who gets no answer asks again, for longer than any part is away.
PATIENCE_SECONDS = 120
# Who is told that nobody knows yet makes room for the next buyer after a while: else all of them
# may wait for recovery, and nobody is left who could show that the shop sells.
IN_DOUBT_SECONDS = 2
LOST, DECLINED = 0.05, 0.1
NEVER = math.inf
# What an edge says for a server that does not.
OF_THE_EDGE = (502, 504)


class Forgetful(Shopper):
    """A buyer some of whose answers are lost on the way."""

    chance: random.Random | None = None

    def _sent(self, method: str, path: str, body: str, key: str = "") -> tuple[int, Any]:
        status, answer = super()._sent(method, path, body, key)
        # Only of calls that can be asked again.
        if key and self.chance and self.chance.random() < LOST:
            raise ConnectionError("lost on the way")
        return status, answer


@dataclass(frozen=True)
class Street(Town):
    """A town that is open until somebody lays down a file."""

    closed: Path

    @property
    def is_open(self) -> bool:
        return not self.closed.exists()


def buy(street: Street, seed: str) -> list[Entry]:
    """Buy one or two things and pay; insist on an answer; then the next."""
    chance = random.Random(seed)
    pen = street.pen(seed)
    shopper: Forgetful = crowd.signed_on(lambda: Forgetful(street.port, street.storefront, pen=pen))
    shopper.chance = chance
    while street.is_open:
        order = _ordered(shopper, list(street.products), chance)
        if order:
            _pay(street, shopper, order, chance)
        time.sleep(chance.uniform(0, 2 * PAUSE_SECONDS))
    return shopper.history


def _pay(street: Street, shopper: Shopper, order: str, chance: random.Random) -> None:
    card = "pm_card_chargeDeclined" if chance.random() < DECLINED else "pm_card_visa"
    paying = _insisted(lambda key: shopper.pay(order, card, key=key), chance)
    # Nobody knows yet: so ask what has become of it. In the end recovery has to find that out.
    until = time.monotonic() + IN_DOUBT_SECONDS
    while paying.status == 202 and street.is_open and time.monotonic() < until:
        time.sleep(0.5)
        payment = paying.data["id"]
        paying = _insisted(
            lambda key, payment=payment: shopper.confirm(order, payment, key=key),  # type: ignore[misc]
            chance,
        )


def _ordered(shopper: Shopper, products: list[str], chance: random.Random) -> str:
    """Return the order, or nothing if there is too little of something."""
    cart = f"/v2/carts/cart-{uuid.uuid4().hex}"
    for product in chance.sample(products, chance.randint(1, 2)):
        line = {"type": "cart_item", "id": product, "quantity": chance.randint(1, 2)}
        added = _insisted(
            lambda key, line=line: shopper.post("add", f"{cart}/items", line, key=key),  # type: ignore[misc]
            chance,
        )
        if added.status != 201:
            return ""
    ordered = _insisted(
        lambda key: shopper.post("checkout", f"{cart}/checkout", BUYER, key=key), chance
    )
    return str(ordered.data["id"]) if ordered.status == 201 else ""


def move_stock(street: Street, seed: str) -> list[Entry]:
    """Somebody in the warehouse, by whose words the log can be judged."""
    chance = random.Random(seed)
    pen = street.pen(seed)
    merchant: Merchant = crowd.signed_on(
        lambda: Merchant(street.port, street.back_office, street.secret, pen=pen)
    )
    number = 0
    while street.is_open:
        number += 1
        product, reason = chance.choice(list(street.products)), f"{seed} {number}"
        _insisted(
            lambda key, product=product, reason=reason: merchant.move(  # type: ignore[misc]
                product, "increment", 1, reason, key=key
            ),
            chance,
        )
        time.sleep(chance.uniform(0, 2 * PAUSE_SECONDS))
    return merchant.history


def _insisted(call: Callable[[str], Entry], chance: random.Random) -> Entry:
    """Ask until there is an answer that stays, with the same key, as a good client does."""
    key = uuid.UUID(int=chance.getrandbits(128)).hex
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        entry = call(key)
        if not entry.is_open or time.monotonic() > deadline:
            return entry
        time.sleep(chance.uniform(0.2, 0.6))


def outcome(store: Store, site: Estate, name: str, seed: int) -> Outcome:
    """Let the buyers in, let something fail meanwhile, and compare all books."""
    trial, notes = TRIALS[name], Notes()
    # The harness's own may lead to a server that is none any more.
    connections.close_all()
    record = Record(site.folder / "histories" / f"{name}-{time.monotonic_ns()}")
    products = chaos.stocked(record, STOCKS)
    street = Street(
        port=site.port,
        stripe_url=site.stripe_url,
        storefront=store.storefront,
        back_office=store.back_office,
        secret=SECRET,
        sessions={},
        products=products,
        history=str(record.path),
        until=NEVER,
        closed=record.folder / "closed",
    )
    # By these names the log is looked through, also where a trial is made twice.
    run = f"{seed} {record.folder.name}"
    people = {f"{run} buyer {number}": buy for number in range(BUYERS)}
    people[f"{run} warehouse"] = move_stock
    context = multiprocessing.get_context("fork")
    with ProcessPoolExecutor(len(people), mp_context=context) as pool:
        coming = [pool.submit(role, street, person) for person, role in people.items()]
        try:
            site.go_on(BEFORE_SECONDS)
            harmed_at = time.monotonic()
            for seconds in trial.harm(site, notes):
                site.go_on(seconds)
        finally:
            street.closed.touch()
        ended_at = time.monotonic()
        site.until(lambda: all(one.done() for one in coming), "the buyers' last answers")
        history = [entry for one in coming for entry in one.result()]
    paid_at = acknowledged(record.path)
    notes.wrong += _differences(store, site, history, record, products, seed)
    return Outcome(
        name=name,
        what=trial.what,
        goal=trial.goal,
        before=longest([at for at in paid_at if at < harmed_at], harmed_at - 5, harmed_at),
        without=longest([at for at in paid_at if at >= harmed_at], harmed_at, ended_at),
        after_return=after(paid_at, notes.back_at),
        paid=len(paid_at),
        statuses=Counter(entry.status for entry in history),
        seen=notes.seen,
        differences=notes.wrong,
    )


def _differences(
    store: Store,
    site: Estate,
    history: list[Entry],
    record: Record,
    products: dict[str, str],
    seed: int,
) -> Iterator[str]:
    """Wait until everything runs again and nothing is open, and name what does not agree."""
    connections.close_all()
    site.wait_until_ready()
    chaos.recover(store, random.Random(seed))
    # Of what the edge says for a server that does not answer, nobody knows what became.
    store.merchant.history = [one for one in history if one.status not in OF_THE_EDGE]
    yield from store.differences()
    [[status, said]] = site.run("audit_inventory", "--whole")
    if status:
        yield f"the audit ended with {status}: {said}"
    record.close(store.merchant, seed, products)
    yield from check_history.complaints(record.folder)
