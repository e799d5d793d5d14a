"""Shipping in parts, cancelling the rest and taking back on the wire: shapes and status codes."""

import uuid
from functools import partial
from typing import Any

import pytest

from inventory.models import Product
from inventory.services import stock as inventory
from orders.models import Order, Shipment
from orders.services import shipments
from tests.concurrency import run_together
from tests.factories import MERCHANT, paid_order, product, stock_of, unpaid_order
from tests.http import Api, a_moment, an_id, assert_shape, statements
from tests.orders.test_views import ORDER_ITEM

pytestmark = pytest.mark.django_db

UNKNOWN = uuid.UUID("01234567-89ab-7def-8123-456789abcdef")
ACTOR = {"type": "api_client", "id": str, "name": str}
SHIPMENT = {
    "id": an_id,
    "type": "shipment",
    "number": int,
    "carrier": str,
    "tracking_reference": str,
    "items": [{"type": "order_item", "id": an_id, "sku": str, "quantity": int}],
    "actor": ACTOR,
    "relationships": {"order": {"data": {"type": "order", "id": an_id}}},
    "meta": {"timestamps": {"created_at": a_moment}},
}
RETURN = {
    "id": an_id,
    "type": "return",
    "number": int,
    "reason": str,
    "items": [
        {
            "type": "return_item",
            "id": an_id,
            "order_item_id": an_id,
            "sku": str,
            "quantity": int,
            "disposition": str,
        }
    ],
    "actor": ACTOR,
    "relationships": {"order": {"data": {"type": "order", "id": an_id}}},
    "meta": {"timestamps": {"created_at": a_moment}},
}


class Sold:
    """A paid order of five shirts and two caps, over the API."""

    def __init__(self, api: Api) -> None:
        self.api = api
        self.shirt, self.cap = product(stock=10, sku="SHIRT"), product(stock=10, sku="CAP")
        self.order = paid_order({self.shirt: 5, self.cap: 2})
        self.path = f"/v2/orders/{self.order.pk}"
        self.items = {item.sku: str(item.pk) for item in self.order.items.all()}

    def units(self, **quantities: int) -> list[dict[str, Any]]:
        return [{"id": self.items[sku], "quantity": units} for sku, units in quantities.items()]

    def ship(self, key: str = "", **quantities: int) -> Any:
        data = {"type": "shipment", "items": self.units(**quantities)}
        return self.api.post(f"{self.path}/shipments", data, key=key)

    def cancel(self, key: str = "", **quantities: int) -> Any:
        data = {"type": "cancellation", "items": self.units(**quantities)}
        return self.api.post(f"{self.path}/cancellations", data, key=key)

    def take_back(self, disposition: str, key: str = "", **quantities: int) -> Any:
        items = [{**item, "disposition": disposition} for item in self.units(**quantities)]
        return self.api.post(f"{self.path}/returns", {"type": "return", "items": items}, key=key)

    def told(self) -> dict[str, tuple[int, ...]]:
        """What each item says of its units: shipped, cancelled, returned."""
        names = ("quantity_shipped", "quantity_cancelled", "quantity_returned")
        items = self.api.get(f"{self.path}/items").json()["data"]
        return {item["sku"]: tuple(item[name] for name in names) for item in items}

    def shipping(self) -> str:
        return str(self.api.get(self.path).json()["data"]["shipping"])


@pytest.fixture
def sold(back_office: Api) -> Sold:
    return Sold(back_office)


def numbers(wanted: Product) -> tuple[int, int]:
    """Total and allocated."""
    stock = stock_of(wanted)
    return stock.total, stock.allocated


def refusal(answer: Any) -> tuple[int, str, str]:
    [error] = answer.json()["errors"]
    return answer.status_code, error["code"], error.get("source", "")


# Shipments.


