"""Paying on the wire: gateways, transactions of an order, and what a shopper learns of them."""

import itertools
import json
import uuid
from datetime import timedelta
from typing import Any

import pytest

from api import clock
from orders.models import Order
from payments.gateways.base import UNKNOWN, Answer, Outcome
from payments.models import Attempt, Gateway, Payment
from payments.services import payments, recovery
from payments.services.payments import PaymentRequest
from tests.factories import MERCHANT, filled_cart, paid_order, product, stock_of, unpaid_order
from tests.fake_gateway import DECLINED, OK, FakeGateway
from tests.http import (
    FORMATTED,
    Api,
    a_moment,
    an_id,
    assert_shape,
    shopper,
    statements,
)

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("impatient")]

UNKNOWN_ID = uuid.UUID("01234567-89ab-7def-8123-456789abcdef")

GATEWAY = {"type": "gateway", "name": str, "slug": str, "enabled": bool}
TRANSACTION = {
    "id": an_id,
    "type": "transaction",
    "reference": str,
    "name": str,
    "custom_reference": str,
    "gateway": str,
    "amount": int,
    "captured_amount": int,
    "refunded_amount": int,
    "currency": "USD",
    "transaction_type": str,
    "status": str,
    "relationships": {"order": {"data": {"type": "order", "id": an_id}}},
    "meta": {
        "display_price": FORMATTED,
        "display_refunded_amount": {"total": FORMATTED},
        "timestamps": {"created_at": a_moment, "updated_at": a_moment},
    },
}
SEEN_BY_ITS_BUYER = {
    "type": "order",
    "id": an_id,
    "order_number": str,
    "status": str,
    "payment": str,
    "shipping": str,
    "meta": {
        "display_price": {
            "with_tax": FORMATTED,
            "paid": FORMATTED,
            "authorized": FORMATTED,
            "balance_owing": FORMATTED,
        },
        "timestamps": {"created_at": a_moment, "updated_at": a_moment},
    },
    "items": [{"type": "order_item", "id": an_id, "name": str, "sku": str, "quantity": int}],
    "transactions": [
        {"id": an_id, "type": "transaction", "transaction_type": str, "status": str, "amount": int}
    ],
}


def order_of(amount: int = 3000, stock: int = 3) -> Order:
    """An unpaid order of one unit that costs so much."""
    return unpaid_order({product(stock=stock, price=amount): 1})


def pay(api: Api, order: Order, gateway: str = "manual", **fields: Any) -> Any:
    return api.pay(str(order.pk), gateway=gateway, **fields)


def authorize(api: Api, order: Order, gateway: str = "manual", **fields: Any) -> Any:
    return pay(api, order, gateway, method="authorize", **fields)


def transactions_of(order: Order) -> str:
    return f"/v2/orders/{order.pk}/transactions"


def act(api: Api, order: Order, answer: Any, action: str, *data: Any) -> Any:
    """Capture, refund or cancel the transaction that was answered."""
    return api.post(f"{transactions_of(order)}/{answer.json()['data']['id']}/{action}", *data)


def states(api: Api, order: Order) -> tuple[str, str, str]:
    shown = api.get(f"/v2/orders/{order.pk}").json()["data"]
    return shown["status"], shown["payment"], shown["shipping"]


def the_error(answer: Any) -> dict[str, Any]:
    [error] = answer.json()["errors"]
    assert error["status"] == answer.status_code
    assert error["title"]
    assert error["code"]
    return dict(error)


# Gateways.


def test_gateways_in_the_shape_of_the_contract(back_office):
    listed = back_office.get("/v2/gateways").json()
    manual = back_office.get("/v2/gateways/manual")

    assert_shape(listed["data"], [GATEWAY])
    assert [gateway["slug"] for gateway in listed["data"]] == ["manual", "stripe", "test"]
    assert manual.status_code == 200
    assert manual.json()["data"] == listed["data"][0]
    assert manual.json()["data"]["name"] == "Manual"


def test_a_gateway_must_be_enabled_to_pay_through_it(back_office):
    path, order = "/v2/gateways/manual", order_of()

    switched_off = back_office.put(path, {"type": "gateway", "enabled": False})
    refused = pay(back_office, order)
    switched_on = back_office.put(path, {"type": "gateway", "enabled": True})

    assert switched_off.status_code == switched_on.status_code == 200
    assert_shape(switched_off.json()["data"], GATEWAY)
    assert switched_off.json()["data"]["enabled"] is False
    assert switched_on.json()["data"]["enabled"] is True
    assert (refused.status_code, the_error(refused)["code"]) == (422, "gateway_not_enabled")
    assert pay(back_office, order).status_code == 200


