"""What the clients of a run write down of their calls, and what anybody can read afterwards.

All of it lies in one folder, as README.md describes it, and `check_history.py` judges by it alone.
"""

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

from tests.torture.caller import Entry, Merchant
from tests.torture.pen import Pen

HISTORY, LOG, ORDERS, META = "history.jsonl", "log.jsonl", "orders.jsonl", "meta.json"
PAGE = 100
# The reads at the end happen when nothing goes wrong any more, on a machine that may be busy.
TRIES = 20
# Of which orders it is read what was done to their units.
OF_UNITS = {"ship", "ship_some", "undo_ship", "take_back", "settle"}


class Record:
    """The folder of a run."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.path = folder / HISTORY
        self.path.touch()
        self.clock = [_wall_less_monotonic()]

    def pen(self, process: str) -> Pen:
        return Pen(str(self.path), process)

    def close(self, merchant: Merchant, seed: int, products: dict[str, str]) -> None:
        """Put the history into the order of time, and read what there is in the end."""
        self.clock.append(_wall_less_monotonic())
        lines = [json.loads(line) for line in self.path.read_text().splitlines()]
        lines.sort(key=lambda line: line["time"])
        _write(self.path, ({"index": index, **line} for index, line in enumerate(lines)))
        _write(self.folder / LOG, _log(merchant, products))
        touched = {line["value"]["path"].split("/")[3] for line in lines if line["f"] in OF_UNITS}
        _write(self.folder / ORDERS, _orders(merchant, products, touched))
        stock = {product: _read(merchant, f"/v2/inventories/{product}") for product in products}
        meta = {
            "seed": seed,
            "wall_less_monotonic_ns": self.clock,
            "products": [
                {"id": product, "sku": sku, **{name: stock[product][name] for name in _NUMBERS}}
                for product, sku in products.items()
            ],
        }
        (self.folder / META).write_text(json.dumps(meta))


_NUMBERS = ("total", "available", "allocated")


def _wall_less_monotonic() -> int:
    return time.time_ns() - time.monotonic_ns()


def _write(path: Path, rows: Iterator[Any]) -> None:
    text = "".join(json.dumps(row) + "\n" for row in rows)
    new = path.with_suffix(".new")
    new.write_text(text)
    os.replace(new, path)


def _log(merchant: Merchant, products: dict[str, str]) -> Iterator[Any]:
    for product in products:
        path = f"/v2/inventories/{product}/transactions"
        for number, entry in enumerate(_list(merchant, path), 1):
            kept = {name: entry[name] for name in ("id", "action", "quantity", "reason")}
            numbers = {name: entry[name] for name in _NUMBERS}
            yield {
                "product": product,
                "number": number,
                **kept,
                **numbers,
                "order": entry["order_id"],
                "at": entry["timestamps"]["created_at"],
            }


def _orders(merchant: Merchant, products: dict[str, str], touched: set[str]) -> Iterator[Any]:
    """All orders of the products, also those of which no client ever heard."""
    known: set[str] = set()
    for product in products:
        asked = quote(f"eq(product_id,{product})")
        for order in _list(merchant, f"/v2/orders?filter={asked}"):
            if order["id"] in known:
                continue
            known.add(order["id"])
            path = f"/v2/orders/{order['id']}"
            yield {
                **{name: order[name] for name in ("id", "status", "payment", "shipping")},
                "items": [
                    {
                        "id": item["id"],
                        "product": item["product_id"],
                        "quantity": item["quantity"],
                        "shipped": item["quantity_shipped"],
                        "cancelled": item["quantity_cancelled"],
                        "returned": item["quantity_returned"],
                    }
                    for item in _read(merchant, f"{path}/items")
                ],
                "payments": [
                    {name: payment[name] for name in ("id", "status", "captured_amount", "amount")}
                    for payment in _list(merchant, f"{path}/transactions")
                ],
                **(_units(merchant, path) if order["id"] in touched else _NO_UNITS),
            }


_NO_UNITS: dict[str, Any] = {"shipments": [], "returns": []}


def _units(merchant: Merchant, path: str) -> dict[str, Any]:
    return {
        "shipments": [
            {
                "id": shipment["id"],
                "units": {line["id"]: line["quantity"] for line in shipment["items"]},
                "undone": "undone_at" in shipment["meta"]["timestamps"],
            }
            for shipment in _list(merchant, f"{path}/shipments")
        ],
        "returns": [
            {
                "id": back["id"],
                "items": [
                    {
                        "id": line["id"],
                        "item": line["order_item_id"],
                        "quantity": line["quantity"],
                        "disposition": line["disposition"],
                        "settled_as": line.get("settled_as"),
                    }
                    for line in back["items"]
                ],
            }
            for back in _list(merchant, f"{path}/returns")
        ],
    }


def _list(merchant: Merchant, path: str) -> Iterator[Any]:
    offset, joint = 0, "&" if "?" in path else "?"
    while True:
        page = _answer(merchant, f"{path}{joint}page[limit]={PAGE}&page[offset]={offset}")
        yield from page.data
        offset += len(page.data)
        if len(page.data) < PAGE:
            return


def _read(merchant: Merchant, path: str) -> Any:
    return _answer(merchant, path).data


def _answer(merchant: Merchant, path: str) -> Entry:
    for _ in range(TRIES):
        entry = merchant.get(path)
        if entry.status == 200:
            return entry
        time.sleep(0.5)
    raise AssertionError(f"{path} cannot be read: {entry}")
