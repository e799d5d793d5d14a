import uuid
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import Serializer

from api import limits
from api.authentication import Administrator
from api.errors import FieldError, Forbidden, Invalid, Refusal
from api.filtering import included, listed, require_whole
from api.idempotency import Key, once
from api.pagination import paginated, paginated_together
from api.views import ApiView, deleted, envelope, validated
from inventory.models import Currency
from inventory.services import currencies
from orders import answers, serializers
from orders.errors import OrderNotFound, RefusedEntry, SeveralRefused
from orders.filters import CartFilters, OrderFilters
from orders.models import Cart, Order, OrderItem
from orders.services import cart_contents, carts, holders, orders
from orders.services.cart_contents import CartContents
from orders.services.cart_lines import Entry, LineChange, OtherCart
from orders.services.carts import Changed

# How many entries a call that changes several items of a cart may have.
ENTRIES_MAX = 100
# How many of them may be other carts, each of which brings as many lines as it has.
CARTS_MERGED_MAX = 10
# How many orders, and how many entries made by hand, are named as holders of a product's units.
HOLDERS_MAX = 1000


class OfCart(ApiView):
    """A call at the address of a cart, whose id is held to the same rule there as in a body."""

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        if "cart_id" in kwargs:
            validated(serializers.CartAddress, kwargs, "address")


class _CartView(OfCart):
    @property
    def is_shopper(self) -> bool:
        return not self.caller.is_administrator

    @property
    def opened_from(self) -> str:
        return limits.address_of(self.request._request) if self.is_shopper else ""

    def currency_asked_for(self) -> str:
        return currencies.named(self.request.headers.get("X-Moltin-Currency", "")).code

    def currency_of(self, contents: CartContents) -> Currency | None:
        if contents.cart is None or contents.cart.currency_id is None:
            return None
        return currencies.by_code()[contents.cart.currency_id]

    def shown(self, contents: CartContents) -> answers.Cart:
        url = self.request.build_absolute_uri(f"/v2/carts/{contents.id}")
        return serializers.cart(contents, self.currency_of(contents), url)

    def created_cart(self, cart_id: str) -> Response:
        return self.whole_cart(cart_id, 201)

    def whole_cart(self, cart_id: str, status: int = 200) -> Response:
        contents = cart_contents.contents(cart_id)
        beside = included_with(
            included(self.request), lambda: self._items(contents, self.currency_of(contents))
        )
        return envelope(self.shown(contents), status, **beside)

    def items(self, cart_id: str, status: int = 200) -> Response:
        """Answer as every call about items does: with all items of the cart."""
        return self.items_of(cart_contents.contents(cart_id), status)

    # Answered anew, by the cart of the address: a call that could do nothing has claimed none.

    def changed_items(self, _: str) -> Response:
        return self.items(self.kwargs["cart_id"])

    def added_items(self, _: str) -> Response:
        return self.items(self.kwargs["cart_id"], 201)

    def items_of(
        self, contents: CartContents, status: int = 200, refused: Sequence[RefusedEntry] = ()
    ) -> Response:
        currency = self.currency_of(contents)
        extras: dict[str, Any] = {"meta": serializers.cart_meta(contents, currency)}
        # The items themselves are what the answer is about.
        extras |= included_with(included(self.request) - {"items"}, list)
        if refused:
            extras["errors"] = [error for entry in refused for error in entry.entries()]
        return envelope(self._items(contents, currency), status, **extras)

    def _items(self, contents: CartContents, currency: Currency | None) -> list[answers.CartItem]:
        if currency is None:
            return []
        items = [serializers.cart_item(line, currency) for line in contents.lines]
        for item in items:
            item["image"]["href"] = self.absolute(item["image"]["href"])
        return items

    def asked_of_items(self, entries: list[Any]) -> list[Any]:
        """Leave out what of an item is said as it is: pages send back all that they were told."""
        names = serializers.CartItemChanges.not_supported
        if not any(isinstance(entry, dict) and entry.keys() & names for entry in entries):
            return entries
        contents = cart_contents.contents(self.kwargs["cart_id"])
        items = self._items(contents, self.currency_of(contents))
        told: dict[str, Mapping[str, Any]] = {item["id"]: item for item in items}
        own = str(self.kwargs.get("item_id", ""))
        return [
            _without(entry, names, told.get(str(entry.get("id", own)).lower(), {}))
            if isinstance(entry, dict)
            else entry
            for entry in entries
        ]

    def all_or_nothing(self, serializer: type[Serializer[Any]]) -> bool:
        """Tell whether a call with several entries is to do nothing if some cannot be done."""
        body: Any = self.request.data
        options = validated(serializer, body.get("options", {}), "options")
        return all(options.values())


def _without(data: dict[str, Any], names: Collection[str], told: Mapping[str, Any]) -> Any:
    return {
        name: value
        for name, value in data.items()
        if name not in names or told.get(name, ...) != value
    }


