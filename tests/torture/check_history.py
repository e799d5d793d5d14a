"""Judges a run by what its clients wrote down and by what anybody can read in the end.

    python tests/torture/check_history.py FOLDER…

It imports nothing of Holdfast nor Django and asks no database: README.md describes the files of a
folder. It goes by the public meaning of the log's four actions, and by the words of the clients.
An operation is all calls with one idempotency key. What is not known to have been refused may have
happened, at any time after it was asked for; nothing may have happened twice.
"""

import json
import re
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

NEVER = float("inf")
# What one unit of an action does to what is available and what is allocated.
EFFECTS = {"increment": (1, 0), "decrement": (-1, 0), "allocate": (-1, 1), "deallocate": (1, -1)}
SHORT = {"insufficient_stock", "stock_too_low"}
# A clock that is set, or driven to another one, may be off by that much.
LEEWAY_SECONDS = 0.01
BOTH = "both done and refused"
# Reasons in the log, or how they begin. The last one is of units that came back to be inspected.
INITIAL, SHIPPED, UNSHIPPED, UNDONE, INSPECTION = (
    *("initial stock", "shipped", "ship undone", "undo: ", "return "),
)
MAKES = {"checkout", "pay", "move", "ship_some", "take_back"}
OF_ORDERS = ("pay", "cancel", "ship", "ship_some", "take_back", "undo_ship")
COUNT = r"^count of \d+( at [-\d]+ [:\d]+ UTC)?: "


class Operation:
    """What somebody wanted, and what they know of it."""

    def __init__(self, f: str, asked: dict[str, Any], begin: float) -> None:
        self.f, self.asked, self.begin = f, asked, begin
        self.data: dict[str, Any] = asked.get("data") or {}
        # Which cart, order or product it is about.
        self.subject = str(asked["path"].split("/")[3]) if "path" in asked else ""
        # What the answer was that counts, if one came, and what all answers said was made.
        self.end, self.outcome, self.code = NEVER, "", ""
        self.told: Any = None
        self.done = self.refused = self.is_paid = False
        self.ids: set[str] = set()

    def __str__(self) -> str:
        named = [self.asked.get(name) for name in ("key", "mark", "name")]
        return f"{self.f} {next(filter(None, named), self.asked)}"

    def is_answered(self, outcome: str, value: dict[str, Any], at: float) -> None:
        told = value.get("told")
        if not self.outcome:
            self.end, self.outcome, self.code = at, outcome, value.get("code", "")
            self.done, self.refused, self.told = outcome == "ok", outcome == "fail", told
        elif self.outcome != outcome:
            self.code = BOTH
        if isinstance(told, dict):
            self.ids |= {told["id"]} if "id" in told else set()
            self.is_paid |= self.done and told.get("status") == "complete"


class Entry:
    """One of the log."""

    def __init__(self, row: dict[str, Any], wall_less_monotonic: float) -> None:
        self.id, self.product, self.number = row["id"], row["product"], row["number"]
        self.action, self.quantity, self.reason = row["action"], row["quantity"], row["reason"]
        self.available, self.allocated = row["available"], row["allocated"]
        self.total, self.order = row["total"], row["order"]
        available, allocated = EFFECTS[self.action]
        self.came, self.held = available * self.quantity, allocated * self.quantity
        self.is_by_order = bool(self.order) and not self.reason.startswith(INSPECTION)
        # When the row was locked, and before the entry was committed.
        self.at = datetime.fromisoformat(row["at"]).timestamp() - wall_less_monotonic

    def __str__(self) -> str:
        what = f"{self.action} {self.quantity}: {self.reason}"
        return f"entry {self.number} of {self.product} ({what})"


