"""Buyers, merchants and cancellers, each a process, who do what such people do until it is time.

Whoever gets no answer asks again with the same key, as a good client does. Each returns what it can
swear to. The same seed lets everybody want the same; what happens then is not repeatable.
"""

import http.client
import random
import time
import urllib.error
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from tests import fake_stripe
from tests.torture.caller import Entry, Merchant, Shopper
from tests.torture.office import Office
from tests.torture.pen import Pen

PRICE = 1000
# In three seconds another database server has taken over.
TRIES = 20
# More lines than are applied while somebody waits, so that a worker does it.
LONG_FILE = 210
# How often which card is used; `manual` is money in hand.
CARDS = {
    "pm_card_visa": 60,
    "pm_card_chargeDeclined": 10,
    "pm_card_chargeDeclinedInsufficientFunds": 5,
    "pm_card_authenticationRequired": 15,
    "manual": 10,
}


@dataclass(frozen=True)
class Town:
    """Where everybody meets."""

    port: int
    stripe_url: str
    storefront: str
    back_office: str
    secret: str
    # By whoever is signed in to the pages for people.
    sessions: dict[str, str]
    # By id, with their skus.
    products: dict[str, str]
    # Where everybody writes down what they did and were told.
    history: str
    until: float

    def pen(self, person: str) -> Pen:
        return Pen(self.history, person)

    @property
    def is_open(self) -> bool:
        return time.time() < self.until


def _insist(call: Callable[[str], Entry], chance: random.Random) -> Entry:
    """Call until there is an answer that will not change by asking again, or patience ends."""
    key = uuid.UUID(int=chance.getrandbits(128)).hex
    entry = call(key)
    for _ in range(TRIES):
        if not entry.is_open:
            break
        time.sleep(chance.uniform(0.05, 0.3))
        entry = call(key)
    return entry


def signed_on(call: Callable[[], Any]) -> Any:
    """Get a token, for which the server must be there."""
    while True:
        try:
            return call()
        except (OSError, ValueError, KeyError, http.client.HTTPException):
            # It is dead, or refuses because its database is away.
            time.sleep(0.1)


# Buyers.


def buy(town: Town, seed: str) -> list[Entry]:
    chance = random.Random(seed)
    pen = town.pen(seed)
    shopper: Shopper = signed_on(lambda: Shopper(town.port, town.storefront, pen=pen))
    while town.is_open:
        wanted = chance.sample(list(town.products), chance.randint(1, 2))
        ordered = shopper.order({product: chance.randint(1, 3) for product in wanted})
        if ordered.what == "checkout" and ordered.status == 201:
            _pay(town, shopper, ordered.data, chance)
        else:
            # The server is dead or the shelf is empty; both change.
            time.sleep(0.1)
    return shopper.history


def _pay(town: Town, shopper: Shopper, order: Any, chance: random.Random) -> None:
    """Pay at once or in two parts, and come back with another card after a decline."""
    total = order["meta"]["display_price"]["with_tax"]["amount"]
    parts = [total] if chance.random() < 0.8 else [400, total - 400]
    for amount in parts:
        for _ in range(2):
            if _pay_part(town, shopper, order["id"], amount, chance).status != 402:
                break


def _pay_part(
    town: Town, shopper: Shopper, order: str, amount: int, chance: random.Random
) -> Entry:
    [card] = chance.choices(list(CARDS), list(CARDS.values()))
    asked = {
        "gateway": "manual" if card == "manual" else "stripe",
        "method": chance.choice(["purchase", "purchase", "authorize"]),
        "amount": amount,
    }
    paying = _insist(lambda key: shopper.pay(order, card, key=key, **asked), chance)
    if paying.status == 202 and "client_parameters" in paying.data:
        return _authenticate(town, shopper, order, paying.data, chance)
    return paying


def _authenticate(
    town: Town, shopper: Shopper, order: str, payment: Any, chance: random.Random
) -> Entry:
    """Come back from the bank, or not; and tell the shop of it, or not."""
    intent = payment["client_parameters"]["payment_intent"]
    if chance.random() < 0.8:
        try:
            succeeds = chance.random() < 0.8
            fake_stripe.control(town.stripe_url, "authenticate", intent=intent, succeeds=succeeds)
        except urllib.error.HTTPError:
            # It was given up meanwhile.
            pass
    return _insist(lambda key: shopper.confirm(order, payment["id"], key=key), chance)


# Merchants.