@pytest.mark.parametrize("field", ["login", "stripe_account", "test", "slug"])
def test_t34_what_a_gateway_has_no_place_for_is_refused_by_its_name(back_office, field):
    answer = back_office.put("/v2/gateways/manual", {"enabled": False, field: "sk_test_1"})

    [error] = answer.json()["errors"]
    assert error["source"] == f"data.{field}"
    assert back_office.get("/v2/gateways/manual").json()["data"]["enabled"] is True


def test_an_unknown_gateway(back_office):
    Gateway.objects.create(slug="left-behind", name="Of an older version", enabled=True)
    order = order_of()

    for slug in ("nobody", "left-behind"):
        assert back_office.get(f"/v2/gateways/{slug}").status_code == 404
        assert back_office.put(f"/v2/gateways/{slug}", {"enabled": True}).status_code == 404
        assert pay(back_office, order, slug).status_code == 422
    assert len(back_office.get("/v2/gateways").json()["data"]) == 3


def test_outside_of_the_demo_there_is_no_test_gateway(back_office, settings):
    settings.HOLDFAST_DEMO = False

    listed = back_office.get("/v2/gateways").json()["data"]
    assert [row["slug"] for row in listed] == ["manual", "stripe"]
    assert back_office.get("/v2/gateways/test").status_code == 404
    assert pay(back_office, order_of(), "test").status_code == 422


def test_f44_shoppers_may_not_record_a_manual_payment_unless_the_store_lets_them(
    back_office, storefront, settings
):
    settings.MANUAL_GATEWAY_FOR_SHOPPERS = False
    order, free = order_of(), order_of(amount=0)

    for unpaid in (order, free):
        refused = pay(storefront, unpaid)
        assert (refused.status_code, the_error(refused)["title"]) == (403, "Forbidden")
        assert not unpaid.payments.exists()
    assert pay(storefront, order, "test").status_code == 200


# Paying.


def test_a_transaction_in_the_shape_of_the_contract(back_office):
    order = order_of(2500)
    meta = {"name": "Cash", "custom_reference": "desk 3"}

    answer = pay(back_office, order, paymentmethod_meta=meta)

    shown = answer.json()["data"]
    assert answer.status_code == 200
    assert_shape(shown, TRANSACTION)
    assert (shown["name"], shown["custom_reference"]) == ("Cash", "desk 3")
    assert (shown["gateway"], shown["reference"]) == ("manual", "manual")
    assert (shown["transaction_type"], shown["status"]) == ("purchase", "complete")
    assert (shown["amount"], shown["refunded_amount"]) == (2500, 0)
    assert shown["meta"]["display_price"]["formatted"] == "$25.00"
    assert shown["meta"]["display_refunded_amount"]["total"]["formatted"] == "$0.00"
    assert shown["relationships"]["order"]["data"]["id"] == str(order.pk)
    assert "pending_action" not in shown
    one = back_office.get(f"{transactions_of(order)}/{shown['id']}")
    assert (one.status_code, one.json()["data"]) == (200, shown)
    assert back_office.get(transactions_of(order)).json() == {"data": [shown]}
    assert states(back_office, order) == ("complete", "paid", "unfulfilled")


def test_an_unknown_order_or_transaction_is_not_found(back_office):
    order, other = order_of(), order_of()
    paid = pay(back_office, other).json()["data"]["id"]

    assert back_office.pay(str(UNKNOWN_ID)).status_code == 404
    assert back_office.get(f"/v2/orders/{UNKNOWN_ID}/transactions").status_code == 404
    for transaction in (UNKNOWN_ID, paid):
        path = f"{transactions_of(order)}/{transaction}"
        assert the_error(back_office.get(path))["status"] == 404
        for action in ("capture", "refund", "cancel"):
            assert the_error(back_office.post(f"{path}/{action}", {}))["status"] == 404


def test_an_order_nobody_has_paid_has_no_transactions(back_office):
    answer = back_office.get(transactions_of(order_of()))

    assert (answer.status_code, answer.json()) == (200, {"data": []})


def test_the_amount_is_what_is_left_unless_one_is_named(back_office):
    order = order_of(3000)

    parts = [pay(back_office, order, amount=1000), pay(back_office, order)]

    assert [part.json()["data"]["amount"] for part in parts] == [1000, 2000]
    assert states(back_office, order)[1] == "paid"


