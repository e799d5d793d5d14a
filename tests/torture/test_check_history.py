"""The checker of histories finds what it is there to find: each test tells one lie."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.torture import check_history

TEA, ORDER, LINE = "tea", "o-1", "line-1"
MOVES = f"/v2/inventories/{TEA}/transactions"
SECOND = 1_000_000_000


class Story:
    """A run in which five of a product were there, three came, and two were sold and shipped."""

    def __init__(self) -> None:
        self.time = 0
        self.history: list[dict[str, Any]] = []
        self.log: list[dict[str, Any]] = []
        self.order: dict[str, Any] = {
            "id": ORDER,
            "status": "processing",
            "payment": "paid",
            "shipping": "fulfilled",
            "items": [
                {"id": LINE, "product": TEA, "quantity": 2}
                | {"shipped": 2, "cancelled": 0, "returned": 0}
            ],
            "payments": [{"id": "p-1", "status": "complete"}],
            "shipments": [{"id": "s-1", "units": {LINE: 2}, "undone": False}],
            "returns": [],
        }
        self.says("stock", {"product": TEA, "quantity": 5})
        self.happens("increment", 5, "initial stock")
        self.moves("increment", 3, "came", entry="e-2")
        self.happens("increment", 3, "came")
        self.calls("add", "/v2/carts/c/items", {"id": TEA, "quantity": 2})
        self.calls("checkout", "/v2/carts/c/checkout", None, told={"id": ORDER})
        self.says("pay", self.asked(f"/v2/orders/{ORDER}/payments", None), "invoke")
        self.happens("allocate", 2, "payment started", ORDER)
        told = {"id": "p-1", "status": "complete"}
        self.says("pay", self.asked(f"/v2/orders/{ORDER}/payments", None) | {"told": told}, "ok")
        self.calls("ship_some", f"/v2/orders/{ORDER}/shipments", None, told={"id": "s-1"})
        self.happens("deallocate", 2, "shipped", ORDER)
        self.happens("decrement", 2, "shipped", ORDER)
        self.reads(["e-1", "e-2", "e-3", "e-4", "e-5"])

    def says(self, f: str, value: Any, type: str = "", process: str = "ann") -> None:
        """Write a line; without a type, one before the call and one after it."""
        for kind in [type] if type else ["invoke", "ok"]:
            self.time += SECOND
            line = {"index": len(self.history), "process": process, "type": kind}
            self.history.append({**line, "f": f, "value": value, "time": self.time})

    def asked(self, path: str, data: Any) -> dict[str, Any]:
        return {"path": path, "data": data, "key": path}

    def calls(
        self, f: str, path: str, data: Any, type: str = "ok", key: str = "", **answer: Any
    ) -> None:
        asked = {"path": path, "data": data, "key": key or f"{f} {path} {data}"}
        self.says(f, asked, "invoke")
        self.says(f, asked | {"code": ""} | answer, type)

    def moves(
        self, action: str, units: int, reason: str, type: str = "ok", entry: str = ""
    ) -> None:
        """Let somebody move stock by hand, the answer to which comes after it has happened."""
        data = {"action": action, "quantity": units, "reason": reason}
        answer: dict[str, Any] = {"told": {"id": entry}} if entry else {}
        self.calls("move", MOVES, data, type, **answer)

    def reads(self, seen: list[str]) -> None:
        path = f"{MOVES}?page[limit]=100&page[offset]=0"
        self.calls("read_log", path, None, key=f"read {self.time}", told=seen)

    def happens(self, action: str, units: int, reason: str, order: str | None = None) -> None:
        """Let it be in the log, just after whatever was said last was said."""
        entry = {"product": TEA, "action": action, "quantity": units, "reason": reason}
        self.log.append(entry | {"order": order, "time": self.time - SECOND // 2})

    def told_by(self, folder: Path) -> list[str]:
        """Write it down, and have it checked."""
        available = allocated = 0
        for number, entry in enumerate(self.log, 1):
            by, to = check_history.EFFECTS[entry["action"]]
            available += by * entry["quantity"]
            allocated += to * entry["quantity"]
            seconds = entry.pop("time") / SECOND
            numbers = {"available": available, "allocated": allocated}
            added = {"id": f"e-{number}", "number": number, "total": available + allocated}
            entry |= {**added, **numbers, "at": _moment(seconds), **entry}
        (folder / "history.jsonl").write_text("\n".join(map(json.dumps, self.history)))
        (folder / "log.jsonl").write_text("\n".join(map(json.dumps, self.log)))
        (folder / "orders.jsonl").write_text(json.dumps(self.order))
        product = {"id": TEA, "sku": "TEA", "available": available, "allocated": allocated}
        meta = {"wall_less_monotonic_ns": [0, 0], "products": [product]}
        (folder / "meta.json").write_text(json.dumps(meta))
        return check_history.complaints(folder)


def _moment(seconds: float) -> str:
    minutes, rest = divmod(seconds, 60)
    return f"1970-01-01T00:{int(minutes):02}:{rest:09.6f}+00:00"


def test_a_run_in_which_all_is_well(tmp_path):
    assert Story().told_by(tmp_path) == []


def twice(story: Story) -> None:
    story.log.insert(2, dict(story.log[1]))


def vanished(story: Story) -> None:
    del story.log[1]


def refused_and_done(story: Story) -> None:
    story.moves("increment", 1, "no", type="fail")
    story.happens("increment", 1, "no")


def unknown_twice(story: Story) -> None:
    story.moves("increment", 1, "perhaps", type="info")
    story.happens("increment", 1, "perhaps")
    story.happens("increment", 1, "perhaps")


def another(story: Story) -> None:
    story.log[1]["quantity"] = 4


def untimely(story: Story) -> None:
    story.moves("increment", 1, "late", entry="e-6")
    story.says("nothing", {})
    story.happens("increment", 1, "late")


def nobodys(story: Story) -> None:
    story.happens("increment", 1, "ghost")


def below_nothing(story: Story) -> None:
    story.moves("decrement", 9, "gone", entry="e-6")
    story.happens("decrement", 9, "gone")


def skewed(story: Story) -> None:
    story.log[1]["available"] = 9


def backwards(story: Story) -> None:
    story.log[4]["time"] = story.log[3]["time"] - SECOND


def oversold(story: Story) -> None:
    story.order["items"][0]["quantity"] = 9


def not_taken(story: Story) -> None:
    story.order["shipments"] = []
    del story.log[2:]


def no_order(story: Story) -> None:
    story.calls("checkout", "/v2/carts/d/checkout", None, told={"id": "o-2"})


def ordered_twice(story: Story) -> None:
    del story.history[7]["value"]["told"]


def paid_twice(story: Story) -> None:
    story.order["payments"].append({"id": "p-2", "status": "complete"})


def no_payment(story: Story) -> None:
    story.order["payments"] = []


def payment_taken_back(story: Story) -> None:
    story.order["payments"][0]["status"] = "failed"


def no_shipment(story: Story) -> None:
    story.order["shipments"] = []


def shipment_nobody_asked_for(story: Story) -> None:
    story.order["shipments"].append({"id": "s-2", "units": {}, "undone": False})


def taken_twice(story: Story) -> None:
    story.happens("allocate", 2, "payment started", ORDER)


def shipped_twice(story: Story) -> None:
    for action in ("allocate", "deallocate", "decrement"):
        story.happens(action, 2, "shipped", ORDER)


def never_cancelled(story: Story) -> None:
    story.calls("cancel", f"/v2/orders/{ORDER}", None, told={"id": ORDER})


def refused_for_nothing(story: Story) -> None:
    data = {"id": TEA, "quantity": 6}
    story.calls("add", "/v2/carts/e/items", data, "fail", code="insufficient_stock")


def a_gap(story: Story) -> None:
    story.reads(["e-1", "e-2", "e-4"])


def not_seen(story: Story) -> None:
    story.reads(["e-1"])


def in_the_wrong_order(story: Story) -> None:
    story.moves("increment", 1, "first", entry="e-7")
    story.moves("increment", 1, "second", entry="e-6")
    story.happens("increment", 1, "second")
    story.happens("increment", 1, "first")


def two_things_by_one_key(story: Story) -> None:
    for made in ("s-1", "s-2"):
        story.calls("ship_some", f"/v2/orders/{ORDER}/shipments", None, key="k", told={"id": made})


def done_and_refused(story: Story) -> None:
    data = {"action": "increment", "quantity": 3, "reason": "came"}
    story.calls("move", MOVES, data, "fail")


FILE = {"name": "f.csv", "kind": "change"} | {
    "lines": [{"product": TEA, "units": 1, "reason": "f/0"}]
}


def counted_twice(story: Story) -> None:
    story.says("count", {"product": TEA, "counted": 7, "mark": "shelf", "told": 1})
    story.happens("increment", 1, "count of 7: shelf")
    story.happens("increment", 1, "count of 7 at 2026-11-27 10:00:00 UTC: shelf")


def counted_another(story: Story) -> None:
    story.says("count", {"product": TEA, "counted": 7, "mark": "shelf", "told": 1})
    story.happens("decrement", 1, "count of 7: shelf")


def not_undone(story: Story) -> None:
    story.says("undo", {"product": TEA, "number": 5})


def line_not_applied(story: Story) -> None:
    story.says("apply", FILE)


def line_applied_twice(story: Story) -> None:
    story.says("apply", FILE, "invoke")
    story.happens("increment", 1, "f/0 (f.csv, line 2)")
    story.happens("increment", 1, "f/0 (f.csv, line 2)")


def reverted_unasked(story: Story) -> None:
    story.happens("decrement", 1, "Reverted: f.csv, line 2")


@pytest.mark.parametrize(
    ("lie", "complaint"),
    [
        (twice, "happened 2 times"),
        (vanished, "was confirmed and has not happened"),
        (refused_and_done, "was refused and has happened"),
        (unknown_twice, "happened 2 times"),
        (another, "is in the log as entry 2"),
        (untimely, "is not of the time in which it was asked for"),
        (nobodys, "nobody asked for entry 6"),
        (below_nothing, "leaves -3 available"),
        (skewed, "does not follow from the one before it"),
        (backwards, "is of an earlier moment than the one before it"),
        (oversold, "9 of tea are paid for, and there were 8"),
        (not_taken, "never took its units of tea"),
        (no_order, "there is no order {'o-2'}"),
        (ordered_twice, "0 checkouts got no answer, and there are orders {'o-1'}"),
        (paid_twice, "order o-1 has 2 payments, 1 asked for"),
        (no_payment, "there is no payment {'p-1'}"),
        (payment_taken_back, "was complete, and is {'p-1': 'failed'}"),
        (no_shipment, "was confirmed and has not happened"),
        (shipment_nobody_asked_for, "1 at most can be"),
        (taken_twice, "holds 2 units in the end, and 0 are left"),
        (shipped_twice, "its documents say"),
        (never_cancelled, "the order is not cancelled"),
        (refused_for_nothing, "there were always enough: {'tea': 6}"),
        (a_gap, "with a gap"),
        (not_seen, "did not see entry 2, which had been confirmed"),
        (in_the_wrong_order, "is in the log after it"),
        (two_things_by_one_key, "made 2 things under one key"),
        (counted_twice, "happened 2 times"),
        (counted_another, "instead of 1"),
        (not_undone, "was confirmed and has not happened"),
        (line_not_applied, "was confirmed and has not happened"),
        (line_applied_twice, "happened 2 times"),
        (reverted_unasked, "nobody asked for entry 6"),
        (done_and_refused, "both done and refused under one key"),
    ],
)
def test_each_lie_is_found(tmp_path: Path, lie: Callable[[Story], None], complaint: str):
    story = Story()
    lie(story)

    found = story.told_by(tmp_path)

    assert any(complaint in each for each in found), found


def test_a_refusal_is_true_if_there_was_too_little_for_a_moment_of_it(tmp_path):
    story = Story()
    data = {"id": TEA, "quantity": 7}
    asked = {"path": "/v2/carts/e/items", "data": data, "key": ""}
    # Eight are there at most, and six once two are gone, of which the others are told too late.
    story.history[3:3] = [
        {"index": 99, "process": "bob", "type": "invoke", "f": "add", "value": asked}
        | {"time": story.history[2]["time"] + 1}
    ]
    story.says("add", asked | {"code": "insufficient_stock"}, "fail", process="bob")

    assert story.told_by(tmp_path) == []


def test_what_got_no_answer_may_have_happened_or_not(tmp_path):
    story = Story()
    story.moves("increment", 1, "perhaps", type="info")
    story.moves("increment", 1, "perhaps not", type="info")
    story.happens("increment", 1, "perhaps")

    assert story.told_by(tmp_path) == []


def test_what_people_did_at_a_desk(tmp_path):
    story = Story()
    story.says("count", {"product": TEA, "counted": 7, "mark": "shelf", "told": 1}, "invoke")
    story.happens("increment", 1, "count of 7: shelf")
    story.says("count", {"product": TEA, "counted": 7, "mark": "shelf", "told": 1}, "ok")
    story.says("count", {"product": TEA, "counted": 7, "mark": "again", "told": 0})
    story.says("undo", {"product": TEA, "number": 6})
    story.happens("decrement", 1, "undo: count of 7: shelf")
    story.says("apply", FILE)
    story.happens("increment", 1, "f/0 (f.csv, line 2)")
    story.says("revert", FILE)
    story.happens("decrement", 1, "Reverted: f.csv, line 2")

    assert story.told_by(tmp_path) == []


def test_it_is_a_program_that_imports_nothing_of_ours(tmp_path):
    story = Story()
    vanished(story)
    story.told_by(tmp_path)
    program = Path(check_history.__file__)

    # Isolated: neither our modules nor the packages of the environment are in reach.
    command = [sys.executable, "-I", "-S", str(program), str(tmp_path)]
    judged = subprocess.run(command, capture_output=True, text=True, check=False)

    assert judged.returncode == 1
    assert "was confirmed and has not happened" in judged.stdout
    assert check_history.complaints(tmp_path)
