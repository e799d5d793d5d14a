"""What changes carts. Every change begins with the cart's lock, and reserves nothing."""

import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, TypeGuard

from api import clock, limits, purging, store
from api.errors import Refusal, Standing, require_as_seen
from api.idempotency import Key, claim
from api.transactions import in_transaction
from inventory.models import Location
from inventory.services import codes
from orders.errors import (
    CartCurrencyDiffers,
    CartExists,
    CartGone,
    CartIntoItself,
    CartItemNotFound,
    ItemNotInCart,
    RefusedEntry,
    SeveralRefused,
)
from orders.models import Cart, CartItem
from orders.services import cart_contents
from orders.services.cart_contents import CartContents
from orders.services.cart_lines import (
    Changing,
    CustomItem,
    Entry,
    Filling,
    LineChange,
    OtherCart,
    ProductWanted,
    entry_of,
    forget_currency_if_empty,
)
from orders.services.offers import offers

# How many expired carts are deleted at once.
PURGED_AT_ONCE = 1000


@dataclass(frozen=True)
class Changed:
    """The result of a call with several entries."""

    contents: CartContents
    refused: Sequence[RefusedEntry] = ()


def add_item(
    cart_id: str,
    *,
    product_id: uuid.UUID | None = None,
    sku: str = "",
    quantity: int,
    custom_inputs: Mapping[str, Any] | None = None,
    currency: str,
    key: Key | None = None,
) -> CartContents:
    """Put units of a live product into the cart; the same product again adds to its line.

    Only this request is checked against what is available, and nothing is reserved. The currency
    counts for the first item only.

    Raises: ProductNotFound, NoPrice, InsufficientStock, TooManyItems, TooManyInALine,
    TotalTooLarge.
    """
    entry = ProductWanted(quantity, product_id, sku, custom_inputs)
    return add_one(cart_id, entry, currency=currency, key=key)


def add_one(
    cart_id: str,
    entry: ProductWanted | CustomItem,
    *,
    currency: str,
    by_shopper: bool = False,
    opened_from: str = "",
    only_if_there: bool = False,
    named: str = "",
    key: Key | None = None,
) -> CartContents:
    """Put one entry into the cart.

    Raises: what `Filling.add` does; TooManyRequests, CartGone, as `add`.
    """
    try:
        added = add(
            cart_id,
            [entry],
            currency=currency,
            by_shopper=by_shopper,
            opened_from=opened_from,
            only_if_there=only_if_there,
            named=named,
            key=key,
        )
        return added.contents
    except SeveralRefused as refused:
        raise refused.refused[0].refusal from None


@in_transaction
def add(
    cart_id: str,
    entries: Sequence[Entry | Refusal],
    *,
    all_or_nothing: bool = True,
    currency: str,
    by_shopper: bool = False,
    opened_from: str = "",
    only_if_there: bool = False,
    named: str = "",
    key: Key | None = None,
) -> Changed:
    """Put several entries into the cart, in as many statements as one.

    Each entry's units of a product are checked together with those of earlier entries in the same
    call. The contents of other carts are copied; those carts stay as they are. What names its own
    price is added for a shopper only where the store allows it, wherever it comes from. A shopper's
    address is `opened_from`, by which new carts are counted. A new cart is `named` so.

    Raises: SeveralRefused, if any entry cannot be added and `all_or_nothing` is set, or if none
    can; TooManyRequests; CartGone, if there is none though it is to be there.
    """
    claim(key, cart_id)
    first_currency, additions, refused = _spread(cart_id, entries, currency)
    if not additions and not refused:
        return Changed(cart_contents.contents(cart_id))
    cart = _open(cart_id, first_currency, opened_from=opened_from)
    if only_if_there and _is_new(cart):
        raise CartGone
    if named and _is_new(cart):
        _change(cart_id, {"name": named})
    cart_currency = cart.currency_id or first_currency
    items = {item.line_key: item for item in CartItem.of_cart(cart_id)}
    additions = _with_products(additions)
    ids = {each.product_id for _, each in additions if isinstance(each, ProductWanted)}
    product_ids = cart_contents.product_ids(items.values()) | {each for each in ids if each}
    offered = offers(product_ids, cart_currency)
    filling = Filling(
        cart,
        items,
        offered,
        check=not cart_contents.defers_inventory_check(cart),
        may_price=_may_price(by_shopper),
        taken_codes=codes.taken(_skus_of_custom_items(additions)),
        locations=_locations_among(
            each.location for _, each in additions if isinstance(each, ProductWanted)
        ),
    )
    for position, each in additions:
        try:
            filling.add(each)
        except Refusal as refusal:
            refused.append(RefusedEntry(position, refusal, each.identity))
    refused.sort(key=lambda entry: entry.position)
    if refused and (all_or_nothing or not filling.changed):
        raise SeveralRefused(refused)
    CartItem.write(filling.changed.values())
    lines = cart_contents.lines_at(items.values(), offered, cart_currency)
    return Changed(CartContents(cart_id, cart, lines), refused)


