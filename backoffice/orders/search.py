"""Orders by what somebody knows of them: a number, a name, a town, a parcel, a product.

Each way is an index of its own and yields its newest orders, so that a search among very many costs
what it costs among few. Only the middle of a word is looked for among the newest orders.
"""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from django.db.models import CharField, Model, Q, QuerySet, Subquery
from django.db.models.expressions import RawSQL
from django.db.models.functions import Coalesce, Lower, Upper

from api.codes import tidied
from backoffice.base import is_number
from inventory.models import Product
from inventory.services import codes
from orders.models import Order, Shipment
from orders.services import finding
from payments.models import Attempt, Payment

# How many orders each way finds, and by how many products: the newest.
FOUND, PRODUCTS, OF_A_SKU = 1_000, 50, 200
# Among how many orders the middle of a word is looked for.
RECENT = 10_000


def search(listed: QuerySet[Order], term: str) -> QuerySet[Order]:
    """Find some of these orders. Three queries, whatever is typed."""
    listed = listed.order_by("-created_at")
    ways = [
        _newest(found)
        for way in (_of_orders, _of_payments, _of_parcels)
        for found in way(listed, term)
    ]
    sold = RawSQL(_NEWEST_OF_EACH, [sorted(_skus(term)), OF_A_SKU, FOUND])  # noqa: S611
    ways.append(_newest(listed.filter(pk__in=sold)))
    return listed.filter(pk__in=ways[0].union(*ways[1:], all=True))


def of_email(listed: QuerySet[Order], email: str) -> QuerySet[Order]:
    """Those of one customer, whose address may be written in any capitals."""
    return listed.alias(email=Lower("customer_email")).filter(email=email.lower())


def _newest(found: QuerySet[Order]) -> Any:
    return found.values("pk")[:FOUND]


def _of_orders(listed: QuerySet[Order], term: str) -> Iterable[QuerySet[Order]]:
    number = term.removeprefix("#")
    if is_number(number):
        yield listed.filter(number=int(number))
    yield listed.filter(order_number=term)
    yield of_email(listed, term)
    if words := finding.matches(term):
        yield listed.filter(words)
    yield listed.filter(
        Q(customer_name__icontains=term) | Q(customer_email__icontains=term),
        # By a moment and not by a list of ids, which the planner may go through for every order.
        created_at__gte=Coalesce(Subquery(_oldest()), datetime.min.replace(tzinfo=UTC)),
    )


def _oldest() -> Any:
    return Order.objects.order_by("-created_at").values("created_at")[RECENT - 1 : RECENT]


def _of_payments(listed: QuerySet[Order], term: str) -> Iterable[QuerySet[Order]]:
    """By what a gateway calls a payment, capture, void or refund, or what the client does."""
    known_so: list[tuple[type[Model], str, str]] = [
        (Payment, "reference", "order_id"),
        (Payment, "custom_reference", "order_id"),
        (Attempt, "reference", "payment__order_id"),
    ]
    for model, field, order_id in known_so:
        rows = model._default_manager.filter(**{field: term}).values(order_id)
        yield listed.filter(pk__in=rows[:FOUND])


def _of_parcels(listed: QuerySet[Order], term: str) -> Iterable[QuerySet[Order]]:
    yield listed.filter(pk__in=parcels(term).values("order_id")[:FOUND])


def parcels(term: str) -> QuerySet[Shipment]:
    """Find parcels by a tracking number, in any capitals, which carriers print in groups."""
    numbers = {term.upper(), "".join(term.upper().split())}
    written = Upper("tracking", output_field=CharField())
    return Shipment.objects.alias(written=written).filter(~Q(tracking=""), written__in=numbers)


def _skus(term: str) -> set[str]:
    """What is typed or scanned as a product's code, or stands in the names of products."""
    named = Q()
    for word in tidied(term).split()[: finding.ASKED_MAX]:
        named &= Q(name__icontains=word)
    products = Product.objects.filter(named).order_by("-pk") if named else Product.objects.none()
    by_name = products.values_list("sku", flat=True)[:PRODUCTS]
    return {term, term.lower(), term.upper(), *_alike(term), *by_name}


def _alike(term: str) -> Iterable[str]:
    return (product.sku for product in codes.look_alikes([term]))


# Orders' ids rise with time.
_NEWEST_OF_EACH = """
SELECT DISTINCT item.order_id
FROM unnest(%s::text[]) AS asked (sku), LATERAL (
    SELECT order_id FROM orders_orderitem AS item
    WHERE item.sku = asked.sku ORDER BY item.order_id DESC LIMIT %s
) AS item
ORDER BY item.order_id DESC LIMIT %s
"""
