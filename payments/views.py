import uuid

from rest_framework.request import Request
from rest_framework.response import Response

from api import clock
from api.authentication import Administrator
from api.filtering import included, listed, require_whole
from api.idempotency import Key, KeyInUse, once
from api.pagination import paginated
from api.views import ApiView, envelope
from inventory.services import currencies
from orders.filters import BuyersOrderFilters
from orders.models import Order
from orders.serializers import OrderChanges
from orders.services import orders, shipments
from orders.views import OfCart, order_and_items, order_answer
from payments import answers, serializers
from payments.filters import GatewayFilters
from payments.models import Attempt, Payment
from payments.services import payments

# How many orders of a cart are told at once: anybody may ask, and each comes with all its lines.
CART_ORDERS_MAX = 10


def _transaction(payment: Payment, pending: Attempt | None = None) -> Response:
    """Answer with a payment: 202 while something of it is still on its way."""
    currency = currencies.by_code()[payment.currency]
    status = 202 if payment.is_pending or pending else 200
    return envelope(serializers.transaction(payment, currency, pending), status)


def _paid_before(_: ApiView, payment_id: str) -> Response:
    """Answer a payment call whose own answer was lost.

    Raises: KeyInUse, PaymentDeclined, PaymentReturned.
    """
    payment = payments.require_not_refused(Payment.objects.get(pk=payment_id))
    if payment.is_pending and payment.charging_until and payment.charging_until > clock.now():
        raise KeyInUse
    return _transaction(payment, payment.pending_attempt())


class PaymentsView(ApiView):
    """`POST /v2/orders/{id}/payments`: a shopper may pay an order whose id it knows."""

    limited_as = "payment"

    @once(again=_paid_before)
    def post(self, request: Request, key: Key | None, order_id: uuid.UUID) -> Response:
        fields = self.understood(serializers.PaymentBody)
        payment = payments.pay(
            order_id,
            fields["request"],
            actor=self.caller.actor,
            by_shopper=not self.caller.is_administrator,
            key=key,
        )
        return _transaction(payment)


class TransactionsView(ApiView):
    permission_classes = [Administrator]

    def get(self, request: Request, order_id: uuid.UUID) -> Response:
        require_whole(request)
        by_code = currencies.by_code()
        transactions = [
            serializers.transaction(payment, by_code[payment.currency], payment.pending_attempt())
            for payment in payments.payments_of(order_id)
        ]
        return envelope(transactions)


class TransactionView(ApiView):
    permission_classes = [Administrator]

    def get(self, request: Request, order_id: uuid.UUID, payment_id: uuid.UUID) -> Response:
        payment = payments.payment_of(order_id, payment_id)
        currency = currencies.by_code()[payment.currency]
        return envelope(serializers.transaction(payment, currency, payment.pending_attempt()))


class ConfirmView(ApiView):
    """The buyer has done what the gateway asked: a shopper may, who knows order and payment."""

    limited_as = "payment"

    @once(again=_paid_before)
    def post(
        self, request: Request, key: Key | None, order_id: uuid.UUID, payment_id: uuid.UUID
    ) -> Response:
        self.understood(serializers.ConfirmBody, body_required=False)
        payment = payments.confirm(order_id, payment_id, key=key)
        return _transaction(payment, payment.pending_attempt())


class _AttemptView(ApiView):
    """A capture, refund or void: the answer is the transaction as it stands then."""

    permission_classes = [Administrator]

    def attempted(self, payment_id: uuid.UUID | str) -> Response:
        payment = payments.payment_of(self.kwargs["order_id"], uuid.UUID(str(payment_id)))
        return _transaction(payment, payment.pending_attempt())


class CaptureView(_AttemptView):
    @once(again=_AttemptView.attempted)
    def post(
        self, request: Request, key: Key | None, order_id: uuid.UUID, payment_id: uuid.UUID
    ) -> Response:
        fields = self.understood(serializers.CaptureBody, body_required=False)
        payments.capture(
            order_id,
            payment_id,
            fields.get("amount"),
            actor=self.caller.actor,
            custom_reference=fields.get("custom_reference"),
            key=key,
        )
        return self.attempted(payment_id)


