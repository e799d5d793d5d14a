"""Two lists that are filtered and sorted, and all that is asked of them; test_lists.py asks.

Each has two rows, the first made at noon and the second a day later. The tables name what is found
by these.
"""

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from api import clock
from api.filtering import ListFilters
from inventory.filters import ProductFilters
from inventory.models import Product
from orders.filters import OrderFilters
from orders.models import Order
from orders.services import orders, shipments
from orders.services.orders import Buyer
from payments.services import payments
from payments.services.payments import PaymentRequest
from tests.factories import MERCHANT, filled_cart, product, unpaid_order
from tests.http import ADDRESS, Api

NOON = datetime(2026, 5, 6, 12, tzinfo=UTC)
NOON_MS = int(NOON.timestamp() * 1000)
FIRST, SECOND, BOTH, NONE = ["first"], ["second"], ["first", "second"], list[str]()


def at(moment: datetime) -> Any:
    return clock.replaced(itertools.repeat(moment).__next__)


def asked(api: Api, path: str, /, **parameters: Any) -> Any:
    return api.get(f"{path}?{urlencode(parameters)}")


@dataclass(frozen=True)
class Listed:
    path: str
    filters: type[ListFilters]
    make: Callable[[], Sequence[Product] | Sequence[Order]]
    # Make some that nothing but their ids tells apart.
    make_alike: Callable[[int], Sequence[Product] | Sequence[Order]]
    # Filters, and what each finds.
    found: Sequence[tuple[str, list[str]]]
    # What wants the ids of things, and so is tried beside the table.
    by_ids: set[tuple[str, str]]
    plain: Sequence[tuple[dict[str, str], list[str]]]
    undeclared: Sequence[str]
    # What cannot be understood, and the parameter at fault.
    wrong: Sequence[tuple[dict[str, str], str]]
    # Fields that are searched as text.
    texts: Sequence[str]
    # For each sort, which row comes first.
    sorted_first: dict[str, list[str]]

    def __str__(self) -> str:
        return self.path

    def names(self, api: Api, made: Sequence[Any], **parameters: Any) -> list[str]:
        """Name the rows that are found, in their order."""
        answer = asked(api, self.path, **parameters)
        assert answer.status_code == 200, answer.content
        body = answer.json()
        assert body["meta"]["results"]["total"] == len(body["data"])
        known = {str(row.pk): name for row, name in zip(made, BOTH, strict=True)}
        return [known[shown["id"]] for shown in body["data"]]


# Products.


def a_shirt_and_a_song() -> tuple[Product, Product]:
    """A shirt, live and managed, with 5 units; a song, a draft, digital and without stock."""
    with at(NOON):
        shirt = product(
            5,
            sku="SH-1",
            name="Blue 100% Shirt",
            slug="blue-shirt",
            description="Soft cotton",
            barcode="4006381333931",
        )
    with at(NOON + timedelta(days=1)):
        song = product(
            managed=False,
            sku="so_2",
            name="Song O'Brien, live",
            slug="song",
            description="A tune",
            status="draft",
            commodity_type="digital",
        )
    return shirt, song