@pytest.mark.parametrize("amount", [0, -1, 2001, 2**31, 2**53, 10**30])
def test_an_amount_that_does_not_fit_is_a_bad_request(back_office, amount):
    order = order_of(3000)
    pay(back_office, order, amount=1000)

    error = the_error(pay(back_office, order, amount=amount))

    assert (error["status"], error["title"]) == (400, "Bad Request")
    assert error["detail"] == "Request could not be processed"
    assert order.payments.count() == 1


def test_a_malformed_payment_is_refused_before_stock_is_looked_at(back_office):
    shirt = product(stock=1, price=3000)
    order = unpaid_order({shirt: 1})
    paid_order({shirt: 1})

    malformed = pay(back_office, order, amount="all")
    too_much = pay(back_office, order, amount=3001)
    unknown = pay(back_office, order, "nobody")
    well_formed = pay(back_office, order)

    codes = [the_error(answer)["code"] for answer in (malformed, too_much, unknown, well_formed)]
    assert codes == [
        "field_type",
        "amount_not_payable",
        "gateway_not_enabled",
        "insufficient_stock",
    ]
    assert well_formed.status_code == 400


def test_what_is_paid_or_cancelled_takes_no_money(back_office):
    paid, cancelled, authorized = order_of(), order_of(), order_of()
    pay(back_office, paid)
    back_office.put(f"/v2/orders/{cancelled.pk}", {"status": "cancelled"})
    authorize(back_office, authorized)

    for order in (paid, cancelled, authorized):
        error = the_error(pay(back_office, order, amount=1))
        assert (error["status"], error["code"]) == (422, "order_not_payable")
        assert error["title"] == "Unprocessable Entity"


def test_f17_a_declined_payment_is_a_402_and_stays_listed(storefront, back_office):
    order = order_of()

    answer = pay(storefront, order, "test", payment="decline")

    error = the_error(answer)
    assert (error["status"], error["title"]) == (402, "Payment declined")
    assert error["code"] == "payment_declined"
    [listed] = back_office.get(transactions_of(order)).json()["data"]
    assert_shape(listed, TRANSACTION)
    assert (listed["status"], listed["transaction_type"]) == ("failed", "purchase")
    assert states(back_office, order) == ("incomplete", "unpaid", "unfulfilled")
    assert stock_of(order.items.get().product).allocated == 0


def test_f16_a_payment_without_an_answer_is_a_202_until_it_is_settled(storefront, back_office):
    order = order_of()

    answer = pay(storefront, order, "test", payment="slow")

    shown = answer.json()["data"]
    assert answer.status_code == 202
    assert_shape(shown, TRANSACTION)
    assert shown["status"] == "pending"
    assert stock_of(order.items.get().product).allocated == 1
    prices = back_office.get(f"/v2/orders/{order.pk}").json()["data"]["meta"]["display_price"]
    assert (prices["paid"]["amount"], prices["balance_owing"]["amount"]) == (0, 3000)
    recovery.settle_pending()
    assert back_office.get(f"{transactions_of(order)}/{shown['id']}").json()["data"]["status"] == (
        "complete"
    )
    assert states(back_office, order)[1] == "paid"


def test_while_pending_payments_cover_the_rest_another_one_is_a_conflict(storefront, back_office):
    order = order_of(3000)
    pay(storefront, order, "test", payment="slow", amount=1000)
    pay(storefront, order, "test", payment="slow")

    answer = pay(storefront, order, "test")

    assert (answer.status_code, the_error(answer)["code"]) == (409, "payment_pending")
    assert int(answer["Retry-After"]) >= 1
    for change in ({"status": "cancelled"}, {"shipping": "fulfilled"}):
        waiting = back_office.put(f"/v2/orders/{order.pk}", change)
        assert (waiting.status_code, the_error(waiting)["code"]) == (409, "payment_under_way")
        assert int(waiting["Retry-After"]) >= 1


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        ([], ("incomplete", "unpaid")),
        ([("authorize", 1000)], ("incomplete", "partially_authorized")),
        ([("purchase", 1000)], ("incomplete", "partially_paid")),
        ([("purchase", 1000), ("authorize", 1000)], ("incomplete", "partially_paid")),
        ([("authorize", 3000)], ("processing", "authorized")),
        ([("purchase", 1000), ("authorize", 2000)], ("processing", "authorized")),
        ([("purchase", 3000)], ("complete", "paid")),
        ([("purchase", 1000), ("purchase", 2000)], ("complete", "paid")),
    ],
)
def test_what_payments_make_of_an_order(back_office, parts, expected):
    order = order_of(3000)
    for method, amount in parts:
        assert pay(back_office, order, method=method, amount=amount).status_code == 200

    shown = back_office.get(f"/v2/orders/{order.pk}").json()["data"]

    assert (shown["status"], shown["payment"]) == expected
    paid = sum(amount for method, amount in parts if method == "purchase")
    authorized = sum(amount for method, amount in parts if method == "authorize")
    prices = shown["meta"]["display_price"]
    assert prices["paid"]["amount"] == paid
    assert prices["authorized"]["amount"] == authorized
    assert prices["balance_owing"]["amount"] == 3000 - paid - authorized
    assert ("fully_paid_at" in shown["meta"]["timestamps"]) == (paid == 3000)


