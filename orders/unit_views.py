"""What becomes of the units of an order: they are shipped, cancelled, or taken back."""

import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from django.db.models import prefetch_related_objects
from rest_framework.request import Request
from rest_framework.response import Response

from api.authentication import Administrator
from api.filtering import listed
from api.idempotency import Key, once
from api.pagination import paginated
from api.views import ApiView, envelope
from orders import unit_serializers as serializers
from orders.errors import (
    NotPutBack,
    OrderItemNotFound,
    OrderNotFound,
    ReturnNotFound,
    UnitsNotLeft,
)
from orders.filters import UnitsFilters
from orders.models import Order, Return, Shipment
from orders.services import cancelling, returns, shipments
from orders.views import order_and_items, order_answer


class _UnitsView(ApiView):
    permission_classes = [Administrator]

    @property
    def order_id(self) -> uuid.UUID:
        of: uuid.UUID = self.kwargs["order_id"]
        return of


def _require_order(order_id: uuid.UUID) -> None:
    """Raises: OrderNotFound."""
    if not Order.objects.filter(pk=order_id).exists():
        raise OrderNotFound


@contextmanager
def _at_its_place(item_ids: Sequence[uuid.UUID]) -> Iterator[None]:
    """Have a refusal about one of the items name the place at which the call has it."""
    try:
        yield
    except (OrderItemNotFound, UnitsNotLeft, NotPutBack) as refusal:
        place = {str(item_id): place for place, item_id in enumerate(item_ids)}
        about = str((refusal.meta or {}).get("id"))
        if about in place:
            field = "id" if isinstance(refusal, OrderItemNotFound) else "quantity"
            refusal.source = f"data.items.{place[about]}.{field}"
        raise


# Shipments.


class _ShipmentAnswers(_UnitsView):
    def answered(self, shipment_id: uuid.UUID | str, status: int = 200) -> Response:
        row = shipments.shipment_of(self.order_id, uuid.UUID(str(shipment_id)))
        prefetch_related_objects([row], "lines__item")
        return envelope(serializers.shipment(row), status)

    def created(self, shipment_id: uuid.UUID | str) -> Response:
        return self.answered(shipment_id, 201)


class ShipmentsView(_ShipmentAnswers):
    def get(self, request: Request, order_id: uuid.UUID) -> Response:
        _require_order(order_id)
        rows = Shipment.objects.filter(order=order_id).prefetch_related("lines__item")
        found = listed(request, rows.order_by("number"), UnitsFilters)
        return paginated(request, found, serializers.shipment)

    @once(again=_ShipmentAnswers.created)
    def post(self, request: Request, key: Key | None, order_id: uuid.UUID) -> Response:
        fields = self.understood(serializers.ShipmentBody)
        units = fields.get("items")
        with _at_its_place(list(units or ())):
            made = shipments.ship(
                order_id,
                actor=self.caller.actor,
                units=units,
                carrier=fields["carrier"],
                tracking=fields["tracking_reference"],
                key=key,
            )
        return self.created(made.pk)


class ShipmentView(_ShipmentAnswers):
    def get(self, request: Request, order_id: uuid.UUID, shipment_id: uuid.UUID) -> Response:
        return self.answered(shipment_id)


class UndoShipmentView(_ShipmentAnswers):
    @once(again=_ShipmentAnswers.answered)
    def post(
        self, request: Request, key: Key | None, order_id: uuid.UUID, shipment_id: uuid.UUID
    ) -> Response:
        fields = self.understood(serializers.UndoBody, body_required=False)
        shipments.undo(
            order_id,
            shipment_id,
            actor=self.caller.actor,
            reason=fields["reason"],
            whereabouts=fields.get("whereabouts"),
            key=key,
        )
        return self.answered(shipment_id)


# Cancellations.


class CancellationsView(_UnitsView):
    def answered(self, _: str) -> Response:
        order, items = order_and_items(self.order_id)
        return order_answer(order, items, {"items"})

    @once(again=answered)
    def post(self, request: Request, key: Key | None, order_id: uuid.UUID) -> Response:
        """Cancel a part of a paid order. It has no record of its own: the answer is the order."""
        fields = self.understood(serializers.CancellationBody)
        units = fields.get("items")
        with _at_its_place(list(units or ())):
            cancelling.cancel_items(
                order_id,
                units,
                actor=self.caller.actor,
                reason=fields["reason"],
                restock=fields["restock"],
                key=key,
            )
        return self.answered("")


# Returns.


class _ReturnAnswers(_UnitsView):
    def answered(self, return_id: uuid.UUID | str, status: int = 200) -> Response:
        row = returns.return_of(self.order_id, uuid.UUID(str(return_id)))
        return envelope(serializers.returned(row), status)

    def created(self, return_id: uuid.UUID | str) -> Response:
        return self.answered(return_id, 201)


class ReturnsView(_ReturnAnswers):
    def get(self, request: Request, order_id: uuid.UUID) -> Response:
        _require_order(order_id)
        rows = Return.objects.filter(order=order_id).prefetch_related("lines__item")
        found = listed(request, rows.order_by("number"), UnitsFilters)
        return paginated(request, found, serializers.returned)

    @once(again=_ReturnAnswers.created)
    def post(self, request: Request, key: Key | None, order_id: uuid.UUID) -> Response:
        fields = self.understood(serializers.ReturnBody)
        lines = fields["items"]
        with _at_its_place([line.item_id for line in lines]):
            made = returns.take_back(
                order_id, lines, actor=self.caller.actor, reason=fields["reason"], key=key
            )
        return self.created(made.pk)


class ReturnView(_ReturnAnswers):
    def get(self, request: Request, order_id: uuid.UUID, return_id: uuid.UUID) -> Response:
        return self.answered(return_id)


class SettleView(_ReturnAnswers):
    """`POST …/returns/{return}/items/{item}/settle`: what was under inspection."""

    def settled(self, _: str) -> Response:
        return self.answered(self.kwargs["return_id"])

    @once(again=settled)
    def post(
        self,
        request: Request,
        key: Key | None,
        order_id: uuid.UUID,
        return_id: uuid.UUID,
        item_id: uuid.UUID,
    ) -> Response:
        fields = self.understood(serializers.SettleBody)
        row = returns.return_of(order_id, return_id)
        if item_id not in {line.pk for line in row.lines.all()}:
            raise ReturnNotFound
        returns.settle_inspected(
            order_id,
            item_id,
            fields["disposition"],
            actor=self.caller.actor,
            quantity=fields.get("quantity"),
            reason=fields["reason"],
            key=key,
        )
        return self.answered(return_id)