PRODUCTS = Listed(
    path="/v2/products",
    filters=ProductFilters,
    make=a_shirt_and_a_song,
    make_alike=lambda count: [product(name="Same") for _ in range(count)],
    found=[
        ("in(sku,SH-1,nothing)", FIRST),
        ("in(sku,SH-1,so_2)", BOTH),
        ("eq(sku,SH-1)", FIRST),
        ("eq(sku,sh-1)", NONE),
        ("like(sku,sh*)", FIRST),
        ("like(sku,*O_*)", SECOND),
        ("like(sku,s__1)", NONE),
        ("eq(name,Blue 100% Shirt)", FIRST),
        ("eq(name,blue 100% shirt)", NONE),
        ("like(name,*shirt*)", FIRST),
        ("like(name,*SHIRT)", FIRST),
        ("like(name,shirt*)", NONE),
        ("like(name,shirt)", NONE),
        ("like(name,blue 100% shirt)", FIRST),
        ("like(name,*0% s*)", FIRST),
        ("like(name,*b%t*)", NONE),
        ("like(name,*)", BOTH),
        ("like(name,*o'brien*)", SECOND),
        (r"eq(name,Song O'Brien\, live)", SECOND),
        ('eq(name,"Song O\'Brien, live")', SECOND),
        (r"eq(name,'Song O\'Brien, live')", SECOND),
        ("eq(slug,song)", SECOND),
        ("like(slug,*shirt)", FIRST),
        ("eq(status,draft)", SECOND),
        ("eq(status,nonsense)", NONE),
        ("like(status,LIV*)", FIRST),
        ("like(description,*COTTON*)", FIRST),
        ("eq(commodity_type,digital)", SECOND),
        ("eq(manage_stock,true)", FIRST),
        ("eq(manage_stock,false)", SECOND),
        ("eq(barcode,4006381333931)", FIRST),
        ("eq(stock,5)", FIRST),
        ("gt(stock,4)", FIRST),
        ("gt(stock,5)", NONE),
        ("ge(stock,5)", FIRST),
        ("lt(stock,5)", SECOND),
        ("le(stock,5)", BOTH),
        ("lt(stock,-1)", NONE),
        (f"gt(stock,{2**63})", NONE),
        (f"lt(stock,{2**63})", BOTH),
        (f"eq(stock,{2**31})", NONE),
        (f"ge(stock,-{2**63 + 1})", BOTH),
        ("eq(created_at,2026-05-06)", FIRST),
        ("eq(created_at,2026-05-05)", NONE),
        ("eq(created_at,2026-05-06T12:00:00Z)", FIRST),
        ("eq(created_at,2026-05-06T14:00:00+02:00)", FIRST),
        (f"eq(created_at,{NOON_MS})", FIRST),
        ("gt(created_at,2026-05-06)", BOTH),
        ("gt(created_at,2026-05-06T12:00:00Z)", SECOND),
        ("ge(created_at,2026-05-06T12:00:00Z)", BOTH),
        (f"gt(created_at,{NOON_MS})", SECOND),
        ("lt(created_at,2026-05-07)", FIRST),
        ("le(created_at,2026-05-06T12:00:00.000Z)", FIRST),
        ("ge(created_at,2026-05-08)", NONE),
        ("eq(updated_at,2026-05-07)", SECOND),
        ("gt(updated_at,2026-05-07)", SECOND),
        ("ge(updated_at,2026-05-07T12:00:00Z)", SECOND),
        ("lt(updated_at,2026-05-07)", FIRST),
        (f"le(updated_at,{NOON_MS})", FIRST),
        ("eq(status,live):gt(stock,4):like(name,*shirt*)", FIRST),
        ("eq(status,live):eq(manage_stock,false)", NONE),
        ("ge(stock,1):le(stock,9):eq(manage_stock,true)", FIRST),
        ("like(name,*blue*):like(name,*shirt*)", FIRST),
        ("like(name,*blue*):like(name,*song*)", NONE),
    ],
    by_ids={("id", "eq"), ("id", "in"), ("category.id", "eq")},
    plain=[
        ({"status": "draft"}, SECOND),
        ({"status": ""}, BOTH),
        ({"name__like": "*shirt*"}, FIRST),
        ({"sku__in": "SH-1,other"}, FIRST),
        ({"stock__gt": "4"}, FIRST),
        ({"created_at": "2026-05-06"}, FIRST),
        ({"status": "live", "filter": "gt(stock,9)"}, NONE),
        ({"colour": "red", "page[limit]": "3", "include": "files"}, BOTH),
    ],
    undeclared=[
        *("gt(id,x)", "gt(name,a)", "in(name,a)", "gt(status,a)", "eq(description,Soft)"),
        *("like(commodity_type,d*)", "gt(manage_stock,true)", "like(barcode,4*)", "in(stock,1)"),
        *("like(created_at,2026*)", "is_null(name)", "eq(brand.id,x)"),
        *("eq(archived_at,2026-01-01)", "eq(prices,1)", "eq(stocks__available,1)", "eq(pk,1)"),
        *("eq(name__startswith,B)", "eq(image_url,x)", "eq(customer_id,x)", "eq(password,x)"),
    ],
    wrong=[
        ({"filter": "in(id,x)"}, "filter"),
        ({"filter": "gt(stock,many)"}, "filter"),
        ({"filter": "eq(manage_stock,maybe)"}, "filter"),
        ({"filter": "eq(created_at,yesterday)"}, "filter"),
        ({"filter": "eq(name"}, "filter"),
        ({"filter": "eq(name,\x00)"}, "filter"),
        ({"filter": "eq(name,x):" * 10 + "eq(name,x)"}, "filter"),
        ({"filter": f"eq(name,{'x' * 8192})"}, "filter"),
        ({"stock__gt": "many"}, "stock__gt"),
        ({"name": "a\x00b"}, "name"),
        ({"id__in": "x,y"}, "id__in"),
        ({"sort": "colour"}, "sort"),
        ({"sort": "name,colour"}, "sort"),
        ({"sort": "stocks__available"}, "sort"),
    ],
    texts=["name", "sku", "slug"],
    sorted_first={
        "commodity_type": SECOND,
        "created_at": FIRST,
        "description": SECOND,
        "manage_stock": SECOND,
        "name": FIRST,
        "sku": FIRST,
        "slug": FIRST,
        "status": SECOND,
        "updated_at": FIRST,
    },
)


