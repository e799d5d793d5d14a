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
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any

NEVER = float("inf")
BOTH = "both done and refused"
# What one unit of an action does to what is available and what is allocated.
EFFECTS = {"increment": (1, 0), "decrement": (-1, 0), "allocate": (-1, 1), "deallocate": (1, -1)}
INITIAL = "initial stock"
COUNT = r"^count of \d+( at [-\d]+ [:\d]+ UTC)?: "
SHORT = {"insufficient_stock", "stock_too_low"}
# A clock that is set, or driven to another one, may be off by that much.
LEEWAY_SECONDS = 0.01
SHIPPED, UNDONE = "shipped", "ship undone"
# So begins the reason of what is set aside and let go while units that came back are inspected.
INSPECTION = "return "


@dataclass
class Operation:
    """What somebody wanted, and what they know of it."""

    f: str
    asked: dict[str, Any]
    begin: float
    # When the answer was there that counts; never, if none came.
    end: float = NEVER
    outcome: str = "info"
    code: str = ""
    told: Any = None
    ids: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.data: dict[str, Any] = self.asked.get("data") or {}
        # Which cart, order or product it is about.
        self.subject = str(self.asked["path"].split("/")[3]) if "path" in self.asked else ""

    def __str__(self) -> str:
        return f"{self.f} {self.asked.get('key') or self.asked}"[:300]

    @property
    def done(self) -> bool:
        return self.outcome == "ok"

    @property
    def refused(self) -> bool:
        return self.outcome == "fail"


class Entry:
    """One of the log."""

    def __init__(self, row: dict[str, Any], wall_less_monotonic: float) -> None:
        self.id, self.product, self.number = row["id"], row["product"], row["number"]
        self.action, self.quantity, self.reason = row["action"], row["quantity"], row["reason"]
        self.available, self.allocated, self.total = (
            row[name] for name in ("available", "allocated", "total")
        )
        self.order = row["order"]
        # As written: when the row was locked, and before that was committed.
        self.at = datetime.fromisoformat(row["at"]).timestamp() - wall_less_monotonic

    def __str__(self) -> str:
        return (
            f"entry {self.number} of {self.product} ({self.action} {self.quantity}: {self.reason})"
        )

    @property
    def came(self) -> int:
        """How many units more are available."""
        return int(EFFECTS[self.action][0] * self.quantity)

    @property
    def is_by_order(self) -> bool:
        return self.order is not None and not self.reason.startswith(INSPECTION)


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

    def of(self, *names: str) -> list[Operation]:
        return [one for one in self.operations if one.f in names]

    @cached_property
    def entries(self) -> list[Entry]:
        return [entry for log in self.log.values() for entry in log]

    @cached_property
    def by_reason(self) -> dict[str, list[Entry]]:
        """What was done by hand. Before the reason that was given a count says what it was."""
        found: dict[str, list[Entry]] = defaultdict(list)
        for entry in self.entries:
            if entry.order is None:
                found[re.sub(COUNT, "", entry.reason)].append(entry)
        return found

    def because_of(self, reason: str) -> list[Entry]:
        return self.by_reason.get(reason, [])

    @cached_property
    def of_orders(self) -> dict[str, list[Entry]]:
        found: dict[str, list[Entry]] = defaultdict(list)
        for entry in self.entries:
            if entry.order:
                found[entry.order].append(entry)
        return found

    @cached_property
    def carts(self) -> dict[str, Counter[str]]:
        """What was put into carts, product by product, for all that anybody knows."""
        found: dict[str, Counter[str]] = defaultdict(Counter)
        for add in self.of("add"):
            if not add.refused:
                found[add.subject][add.data["id"]] += add.data["quantity"]
        return found

    def wanted(self, operation: Operation) -> Counter[str]:
        """How many units of which product the operation needs to be available."""
        if operation.f in ("add", "move"):
            product = operation.data["id"] if operation.f == "add" else operation.subject
            return Counter({product: operation.data["quantity"]})
        if operation.f == "checkout":
            return self.carts[operation.subject]
        lines: Counter[str] = Counter()
        for item in self.orders[operation.subject]["items"]:
            lines[item["product"]] += item["quantity"]
        return lines


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
        if row["type"] == "info":
            continue
        if operation.outcome == "info":
            operation.end, operation.outcome = at, row["type"]
            operation.told, operation.code = value.get("told"), value.get("code", "")
        elif operation.outcome != row["type"]:
            operation.code = BOTH
        if isinstance(value.get("told"), dict) and "id" in value["told"]:
            operation.ids.add(value["told"]["id"])
    yield from by_key.values()


# What must hold. Each says what does not.


def complaints(folder: Path) -> list[str]:
    run = Run(folder)
    return [complaint for check in CHECKS for complaint in check(run)]


def one_key_one_outcome(run: Run) -> Iterator[str]:
    """All calls with one key have one outcome, and no two operations made the same thing."""
    for one in run.operations:
        if one.code == BOTH:
            yield f"{one} was {BOTH} under one key"
        if len(one.ids) > 1:
            yield f"{one} made {len(one.ids)} things under one key"
    made: dict[str, Operation] = {}
    for one in run.of("checkout", "pay", "move", "ship_some", "take_back"):
        for identifier in one.ids:
            if identifier in made:
                yield f"{one} and {made[identifier]} were told of one thing: {identifier}"
            made[identifier] = one


