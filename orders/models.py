"""What is wanted: carts, and the orders that they become."""

import hashlib
import uuid
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable
from datetime import datetime
from typing import NamedTuple

from django.contrib.postgres.indexes import BrinIndex, GinIndex
from django.contrib.postgres.search import SearchVectorField
from django.db import connection, models
from django.db.models import F, Q
from django.db.models.functions import Lower, Upper
from django.utils import timezone

from api import compiled
from api.errors import Standing, require_as_seen
from api.ids import uuid7
from api.models import ActedBy
from inventory.models import DEFAULT_LOCATION_ID, Currency, Location, Product
from orders.errors import (
    OrderNotCancellable,
    OrderNotFound,
    OrderNotShippable,
    PaymentUnderWay,
    ShipNotUndoable,
)

ITEMS_MAX = 100
# In bytes: what requests wrote into all the lines of a cart, in custom inputs and descriptions.
WRITTEN_MAX = 65_536
# What people read beside a line whose price was named by a request.
PRICED_BY_REQUEST = "priced by the request"
# What a cart's id may be: characters that are safe in an address.
CART_ID = "[0-9A-Za-z_-]{1,128}"


class CartQuerySet(models.QuerySet["Cart"]):
    def open(
        self, cart_id: str, *, currency: str | None, now: datetime, expires_at: datetime
    ) -> tuple["Cart", bool]:
        """Lock the cart until the transaction ends, creating it if need be, and put off its expiry.

        This is one statement, because every change of a cart begins with it. `currency` becomes the
        cart's if it has none yet. An expired cart becomes a new one; then the second value is true,
        and the caller deletes the old lines that the cart still holds.
        """
        with connection.cursor() as cursor:
            cursor.execute(
                """
                INSERT INTO orders_cart AS cart
                    (id, name, description, currency, created_at, updated_at, expires_at)
                VALUES (%(id)s, 'Cart', '', %(currency)s, %(now)s, %(now)s, %(expires_at)s)
                ON CONFLICT (id) DO UPDATE SET
                    updated_at = excluded.updated_at,
                    expires_at = excluded.expires_at,
                    name = CASE WHEN cart.expires_at > %(now)s
                        THEN cart.name ELSE excluded.name END,
                    description = CASE WHEN cart.expires_at > %(now)s
                        THEN cart.description ELSE excluded.description END,
                    created_at = CASE WHEN cart.expires_at > %(now)s
                        THEN cart.created_at ELSE excluded.created_at END,
                    currency = CASE WHEN cart.expires_at > %(now)s
                        THEN coalesce(cart.currency, excluded.currency)
                        ELSE excluded.currency END,
                    defer_inventory_check = CASE WHEN cart.expires_at > %(now)s
                        THEN cart.defer_inventory_check END,
                    custom_attributes = CASE WHEN cart.expires_at > %(now)s
                        THEN cart.custom_attributes END,
                    external_ref = CASE WHEN cart.expires_at > %(now)s
                        THEN cart.external_ref ELSE '' END
                RETURNING id, name, description, currency, defer_inventory_check,
                    custom_attributes, external_ref, created_at, updated_at, expires_at,
                    xmax <> 0 AND created_at = %(now)s
                """,
                {"id": cart_id, "currency": currency, "now": now, "expires_at": expires_at},
            )
            *row, revived = cursor.fetchone()
        return Cart.from_db(self.db, [field.attname for field in Cart._meta.fields], row), revived

    def lock(self, cart_id: str, *, now: datetime) -> "Cart | None":
        """Lock a cart that has not expired until the transaction ends."""
        where = "WHERE id = %s AND expires_at > %s FOR NO KEY UPDATE"
        return next(iter(compiled.fetch(Cart, where, [cart_id, now])), None)

    def lock_all(self, cart_ids: Collection[str]) -> "list[Cart]":
        """Lock carts until the transaction ends, expired ones too, in key order in one query."""
        carts = self.filter(pk__in=cart_ids).order_by("pk")
        return list(carts.select_for_update(no_key=True))


class Cart(models.Model):
    # Chosen by the client, for whom it is a secret: anybody who knows it may change the cart.
    id = models.CharField(primary_key=True, max_length=128)
    name = models.CharField(max_length=200, default="Cart")
    description = models.TextField(blank=True)
    # Set by the first item; None until then.
    currency = models.ForeignKey(
        Currency,
        models.PROTECT,
        null=True,
        to_field="code",
        db_column="currency",
        db_index=False,
    )
    # Whether stock is checked only at checkout; None leaves that to the store's settings.
    defer_inventory_check = models.BooleanField(null=True)
    # What the client keeps with the cart, and its own name for it: nothing here looks at either.
    custom_attributes = models.JSONField(null=True)
    external_ref = models.CharField(max_length=64, blank=True, default="", db_default="")
    created_at = models.DateTimeField()
    updated_at = models.DateTimeField()
    expires_at = models.DateTimeField(db_index=True)

    objects = CartQuerySet.as_manager()

    def __str__(self) -> str:
        return self.id