def keep_shop(town: Town, seed: str) -> list[Entry]:
    """Move stock by hand, capture, refund, void, ship and take back, at once or in parts."""
    chance = random.Random(seed)
    merchant = _merchant(town, seed)
    number = 0
    while town.is_open:
        number += 1
        if chance.random() < 0.3:
            _move_stock(town, merchant, f"{seed} {number}", chance)
        else:
            _look_after(_some_order(town, merchant, chance), merchant, chance)
    return merchant.history


def _move_stock(town: Town, merchant: Merchant, reason: str, chance: random.Random) -> None:
    product = chance.choice(list(town.products))
    action = chance.choice(["increment"] * 3 + ["decrement", "allocate", "deallocate"])
    quantity = chance.randint(1, 9)
    _insist(lambda key: merchant.move(product, action, quantity, reason, key=key), chance)


def _look_after(order: Any, merchant: Merchant, chance: random.Random) -> None:
    listed = merchant.get(f"/v2/orders/{order['id']}/transactions") if order else None
    if listed is None or listed.status != 200:
        return
    for payment in listed.data:
        _deal_with(order["id"], payment, merchant, chance)
    wish = chance.random()
    if wish < 0.25:
        _insist(lambda key: merchant.ship(order["id"], key=key), chance)
    elif wish < 0.75:
        _deal_with_units(order["id"], merchant, chance)


def _deal_with(order: str, payment: Any, merchant: Merchant, chance: random.Random) -> None:
    if payment["status"] != "complete":
        return
    wish = chance.random()
    if payment["transaction_type"] == "authorize":
        act = merchant.capture if wish < 0.7 else merchant.void
        _insist(lambda key: act(order, payment["id"], key=key), chance)
    elif wish < 0.3:
        amount = chance.randint(50, payment["amount"])
        _insist(lambda key: merchant.refund(order, payment["id"], amount, key=key), chance)


def _deal_with_units(order: str, merchant: Merchant, chance: random.Random) -> None:
    """Ship a part, cancel a part or the rest, take back or undo: whatever may be refused by now."""
    listed = merchant.get(f"/v2/orders/{order}/items")
    if listed.status != 200:
        return
    items = {item["id"]: chance.randint(1, item["quantity"]) for item in listed.data}
    some = {item: items[item] for item in chance.sample(list(items), chance.randint(1, len(items)))}
    wish = chance.random()
    if wish < 0.45:
        sent = _insist(lambda key: merchant.ship_some(order, some, key=key), chance)
        if sent.status == 201:
            _what_follows(order, sent.data["id"], some, merchant, chance)
    elif wish < 0.65:
        units, restock = chance.choice([some, None]), chance.random() < 0.7
        _insist(lambda key: merchant.cancel_some(order, units, restock=restock, key=key), chance)
    elif wish < 0.85:
        _take_back(order, some, merchant, chance)
    else:
        _undo_some_shipment(order, merchant, chance)


def _what_follows(
    order: str, shipment: str, units: dict[str, int], merchant: Merchant, chance: random.Random
) -> None:
    """Go on with an order of which a parcel has just left."""
    wish = chance.random()
    if wish < 0.3:
        _take_back(order, units, merchant, chance)
    elif wish < 0.5:
        _insist(lambda key: merchant.undo_ship(order, shipment, key=key), chance)
    elif wish < 0.7:
        _insist(lambda key: merchant.cancel_some(order, None, key=key), chance)


def _take_back(
    order: str, units: dict[str, int], merchant: Merchant, chance: random.Random
) -> None:
    disposition = chance.choice(["restocked", "inspection", "discarded", "missing"])
    back = _insist(lambda key: merchant.take_back(order, units, disposition, key=key), chance)
    _inspect(order, back, merchant, chance)


def _inspect(order: str, back: Entry, merchant: Merchant, chance: random.Random) -> None:
    """Look at what came back, or leave it lying."""
    if back.status != 201 or chance.random() < 0.3:
        return
    for line in back.data["items"]:
        if line["disposition"] == "inspection":
            found = chance.choice(["restocked", "discarded"])
            _insist(
                lambda key, line=line, found=found: merchant.settle(  # type: ignore[misc]
                    order, back.data["id"], line["id"], found, key=key
                ),
                chance,
            )


def _undo_some_shipment(order: str, merchant: Merchant, chance: random.Random) -> None:
    listed = merchant.get(f"/v2/orders/{order}/shipments")
    if listed.status == 200 and listed.data:
        shipment = chance.choice(listed.data)["id"]
        _insist(lambda key: merchant.undo_ship(order, shipment, key=key), chance)


