"""How the API's description presents payments, and orders where money has a say."""

from api import schema
from api.answers import Data, PageOf
from api.errors import Invalid, NotSupported, UnknownField
from api.schema import WHOLE_LIST_REFUSALS, Operation
from orders import errors as order_errors
from orders.answers import OrderWithItems
from orders.errors import InsufficientStock, NotForSale, OrderNotFound, PaymentUnderWay
from orders.filters import BuyersOrderFilters
from orders.schema import CAN_INCLUDE
from orders.serializers import OrderChanges
from payments import answers, errors, serializers, views
from payments.filters import GatewayFilters

# All of such a call is understood, or it is refused.
WHOLE = (Invalid, UnknownField, NotSupported)

schema.describe(
    "Payments",
    views.PaymentsView,
    post=Operation(
        "Pay an order",
        "The first payment takes the units, before any money moves: all of them, or it is refused. "
        "202 says that the gateway has not answered yet; the units stay taken until it has.",
        takes=serializers.PaymentBody,
        answers={200: Data[answers.Transaction], 202: Data[answers.Transaction]},
        refuses=[
            OrderNotFound,
            NotForSale,
            InsufficientStock,
            PaymentUnderWay,
            errors.GatewayNotEnabled,
            errors.GatewaysClosed,
            errors.PaymentTokenRequired,
            errors.CurrencyNotChargeable,
            errors.TooManyPayments,
            errors.ManualNotForShoppers,
            errors.AmountRefused,
            errors.OrderNotPayable,
            errors.RestIsPending,
            errors.PaymentDeclined,
            errors.PaymentReturned,
            *WHOLE,
        ],
    ),
)
schema.describe(
    "Payments",
    views.TransactionsView,
    get=Operation(
        "List the transactions of an order",
        answers={200: Data[list[answers.Transaction]]},
        refuses=[OrderNotFound, *WHOLE_LIST_REFUSALS],
    ),
)
schema.describe(
    "Payments",
    views.TransactionView,
    get=Operation(
        "Get a transaction",
        answers={200: Data[answers.Transaction]},
        refuses=[OrderNotFound, errors.PaymentNotFound],
    ),
)
_ATTEMPTED = {200: Data[answers.Transaction], 202: Data[answers.Transaction]}
_ATTEMPT_REFUSALS = [
    OrderNotFound,
    PaymentUnderWay,
    errors.PaymentNotFound,
    errors.GatewayNotFound,
    errors.GatewaysClosed,
    errors.GatewayRefused,
    *WHOLE,
]
schema.describe(
    "Payments",
    views.ConfirmView,
    post=Operation(
        "Go on with a payment",
        "After the buyer has done what `next_actions` asked for, such as 3-D Secure.",
        takes=serializers.ConfirmBody,
        body_required=False,
        answers=_ATTEMPTED,
        refuses=[
            OrderNotFound,
            errors.PaymentNotFound,
            errors.GatewayNotFound,
            errors.PaymentDeclined,
            errors.PaymentReturned,
            *WHOLE,
        ],
    ),
)
schema.describe(
    "Payments",
    views.CaptureView,
    post=Operation(
        "Capture an authorization",
        "All of it, or `amount`: what is left is let go at once, and owing again.",
        takes=serializers.CaptureBody,
        body_required=False,
        answers=_ATTEMPTED,
        refuses=[*_ATTEMPT_REFUSALS, errors.NotCapturable, errors.CaptureRefused],
    ),
)
schema.describe(
    "Payments",
    views.RefundView,
    post=Operation(
        "Refund a payment",
        "Sent with `amount`, in parts too. Without one no money is sent: all of it is only marked "
        "as refunded. Stock does not move.",
        takes=serializers.RefundBody,
        body_required=False,
        answers=_ATTEMPTED,
        refuses=[*_ATTEMPT_REFUSALS, errors.NotRefundable],
    ),
)
schema.describe(
    "Payments",
    views.VoidView,
    post=Operation(
        "Give up an authorization",
        "Or a payment that only waits for its buyer, which has `failed` then.",
        takes=serializers.VoidBody,
        body_required=False,
        answers=_ATTEMPTED,
        refuses=[*_ATTEMPT_REFUSALS, errors.NotVoidable, errors.ManualNotVoidable],
    ),
)
schema.describe(
    "Orders",
    views.OrderView,
    get=Operation(
        "Get an order",
        answers={200: OrderWithItems},
        refuses=[OrderNotFound],
        includes=CAN_INCLUDE,
    ),
    put=Operation(
        "Change, ship or cancel an order",
        "One call does one thing: `shipping: fulfilled`, `status: cancelled`, or the rest.",
        takes=OrderChanges,
        answers={200: OrderWithItems},
        refuses=[
            OrderNotFound,
            order_errors.OrderNotShippable,
            order_errors.OrderNotCancellable,
            order_errors.OrderNotChangeable,
            PaymentUnderWay,
            errors.GatewaysClosed,
            *WHOLE,
        ],
        includes=CAN_INCLUDE,
    ),
)
schema.describe(
    "Orders",
    views.CartOrdersView,
    get=Operation(
        "List the orders of a cart",
        "What became of them, for whoever knows the cart's id: no name, e-mail or address.",
        answers={200: PageOf[answers.OrderForItsBuyer]},
        refuses=[Invalid],
        lists=True,
        filters=BuyersOrderFilters,
        limit_max=views.CART_ORDERS_MAX,
    ),
)
schema.describe(
    "Gateways",
    views.GatewaysView,
    get=Operation(
        "List gateways",
        answers={200: PageOf[answers.Gateway]},
        lists=True,
        filters=GatewayFilters,
    ),
)
schema.describe(
    "Gateways",
    views.GatewayView,
    get=Operation(
        "Get a gateway", answers={200: Data[answers.Gateway]}, refuses=[errors.GatewayNotFound]
    ),
    put=Operation(
        "Change a gateway",
        takes=serializers.GatewayChanges,
        answers={200: Data[answers.Gateway]},
        refuses=[errors.GatewayNotFound, errors.GatewayNotConfigured, NotSupported, Invalid],
    ),
)
