"""What others are told of payments and gateways: what the API shows of them."""

from collections.abc import Collection, Mapping

from api import compiled
from events.services import kinds
from events.services.kinds import Document
from inventory.services import currencies
from payments import serializers
from payments.models import Attempt, Gateway, Payment


def register() -> None:
    kinds.renders("payment-gateway", _gateways)
    kinds.renders("transaction", _transactions)


# Of several the first.
_UNDER_WAY = "WHERE payment_id = ANY(%s::uuid[]) AND status = %s ORDER BY id DESC"


def _transactions(ids: Collection[str]) -> Mapping[str, Document]:
    by_code = currencies.by_code()
    under_way = {
        attempt.payment_id: attempt
        for attempt in compiled.fetch(Attempt, _UNDER_WAY, [list(ids), Attempt.Status.PENDING])
    }
    return {
        str(row.pk): {
            "data": serializers.transaction(row, by_code[row.currency], under_way.get(row.pk))
        }
        for row in compiled.fetch(Payment, "WHERE id = ANY(%s::uuid[])", [list(ids)])
    }


def _gateways(slugs: Collection[str]) -> Mapping[str, Document]:
    rows = Gateway.objects.filter(pk__in=slugs)
    return {row.slug: {"data": serializers.gateway(row)} for row in rows}