def cancel_orders(town: Town, seed: str) -> list[Entry]:
    chance = random.Random(seed)
    merchant = _merchant(town, seed)
    while town.is_open:
        if order := _some_order(town, merchant, chance):
            _insist(lambda key, order=order: merchant.cancel(order["id"], key=key), chance)  # type: ignore[misc]
        time.sleep(chance.uniform(0.1, 0.5))
    return merchant.history


# People at a desk.


def count(town: Town, seed: str) -> list[Entry]:
    """Count shelves, now or as of a moment ago, send files, and take some of it back."""
    chance = random.Random(seed)
    merchant = _merchant(town, seed)
    office = Office(town.port, town.sessions[seed], town.pen(f"{seed} desk"))
    number = 0
    while town.is_open:
        number += 1
        # In one word: it is found again in the reasons of the log.
        mark = f"{seed.replace(' ', '-')}-{number}"
        wish = chance.random()
        if wish < 0.4:
            _count_a_shelf(merchant, office, chance.choice(list(town.products)), mark, chance)
        elif wish < 0.6:
            office.undo(chance.choice(list(town.products)))
        else:
            _send_a_file(town, merchant, office, mark, chance)
    return [*merchant.history, *office.history]


def _count_a_shelf(
    merchant: Merchant, office: Office, product: str, mark: str, chance: random.Random
) -> None:
    counted = _counted(merchant, product, chance)
    if counted is None:
        return
    at = datetime.now(UTC).isoformat() if chance.random() < 0.5 else ""
    if at:
        # From the shelf to the desk, while orders go on.
        time.sleep(chance.uniform(0, 1))
    office.count(product, counted, mark, at)


def _counted(merchant: Merchant, product: str, chance: random.Random) -> int | None:
    """Find about as many as there are."""
    stock = merchant.get(f"/v2/inventories/{product}")
    if stock.status != 200:
        return None
    return max(0, int(stock.data["total"]) + chance.randint(-3, 4))


def _send_a_file(
    town: Town, merchant: Merchant, office: Office, mark: str, chance: random.Random
) -> None:
    """Have a file checked and applied, by a worker if it is long, and perhaps reverted."""
    kind = chance.choice(["count", "change", "change", "name"])
    chosen = chance.sample(list(town.products), chance.randint(1, len(town.products)))
    if kind == "change" and chance.random() < 0.2:
        chosen = [chance.choice(chosen) for _ in range(LONG_FILE)]
    lines = []
    for number, product in enumerate(chosen):
        units: int | str | None = chance.choice([-1, 1, 1, 2])
        if kind == "count":
            units = _counted(merchant, product, chance)
        if kind == "name":
            units = f"{mark} {number}"
        if units is not None:
            lines.append({"product": product, "units": units, "reason": f"{mark}/{number}"})
    if not lines:
        return
    header = f"sku,{kind}" + ("" if kind == "name" else ",reason")
    rows = [
        [town.products[str(line["product"])], str(line["units"])]
        + ([] if kind == "name" else [str(line["reason"])])
        for line in lines
    ]
    content = "\n".join([header, *(",".join(row) for row in rows), ""])
    name = f"{mark}.csv"
    value = {"name": name, "kind": kind, "lines": lines}
    page = office.upload(name, content)
    if page and office.apply(page, value) and chance.random() < 0.4:
        office.revert(page, value)


def watch(town: Town, seed: str) -> list[Entry]:
    """Follow the logs of all products as they grow."""
    chance = random.Random(seed)
    merchant = _merchant(town, seed)
    read = dict.fromkeys(town.products, 0)
    while town.is_open:
        product = chance.choice(list(town.products))
        entry = merchant.read_log(product, read[product])
        if entry.status == 200:
            read[product] += len(entry.data)
        time.sleep(0.02)
    return merchant.history


def _merchant(town: Town, seed: str) -> Merchant:
    pen = town.pen(seed)
    merchant: Merchant = signed_on(
        lambda: Merchant(town.port, town.back_office, town.secret, pen=pen)
    )
    return merchant


def _some_order(town: Town, merchant: Merchant, chance: random.Random) -> Any:
    """Pick one of a product's latest orders, so that many want the same."""
    asked = quote(f"eq(product_id,{chance.choice(list(town.products))})")
    listed = merchant.get(f"/v2/orders?filter={asked}&page[limit]=20&sort=-created_at")
    return chance.choice(listed.data) if listed.status == 200 and listed.data else None