def test_an_order_leaves_in_two_parts(sold):
    data = {"items": sold.units(SHIRT=3), "carrier": "DHL", "tracking_reference": "JD014"}
    first = sold.api.post(f"{sold.path}/shipments", {"type": "shipment", **data})
    between = sold.shipping()
    rest = sold.api.post(f"{sold.path}/shipments", {"type": "shipment"})

    assert first.status_code == rest.status_code == 201
    shown = first.json()["data"]
    assert_shape(shown, SHIPMENT)
    assert (shown["number"], shown["carrier"], shown["tracking_reference"]) == (1, "DHL", "JD014")
    assert shown["items"] == [{"type": "order_item", "sku": "SHIRT", **sold.units(SHIRT=3)[0]}]
    assert [(each["sku"], each["quantity"]) for each in rest.json()["data"]["items"]] == [
        ("SHIRT", 2),
        ("CAP", 2),
    ]
    assert (between, sold.shipping()) == ("unfulfilled", "fulfilled")
    assert sold.told() == {"SHIRT": (5, 0, 0), "CAP": (2, 0, 0)}
    assert (numbers(sold.shirt), numbers(sold.cap)) == ((5, 0), (8, 0))


def test_the_published_call_ships_what_is_left_as_one_shipment(sold):
    sold.ship(SHIRT=3)

    answer = sold.api.put(sold.path, {"type": "order", "shipping": "fulfilled"})

    listed = sold.api.get(f"{sold.path}/shipments").json()["data"]
    told = answer.json()["data"]["relationships"]["shipments"]["data"]
    assert answer.status_code == 200
    assert [sum(item["quantity"] for item in each["items"]) for each in listed] == [3, 4]
    assert told == [{"type": "shipment", "id": each["id"]} for each in listed]


def test_an_order_names_the_shipments_that_stand(sold):
    first, second = (sold.ship(SHIRT=1).json()["data"]["id"] for _ in range(2))
    undone = sold.api.post(f"{sold.path}/shipments/{first}/undo", {"reason": "The wrong box"})

    [listed] = sold.api.get("/v2/orders?include=items").json()["data"]

    assert listed["relationships"]["shipments"]["data"] == [{"type": "shipment", "id": second}]
    assert undone.status_code == 200
    assert_shape(undone.json()["data"], SHIPMENT)
    assert a_moment(undone.json()["data"]["meta"]["timestamps"]["undone_at"])
    shown = sold.api.get(f"{sold.path}/shipments").json()["data"]
    assert [each["number"] for each in shown] == [1, 2]
    assert shown[0] == undone.json()["data"]
    assert shown[1] == sold.api.get(f"{sold.path}/shipments/{second}").json()["data"]
    assert sold.told()["SHIRT"] == (1, 0, 0)
    assert numbers(sold.shirt) == (9, 4)


def test_a_shipment_is_undone_without_a_word_but_not_twice(sold):
    path = f"{sold.path}/shipments/{sold.ship(SHIRT=1).json()['data']['id']}/undo"

    assert sold.api.post(path).status_code == 200
    assert refusal(sold.api.post(path)) == (422, "ship_not_undoable", "")


def test_where_the_units_were_is_asked_if_they_were_counted_since(sold):
    path = f"{sold.path}/shipments/{sold.ship(SHIRT=1).json()['data']['id']}/undo"
    inventory.count(sold.shirt.pk, 9, actor=MERCHANT)

    unsaid = sold.api.post(path, {"reason": "Not sent"})
    nowhere = sold.api.post(path, {"whereabouts": "elsewhere"})
    said = sold.api.post(path, {"reason": "Not sent", "whereabouts": "shelf"})

    assert refusal(unsaid) == (422, "counted_since_shipped", "")
    assert refusal(nowhere) == (422, "field_invalid_choice", "data.whereabouts")
    assert said.status_code == 200
    assert numbers(sold.shirt) == (9, 5)


# Cancelling a part.