# Captures, refunds and voids.


@pytest.mark.parametrize("body", [[], [{}], [{"custom_reference": "x"}]])
def test_capturing_changes_the_transaction_in_place(back_office, body):
    order = order_of()
    authorized = authorize(back_office, order)

    answer = act(back_office, order, authorized, "capture", *body)

    shown = answer.json()["data"]
    assert answer.status_code == 200
    assert_shape(shown, TRANSACTION)
    assert shown["id"] == authorized.json()["data"]["id"]
    assert authorized.json()["data"]["transaction_type"] == "authorize"
    assert (shown["transaction_type"], shown["status"]) == ("capture", "complete")
    assert len(back_office.get(transactions_of(order)).json()["data"]) == 1
    assert states(back_office, order)[:2] == ("complete", "paid")


def test_only_an_open_authorization_is_captured(back_office):
    order, other = order_of(), order_of()
    purchase, authorized = pay(back_office, order), authorize(back_office, other)
    act(back_office, other, authorized, "capture")

    for of, transaction in ((order, purchase), (other, authorized)):
        error = the_error(act(back_office, of, transaction, "capture"))
        assert (error["status"], error["code"]) == (422, "transaction_not_capturable")


def test_t09_a_capture_of_a_part_takes_that_part(back_office):
    order = order_of(2000)
    authorized = authorize(back_office, order, "test")

    answer = act(
        back_office, order, authorized, "capture", {"amount": 500, "custom_reference": "A-7"}
    )

    shown = answer.json()["data"]
    assert (answer.status_code, shown["custom_reference"]) == (200, "A-7")
    assert (shown["amount"], shown["captured_amount"]) == (2000, 500)
    assert states(back_office, order)[:2] == ("incomplete", "partially_paid")
    prices = back_office.get(f"/v2/orders/{order.pk}").json()["data"]["meta"]["display_price"]
    sums = [prices[name]["amount"] for name in ("paid", "authorized", "balance_owing")]
    assert sums == [500, 0, 1500]
    assert pay(back_office, order).json()["data"]["amount"] == 1500


def test_more_than_is_authorized_is_not_captured(back_office):
    order = order_of(2000)
    authorized = authorize(back_office, order)

    error = the_error(act(back_office, order, authorized, "capture", {"amount": 2001}))

    assert (error["status"], error["source"]) == (422, "data.amount")
    assert error["code"] == "amount_not_capturable"


# A call about money of which not all is understood is not done.


@pytest.fixture
def to_move(back_office) -> dict[str, str]:
    """Where money can be moved, by the name of the call."""
    paid, authorized, waiting, unpaid = (order_of(2000) for _ in range(4))
    for order, fields in (
        (paid, {}),
        (authorized, {"method": "authorize", "gateway": "test"}),
        (waiting, {"gateway": "test", "payment": "requires_action"}),
    ):
        assert pay(back_office, order, **fields).status_code in {200, 202}
    one = {
        each: f"{transactions_of(each)}/{each.payments.get().pk}"
        for each in (paid, authorized, waiting)
    }
    return {
        "pay": f"/v2/orders/{unpaid.pk}/payments",
        "capture": f"{one[authorized]}/capture",
        "refund": f"{one[paid]}/refund",
        "cancel": f"{one[authorized]}/cancel",
        "confirm": f"{one[waiting]}/confirm",
        "order": f"/v2/orders/{paid.pk}",
    }


