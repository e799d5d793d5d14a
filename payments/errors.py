from api.errors import (
    BAD_REQUEST,
    BUSY,
    CONFLICT,
    FORBIDDEN,
    INVALID,
    UNAUTHORIZED,
    WRONG_STATE,
    Kind,
    NotFound,
    Refusal,
)

PAYMENT_DECLINED = Kind(402, "Payment declined")
UNSUPPORTED_OPERATION = Kind(422, "Unsupported gateway operation")


class PaymentNotFound(NotFound):
    code = "transaction_not_found"
    thing = "Transaction"
    detail = "The requested transaction could not be found"


class GatewayNotFound(NotFound):
    code = "gateway_not_found"
    thing = "Gateway"
    detail = "The requested gateway could not be found"


class SignatureRefused(Refusal):
    kind = UNAUTHORIZED
    code = "signature_refused"
    detail = "The signature does not fit the message."


class NoMessage(Refusal):
    kind = BAD_REQUEST
    code = "no_message"
    detail = "The body is no message of the gateway."


class GatewayNotEnabled(Refusal):
    kind = WRONG_STATE
    code = "gateway_not_enabled"
    detail = "The payment gateway is unknown or not enabled."


class GatewaysClosed(Refusal):
    """This database is a copy of the shop's, which must not ask for anybody's money."""

    kind = BUSY
    code = "gateways_closed"
    detail = "Payment gateways are closed for now. Nothing was charged."
    retry_after_seconds = 60


class GatewayNotConfigured(Refusal):
    """The gateway's keys are missing from the environment, or do not belong together."""

    kind = WRONG_STATE
    code = "gateway_not_configured"
    detail = "The payment gateway cannot be enabled: its keys on the server are missing or wrong."


class PaymentTokenRequired(Refusal):
    kind = BAD_REQUEST
    code = "payment_token_required"
    detail = "payment is required: what the gateway's own script made of the buyer's card."


class CurrencyNotChargeable(Refusal):
    kind = WRONG_STATE
    code = "currency_not_chargeable"
    detail = "The payment gateway counts this currency in other decimal places than the store."


class ManualNotForShoppers(Refusal):
    kind = FORBIDDEN
    code = "manual_gateway_not_for_shoppers"
    detail = "Only an administrator may record a manual payment."


class AmountRefused(Refusal):
    kind = BAD_REQUEST
    code = "amount_not_payable"
    detail = "Request could not be processed"


class OrderNotPayable(Refusal):
    kind = WRONG_STATE
    code = "order_not_payable"
    detail = "The order is cancelled, or nothing of it is left to pay."


class RestIsPending(Refusal):
    kind = CONFLICT
    code = "payment_pending"
    detail = "Payments that are still pending cover the rest of this order."
    retry_after_seconds = 2


class TooManyPayments(Refusal):
    kind = WRONG_STATE
    code = "too_many_payments"
    detail = "Too many payments of this order were tried already."


class PaymentDeclined(Refusal):
    kind = PAYMENT_DECLINED
    code = "payment_declined"
    detail = "The payment was declined. Nothing was charged."


class PaymentReturned(Refusal):
    """The gateway took the money after all, when the order could no longer take it."""

    kind = PAYMENT_DECLINED
    code = "payment_returned"
    detail = "The payment came too late for the order. It is being returned."


class NotOpen(Refusal):
    kind = WRONG_STATE
    code = "transaction_not_open"
    detail = "Nothing of this transaction is open."


class StillUnderWay(Refusal):
    kind = CONFLICT
    code = "transaction_under_way"
    detail = "The payment gateway is being asked about this transaction. Please try again."
    retry_after_seconds = 2


class NothingToLeaveBe(Refusal):
    kind = WRONG_STATE
    code = "nothing_to_leave_be"
    detail = "Nothing of this order needs attention."


class NotCapturable(Refusal):
    kind = WRONG_STATE
    code = "transaction_not_capturable"
    detail = "Transaction cannot be captured in its current state"


class CaptureRefused(Refusal):
    """More than was authorized, or what the gateway would round."""

    kind = INVALID
    code = "amount_not_capturable"
    detail = "Only what is authorized can be captured, in amounts that the gateway can move."


class NotRefundable(Refusal):
    kind = WRONG_STATE
    code = "transaction_not_refundable"
    detail = "Transaction cannot be refunded in its current state"


class NotVoidable(Refusal):
    kind = WRONG_STATE
    code = "transaction_not_cancellable"
    detail = "Transaction cannot be cancelled in its current state"


class ManualNotVoidable(Refusal):
    kind = UNSUPPORTED_OPERATION
    code = "unsupported_gateway_operation"
    detail = "Cancellation is not supported for Manual payment gateway"


class GatewayRefused(Refusal):
    """The gateway said no to a capture, refund or void: the transaction stays as it was."""

    kind = WRONG_STATE
    code = "gateway_refused"
    detail = "The payment gateway refused the request."