def test_the_rest_is_cancelled_and_the_order_is_fulfilled(sold):
    sold.ship(SHIRT=3)

    answer = sold.api.post(f"{sold.path}/cancellations", {"reason": "No more of them"})

    assert answer.status_code == 200
    assert_shape(answer.json()["included"]["items"], [ORDER_ITEM])
    order = answer.json()["data"]
    assert (order["status"], order["payment"], order["shipping"]) == (
        "complete",
        "paid",
        "fulfilled",
    )
    assert sold.told() == {"SHIRT": (3, 2, 0), "CAP": (0, 2, 0)}
    assert (numbers(sold.shirt), numbers(sold.cap)) == ((7, 0), (10, 0))


def test_f30_units_that_nobody_can_have_any_more_are_written_off(sold):
    data = {"items": sold.units(CAP=1), "restock": False, "reason": "Damaged"}

    answer = sold.api.post(f"{sold.path}/cancellations", data)

    assert answer.status_code == 200
    assert sold.told()["CAP"] == (0, 1, 0)
    assert numbers(sold.cap) == (9, 1)


def test_an_order_of_which_nothing_left_is_cancelled_as_a_whole(sold):
    refused = sold.api.post(f"{sold.path}/cancellations", {"type": "cancellation"})
    sold.ship(SHIRT=1)
    whole = sold.api.put(sold.path, {"status": "cancelled"})

    assert refusal(refused)[:2] == refusal(whole)[:2] == (422, "order_not_cancellable")


# Returns.


def test_units_come_back_each_with_what_becomes_of_it(sold):
    sold.api.put(sold.path, {"shipping": "fulfilled"})
    shirt, cap = sold.units(SHIRT=1, CAP=2)
    items = [
        {**cap, "disposition": "discarded"},
        {**shirt, "disposition": "restocked"},
        {**shirt, "quantity": 2, "disposition": "inspection"},
        {**shirt, "disposition": "missing"},
    ]

    answer = sold.api.post(f"{sold.path}/returns", {"items": items, "reason": "Too small"})

    shown = answer.json()["data"]
    assert answer.status_code == 201
    assert_shape(shown, RETURN)
    assert (shown["number"], shown["reason"]) == (1, "Too small")
    assert sorted((each["disposition"], each["quantity"]) for each in shown["items"]) == [
        ("discarded", 2),
        ("inspection", 2),
        ("missing", 1),
        ("restocked", 1),
    ]
    assert sold.told() == {"SHIRT": (5, 0, 4), "CAP": (2, 0, 2)}
    assert (numbers(sold.shirt), numbers(sold.cap)) == ((8, 2), (8, 0))
    assert sold.api.get(f"{sold.path}/returns").json()["data"] == [shown]
    assert sold.api.get(f"{sold.path}/returns/{shown['id']}").json()["data"] == shown


def test_what_was_inspected_is_settled_in_parts(sold):
    sold.api.put(sold.path, {"shipping": "fulfilled"})
    back = sold.take_back("inspection", SHIRT=3).json()["data"]
    path = f"{sold.path}/returns/{back['id']}/items"

    def settle(line: str, **fields: Any) -> Any:
        return sold.api.post(f"{path}/{line}/settle", fields, key=f"{line}{fields}")

    first = settle(back["items"][0]["id"], disposition="restocked", quantity=2)
    [waiting] = [each for each in first.json()["data"]["items"] if "settled_as" not in each]
    second = settle(waiting["id"], disposition="discarded", reason="A hole")
    replayed = settle(waiting["id"], disposition="discarded", reason="A hole")
    again = settle(waiting["id"], disposition="restocked")

    assert first.status_code == second.status_code == 200
    assert_shape(second.json()["data"], RETURN)
    assert waiting["quantity"] == 1
    assert {each["settled_as"]: each["quantity"] for each in second.json()["data"]["items"]} == {
        "restocked": 2,
        "discarded": 1,
    }
    assert (replayed.json(), replayed["Idempotent-Replayed"]) == (second.json(), "true")
    assert refusal(again) == (422, "not_put_back", "")
    assert numbers(sold.shirt) == (7, 0)