class RefundView(_AttemptView):
    @once(again=_AttemptView.attempted)
    def post(
        self, request: Request, key: Key | None, order_id: uuid.UUID, payment_id: uuid.UUID
    ) -> Response:
        fields = self.understood(serializers.RefundBody, body_required=False)
        payments.refund(
            order_id,
            payment_id,
            fields.get("amount"),
            actor=self.caller.actor,
            reason=fields["reason"],
            key=key,
        )
        return self.attempted(payment_id)


class VoidView(_AttemptView):
    @once(again=_AttemptView.attempted)
    def post(
        self, request: Request, key: Key | None, order_id: uuid.UUID, payment_id: uuid.UUID
    ) -> Response:
        fields = self.understood(serializers.VoidBody, body_required=False)
        payments.let_go(
            order_id, payment_id, actor=self.caller.actor, reason=fields["reason"], key=key
        )
        return self.attempted(payment_id)


_MOVES = {"shipping", "status"}
_WRITTEN_ON_ORDERS = OrderChanges().fields.keys() - _MOVES


class OrderView(ApiView):
    """One order. It stands here because to change one concerns its money too."""

    permission_classes = [Administrator]

    def get(self, request: Request, order_id: uuid.UUID) -> Response:
        return self.answered(order_id)

    def answered(self, order_id: uuid.UUID | str) -> Response:
        order, items = order_and_items(uuid.UUID(str(order_id)))
        return order_answer(order, items, included(self.request))

    def answered_again(self, _: str) -> Response:
        """What a call shipped is a shipment; its answer is the order all the same."""
        return self.answered(self.kwargs["order_id"])

    @once(again=answered_again)
    def put(self, request: Request, key: Key | None, order_id: uuid.UUID) -> Response:
        """One call does one thing: ship, cancel, or change what is written on the order.

        What names nothing of the latter may have meant one of the others, in a wrong spelling.
        """
        actor, data = self.caller.actor, self.data()
        names = {*request.data, *(data if isinstance(data, dict) else ())}
        if names & _WRITTEN_ON_ORDERS and not names & _MOVES:
            fields = self.validated(OrderChanges)
        else:
            fields = self.understood(serializers.OrderMove, parameters={"include"})
            fields.pop("type", None)
        if "shipping" in fields:
            shipments.ship(order_id, actor=actor, key=key)
        elif "status" in fields:
            payments.cancel(order_id, actor=actor, key=key)
        else:
            orders.change(order_id, actor=actor, key=key, **fields)
        return self.answered(order_id)


class CartOrdersView(OfCart):
    """`GET /v2/carts/{cart}/orders`: what became of the orders of a cart whose id one knows."""

    def get(self, request: Request, cart_id: str) -> Response:
        rows = Order.objects.filter(cart_id=cart_id).prefetch_related("items", "payments")
        by_code = currencies.by_code()

        def represented(order: Order) -> answers.OrderForItsBuyer:
            return serializers.order_for_its_buyer(
                order,
                sorted(order.items.all(), key=lambda item: item.position),
                sorted(order.payments.all(), key=lambda payment: payment.created_at),
                by_code[order.currency_id],
            )

        orders = listed(request, rows.order_by("-created_at", "-pk"), BuyersOrderFilters)
        return paginated(request, orders, represented, limit_max=CART_ORDERS_MAX)


class GatewaysView(ApiView):
    permission_classes = [Administrator]

    def get(self, request: Request) -> Response:
        known = payments.known_gateways().order_by("slug")
        return paginated(request, listed(request, known, GatewayFilters), serializers.gateway)


class GatewayView(ApiView):
    permission_classes = [Administrator]

    def get(self, request: Request, slug: str) -> Response:
        return self.answered(slug)

    def answered(self, slug: str) -> Response:
        return envelope(serializers.gateway(payments.gateway_named(slug)))

    @once(again=answered)
    def put(self, request: Request, key: Key | None, slug: str) -> Response:
        changes = self.validated(serializers.GatewayChanges)
        payments.set_gateway(slug, **changes, actor=self.caller.actor, key=key)
        return self.answered(slug)