_Additions = list[tuple[int, ProductWanted | CustomItem]]


def _spread(
    cart_id: str, entries: Sequence[Entry | Refusal], currency: str
) -> tuple[str, _Additions, list[RefusedEntry]]:
    """Replace other carts by their lines, and separate the entries that are refused already.

    Also returns the currency that the cart is to have if these are its first items.
    """
    others = {entry.cart_id for entry in entries if isinstance(entry, OtherCart)}
    carts, lines = _locked_with_lines(cart_id, others) if others else ({}, {})
    own = carts.get(cart_id)
    cart_currency = own.currency_id if own else None
    additions: _Additions = []
    refused: list[RefusedEntry] = []
    for position, entry in enumerate(entries):
        if isinstance(entry, Refusal):
            refused.append(RefusedEntry(position, entry))
        elif not isinstance(entry, OtherCart):
            additions.append((position, entry))
            cart_currency = cart_currency or currency
        elif entry.cart_id == cart_id:
            refused.append(RefusedEntry(position, CartIntoItself(), asdict(entry)))
        elif copies := lines.get(entry.cart_id):
            cart_currency = cart_currency or carts[entry.cart_id].currency_id
            if carts[entry.cart_id].currency_id == cart_currency:
                additions.extend((position, line) for line in copies)
            else:
                refused.append(RefusedEntry(position, CartCurrencyDiffers(), asdict(entry)))
    return cart_currency or currency, additions, refused


def _locked_with_lines(
    cart_id: str, others: set[str]
) -> tuple[dict[str, Cart], dict[str, list[ProductWanted | CustomItem]]]:
    """Lock all carts of a merge at once, before anything else, and read the other carts' lines."""
    now = clock.now()
    carts = {
        cart.pk: cart for cart in Cart.objects.lock_all({cart_id, *others}) if cart.expires_at > now
    }
    lines: dict[str, list[ProductWanted | CustomItem]] = {}
    for item in CartItem.objects.filter(cart__in=carts.keys() - {cart_id}).order_by("pk"):
        lines.setdefault(item.cart_id, []).append(entry_of(item))
    return carts, lines


def _with_products(additions: _Additions) -> _Additions:
    """Look up the products that are named by their skus, all in one query."""
    skus = {each.sku for _, each in additions if _is_named_by_sku(each)}
    if not skus:
        return additions
    ids_by_sku = codes.ids_by_sku(skus)
    return [
        (position, replace(each, product_id=ids_by_sku.get(each.sku)))
        if _is_named_by_sku(each)
        else (position, each)
        for position, each in additions
    ]


def _skus_of_custom_items(additions: _Additions) -> set[str]:
    return {each.sku for _, each in additions if isinstance(each, CustomItem) and each.sku}


def _locations_among(slugs: Iterable[str | None]) -> set[str]:
    """Return those locations that there are; most calls name none, and nothing is looked up."""
    named = {slug for slug in slugs if slug}
    if not named:
        return set()
    return set(Location.objects.filter(slug__in=named).values_list("slug", flat=True))


def _may_price(by_shopper: bool) -> bool:
    return not by_shopper or store.current().custom_items_by_shoppers


def _is_named_by_sku(each: ProductWanted | CustomItem) -> TypeGuard[ProductWanted]:
    return isinstance(each, ProductWanted) and each.product_id is None


def change_item(
    cart_id: str,
    item_id: uuid.UUID,
    quantity: int | None = None,
    custom_inputs: Mapping[str, Any] | None = None,
    location: str | None = None,
    *,
    by_shopper: bool = False,
    key: Key | None = None,
) -> None:
    """Change a line as LineChange says: a quantity of 0 removes it.

    Raises: CartItemNotFound, CustomItemsNotAllowed, LocationUnknown, InsufficientStock,
    TooMuchWritten, TooManyInALine, TotalTooLarge.
    """
    try:
        wanted = LineChange(item_id, quantity, custom_inputs, location)
        change_items(cart_id, [wanted], by_shopper=by_shopper, key=key)
    except SeveralRefused as refused:
        refusal = refused.refused[0].refusal
        raise CartItemNotFound if isinstance(refusal, ItemNotInCart) else refusal from None


