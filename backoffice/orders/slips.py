"""Pick lists and packing slips: what to take from the shelves, and what goes into each parcel."""

import uuid
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from django.db.models import Prefetch, QuerySet
from django.utils.safestring import SafeString

from api.errors import Refusal
from backoffice.actions import words
from backoffice.base import uuid_of
from backoffice.sent_pictures import thumbnails
from inventory.models import Product
from orders.models import Order, OrderItem, Shipment, ShipmentLine
from orders.services import addresses


class Packed(NamedTuple):
    item: OrderItem
    quantity: int


@dataclass(frozen=True)
class Slip:
    """What goes into one parcel, and where it goes. Prices stay at home."""

    order: Order
    # None for what is still to be sent.
    shipment: Shipment | None
    lines: Sequence[Packed]
    # Why nothing is to be sent now, if so.
    warning: str = ""

    def __str__(self) -> str:
        number = f", shipment {self.shipment.number}" if self.shipment else ""
        return f"{self.order}{number}"

    @property
    def is_to_be_sent(self) -> bool:
        return not self.shipment and not self.warning

    @property
    def address(self) -> list[str]:
        order = self.order
        return addresses.lines(order.shipping_address) or addresses.lines(order.billing_address)

    @property
    def is_part(self) -> bool:
        """Tell whether more of the order was sent, or is to be sent, otherwise."""
        packed = {item.pk: quantity for item, quantity in self.lines}
        return any(
            packed.get(item.pk, 0) < item.quantity - item.cancelled
            for item in self.order.items.all()
            if not _is_digital(item)
        )


def chosen(ids: Iterable[str]) -> list[Order]:
    """Read the orders of these ids with items and shipments, in the order of their numbers."""
    known = [order_id for order_id in map(uuid_of, ids) if order_id]
    return _read(Order.objects.filter(pk__in=known))


def _read(found: QuerySet[Order]) -> list[Order]:
    items = OrderItem.objects.order_by("position").select_related("product")
    lines = ShipmentLine.objects.order_by("item__position").select_related("item__product")
    shipments = Shipment.objects.filter(undone_at=None).order_by("number")
    shipped = Prefetch("shipments", shipments.prefetch_related(Prefetch("lines", lines)))
    whole = found.select_related("currency").prefetch_related(Prefetch("items", items), shipped)
    return list(whole.order_by("number"))


def slips_of_shipments(ids: Iterable[str]) -> list[Slip]:
    """What went into these parcels. One that was undone is none any more."""
    known = [shipment_id for shipment_id in map(uuid_of, ids) if shipment_id]
    wanted = Shipment.objects.filter(pk__in=known, undone_at=None)
    return [
        slip_of(order, shipment)
        for order in _read(Order.objects.filter(shipments__in=wanted).distinct())
        for shipment in order.shipments.all()
        if shipment.pk in known
    ]


def packing_slips(found: Iterable[Order]) -> list[Slip]:
    """One for what is left of each order or, where nothing is, for each of its shipments."""
    return [slip for order in found for slip in _slips_of(order)]


def _slips_of(order: Order) -> list[Slip]:
    if order.is_shipped:
        return [slip_of(order, shipment) for shipment in order.shipments.all()]
    return [Slip(order, None, _by_post(_left_of(order)), _warning(order))]


def _left_of(order: Order) -> list[Packed]:
    """What is still to be sent; of a cancelled order, what was."""
    return [
        Packed(item, item.quantity if order.is_cancelled else item.left)
        for item in order.items.all()
    ]


def to_ship(found: Iterable[Order]) -> list[Slip]:
    """What would be shipped of each order, be it digital."""
    return [
        Slip(order, None, [line for line in _left_of(order) if line.quantity], _warning(order))
        for order in found
    ]


def slip_of(order: Order, shipment: Shipment) -> Slip:
    lines = [Packed(line.item, line.quantity) for line in shipment.lines.all()]
    return Slip(order, shipment, _by_post(lines), "It is shipped already.")


def _by_post(lines: Iterable[Packed]) -> list[Packed]:
    return [line for line in lines if line.quantity and not _is_digital(line.item)]


def _is_digital(item: OrderItem) -> bool:
    return bool(item.product and item.product.commodity_type == Product.CommodityType.DIGITAL)


def _warning(order: Order) -> str:
    try:
        order.require_shippable()
    except Refusal as refusal:
        return words(refusal)
    return ""


# The pick list.


@dataclass(frozen=True)
class Pick:
    """How many of an sku to take from the shelf, and for which orders."""

    sku: str
    name: str
    barcode: str
    # Whether it is no product, whatever it calls itself.
    is_priced_by_request: bool
    units: int
    numbers: list[int]
    thumbnail: SafeString


def pick_list(slips: Iterable[Slip]) -> list[Pick]:
    """Sum up what to take from the shelves. What is digital lies on none."""
    products: dict[tuple[str, str, str, bool], uuid.UUID | None] = {}
    counts: Counter[tuple[str, str, str, bool]] = Counter()
    numbers: dict[tuple[str, str, str, bool], list[int]] = {}
    for slip in slips:
        for item, quantity in slip.lines:
            barcode = item.product.barcode if item.product else ""
            goods = (item.sku, item.name, barcode, item.is_priced_by_request)
            counts[goods] += quantity
            products.setdefault(goods, item.product_id)
            of_goods = numbers.setdefault(goods, [])
            if slip.order.number not in of_goods:
                of_goods.append(slip.order.number)
    shown = thumbnails(products.values())
    return [
        Pick(*goods, units, numbers[goods], shown[products[goods]])
        for goods, units in sorted(counts.items())
    ]