class CartItem(models.Model):
    """A product, shown as it is offered today, or something that only has a name and a price."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    cart = models.ForeignKey(Cart, models.CASCADE, related_name="items", db_index=False)
    product = models.ForeignKey(
        Product, models.PROTECT, null=True, related_name="+", db_index=False
    )
    quantity = models.IntegerField()
    custom_inputs = models.JSONField(null=True)
    # Where the client wants it taken from. Kept for the order; there is one location so far.
    location = models.ForeignKey(
        Location, models.PROTECT, null=True, to_field="slug", db_column="location", db_index=False
    )
    # Identifies the line: the same product with other custom inputs is another line.
    line_key = models.CharField(max_length=80)
    # For an item that is not a product, such as gift wrapping. A product has its own.
    name = models.CharField(max_length=200, blank=True)
    sku = models.CharField(max_length=100, blank=True)
    description = models.TextField(blank=True)
    unit_price = models.BigIntegerField(null=True)
    includes_tax = models.BooleanField(default=True)
    created_at = models.DateTimeField()
    updated_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["cart", "line_key"], name="cart_line_once"),
            models.CheckConstraint(condition=Q(quantity__gt=0), name="cart_item_quantity_positive"),
            # A comparison with nothing is neither true nor false, and a CHECK lets that through.
            models.CheckConstraint(
                condition=Q(product__isnull=False, unit_price__isnull=True)
                | Q(product__isnull=True, unit_price__isnull=False, unit_price__gte=0),
                name="cart_item_is_product_or_priced",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.quantity} of {self.product_id or self.name}"

    @staticmethod
    def of_cart(cart_id: str) -> "list[CartItem]":
        """Return the lines of a cart in the order in which they came."""
        return compiled.fetch(CartItem, "WHERE cart_id = %s ORDER BY id", [cart_id])

    @staticmethod
    def write(items: "Collection[CartItem]") -> None:
        """Insert new items, and write what changed of the others: two statements at most."""
        new = [item for item in items if item._state.adding]
        changed = [item for item in items if not item._state.adding]
        if new:
            compiled.insert(new)
        if changed:
            columns = [(item.pk, item.quantity, item.location_id) for item in changed]
            with connection.cursor() as cursor:
                cursor.execute(
                    _CHANGE_LINES, [changed[0].updated_at, *map(list, zip(*columns, strict=True))]
                )


_CHANGE_LINES = """
UPDATE orders_cartitem AS item
SET quantity = changed.quantity, location = changed.location, updated_at = %s
FROM unnest(%s::uuid[], %s::integer[], %s::text[]) AS changed (id, quantity, location)
WHERE item.id = changed.id
"""


# Money for which nothing is sent, which must be given back or explained.
CANCELLED_WITH_MONEY = Q(cancelled_at__isnull=False) & (
    Q(captured__gt=F("refunded")) | Q(authorized__gt=0)
)
# A part of the money is here or promised, and the rest never came.
PARTLY_PAID = Q(fully_paid_at=None, cancelled_at=None) & (Q(captured__gt=0) | Q(authorized__gt=0))


class OrderQuerySet(models.QuerySet["Order"]):
    # The work lists. Each is found by an index of its own rows only, in the order given here.

    def to_ship(self) -> "OrderQuerySet":
        """Return paid orders that are not shipped yet, the longest paid first."""
        # Every paid order is to be shipped, except those that were refunded as a whole.
        candidates = self.filter(fully_paid_at__isnull=False, shipped_at=None, cancelled_at=None)
        return candidates.filter(payment=Order.Payment.PAID).order_by("fully_paid_at")

    def unpaid(self) -> "OrderQuerySet":
        """Return orders that are not paid in full, the newest first."""
        return self.filter(fully_paid_at=None, cancelled_at=None).order_by("-created_at")

    def shipped(self) -> "OrderQuerySet":
        return self.filter(shipped_at__isnull=False).order_by("-shipped_at")

    def cancelled(self) -> "OrderQuerySet":
        return self.filter(cancelled_at__isnull=False).order_by("-cancelled_at")

    def holding_units(self) -> "OrderQuerySet":
        """Return orders that hold units, or would if any line had stock, the longest-held first."""
        return self.filter(allocated_at__isnull=False).order_by("allocated_at")

    def cancelled_with_money(self) -> "OrderQuerySet":
        return self.filter(CANCELLED_WITH_MONEY)

    def partly_paid(self) -> "OrderQuerySet":
        return self.filter(PARTLY_PAID)

    def lock(self, order_id: uuid.UUID, *, seen: Standing | None = None) -> "Order":
        """Lock the order until the transaction ends: after its cart, before any stock.

        Raises: OrderNotFound; Moved, if it is not as it was `seen`.
        """
        orders = compiled.fetch(Order, "WHERE id = %s FOR NO KEY UPDATE", [order_id])
        if not orders:
            raise OrderNotFound
        require_as_seen(seen, orders[0].standing)
        return orders[0]


class Order(models.Model):
    class Status(models.TextChoices):
        INCOMPLETE = "incomplete"
        PROCESSING = "processing"
        COMPLETE = "complete"
        CANCELLED = "cancelled"

    class Payment(models.TextChoices):
        UNPAID = "unpaid"
        PARTIALLY_AUTHORIZED = "partially_authorized"
        AUTHORIZED = "authorized"
        PARTIALLY_PAID = "partially_paid"
        PAID = "paid"
        REFUNDED = "refunded"

    class Shipping(models.TextChoices):
        UNFULFILLED = "unfulfilled"
        FULFILLED = "fulfilled"

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    number = models.BigIntegerField(unique=True)
    # As text, so that the order can be found by its cart after the cart is gone.
    cart_id = models.CharField(max_length=128, db_index=True)
    status = models.CharField(max_length=10, choices=Status, default=Status.INCOMPLETE)
    payment = models.CharField(max_length=20, choices=Payment, default=Payment.UNPAID)
    shipping = models.CharField(max_length=11, choices=Shipping, default=Shipping.UNFULFILLED)
    currency = models.ForeignKey(
        Currency, models.PROTECT, to_field="code", db_column="currency", db_index=False
    )
    total = models.BigIntegerField()

    # What this app must know of money to decide alone. Only payments writes it, under the lock.
    captured = models.BigIntegerField(default=0)
    authorized = models.BigIntegerField(default=0)
    pending = models.BigIntegerField(default=0)
    refunded = models.BigIntegerField(default=0)
    # How many attempts and refunds are on their way and may still change what is paid.
    attempts_open = models.IntegerField(default=0)
    refunds_open = models.IntegerField(default=0)

    # Since when the order holds its units; None while it holds none.
    allocated_at = models.DateTimeField(null=True)
    fully_paid_at = models.DateTimeField(null=True)
    shipped_at = models.DateTimeField(null=True)
    cancelled_at = models.DateTimeField(null=True)
    # Since when people leave the order be, though it needs attention. See `write`.
    left_be_at = models.DateTimeField(null=True)
    # How many shipments there were, which numbers them, and how many of those were undone.
    shipments_made = models.IntegerField(default=0, db_default=0)
    shipments_undone = models.IntegerField(default=0, db_default=0)

    customer_name = models.CharField(max_length=200)
    customer_email = models.CharField(max_length=254)
    billing_address = models.JSONField(default=dict)
    shipping_address = models.JSONField(default=dict)
    # The client's own number, if it gave one; ours is `number`.
    order_number = models.CharField(max_length=64, blank=True)
    external_ref = models.CharField(max_length=64, blank=True)
    # Those of the cart at checkout, until the client changes them.
    custom_attributes = models.JSONField(null=True)
    # Stands for the address of the shopper who checked out; empty if that was an administrator.
    placed_from = models.CharField(max_length=64, blank=True, db_default="", editable=False)
    # What a search finds the order by. See services.finding.
    found_by = SearchVectorField(default="", db_default="", editable=False)
    created_at = models.DateTimeField(db_index=True)
    updated_at = models.DateTimeField()

    objects = OrderQuerySet.as_manager()

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(captured__gte=0, authorized__gte=0, pending__gte=0),
                name="order_money_not_negative",
            ),
            models.CheckConstraint(
                condition=Q(total__gte=F("captured") + F("authorized") + F("pending")),
                name="order_never_overpaid",
            ),
            models.CheckConstraint(
                condition=Q(refunded__gte=0, refunded__lte=F("captured")),
                name="order_refunded_within_captured",
            ),
            models.CheckConstraint(
                condition=Q(attempts_open__gte=0, refunds_open__gte=0),
                name="order_attempts_not_negative",
            ),
            models.CheckConstraint(
                condition=~Q(status="cancelled", shipping="fulfilled"),
                name="order_never_cancelled_and_shipped",
            ),
            models.CheckConstraint(
                condition=Q(shipments_undone__gte=0, shipments_undone__lte=F("shipments_made"))
                & (~Q(status="cancelled") | Q(shipments_undone=F("shipments_made")))
                & (~Q(shipping="fulfilled") | Q(shipments_undone__lt=F("shipments_made"))),
                name="order_shipped_by_shipments",
            ),
        ]
        indexes = [
            models.Index(
                fields=["fully_paid_at"],
                condition=Q(fully_paid_at__isnull=False, shipped_at=None, cancelled_at=None),
                name="orders_to_ship",
            ),
            models.Index(
                fields=["created_at"],
                condition=Q(fully_paid_at=None, cancelled_at=None),
                name="orders_unpaid",
            ),
            models.Index(
                fields=["placed_from", "created_at"],
                condition=Q(fully_paid_at=None, cancelled_at=None) & ~Q(placed_from=""),
                name="orders_unpaid_from",
            ),
            # What was sold on a day.
            models.Index(
                fields=["fully_paid_at"],
                condition=Q(fully_paid_at__isnull=False),
                name="orders_paid",
            ),
            models.Index(
                fields=["shipped_at"], condition=Q(shipped_at__isnull=False), name="orders_shipped"
            ),
            models.Index(
                fields=["cancelled_at"],
                condition=Q(cancelled_at__isnull=False),
                name="orders_cancelled",
            ),
            models.Index(
                fields=["allocated_at"],
                condition=Q(allocated_at__isnull=False),
                name="orders_holding_units",
            ),
            models.Index(
                fields=["cancelled_at"],
                condition=CANCELLED_WITH_MONEY,
                name="orders_cancelled_with_money",
            ),
            models.Index(fields=["created_at"], condition=PARTLY_PAID, name="orders_partly_paid"),
            models.Index(
                fields=["order_number"], condition=~Q(order_number=""), name="orders_client_number"
            ),
            # By what a program that shares orders with the shop calls them.
            models.Index(
                fields=["external_ref"], condition=~Q(external_ref=""), name="orders_external_ref"
            ),
            # What whoever ships asks for, among all that were shipped.
            models.Index(
                fields=["payment", "created_at"],
                condition=Q(shipping="unfulfilled"),
                name="orders_unfulfilled",
            ),
            # What was changed since, for whoever keeps a copy, and for the audit.
            models.Index(fields=["updated_at", "id"], name="orders_by_change"),
            # In any capitals.
            models.Index(Lower("customer_email"), name="orders_by_email"),
            # What it has not sorted in yet, every search looks through: so that is kept short.
            GinIndex(fields=["found_by"], gin_pending_list_limit=512, name="orders_found_by"),
            models.Index(fields=["currency", "total"], name="orders_by_total"),
            models.Index(
                fields=["payment", "created_at"],
                condition=~Q(payment="paid"),
                name="orders_by_payment",
            ),
        ]
        permissions = [
            ("export_customers", "Can export customers' names, addresses and e-mails"),
            ("undo_ship_order", "Can undo the shipping of an order"),
        ]

    def __str__(self) -> str:
        return f"#{self.number}"

    def write(self) -> None:
        """Write the fields that change in the life of an order. The caller has locked its row."""
        compiled.update(self, *_LIFE)

    @property
    def is_cancelled(self) -> bool:
        return self.status == self.Status.CANCELLED

    @property
    def is_shipped(self) -> bool:
        """Tell whether all of it is, but for what was cancelled."""
        return self.shipping == self.Shipping.FULFILLED

    @property
    def is_partly_shipped(self) -> bool:
        """Tell whether something is shipped, and something is left."""
        return not self.is_shipped and self.shipments_made > self.shipments_undone

    @property
    def payable(self) -> int:
        """Return how much may still be paid: a refund does not increase it."""
        return self.total - self.captured - self.authorized - self.pending

    @property
    def balance_owing(self) -> int:
        return self.total - self.captured - self.authorized

    def standing(self) -> Standing:
        """What people decide by: the order's states, its money and its units. One query."""
        units: dict[str, Counter[str]] = defaultdict(Counter)
        for item in self.items.all():
            units[item.short_name].update(
                allocated=item.allocated,
                shipped=item.shipped,
                cancelled=item.cancelled,
                returned=item.returned,
            )
        return {
            "status": self.status,
            "payment": self.payment,
            "shipping": self.shipping,
            "total": self.total,
            "captured": self.captured,
            "authorized": self.authorized,
            "pending": self.pending,
            "refunded": self.refunded,
            "attempts under way": str(self.attempts_open),
            "refunds under way": str(self.refunds_open),
            **{
                f"units of {sku}": ", ".join(
                    f"{of[name]} {name}" for name in sorted(of) if of[name]
                )
                for sku, of in sorted(units.items())
                if of.total()
            },
            # Shipped, undone and shipped again is another shipment.
            **({"shipments": str(self.shipments_made)} if self.shipments_made else {}),
            **(
                {"shipped at": f"{timezone.localtime(self.shipped_at):%Y-%m-%d %H:%M:%S %Z}"}
                if self.shipped_at
                else {}
            ),
        }

    def require_shippable(self) -> None:
        """Raises: OrderNotShippable, PaymentUnderWay."""
        if self.is_cancelled or self.is_shipped:
            state = "cancelled" if self.is_cancelled else "shipped"
            raise OrderNotShippable(f"The order is {state} already.")
        if self.attempts_open or self.refunds_open:
            raise PaymentUnderWay
        if self.payment != self.Payment.PAID:
            raise OrderNotShippable("Only a paid order can be shipped.")

    def require_items_cancellable(self) -> None:
        """Raises: OrderNotCancellable, PaymentUnderWay."""
        if self.is_cancelled or self.is_shipped:
            state = "cancelled" if self.is_cancelled else "shipped"
            raise OrderNotCancellable(f"The order is {state} already.")
        if self.attempts_open:
            raise PaymentUnderWay
        if not self.fully_paid_at:
            raise OrderNotCancellable("The order is not paid. Cancel it as a whole.")

    def require_cancellable(self) -> None:
        """Raises: OrderNotCancellable, PaymentUnderWay."""
        if self.is_cancelled or self.is_shipped:
            state = "cancelled" if self.is_cancelled else "shipped"
            raise OrderNotCancellable(f"The order is {state} already.")
        if self.is_partly_shipped:
            raise OrderNotCancellable("A part of the order is shipped. Cancel the rest instead.")
        if self.attempts_open:
            raise PaymentUnderWay

    def restate_shipping(self, items: "Iterable[OrderItem]", now: datetime) -> None:
        """Set the order's shipping anew, after units of these, all its lines, moved."""
        self.updated_at = now
        if self.shipments_made > self.shipments_undone and not any(item.left for item in items):
            self.shipping, self.shipped_at = self.Shipping.FULFILLED, now
            self.allocated_at = None
        else:
            self.shipping, self.shipped_at = self.Shipping.UNFULFILLED, None
            # Set even where no line holds units: it says since when the order waits to be shipped.
            self.allocated_at = self.allocated_at or now