# Orders.


def adas_and_bens_orders() -> tuple[Order, Order]:
    """Two shirts for 20.00, paid and shipped, with the client's own numbers; and a shirt and a hat
    for 15.00, unpaid, for somebody else's address."""
    shirt = product(20, sku="SH-1", price=1000)
    hat = product(5, sku="HAT-9", price=500)
    address = {**ADDRESS, "first_name": "Ada", "last_name": "Buyer", "postcode": "SW1A 1AA"}
    ada = Buyer("Ada Buyer", "ada@example.com", address, {**address, "postcode": "EC1 100%"})
    with at(NOON):
        adas, _ = orders.checkout(
            filled_cart({shirt: 2}), ada, order_number="WEB-7", external_ref="ERP_1"
        )
        payments.pay(adas.pk, PaymentRequest("manual"), actor=MERCHANT)
        shipments.ship(adas.pk, actor=MERCHANT)
    billing = {**ADDRESS, "first_name": "Ben", "last_name": "O'Hara", "postcode": "10001"}
    shipping = {**billing, "first_name": "Cleo", "last_name": "Ray", "postcode": "20002"}
    ben = Buyer("Ben O'Hara", "ben@example.org", billing, shipping)
    with at(NOON + timedelta(days=1)):
        return adas, unpaid_order({shirt: 1, hat: 1}, buyer=ben)


def _orders_alike(count: int) -> list[Order]:
    shirt = product(20)
    return [unpaid_order({shirt: 1}) for _ in range(count)]