@in_transaction
def change_items(
    cart_id: str,
    entries: Sequence[LineChange | Refusal],
    *,
    all_or_nothing: bool = True,
    by_shopper: bool = False,
    seen: Standing | None = None,
    key: Key | None = None,
) -> Sequence[RefusedEntry]:
    """Change several lines, in as many statements as one.

    Other custom inputs make a line another one. Lines that become alike are joined and their units
    added up, as in `add`; only each entry's own units are checked, as they are there. A shopper
    gets more of a custom item only where one may be added.

    Returns the entries that were refused. Raises: SeveralRefused, as `add` does; TooManyInALine,
    TotalTooLarge where joined lines are too much together; Moved, if a line that is named does not
    have the quantity that was `seen` under its id.
    """
    claim(key, cart_id)
    cart = _open(cart_id)
    items = {item.pk: item for item in CartItem.of_cart(cart_id)} if cart.currency_id else {}
    named = {entry.item_id for entry in entries if isinstance(entry, LineChange)}
    require_as_seen(seen, lambda: {str(pk): items[pk].quantity for pk in named if pk in items})
    items_to_change = [
        items[entry.item_id]
        for entry in entries
        if isinstance(entry, LineChange) and entry.item_id in items
    ]
    offered = offers(cart_contents.product_ids(items_to_change), cart.currency_id or "")
    changing = Changing(
        cart,
        items,
        offered,
        check=not cart_contents.defers_inventory_check(cart),
        may_price=_may_price(by_shopper),
        locations=_locations_among(
            entry.location for entry in entries if isinstance(entry, LineChange)
        ),
    )
    refused = []
    for position, entry in enumerate(entries):
        identity = {} if isinstance(entry, Refusal) else {"id": str(entry.item_id)}
        try:
            changing.change(entry)
        except Refusal as refusal:
            refused.append(RefusedEntry(position, refusal, identity))
    if refused and (all_or_nothing or not changing.changed):
        raise SeveralRefused(refused)
    changing.join()
    changing.write()
    return refused


@in_transaction
def remove_item(cart_id: str, item_id: uuid.UUID, *, key: Key | None = None) -> None:
    """Raises: CartItemNotFound."""
    claim(key, cart_id)
    _open(cart_id)
    removed, _ = CartItem.objects.filter(cart_id=cart_id, pk=item_id).delete()
    if not removed:
        raise CartItemNotFound
    forget_currency_if_empty(cart_id)


@in_transaction
def remove_items(cart_id: str, *, key: Key | None = None) -> None:
    """Empty the cart; the cart itself stays."""
    claim(key, cart_id)
    if Cart.objects.lock(cart_id, now=clock.now()):
        CartItem.objects.filter(cart_id=cart_id).delete()
        Cart.objects.filter(pk=cart_id).update(updated_at=clock.now())
        forget_currency_if_empty(cart_id)


# The cart itself.


@in_transaction
def create(cart_id: str, *, opened_from: str = "", key: Key | None = None, **fields: Any) -> None:
    """Raises: CartExists, TooManyRequests."""
    claim(key, cart_id)
    cart = _open(cart_id, opened_from=opened_from)
    if not _is_new(cart):
        raise CartExists
    _change(cart_id, fields)


@in_transaction
def save(cart_id: str, *, opened_from: str = "", key: Key | None = None, **fields: Any) -> None:
    """Create the cart or change what is known of it beside its items. Raises: TooManyRequests."""
    claim(key, cart_id)
    _open(cart_id, opened_from=opened_from)
    _change(cart_id, fields)


def _change(cart_id: str, fields: Mapping[str, Any]) -> None:
    if fields:
        Cart.objects.filter(pk=cart_id).update(**fields)


@in_transaction
def delete(cart_id: str, *, key: Key | None = None) -> None:
    """Delete the cart, if there is one. Orders made from it stay."""
    claim(key, cart_id)
    # Locked for deletion (FOR UPDATE), so that no line is added to it meanwhile.
    if Cart.objects.filter(pk=cart_id).select_for_update().first():
        CartItem.objects.filter(cart_id=cart_id).delete()
        Cart.objects.filter(pk=cart_id).delete()


def _open(cart_id: str, currency: str | None = None, *, opened_from: str = "") -> Cart:
    """Raises: TooManyRequests, where a shopper at that address has opened too many."""
    now = clock.now()
    cart, revived = Cart.objects.open(
        cart_id, currency=currency, now=now, expires_at=cart_contents.expiry(now)
    )
    if revived:
        CartItem.objects.filter(cart_id=cart_id, created_at__lt=now).delete()
    elif opened_from and _is_new(cart):
        limits.count_cart(opened_from)
    return cart


def _is_new(cart: Cart) -> bool:
    """Tell of a cart that was opened whether it is new: any other was created before now."""
    return cart.created_at == cart.updated_at


def purge() -> int:
    """Delete the carts that have expired and return how many there were.

    Orders keep the cart's id. Parallel runs do no harm: each skips carts that another one holds.
    """
    return purging.until_none_is_left(_purge_some)


@in_transaction
def _purge_some() -> int:
    expired = Cart.objects.filter(expires_at__lte=clock.now()).order_by("expires_at")
    locked = expired.select_for_update(skip_locked=True).values_list("pk", flat=True)
    cart_ids = list(locked[:PURGED_AT_ONCE])
    CartItem.objects.filter(cart_id__in=cart_ids).delete()
    Cart.objects.filter(pk__in=cart_ids).delete()
    return len(cart_ids)
