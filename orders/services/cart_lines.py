"""The lines of a locked cart, in memory: how they are requested, added, changed and joined."""

import hashlib
import json
import uuid
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from api.errors import Refusal
from api.fields import AMOUNT_MAX, UNITS_MAX
from inventory.errors import ProductNotFound
from orders.errors import (
    CustomItemCurrencyDiffers,
    CustomItemIsAProduct,
    CustomItemsNotAllowed,
    ItemNotInCart,
    LocationUnknown,
    TooManyInALine,
    TooManyItems,
    TooMuchWritten,
    TotalTooLarge,
)
from orders.models import ITEMS_MAX, WRITTEN_MAX, Cart, CartItem
from orders.services import cart_contents
from orders.services.offers import Offer, custom_offer

# Adding.


@dataclass(frozen=True)
class ProductWanted:
    """Units of a live product, named by its id or by its sku."""

    quantity: int
    product_id: uuid.UUID | None = None
    sku: str = ""
    custom_inputs: Mapping[str, Any] | None = None
    location: str = ""

    @property
    def identity(self) -> dict[str, Any]:
        return {"id": str(self.product_id)} if self.product_id else {"sku": self.sku}

    @property
    def line_key(self) -> str:
        if not self.custom_inputs:
            return str(self.product_id)
        return f"{self.product_id}:{_digest(self.custom_inputs)}"

    def item(self) -> CartItem:
        return CartItem(product_id=self.product_id, custom_inputs=self.custom_inputs)


@dataclass(frozen=True)
class CustomItem:
    """An item that is not a product, such as gift wrapping: the request names it and its price."""

    quantity: int
    name: str
    unit_price: int
    includes_tax: bool = True
    sku: str = ""
    description: str = ""
    custom_inputs: Mapping[str, Any] | None = None
    # The currency that the price is said to be in, if the request says so.
    currency: str = ""

    @property
    def identity(self) -> dict[str, Any]:
        return {"name": self.name}

    @property
    def line_key(self) -> str:
        return f"custom:{_digest({**self._fields(), 'quantity': 0})}"

    def item(self) -> CartItem:
        return CartItem(**self._fields())

    def _fields(self) -> dict[str, Any]:
        fields = asdict(self)
        del fields["currency"]
        return fields


@dataclass(frozen=True)
class OtherCart:
    """All that is in another cart."""

    cart_id: str


# What one call may ask for. Its entries may also be refusals: of what was wrong before the cart was
# even read.
Entry = ProductWanted | CustomItem | OtherCart


def entry_of(item: CartItem) -> ProductWanted | CustomItem:
    if item.product_id:
        return ProductWanted(
            item.quantity,
            item.product_id,
            custom_inputs=item.custom_inputs,
            location=item.location_id or "",
        )
    assert item.unit_price is not None
    return CustomItem(
        item.quantity,
        item.name,
        item.unit_price,
        item.includes_tax,
        item.sku,
        item.description,
        item.custom_inputs,
    )


@dataclass
class Filling:
    """A locked cart while things are put into it, in memory."""

    cart: Cart
    items: dict[str, CartItem]
    offered: Mapping[uuid.UUID, Offer]
    check: bool
    # Whether whoever asks may say what something costs.
    may_price: bool = True
    # Skus wanted for custom items that are those of products.
    taken_codes: Collection[str] = ()
    # Those of the named locations that there are.
    locations: Collection[str] = ()
    changed: dict[str, CartItem] = field(default_factory=dict)
    # Units of each product that this call has put in already.
    taken: Counter[uuid.UUID | None] = field(default_factory=Counter)
    # Bytes of what requests wrote into the lines.
    written: int = 0

    def __post_init__(self) -> None:
        self.written = sum(_written(item) for item in self.items.values())

    def add(self, entry: ProductWanted | CustomItem) -> None:
        """Raises: CustomItemsNotAllowed, CustomItemIsAProduct, CustomItemCurrencyDiffers;
        ProductNotFound, NoPrice, LocationUnknown, InsufficientStock, TooManyItems, TooMuchWritten,
        TooManyInALine, TotalTooLarge; having changed nothing."""
        if isinstance(entry, CustomItem):
            self._require_proper(entry)
        elif entry.location and entry.location not in self.locations:
            raise LocationUnknown(source="data.location")
        item = self.items.get(entry.line_key) or self._new_item(entry)
        offer = self._offer(entry, item)
        if self.check:
            offer.require_enough(self.taken[offer.product_id] + entry.quantity)
        if entry.line_key not in self.items and len(self.items) >= ITEMS_MAX:
            raise TooManyItems
        written = self.written + (0 if entry.line_key in self.items else _written(item))
        if written > max(WRITTEN_MAX, self.written):
            raise TooMuchWritten
        _set(item, item.quantity + entry.quantity, offer, self.cart)
        self.written = written
        if isinstance(entry, ProductWanted) and entry.location:
            # The last one named counts for the whole line.
            item.location_id = entry.location
        self.taken[offer.product_id] += entry.quantity
        self.items[item.line_key] = self.changed[item.line_key] = item

    def _require_proper(self, entry: CustomItem) -> None:
        if not self.may_price:
            raise CustomItemsNotAllowed
        if entry.sku in self.taken_codes:
            raise CustomItemIsAProduct(source="data.sku")
        if entry.currency and entry.currency != self.cart.currency_id:
            raise CustomItemCurrencyDiffers(source="data.price.currency")

    def _offer(self, entry: ProductWanted | CustomItem, item: CartItem) -> Offer:
        if isinstance(entry, CustomItem):
            return custom_offer(item, str(self.cart.currency_id))
        offer = self.offered.get(entry.product_id) if entry.product_id else None
        if offer is None or not offer.is_live:
            raise ProductNotFound
        offer.require_price()
        return offer

    def _new_item(self, entry: ProductWanted | CustomItem) -> CartItem:
        item = entry.item()
        item.cart_id, item.line_key = self.cart.pk, entry.line_key
        item.quantity, item.created_at = 0, self.cart.updated_at
        return item


