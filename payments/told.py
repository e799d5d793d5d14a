"""What others are told of payments and gateways: what the API shows of them."""

from collections.abc import Collection, Mapping

from events.services import kinds
from events.services.kinds import Document
from inventory.services import currencies
from payments import serializers
from payments.models import Gateway, Payment


def register() -> None:
    kinds.renders("payment-gateway", _gateways)
    kinds.renders("transaction", _transactions)


def _transactions(ids: Collection[str]) -> Mapping[str, Document]:
    by_code = currencies.by_code()
    rows = Payment.objects.filter(pk__in=ids).prefetch_related("attempts")
    return {
        str(row.pk): {
            "data": serializers.transaction(row, by_code[row.currency], row.pending_attempt())
        }
        for row in rows
    }


def _gateways(slugs: Collection[str]) -> Mapping[str, Document]:
    rows = Gateway.objects.filter(pk__in=slugs)
    return {row.slug: {"data": serializers.gateway(row)} for row in rows}
