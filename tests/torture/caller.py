"""Calls the API as frontends and back offices do, and writes down what came of every call."""

import http.client
import json
import time
import uuid
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from tests.http import BUYER, FORM
from tests.torture.pen import Pen

TIMEOUT_SECONDS = 30
# Refusals that say nothing of what becomes of the call: it is to be sent again.
NOT_YET = {"idempotency_key_in_use", "conflict"}
# What the history keeps of an answer.
TOLD = ("id", "status", "payment", "shipping", "items")


@dataclass
class Entry:
    """A call and its answer; without a status there was none."""

    what: str
    sent: Any
    status: int | None
    answer: Any
    at: float = field(default_factory=time.time)

    @property
    def data(self) -> Any:
        return self.answer["data"]

    @property
    def code(self) -> str:
        """Why it was refused, in the word for programs."""
        return str(self.answer["errors"][0].get("code", "")) if "errors" in self.answer else ""

    @property
    def is_open(self) -> bool:
        """Tell whether nobody knows yet what becomes of the call."""
        if self.status is None or self.status >= 500 or self.status == 429:
            return True
        return self.status == 409 and self.code in NOT_YET

    @property
    def type(self) -> str:
        """How the history calls it: done, refused, or unknown."""
        if self.is_open:
            return "info"
        return "ok" if self.status is not None and self.status < 400 else "fail"


class Caller:
    """One client with its token. The history is what it can swear to afterwards."""

    def __init__(self, port: int, *, pen: Pen | None = None, **credentials: str) -> None:
        self.port = port
        self.pen = pen
        self.headers = {"Content-Type": FORM}
        self.history: list[Entry] = []
        token = self._sent("POST", "/oauth/access_token", urlencode(credentials))[1]
        self.headers = {
            "Content-Type": "application/json",
            "Authorization": f"Bearer {token['access_token']}",
        }

    def get(self, path: str) -> Entry:
        return self._entry("get", "GET", path, None, "")

    def post(self, what: str, path: str, data: Any = None, *, key: str = "") -> Entry:
        return self._entry(what, "POST", path, data, key)

    def put(self, what: str, path: str, data: Any, *, key: str = "") -> Entry:
        return self._entry(what, "PUT", path, data, key)

    def _entry(self, what: str, method: str, path: str, data: Any, key: str) -> Entry:
        sent = {"path": path, "data": data, "key": key}
        body = "" if data is None else json.dumps({"data": data})
        # What is only read changes nothing, and most of it would fill the history.
        pen = self.pen if what != "get" else None
        if pen:
            pen.write("invoke", what, sent)
        try:
            status, answer = self._sent(method, path, body, key)
        except (OSError, http.client.HTTPException) as error:
            entry = Entry(what, sent, None, {"lost": repr(error)})
        else:
            entry = Entry(what, sent, status, answer)
        if pen:
            pen.write(entry.type, what, {**sent, **_told(entry)})
        self.history.append(entry)
        return entry

    def _sent(self, method: str, path: str, body: str, key: str = "") -> tuple[int, Any]:
        headers = self.headers | ({"Idempotency-Key": key} if key else {})
        # A connection of its own for each call: the server that had the last one may be dead.
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=TIMEOUT_SECONDS)
        try:
            connection.request(method, path, body, headers)
            response = connection.getresponse()
            return response.status, json.loads(response.read() or "{}")
        finally:
            connection.close()


def _told(entry: Entry) -> dict[str, Any]:
    told: dict[str, Any] = {"status": entry.status, "code": entry.code}
    data = entry.answer.get("data")
    if isinstance(data, dict):
        told["told"] = {name: data[name] for name in TOLD if name in data}
    elif entry.what == "read_log" and entry.type == "ok":
        told["told"] = [one["id"] for one in data]
    return told