NEEDED = {"pay": {"gateway": "test", "method": "purchase"}, "order": {"status": "cancelled"}}
CALLS = ["pay", "capture", "refund", "cancel", "confirm", "order"]


def ask(api: Api, call: str, path: str, body: Any, query: str = "") -> Any:
    text = body if isinstance(body, str) else json.dumps(body)
    return api.send("PUT" if call == "order" else "POST", path + query, text)


def assert_not_done(answer: Any, *expected: tuple[str, str]) -> None:
    """Refused by these fields for these reasons, and no money moved."""
    errors = answer.json()["errors"]
    assert sorted((error["source"], error["code"]) for error in errors) == sorted(expected)
    assert answer.status_code == 422
    assert {error["status"] for error in errors} == {422}
    assert not Attempt.objects.exists()
    assert sorted(Payment.objects.values_list("status", flat=True)) == (
        ["complete", "complete", "pending"]
    )
    assert not Order.objects.filter(status="cancelled").exists()


@pytest.mark.parametrize("call", CALLS)
def test_t10_a_name_that_nobody_knows_is_refused_by_its_source(back_office, to_move, call):
    data = NEEDED.get(call, {})

    def told(body: Any, query: str = "") -> Any:
        return ask(back_office, call, to_move[call], body, query)

    unknown = "unknown_field"
    assert_not_done(told({"data": {**data, "amout": 500}}), ("data.amout", unknown))
    assert_not_done(told({"data": data, "amount": 500}), ("amount", unknown))
    assert_not_done(told({"data": data}, "?amount=500"), ("amount", unknown))
    assert_not_done(
        told({"data": {**data, "Amount": 5, "x": {}}, "meta": None}),
        *(("data.Amount", unknown), ("data.x", unknown), ("meta", unknown)),
    )
    if call != "order":
        nested = {**data, "options": {"amount": 500, "receipt_email": "a@b.c"}}
        assert_not_done(
            told({"data": nested}),
            ("data.options.amount", unknown),
            ("data.options.receipt_email", "not_supported"),
        )


@pytest.mark.parametrize(
    ("call", "field", "value"),
    [
        ("pay", "payment_method_types", ["card"]),
        ("capture", "capture_mechanism", "manual"),
        ("refund", "refund_mechanism", "manual"),
        ("confirm", "payment", "pi_1"),
        ("order", "external_ref", "x"),
        ("order", "payment", "refunded"),
        ("order", "shipping", "fulfilled"),
    ],
)
def test_a_published_field_that_nothing_comes_of_is_refused(
    back_office, to_move, call, field, value
):
    body = {"data": {**NEEDED.get(call, {}), field: value}}

    answer = ask(back_office, call, to_move[call], body)

    assert_not_done(answer, (f"data.{field}", "not_supported"))


WRONG_KINDS: list[Any] = ["x", "500", 1.5, 500.0, True, None, [500], {}]


@pytest.mark.parametrize("call", ["capture", "refund", "pay"])
def test_t09_an_amount_of_a_wrong_kind_or_size_moves_nothing(back_office, to_move, call):
    # What is too much or too little for a payment is refused as the contract has it.
    for amount in [*WRONG_KINDS, *([] if call == "pay" else [-1, 0, 2**63])]:
        data = {**NEEDED.get(call, {}), "amount": amount}
        answer = ask(back_office, call, to_move[call], {"data": data})

        [error] = answer.json()["errors"]
        assert_not_done(answer, ("data.amount", error["code"]))


def test_data_that_is_no_object_moves_nothing(back_office, to_move):
    for call in ("capture", "refund", "cancel", "confirm"):
        for data in ([], [{"amount": 1}], "x", None, 5, True):
            for body in ({"data": data}, data):
                answer = ask(back_office, call, to_move[call], json.dumps(body))

                [error] = answer.json()["errors"]
                assert_not_done(answer, ("data", error["code"]))


@pytest.mark.parametrize(
    "body", ['{"data": {"amount": 1, "amount": 2}}', '{"data": {}, "data": 1}']
)
def test_a_name_that_stands_twice_moves_nothing(back_office, to_move, body):
    for call in CALLS:
        answer = ask(back_office, call, to_move[call], body)

        assert (answer.status_code, the_error(answer)["code"]) == (400, "malformed")
    assert not Attempt.objects.exists()