_LIFE = (
    *("status", "payment", "shipping"),
    *("captured", "authorized", "pending", "refunded", "attempts_open", "refunds_open"),
    *("allocated_at", "fully_paid_at", "shipped_at", "cancelled_at", "left_be_at", "updated_at"),
    *("shipments_made", "shipments_undone"),
)


class OrderItem(models.Model):
    """A line as it was at checkout: name, sku and price are a copy."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    order = models.ForeignKey(Order, models.PROTECT, related_name="items", db_index=False)
    # The line's place in the order, from 0.
    position = models.PositiveSmallIntegerField()
    # None for a line that is not a product: it has no stock, and holds no units.
    product = models.ForeignKey(
        Product, models.PROTECT, null=True, related_name="+", db_index=False
    )
    cart_item_id = models.UUIDField()
    name = models.CharField(max_length=200)
    sku = models.CharField(max_length=100)
    quantity = models.IntegerField()
    unit_price = models.BigIntegerField()
    includes_tax = models.BooleanField(default=True)
    custom_inputs = models.JSONField(null=True)
    location = models.ForeignKey(
        Location, models.PROTECT, null=True, to_field="slug", db_column="location", db_index=False
    )
    # Whether its units come from stock: decided when the order first takes its units, and no more
    # so once some of them went back to a product whose stock is not managed any more.
    stocked = models.BooleanField(default=False, db_default=False)
    # Units that this line holds now, which stays 0 where it is not stocked.
    allocated = models.IntegerField(default=0)
    # Units that left the warehouse, and units that nobody is to send any more.
    shipped = models.IntegerField(default=0)
    cancelled = models.IntegerField(default=0, db_default=0)
    # How many of the shipped units were taken back, whatever became of them.
    returned = models.IntegerField(default=0)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["order", "position"], name="order_line_once"),
            models.CheckConstraint(
                condition=Q(quantity__gt=0, unit_price__gte=0), name="order_item_sane"
            ),
            models.CheckConstraint(
                condition=Q(
                    allocated__gte=0,
                    shipped__gte=0,
                    cancelled__gte=0,
                    quantity__gte=F("allocated") + F("shipped") + F("cancelled"),
                ),
                name="order_item_holds_at_most_its_quantity",
            ),
            models.CheckConstraint(
                condition=Q(stocked=False, allocated=0)
                | Q(stocked=True, quantity=F("allocated") + F("shipped") + F("cancelled")),
                name="order_item_stocked_adds_up",
            ),
            models.CheckConstraint(
                condition=Q(returned__gte=0, returned__lte=F("shipped")),
                name="order_item_returned_within_shipped",
            ),
            models.CheckConstraint(
                condition=Q(product__isnull=False) | Q(stocked=False),
                name="order_item_without_product_holds_none",
            ),
        ]
        indexes = [
            # Finds who holds units of a product: the few lines of open orders, among all lines.
            models.Index(
                fields=["product"], condition=Q(allocated__gt=0), name="order_items_holding_units"
            ),
            models.Index(fields=["sku", "order"], name="order_item_by_sku"),
        ]

    def __str__(self) -> str:
        return f"{self.quantity} of {self.sku}"

    @staticmethod
    def claim_units(order: Order) -> "list[ClaimedLine]":
        """Mark every line whose stock is managed as allocated, before any stock is locked.

        Returns those lines, and any whose product is no longer for sale, be its stock managed or
        not. The caller moves the stock itself.
        """
        with connection.cursor() as cursor:
            cursor.execute(_CLAIM_UNITS, [Product.Status.LIVE.value, DEFAULT_LOCATION_ID, order.pk])
            return [ClaimedLine(*row) for row in cursor.fetchall()]

    @staticmethod
    def write_units(items: "Collection[OrderItem]") -> None:
        """Write the units of lines of a locked order, in one statement."""
        columns = [
            (item.pk, item.stocked, item.allocated, item.shipped, item.cancelled, item.returned)
            for item in items
        ]
        with connection.cursor() as cursor:
            cursor.execute(_WRITE_UNITS, [*map(list, zip(*columns, strict=True))])

    @property
    def left(self) -> int:
        """Return how many units may still be shipped or cancelled."""
        return self.quantity - self.shipped - self.cancelled

    def ship(self, units: int) -> None:
        self.shipped += units
        self.allocated -= units if self.stocked else 0

    def undo_ship(self, units: int, *, into_stock: bool) -> None:
        """Let the line hold these units again. What cannot go back into stock is not stocked."""
        self.shipped -= units
        self.stocked = self.stocked and into_stock
        self.allocated += units if self.stocked else 0

    def cancel(self, units: int) -> None:
        self.cancelled += units
        self.allocated -= units if self.stocked else 0

    @property
    def value(self) -> int:
        return self.unit_price * self.quantity

    @property
    def is_priced_by_request(self) -> bool:
        """Tell whether the request that added this said what it costs: it is no product."""
        return self.product_id is None

    @property
    def label(self) -> str:
        """Name the line for people, who are to see what they did not price themselves."""
        name = self.short_name
        return f"{name} ({PRICED_BY_REQUEST})" if self.is_priced_by_request else name

    @property
    def short_name(self) -> str:
        return self.sku or self.name


class ClaimedLine(NamedTuple):
    product_id: uuid.UUID
    quantity: int
    name: str
    sku: str
    is_live: bool


_CLAIM_UNITS = """
UPDATE orders_orderitem AS item SET stocked = true, allocated = item.quantity
FROM (
    SELECT product.id, stock.managed,
        product.status = %s AND product.archived_at IS NULL AS is_live
    FROM inventory_product AS product
    LEFT JOIN inventory_stock AS stock
        ON stock.product_id = product.id AND stock.location_id = %s
) AS offered
WHERE item.order_id = %s AND offered.id = item.product_id
    AND (offered.managed OR NOT offered.is_live)