def _entries(data: list[Any], read: Callable[[Any, str], Any]) -> list[Any]:
    """Read each entry by itself, so that a wrong one need not spoil the others."""
    if not 1 <= len(data) <= ENTRIES_MAX:
        message = f"This must have 1 to {ENTRIES_MAX} entries."
        raise Invalid(FieldError("data", "length", message, "field_length"))
    return [_entry(entry, f"data.{position}", read) for position, entry in enumerate(data)]


class CartsView(_CartView):
    def get(self, request: Request) -> Response:
        """List the carts that have not expired, the last changed first."""
        if not self.caller.is_administrator:
            raise Forbidden("Only an administrator may list carts.")
        rows = listed(request, cart_contents.newest_first(), CartFilters)
        all_contents: list[CartContents] = []

        def represented(carts: Sequence[Cart]) -> list[answers.Cart]:
            all_contents.extend(cart_contents.contents_of(carts))
            return [self.shown(contents) for contents in all_contents]

        def all_items() -> list[answers.CartItem]:
            each = (self._items(found, self.currency_of(found)) for found in all_contents)
            return [item for items in each for item in items]

        answer = paginated_together(request, rows, represented)
        answer.data.update(included_with(included(request), all_items))
        return answer

    @once(again=_CartView.created_cart)
    def post(self, request: Request, key: Key | None) -> Response:
        fields = self.validated(serializers.NewCartBody)
        # Anybody who knows the id may change the cart, so all of it is random.
        cart_id = fields.pop("cart_id", "") or uuid.uuid4().hex
        carts.create(cart_id, opened_from=self.opened_from, key=key, **fields)
        return self.created_cart(cart_id)


class CartView(_CartView):
    def data(self) -> Any:
        data, names = super().data(), serializers.CartBody.not_supported
        if not isinstance(data, dict) or data.keys().isdisjoint(names):
            return data
        contents = cart_contents.contents(self.kwargs["cart_id"])
        return _without(data, names, dict(self.shown(contents)))

    def get(self, request: Request, cart_id: str) -> Response:
        return self.whole_cart(cart_id)

    @once(again=_CartView.whole_cart)
    def put(self, request: Request, key: Key | None, cart_id: str) -> Response:
        fields = self.validated(serializers.CartBody)
        carts.save(cart_id, opened_from=self.opened_from, key=key, **fields)
        return self.whole_cart(cart_id)

    @once(again=deleted)
    def delete(self, request: Request, key: Key | None, cart_id: str) -> Response:
        carts.delete(cart_id, key=key)
        return deleted()


class CartItemsView(_CartView):
    def get(self, request: Request, cart_id: str) -> Response:
        require_whole(request)
        return self.items(cart_id)

    @once(again=_CartView.added_items)
    def post(self, request: Request, key: Key | None, cart_id: str) -> Response:
        data = _unwrapped(self.data())
        if isinstance(data, list):
            return self._add(cart_id, _entries(data, serializers.entry), key)
        entry = serializers.entry(data)
        if isinstance(entry, OtherCart):
            return self._add(cart_id, [entry], key)
        currency = self.currency_asked_for()
        contents = carts.add_one(
            cart_id,
            entry,
            currency=currency,
            by_shopper=self.is_shopper,
            opened_from=self.opened_from,
            key=key,
        )
        return self.items_of(contents, 201)

    def _add(self, cart_id: str, entries: Sequence[Entry | Refusal], key: Key | None) -> Response:
        if sum(isinstance(entry, OtherCart) for entry in entries) > CARTS_MERGED_MAX:
            message = f"At most {CARTS_MERGED_MAX} of the entries may be other carts."
            raise Invalid(FieldError("data", "length", message, "field_length"))
        all_or_nothing = self.all_or_nothing(serializers.AddOptions)
        currency = self.currency_asked_for()
        try:
            changed = carts.add(
                cart_id,
                entries,
                all_or_nothing=all_or_nothing,
                currency=currency,
                by_shopper=self.is_shopper,
                opened_from=self.opened_from,
                key=key,
            )
        except SeveralRefused as nothing_added:
            if all_or_nothing:
                raise
            changed = Changed(cart_contents.contents(cart_id), nothing_added.refused)
        return self.items_of(changed.contents, 201, changed.refused)

    @once(again=_CartView.changed_items)
    def put(self, request: Request, key: Key | None, cart_id: str) -> Response:
        data = _unwrapped(self.data())
        asked = self.asked_of_items(data if isinstance(data, list) else [data])
        entries = _entries(asked, _change)
        all_or_nothing = self.all_or_nothing(serializers.UpdateOptions)
        try:
            refused = carts.change_items(
                cart_id,
                entries,
                all_or_nothing=all_or_nothing,
                by_shopper=self.is_shopper,
                key=key,
            )
        except SeveralRefused as nothing_set:
            if all_or_nothing:
                raise
            refused = nothing_set.refused
        return self.items_of(cart_contents.contents(cart_id), refused=refused)

    @once(again=deleted)
    def delete(self, request: Request, key: Key | None, cart_id: str) -> Response:
        carts.remove_items(cart_id, key=key)
        return deleted()


