"""What is taken back of shipped orders, and what becomes of it."""

import uuid

import pytest

from api import clock
from api.actors import Actor
from api.errors import Moved
from inventory.errors import NotUndoable, StockNotFound, StockTooLow
from inventory.models import Action
from inventory.services import products
from inventory.services import stock as inventory
from inventory.services.stock import Whereabouts
from orders.errors import NotPutBack, NoUnits, OrderItemNotFound, ReturnNotFound
from orders.models import Order, OrderItem, Return, ReturnLine
from orders.services import returns, shipments
from orders.services.returns import TakenBack
from payments.models import Attempt
from payments.services import payments
from tests.factories import (
    MERCHANT,
    paid_order,
    product,
    shipped_order,
    stock_of,
    undo_ship,
)
from tests.stock import entries, numbers
from tests.tampering import tampering

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("impatient")]


def take_back(order: Order, **units: int) -> Return:
    """Take back so many units of the order's only line, by what becomes of them."""
    [line] = order.items.all()
    back = [TakenBack(line.pk, number, disposition) for disposition, number in units.items()]
    return returns.take_back(order.pk, back, actor=MERCHANT, reason="did not fit")


@pytest.mark.parametrize(
    ("disposition", "expected", "held", "log"),
    [
        ("restocked", (8, 8, 0), 0, [("increment", 2, "did not fit")]),
        (
            "inspection",
            (8, 6, 2),
            2,
            [("increment", 2, "did not fit"), ("allocate", 2, "return R-1 of order #{}")],
        ),
        ("discarded", (6, 6, 0), 0, []),
        ("missing", (6, 6, 0), 0, []),
    ],
)
def test_each_disposition_moves_its_own_stock(disposition, expected, held, log):
    shirt = product(stock=10, sku="SHIRT")
    order = shipped_order({shirt: 4})
    before = len(entries(shirt))

    back = take_back(order, **{disposition: 2})

    assert numbers(shirt) == expected
    assert stock_of(shirt).held == held
    assert [(a, n, why.replace(f"#{order.number}", "#{}")) for a, n, why in entries(shirt)][
        before:
    ] == log
    assert order.items.get().returned == 2
    assert (str(back), back.lines.get().disposition) == ("R-1", disposition)
    what = "to inspect" if disposition == "inspection" else disposition
    assert order.events.latest("pk").text == f"R-1: 2 of SHIRT {what}: did not fit"


def test_of_one_line_some_are_restocked_and_others_are_not():
    shirt = product(stock=10)
    order = shipped_order({shirt: 4})

    take_back(order, restocked=1, inspection=1, discarded=1, missing=1)

    assert numbers(shirt) == (8, 7, 1)
    assert order.items.get().returned == 4
    with pytest.raises(NotPutBack, match="Only 0 of") as refused:
        take_back(order, missing=1)
    assert refused.value.meta == {"id": str(order.items.get().pk), "sku": shirt.sku}


def test_what_was_shipped_is_taken_back_while_the_rest_is_open_and_no_more():
    shirt = product(stock=10)
    order = paid_order({shirt: 4})
    [line] = order.items.all()
    shipments.ship(order.pk, actor=MERCHANT, units={line.pk: 3})

    with pytest.raises(NotPutBack, match="Only 3 of"):
        take_back(order, restocked=2, missing=2)
    take_back(order, restocked=2)

    assert numbers(shirt) == (9, 8, 1)


def test_goods_are_taken_back_after_all_money_went_back():
    shirt = product(stock=10)
    order = shipped_order({shirt: 4})
    payments.refund(order.pk, order.payments.get().pk, None, actor=MERCHANT)

    take_back(order, restocked=4)

    order.refresh_from_db()
    assert (order.payment, order.shipping) == ("refunded", "fulfilled")
    assert numbers(shirt) == (10, 10, 0)


def test_a_return_with_its_refund_names_it():
    order = shipped_order({product(stock=10): 4})
    taken_back = [TakenBack(order.items.get().pk, 1, "missing")]

    payments.refund(order.pk, order.payments.get().pk, 100, actor=MERCHANT, taken_back=taken_back)

    assert Return.objects.get().attempt_id == Attempt.objects.get().pk


