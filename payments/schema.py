"""How the API's description tells of payments, and of orders where money has a say."""

from api import schema
from api.errors import Invalid
from api.schema import (
    AMOUNT,
    FLAG,
    ID,
    TEXT,
    TIMESTAMPS,
    Operation,
    a_list,
    an_object,
    component,
    data,
    one_of,
    page_of,
)
from inventory.schema import FORMATTED_PRICE
from orders import errors as order_errors
from orders.errors import InsufficientStock, OrderNotFound, PaymentUnderWay
from orders.schema import ORDER, ORDER_ITEM, ORDER_PRICES, STATES, with_items
from orders.serializers import OrderChanges
from payments import errors, serializers, views
from payments.models import Attempt, Payment

_STATUS = one_of(*Payment.Status.values)
_KIND = {"type": "string", "description": "`purchase`, `authorize`, `capture` or `refund`."}
_ASKED_OF_BUYER = {
    "client_parameters": {
        "type": "object",
        "description": "For the gateway's own script in the browser. While a payment waits for it.",
    },
    "next_actions": a_list({"type": "object"}),
}
TRANSACTION = component(
    "Transaction",
    an_object(
        {
            "id": ID,
            "type": one_of("transaction"),
            "reference": TEXT,
            "name": TEXT,
            "custom_reference": TEXT,
            "gateway": TEXT,
            "amount": AMOUNT,
            "refunded_amount": AMOUNT,
            "currency": TEXT,
            "transaction_type": _KIND,
            "status": _STATUS,
            "relationships": an_object(
                {"order": data(an_object({"type": one_of("order"), "id": ID}))}
            ),
            "meta": an_object(
                {
                    "display_price": FORMATTED_PRICE,
                    "display_refunded_amount": an_object({"total": FORMATTED_PRICE}),
                    "timestamps": TIMESTAMPS,
                }
            ),
        },
        {"pending_action": one_of(*Attempt.Kind.values), **_ASKED_OF_BUYER},
    ),
)
ORDER_FOR_ITS_BUYER = component(
    "OrderForItsBuyer",
    an_object(
        {
            "type": one_of("order"),
            "id": ID,
            "order_number": TEXT,
            **STATES,
            "meta": an_object({"display_price": ORDER_PRICES, "timestamps": TIMESTAMPS}),
            "items": a_list(ORDER_ITEM),
            "transactions": a_list(
                an_object(
                    {
                        "id": ID,
                        "type": one_of("transaction"),
                        "transaction_type": _KIND,
                        "status": _STATUS,
                        "amount": AMOUNT,
                    },
                    _ASKED_OF_BUYER,
                )
            ),
        }
    ),
)
GATEWAY = component(
    "Gateway",
    an_object({"type": one_of("gateway"), "name": TEXT, "slug": TEXT, "enabled": FLAG}),
)

schema.describe(
    "Payments",
    views.PaymentsView,
    post=Operation(
        "Pay an order",
        "The first payment takes the units, before any money moves: all of them, or it is refused. "
        "202 says that the gateway has not answered yet; the units stay taken until it has.",
        takes=serializers.PaymentBody,
        answers={200: data(TRANSACTION), 202: data(TRANSACTION)},
        refuses=[
            OrderNotFound,
            InsufficientStock,
            PaymentUnderWay,
            errors.GatewayNotEnabled,
            errors.PaymentTokenRequired,
            errors.CurrencyNotChargeable,
            errors.ManualNotForShoppers,
            errors.AmountRefused,
            errors.OrderNotPayable,
            errors.RestIsPending,
            errors.PaymentDeclined,
            errors.PaymentReturned,
            Invalid,
        ],
    ),
)
schema.describe(
    "Payments",
    views.TransactionsView,
    get=Operation(
        "List the transactions of an order",
        answers={200: data(a_list(TRANSACTION))},
        refuses=[OrderNotFound],
    ),
)
schema.describe(
    "Payments",
    views.TransactionView,
    get=Operation(
        "Get a transaction",
        answers={200: data(TRANSACTION)},
        refuses=[OrderNotFound, errors.PaymentNotFound],
    ),
)
_ATTEMPTED = {200: data(TRANSACTION), 202: data(TRANSACTION)}
_ATTEMPT_REFUSALS = [
    OrderNotFound,
    PaymentUnderWay,
    errors.PaymentNotFound,
    errors.GatewayNotFound,
    errors.GatewayRefused,
    Invalid,
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
            Invalid,
        ],
    ),
)
schema.describe(
    "Payments",
    views.CaptureView,
    post=Operation(
        "Capture an authorization",
        "All of it.",
        takes=serializers.CaptureBody,
        body_required=False,
        answers=_ATTEMPTED,
        refuses=[*_ATTEMPT_REFUSALS, errors.NotCapturable],
    ),
)
schema.describe(
    "Payments",
    views.RefundView,
    post=Operation(
        "Refund a payment",
        "In parts with `amount`. Without one, it is only marked as refunded. Stock does not move.",
        takes=serializers.RefundBody,
        body_required=False,
        answers=_ATTEMPTED,
        refuses=[*_ATTEMPT_REFUSALS, errors.NotRefundable, errors.AmountRefused],
    ),
)
schema.describe(
    "Payments",
    views.VoidView,
    post=Operation(
        "Give up an authorization",
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
        answers={200: with_items(ORDER, ORDER_ITEM)},
        refuses=[OrderNotFound],
        includes="items",
    ),
    put=Operation(
        "Change, ship or cancel an order",
        "One call does one thing: `shipping: fulfilled`, `status: cancelled`, or the rest.",
        takes=OrderChanges,
        answers={200: with_items(ORDER, ORDER_ITEM)},
        refuses=[
            OrderNotFound,
            order_errors.OrderNotShippable,
            order_errors.OrderNotCancellable,
            order_errors.OrderNotChangeable,
            PaymentUnderWay,
            Invalid,
        ],
        includes="items",
    ),
)
schema.describe(
    "Orders",
    views.CartOrdersView,
    get=Operation(
        "List the orders of a cart",
        "What became of them, for whoever knows the cart's id: no name, e-mail or address.",
        answers={200: page_of(ORDER_FOR_ITS_BUYER)},
        lists=True,
    ),
)
schema.describe(
    "Gateways",
    views.GatewaysView,
    get=Operation("List gateways", answers={200: page_of(GATEWAY)}, lists=True),
)
schema.describe(
    "Gateways",
    views.GatewayView,
    get=Operation("Get a gateway", answers={200: data(GATEWAY)}, refuses=[errors.GatewayNotFound]),
    put=Operation(
        "Change a gateway",
        takes=serializers.GatewayChanges,
        answers={200: data(GATEWAY)},
        refuses=[errors.GatewayNotFound, errors.GatewayNotConfigured, Invalid],
        takes_idempotency_key=False,
    ),
)