ORDERS = Listed(
    path="/v2/orders",
    filters=OrderFilters,
    make=adas_and_bens_orders,
    make_alike=_orders_alike,
    found=[
        ("eq(status,complete)", FIRST),
        ("in(status,complete,incomplete)", BOTH),
        ("eq(payment,paid)", FIRST),
        ("in(payment,unpaid,authorized)", SECOND),
        ("eq(shipping,fulfilled)", FIRST),
        ("in(shipping,unfulfilled)", SECOND),
        ("eq(currency,USD)", BOTH),
        ("eq(currency,EUR)", NONE),
        ("eq(product_sku,SH-1)", BOTH),
        ("eq(product_sku,HAT-9)", SECOND),
        ("eq(product_sku,HAT)", NONE),
        ("eq(name,Ada Buyer)", FIRST),
        ("eq(name,ada buyer)", NONE),
        ("like(name,*o'hara)", SECOND),
        ("eq(email,ada@example.com)", FIRST),
        ("eq(email,Ada@EXAMPLE.com)", FIRST),
        ("like(email,*@EXAMPLE.*)", BOTH),
        ("like(email,ADA@example.com)", FIRST),
        ("eq(shipping_postcode,20002)", SECOND),
        ("eq(shipping_postcode,EC1 100%)", FIRST),
        ("like(shipping_postcode,ec1*)", FIRST),
        ("like(shipping_postcode,*0%)", FIRST),
        ("like(shipping_postcode,*0%2*)", NONE),
        ("eq(billing_postcode,10001)", SECOND),
        ("like(billing_postcode,sw1a 1aa)", FIRST),
        ("like(billing_postcode,*1a*)", FIRST),
        ("eq(shipping_name,Cleo Ray)", SECOND),
        ("eq(shipping_name,Cleo)", NONE),
        ("like(shipping_name,*o r*)", SECOND),
        ("eq(billing_name,Ben O'Hara)", SECOND),
        ("like(billing_name,ADA*)", FIRST),
        ("eq(external_ref,ERP_1)", FIRST),
        ("like(external_ref,erp_*)", FIRST),
        ("like(external_ref,erp__)", NONE),
        ("eq(order_number,WEB-7)", FIRST),
        ("like(order_number,web*)", FIRST),
        ("gt(with_tax,1500)", FIRST),
        ("ge(with_tax,1500)", BOTH),
        ("lt(with_tax,2000)", SECOND),
        ("le(with_tax,2000)", BOTH),
        (f"gt(with_tax,{2**63})", NONE),
        (f"lt(with_tax,{2**63})", BOTH),
        (f"lt(with_tax,-{2**64})", NONE),
        ("gt(without_tax,1999)", FIRST),
        ("ge(without_tax,2001)", NONE),
        ("lt(without_tax,1501)", SECOND),
        ("le(without_tax,1499)", NONE),
        ("eq(created_at,2026-05-06)", FIRST),
        ("gt(created_at,2026-05-07)", SECOND),
        ("ge(created_at,2026-05-06T14:00:00+02:00)", BOTH),
        ("lt(created_at,2026-05-07)", FIRST),
        (f"le(created_at,{NOON_MS})", FIRST),
        ("eq(updated_at,2026-05-07)", SECOND),
        ("gt(updated_at,2026-05-06T12:00:00Z)", SECOND),
        ("ge(updated_at,2026-05-07)", SECOND),
        ("lt(updated_at,2026-05-07T12:00:00Z)", FIRST),
        ("le(updated_at,2026-05-06)", NONE),
        ("eq(payment,unpaid):gt(created_at,2026-05-06):like(name,ben*)", SECOND),
        ("eq(payment,unpaid):eq(shipping,fulfilled)", NONE),
        ("eq(product_sku,SH-1):eq(product_sku,HAT-9)", SECOND),
    ],
    by_ids={("product_id", "eq"), ("id", "eq"), ("id", "in")},
    plain=[
        ({"payment": "paid"}, FIRST),
        ({"email": "ben@example.org"}, SECOND),
        ({"email": "BEN@example.org"}, SECOND),
        ({"with_tax__gt": "1500"}, FIRST),
        ({"status__in": "complete,cancelled"}, FIRST),
        ({"payment": "paid", "filter": "lt(with_tax,1500)"}, NONE),
        ({"customer_id": "x", "page[limit]": "3"}, BOTH),
    ],
    undeclared=[
        *("eq(customer_id,x)", "eq(account_id,x)", "eq(account_member_id,x)", "eq(contact.name,x)"),
        *("eq(contact.email,x)", "like(status,in*)", "in(name,a,b)", "eq(with_tax,1)", "gt(id,x)"),
        *("in(product_id,x)", "like(product_sku,S*)", "like(currency,U*)", "gt(name,a)"),
        *("like(created_at,2026*)", "eq(customer_name,x)", "eq(total,1)", "eq(number,1001)"),
        *("eq(cart_id,x)", "eq(shipping_address__city,x)", "eq(payments__token,x)"),
        *("eq(captured,0)", "is_null(name)"),
    ],
    wrong=[
        ({"filter": "eq(product_id,SH-1)"}, "filter"),
        ({"filter": "gt(with_tax,12.50)"}, "filter"),
        ({"filter": "gt(created_at,today)"}, "filter"),
        ({"filter": "(eq(status,a)|eq(status,b))"}, "filter"),
        ({"filter": "eq(email,\x00)"}, "filter"),
        ({"product_id": "x"}, "product_id"),
        ({"sort": "customer_email"}, "sort"),
        ({"sort": "-total"}, "sort"),
    ],
    texts=["name", "shipping_postcode", "shipping_name", "order_number"],
    sorted_first={
        "created_at": FIRST,
        "updated_at": FIRST,
        "payment": FIRST,
        "shipping": FIRST,
        "status": FIRST,
        "with_tax": SECOND,
        # The second has our number alone, and ours come before a client's.
        "order_number": SECOND,
    },
)

LISTS = [PRODUCTS, ORDERS]
