"""An order's page and its forms, and what the order and its stock say afterwards."""

from dataclasses import dataclass
from typing import Any

from django.test import Client

from orders.models import Order, ReturnLine, Shipment
from payments.models import Payment
from tests.backoffice.pages import hidden, send_as_it_is
from tests.factories import stock_of

ORDERS = "/admin/orders/order/"
About = Order | Payment | Shipment | ReturnLine


def page(order: Order) -> str:
    return f"{ORDERS}{order.pk}/change/"


def action(about: About, name: str) -> str:
    if isinstance(about, Payment):
        return f"{ORDERS}{about.order_id}/payments/{about.pk}/{name}/"
    if isinstance(about, Shipment):
        return f"{ORDERS}{about.order_id}/shipments/{about.pk}/{name}/"
    if isinstance(about, ReturnLine):
        return f"{ORDERS}{about.of_return.order_id}/returns/{about.pk}/{name}/"
    return f"{ORDERS}{about.pk}/{name}/"


def numbers(of: Any) -> tuple[int, int, int]:
    stock = stock_of(of)
    return stock.total, stock.available, stock.allocated


def money(order: Order) -> tuple[int, int, int]:
    order.refresh_from_db()
    return order.captured, order.authorized, order.refunded


def told(client: Client, order: Order) -> list[tuple[str, str, str]]:
    timeline = client.get(page(order)).context["timeline"]
    return [(event.what, event.who, event.note) for event in timeline]


def states(order: Order) -> tuple[str, str, str]:
    order.refresh_from_db()
    return order.status, order.payment, order.shipping


@dataclass(frozen=True)
class Opened:
    """A form as somebody opened it."""

    client: Client
    address: str
    hidden: dict[str, Any]

    def send(self, **typed: str) -> Any:
        return self.client.post(self.address, {**self.hidden, **typed}, follow=True)


def opened(client: Client, about: About, name: str) -> Opened:
    address = action(about, name)
    return Opened(client, address, hidden(client, address))


def cancel(client: Client, order: Order, **typed: str) -> Any:
    """Cancel it with a reason, and without a refund unless that is `typed`."""
    address = action(order, "cancel")
    offers_refund = "refund" in client.get(address).context["form"].fields
    form = {"reason": "Wants another size", **({"refund": ""} if offers_refund else {}), **typed}
    return send_as_it_is(client, address, form, follow=True)