class Run:
    def __init__(self, folder: Path) -> None:
        meta = json.loads((folder / "meta.json").read_text())
        offsets = [offset / 1e9 for offset in meta["wall_less_monotonic_ns"]]
        self.leeway = LEEWAY_SECONDS + max(offsets) - min(offsets)
        self.products = {product["id"]: product for product in meta["products"]}
        self.operations = list(operations(rows(folder / "history.jsonl")))
        self.orders = {order["id"]: order for order in rows(folder / "orders.jsonl")}
        self.log: dict[str, list[Entry]] = {product: [] for product in self.products}
        for row in rows(folder / "log.jsonl"):
            self.log[row["product"]].append(Entry(row, min(offsets)))
        self.entries = [entry for log in self.log.values() for entry in log]
        self.of_orders = grouped((entry.order, entry) for entry in self.entries if entry.order)
        self.carts = grouped((one.subject, one) for one in self.of("add") if not one.refused)
        by_hand = [entry for entry in self.entries if not entry.order]
        # Before the reason that somebody gave, a count says what it was.
        self.by_reason = grouped((re.sub(COUNT, "", entry.reason), entry) for entry in by_hand)

    def of(self, *names: str) -> list[Operation]:
        return [one for one in self.operations if one.f in names]

    def wanted(self, one: Operation) -> Counter[str]:
        """How many units of which product the operation needs to be available."""
        lines: Counter[str] = Counter()
        if one.f == "move":
            lines[one.subject] = one.data["quantity"]
        for add in [one] if one.f == "add" else self.carts[one.subject]:
            lines[add.data["id"]] += add.data["quantity"]
        for item in self.orders[one.subject]["items"] if one.f == "pay" else []:
            lines[item["product"]] += item["quantity"]
        return lines


def grouped(pairs: Iterable[tuple[str, Any]]) -> dict[str, list[Any]]:
    groups: dict[str, list[Any]] = defaultdict(list)
    for name, one in pairs:
        groups[name].append(one)
    return groups


def rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def operations(history: Iterable[dict[str, Any]]) -> Iterator[Operation]:
    """Put invocations, answers and repetitions together."""
    called: dict[str, Operation] = {}
    by_key: dict[tuple[str, str], Operation] = {}
    for row in history:
        at, value, process = row["time"] / 1e9, row["value"], row["process"]
        if row["type"] == "invoke":
            name = row["f"], value.get("key") or f"{process} {row['index']}"
            called[process] = by_key.setdefault(name, Operation(row["f"], value, at))
            continue
        operation = called.pop(process)
        if row["type"] != "info":
            operation.is_answered(row["type"], value, at)
    yield from by_key.values()


# What must hold. Each says what does not.


def complaints(folder: Path) -> list[str]:
    run = Run(folder)
    return [complaint for check in CHECKS for complaint in check(run)]


def one_key_one_outcome(run: Run) -> Iterator[str]:
    """All calls with one key have one outcome, and no two operations made the same thing."""
    made: dict[str, Operation] = {}
    for one in run.operations:
        if one.code == BOTH:
            yield f"{one} was {BOTH} under one key"
        if len(one.ids) > 1:
            yield f"{one} made {len(one.ids)} things under one key"
        for identifier in one.ids if one.f in MAKES else ():
            if made.setdefault(identifier, one) is not one:
                yield f"{one} and {made[identifier]} were told of one thing: {identifier}"


def the_log_adds_up(run: Run) -> Iterator[str]:
    """Each entry is the one before it and its own effect; nothing is ever below nothing."""
    for product, log in run.log.items():
        available, allocated, at = 0, 0, -NEVER
        for entry in log:
            available, allocated = available + entry.came, allocated + entry.held
            expected = (available, allocated, available + allocated)
            if (entry.available, entry.allocated, entry.total) != expected:
                yield f"{entry} does not follow from the one before it"
                available, allocated = entry.available, entry.allocated
            if available < 0 or allocated < 0:
                yield f"{entry} leaves {available} available and {allocated} allocated"
            if entry.at < at:
                yield f"{entry} is of an earlier moment than the one before it"
            at = entry.at
        stock = run.products[product]
        if (available, allocated) != (stock["available"], stock["allocated"]):
            yield f"the log of {product} ends in {available} and {allocated}, its stock is {stock}"


