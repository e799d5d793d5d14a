"""Payments as the wire spells them: as transactions of an order."""

from typing import Any

from rest_framework import serializers
from rest_framework.exceptions import ErrorDetail

from api.bodies import PublishedBody, WholeBody
from api.clock import at
from api.errors import NotSupported
from api.fields import Amount, Choice, Flag, Text, WholeNumber
from inventory.models import Currency
from inventory.serializers import formatted_price
from orders.models import Order, OrderItem
from orders.serializers import order_items, order_prices
from payments import answers
from payments.models import Attempt, Gateway, Payment
from payments.services.payments import PaymentRequest

# What moves money: a name that means nothing here is refused, and never passed over.


class Options(WholeBody):
    """May be sent, and say nothing: none of the published options is acted on."""

    not_supported = frozenset(
        {
            *("application_context", "automatic_payment_methods", "customer_payment_profile_id"),
            *("description", "note", "note_to_payer", "receipt_email"),
            *("recurring_processing_model", "shopper_reference", "soft_descriptor"),
        }
    )


class MoneyBody(WholeBody):
    """What every call about money may carry. Its `type` says nothing that its address does not."""

    type = Text(max_length=100, required=False)
    options = Options(required=False)


class PaymentMeta(WholeBody):
    name = Text(max_length=200, allow_blank=True, default="")
    custom_reference = Text(max_length=200, allow_blank=True, default="")


class PaymentBody(MoneyBody):
    not_supported = frozenset(
        {
            *("customer", "customer_id", "payment_method_types"),
            *("first_name", "last_name", "month", "number", "verification_value", "year"),
        }
    )

    gateway = Text(max_length=50)
    method = Choice(Payment.Method.choices)
    amount = WholeNumber(required=False)
    payment = Text(max_length=500, allow_blank=True, default="")
    paymentmethod_meta = PaymentMeta(required=False)

    def validate(self, fields: dict[str, Any]) -> dict[str, Any]:
        meta = fields.get("paymentmethod_meta", {})
        return {
            "request": PaymentRequest(
                fields["gateway"],
                Payment.Method(fields["method"]),
                fields.get("amount"),
                token=fields["payment"],
                name=meta.get("name", ""),
                custom_reference=meta.get("custom_reference", ""),
            )
        }


class CaptureBody(MoneyBody):
    not_supported = frozenset({"capture_mechanism"})

    amount = Amount(min_value=1, required=False)
    custom_reference = Text(max_length=200, allow_blank=True, required=False)


class ConfirmBody(MoneyBody):
    """What the buyer did, the gateway knows: nothing needs to be said."""

    not_supported = frozenset({"gateway", "method", "payment"})


class RefundBody(MoneyBody):
    not_supported = frozenset({"custom_reference", "refund_mechanism"})

    amount = Amount(min_value=1, required=False)
    reason = Text(max_length=500, allow_blank=True, default="")


class VoidBody(MoneyBody):
    reason = Text(max_length=500, allow_blank=True, default="")


class OrderMove(WholeBody):
    """To ship or to cancel an order is a call of its own: nothing else is changed with it."""

    not_supported = frozenset(
        {
            *("billing_address", "contact", "custom_attributes", "customer", "external_ref"),
            *("meta", "order_number", "payment", "relationships", "shipping_address"),
        }
    )

    type = Text(max_length=100, required=False)
    status = Choice([Order.Status.CANCELLED.value], required=False)
    shipping = Choice([Order.Shipping.FULFILLED.value], required=False)

    def validate(self, fields: dict[str, Any]) -> dict[str, Any]:
        if fields.keys() >= {"shipping", "status"}:
            both = ErrorDetail("An order is shipped or cancelled, not both.", NotSupported.code)
            raise serializers.ValidationError({"shipping": [both]})
        return fields


class GatewayChanges(PublishedBody):
    # Keys of gateways are the environment's, so that nobody reads them out of a database.
    not_supported = frozenset(
        {
            *("account_id", "client_id", "environment", "login", "merchant_account"),
            *("merchant_id", "options", "partner", "password", "payer_id", "private_key"),
            *("public_key", "signature", "stripe_account", "test", "username"),
        }
    )

    enabled = Flag(required=False)
    name = Text(max_length=100, required=False)


def gateway(row: Gateway) -> answers.Gateway:
    return {"type": "gateway", "name": row.name, "slug": row.slug, "enabled": row.enabled}


def transaction(
    payment: Payment, currency: Currency, pending: Attempt | None = None
) -> answers.Transaction:
    answer: answers.Transaction = {
        "id": str(payment.pk),
        "type": "transaction",
        "reference": payment.reference or payment.gateway,
        "name": payment.name,
        "custom_reference": payment.custom_reference,
        "gateway": payment.gateway,
        "amount": payment.amount,
        "captured_amount": payment.captured_amount,
        "refunded_amount": payment.refunded_amount,
        "currency": payment.currency,
        "transaction_type": payment.transaction_type,
        "status": payment.status,
        "relationships": {"order": {"data": {"type": "order", "id": str(payment.order_id)}}},
        "meta": {
            "display_price": formatted_price(payment.amount, currency),
            "display_refunded_amount": {
                "total": formatted_price(payment.refunded_amount, currency)
            },
            "timestamps": {
                "created_at": at(payment.created_at),
                "updated_at": at(payment.updated_at),
            },
        },
    }
    if pending:
        answer["pending_action"] = pending.kind
    return {**answer, **asked_of_buyer(payment)}


def asked_of_buyer(payment: Payment) -> answers.AskedOfBuyer:
    """Return what the buyer has to do, such as 3-D Secure, while the payment waits for it."""
    answer: answers.AskedOfBuyer = payment.action if payment.is_pending and payment.action else {}
    return answer


def order_for_its_buyer(
    order: Order, items: list[OrderItem], payments: list[Payment], currency: Currency
) -> answers.OrderForItsBuyer:
    """Represent an order for anybody who knows its cart: no name, e-mail or address."""
    return {
        "type": "order",
        "id": str(order.pk),
        "order_number": order.order_number or str(order.number),
        "status": order.status,
        "payment": order.payment,
        "shipping": order.shipping,
        "meta": {
            "display_price": order_prices(order, currency),
            "timestamps": {"created_at": at(order.created_at), "updated_at": at(order.updated_at)},
        },
        "items": order_items(items, order, currency),
        "transactions": [
            {
                "id": str(payment.pk),
                "type": "transaction",
                "transaction_type": payment.transaction_type,
                "status": payment.status,
                "amount": payment.amount,
                "captured_amount": payment.captured_amount,
                **asked_of_buyer(payment),
            }
            for payment in payments
        ],
    }