def _set(item: CartItem, quantity: int, offer: Offer, cart: Cart) -> None:
    if quantity > UNITS_MAX:
        raise TooManyInALine
    require_payable(offer.value_of(quantity))
    item.quantity = quantity
    item.updated_at = cart.updated_at


def _written(item: CartItem) -> int:
    """Return in bytes what a request wrote into a line."""
    inputs = json.dumps(item.custom_inputs, ensure_ascii=False) if item.custom_inputs else ""
    return len(inputs.encode()) + len(item.description.encode())


def require_payable(total: int) -> None:
    """Raises: TotalTooLarge."""
    if total > AMOUNT_MAX:
        raise TotalTooLarge


def _digest(value: Mapping[str, Any]) -> str:
    canonical = json.dumps(value, sort_keys=True).encode()
    return hashlib.sha256(canonical).hexdigest()[:32]


# Changing and removing.


@dataclass(frozen=True)
class LineChange:
    """A new quantity for a line, where 0 removes it, new inputs or another location.

    None leaves each as it is; what is empty removes inputs or location.
    """

    item_id: uuid.UUID
    quantity: int | None = None
    custom_inputs: Mapping[str, Any] | None = None
    location: str | None = None


@dataclass
class Changing:
    """A locked cart while its lines change, in memory."""

    cart: Cart
    # All its lines, in their order.
    items: Mapping[uuid.UUID, CartItem]
    offered: Mapping[uuid.UUID, Offer]
    check: bool
    # Whether whoever asks may say what something costs, and so have more of a custom item.
    may_price: bool = True
    # Those of the named locations that there are.
    locations: Collection[str] = ()
    changed: dict[uuid.UUID, CartItem] = field(default_factory=dict)
    rekeyed: set[uuid.UUID] = field(default_factory=set)

    def change(self, entry: LineChange | Refusal) -> None:
        if isinstance(entry, Refusal):
            raise entry
        if entry.item_id not in self.items:
            raise ItemNotInCart
        item = self.items[entry.item_id]
        if entry.quantity == 0:
            item.quantity = 0
        else:
            self._require_location(item, entry.location)
            if entry.custom_inputs is not None:
                self._require_short_enough(item, entry.custom_inputs)
            if entry.quantity is not None:
                self._set_quantity(item, entry.quantity)
            if entry.custom_inputs is not None:
                self._set_inputs(item, entry.custom_inputs)
            if entry.location is not None:
                item.location_id = entry.location or None
            item.updated_at = self.cart.updated_at
        self.changed[item.pk] = item

    def _require_location(self, item: CartItem, location: str | None) -> None:
        if location and (item.product_id is None or location not in self.locations):
            raise LocationUnknown(source="data.location")

    def _require_short_enough(self, item: CartItem, custom_inputs: Mapping[str, Any]) -> None:
        before = sum(_written(each) for each in self.items.values())
        after = (
            before
            - _written(item)
            + _written(CartItem(custom_inputs=custom_inputs, description=item.description))
        )
        if after > max(WRITTEN_MAX, before):
            raise TooMuchWritten

    def _set_quantity(self, item: CartItem, quantity: int) -> None:
        if not self.may_price and item.product_id is None and quantity > item.quantity:
            raise CustomItemsNotAllowed
        offer = self._offer(item)
        if self.check:
            offer.require_enough(quantity)
        _set(item, quantity, offer, self.cart)

    def _set_inputs(self, item: CartItem, custom_inputs: Mapping[str, Any]) -> None:
        item.custom_inputs = custom_inputs or None
        item.line_key = entry_of(item).line_key
        self.rekeyed.add(item.pk)

    def join(self) -> None:
        """Move the units of lines that are alike into the first of them.

        Raises: TooManyInALine, TotalTooLarge.
        """
        first_of: dict[str, CartItem] = {}
        for item in self.items.values():
            first = first_of.setdefault(item.line_key, item) if item.quantity else item
            if first is not item:
                _set(first, first.quantity + item.quantity, self._offer(item), self.cart)
                item.quantity = 0
                self.changed |= {first.pk: first, item.pk: item}

    def _offer(self, item: CartItem) -> Offer:
        return cart_contents.offer_of(item, self.offered, str(self.cart.currency_id))

    def write(self) -> None:
        items = [item for item in self.changed.values() if item.quantity]
        removed_ids = [item.pk for item in self.changed.values() if not item.quantity]
        # Deleted and inserted: an UPDATE could meet a key that another line is about to give up.
        reinserted = [item for item in items if item.pk in self.rekeyed]
        if removed_ids or reinserted:
            ids = [*removed_ids, *(item.pk for item in reinserted)]
            CartItem.objects.filter(pk__in=ids).delete()
        for item in reinserted:
            item._state.adding = True
        CartItem.write(items)
        if removed_ids:
            forget_currency_if_empty(self.cart.pk)


def forget_currency_if_empty(cart_id: str) -> None:
    """Let the next first item of an empty cart choose the currency anew."""
    if not CartItem.objects.filter(cart_id=cart_id).exists():
        Cart.objects.filter(pk=cart_id).update(currency=None)
