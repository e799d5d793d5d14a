"""How much there is of each product, and the log of every change to it."""

import json
import uuid
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, NamedTuple

from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import BrinIndex, GinIndex, OpClass
from django.core.validators import MinValueValidator
from django.db import connection, models
from django.db.models import F, Q, Value
from django.db.models.functions import Upper
from django.db.models.lookups import GreaterThan

from api import compiled
from api.codes import tidied
from api.errors import Standing
from api.fields import UNITS_MAX
from api.ids import uuid7
from api.models import ActedBy
from inventory.errors import (
    CurrencyAmbiguous,
    DeliveryNotReady,
    LinesMarked,
    SheetNotReady,
    StockNotFound,
    StocktakeNotReady,
    StockTooLow,
    TooManyUnits,
)

# The one location until there are several; a migration makes it.
DEFAULT_LOCATION_ID = uuid.UUID("00000000-0000-7000-8000-000000000001")


class CurrencyQuerySet(models.QuerySet["Currency"]):
    def lock_all(self) -> list["Currency"]:
        """Lock the store's few currencies, of which exactly one is the default, for a change.

        They are read again afterwards: a lock that had to wait returns the rows that were there
        when the waiting began, without one that was made meanwhile.
        """
        _ = list(self.order_by("pk").select_for_update(no_key=True))
        return list(self.order_by("pk"))


class Currency(models.Model):
    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    code = models.CharField(max_length=3, unique=True)
    exchange_rate = models.DecimalField(max_digits=18, decimal_places=8, default=1)
    format = models.CharField(max_length=20, default="{price}")
    decimal_point = models.CharField(max_length=1, default=".")
    thousand_separator = models.CharField(max_length=1, default=",", blank=True)
    decimal_places = models.PositiveSmallIntegerField(default=2)
    default = models.BooleanField(default=False)
    enabled = models.BooleanField(default=True)
    created_at = models.DateTimeField()
    updated_at = models.DateTimeField()

    objects = CurrencyQuerySet.as_manager()

    class Meta:
        verbose_name_plural = "currencies"
        constraints = [
            models.UniqueConstraint(
                fields=["default"], condition=Q(default=True), name="currency_one_default"
            ),
            models.CheckConstraint(
                condition=Q(decimal_places__lte=4), name="currency_at_most_4_decimal_places"
            ),
        ]

    def __str__(self) -> str:
        return self.code

    def require_unambiguous(self) -> None:
        """Raises: CurrencyAmbiguous."""
        signs = (self.decimal_point, self.thousand_separator)
        if signs[0] == signs[1] or any(sign.isdigit() for sign in signs):
            raise CurrencyAmbiguous
        # A point that nobody sees makes 12.50 read as 1250.
        if self.decimal_places and not tidied(self.decimal_point):
            raise CurrencyAmbiguous

    def is_in_use(self) -> bool:
        """Tell whether anything refers to the currency: prices, carts, orders and so on."""
        return any(
            relation.related_model._base_manager.filter(**{relation.field.name: self}).exists()
            for relation in self._meta.related_objects
        )

    def formatted(self, amount: int) -> str:
        """Write an amount of the smallest unit as people read it: 1250 is $12.50."""
        sign = "-" if amount < 0 else ""
        return sign + self.format.replace("{price}", self.major_units(abs(amount)))

    def in_major_units(self, amount: int) -> Decimal:
        """Write an amount as a number that spreadsheets add up: 1250 is 12.50, whatever it is."""
        return Decimal(amount).scaleb(-self.decimal_places)

    def major_units(self, amount: int) -> str:
        whole, fraction = divmod(amount, 10**self.decimal_places)
        grouped = f"{whole:,}".replace(",", self.thousand_separator)
        if not self.decimal_places:
            return grouped
        return f"{grouped}{self.decimal_point}{fraction:0{self.decimal_places}}"


class Location(models.Model):
    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    slug = models.SlugField(unique=True)
    name = models.CharField(max_length=200)
    enabled = models.BooleanField(default=True)
    priority = models.IntegerField(default=0)

    def __str__(self) -> str:
        return self.name


class CategoryQuerySet(models.QuerySet["Category"]):
    def lock_tree(self, *, shared: bool = False) -> None:
        """Lock the tree of categories until the transaction ends, before any product.

        One lock for all of it, rows to come included: whether two moves make a cycle, or two new
        categories one name, is written in no single row. `shared` keeps the tree as it is and lets
        others do the same, for whoever puts products into it.
        """
        lock = "pg_advisory_xact_lock_shared" if shared else "pg_advisory_xact_lock"
        with connection.cursor() as cursor:
            cursor.execute(f"SELECT {lock}(%s)", [_TREE])


# The number of the tree's lock, among all that may be locked by number.
_TREE = int.from_bytes(b"category", signed=True)


class Category(models.Model):
    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    name = models.CharField(max_length=100)
    slug = models.SlugField(max_length=200, blank=True, db_index=False)
    parent = models.ForeignKey(
        "self", models.PROTECT, null=True, blank=True, related_name="children"
    )
    # Where it stands among those of its parent; they may have gaps.
    position = models.IntegerField(default=0, editable=False)
    created_at = models.DateTimeField(editable=False)
    updated_at = models.DateTimeField(editable=False)

    objects = CategoryQuerySet.as_manager()

    class Meta:
        verbose_name_plural = "categories"
        constraints = [
            models.UniqueConstraint(
                Upper("name"), "parent", nulls_distinct=False, name="category_name_once"
            ),
            models.UniqueConstraint(fields=["slug"], name="category_slug_once"),
        ]

    def __str__(self) -> str:
        return self.name


class ParentQuerySet(models.QuerySet["Parent"]):
    def lock(self, parent_id: uuid.UUID) -> "Parent | None":
        """Lock what variants share until the transaction ends: before any of them."""
        return self.select_for_update(no_key=True).filter(pk=parent_id).first()