def test_what_a_refusal_repeats_of_unknown_names_is_bounded(back_office, to_move):
    names = {f"{number}\ud800" + "x" * 500: 1 for number in range(50)}

    answer = ask(back_office, "refund", to_move["refund"], {"data": names})

    assert (answer.status_code, len(answer.json()["errors"])) == (422, 20)
    assert len(answer.content) < 10_000


@pytest.mark.parametrize("call", ["capture", "refund", "cancel", "confirm"])
@pytest.mark.parametrize("body", ["", "{}", {"data": {}}, {"data": {"options": {}}}], ids=str)
def test_to_say_nothing_is_understood(back_office, to_move, call, body):
    answer = ask(back_office, call, to_move[call], body)

    assert answer.status_code == 200


@pytest.mark.parametrize("name", ["Status", "stauts", "shiping"])
def test_t10_an_order_is_not_answered_as_if_it_had_been_cancelled(back_office, name):
    path = f"/v2/orders/{order_of().pk}"

    answer = back_office.put(path, {name: "cancelled"})

    error = the_error(answer)
    assert (error["status"], error["source"], error["code"]) == (
        422,
        f"data.{name}",
        "unknown_field",
    )
    kept = back_office.put(path, {name: "cancelled", "external_ref": "A-1"}).json()["data"]
    assert (kept["status"], kept["external_ref"]) == ("incomplete", "A-1")
    assert back_office.put(path, {}).json()["data"]["status"] == "incomplete"


def test_a_type_says_nothing_more_than_the_address(back_office, to_move):
    for call in ("capture", "refund", "confirm", "pay", "order"):
        body = {"data": {**NEEDED.get(call, {}), "type": "transaction"}}

        assert ask(back_office, call, to_move[call], body).status_code == 200


def test_refunding_a_part_changes_the_transaction_in_place(back_office):
    order = order_of(3000)
    paid = pay(back_office, order)

    answer = act(back_office, order, paid, "refund", {"amount": 1000})

    shown = answer.json()["data"]
    assert answer.status_code == 200
    assert_shape(shown, TRANSACTION)
    assert shown["id"] == paid.json()["data"]["id"]
    assert (shown["transaction_type"], shown["status"]) == ("refund", "complete")
    assert (shown["amount"], shown["refunded_amount"]) == (3000, 1000)
    assert shown["meta"]["display_refunded_amount"]["total"]["formatted"] == "$10.00"
    assert states(back_office, order)[1] == "paid"
    assert the_error(pay(back_office, order, amount=1000))["code"] == "order_not_payable"


@pytest.mark.parametrize("body", [[], [{}], [{"amount": 3000}]])
def test_refunding_all_of_it(back_office, body):
    order = order_of(3000)
    paid = pay(back_office, order)

    answer = act(back_office, order, paid, "refund", *body)

    assert (answer.status_code, answer.json()["data"]["refunded_amount"]) == (200, 3000)
    assert states(back_office, order)[1] == "refunded"
    assert stock_of(order.items.get().product).allocated == 1


def test_each_part_of_a_split_payment_is_refunded_by_itself(back_office):
    order = order_of(3000)
    first, second = pay(back_office, order, amount=1000), pay(back_office, order)

    act(back_office, order, first, "refund", {})
    assert states(back_office, order)[1] == "paid"
    act(back_office, order, second, "refund", {})
    assert states(back_office, order)[1] == "refunded"


@pytest.mark.parametrize("amount", [2001, 2**53 - 1])
def test_f24_no_more_is_refunded_than_was_paid(back_office, amount):
    order = order_of(3000)
    paid = pay(back_office, order)
    act(back_office, order, paid, "refund", {"amount": 1000})

    error = the_error(act(back_office, order, paid, "refund", {"amount": amount}))

    assert (error["status"], error["title"]) == (422, "Unprocessable Entity")
    assert error["detail"] == "Transaction cannot be refunded in its current state"
    assert Payment.objects.get().refunded_amount == 1000


def test_what_was_not_captured_is_not_refunded(back_office):
    partly, authorized, failed = order_of(), order_of(), order_of()
    part = pay(back_office, partly, amount=1000)
    authorization = authorize(back_office, authorized)
    pay(back_office, failed, "test", payment="decline")
    [declined] = back_office.get(transactions_of(failed)).json()["data"]

    refused = [
        act(back_office, partly, part, "refund", {}),
        act(back_office, authorized, authorization, "refund", {}),
        back_office.post(f"{transactions_of(failed)}/{declined['id']}/refund", {}),
    ]

    codes = {the_error(answer)["code"] for answer in refused}
    assert codes == {"transaction_not_refundable"}