RETURNING item.product_id, item.quantity, item.name, item.sku, offered.is_live
"""

_WRITE_UNITS = """
UPDATE orders_orderitem AS item
SET stocked = new.stocked, allocated = new.allocated, shipped = new.shipped,
    cancelled = new.cancelled, returned = new.returned
FROM unnest(%s::uuid[], %s::bool[], %s::int[], %s::int[], %s::int[], %s::int[])
    AS new (id, stocked, allocated, shipped, cancelled, returned)
WHERE item.id = new.id
"""


class Shipment(ActedBy):
    """A parcel, or what else left the warehouse at once.

    The database refuses any change but that it was undone, once.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    order = models.ForeignKey(Order, models.PROTECT, related_name="shipments", db_index=False)
    # Within the order, from 1.
    number = models.IntegerField()
    carrier = models.CharField(max_length=100, blank=True)
    tracking = models.CharField(max_length=200, blank=True)
    created_at = models.DateTimeField()
    undone_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["order", "number"], name="shipment_numbered"),
            models.CheckConstraint(condition=Q(number__gt=0), name="shipment_number_positive"),
        ]
        indexes = [
            # In any capitals.
            models.Index(
                Upper("tracking"), condition=~Q(tracking=""), name="shipments_by_tracking"
            ),
            # What was shipped on a day, and what of that was undone since.
            BrinIndex(fields=["created_at"], name="shipments_by_day"),
            models.Index(
                fields=["created_at"],
                condition=Q(undone_at__isnull=False),
                name="shipments_undone",
            ),
        ]

    def __str__(self) -> str:
        return f"Shipment {self.number}"

    def require_undoable(self, lines: "Iterable[ShipmentLine]") -> None:
        """Raises: ShipNotUndoable."""
        if self.undone_at:
            raise ShipNotUndoable(f"{self} was undone already.")
        for line in lines:
            if line.item.shipped - line.quantity < line.item.returned:
                raise ShipNotUndoable(
                    f"Of {line.item.short_name}, {line.item.returned} of the "
                    f"{line.item.shipped} shipped were taken back already."
                )