def the_log_adds_up(run: Run) -> Iterator[str]:
    """Each entry is the one before it and its own effect; nothing is ever below nothing."""
    for product, log in run.log.items():
        available = allocated = 0
        at = -NEVER
        for entry in log:
            by, to = EFFECTS[entry.action]
            available += by * entry.quantity
            allocated += to * entry.quantity
            now = (entry.available, entry.allocated, entry.total)
            if now != (available, allocated, available + allocated):
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
    for order in {one.subject for one in run.of("pay") if is_taken(one)} - given_up:
        for item in run.orders.get(order, {"items": []})["items"]:
            kept = item["quantity"] - item["cancelled"] - item["returned"]
            gone[item["product"]] += kept
    for product, units in gone.items():
        if units > there[product]:
            yield f"{units} of {product} are paid for, and there were {there[product]}"


def is_taken(pay: Operation) -> bool:
    return pay.done and isinstance(pay.told, dict) and pay.told.get("status") == "complete"


def movements_by_hand(run: Run) -> Iterator[str]:
    """What was confirmed is in the log once, what was refused never, the rest at most once."""
    explained: set[str] = {entry.id for entry in run.entries if entry.reason == INITIAL}
    for one in run.of("move"):
        found = run.because_of(one.data["reason"])
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
    asked = one.asked
    if one.f == "count":
        yield (
            run.because_of(asked["mark"]),
            None if one.told is None else min(abs(one.told), 1),
            one.told,
        )
        return
    if one.f == "undo":
        log, number = run.log[asked["product"]], asked["number"]
        found = [entry for entry in log[number : number + 1] if entry.reason.startswith("undo: ")]
        # Nobody else's, unless somebody else has undone the same.
        yield found if not one.refused else [], 1, -log[number - 1].came
        return
    for line_number, line in enumerate(asked["lines"], 2):
        source = f"{asked['name']}, line {line_number}"
        if one.f == "revert":
            yield run.because_of(f"Reverted: {source}"), None, None
        elif asked["kind"] == "change":
            certain = 1 if line["units"] > 0 else None
            yield run.because_of(f"{line['reason']} ({source})"), certain, line["units"]
        else:
            yield run.because_of(f"{line['reason']} ({source})"), None, None


def how_often(one: Operation, found: list[Entry], *, expected: int | None) -> Iterator[str]:
    if one.done and len(found) < (expected or 0):
        yield f"{one} was confirmed and has not happened"
    if one.refused and found:
        yield f"{one} was refused and has happened: {found[0]}"
    if len(found) > (1 if expected is None else expected):
        yield f"{one} happened {len(found)} times"


def the_log_keeps_the_order_of_time(run: Run) -> Iterator[str]:
    """What was answered before something else was asked for stands before it."""
    by_id = {next(iter(one.ids)): one for one in run.of("move") if one.done and one.ids}
    for log in run.log.values():
        soonest, whose = NEVER, None
        for entry in reversed(log):
            if (one := by_id.get(entry.id)) is None:
                continue
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
            entries = [
                entry
                for entry in run.of_orders[name]
                if entry.product == item["product"] and entry.is_by_order
            ]
            yield from _units_of(name, order, item, entries)


def _units_of(
    name: str, order: dict[str, Any], item: dict[str, Any], entries: list[Entry]
) -> Iterator[str]:
    where = f"order {name}, product {item['product']}"
    held = 0
    for entry in entries:
        held += EFFECTS[entry.action][1] * entry.quantity
        if not 0 <= held <= item["quantity"]:
            yield f"{where}: {entry} leaves it {held} of {item['quantity']} units"
    left = item["quantity"] - item["shipped"] - item["cancelled"]
    if held not in (0, left) or (held and order["status"] == "cancelled"):
        yield f"{where}: it holds {held} units in the end, and {left} are left"
    sent = sum(shipment["units"].get(item["id"], 0) for shipment in order["shipments"])
    undone = sum(
        shipment["units"].get(item["id"], 0)
        for shipment in order["shipments"]
        if shipment["undone"]
    )
    back = sum(
        line["quantity"]
        for one in order["returns"]
        for line in one["items"]
        if line["item"] == item["id"] and line["disposition"] in ("restocked", "inspection")
    )
    told = Counter({"sent": sent, "undone": undone, "back": back, "shipped": item["shipped"]})
    logged = Counter(
        {
            "sent": _sum(entries, "decrement", SHIPPED),
            "undone": _sum(entries, "increment", UNDONE),
            "back": sum(
                entry.quantity
                for entry in entries
                if entry.action == "increment" and not entry.reason.startswith(UNDONE)
            ),
            "shipped": sent - undone,
        }
    )
    if told != logged:
        yield f"{where}: its documents say {dict(told)}, the log {dict(logged)}"