def nothing_is_oversold(run: Run) -> Iterator[str]:
    """By the clients' words: what was paid for and not given up was there at some time.

    What came is taken for more than it was where nobody knows, and what went for less.
    """
    there: Counter[str] = Counter()
    for one in run.of("stock"):
        there[one.asked["product"]] += one.asked["quantity"]
    for one in run.of("move"):
        if one.data["action"] == "increment" and not one.refused:
            there[one.subject] += one.data["quantity"]
        if one.data["action"] == "decrement" and one.done:
            there[one.subject] -= one.data["quantity"]
    # What people found by counting and by files; the log alone knows how much that was.
    own = {one.data["reason"] for one in run.of("move")} | {INITIAL}
    for entry in run.entries:
        if entry.reason not in own and not entry.is_by_order:
            there[entry.product] += entry.came
    given_up = {one.subject for one in run.of("cancel", "void", "refund") if not one.refused}
    gone: Counter[str] = Counter()
    for order in {one.subject for one in run.of("pay") if one.is_paid} - given_up:
        for item in run.orders[order]["items"] if order in run.orders else ():
            gone[item["product"]] += item["quantity"] - item["cancelled"] - item["returned"]
    for product, units in gone.items():
        if units > there[product]:
            yield f"{units} of {product} are paid for, and there were {there[product]}"


def what_was_done_by_hand(run: Run) -> Iterator[str]:
    """What was confirmed is in the log once, what was refused never, the rest at most once."""
    explained = {entry.id for entry in run.by_reason[INITIAL]}
    for one in run.of("move"):
        found = run.by_reason[one.data["reason"]]
        explained |= {entry.id for entry in found}
        yield from how_often(one, found, expected=1)
        for entry in found:
            does = (entry.product, entry.action, entry.quantity)
            if does != (one.subject, one.data["action"], one.data["quantity"]):
                yield f"{one} is in the log as {entry}"
            if one.done and one.ids != {entry.id}:
                yield f"{one} was told {one.ids}, and it is {entry.id}"
            if not one.begin - run.leeway <= entry.at <= one.end + run.leeway:
                yield f"{entry} is not of the time in which it was asked for and answered"
    for one in run.of("count", "undo", "apply", "revert"):
        for found, expected, units in at_the_desk(run, one):
            explained |= {entry.id for entry in found}
            yield from how_often(one, found, expected=expected)
            if units is not None and any(entry.came != units for entry in found):
                yield f"{one} is in the log as {found[0]} instead of {units}"
    for entry in run.entries:
        if entry.order is None and entry.id not in explained:
            yield f"nobody asked for {entry}"


def at_the_desk(run: Run, one: Operation) -> Iterator[tuple[list[Entry], int | None, int | None]]:
    """Find the entries of an operation, how many there must be if that is known, and the units.

    A count makes none where it agrees, and the page says so. What was undone was the last entry, so
    what undid it is the next one. A line of a file may be refused when it is applied or reverted,
    but for changes that only add.
    """
    asked, told = one.asked, one.told
    if one.f == "count":
        yield run.by_reason[asked["mark"]], None if told is None else min(abs(told), 1), told
    elif one.f == "undo":
        of, found = run.log[asked["product"]][asked["number"] - 1 :][:2], []
        # Somebody else may have undone the same.
        if len(of) == 2 and of[1].reason.startswith(UNDONE) and not one.refused:
            found = of[1:]
        yield found, 1, -of[0].came if of else None
    for number, line in enumerate(asked.get("lines", ()), 2):
        source = f"{asked['name']}, line {number}"
        if one.f == "revert":
            yield run.by_reason[f"Reverted: {source}"], None, None
        else:
            change = line["units"] if asked["kind"] == "change" else None
            certain = 1 if change and change > 0 else None
            yield run.by_reason[f"{line['reason']} ({source})"], certain, change


def how_often(one: Operation, found: list[Entry], *, expected: int | None) -> Iterator[str]:
    if one.done and len(found) < (expected or 0):
        yield f"{one} was confirmed and has not happened"
    if one.refused and found:
        yield f"{one} was refused and has happened: {found[0]}"
    if len(found) > (1 if expected is None else expected):
        yield f"{one} happened {len(found)} times"


