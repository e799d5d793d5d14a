"""What the API answers about payments, and to a buyer about an order."""

from typing import Annotated, Any, Literal, NotRequired, TypedDict

from api.answers import Amount, Data, Id, Keywords, Reference, Timestamps, component
from api.fields import AMOUNT_MAX
from inventory.answers import FormattedPrice
from orders.answers import OrderItem, OrderPrices, States
from payments.models import Attempt, Payment

CapturedAmount = Annotated[
    int,
    Keywords(minimum=0, maximum=AMOUNT_MAX),
    "How much of the amount was taken: less than all of it where a part was captured.",
]
TransactionType = Annotated[str, "`purchase`, `authorize`, `capture` or `refund`."]
TransactionStatus = Annotated[str, Keywords(enum=Payment.Status.values)]


class AskedOfBuyer(TypedDict, total=False):
    client_parameters: Annotated[
        dict[str, Any],
        "For the gateway's own script in the browser. While a payment waits for it.",
    ]
    next_actions: list[dict[str, Any]]


class TransactionRelationships(TypedDict):
    order: Data[Reference[Literal["order"]]]


class RefundedPrice(TypedDict):
    total: FormattedPrice


class TransactionMeta(TypedDict):
    display_price: FormattedPrice
    display_refunded_amount: RefundedPrice
    timestamps: Timestamps


@component
class Transaction(AskedOfBuyer):
    id: Id
    type: Literal["transaction"]
    reference: str
    name: str
    custom_reference: str
    gateway: str
    amount: Amount
    captured_amount: CapturedAmount
    refunded_amount: Amount
    currency: str
    transaction_type: TransactionType
    status: TransactionStatus
    relationships: TransactionRelationships
    meta: TransactionMeta
    pending_action: NotRequired[Annotated[str, Keywords(enum=Attempt.Kind.values)]]


class TransactionForItsBuyer(AskedOfBuyer):
    id: Id
    type: Literal["transaction"]
    transaction_type: TransactionType
    status: TransactionStatus
    amount: Amount
    captured_amount: CapturedAmount


class MetaForItsBuyer(TypedDict):
    display_price: OrderPrices
    timestamps: Timestamps


@component
class OrderForItsBuyer(States):
    type: Literal["order"]
    id: Id
    order_number: str
    meta: MetaForItsBuyer
    items: list[OrderItem]
    transactions: list[TransactionForItsBuyer]


@component
class Gateway(TypedDict):
    type: Literal["gateway"]
    name: str
    slug: str
    enabled: bool