class ShipmentLine(models.Model):
    """How many units of an order's line left with a shipment. Written once.

    The database refuses any change.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    shipment = models.ForeignKey(Shipment, models.PROTECT, related_name="lines", db_index=False)
    item = models.ForeignKey(OrderItem, models.PROTECT, related_name="+")
    quantity = models.IntegerField()
    # The log's entry by which they left the total, with those of other lines of the product; None
    # for a line that was not stocked. No foreign key, as nothing is deleted there.
    entry_id = models.UUIDField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["shipment", "item"], name="shipment_line_once"),
            models.CheckConstraint(condition=Q(quantity__gt=0), name="shipment_line_positive"),
        ]

    def __str__(self) -> str:
        return f"{self.quantity} of {self.item_id}"


class Return(ActedBy):
    """What was taken back of an order at once. Its money is a refund, which may come with it.

    Written once: the database refuses any change.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    order = models.ForeignKey(Order, models.PROTECT, related_name="returns", db_index=False)
    # Within the order, from 1.
    number = models.IntegerField()
    reason = models.TextField(blank=True)
    created_at = models.DateTimeField()
    # The refund that was made with it, as payments names it.
    attempt_id = models.UUIDField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["order", "number"], name="return_numbered"),
            models.CheckConstraint(condition=Q(number__gt=0), name="return_number_positive"),
        ]

    def __str__(self) -> str:
        return f"R-{self.number}"


