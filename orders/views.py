import uuid
from typing import Any

from rest_framework.request import Request
from rest_framework.response import Response

from api.authentication import Administrator
from api.idempotency import Key, once
from api.pages import paginated
from api.views import ApiView, envelope
from inventory import services as inventory
from inventory.models import Currency
from orders import serializers, services
from orders.errors import OrderNotFound
from orders.models import Order, OrderItem


class _CartView(ApiView):
    def currency_asked_for(self) -> str:
        return inventory.currency_named(self.request.headers.get("X-Moltin-Currency", "")).code

    def currency_of(self, contents: services.CartContents) -> Currency | None:
        if contents.cart is None or contents.cart.currency is None:
            return None
        return inventory.currencies()[contents.cart.currency]

    def whole_cart(self, cart_id: str) -> Response:
        contents = services.contents(cart_id)
        currency = self.currency_of(contents)
        url = self.request.build_absolute_uri(f"/v2/carts/{cart_id}")
        beside: dict[str, Any] = {}
        if "items" in self.request.query_params.get("include", "").split(","):
            beside["included"] = {"items": _items(contents, currency)}
        return envelope(serializers.cart(contents, currency, url), **beside)

    def items(self, cart_id: str, status: int = 200) -> Response:
        """Answer as every call about items does: with all of them."""
        return self.items_of(services.contents(cart_id), status)

    def items_of(self, contents: services.CartContents, status: int = 200) -> Response:
        currency = self.currency_of(contents)
        meta = serializers.cart_meta(contents, currency)
        return envelope(_items(contents, currency), status, meta=meta)


def _items(contents: services.CartContents, currency: Currency | None) -> list[dict[str, Any]]:
    if currency is None:
        return []
    return [serializers.cart_item(line, currency) for line in contents.lines]


class CartView(_CartView):
    def get(self, request: Request, cart_id: str) -> Response:
        return self.whole_cart(cart_id)

    def put(self, request: Request, cart_id: str) -> Response:
        def perform(key: Key | None) -> Response:
            fields = self.validated(serializers.CartBody)
            services.save_cart(cart_id, key=key, **fields)
            return self.whole_cart(cart_id)

        return once(request, perform, self.whole_cart)

    def delete(self, request: Request, cart_id: str) -> Response:
        services.delete_cart(cart_id)
        return Response(status=204)


class CartItemsView(_CartView):
    def get(self, request: Request, cart_id: str) -> Response:
        return self.items(cart_id)

    def post(self, request: Request, cart_id: str) -> Response:
        def perform(key: Key | None) -> Response:
            asked = self.validated(serializers.CartItemBody)
            currency = self.currency_asked_for()
            return self.items_of(
                services.add_item(cart_id, **asked, currency=currency, key=key), 201
            )

        return once(request, perform, lambda cart: self.items(cart, 201))

    def delete(self, request: Request, cart_id: str) -> Response:
        services.remove_items(cart_id)
        return Response(status=204)


class CartItemView(_CartView):
    def put(self, request: Request, cart_id: str, item_id: uuid.UUID) -> Response:
        def perform(key: Key | None) -> Response:
            quantity = self.validated(serializers.CartItemChanges)["quantity"]
            services.set_quantity(cart_id, item_id, quantity, key=key)
            return self.items(cart_id)

        return once(request, perform, self.items)

    def delete(self, request: Request, cart_id: str, item_id: uuid.UUID) -> Response:
        services.remove_item(cart_id, item_id)
        return self.items(cart_id)


class CheckoutView(ApiView):
    def post(self, request: Request, cart_id: str) -> Response:
        def perform(key: Key | None) -> Response:
            asked = self.validated(serializers.CheckoutBody)
            currency = request.headers.get("X-Moltin-Currency", "")
            return checked_out(*services.checkout(cart_id, **asked, currency=currency, key=key))

        def again(order_id: str) -> Response:
            return checked_out(*_order_and_items(uuid.UUID(order_id)))

        return once(request, perform, again)


def checked_out(order: Order, items: list[OrderItem]) -> Response:
    return order_answer(order, items, status=201, include_items=True)


def order_answer(
    order: Order, items: list[OrderItem], *, status: int = 200, include_items: bool = False
) -> Response:
    currency = inventory.currencies()[order.currency_id]
    beside: dict[str, Any] = {}
    if include_items:
        beside["included"] = {"items": serializers.order_items(items, order, currency)}
    shown = serializers.order(order, [item.pk for item in items], currency)
    return envelope(shown, status, **beside)


def _order_and_items(order_id: uuid.UUID) -> tuple[Order, list[OrderItem]]:
    order = Order.objects.filter(pk=order_id).first()
    if order is None:
        raise OrderNotFound
    return order, list(OrderItem.objects.filter(order=order).order_by("position"))


class OrdersView(ApiView):
    permission_classes = [Administrator]

    def get(self, request: Request) -> Response:
        orders = Order.objects.prefetch_related("items").order_by("-created_at", "-pk")
        currencies = inventory.currencies()

        def represented(order: Order) -> dict[str, Any]:
            items = sorted(order.items.all(), key=lambda item: item.position)
            ids = [item.pk for item in items]
            return serializers.order(order, ids, currencies[order.currency_id])

        return paginated(request, orders, represented)


class OrderView(ApiView):
    """Reading one order. Changing it concerns money too, so that `payments` adds PUT."""

    permission_classes = [Administrator]

    def get(self, request: Request, order_id: uuid.UUID) -> Response:
        return self.answered(order_id)

    def answered(self, order_id: uuid.UUID | str) -> Response:
        include = self.request.query_params.get("include", "").split(",")
        order, items = _order_and_items(uuid.UUID(str(order_id)))
        return order_answer(order, items, include_items="items" in include)


class OrderItemsView(ApiView):
    permission_classes = [Administrator]

    def get(self, request: Request, order_id: uuid.UUID) -> Response:
        order, items = _order_and_items(order_id)
        currency = inventory.currencies()[order.currency_id]
        return envelope(serializers.order_items(items, order, currency))