def the_log_keeps_the_order_of_time(run: Run) -> Iterator[str]:
    """What was answered before something else was asked for stands before it."""
    by_id = {identifier: one for one in run.of("move") if one.done for identifier in one.ids}
    for log in run.log.values():
        soonest, whose = NEVER, None
        for one in [by_id[entry.id] for entry in reversed(log) if entry.id in by_id]:
            if soonest < one.begin:
                yield f"{whose} was answered before {one} was asked for, and is in the log after it"
            if one.end < soonest:
                soonest, whose = one.end, one


def orders_hold_what_they_should(run: Run) -> Iterator[str]:
    """An order's entries are those of its documents: no part of any is missing or there twice."""
    for stranger in run.of_orders.keys() - run.orders.keys():
        yield f"the log knows of an order {stranger} that is not there"
    for name, order in run.orders.items():
        for item in order["items"]:
            mine = [entry for entry in run.of_orders[name] if entry.product == item["product"]]
            entries = [entry for entry in mine if entry.is_by_order]
            yield from units_of(f"order {name}, product {item['product']}", order, item, entries)


def units_of(where: str, order: Any, item: Any, entries: list[Entry]) -> Iterator[str]:
    held = 0
    for entry in entries:
        held += entry.held
        if not 0 <= held <= item["quantity"]:
            yield f"{where}: {entry} leaves it {held} of {item['quantity']} units"
    left = item["quantity"] - item["shipped"] - item["cancelled"]
    if held not in (0, left) or (held and order["status"] == "cancelled"):
        yield f"{where}: it holds {held} units in the end, and {left} are left"
    parcels = [(each["units"].get(item["id"], 0), each["undone"]) for each in order["shipments"]]
    lines = [line for back in order["returns"] for line in back["items"]]
    told = {
        "sent": sum(units for units, _ in parcels),
        "undone": sum(units for units, is_undone in parcels if is_undone),
        "put back": sum(
            line["quantity"]
            for line in lines
            if line["item"] == item["id"] and line["disposition"] in ("restocked", "inspection")
        ),
    }
    out = [entry for entry in entries if entry.action == "decrement"]
    came = [entry for entry in entries if entry.action == "increment"]
    undone = sum(entry.quantity for entry in came if entry.reason.startswith(UNSHIPPED))
    logged = {
        "sent": sum(entry.quantity for entry in out if entry.reason.startswith(SHIPPED)),
        "undone": undone,
        "put back": sum(entry.quantity for entry in came) - undone,
    }
    if told["sent"] - told["undone"] != item["shipped"]:
        yield f"{where}: {item['shipped']} are said to be shipped, and its shipments are {told}"
    if told != logged:
        yield f"{where}: its documents say {told}, the log {logged}"


def what_was_confirmed_of_orders(run: Run) -> Iterator[str]:
    """No acknowledged operation has vanished, and nothing was done that nobody asked for."""
    unknown = set(run.orders)
    for one in run.of("checkout"):
        unknown -= one.ids
        if not one.ids <= run.orders.keys():
            yield f"{one} was confirmed, and there is no order {one.ids}"
    open_ones = [one for one in run.of("checkout") if not one.done and not one.refused]
    if len(unknown) > len(open_ones):
        yield f"{len(open_ones)} checkouts got no answer, and there are orders {unknown}"
    by_order = grouped((one.subject, one) for one in run.of(*OF_ORDERS))
    for stranger in by_order.keys() - run.orders.keys():
        yield f"{by_order[stranger][0]} is of an order that is not there"
    for name, order in run.orders.items():
        asked = grouped((one.f, one) for one in by_order[name])
        for one in asked["pay"]:
            yield from payment(run, order, one)
        known, most = len(order["payments"]), len(asked["pay"])
        if known > most:
            yield f"order {name} has {known} payments, {most} asked for"
        if any(one.done for one in asked["cancel"]) and order["status"] != "cancelled":
            yield f"{asked['cancel'][0]} was confirmed, and the order is not cancelled"
        sent = asked["ship"] + asked["ship_some"]
        yield from records(f"order {name} has shipments", order["shipments"], sent)
        yield from records(f"order {name} has returns", order["returns"], asked["take_back"])
        stands = {each["id"] for each in order["shipments"] if not each["undone"]}
        for one in asked["undo_ship"]:
            if one.done and one.asked["path"].split("/")[5] in stands:
                yield f"{one} was confirmed, and the shipment stands"