class ReturnLine(models.Model):
    """Units of an order's line that were taken back, and what became of them.

    The database refuses any change but that units under inspection are settled, once.
    """

    class Disposition(models.TextChoices):
        # Available again.
        RESTOCKED = "restocked"
        # Here, but set aside until somebody has looked at them: see `settled_as`.
        INSPECTION = "inspection"
        # Here, and not to be sold; or never arrived. Neither is in stock.
        DISCARDED = "discarded"
        MISSING = "missing"

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    of_return = models.ForeignKey(Return, models.PROTECT, related_name="lines")
    item = models.ForeignKey(OrderItem, models.PROTECT, related_name="+")
    quantity = models.IntegerField()
    disposition = models.CharField(max_length=10, choices=Disposition)
    # What was found when units under inspection were looked at: restocked or discarded.
    settled_as = models.CharField(max_length=10, choices=Disposition, blank=True)
    settled_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(quantity__gt=0), name="return_line_positive"),
            models.CheckConstraint(
                condition=Q(disposition__in=["restocked", "inspection", "discarded", "missing"]),
                name="return_line_known_disposition",
            ),
            models.CheckConstraint(
                condition=Q(settled_as="", settled_at=None)
                | Q(
                    disposition="inspection",
                    settled_as__in=["restocked", "discarded"],
                    settled_at__isnull=False,
                ),
                name="return_line_settled_after_inspection",
            ),
        ]
        indexes = [
            models.Index(
                fields=["of_return"],
                condition=Q(disposition="inspection", settled_at=None),
                name="return_lines_to_inspect",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.quantity} of {self.item_id} {self.disposition}"

    @property
    def is_to_inspect(self) -> bool:
        return self.disposition == self.Disposition.INSPECTION and self.settled_at is None


class OrderEvent(ActedBy):
    """Something that was done to an order, by whom and why. Written once, never changed.

    Payments and stock transactions have records of their own and get no event. No part of an
    address is kept here, because it could never be removed again.
    """

    class Kind(models.TextChoices):
        PLACED_AT_THE_DESK = "placed_at_the_desk", "Placed at the desk"
        SHIPPED = "shipped"
        SHIP_UNDONE = "ship_undone", "Ship undone"
        ITEMS_CANCELLED = "items_cancelled", "Items cancelled"
        TAKEN_BACK = "taken_back", "Taken back"
        INSPECTED = "inspected"
        CANCELLED = "cancelled"
        CHANGED = "changed"
        NOTE = "note"
        PAYMENT_CHECKED = "payment_checked", "Payment checked"
        PAYMENT_SETTLED_BY_HAND = "payment_settled_by_hand", "Payment settled by hand"
        MONEY_CAME_LATE = "money_came_late", "Money came late"
        AUTHORIZATION_LAPSED = "authorization_lapsed", "Authorization lapsed"
        REFUND_CAME_BACK = "refund_came_back", "Refund came back"
        LEFT_BE = "left_be", "Left be"

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    order = models.ForeignKey(Order, models.PROTECT, related_name="events")
    kind = models.CharField(max_length=32, choices=Kind)
    # What a person wrote about it: the parcel's number, a reason, a note.
    text = models.TextField(blank=True)
    created_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.get_kind_display()}: {self.text}" if self.text else self.get_kind_display()