def test_a_line_is_settled_at_the_address_of_its_own_return(sold):
    sold.api.put(sold.path, {"shipping": "fulfilled"})
    back, other = (sold.take_back("inspection", SHIRT=1).json()["data"] for _ in range(2))

    refused = sold.api.post(
        f"{sold.path}/returns/{other['id']}/items/{back['items'][0]['id']}/settle",
        {"disposition": "restocked"},
    )

    assert refusal(refused) == (404, "return_not_found", "")


# What is refused.

CALLS = ["shipments", "cancellations", "returns"]


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize(
    ("items", "code", "source"),
    [
        ([], "field_min_length", "data.items"),
        ([{}] * 401, "field_max_length", "data.items"),
        ([{"quantity": 0}], "field_min_value", "data.items.0.quantity"),
        ([{"quantity": 2**31}], "field_max_value", "data.items.0.quantity"),
        ([{"quantity": 1.5}], "field_type", "data.items.0.quantity"),
        ([{"quantity": "1"}], "field_type", "data.items.0.quantity"),
        ([{"sku": "SHIRT"}], "unknown_field", "data.items.0.sku"),
        ([{}, {}], "field_twice", "data.items.1.id"),
    ],
)
def test_items_that_are_no_request_are_named_by_their_place(sold, call, items, code, source):
    sold.ship(SHIRT=2)
    good = {**sold.units(SHIRT=1)[0], "disposition": "missing"}
    if call != "returns":
        good.pop("disposition")
    data = {"items": [{**good, **spoilt} for spoilt in items]}

    assert refusal(sold.api.post(f"{sold.path}/{call}", data)) == (422, code, source)
    assert sold.told()["SHIRT"] == (2, 0, 0)


@pytest.mark.parametrize("call", CALLS)
def test_a43_a_name_that_means_nothing_is_refused_wherever_it_stands(sold, call):
    path = f"{sold.path}/{call}"
    data = {"items": [{**sold.units(SHIRT=1)[0], "disposition": "missing"}], "tracking": "JD014"}

    unknown = sold.api.post(path, data)
    beside = sold.api.post(f"{path}?notify=true", {})

    assert unknown.status_code == 422
    assert "data.tracking" in [error["source"] for error in unknown.json()["errors"]]
    assert "notify" in [error["source"] for error in beside.json()["errors"]]
    assert sold.told()["SHIRT"] == (0, 0, 0)


@pytest.mark.parametrize("call", CALLS)
def test_an_item_of_another_order_is_named_by_its_place(sold, call):
    other = paid_order({product(stock=1): 1})
    items = [*sold.units(SHIRT=1), {"id": str(other.items.get().pk), "quantity": 1}]
    if call == "returns":
        sold.ship(SHIRT=1)
        items = [{**item, "disposition": "missing"} for item in items]

    refused = sold.api.post(f"{sold.path}/{call}", {"items": items})

    assert refusal(refused) == (404, "order_item_not_found", "data.items.1.id")


def test_more_than_is_left_is_refused_at_its_place_and_nothing_is_done(sold):
    sold.ship(SHIRT=3)

    refused = [sold.ship(CAP=1, SHIRT=3), sold.cancel(CAP=1, SHIRT=3)]
    back = sold.take_back("missing", SHIRT=4)

    for answer in refused:
        assert refusal(answer) == (422, "units_not_left", "data.items.1.quantity")
        assert answer.json()["errors"][0]["meta"]["left"] == 2
    assert refusal(back) == (422, "not_put_back", "data.items.0.quantity")
    assert sold.told() == {"SHIRT": (3, 0, 0), "CAP": (0, 0, 0)}


def test_an_order_that_is_not_paid_is_neither_shipped_nor_cancelled_in_part(back_office):
    path = f"/v2/orders/{unpaid_order({product(stock=1): 1}).pk}"

    shipped = back_office.post(f"{path}/shipments", {"type": "shipment"})
    cancelled = back_office.post(f"{path}/cancellations", {"type": "cancellation"})

    assert refusal(shipped) == (422, "order_not_shippable", "")
    assert refusal(cancelled) == (422, "order_not_cancellable", "")