class Shopper(Caller):
    """A storefront in a buyer's browser."""

    def __init__(self, port: int, client_id: str, *, pen: Pen | None = None) -> None:
        super().__init__(port, pen=pen, grant_type="implicit", client_id=client_id)

    def order(self, lines: dict[str, int]) -> Entry:
        """Put these products into a new cart and check it out."""
        cart = f"cart-{uuid.uuid4().hex}"
        for product, quantity in lines.items():
            line = {"type": "cart_item", "id": product, "quantity": quantity}
            added = self.post("add", f"/v2/carts/{cart}/items", line)
            if added.status != 201:
                return added
        return self.post("checkout", f"/v2/carts/{cart}/checkout", BUYER, key=uuid.uuid4().hex)

    def pay(self, order: str, card: str = "pm_card_visa", *, key: str = "", **more: Any) -> Entry:
        asked = {"gateway": "stripe", "method": "purchase", "payment": card, **more}
        return self.post("pay", f"/v2/orders/{order}/payments", asked, key=key)

    def confirm(self, order: str, payment: str, *, key: str = "") -> Entry:
        return self.post("confirm", f"{_transaction(order, payment)}/confirm", key=key)


class Merchant(Caller):
    """A back office."""

    def __init__(self, port: int, client_id: str, secret: str, *, pen: Pen | None = None) -> None:
        super().__init__(
            port,
            pen=pen,
            grant_type="client_credentials",
            client_id=client_id,
            client_secret=secret,
        )

    def move(
        self, product: str, action: str, quantity: int, reason: str, *, key: str = ""
    ) -> Entry:
        movement = {
            "type": "stock-transaction",
            "action": action,
            "quantity": quantity,
            "reason": reason,
        }
        return self.post("move", f"/v2/inventories/{product}/transactions", movement, key=key)

    def read_log(self, product: str, offset: int) -> Entry:
        """Read what follows so many entries of a product's log."""
        path = f"/v2/inventories/{product}/transactions?page[limit]=100&page[offset]={offset}"
        return self._entry("read_log", "GET", path, None, "")

    def capture(self, order: str, payment: str, *, key: str = "") -> Entry:
        return self.post("capture", f"{_transaction(order, payment)}/capture", key=key)

    def refund(self, order: str, payment: str, amount: int, *, key: str = "") -> Entry:
        asked = {"amount": amount}
        return self.post("refund", f"{_transaction(order, payment)}/refund", asked, key=key)

    def void(self, order: str, payment: str, *, key: str = "") -> Entry:
        return self.post("void", f"{_transaction(order, payment)}/cancel", key=key)

    def ship(self, order: str, *, key: str = "") -> Entry:
        asked = {"type": "order", "shipping": "fulfilled"}
        return self.put("ship", f"/v2/orders/{order}", asked, key=key)

    def ship_some(self, order: str, units: dict[str, int], *, key: str = "") -> Entry:
        asked = {"type": "shipment", "items": _items(units)}
        return self.post("ship_some", f"/v2/orders/{order}/shipments", asked, key=key)

    def undo_ship(self, order: str, shipment: str, *, key: str = "") -> Entry:
        # Should a count be between, the parcel is said to have been away.
        asked = {"whereabouts": "back"}
        path = f"/v2/orders/{order}/shipments/{shipment}/undo"
        return self.post("undo_ship", path, asked, key=key)

    def cancel_some(
        self, order: str, units: dict[str, int] | None, *, restock: bool = True, key: str = ""
    ) -> Entry:
        """Cancel these units, or all that is left."""
        named = {} if units is None else {"items": _items(units)}
        asked = {"type": "cancellation", "restock": restock, **named}
        return self.post("cancel_some", f"/v2/orders/{order}/cancellations", asked, key=key)

    def take_back(
        self, order: str, units: dict[str, int], disposition: str, *, key: str = ""
    ) -> Entry:
        items = [{**item, "disposition": disposition} for item in _items(units)]
        asked = {"type": "return", "items": items}
        return self.post("take_back", f"/v2/orders/{order}/returns", asked, key=key)

    def settle(self, order: str, back: str, line: str, disposition: str, *, key: str = "") -> Entry:
        path = f"/v2/orders/{order}/returns/{back}/items/{line}/settle"
        return self.post("settle", path, {"disposition": disposition}, key=key)

    def cancel(self, order: str, *, key: str = "") -> Entry:
        asked = {"type": "order", "status": "cancelled"}
        return self.put("cancel", f"/v2/orders/{order}", asked, key=key)


def _items(units: dict[str, int]) -> list[dict[str, Any]]:
    return [{"id": item, "quantity": quantity} for item, quantity in units.items()]


def _transaction(order: str, payment: str) -> str:
    return f"/v2/orders/{order}/transactions/{payment}"