class CustomerNote(ActedBy):
    """What a colleague wrote about a customer, who is known by the e-mail address of orders.

    It is about a person: nothing refuses to delete it, should the person ask for that.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    # In small letters.
    email = models.CharField(max_length=254)
    text = models.TextField()
    created_at = models.DateTimeField()

    class Meta:
        indexes = [models.Index(fields=["email", "created_at"], name="customer_notes_by_email")]

    def __str__(self) -> str:
        return self.text


class AuditResult(models.Model):
    """The last result of each kind of comparing all books. See payments.services.audit."""

    class Kind(models.IntegerChoices):
        WHOLE = 1
        INCREMENTAL = 2

    id = models.PositiveSmallIntegerField(
        primary_key=True, choices=Kind, default=Kind.WHOLE, editable=False
    )
    # The moment as of which all was compared, and how long that took.
    checked_at = models.DateTimeField()
    seconds = models.FloatField(default=0)
    differences = models.PositiveIntegerField()
    # The first difference, in words; and each, as far as the comparison names them.
    example = models.TextField(blank=True)
    found = models.JSONField(default=list)
    # How much was compared: rows of stock, entries of their logs, and orders. Of an incremental
    # comparison, what was written since the one before.
    stocks = models.BigIntegerField(default=0)
    entries = models.BigIntegerField(default=0)
    orders = models.BigIntegerField(default=0)
    # Where the feed of events ended then.
    position = models.BigIntegerField(default=0, db_default=0)

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(id__in=[1, 2]), name="audit_result_known_kind")
        ]

    def __str__(self) -> str:
        return self.example or "Log, stock, orders and payments agree."

    @property
    def kind(self) -> str:
        return self.Kind(self.pk).name.lower()

    @property
    def is_whole(self) -> bool:
        return self.pk == self.Kind.WHOLE


def next_order_number() -> int:
    """Return a unique, rising number; one may be missing where a checkout was refused."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT nextval('orders_order_number')")
        number: int = cursor.fetchone()[0]
    return number