class Parent(models.Model):
    """What variants share: a name, and the options by which they differ. Its stock is theirs."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    name = models.CharField(max_length=200)
    # [{"name": "Size", "values": ["S", "M"]}, …]
    options = models.JSONField(default=list, editable=False)
    # What its variants are named by: {Size} stands for a variant's value.
    name_pattern = models.CharField(max_length=200, blank=True, editable=False)
    sku_pattern = models.CharField(max_length=100, blank=True, editable=False)
    created_at = models.DateTimeField(editable=False)
    updated_at = models.DateTimeField(editable=False)

    objects = ParentQuerySet.as_manager()

    class Meta:
        verbose_name = "parent product"
        indexes = [models.Index(fields=["name", "id"], name="parent_by_name")]

    def __str__(self) -> str:
        return self.name


class ProductQuerySet(models.QuerySet["Product"]):
    def kept(self) -> "ProductQuerySet":
        """Leave out deleted products, which are only archived."""
        return self.filter(archived_at=None)


class Product(models.Model):
    class Status(models.TextChoices):
        DRAFT = "draft"
        LIVE = "live"

    class CommodityType(models.TextChoices):
        PHYSICAL = "physical"
        DIGITAL = "digital"

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    name = models.CharField(max_length=200)
    sku = models.CharField(max_length=100)
    slug = models.SlugField(max_length=200, blank=True)
    description = models.TextField(blank=True)
    status = models.CharField(max_length=8, choices=Status, default=Status.LIVE)
    commodity_type = models.CharField(
        max_length=8, choices=CommodityType, default=CommodityType.PHYSICAL
    )
    barcode = models.CharField(max_length=64, blank=True)
    image_url = models.CharField(max_length=500, blank=True)
    # At this many available units or fewer, stock is low. None: the store's threshold.
    low_stock_threshold = models.PositiveIntegerField(null=True, blank=True)
    # What the store pays for a unit, in the smallest unit of its own currency. None: nobody said.
    cost = models.BigIntegerField(null=True, editable=False)
    cost_currency = models.ForeignKey(
        Currency,
        models.PROTECT,
        to_field="code",
        db_column="cost_currency",
        null=True,
        editable=False,
        db_index=False,
        related_name="products_at_cost",
    )
    categories = models.ManyToManyField(Category, related_name="products", blank=True)
    # What it is a variant of, and which one: {"Size": "M", "Colour": "Red"}.
    parent = models.ForeignKey(
        Parent,
        models.PROTECT,
        null=True,
        blank=True,
        editable=False,
        related_name="variants",
        db_index=False,
    )
    options = models.JSONField(
        default=dict, db_default=Value({}, models.JSONField()), blank=True, editable=False
    )
    archived_at = models.DateTimeField(null=True, blank=True, editable=False)
    created_at = models.DateTimeField(editable=False)
    updated_at = models.DateTimeField(editable=False)

    objects = ProductQuerySet.as_manager()

    class Meta:
        permissions = [("view_cost", "Can see what products cost the store")]
        constraints = [
            models.CheckConstraint(condition=Q(cost__gte=0), name="product_cost_not_negative"),
            models.CheckConstraint(
                condition=Q(cost=None, cost_currency=None)
                | Q(cost__isnull=False, cost_currency__isnull=False),
                name="product_cost_in_a_currency",
            ),
            # An archived product frees its sku and slug.
            models.UniqueConstraint(
                fields=["sku"], condition=Q(archived_at=None), name="product_sku_once"
            ),
            models.UniqueConstraint(
                fields=["slug"], condition=Q(archived_at=None), name="product_slug_once"
            ),
            models.UniqueConstraint(
                fields=["parent", "options"],
                condition=Q(archived_at=None, parent__isnull=False),
                name="product_variant_once",
            ),
        ]
        indexes = [
            models.Index(fields=["barcode"], condition=~Q(barcode=""), name="product_barcode"),
            models.Index(fields=["created_at", "id"], name="product_by_age"),
            models.Index(fields=["name", "id"], name="product_by_name"),
            models.Index(
                fields=["parent", "id"],
                condition=Q(parent__isnull=False),
                name="product_of_a_parent",
            ),
            models.Index(
                fields=["archived_at", "id"],
                condition=Q(archived_at__isnull=False),
                name="products_archived",
            ),
            # The highest of them bounds the search for low stock.
            models.Index(
                fields=["low_stock_threshold"],
                condition=Q(low_stock_threshold__isnull=False),
                name="product_own_threshold",
            ),
            # For whole codes in any case.
            models.Index(Upper("sku"), condition=Q(archived_at=None), name="product_sku_any_case"),
            models.Index(
                Upper("barcode"),
                condition=Q(archived_at=None) & ~Q(barcode=""),
                name="product_barcode_any_case",
            ),
            # For any part of a name or sku in any case: Django compares with upper() then. No fast
            # update, because a catalogue is read more than written.
            GinIndex(
                OpClass(Upper("name"), name="gin_trgm_ops"),
                name="product_name_parts",
                fastupdate=False,
            ),
            GinIndex(
                OpClass(Upper("sku"), name="gin_trgm_ops"),
                name="product_sku_parts",
                fastupdate=False,
            ),
        ]

    def __str__(self) -> str:
        return f"{self.name} ({self.sku})"

    def written_cost(self) -> str | None:
        """Write the cost as it stays on record, whatever becomes of its currency: 4.20 USD."""
        if self.cost is None or self.cost_currency is None:
            return None
        return f"{_in_major_units(self.cost, self.cost_currency)} {self.cost_currency_id}"

    @property
    def variant(self) -> str:
        """Return which variant of its parent it is, in words and in the order of its options."""
        names = [option["name"] for option in self.parent.options] if self.parent else []
        return ", ".join(f"{name} {self.options[name]}" for name in names if name in self.options)


class Price(models.Model):
    product = models.ForeignKey(Product, models.CASCADE, related_name="prices")
    currency = models.ForeignKey(Currency, models.PROTECT, to_field="code", db_column="currency")
    amount = models.BigIntegerField(help_text="In the currency's smallest unit.")
    includes_tax = models.BooleanField(default=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["product", "currency"], name="price_once_a_currency"),
            models.CheckConstraint(condition=Q(amount__gte=0), name="price_not_negative"),
        ]

    def __str__(self) -> str:
        return f"{self.amount} {self.currency_id}"

    def written(self) -> str:
        """Write the price as it stays on record, whatever becomes of its currency: 12.50."""
        untaxed = "" if self.includes_tax else ", tax not included"
        return f"{_in_major_units(self.amount, self.currency)}{untaxed}"


def _in_major_units(amount: int, currency: Currency) -> str:
    digits = currency.decimal_places
    return f"{Decimal(amount).scaleb(-digits):.{digits}f}"


PICTURE_NAME_LENGTH = 200


class Picture(ActedBy):
    """A picture that somebody uploaded, and who. Its files are named after its id.

    See inventory.services.picture_files. No two have the same id, ever: what is deleted and sent
    again gets files of its own, so that nobody deletes the files of the one for the other.
    """

    MIME_TYPE = "image/webp"

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    # As it was sent, for people and for files of products.
    name = models.CharField(max_length=PICTURE_NAME_LENGTH)
    # Of what was sent: the same content is the same picture.
    sha256 = models.CharField(max_length=64, unique=True)
    # Of the largest of its files.
    size = models.PositiveIntegerField()
    width = models.PositiveIntegerField()
    height = models.PositiveIntegerField()
    created_at = models.DateTimeField()

    class Meta:
        indexes = [models.Index(Upper("name"), name="picture_name_any_case")]

    def __str__(self) -> str:
        return self.name


class ProductPicture(models.Model):
    """That a product shows a picture. The one at position 0 is its main picture."""

    product = models.ForeignKey(
        Product, models.CASCADE, db_index=False, related_name="product_pictures"
    )
    picture = models.ForeignKey(Picture, models.PROTECT, related_name="product_pictures")
    position = models.PositiveSmallIntegerField()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["product", "position"], name="product_picture_once_a_position"
            ),
            models.UniqueConstraint(
                fields=["product", "picture"], name="product_picture_once_a_picture"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.picture_id} at {self.position}"


class Action(models.TextChoices):
    INCREMENT = "increment"
    DECREMENT = "decrement"
    ALLOCATE = "allocate"
    DEALLOCATE = "deallocate"


@dataclass(frozen=True)
class Effect:
    available: int = 0
    allocated: int = 0
    held: int = 0


BY_HAND, FOR_ORDER = False, True

# The law of stock: what one unit of each action does to the stored quantities. Total is available
# plus allocated; held is the part of allocated that a merchant set aside, so that a deallocate by
# hand can never take the units of an order. Shipping is a deallocate and a decrement, both for the
# order; what comes back of a shipped order is an increment for it. The migrations teach the same to
# the database, and a test holds the two together.
EFFECTS = {
    (Action.INCREMENT, BY_HAND): Effect(available=+1),
    (Action.DECREMENT, BY_HAND): Effect(available=-1),
    (Action.ALLOCATE, BY_HAND): Effect(available=-1, allocated=+1, held=+1),
    (Action.DEALLOCATE, BY_HAND): Effect(available=+1, allocated=-1, held=-1),
    (Action.INCREMENT, FOR_ORDER): Effect(available=+1),
    (Action.ALLOCATE, FOR_ORDER): Effect(available=-1, allocated=+1),
    (Action.DEALLOCATE, FOR_ORDER): Effect(available=+1, allocated=-1),
    (Action.DECREMENT, FOR_ORDER): Effect(available=-1),
}

# The action that takes back an entry made by hand.
OPPOSITES = {
    Action.INCREMENT: Action.DECREMENT,
    Action.DECREMENT: Action.INCREMENT,
    Action.ALLOCATE: Action.DEALLOCATE,
    Action.DEALLOCATE: Action.ALLOCATE,
}
REASON_LENGTH_MAX = 500


class NewEntry(NamedTuple):
    """One entry of the log to be: what an action did to a stock row, and the numbers after it."""

    stock: "Stock"
    sequence: int
    action: Action
    quantity: int
    by_order: bool
    available: int
    allocated: int
    held: int


# The same lock as `select_for_update(no_key=True)`. NO KEY, because the keys never change and other
# transactions may go on referring to the rows.
_LOCKED = "WHERE location_id = %s AND product_id = ANY(%s) ORDER BY id FOR NO KEY UPDATE"


class StockQuerySet(models.QuerySet["Stock"]):
    def lock(self, product_ids: Collection[uuid.UUID]) -> list["Stock"]:
        """Lock these products' stock until the transaction ends.

        Always in key order, so that no two transactions can each wait for the other. The caller
        reads nothing more afterwards: it decides, writes and commits.
        """
        parameters = [DEFAULT_LOCATION_ID, list(product_ids)]
        return compiled.fetch(Stock, _LOCKED, parameters)


class Stock(models.Model):
    """The three numbers of a product. Its own row, so that a sale never locks the catalogue.

    The row holds only what a sale changes, and has no index on it: every update stays heap-only,
    except for the sale of the last unit and for what comes after it.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    product = models.ForeignKey(Product, models.PROTECT, related_name="stocks", db_index=False)
    location = models.ForeignKey(
        Location, models.PROTECT, default=DEFAULT_LOCATION_ID, db_index=False, related_name="+"
    )
    # The one place that says whether stock is managed at all; read it under the row's lock.
    managed = models.BooleanField(default=True)
    available = models.IntegerField(db_default=0)
    allocated = models.IntegerField(db_default=0)
    held = models.IntegerField(db_default=0)
    total = models.GeneratedField(
        expression=F("available") + F("allocated"),
        output_field=models.IntegerField(),
        db_persist=True,
    )
    # Lists ask for this most, and few movements change it: so it can be indexed.
    any_available = models.GeneratedField(
        expression=GreaterThan(F("available"), 0),
        output_field=models.BooleanField(),
        db_persist=True,
    )
    # Number of the newest entry of the log.
    sequence = models.BigIntegerField(db_default=0)
    last_moved_at = models.DateTimeField(null=True)

    objects = StockQuerySet.as_manager()

    class Meta:
        verbose_name_plural = "stock"
        indexes = [models.Index(fields=["any_available", "managed"], name="stock_state")]
        constraints = [
            models.UniqueConstraint(
                fields=["product", "location"], name="stock_once_a_product_and_location"
            ),
            models.CheckConstraint(
                condition=Q(available__gte=0), name="stock_available_not_negative"
            ),
            models.CheckConstraint(
                condition=Q(held__gte=0, held__lte=F("allocated")),
                name="stock_held_within_allocated",
            ),
            models.CheckConstraint(
                condition=Q(managed=True) | Q(available=0, allocated=0),
                name="stock_unmanaged_is_empty",
            ),
        ]

    def __str__(self) -> str:
        return _sum(self)

    @property
    def for_orders(self) -> int:
        """Return the units that orders hold: allocated, and not set aside by hand."""
        return self.allocated - self.held

    def standing(self) -> Standing:
        """What people decide by who do something with all units of a product at once."""
        return {
            "managed": "yes" if self.managed else "no",
            "available": str(self.available),
            "allocated": str(self.allocated),
            "set aside": str(self.held),
        }

    def require_managed(self) -> None:
        if not self.managed:
            raise StockNotFound

    def move(self, action: Action, quantity: int, *, by_order: bool) -> NewEntry:
        """Apply an action to this row, in memory, and return its entry for the log.

        Raises: StockTooLow, with the numbers for merchants; TooManyUnits.
        """
        assert quantity > 0
        effect = EFFECTS[action, by_order]
        available = self.available + effect.available * quantity
        allocated = self.allocated + effect.allocated * quantity
        held = self.held + effect.held * quantity
        if available < 0:
            raise StockTooLow(_only(self.available, "available", quantity))
        if held < 0:
            raise StockTooLow(_only(self.held, "set aside by hand", quantity))
        if allocated < held:
            raise StockTooLow(_only(self.for_orders, "allocated to orders", quantity))
        if available + allocated > UNITS_MAX:
            raise TooManyUnits
        self.available, self.allocated, self.held = available, allocated, held
        self.sequence += 1
        return NewEntry(self, self.sequence, action, quantity, by_order, available, allocated, held)


