"""The same shop asked over HTTP, with keys, by callers whose answers get lost.

What the API has goes through it, with an `Idempotency-Key` on each call; the rest is done by the
services, as people do it in the back office. Calls are repeated: at once, as when the answer was
lost, or much later; as they were, or with another body.
"""

import json
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import rule

from api import tokens
from orders.models import Return
from tests.http import BUYER, Api, administrator, shopper
from tests.model.bank import Bank
from tests.model.driving import DIED, ENGRAVED, ByServices
from tests.model.machine import WHICH, Machine
from tests.model.money import DAY, Died

# Refused for how the call was put, or for the moment: it may be sent again, and is then a new one.
NOT_KEPT = {"amount_not_payable", "amount_not_capturable", "payment_pending", "payment_under_way"}
IN_USE, REUSED, GONE = "idempotency_key_in_use", "idempotency_key_reused", "result_gone"
NOTHING: Mapping[str, Any] = {}


@dataclass
class Call:
    """A call as it was sent, and what was answered to it."""

    api: Api
    method: str
    path: str
    key: str
    data: Any
    # Another body that says something else.
    other: Any
    code: str = ""
    answer: Any = None
    # What it was for, with the numbers that the model gives it, and when.
    name: str = ""
    of: Sequence[Any] = ()
    made: int = 0

    def send(self, data: Any = None) -> tuple[str, Any]:
        """Send it, and return the code of the refusal, if it is one, and the answer."""
        data = self.data if data is None else data
        body = b"" if data is NOTHING else json.dumps({"data": data})
        try:
            answer = self.api.send(self.method, self.path, body, key=self.key)
        except Died:
            return DIED, None
        said = json.loads(answer.content or b"{}")
        return said["errors"][0]["code"] if "errors" in said else "", answer