class Numbered(NamedTuple):
    number: int
    # Orders for which nobody has paid anything so far, counted up to the limits that were given.
    unpaid_of_cart: int
    unpaid_from_there: int


def next_number_and_unpaid(
    cart_id: str, of_cart: int, placed_from: str, from_there: int, since: datetime
) -> Numbered:
    """Return what `next_order_number` does, and count the unpaid orders that there are already.

    The caller has locked the cart. If orders from one place are counted, its checkouts now wait for
    each other until the transaction ends: no other lock makes two carts of one place take turns.
    """
    with connection.cursor() as cursor:
        if from_there:
            # In a statement of its own: what the next one sees was committed before it began.
            place = hashlib.sha256(placed_from.encode()).digest()[:8]
            cursor.execute(_TAKE_TURNS, [int.from_bytes(place, signed=True)])
        cursor.execute(_NUMBER_AND_UNPAID, [cart_id, of_cart, placed_from, since, from_there])
        return Numbered(*cursor.fetchone())


_TAKE_TURNS = "SELECT pg_advisory_xact_lock(%s)"
_NUMBER_AND_UNPAID = """
SELECT nextval('orders_order_number'), (
    SELECT count(*) FROM (
        SELECT FROM orders_order
        WHERE cart_id = %s AND payment = 'unpaid' AND fully_paid_at IS NULL
            AND cancelled_at IS NULL
        LIMIT %s
    ) AS of_cart
), (
    SELECT count(*) FROM (
        SELECT FROM orders_order
        WHERE placed_from = %s AND placed_from <> '' AND created_at > %s AND payment = 'unpaid'
            AND fully_paid_at IS NULL AND cancelled_at IS NULL
        LIMIT %s
    ) AS from_there
)
"""


def summed(quantities: Collection[tuple[uuid.UUID, int]]) -> dict[uuid.UUID, int]:
    """Add up the quantities of each product: two lines of one product need both their units."""
    sums: dict[uuid.UUID, int] = {}
    for product_id, quantity in quantities:
        sums[product_id] = sums.get(product_id, 0) + quantity
    return sums