@pytest.mark.parametrize(
    ("units", "refusal"), [({}, NoUnits), ({"restocked": 0}, NoUnits), ({"missing": -1}, NoUnits)]
)
def test_nothing_is_no_return(units, refusal):
    with pytest.raises(refusal):
        take_back(shipped_order({product(stock=10): 4}), **units)


def test_only_lines_of_the_order_are_taken_back():
    order = shipped_order({product(stock=10): 4})
    unknown = uuid.uuid4()

    with pytest.raises(OrderItemNotFound) as refused:
        returns.take_back(order.pk, [TakenBack(unknown, 1, "missing")], actor=MERCHANT)
    assert refused.value.meta == {"id": str(unknown)}


def test_a_return_is_on_record_with_who_took_it_back_and_when_and_so_is_the_next():
    shirt = product(stock=10)
    order = shipped_order({shirt: 4})
    clerk, before = Actor("user", "9", "jonas"), clock.now()
    back = [TakenBack(order.items.get().pk, 1, "restocked")]

    returns.take_back(order.pk, back, actor=clerk)
    returns.take_back(order.pk, back, actor=clerk)

    first, second = Return.objects.order_by("number")
    assert (first.number, second.number, first.actor, first.reason) == (1, 2, clerk, "")
    assert before < first.created_at < second.created_at
    assert order.items.get().returned == 2
    log = stock_of(shirt).log.latest("sequence")
    assert (log.actor, log.order_id, log.reason) == (clerk, order.pk, "came back")
    event = order.events.latest("pk")
    assert (event.kind, event.actor) == ("taken_back", clerk)


def test_a_return_has_so_many_lines_and_no_more():
    order = shipped_order({product(managed=False): 500})
    [line] = order.items.all()
    back = [TakenBack(line.pk, 1, "missing")] * returns.TAKEN_BACK_MAX

    with pytest.raises(NoUnits):
        returns.take_back(order.pk, [*back, *back[:1]], actor=MERCHANT)
    returns.take_back(order.pk, back, actor=MERCHANT)

    assert order.items.get().returned == 400


def test_what_has_no_stock_is_not_put_into_it_and_the_refusal_names_it():
    """Nobody would know what the units are: the product is not counted any more."""
    shirt = product(stock=4, sku="SHIRT")
    order = shipped_order({shirt: 4})
    products.stop_managing(shirt.pk, actor=MERCHANT)

    for disposition in ("restocked", "inspection"):
        with pytest.raises(StockNotFound, match="SHIRT"):
            take_back(order, **{disposition: 1})
    take_back(order, discarded=1)

    assert order.items.get().returned == 1


def test_what_is_no_product_is_not_put_into_stock():
    order = shipped_order({product(stock=4): 1})
    OrderItem.objects.update(stocked=False)
    shipment = order.shipments.get()
    with tampering():
        shipment.lines.update(entry_id=None)
    OrderItem.objects.update(product=None, name="Gift wrapping", sku="")

    with pytest.raises(NotPutBack, match="Gift wrapping") as refused:
        take_back(order, restocked=1)
    # By which the API names its place in the call.
    assert refused.value.meta == {"id": str(order.items.get().pk)}
    lost = take_back(order, missing=1).lines.get()
    with pytest.raises(NotPutBack, match="Of Gift wrapping, 0 wait"):
        settle(lost, "discarded")


def test_what_a_count_found_after_others_were_shipped_says_nothing_of_these():
    """Neither of the units of another order, nor of those that are not away after all."""
    shirt = product(stock=20)
    shipped_order({shirt: 2})
    order = shipped_order({shirt: 4})
    inventory.count(shirt.pk, 18, actor=MERCHANT)
    undo_ship(order, whereabouts=Whereabouts.ON_THE_SHELF)
    shipments.ship(order.pk, actor=MERCHANT)

    take_back(order, restocked=3)

    assert numbers(shirt) == (17, 17, 0)


def test_who_takes_back_what_somebody_took_back_a_moment_ago_is_told():
    order = shipped_order({product(stock=10): 4})
    order.refresh_from_db()
    seen, [line] = order.standing(), order.items.all()
    take_back(order, missing=1)

    with pytest.raises(Moved):
        returns.take_back(order.pk, [TakenBack(line.pk, 1, "missing")], actor=MERCHANT, seen=seen)


