from api.errors import Kind, NotFound, Refusal


class PaymentNotFound(NotFound):
    code = "transaction_not_found"
    thing = "Transaction"
    detail = "The requested transaction could not be found"


class GatewayNotFound(NotFound):
    code = "gateway_not_found"
    thing = "Gateway"
    detail = "The requested gateway could not be found"


class GatewayNotEnabled(Refusal):
    kind = Kind.WRONG_STATE
    code = "gateway_not_enabled"
    detail = "The payment gateway is unknown or not enabled."


class ManualNotForShoppers(Refusal):
    kind = Kind.FORBIDDEN
    code = "manual_gateway_not_for_shoppers"
    detail = "Only an administrator may record a manual payment."


class AmountRefused(Refusal):
    kind = Kind.BAD_REQUEST
    code = "amount_not_payable"
    detail = "Request could not be processed"


class OrderNotPayable(Refusal):
    kind = Kind.WRONG_STATE
    code = "order_not_payable"
    detail = "The order is cancelled, or nothing of it is left to pay."


class RestIsPending(Refusal):
    kind = Kind.CONFLICT
    code = "payment_pending"
    detail = "Payments that are still pending cover the rest of this order."
    retry_after_seconds = 2


class PaymentDeclined(Refusal):
    kind = Kind.PAYMENT_DECLINED
    code = "payment_declined"
    detail = "The payment was declined. Nothing was charged."


class PaymentReturned(Refusal):
    """The gateway took the money after all, when the order could no longer take it."""

    kind = Kind.PAYMENT_DECLINED
    code = "payment_returned"
    detail = "The payment came too late for the order. It is being returned."


class NotCapturable(Refusal):
    kind = Kind.WRONG_STATE
    code = "transaction_not_capturable"
    detail = "Transaction cannot be captured in its current state"


class NotRefundable(Refusal):
    kind = Kind.WRONG_STATE
    code = "transaction_not_refundable"
    detail = "Transaction cannot be refunded in its current state"


class NotVoidable(Refusal):
    kind = Kind.WRONG_STATE
    code = "transaction_not_cancellable"
    detail = "Transaction cannot be cancelled in its current state"


class ManualNotVoidable(Refusal):
    kind = Kind.UNSUPPORTED_OPERATION
    code = "unsupported_gateway_operation"
    detail = "Cancellation is not supported for Manual payment gateway"


class GatewayRefused(Refusal):
    """The gateway said no to a capture, refund or void: the transaction stays as it was."""

    kind = Kind.WRONG_STATE
    code = "gateway_refused"
    detail = "The payment gateway refused the request."
