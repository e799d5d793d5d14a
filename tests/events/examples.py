"""What docs/events.md shows: an example of every event, from the life of a small shop.

`python -m tests.events.examples` writes them into the document anew.
"""

import importlib.util
import json
import os
import re
from datetime import UTC, datetime
from types import ModuleType
from typing import Any

import pytest

from api import clock, store
from config.supervisor import PROJECT
from events.models import Event
from events.services import integrations, kinds, sequencing
from inventory.models import Action
from inventory.services import currencies, pictures, products, stock
from orders.services import carts, orders, returns, shipments
from orders.services.orders import Buyer
from orders.services.returns import TakenBack
from payments.models import Payment
from payments.services import payments
from payments.services.payments import PaymentRequest
from tests.drawn import drawn, picture
from tests.events.told import payload
from tests.factories import MERCHANT, product

DOCUMENT = PROJECT / "docs" / "events.md"
# A type's heading, the words below it, and the example: of what is told, or of a part of that.
EXAMPLE = re.compile(
    r"^#### `(?P<type>[\w.-]+)`\n\n(?P<words>(?:(?!\n#).)+?)\n\n```json\n(?P<json>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)
WRITE = "WRITE_EXAMPLES"
WIDTH = 99
# When all of it happens.
MOMENT = datetime(2026, 11, 28, 9, 30, tzinfo=UTC)
ADDRESS = {
    "first_name": "Ada",
    "last_name": "Buyer",
    "line_1": "1 Mill Lane",
    "city": "New York",
    "postcode": "10001",
    "region": "NY",
    "country": "US",
}
BUYER = Buyer("Ada Buyer", "ada@example.com", ADDRESS, ADDRESS)


def examples() -> dict[str, Any]:
    """Live through it, and return the first payload of each type, with ids as in a book."""
    with clock.replaced(lambda: MOMENT):
        _live()
    told: dict[str, Any] = {}
    for event in Event.objects.order_by("position"):
        told.setdefault(event.type, payload(event))
    return _Legible().legible(told)  # type: ignore[no-any-return]


def _live() -> None:
    """Let everything happen once that is told, and number it step by step."""
    happened = sequencing.number_all
    shirt = product(
        stock=12,
        sku="SHIRT-BLUE",
        name="Shirt, blue",
        description="Linen, loosely woven.",
        low_stock_threshold=3,
    )
    happened()

    products.update(shirt.pk, name="Linen shirt, blue", actor=MERCHANT)
    happened()
    for action, quantity, reason in (
        (Action.DECREMENT, 9, "sold at the fair"),
        (Action.DECREMENT, 3, "sold at the fair"),
        (Action.INCREMENT, 20, "delivery 1007"),
    ):
        stock.record(shirt.pk, action, quantity, actor=MERCHANT, reason=reason)
        happened()

    carts.add_item("ada", product_id=shirt.pk, quantity=2, currency="USD")
    happened()
    order, _ = orders.checkout("ada", BUYER)
    happened()
    authorize = PaymentRequest("test", Payment.Method.AUTHORIZE)
    payment = payments.pay(order.pk, authorize, actor=MERCHANT)
    happened()
    payments.capture(order.pk, payment.pk, actor=MERCHANT)
    happened()
    first = shipments.ship(order.pk, actor=MERCHANT, carrier="DHL", tracking="1Z 999")
    happened()
    shipments.undo(order.pk, first.pk, actor=MERCHANT, reason="wrong parcel")
    happened()
    shipments.ship(order.pk, actor=MERCHANT, carrier="DHL", tracking="1Z 1000")
    happened()
    [item] = order.items.all()
    back = returns.take_back(
        order.pk, [TakenBack(item.pk, 2, "inspection")], actor=MERCHANT, reason="too large"
    )
    happened()
    [line] = back.lines.all()
    returns.settle_inspected(order.pk, line.pk, "restocked", actor=MERCHANT)
    happened()
    payments.refund(order.pk, payment.pk, payment.amount, actor=MERCHANT)
    happened()
    carts.delete("ada")
    happened()

    carts.add_item("ben", product_id=shirt.pk, quantity=1, currency="USD")
    unwanted, _ = orders.checkout("ben", BUYER)
    happened()
    payments.cancel(unwanted.pk, actor=MERCHANT, reason="ordered twice")
    happened()

    front = picture("shirt.png", drawn(colour="navy"))
    happened()
    pictures.delete(front.pk, actor=MERCHANT)
    products.archive(shirt.pk, actor=MERCHANT)
    happened()
    euro = currencies.create(code="EUR", format="€{price}", actor=MERCHANT)
    happened()
    currencies.change(euro.pk, decimal_point=",", thousand_separator=".", actor=MERCHANT)
    happened()
    currencies.delete(euro.pk, actor=MERCHANT)
    payments.set_gateway("manual", name="By invoice", actor=MERCHANT)
    store.change(page_length=50, actor=MERCHANT)
    happened()
    store.change(page_length=100, actor=MERCHANT)
    happened()

    accounts, _ = integrations.create(
        name="Accounts",
        url="https://accounts.example/holdfast",
        secret_key="said-by-holdfast",
        observes=["order.paid", "order.refunded"],
        enabled=True,
        actor=MERCHANT,
    )
    happened()
    integrations.change(accounts.pk, enabled=False, actor=MERCHANT)
    happened()
    integrations.delete(accounts.pk, actor=MERCHANT)
    happened()


class _Legible:
    """Puts ids that are easy to tell apart, and one moment, in the place of those there were."""

    ID = re.compile(r"[0-9a-f]{8}-?(?:[0-9a-f]{4}-?){3}[0-9a-f]{12}")
    A_MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z")

    def __init__(self) -> None:
        self.ids: dict[str, str] = {}
        self.numbers: dict[str, str] = {}

    def legible(self, told: Any) -> Any:
        if isinstance(told, dict):
            found = {name: self.legible(value) for name, value in told.items()}
            if number := found.get("order_number"):
                found["order_number"] = self.numbers.setdefault(
                    number, str(1001 + len(self.numbers))
                )
            return found
        if isinstance(told, list):
            return [self.legible(each) for each in told]
        if isinstance(told, str):
            return self.A_MOMENT.sub("2026-11-28T09:30:00Z", self.ID.sub(self._id, told))
        return told

    def _id(self, found: "re.Match[str]") -> str:
        number = self.ids.setdefault(found[0].replace("-", ""), f"{len(self.ids) + 1:012}")
        plain = f"01990000-0000-7000-8000-{number}"
        return plain if "-" in found[0] else plain.replace("-", "")


def shown(told: dict[str, Any]) -> dict[str, Any]:
    """Leave of what is told first of a kind all, and of the rest what is otherwise."""
    return {
        name: whole if name == _first(name) else _otherwise(told[_first(name)], whole)
        for name, whole in told.items()
    }


def _first(name: str) -> str:
    kind = name.split(".")[0]
    return f"{kind}.{kinds.CHANGES[kind][0]}"


def _otherwise(before: Any, now: Any) -> Any:
    """Leave of an object the fields that differ, also of each in a list; all of anything else."""
    if isinstance(before, dict) and isinstance(now, dict):
        return {
            name: _otherwise(before.get(name), value)
            for name, value in now.items()
            if value != before.get(name)
        }
    if isinstance(before, list) and isinstance(now, list) and len(before) == len(now):
        return [_otherwise(*each) for each in zip(before, now, strict=True)]
    return now


def written(value: Any, indent: str = "", name: str = "") -> str:
    """Write JSON for people: on one line what fits, after its name."""
    flat = json.dumps(value, ensure_ascii=False)
    if len(indent + name + flat) < WIDTH or not value or not isinstance(value, dict | list):
        return flat
    deeper = indent + "  "
    if isinstance(value, dict):
        begin, end = "{}"
        named = ((f"{json.dumps(name)}: ", each) for name, each in value.items())
        parts = [name + written(each, deeper, name) for name, each in named]
    else:
        begin, end = "[]"
        parts = [written(each, deeper) for each in value]
    inside = ",\n".join(deeper + part for part in parts)
    return f"{begin}\n{inside}\n{indent}{end}"


def rewritten(document: str, told: dict[str, Any]) -> str:
    """Put these examples in the place of those in the document."""

    def anew(found: "re.Match[str]") -> str:
        example = written(told[found["type"]]) if found["type"] in told else ""
        return f"#### `{found['type']}`\n\n{found['words']}\n\n```json\n{example}\n```"

    return EXAMPLE.sub(anew, document)


def program(name: str) -> ModuleType:
    """Load a program of docs/examples, which is in no package."""
    path = DOCUMENT.parent / "examples" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


if __name__ == "__main__":
    os.environ[WRITE] = "1"
    raise SystemExit(pytest.main(["-q", "tests/events/test_events_document.py"]))