def test_a12_while_a_refund_is_on_its_way_nothing_is_shipped(sold):
    Order.objects.filter(pk=sold.order.pk).update(refunds_open=1)

    shipped = sold.ship(SHIRT=1)

    Order.objects.filter(pk=sold.order.pk).update(refunds_open=0)
    assert refusal(shipped) == (409, "payment_under_way", "")
    assert shipped["Retry-After"]


@pytest.mark.parametrize(
    "path",
    ["shipments", "shipments/{id}", "returns", "returns/{id}"],
)
def test_what_an_order_does_not_have_is_not_found(sold, path):
    other = paid_order({product(stock=1): 1})
    mine = sold.ship(SHIRT=1).json()["data"]["id"]
    below = path.format(id=mine)

    for order_id in (UNKNOWN, other.pk) if "{id}" in path else (UNKNOWN,):
        assert sold.api.get(f"/v2/orders/{order_id}/{below}").status_code == 404


# Once.


def test_a23_each_call_is_done_once_under_its_key(sold):
    shipped = [sold.ship("s", SHIRT=2) for _ in range(2)]
    path = f"{sold.path}/shipments/{shipped[0].json()['data']['id']}/undo"
    cancelled = [sold.cancel("c", SHIRT=1) for _ in range(2)]
    back = [sold.take_back("missing", "r", SHIRT=1) for _ in range(2)]
    second = sold.ship(CAP=1).json()["data"]["id"]
    undone = [
        sold.api.post(path.replace(shipped[0].json()["data"]["id"], second), {}, key="u")
        for _ in range(2)
    ]

    for answers in (shipped, cancelled, back, undone):
        assert answers[0].status_code == answers[1].status_code < 300
        assert "Idempotent-Replayed" not in answers[0]
        assert answers[1]["Idempotent-Replayed"] == "true"
        assert answers[0].json()["data"]["id"] == answers[1].json()["data"]["id"]
    assert sold.told() == {"SHIRT": (2, 1, 1), "CAP": (0, 0, 0)}


def test_a_call_that_died_before_its_commit_is_done_by_the_next_under_its_key(sold, monkeypatch):
    def died(*_: Any, **__: Any) -> None:
        raise RuntimeError("the power is out")

    api = Api(raises=False)
    api.headers = sold.api.headers
    with monkeypatch.context() as patch:
        patch.setattr("orders.services.shipments.inventory.ship", died)
        sold.api, usual = api, sold.api
        broken = sold.ship("s", SHIRT=2)
        sold.api = usual

    assert broken.status_code == 500
    assert sold.told()["SHIRT"] == (0, 0, 0)
    assert sold.ship("s", SHIRT=2).status_code == 201
    assert sold.told()["SHIRT"] == (2, 0, 0)


@pytest.mark.thorough
@pytest.mark.django_db(transaction=True)
def test_f9_the_same_units_shipped_by_the_api_and_by_the_desk_leave_once(sold):
    units = {uuid.UUID(sold.items["SHIRT"]): 4}

    by_api, by_desk = run_together(
        partial(sold.ship, SHIRT=4),
        partial(shipments.ship, sold.order.pk, units=units, actor=MERCHANT),
    )

    assert (by_api.status_code == 201) != isinstance(by_desk, Shipment)
    assert sold.told()["SHIRT"] == (4, 0, 0)
    assert numbers(sold.shirt) == (6, 1)


# What it costs.


def test_shipping_and_taking_back_cost_the_same_for_1_line_and_for_20(back_office):
    def costs(lines: int) -> list[int]:
        order = paid_order({product(stock=1): 1 for _ in range(lines)})
        path = f"/v2/orders/{order.pk}"
        items = [{"id": str(item.pk), "quantity": 1} for item in order.items.all()]
        back = [{**item, "disposition": "inspection"} for item in items]
        return [
            statements(lambda: back_office.post(f"{path}/shipments", {"items": items})),
            statements(lambda: back_office.post(f"{path}/returns", {"items": back})),
            statements(lambda: back_office.get(path)),
        ]

    costs(1)
    assert costs(1) == costs(20)