def _sum(entries: Iterable[Entry], action: str, reason: str) -> int:
    return sum(
        entry.quantity
        for entry in entries
        if entry.action == action and entry.reason.startswith(reason)
    )


def what_was_confirmed_of_orders(run: Run) -> Iterator[str]:
    """No acknowledged operation has vanished, and nothing was done that nobody asked for."""
    for one in run.of("checkout"):
        if one.done and one.ids and not one.ids <= run.orders.keys():
            yield f"{one} was confirmed, and there is no order {one.ids}"
    for one in run.of("pay"):
        yield from _payment(run, one)
    for one in run.of("cancel"):
        if one.done and run.orders[one.subject]["status"] != "cancelled":
            yield f"{one} was confirmed, and the order is not cancelled"
    asked: dict[tuple[str, str], list[Operation]] = defaultdict(list)
    for one in run.of("ship", "ship_some", "take_back"):
        kind = "returns" if one.f == "take_back" else "shipments"
        asked[one.subject, kind].append(one)
    for name, order in run.orders.items():
        for kind in ("shipments", "returns"):
            yield from _records(name, order, kind, asked[name, kind])
    for one in run.of("undo_ship"):
        shipments = {each["id"]: each for each in run.orders[one.subject]["shipments"]}
        if one.done and not shipments[one.asked["path"].split("/")[5]]["undone"]:
            yield f"{one} was confirmed, and the shipment stands"


def _payment(run: Run, one: Operation) -> Iterator[str]:
    order = run.orders.get(one.subject)
    if order is None:
        yield f"{one} is of an order that is not there"
        return
    known = {payment["id"]: payment["status"] for payment in order["payments"]}
    if not one.ids <= known.keys():
        yield f"{one} was confirmed, and there is no payment {one.ids}"
    if not is_taken(one):
        return
    if any(known.get(payment) not in ("complete", "cancelled") for payment in one.ids):
        yield f"{one} was complete, and is {known}"
    for item in order["items"]:
        if not any(
            entry.action == "allocate" and entry.product == item["product"]
            for entry in run.of_orders[one.subject]
            if entry.is_by_order and entry.at <= one.end + run.leeway
        ):
            yield f"{one} was complete, and its order never took its units of {item['product']}"


def _records(name: str, order: dict[str, Any], kind: str, asked: list[Operation]) -> Iterator[str]:
    there = {record["id"] for record in order[kind]}
    confirmed = [one for one in asked if one.done]
    for one in confirmed:
        if one.f != "ship" and not one.ids <= there:
            yield f"{one} was confirmed and has not happened"
    possible = [one for one in asked if not one.refused]
    if not len(confirmed) <= len(there) <= len(possible):
        yield (
            f"order {name} has {len(there)} {kind}: {len(confirmed)} were confirmed, "
            f"and {len(possible)} at most can have happened"
        )


def no_refusal_was_false(run: Run) -> Iterator[str]:
    """Whoever was told that there is not enough: at some moment until then there was not."""
    for one in run.of("add", "checkout", "pay", "move"):
        if not one.refused or one.code not in SHORT:
            continue
        # What is set aside by hand is not what the log shows.
        if one.data.get("action") == "deallocate" or (
            one.f == "pay" and one.subject not in run.orders
        ):
            continue
        least = {
            product: least_available(run.log[product], one.begin, one.end, run.leeway)
            for product in run.wanted(one)
        }
        if all(least[product] >= units for product, units in run.wanted(one).items()):
            yield f"{one} was refused ({one.code}), and there were always enough: {least}"


def least_available(log: list[Entry], begin: float, end: float, leeway: float) -> float:
    """The least that anybody can have seen in between.

    An entry is seen once it is committed: after it was written, and before the next one was. So
    what stood before an entry can be seen until the one after that is written.
    """
    least = NEVER
    for position, entry in enumerate(log):
        seen_until = log[position + 2].at if position + 2 < len(log) else NEVER
        if entry.at - leeway <= end and seen_until + leeway >= begin:
            least = min(least, entry.available)
    return least


def whoever_follows_the_log_sees_no_gap(run: Run) -> Iterator[str]:
    """Each page is what the log has there in the end, and whatever was confirmed before it."""
    place = {entry.id: entry for entry in run.entries}
    confirmed: dict[str, list[tuple[float, int]]] = defaultdict(list)
    for one in run.of("move"):
        if one.done:
            confirmed[one.subject] += [
                (one.end, place[name].number) for name in one.ids if name in place
            ]
    for read in run.of("read_log"):
        if not read.done:
            continue
        product = read.subject
        offset = int(read.asked["path"].rpartition("=")[2])
        seen = [entry.id for entry in run.log[product][offset : offset + len(read.told)]]
        if read.told != seen:
            yield f"{read} saw what is not so in the end, or with a gap: {read.told}"
        newest = max((number for end, number in confirmed[product] if end < read.begin), default=0)
        if offset + len(read.told) < min(newest, offset + 100):
            yield f"{read} did not see entry {newest}, which had been confirmed"


CHECKS = (
    one_key_one_outcome,
    the_log_adds_up,
    nothing_is_oversold,
    movements_by_hand,
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