def _unwrapped(data: Any) -> Any:
    """Unwrap a list that one of the SDKs' methods wraps twice."""
    if isinstance(data, dict) and isinstance(data.get("data"), list):
        return data["data"]
    return data


def _entry(data: Any, source: str, read: Callable[[Any, str], Any]) -> Any:
    try:
        return read(data, source)
    except Refusal as refusal:
        return refusal


def _change(data: Any, source: str) -> LineChange:
    change: LineChange = validated(serializers.CartItemChange, data, source)["change"]
    return change


class CartItemView(_CartView):
    def data(self) -> Any:
        [data] = self.asked_of_items([super().data()])
        return data

    @once(again=_CartView.changed_items)
    def put(self, request: Request, key: Key | None, cart_id: str, item_id: uuid.UUID) -> Response:
        fields = self.validated(serializers.CartItemChanges)
        fields.setdefault("item_id", item_id)
        carts.change_item(cart_id, **fields, by_shopper=self.is_shopper, key=key)
        return self.items(cart_id)

    @once(again=_CartView.changed_items)
    def delete(
        self, request: Request, key: Key | None, cart_id: str, item_id: uuid.UUID
    ) -> Response:
        carts.remove_item(cart_id, item_id, key=key)
        return self.items(cart_id)


class CheckoutView(OfCart):
    limited_as = "checkout"

    def answered(self, order_id: str) -> Response:
        return checked_out(*order_and_items(uuid.UUID(order_id)))

    @once(again=answered)
    def post(self, request: Request, key: Key | None, cart_id: str) -> Response:
        fields = self.validated(serializers.CheckoutBody)
        currency = request.headers.get("X-Moltin-Currency", "")
        shopper = not self.caller.is_administrator
        placed_from = limits.address_of(request._request) if shopper else ""
        made = orders.checkout(
            cart_id, **fields, currency=currency, placed_from=placed_from, key=key
        )
        return checked_out(*made)


def checked_out(order: Order, items: list[OrderItem]) -> Response:
    return order_answer(order, items, {"items"}, 201)


def order_answer(
    order: Order, items: list[OrderItem], asked: Collection[str], status: int = 200
) -> Response:
    currency = currencies.by_code()[order.currency_id]
    answer = serializers.order(order, [item.pk for item in items], currency)
    beside = included_with(asked, lambda: serializers.order_items(items, order, currency))
    return envelope(answer, status, **beside)


# What carts and orders of the source API can have as well, and none has here.
_NONE_YET = ("tax_items", "promotions", "custom_discounts")


def included_with(
    asked: Collection[str], items: Callable[[], Sequence[Mapping[str, object]]]
) -> dict[str, Any]:
    """Return what belongs beside carts or orders, by the names in `include`."""
    found: dict[str, Any] = {name: [] for name in _NONE_YET if name in asked}
    if "items" in asked:
        found["items"] = items()
    return {"included": found} if found else {}


def order_and_items(order_id: uuid.UUID) -> tuple[Order, list[OrderItem]]:
    """Raises: OrderNotFound."""
    order = Order.objects.filter(pk=order_id).first()
    if order is None:
        raise OrderNotFound
    return order, list(OrderItem.objects.filter(order=order).order_by("position"))


class OrdersView(ApiView):
    permission_classes = [Administrator]

    def get(self, request: Request) -> Response:
        rows = Order.objects.prefetch_related("items", "shipments")
        orders = rows.order_by("-created_at", "-pk")
        by_code = currencies.by_code()
        all_items: list[answers.OrderItem] = []
        asked = included(request)

        def represented(order: Order) -> answers.Order:
            currency = by_code[order.currency_id]
            items = sorted(order.items.all(), key=lambda item: item.position)
            if "items" in asked:
                all_items.extend(serializers.order_items(items, order, currency))
            return serializers.order(order, [item.pk for item in items], currency)

        answer = paginated(request, listed(request, orders, OrderFilters), represented)
        answer.data.update(included_with(asked, lambda: all_items))
        return answer


class OrderItemsView(ApiView):
    permission_classes = [Administrator]

    def get(self, request: Request, order_id: uuid.UUID) -> Response:
        require_whole(request)
        order, items = order_and_items(order_id)
        currency = currencies.by_code()[order.currency_id]
        beside = included_with(included(request) - {"items"}, list)
        return envelope(serializers.order_items(items, order, currency), **beside)


class HoldersView(ApiView):
    """`GET /v2/inventories/{product}/holders`: why units are not available."""

    permission_classes = [Administrator]

    def get(self, request: Request, product_id: uuid.UUID) -> Response:
        product_holders = holders.of_product(product_id, HOLDERS_MAX)
        return envelope(
            serializers.holders(product_holders, request.build_absolute_uri("/v2/orders/"))
        )