def payment(run: Run, order: Any, one: Operation) -> Iterator[str]:
    known = {payment["id"]: payment["status"] for payment in order["payments"]}
    if not one.ids <= known.keys():
        yield f"{one} was confirmed, and there is no payment {one.ids}"
    if not one.is_paid:
        return
    if any(known.get(name) not in ("complete", "cancelled") for name in one.ids):
        yield f"{one} was complete, and is {known}"
    takes = [entry for entry in run.of_orders[one.subject] if entry.action == "allocate"]
    taken = {entry.product for entry in takes if entry.at <= one.end + run.leeway}
    for product in {item["product"] for item in order["items"]} - taken:
        yield f"{one} was complete, and its order never took its units of {product}"


def records(what: str, found: list[Any], asked: list[Operation]) -> Iterator[str]:
    there = {record["id"] for record in found}
    confirmed = [one for one in asked if one.done]
    for one in confirmed:
        # The answer to shipping all that is left is the order.
        if one.f != "ship" and not one.ids <= there:
            yield f"{one} was confirmed and has not happened"
    most = len([one for one in asked if not one.refused])
    if not len(confirmed) <= len(there) <= most:
        yield f"{what}: {len(there)}. {len(confirmed)} were confirmed, {most} at most can be"


def no_refusal_was_false(run: Run) -> Iterator[str]:
    """Whoever was told that there is not enough: at some moment until then there was not."""
    for one in run.of("add", "checkout", "pay", "move"):
        is_of_nothing = one.f == "pay" and one.subject not in run.orders
        # What is set aside by hand is not what the log shows.
        is_hidden = one.data.get("action") == "deallocate"
        if not one.refused or one.code not in SHORT or is_of_nothing or is_hidden:
            continue
        wanted = run.wanted(one)
        least = {product: least_available(run, product, one) for product in wanted}
        if all(least[product] >= units for product, units in wanted.items()):
            yield f"{one} was refused ({one.code}), and there were always enough: {least}"


def least_available(run: Run, product: str, one: Operation) -> float:
    """The least that anybody can have seen between request and answer.

    Entries of one moment are of one transaction. They are seen once it is committed: after that
    moment, and before the next one. So what stood before can be seen until the one after that.
    """
    log = run.log[product]
    moments = sorted({entry.at for entry in log})
    until = dict(zip(moments, [*moments[2:], NEVER, NEVER], strict=False))
    seen = [
        entry.available
        for entry in log
        if entry.at - run.leeway <= one.end and until[entry.at] + run.leeway >= one.begin
    ]
    return min(seen, default=NEVER)


def whoever_follows_the_log_sees_no_gap(run: Run) -> Iterator[str]:
    """Each page is what the log has there in the end, and whatever was confirmed before it."""
    number = {entry.id: entry.number for entry in run.entries}
    moves = [one for one in run.of("move") if one.done]
    for read in [one for one in run.of("read_log") if one.done]:
        offset = int(read.asked["path"].rpartition("=")[2])
        seen = run.log[read.subject][offset : offset + len(read.told)]
        if read.told != [entry.id for entry in seen]:
            yield f"{read} saw what is not so in the end, or with a gap: {read.told}"
        earlier = [one for one in moves if one.subject == read.subject and one.end < read.begin]
        newest = max((number.get(name, 0) for one in earlier for name in one.ids), default=0)
        if offset + len(read.told) < min(newest, offset + 100):
            yield f"{read} did not see entry {newest}, which had been confirmed"


CHECKS = (
    one_key_one_outcome,
    the_log_adds_up,
    nothing_is_oversold,
    what_was_done_by_hand,
    the_log_keeps_the_order_of_time,
    orders_hold_what_they_should,
    what_was_confirmed_of_orders,
    no_refusal_was_false,
    whoever_follows_the_log_sees_no_gap,
)


def main() -> int:
    found = [complaint for folder in sys.argv[1:] for complaint in complaints(Path(folder))]
    sys.stdout.write("".join(f"{complaint}\n" for complaint in found) or "All holds.\n")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