class ByHttp(ByServices):
    def __init__(self, bank: Bank) -> None:
        super().__init__(bank)
        self.keys = 0
        # The last call, if what was done last was done by one.
        self.last: Call | None = None

    def log_in(self) -> None:
        tokens.forget_clients()
        self.back_office, self.storefront = administrator(), shopper()

    def forget_the_last(self) -> None:
        self.last = None

    def call(self, api: Api, method: str, path: str, data: Any = NOTHING, other: Any = None) -> str:
        self.keys += 1
        call = Call(api, method, f"/v2/{path}", f"key-{self.keys}", data, other)
        call.code, call.answer = call.send()
        self.last = call
        return call.code

    def administer(self, method: str, path: str, data: Any = NOTHING, other: Any = None) -> str:
        return self.call(self.back_office, method, path, data, other)

    def of_order(self, order: int, path: str, data: Any = NOTHING, other: Any = None) -> str:
        return self.administer("POST", f"orders/{self.orders[order]}/{path}", data, other)

    def of_payment(self, order: int, which: int, what: str, **data: Any) -> str:
        path = f"transactions/{self.payment(order, which).pk}/{what}"
        return self.of_order(order, path, data, {**data, "type": "other"})

    def some_items(self, order: int, units: Mapping[int, int] | None) -> dict[str, Any]:
        if units is None:
            return {}
        items = self.items(order)
        return {"items": [{"id": str(items[line].pk), "quantity": n} for line, n in units.items()]}

    # Products and their stock.

    def record(self, which: int, action: str, units: int) -> str:
        path = f"inventories/{self.products[which].pk}/transactions"
        data = {"type": "stock-transaction", "action": action, "quantity": units}
        return self.administer("POST", path, data, {**data, "quantity": units + 1})

    def start_managing(self, which: int, units: int) -> str:
        path = f"inventories/{self.products[which].pk}"
        return self.administer("POST", path, {"quantity": units}, {"quantity": units + 1})

    def stop_managing(self, which: int) -> str:
        return self.administer("DELETE", f"inventories/{self.products[which].pk}")

    def archive(self, which: int) -> str:
        return self.administer("DELETE", f"products/{self.products[which].pk}")

    def change_product(self, which: int, price: int, *, live: bool) -> str:
        data = {
            "type": "product",
            "price": [{"amount": price, "currency": "USD"}],
            "status": "live" if live else "draft",
        }
        path = f"products/{self.products[which].pk}"
        return self.administer("PUT", path, data, {**data, "description": "Another."})

    # Carts and orders.

    def add(self, cart: str, which: int, units: int, *, engraved: bool) -> str:
        data = {"type": "cart_item", "id": str(self.products[which].pk), "quantity": units}
        if engraved:
            data["custom_inputs"] = ENGRAVED
        other = {**data, "quantity": units + 1}
        return self.call(self.storefront, "POST", f"carts/{cart}/items", data, other)

    def change_line(self, cart: str, line: tuple[int, bool], units: int) -> str:
        path = f"carts/{cart}/items/{self.cart_item(cart, line)}"
        other = {"quantity": units + 1}
        return self.call(self.storefront, "PUT", path, {"quantity": units}, other)

    def check_out(self, cart: str) -> str:
        other = {**BUYER, "customer": {"name": "Another", "email": "another@example.com"}}
        code = self.call(self.storefront, "POST", f"carts/{cart}/checkout", BUYER, other)
        if not code and self.last:
            self.orders.append(uuid.UUID(self.last.answer.json()["data"]["id"]))
        return code

    # What becomes of the units of an order.

    def ship(self, order: int, units: dict[int, int] | None) -> str:
        if units == {}:
            return super().ship(order, units)
        data = self.some_items(order, units)
        return self.of_order(order, "shipments", data, {**data, "carrier": "Another"})

    def undo_parcel(self, order: int, which: int, whereabouts: str) -> str:
        data = {"whereabouts": whereabouts} if whereabouts else {}
        path = f"shipments/{self.parcel(order, which).pk}/undo"
        return self.of_order(order, path, data, {**data, "reason": "another"})

    def take_back(self, order: int, lines: Sequence[tuple[int, int, str]], amount: int = 0) -> str:
        if amount or not lines:
            return super().take_back(order, lines, amount)
        items = self.items(order)
        data = {
            "items": [
                {"id": str(items[line].pk), "quantity": units, "disposition": became}
                for line, units, became in lines
            ]
        }
        return self.of_order(order, "returns", data, {**data, "reason": "another"})

    def settle_inspected(self, order: int, which: int, units: int, *, restock: bool) -> str:
        line = self.to_inspect(order)[which]
        back = Return.objects.get(lines=line)
        data = {"disposition": "restocked" if restock else "discarded", "quantity": units}
        other = {**data, "reason": "another"}
        return self.of_order(order, f"returns/{back.pk}/items/{line.pk}/settle", data, other)

    def cancel_units(
        self, order: int, units: dict[int, int] | None, *, restock: bool, amount: int = 0
    ) -> str:
        if amount or units == {}:
            return super().cancel_units(order, units, restock=restock, amount=amount)
        data = {**self.some_items(order, units), "restock": restock}
        return self.of_order(order, "cancellations", data, {**data, "reason": "another"})

    def cancel(self, order: int, *, restock: bool = True) -> str:
        if not restock:
            return super().cancel(order, restock=restock)
        data = {"type": "order", "status": "cancelled"}
        path = f"orders/{self.orders[order]}"
        return self.administer("PUT", path, data, {"status": "cancelled"})

    # Money.

    def pay(self, order: int, gateway: str, method: str, amount: int | None) -> str:
        data: dict[str, Any] = {"gateway": gateway, "method": method}
        if amount is not None:
            data["amount"] = amount
        path = f"orders/{self.orders[order]}/payments"
        # A shopper may not say that money has come.
        api = self.back_office if gateway == "manual" else self.storefront
        return self.call(api, "POST", path, data, {**data, "amount": (amount or 0) + 1})

    def confirm(self, order: int, which: int) -> str:
        return self.of_payment(order, which, "confirm")

    def capture(self, order: int, which: int, amount: int | None) -> str:
        if amount == 0:
            return super().capture(order, which, amount)
        return self.of_payment(order, which, "capture", **_if_given(amount))

    def void(self, order: int, which: int) -> str:
        return self.of_payment(order, which, "cancel")

    def refund(
        self,
        order: int,
        which: int,
        amount: int | None,
        taken_back: Sequence[tuple[int, int, str]] = (),
    ) -> str:
        if amount == 0 or taken_back:
            return super().refund(order, which, amount, taken_back)
        return self.of_payment(order, which, "refund", **_if_given(amount))


def _if_given(amount: int | None) -> dict[str, int]:
    return {} if amount is None else {"amount": amount}