def test_a_cancelled_order_can_still_be_refunded(back_office):
    order = order_of()
    part = pay(back_office, order, amount=1000)
    back_office.put(f"/v2/orders/{order.pk}", {"status": "cancelled"})

    answer = act(back_office, order, part, "refund", {"amount": 1000})

    assert (answer.status_code, answer.json()["data"]["refunded_amount"]) == (200, 1000)
    assert states(back_office, order)[:2] == ("cancelled", "refunded")


def test_an_authorization_is_let_go(back_office):
    order = order_of()
    authorized = authorize(back_office, order, "test")

    answer = act(back_office, order, authorized, "cancel", {"reason": "changed my mind"})

    shown = answer.json()["data"]
    assert answer.status_code == 200
    assert (shown["transaction_type"], shown["status"]) == ("authorize", "cancelled")
    assert states(back_office, order)[:2] == ("incomplete", "unpaid")
    assert stock_of(order.items.get().product).allocated == 0
    error = the_error(act(back_office, order, authorized, "cancel"))
    assert (error["status"], error["code"]) == (422, "transaction_not_cancellable")


def test_a_manual_payment_is_not_cancelled_in_the_words_of_the_contract(back_office):
    order = order_of()
    authorized = authorize(back_office, order)

    error = the_error(act(back_office, order, authorized, "cancel"))

    assert error["status"] == 422
    assert error["title"] == "Unsupported gateway operation"
    assert error["detail"] == "Cancellation is not supported for Manual payment gateway"


@pytest.mark.parametrize("gateway_slug", ["manual", "test"])
def test_cancelling_an_order_lets_its_authorizations_go(back_office, gateway_slug):
    order = order_of()
    authorized = authorize(back_office, order, gateway_slug)

    answer = back_office.put(f"/v2/orders/{order.pk}", {"status": "cancelled"})

    shown = answer.json()["data"]
    assert (shown["status"], shown["payment"]) == ("cancelled", "unpaid")
    path = f"{transactions_of(order)}/{authorized.json()['data']['id']}"
    assert back_office.get(path).json()["data"]["status"] == "cancelled"


@pytest.mark.parametrize(
    ("action", "method", "type_before"),
    [
        ("capture", "authorize", "authorize"),
        ("refund", "purchase", "purchase"),
        ("cancel", "authorize", "authorize"),
    ],
)
def test_what_the_gateway_has_not_answered_yet_is_a_202_with_the_transaction_unchanged(
    back_office, gateway, action, method, type_before
):
    order = order_of()
    answer = pay(back_office, order, "fake", method=method)
    gateway.on_perform = lambda attempt: UNKNOWN
    gateway.on_find = lambda attempt: UNKNOWN

    pending = act(
        back_office, order, answer, action, {"amount": 1000} if action == "refund" else {}
    )

    shown = pending.json()["data"]
    assert pending.status_code == 202
    assert_shape(shown, TRANSACTION)
    assert shown["pending_action"] == ("void" if action == "cancel" else action)
    assert (shown["transaction_type"], shown["status"]) == (type_before, "complete")
    assert shown["refunded_amount"] == 0
    [listed] = back_office.get(transactions_of(order)).json()["data"]
    assert listed == shown
    gateway.on_find = lambda attempt: Answer(Outcome.SUCCEEDED)
    recovery.settle_pending()
    [settled] = back_office.get(transactions_of(order)).json()["data"]
    assert "pending_action" not in settled
    assert settled != shown


def test_confirming_tells_of_a_refund_on_its_way_the_first_time_and_again(back_office, gateway):
    order = order_of()
    paid = pay(back_office, order, "fake")
    gateway.on_perform = lambda attempt: UNKNOWN
    act(back_office, order, paid, "refund", {"amount": 1000})
    path = f"{transactions_of(order)}/{paid.json()['data']['id']}/confirm"

    first, again = (back_office.post(path, {}, key="once") for _ in range(2))

    assert (first.status_code, first.json()) == (again.status_code, again.json())
    assert first.status_code == 202
    assert first.json()["data"]["pending_action"] == "refund"