def test_a_return_is_found_at_its_own_order_only():
    back = take_back(shipped_order({product(stock=10): 4}), missing=1)
    other = take_back(shipped_order({product(stock=10): 4}), missing=1)

    assert returns.return_of(back.order_id, back.pk) == back
    for unknown in (other.pk, uuid.uuid4()):
        with pytest.raises(ReturnNotFound):
            returns.return_of(back.order_id, unknown)


# Inspection.


def settle(line: ReturnLine, disposition: str, quantity: int | None = None) -> None:
    returns.settle_inspected(
        line.of_return.order_id,
        line.pk,
        disposition,
        quantity=quantity,
        actor=MERCHANT,
        reason="as new" if disposition == "restocked" else "torn",
    )


@pytest.mark.parametrize(
    ("disposition", "expected", "actions"),
    [
        ("restocked", (8, 8, 0), ["deallocate"]),
        ("discarded", (6, 6, 0), ["deallocate", "decrement"]),
    ],
)
def test_what_was_inspected_is_available_or_gone(disposition, expected, actions):
    shirt = product(stock=10, sku="SHIRT")
    order = shipped_order({shirt: 4})
    line = take_back(order, inspection=2).lines.get()
    before = len(entries(shirt))

    settle(line, disposition)

    assert numbers(shirt) == expected
    assert stock_of(shirt).held == 0
    assert [action for action, *_ in entries(shirt)][before:] == actions
    line.refresh_from_db()
    assert (line.settled_as, line.is_to_inspect) == (disposition, False)
    assert order.events.latest("pk").text.startswith(f"R-1: 2 of SHIRT {disposition}: ")
    with pytest.raises(NotPutBack, match="Of SHIRT, 0 wait to be inspected"):
        settle(line, disposition)


def test_some_of_what_is_inspected_is_good_and_the_rest_goes_on_waiting():
    shirt = product(stock=10)
    order = shipped_order({shirt: 4})
    back = take_back(order, inspection=3)

    settle(back.lines.get(), "restocked", 1)
    [waiting] = [line for line in back.lines.all() if line.is_to_inspect]
    for too_many in (0, 3):
        with pytest.raises(NotPutBack, match=", 2 wait to be inspected"):
            settle(waiting, "discarded", too_many)
    settle(waiting, "discarded")

    assert numbers(shirt) == (7, 7, 0)
    assert sorted(back.lines.values_list("quantity", "settled_as")) == [
        (1, "restocked"),
        (2, "discarded"),
    ]


def test_what_is_settled_is_told_with_who_and_why_and_only_as_it_was_seen():
    shirt = product(stock=10, sku="SHIRT")
    order = shipped_order({shirt: 4})
    line = take_back(order, inspection=2).lines.get()
    order.refresh_from_db()
    seen, clerk = order.standing(), Actor("user", "9", "jonas")
    take_back(order, missing=1)

    with pytest.raises(Moved):
        returns.settle_inspected(order.pk, line.pk, "discarded", actor=clerk, seen=seen)
    returns.settle_inspected(order.pk, line.pk, "discarded", actor=clerk)

    event, last = order.events.latest("pk"), stock_of(shirt).log.latest("sequence")
    assert (event.kind, event.text) == ("inspected", "R-1: 2 of SHIRT discarded")
    assert last.reason == f"return R-1 of order #{order.number}, discarded"
    assert {event.actor, last.actor} == {clerk}


def test_the_line_of_another_orders_return_is_not_settled():
    line = take_back(shipped_order({product(stock=10): 4}), inspection=3).lines.get()
    other = shipped_order({product(stock=10): 4})

    with pytest.raises(ReturnNotFound):
        returns.settle_inspected(other.pk, line.pk, "restocked", actor=MERCHANT)


def test_what_waits_for_inspection_is_not_let_go_by_undoing_its_entry():
    shirt = product(stock=10)
    order = shipped_order({shirt: 4})
    take_back(order, inspection=2)

    with pytest.raises(NotUndoable, match="settle it on the page of its order"):
        inventory.undo(shirt.pk, stock_of(shirt).sequence, actor=MERCHANT)


def test_what_somebody_let_go_by_hand_meanwhile_is_not_let_go_twice():
    shirt = product(stock=10)
    order = shipped_order({shirt: 4})
    line = take_back(order, inspection=2).lines.get()
    inventory.record(shirt.pk, Action.DEALLOCATE, 2, actor=MERCHANT)

    with pytest.raises(StockTooLow, match="set aside by hand"):
        settle(line, "restocked")
