"""What tests need to exist. Stock, carts and orders are made through the services, as anywhere."""

import itertools
from collections.abc import Mapping
from typing import Any

from factory.base import Factory
from factory.declarations import LazyAttribute, LazyFunction, Sequence
from factory.django import DjangoModelFactory

from api import clock
from api.actors import Actor
from api.models import ApiClient
from inventory.models import Category, Delivery, DeliveryLine, Parent, Product, Stock
from inventory.services import categories, deliveries, products, variants
from inventory.services.products import Money
from inventory.services.variants import Option, Pattern, Shared
from orders.models import Order
from orders.services import carts, desk, orders, shipments
from orders.services.cart_lines import ProductWanted
from orders.services.orders import Buyer
from payments.services import payments
from payments.services.payments import PaymentRequest

MERCHANT = Actor("user", "7", "clerk")
BUYER = Buyer("Ada Buyer", "ada@example.com")
# Whose words are written in many ways.
HOME = {
    "first_name": "Zoë",
    "last_name": "O'Brien-Łuczak",
    "company_name": "Björk & Söhne",
    "line_1": "1 Square",
    "city": "São Paulo",
    "postcode": "SW1A 1AA",
    "phone_number": "+49 170 555-01",
}

_cart_numbers = itertools.count(1)


class ProductFactory(Factory[Product]):
    """A live product with the stock, price and management asked for."""

    class Meta:
        model = Product

    class Params:
        stock = 0
        managed = True
        price = 1250

    sku = Sequence("SHIRT-{}".format)
    name = LazyAttribute(lambda made: f"Shirt {made.sku}")
    prices = LazyAttribute(lambda made: [Money("USD", made.price)])
    manage_stock = LazyAttribute(lambda made: made.managed)
    initial_stock = LazyAttribute(lambda made: made.stock)
    actor = MERCHANT

    @classmethod
    def _create(cls, model_class: type[Product], *args: Any, **kwargs: Any) -> Product:
        return products.create(**kwargs)


class ApiClientFactory(DjangoModelFactory[ApiClient]):
    """A program that may call the API, as a storefront: it has no secret."""

    class Meta:
        model = ApiClient

    client_id = Sequence("client-{}".format)
    name = LazyAttribute(lambda made: f"Program {made.client_id}")
    created_at = LazyFunction(clock.now)


def api_client(secret: str = "back-office-secret", **fields: Any) -> ApiClient:
    """Make a program that may call the API; without a secret it is a storefront."""
    client: ApiClient = ApiClientFactory.build(**fields)
    if secret:
        client.make_secret(secret)
    client.save()
    return client


def product(stock: int = 0, *, managed: bool = True, price: int = 1250, **fields: Any) -> Product:
    """Make a live product; further fields are those of Product (sku, name, status and so on)."""
    made: Product = ProductFactory.create(stock=stock, managed=managed, price=price, **fields)
    return made


def category(path: str) -> Category:
    """Find the category of a path, or make it: "Clothes > Shirts"."""
    return Category.objects.get(pk=categories.make([path], actor=MERCHANT)[path])


def parent(
    *options: Option, name: str = "Shirt", sku: str = "SHIRT", stock: int = 0, **shared: Any
) -> Parent:
    """Make all variants of a parent, each with this stock: "Shirt S Red", "SHIRT-S-Red" and so on.

    Further arguments are those of what all variants begin with.
    """
    values = [f"{{{option.name}}}" for option in options]
    begin = {"prices": [Money("USD", 1250)], "initial_stock": stock, **shared}
    pattern = Pattern(" ".join([name, *values]), "-".join([sku, *values]))
    return variants.create(name, options, pattern, Shared(**begin), actor=MERCHANT)


def stock_of(product: Product | None) -> Stock:
    """Read the product's stock as it is now, managed or not."""
    return Stock.objects.get(product=product)


def delivery(
    expected: Mapping[Product, int] | None = None, *, number: str = "D-1001", **fields: Any
) -> Delivery:
    """Make an open delivery that is to bring these units."""
    made = deliveries.create(number=number, actor=MERCHANT, **fields)
    lines = (expected or {}).items()
    DeliveryLine.objects.bulk_create(
        [DeliveryLine(delivery=made, product=each, expected=units) for each, units in lines]
    )
    return made


def filled_cart(lines: Mapping[Product, int], *, cart_id: str = "", currency: str = "USD") -> str:
    """Put these quantities into a cart, a new one unless it is named, and return its id."""
    cart_id = cart_id or f"cart-{next(_cart_numbers)}"
    for line, quantity in lines.items():
        carts.add_item(cart_id, product_id=line.pk, quantity=quantity, currency=currency)
    return cart_id


def drafted(*wanted: Product) -> str:
    """Begin an order at the desk, with a unit of each, and return its cart's id."""
    cart_id = desk.new_draft()
    for each in wanted:
        desk.add(cart_id, ProductWanted(1, each.pk), currency="USD", actor=MERCHANT)
    return cart_id


def unpaid_order(lines: Mapping[Product, int], *, buyer: Buyer = BUYER) -> Order:
    """Check out a new cart with these quantities: nothing is reserved, nothing paid."""
    order, _ = orders.checkout(filled_cart(lines), buyer)
    return order


def holding_order(lines: Mapping[Product, int]) -> Order:
    """Make an order that has taken its units and waits for its money, which nobody has asked for.

    As a process leaves it that dies between the two.
    """
    order = unpaid_order(lines)
    payments.begin(order.pk, PaymentRequest("test"), actor=MERCHANT)
    order.refresh_from_db()
    return order


def paid_order(lines: Mapping[Product, int]) -> Order:
    """Make an order that is paid in full through the manual gateway."""
    order = unpaid_order(lines)
    payments.pay(order.pk, PaymentRequest("manual"), actor=MERCHANT)
    order.refresh_from_db()
    return order


def shipped_order(lines: Mapping[Product, int]) -> Order:
    order = paid_order(lines)
    shipments.ship(order.pk, actor=MERCHANT)
    order.refresh_from_db()
    return order


def cancelled_order(lines: Mapping[Product, int]) -> Order:
    """Make an order that was cancelled before anybody paid."""
    order = unpaid_order(lines)
    payments.cancel(order.pk, actor=MERCHANT)
    order.refresh_from_db()
    return order


def undo_ship(order: Order, *, reason: str = "mistake", **how: Any) -> None:
    """Undo the order's last shipment, whether or not that can be."""
    last = order.shipments.latest("number")
    shipments.undo(order.pk, last.pk, actor=MERCHANT, reason=reason, **how)