def test_a_gateway_that_refuses_leaves_the_transaction_as_it_was(back_office, gateway: FakeGateway):
    order = order_of()
    paid = pay(back_office, order, "fake")
    gateway.on_perform = lambda attempt: DECLINED

    refused = act(back_office, order, paid, "refund", {"amount": 1000})

    assert (refused.status_code, the_error(refused)["code"]) == (422, "gateway_refused")
    path = f"{transactions_of(order)}/{paid.json()['data']['id']}"
    shown = back_office.get(path).json()["data"]
    assert (shown["transaction_type"], shown["refunded_amount"]) == ("purchase", 0)
    gateway.on_perform = lambda attempt: OK
    assert act(back_office, order, paid, "refund", {"amount": 3000}).status_code == 200


def test_the_gateway_names_the_reference(back_office, gateway: FakeGateway):
    assert pay(back_office, order_of(), "fake").json()["data"]["reference"] == "ch_1"


# What became of my order.


def test_a_shopper_learns_what_became_of_the_orders_of_a_cart(storefront, back_office):
    shirt = product(stock=9, price=1000)
    cart = filled_cart({shirt: 2})
    first = storefront.check_out(cart).json()["data"]["id"]
    with clock.replaced(itertools.repeat(clock.now() + timedelta(minutes=1)).__next__):
        second = storefront.check_out(cart).json()["data"]["id"]
    storefront.pay(first, amount=500)
    storefront.pay(first, gateway="test", payment="decline")
    storefront.pay(first)
    back_office.put(f"/v2/orders/{first}", {"shipping": "fulfilled"})

    answer = storefront.get(f"/v2/carts/{cart}/orders")

    body = answer.json()
    assert answer.status_code == 200
    assert_shape(body["data"], [SEEN_BY_ITS_BUYER])
    assert [order["id"] for order in body["data"]] == [second, first]
    assert body["meta"]["results"]["total"] == 2
    paid = body["data"][1]
    assert (paid["status"], paid["payment"], paid["shipping"]) == ("complete", "paid", "fulfilled")
    assert paid["meta"]["display_price"]["with_tax"]["amount"] == 2000
    assert [(item["sku"], item["quantity"]) for item in paid["items"]] == [(shirt.sku, 2)]
    told = [(part["status"], part["amount"]) for part in paid["transactions"]]
    assert told == [("complete", 500), ("failed", 1500), ("complete", 1500)]
    for private in ("Ada", "ada@example.com", "Mill Lane", "customer", "address"):
        assert private not in answer.content.decode()


def test_the_orders_outlive_their_cart_and_stay_with_it(storefront):
    mine, other = filled_cart({product(stock=1): 1}), filled_cart({product(stock=1): 1})
    order = storefront.check_out(mine).json()["data"]["id"]
    storefront.delete(f"/v2/carts/{mine}")

    assert [row["id"] for row in storefront.get(f"/v2/carts/{mine}/orders").json()["data"]] == [
        order
    ]
    assert storefront.get(f"/v2/carts/{other}/orders").json()["data"] == []


# What it costs.


def test_many_transactions_cost_as_many_statements_as_one(back_office):
    short, long = order_of(3000), order_of(3000)
    for order, parts in ((short, 1), (long, 25)):
        for _ in range(parts):
            payments.pay(order.pk, PaymentRequest("manual", amount=10), actor=MERCHANT)
    back_office.get(transactions_of(short))

    one = statements(lambda: back_office.get(transactions_of(short)))
    many = statements(lambda: back_office.get(transactions_of(long)))

    assert len(back_office.get(transactions_of(long)).json()["data"]) == 25
    assert one == many


def test_t40_the_orders_of_a_cart_come_in_small_pages():
    made, storefront = product(stock=20), shopper()
    cart = filled_cart({made: 1})
    for _ in range(12):
        storefront.check_out(cart)
    path = f"/v2/carts/{cart}/orders"

    first = storefront.get(path).json()
    second = storefront.get(first["links"]["next"]).json()

    assert [len(page["data"]) for page in (first, second)] == [10, 2]
    assert storefront.get(f"{path}?page[limit]=10").status_code == 200
    assert storefront.get(f"{path}?page[limit]=11").status_code == 400


def test_the_buyer_of_many_parts_asks_in_as_many_statements(storefront):
    cart = filled_cart({product(stock=9, price=3000): 1})
    order = storefront.check_out(cart).json()["data"]["id"]
    storefront.pay(order, amount=10)
    path = f"/v2/carts/{cart}/orders"
    one = statements(lambda: storefront.get(path))
    for _ in range(24):
        storefront.pay(order, amount=10)

    assert len(storefront.get(path).json()["data"][0]["transactions"]) == 25
    assert statements(lambda: storefront.get(path)) == one