def _told(answer: Any) -> tuple[int, Any]:
    return answer.status_code, json.loads(answer.content or b"null")


class HttpMachine(Machine):
    driver: ByHttp

    def __init__(self) -> None:
        super().__init__()
        self.around.callback(tokens.forget_clients)
        # How often the answer of the next calls is lost, and whether a key is then used again.
        self.times_lost = 0
        self.with_another_body = False
        self.kept: list[Call] = []

    def made_driver(self) -> ByServices:
        return ByHttp(self.bank)

    def prepare(self) -> None:
        super().prepare()
        self.driver.log_in()

    @rule(data=st.data(), lost=st.sampled_from([0, 0, 1, 2]), other=st.booleans())
    def something_happens_to_callers(self, data: st.DataObject, lost: int, other: bool) -> None:
        self.times_lost, self.with_another_body = lost, other
        self.let_something_happen(data)

    def do(self, name: str, *of: Any, **how: Any) -> str:
        self.driver.forget_the_last()
        code = super().do(name, *of, **how)
        self.read_something()
        call: Call | None = self.driver.last
        if call is not None and code not in NOT_KEPT:
            if name == "pay":
                of = (of[0], len(self.shop.orders[of[0]].payments) - 1)
            call.name, call.of, call.made = name, of, self.shop.now
            self.kept.append(call)
            for _ in range(self.times_lost):
                self.repeat(call, at_once=True)
            if self.with_another_body and call.other is not None:
                assert call.send(call.other)[0] == REUSED
                self.comparison.require_the_same()
        return code

    def repeat(self, call: Call, *, at_once: bool = False) -> None:
        """Send a call again: nothing is done again, and the answer is the one that was lost."""
        code, answer = call.send()
        assert code == self.answer_to(call), (call.name, code)
        assert code == IN_USE or answer.headers.get("Idempotent-Replayed") == "true"
        if at_once and code == call.code:
            found, wanted = _told(answer), _told(call.answer)
            assert found == wanted, f"{call.name}\nis      {found}\nand not {wanted}"
        self.comparison.require_the_same()

    def answer_to(self, call: Call) -> str:
        """Foretell the code of the answer to a call that is sent again."""
        if call.code not in ("", DIED):
            return call.code
        if call.name in ("pay", "confirm"):
            payment = self.shop.orders[call.of[0]].payments[call.of[1]]
            if payment.status == "failed":
                return "payment_declined"
            if payment.late:
                return "payment_returned"
            is_busy = payment.pending and payment.busy_until > self.shop.now
            return IN_USE if is_busy else ""
        shelf = self.shop.shelves[call.of[0]] if call.name in _OF_PRODUCTS else None
        is_gone = shelf and (shelf.archived if call.name == "change_product" else not shelf.managed)
        return GONE if is_gone else ""

    @rule(which=WHICH)
    def an_old_call_comes_again(self, which: int) -> None:
        self.kept = [call for call in self.kept if call.made > self.shop.now - DAY]
        if self.kept:
            self.shop.now += 1
            call = self.one(self.kept, which)
            self.tally["repeat " + call.name, ""] += 1
            self.repeat(call)

    def read_something(self) -> None:
        """Read an order and a product's stock as a back office does."""
        api, now = self.driver.back_office, self.shop.now
        number = now % len(self.shop.shelves)
        shelf, made = self.shop.shelves[number], self.driver.products[number]
        if shelf.managed:
            stock = api.get(f"/v2/inventories/{made.pk}").json()["data"]
            found = (stock["total"], stock["available"], stock["allocated"])
            assert found == (shelf.total, shelf.available, shelf.allocated)
        if self.shop.orders:
            number = now % len(self.shop.orders)
            order = self.shop.orders[number]
            told = api.get(f"/v2/orders/{self.driver.orders[number]}").json()["data"]
            shipping = "fulfilled" if order.fulfilled else "unfulfilled"
            states = (told["status"], told["payment"], told["shipping"])
            assert states == (order.status, order.payment, shipping)
            price = told["meta"]["display_price"]
            assert price["paid"]["amount"] == order.captured
            assert price["authorized"]["amount"] == order.authorized


# Whose answers tell of a product as it is now.
_OF_PRODUCTS = ("change_product", "start_managing")