def _sum(numbers: "Stock | StockTransaction") -> str:
    return f"{numbers.total} = {numbers.available} available + {numbers.allocated} allocated"


def _only(units: int, what: str, asked_for: int) -> str:
    if not units:
        return f"None {'is' if what == 'available' else 'are'} {what}; {asked_for} asked for."
    return f"Only {units} {'is' if units == 1 else 'are'} {what}; {asked_for} asked for."


class StockTransaction(ActedBy):
    """One entry of the log. Written once, by the stock service; the database refuses any change."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    # No foreign key in the database: the writer holds the row's lock, and a trigger compares both.
    stock = models.ForeignKey(
        Stock, models.PROTECT, related_name="log", db_constraint=False, db_index=False
    )
    # The entry's number among those of its stock, from 1 without gaps.
    sequence = models.BigIntegerField()
    action = models.CharField(max_length=10, choices=Action)
    quantity = models.IntegerField(validators=[MinValueValidator(1)])
    # Whether an order moved the units, or a person or program by hand.
    by_order = models.BooleanField()
    # The numbers after this entry.
    available = models.IntegerField()
    allocated = models.IntegerField()
    held = models.IntegerField()
    # Who: text and no foreign key, so that deleting a user changes no history.
    reason = models.CharField(max_length=REASON_LENGTH_MAX, blank=True)
    order_id = models.UUIDField(null=True)
    created_at = models.DateTimeField()
    # From when it counts, where that was before it was written: a count's correction from the
    # moment of the count, what takes an entry back from that entry's own moment, and the units that
    # a product is made with from when it was made.
    effective_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["stock", "sequence"], name="stock_transaction_numbered"
            ),
            models.CheckConstraint(
                condition=Q(quantity__gt=0, sequence__gt=0), name="stock_transaction_positive"
            ),
            models.CheckConstraint(
                condition=Q(action__in=Action.values), name="stock_transaction_known_action"
            ),
            models.CheckConstraint(
                condition=Q(effective_at=None) | Q(effective_at__lte=F("created_at")),
                name="stock_transaction_effective_by_then",
            ),
        ]
        indexes = [
            # Stock at a moment: one look-up.
            models.Index(fields=["stock", "created_at", "sequence"], name="stock_at_a_moment"),
            models.Index(
                fields=["order_id"], condition=Q(order_id__isnull=False), name="stock_of_an_order"
            ),
            # What people moved, among however many entries of orders.
            models.Index(
                fields=["stock", "sequence"],
                condition=Q(by_order=False),
                name="stock_moved_by_hand",
            ),
            # The same of all stock together, the newest first.
            models.Index(
                fields=["id"], condition=Q(by_order=False), name="stock_moved_by_hand_last"
            ),
            # What was found out later about a moment, among however many entries.
            models.Index(
                fields=["stock", "created_at"],
                condition=Q(effective_at__isnull=False),
                name="stock_effective_before",
            ),
            # What came back of shipped orders.
            models.Index(
                fields=["stock", "created_at"],
                condition=Q(by_order=True, action=Action.INCREMENT),
                name="stock_that_came_back",
            ),
            BrinIndex(fields=["created_at"], name="stock_transactions_by_day"),
        ]

    def __str__(self) -> str:
        return f"Entry {self.sequence}"

    @property
    def total(self) -> int:
        return self.available + self.allocated

    @property
    def set_aside(self) -> int:
        """Return the change of what is set aside by hand; negative if the entry freed some."""
        return EFFECTS[Action(self.action), self.by_order].held * self.quantity

    @property
    def numbers(self) -> str:
        """Return the numbers after this entry, worded as the stock words its own."""
        return _sum(self)


class StockCount(ActedBy):
    """What somebody found on the shelf at a moment: evidence, also where the log says the same.

    Written and withdrawn under the stock's lock only; the database refuses any other change, and
    what was withdrawn stays so.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    # No foreign key in the database, as in the log.
    stock = models.ForeignKey(
        Stock, models.PROTECT, related_name="counts", db_constraint=False, db_index=False
    )
    units = models.IntegerField()
    counted_at = models.DateTimeField()
    # By how much it corrected the total; 0 where it agreed.
    change = models.BigIntegerField()
    # The number of the log's last entry then: the correction itself, if there was one.
    sequence = models.BigIntegerField()
    # The line that it came from, unless it was counted by hand.
    line = models.ForeignKey(
        "CountLine",
        models.DO_NOTHING,
        null=True,
        related_name="+",
        db_constraint=False,
        db_index=False,
    )
    recorded_at = models.DateTimeField()
    # When it was taken back, and by which entry, if it had corrected anything.
    withdrawn_at = models.DateTimeField(null=True)
    withdrawn_sequence = models.BigIntegerField(null=True)

    class Meta:
        default_permissions = ()
        indexes = [
            models.Index(
                fields=["stock", "counted_at"],
                condition=Q(withdrawn_at=None),
                name="last_count_of_a_stock",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.units} counted"

    @property
    def fewer(self) -> int:
        """Return how many units it found missing."""
        return -self.change


class StockCheckpoint(models.Model):
    """A stock as the last audit that found no difference saw it. See services.checkpoints."""

    # No foreign key: that its stock is gone is what an audit is to find.
    stock_id = models.UUIDField(primary_key=True)
    sequence = models.BigIntegerField()
    available = models.IntegerField()
    allocated = models.IntegerField()
    held = models.IntegerField()
    # When the last entry was written.
    moved_at = models.DateTimeField()

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return f"Until entry {self.sequence}"


class SheetQuerySet(models.QuerySet["Sheet"]):
    def lock(self, sheet_id: uuid.UUID) -> "Sheet | None":
        """Lock the file until the transaction ends: before any stock."""
        return self.select_for_update(no_key=True).filter(pk=sheet_id).first()

    def under_way(self) -> "SheetQuerySet":
        return self.filter(state__in=Sheet.UNDER_WAY)


class Sheet(ActedBy):
    """Many lines, from a file or made here: checked first, then applied, perhaps reverted.

    Its id and the line numbers identify everything that it does.
    """

    class Kind(models.TextChoices):
        COUNTS = "counts"
        CHANGES = "changes"
        PRODUCTS = "products"

    class Source(models.TextChoices):
        FILE = "file"
        SELECTION = "selection"
        STOCKTAKE = "stocktake"

    class State(models.TextChoices):
        READING = "reading", "being read"
        # A job has found that it is no such file.
        UNREADABLE = "unreadable", "not readable"
        # Somebody is to say what its columns are.
        MAPPING = "mapping", "waiting for its columns"
        CHECKING = "checking", "being checked"
        CHECKED = "checked", "ready to apply"
        APPLYING = "applying", "being applied"
        APPLIED = "applied", "applied"
        REVERTING = "reverting", "being reverted"
        REVERTED = "reverted", "reverted"

    # The states in which jobs work on a file.
    UNDER_WAY = (State.READING, State.CHECKING, State.APPLYING, State.REVERTING)
    # After so many it is tried once a day only, and people are told.
    FAILURES_MAX = 5
    # Those in which it waits for somebody to apply it, with all its lines.
    WAITING = (State.READING, State.MAPPING, State.CHECKING, State.CHECKED)

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    name = models.CharField(max_length=200)
    source = models.CharField(
        max_length=9, choices=Source, default=Source.FILE, db_default=Source.FILE
    )
    # Of a file's bytes; empty for all that comes from nowhere else.
    sha256 = models.CharField(max_length=64, blank=True, default="", db_default="")
    # A guess, until it is known what the columns are.
    kind = models.CharField(max_length=8, choices=Kind)
    state = models.CharField(max_length=10, choices=State, default=State.CHECKING)
    # What is to be said of the file: why it is not readable, or which part of it was read.
    note = models.CharField(max_length=500, blank=True, default="", db_default="")
    # The first row of a file, as it names the columns.
    header = ArrayField(models.TextField(), default=list, db_default=[])
    # What each of them is: the name of a column of its kind, or nothing if it is not read.
    columns = ArrayField(models.TextField(), default=list, db_default=[])
    # What parts the cells in the file, where something does.
    delimiter = models.CharField(max_length=1, blank=True, default="", db_default="")
    # How 3/4/2026 and 1.234 are meant; None where that makes no difference.
    day_first = models.BooleanField(null=True)
    decimal_comma = models.BooleanField(null=True)
    lines_total = models.IntegerField()
    # How many lines name a product and say nothing of it: often most of an exported list. Once
    # the lines are checked, the total is without them.
    left_out = models.IntegerField(default=0)
    # How far the work of this state has come: how many lines, and up to which number. Written in
    # the transaction of each batch, so that the next job knows where to go on.
    lines_done = models.IntegerField(default=0)
    position = models.IntegerField(default=0)
    # How often in a row a job has failed at it in a way that nobody foresaw.
    failures = models.PositiveSmallIntegerField(default=0, db_default=0)
    # The totals of the lines done so far.
    changed = models.IntegerField(default=0)
    unchanged = models.IntegerField(default=0)
    refused = models.IntegerField(default=0)
    # How many of the lines that can be applied look like a mistake.
    marked = models.IntegerField(default=0, db_default=0)
    units_added = models.BigIntegerField(default=0)
    units_removed = models.BigIntegerField(default=0)
    # Of prices, by currency: see inventory.services.sheets.price_sums.
    price_sums = models.JSONField(default=list, db_default=Value([], models.JSONField()))
    # How many of the changed lines were reverted, and how many could not be.
    reverted = models.IntegerField(default=0)
    not_reverted = models.IntegerField(default=0)
    # The person who asked for the current or last work, as the log names people.
    uploaded_by = models.CharField(max_length=200)
    applied_by = models.CharField(max_length=200, blank=True)
    reverted_by = models.CharField(max_length=200, blank=True)
    created_at = models.DateTimeField()
    # The moment that lines speak of which name none: of what is tried again, when the first file
    # was uploaded.
    speaks_of = models.DateTimeField(null=True)
    applied_at = models.DateTimeField(null=True)
    reverted_at = models.DateTimeField(null=True)
    updated_at = models.DateTimeField()

    objects = SheetQuerySet.as_manager()

    class Meta:
        verbose_name_plural = "imports and counts"
        # Everything else that is done with files changes stock, and needs that permission.
        default_permissions = ["view"]
        constraints = [
            # A file that was reverted as a whole may be uploaded again.
            models.UniqueConstraint(
                fields=["sha256"],
                condition=~Q(state="reverted") & ~Q(sha256=""),
                name="sheet_once",
            ),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def as_of(self) -> datetime:
        return self.speaks_of or self.created_at

    @property
    def is_under_way(self) -> bool:
        return self.state in self.UNDER_WAY

    @property
    def stands_still(self) -> bool:
        return self.is_under_way and self.failures >= self.FAILURES_MAX

    @property
    def comes_to_something(self) -> bool:
        """Tell whether applying it writes anything: that a count agrees is kept, too."""
        return bool(self.changed or (self.unchanged and self.kind == self.Kind.COUNTS))

    @property
    def percent_done(self) -> int:
        return 100 * self.lines_done // self.lines_total if self.lines_total else 0

    def standing(self) -> Standing:
        """What people decide by who have a file applied, reverted or discarded."""
        return {
            "state": self.get_state_display(),
            "columns": ", ".join(self.columns),
            "changes": str(self.changed),
            "taken back": str(self.reverted),
            "not taken back": str(self.not_reverted),
        }

    def require_looked_at(self, looked_at: bool) -> None:
        """Raises: LinesMarked."""
        if self.marked and not looked_at:
            raise LinesMarked(self.marked)

    @property
    def may_try_again(self) -> bool:
        """Tell whether lines were refused, and none of them in taking it back."""
        return bool(self.refused and self.state == self.State.APPLIED and not self.reverted_at)

    def require(self, *states: State) -> None:
        """Raises: SheetNotReady."""
        if self.state not in states:
            raise SheetNotReady(f"The file is {self.get_state_display()}.")

    def begin(self, state: State, *, position: int = 0) -> None:
        """Enter a state whose work goes through all the lines, in memory."""
        self.state = state
        self.position = position
        self.lines_done = self.not_reverted = self.failures = 0
        if state == self.State.CHECKING:
            self.lines_total += self.left_out
            self.left_out = self.marked = 0
        if state in {self.State.CHECKING, self.State.APPLYING}:
            # Until now the totals said what applying would come to.
            self.changed = self.unchanged = self.refused = 0
            self.units_added = self.units_removed = 0

    @property
    def lines(self) -> "models.QuerySet[Any]":
        """The lines that say something, in the model of their kind."""
        return self.rows.filter(left_out=False)

    @property
    def rows(self) -> "models.QuerySet[Any]":
        """All lines, also those that are left out."""
        return LINES[self.Kind(self.kind)]._default_manager.filter(sheet=self)

    def next_lines(self, size: int) -> "list[Any]":
        """Return the lines that come after the position; reverting goes from the last to the first.

        So, where several lines change one product, each finds the stock as it left it.
        """
        if self.state == self.State.CHECKING:
            # None of them is known yet to say nothing.
            return list(self.rows.filter(number__gt=self.position).order_by("number")[:size])
        lines = self.lines.defer("cells")
        if self.state == self.State.REVERTING:
            return list(lines.filter(number__lt=self.position).order_by("-number")[:size])
        return list(lines.filter(number__gt=self.position).order_by("number")[:size])


class SheetContent(models.Model):
    """The bytes of a file, until a job has read them."""

    sheet = models.OneToOneField(Sheet, models.CASCADE, primary_key=True, related_name="content")
    content = models.BinaryField()

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return f"{len(self.content):,} bytes"


class SheetLayout(models.Model):
    """What somebody has said of the columns of files with such a first row."""

    # Of the first row.
    header_sha256 = models.CharField(primary_key=True, max_length=64)
    columns = ArrayField(models.TextField())
    day_first = models.BooleanField(null=True)
    decimal_comma = models.BooleanField(null=True)
    used_at = models.DateTimeField()

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return ", ".join(self.columns)


class SheetLine(models.Model):
    """A line of a sheet, of whatever kind.

    The rows of a file are written with their number and cells alone, so whatever else a kind's
    lines have must have a default in the database, or be null. What the cells say is known when
    they are checked.
    """

    sheet = models.ForeignKey(Sheet, models.CASCADE, related_name="+", db_index=False)
    # The line's number in a text editor: the names of the columns are line 1.
    number = models.IntegerField()
    # As they stand in the file, up to the last that holds anything; none if it is from no file.
    cells = ArrayField(models.TextField(), default=list, db_default=[])
    # Whether it names something, perhaps, and says nothing of it.
    left_out = models.BooleanField(default=False, db_default=False)
    # No foreign key in the database, as in the log: products are never deleted.
    product = models.ForeignKey(
        Product, models.PROTECT, null=True, related_name="+", db_constraint=False, db_index=False
    )
    # Why the line is not applied, or was not reverted.
    error = models.CharField(max_length=500, blank=True, default="", db_default="")
    # Why it looks like a mistake, though it can be applied: people are to look at it first.
    mark = models.CharField(max_length=200, blank=True, default="", db_default="")

    class Meta:
        abstract = True
        default_permissions = ()

    @staticmethod
    def write(lines: "Sequence[Any]") -> None:
        """Write what the lines came to, in one statement. The caller has locked their sheet."""
        raise NotImplementedError


class CountLineQuerySet(models.QuerySet["CountLine"]):
    def of_entry(self, product_id: uuid.UUID, sequence: int) -> "CountLineQuerySet":
        """Find the line whose entry, or whose reversal, has this number in the product's log."""
        lines = self.filter(product_id=product_id, sequence__isnull=False)
        return lines.filter(Q(sequence=sequence) | Q(reverted_sequence=sequence))


class CountLine(SheetLine):
    """A line that counts or changes stock, and the log entries that it became."""

    sku = models.CharField(max_length=100, blank=True, default="", db_default="")
    barcode = models.CharField(max_length=100, blank=True, default="", db_default="")
    # The count or the change, and for counts the moment.
    units = models.IntegerField(null=True)
    counted_at = models.DateTimeField(null=True)
    reason = models.CharField(max_length=REASON_LENGTH_MAX, blank=True, default="", db_default="")
    # The total at the moment of the count; for a change, before it.
    total_before = models.IntegerField(null=True)
    change = models.BigIntegerField(null=True)
    # The numbers, in the stock's log, of the entry that the line became and of its reversal.
    sequence = models.BigIntegerField(null=True)
    reverted_sequence = models.BigIntegerField(null=True)

    objects = CountLineQuerySet.as_manager()

    class Meta(SheetLine.Meta):
        constraints = [
            models.UniqueConstraint(fields=["sheet", "number"], name="count_line_numbered"),
        ]
        indexes = [
            # The line that an entry of a product's log came from.
            models.Index(
                fields=["product"], condition=Q(sequence__isnull=False), name="counts_of_a_product"
            ),
        ]

    def __str__(self) -> str:
        return f"line {self.number}: {self.sku or self.barcode}"

    @property
    def is_applied(self) -> bool:
        return self.sequence is not None and self.reverted_sequence is None

    @property
    def agreed(self) -> bool:
        """Tell whether there was nothing to write to the log, once the line was applied."""
        return self.change == 0 and not self.error

    @staticmethod
    def write(lines: "Sequence[CountLine]") -> None:
        columns = [
            [getattr(line, name) for line in lines]
            for name in (
                *("pk", "product_id", "total_before", "change", "sequence"),
                *("reverted_sequence", "error", "mark"),
                *("sku", "barcode", "units", "counted_at", "reason", "left_out"),
            )
        ]
        with connection.cursor() as cursor:
            cursor.execute(_WRITE_LINES, columns)


_WRITE_LINES = """
UPDATE inventory_countline AS line
SET product_id = new.product_id, total_before = new.total_before, change = new.change,
    sequence = new.sequence, reverted_sequence = new.reverted_sequence, error = new.error,
    mark = new.mark, sku = new.sku, barcode = new.barcode, units = new.units,
    counted_at = new.counted_at, reason = new.reason, left_out = new.left_out
FROM unnest(%s::bigint[], %s::uuid[], %s::int[], %s::bigint[], %s::bigint[], %s::bigint[],
            %s::text[], %s::text[], %s::text[], %s::text[], %s::int[], %s::timestamptz[],
            %s::text[], %s::bool[])
    AS new (id, product_id, total_before, change, sequence, reverted_sequence, error, mark,
            sku, barcode, units, counted_at, reason, left_out)
WHERE line.id = new.id
"""


class ProductLineQuerySet(models.QuerySet["ProductLine"]):
    def of_product(self, product_id: uuid.UUID) -> "ProductLineQuerySet":
        """Find the lines that made or changed a product, the newest sheet's first."""
        lines = self.filter(product_id=product_id, applied=True)
        return lines.select_related("sheet").order_by("-sheet_id")


class ProductLine(SheetLine):
    """A line that makes or changes a product: what is wanted, and what became of each field.

    The values of fields are those that inventory.services.product_rows names.
    """

    class What(models.TextChoices):
        CREATE = "create"
        CHANGE = "change"
        LEAVE = "leave", "leave as it is"

    sku = models.CharField(max_length=100, blank=True, default="", db_default="")
    what = models.CharField(max_length=6, choices=What, blank=True, default="", db_default="")
    # Each field by its name, as it is to be. Of a selection: given with the line.
    wanted = models.JSONField(default=dict, db_default=Value({}, models.JSONField()))
    # What differs, as [{field, before, after}, ...]. One that was taken back has "back": true.
    fields = models.JSONField(default=list, db_default=Value([], models.JSONField()))
    applied = models.BooleanField(default=False, db_default=False)
    reverted = models.BooleanField(default=False, db_default=False)
    # The number, in the stock's log, of the entry that the line became.
    sequence = models.BigIntegerField(null=True)

    objects = ProductLineQuerySet.as_manager()

    class Meta(SheetLine.Meta):
        constraints = [
            models.UniqueConstraint(fields=["sheet", "number"], name="product_line_numbered"),
        ]
        indexes = [
            models.Index(
                fields=["product", "-sheet"],
                condition=Q(applied=True),
                name="sheets_of_a_product",
            ),
        ]

    def __str__(self) -> str:
        return f"line {self.number}: {self.sku}"

    @property
    def is_applied(self) -> bool:
        return self.applied and not self.reverted

    @staticmethod
    def write(lines: "Sequence[ProductLine]") -> None:
        # One document: an array of so many quotes takes psycopg several times as long.
        rows = [
            {
                "id": line.pk,
                "product_id": line.product_id and line.product_id.hex,
                **{name: getattr(line, name) for name in _WRITTEN_OF_PRODUCTS},
            }
            for line in lines
        ]
        with connection.cursor() as cursor:
            cursor.execute(_WRITE_PRODUCT_LINES, [json.dumps(rows)])


_WRITTEN_OF_PRODUCTS = (
    *("error", "mark", "sku", "what", "applied", "reverted", "sequence", "left_out"),
    *("wanted", "fields"),
)
_WRITE_PRODUCT_LINES = """
UPDATE inventory_productline AS line
SET product_id = new.product_id, error = new.error, mark = new.mark, sku = new.sku,
    what = new.what, applied = new.applied, reverted = new.reverted, sequence = new.sequence,
    left_out = new.left_out, wanted = new.wanted, fields = new.fields
FROM jsonb_to_recordset(%s::jsonb)
    AS new (id bigint, product_id uuid, error text, mark text, sku text, what text, applied bool,
            reverted bool, sequence bigint, left_out bool, wanted jsonb, fields jsonb)
WHERE line.id = new.id
"""

LINES: dict[Sheet.Kind, type[SheetLine]] = {
    Sheet.Kind.COUNTS: CountLine,
    Sheet.Kind.CHANGES: CountLine,
    Sheet.Kind.PRODUCTS: ProductLine,
}


class DeliveryQuerySet(models.QuerySet["Delivery"]):
    def lock(self, delivery_id: uuid.UUID) -> list["Delivery"]:
        """Lock a delivery, which comes first, and the one that expects its rest, if there is one.

        Before any stock. Whoever writes lines of a delivery holds its lock.
        """
        found = self.filter(Q(pk=delivery_id) | Q(follows=delivery_id))
        return list(found.order_by("pk").select_for_update(no_key=True))


class Delivery(models.Model):
    """Goods that are to come in: what is expected, what was received, and whether it is booked.

    Only booking moves stock. What is expected is never available.
    """

    class State(models.TextChoices):
        OPEN = "open", "open"
        BOOKED = "booked", "booked"

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    # People's own, as on the paper that comes with the goods.
    number = models.CharField(max_length=100)
    supplier = models.CharField(max_length=200, blank=True)
    expected_on = models.DateField(null=True, blank=True)
    note = models.TextField(max_length=2_000, blank=True)
    state = models.CharField(max_length=6, choices=State, default=State.OPEN, editable=False)
    # The delivery of which this one is the rest.
    follows = models.ForeignKey(
        "self", models.PROTECT, null=True, related_name="followers", editable=False
    )
    # Counted up by whatever changes it or its lines, so that nobody books what they have not seen.
    revision = models.IntegerField(default=0, editable=False)
    # As the log names people.
    made_by = models.CharField(max_length=200, editable=False)
    booked_by = models.CharField(max_length=200, blank=True, editable=False)
    undone_by = models.CharField(max_length=200, blank=True, editable=False)
    created_at = models.DateTimeField(editable=False)
    updated_at = models.DateTimeField(editable=False)
    booked_at = models.DateTimeField(null=True, editable=False)
    # When its booking was taken back: it is open again since.
    undone_at = models.DateTimeField(null=True, editable=False)

    objects = DeliveryQuerySet.as_manager()

    class Meta:
        verbose_name_plural = "deliveries"
        constraints = [
            models.UniqueConstraint(Upper("number"), name="delivery_number_once"),
        ]
        indexes = [
            # Few are open, among however many that were booked.
            models.Index(fields=["expected_on"], condition=Q(state="open"), name="deliveries_open"),
        ]

    def __str__(self) -> str:
        return self.number

    @property
    def is_open(self) -> bool:
        return self.state == self.State.OPEN

    @property
    def reason(self) -> str:
        """Return what the log says of its units."""
        return f"Delivery {self.number}" + (f" from {self.supplier}" if self.supplier else "")

    def standing(self) -> Standing:
        """What people decide by who book or undo it."""
        return {"state": self.get_state_display(), "changes made to it": str(self.revision)}

    def require(self, state: State) -> None:
        """Raises: DeliveryNotReady."""
        if self.state != state:
            raise DeliveryNotReady(f"The delivery is {self.get_state_display()}.")


class DeliveryLine(models.Model):
    """A product of a delivery. Written under the delivery's lock only."""

    delivery = models.ForeignKey(Delivery, models.CASCADE, related_name="lines", db_index=False)
    product = models.ForeignKey(Product, models.PROTECT, related_name="+", db_index=False)
    # None of a product that nobody expected and that came all the same.
    expected = models.IntegerField(default=0)
    received = models.IntegerField(default=0)
    # The numbers, in the stock's log, of the entries that booking and undoing it made, in turn.
    entries = ArrayField(models.BigIntegerField(), default=list)

    class Meta:
        default_permissions = ()
        constraints = [
            models.UniqueConstraint(fields=["delivery", "product"], name="delivery_line_once"),
            models.CheckConstraint(
                condition=Q(expected__gte=0, received__gte=0), name="delivery_line_not_negative"
            ),
        ]
        indexes = [models.Index(fields=["product"], name="deliveries_of_a_product")]

    def __str__(self) -> str:
        return f"{self.received} of {self.expected}"

    @property
    def short(self) -> int:
        """Return how many units are still to come."""
        return max(self.expected - self.received, 0)

    @property
    def over(self) -> int:
        """Return how many units came that nobody expected."""
        return max(self.received - self.expected, 0)

    @staticmethod
    def write(lines: "Sequence[DeliveryLine]") -> None:
        """Write the newest entries that these lines have become, in one statement."""
        columns = [[line.pk for line in lines], [line.entries[-1] for line in lines]]
        with connection.cursor() as cursor:
            cursor.execute(_WRITE_ENTRIES, columns)


_WRITE_ENTRIES = """
UPDATE inventory_deliveryline AS line SET entries = line.entries || new.sequence
FROM unnest(%s::bigint[], %s::bigint[]) AS new (id, sequence)
WHERE line.id = new.id
"""


class StocktakeQuerySet(models.QuerySet["Stocktake"]):
    def lock(self, stocktake_id: uuid.UUID) -> "Stocktake | None":
        """Lock a stocktake until the transaction ends: before a sheet, and before any stock.

        Whoever writes lines of a stocktake holds its lock.
        """
        return self.select_for_update(no_key=True).filter(pk=stocktake_id).first()


class Stocktake(models.Model):
    """A list of what is to be counted, and what was, scan after scan, over hours or days.

    Its scans touch no stock. It ends in a sheet of counts, which is looked at, and then applied.
    """

    class State(models.TextChoices):
        OPEN = "open", "open"
        CLOSED = "closed", "closed"
        DISCARDED = "discarded", "discarded"

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    name = models.CharField(max_length=100)
    # The path of the category whose products are on the list, as it was then. Empty: all products.
    scope = models.CharField(max_length=600, blank=True)
    # Whether what the books say is kept from those who count, until it is closed.
    is_blind = models.BooleanField(default=False)
    state = models.CharField(max_length=9, choices=State, default=State.OPEN)
    # How many products are on the list, and how many of them were counted.
    products = models.IntegerField(default=0)
    counted = models.IntegerField(default=0)
    # What it ended in; none any more if that was discarded.
    sheet = models.ForeignKey(Sheet, models.SET_NULL, null=True, related_name="+")
    # Counted up by whatever changes it or its lines, so that nobody closes what they have not seen.
    revision = models.IntegerField(default=0)
    # As the log names people.
    opened_by = models.CharField(max_length=200)
    closed_by = models.CharField(max_length=200, blank=True)
    created_at = models.DateTimeField()
    updated_at = models.DateTimeField()
    # Or discarded.
    closed_at = models.DateTimeField(null=True)

    objects = StocktakeQuerySet.as_manager()

    class Meta:
        default_permissions = ["view", "add", "change"]

    def __str__(self) -> str:
        return self.name

    @property
    def is_open(self) -> bool:
        return self.state == self.State.OPEN

    @property
    def hides_the_books(self) -> bool:
        return self.is_blind and self.is_open

    @property
    def left(self) -> int:
        """Return how many products on the list were not counted."""
        return self.products - self.counted

    def standing(self) -> Standing:
        """What people decide by who close, discard or reopen it."""
        return {"state": self.get_state_display(), "changes made to it": str(self.revision)}

    def require(self, state: State) -> None:
        """Raises: StocktakeNotReady."""
        if self.state != state:
            raise StocktakeNotReady(f"The stocktake is {self.get_state_display()}.")

    def require_counted(self) -> None:
        """Raises: StocktakeNotReady, if it cannot be closed."""
        self.require(self.State.OPEN)
        if not self.counted:
            raise StocktakeNotReady("Nothing was counted yet. Scan something, or discard it.")

    def require_reopenable(self) -> None:
        """Raises: StocktakeNotReady."""
        self.require(self.State.CLOSED)
        if self.sheet_id:
            raise StocktakeNotReady("Its counts wait to be applied, or were. Discard them first.")


class StocktakeLine(models.Model):
    """A product on the list of a stocktake. Written under the stocktake's lock only."""

    stocktake = models.ForeignKey(Stocktake, models.CASCADE, related_name="lines", db_index=False)
    product = models.ForeignKey(Product, models.PROTECT, related_name="+", db_index=False)
    # Its place on the list, which is in the order of names; what was added later comes later.
    number = models.IntegerField()
    is_added = models.BooleanField(default=False)
    # None as long as it was not counted.
    units = models.IntegerField(null=True)
    # When it was scanned first, and when last: its count is of that moment.
    first_at = models.DateTimeField(null=True)
    counted_at = models.DateTimeField(null=True)

    class Meta:
        default_permissions = ()
        constraints = [
            models.UniqueConstraint(fields=["stocktake", "product"], name="stocktake_line_once"),
            # A comparison with nothing is neither true nor false, and a CHECK lets that through.
            models.CheckConstraint(
                condition=Q(units=None, first_at=None, counted_at=None)
                | Q(
                    Q(units__isnull=False, first_at__isnull=False, counted_at__isnull=False),
                    Q(units__gte=0, first_at__lte=F("counted_at")),
                ),
                name="stocktake_line_counted_at_a_moment",
            ),
        ]
        indexes = [
            # What is left to count, and what was counted last, on lists of any length.
            models.Index(
                fields=["stocktake", "number"], condition=Q(units=None), name="stocktake_to_count"
            ),
            models.Index(
                fields=["stocktake", "counted_at", "id"],
                condition=Q(units__isnull=False),
                name="stocktake_counted",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.units} counted"
