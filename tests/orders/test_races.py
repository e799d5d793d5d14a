"""Carts and orders that several people change at once, and the same without the locks."""

import hashlib
import threading
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from api.errors import Moved
from api.idempotency import Answered, Key, KeyInUse
from api.ids import uuid7
from inventory.models import Product, StockTransaction
from inventory.services import stock as inventory
from orders import models
from orders.errors import OrderNotCancellable, OrderNotShippable
from orders.models import Cart, CartItem, CartQuerySet, Order, OrderQuerySet
from orders.services import audit, carts, orders, shipments, units
from payments.services import payments
from tests.concurrency import PATIENCE_SECONDS, run_together, wait_until_somebody_waits
from tests.factories import BUYER, MERCHANT, filled_cart, paid_order, product, stock_of

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.thorough]


def numbers(wanted: Product) -> tuple[int, int, int]:
    """Total, available and allocated."""
    stock = stock_of(wanted)
    return stock.total, stock.available, stock.allocated


def moved(order: Order) -> list[str]:
    log = StockTransaction.objects.filter(order_id=order.pk).order_by("sequence")
    return list(log.values_list("action", flat=True))


def kinds(outcomes: list[Any]) -> list[str]:
    """What came out, without order: `done` for whatever returned."""
    return sorted(type(one).__name__ if isinstance(one, Exception) else "done" for one in outcomes)


def key(name: str = "click", body: str = "body") -> Key:
    fingerprint = hashlib.sha256(body.encode()).hexdigest()
    return Key("client", "POST", "/v2/carts/ada/checkout", name, fingerprint, uuid7())


def read_instead_of_locking(monkeypatch: pytest.MonkeyPatch, parties: int) -> None:
    """Take the order's lock away and let all read the order before any goes on."""
    all_have_read = threading.Barrier(parties, timeout=PATIENCE_SECONDS)

    def read(self: OrderQuerySet, order_id: Any, **seen: Any) -> Order:
        order = self.get(pk=order_id)
        all_have_read.wait()
        return order

    monkeypatch.setattr(OrderQuerySet, "lock", read)


# Carts.


def add(wanted: Product) -> Callable[[], Any]:
    return lambda: carts.add_item("ada", product_id=wanted.pk, quantity=1, currency="USD")


def test_f10_twenty_adds_of_one_product_to_a_new_cart_all_count():
    shirt = product(stock=10)

    outcomes = run_together(*[add(shirt)] * 20)

    assert kinds(outcomes) == ["done"] * 20
    assert CartItem.objects.get().quantity == 20


def test_f10_adds_of_different_products_lose_no_line():
    shelf = [product(stock=10) for _ in range(10)]

    outcomes = run_together(*map(add, shelf * 2))

    assert kinds(outcomes) == ["done"] * 20
    assert list(CartItem.objects.values_list("quantity", flat=True)) == [2] * 10


def test_f10_control_without_the_carts_lock_a_unit_is_lost(monkeypatch):
    shirt = product(stock=10)
    add(shirt)()
    all_have_read = threading.Barrier(2, timeout=PATIENCE_SECONDS)
    of_cart = CartItem.of_cart

    def open_without_lock(self: CartQuerySet, cart_id: str, **more: Any) -> tuple[Cart, bool]:
        return self.get(pk=cart_id), False

    def read_together(cart_id: str) -> list[CartItem]:
        items = of_cart(cart_id)
        all_have_read.wait()
        return items

    monkeypatch.setattr(CartQuerySet, "open", open_without_lock)
    monkeypatch.setattr(CartItem, "of_cart", read_together)

    outcomes = run_together(add(shirt), add(shirt))

    assert kinds(outcomes) == ["done", "done"]
    assert CartItem.objects.get().quantity == 2


def test_deleting_a_cart_while_others_change_it_never_fails():
    shirt = product(stock=10)

    for _ in range(8):
        add(shirt)()
        item_id = CartItem.objects.get().pk
        outcomes = run_together(
            lambda: carts.delete("ada"),
            add(shirt),
            partial(carts.change_item, "ada", item_id, 5),
        )

        assert set(kinds(outcomes)) <= {"done", "CartItemNotFound"}
        assert kinds(outcomes[:2]) == ["done", "done"]
        carts.delete("ada")


def test_a_cart_is_deleted_after_the_add_that_holds_it(monkeypatch):
    shirt = product(stock=10)
    add(shirt)()
    held = threading.Event()
    of_cart = CartItem.of_cart

    def hold_until_somebody_waits(cart_id: str) -> list[CartItem]:
        held.set()
        wait_until_somebody_waits()
        return of_cart(cart_id)

    def delete_meanwhile() -> None:
        assert held.wait(PATIENCE_SECONDS)
        carts.delete("ada")

    monkeypatch.setattr(CartItem, "of_cart", hold_until_somebody_waits)
    mug = product(stock=10)

    outcomes = run_together(add(mug), delete_meanwhile)

    assert kinds(outcomes) == ["done", "done"]
    assert not Cart.objects.exists()


def test_checkout_sees_all_of_an_add_or_nothing_of_it():
    shirt, mug = product(stock=10, price=100), product(stock=10, price=1)

    for _ in range(5):
        carts.delete("ada")
        add(shirt)()
        checked_out, _ = run_together(lambda: orders.checkout("ada", BUYER), add(mug))
        order, items = checked_out

        assert order.total == sum(item.value for item in items)
        assert order.total in {100, 101}


# Checkout.


def test_f11_checkout_clicked_many_times_with_one_key_makes_one_order():
    filled_cart({product(stock=10): 1}, cart_id="ada")

    outcomes = run_together(*[lambda: orders.checkout("ada", BUYER, key=key())] * 8)

    others = [one for one in outcomes if isinstance(one, Exception)]
    assert len(others) == 7
    assert all(isinstance(one, KeyInUse | Answered) for one in others)
    order = Order.objects.get()
    with pytest.raises(Answered) as again:
        orders.checkout("ada", BUYER, key=key())
    assert again.value.record.resource_id == str(order.pk)


def test_f11_control_without_a_key_every_click_makes_an_order():
    filled_cart({product(stock=10): 1}, cart_id="ada")

    outcomes = run_together(*[lambda: orders.checkout("ada", BUYER)] * 8)

    assert kinds(outcomes) == ["done"] * 8
    made = list(Order.objects.values_list("number", flat=True))
    assert len(set(made)) == 8


HERE = "198.51.100.7"


def check_out_as_shopper(*cart_ids: str, address: str = HERE) -> list[Any]:
    """Check out all these carts at once."""
    return run_together(
        *[partial(orders.checkout, cart_id, BUYER, placed_from=address) for cart_id in cart_ids]
    )


@pytest.mark.parametrize("of", ["cart", "address"])
def test_t39_of_checkouts_at_once_only_so_many_stay_unpaid(settings, of):
    settings.UNPAID_ORDERS_PER_CART, settings.UNPAID_ORDERS_PER_ADDRESS = (
        (3, 0) if of == "cart" else (0, 3)
    )
    shirt = product(stock=10)
    carts = [filled_cart({shirt: 1}) for _ in range(8)]

    outcomes = check_out_as_shopper(*(carts[:1] * 8 if of == "cart" else carts))

    assert kinds(outcomes) == ["TooManyUnpaidOrders"] * 5 + ["done"] * 3
    assert Order.objects.count() == 3


@pytest.mark.parametrize("of", ["cart", "address"])
def test_t39_control_without_the_lock_more_stay_unpaid(settings, monkeypatch, of):
    settings.UNPAID_ORDERS_PER_CART, settings.UNPAID_ORDERS_PER_ADDRESS = (
        (1, 0) if of == "cart" else (0, 1)
    )
    all_have_counted = threading.Barrier(2, timeout=PATIENCE_SECONDS)
    count = models.next_number_and_unpaid

    def count_together(*known: Any) -> Any:
        counted = count(*known)
        all_have_counted.wait()
        return counted

    monkeypatch.setattr("orders.services.orders.next_number_and_unpaid", count_together)
    monkeypatch.setattr(CartQuerySet, "lock", lambda self, cart_id, *, now: self.get(pk=cart_id))
    monkeypatch.setattr(models, "_TAKE_TURNS", "SELECT %s::bigint")
    carts = [filled_cart({product(stock=10): 1}) for _ in range(2)]

    outcomes = check_out_as_shopper(*(carts[:1] * 2 if of == "cart" else carts))

    assert kinds(outcomes) == ["done", "done"]


# Shipping and cancelling.


def ship(order: Order) -> Callable[[], Any]:
    return lambda: shipments.ship(order.pk, actor=MERCHANT)


def cancel(order: Order) -> Callable[[], None]:
    return lambda: payments.cancel(order.pk, actor=MERCHANT)


def test_f08_of_ship_and_cancel_exactly_one_happens():
    shirt = product(stock=100)
    shipped = 0

    for rounds in range(1, 11):
        order = paid_order({shirt: 2})
        outcomes = run_together(ship(order), cancel(order))

        order.refresh_from_db()
        if order.is_shipped:
            shipped += 1
            assert kinds(outcomes) == ["OrderNotCancellable", "done"]
            assert moved(order) == ["allocate", "deallocate", "decrement"]
        else:
            assert order.is_cancelled
            assert kinds(outcomes) == ["OrderNotShippable", "done"]
            assert moved(order) == ["allocate", "deallocate"]
        total = 100 - 2 * shipped
        assert numbers(shirt) == (total, total, 0), f"round {rounds}"


@pytest.mark.parametrize(
    ("first", "second", "refusal"),
    [(ship, cancel, OrderNotCancellable), (cancel, ship, OrderNotShippable)],
)
def test_f08_whoever_comes_second_waits_and_is_refused(monkeypatch, first, second, refusal):
    """The first stands between its lock and its commit when the second asks for the lock."""
    shirt = product(stock=10)
    order = paid_order({shirt: 2})
    locked, asked = threading.Event(), threading.Event()
    lock = OrderQuerySet.lock
    who = threading.local()

    def lock_in_turn(self: OrderQuerySet, order_id: Any, **seen: Any) -> Order:
        if who.is_second:
            asked.set()
            return lock(self, order_id, **seen)
        found = lock(self, order_id, **seen)
        locked.set()
        assert asked.wait(PATIENCE_SECONDS)
        return found

    monkeypatch.setattr(OrderQuerySet, "lock", lock_in_turn)

    def go_first() -> None:
        who.is_second = False
        first(order)()

    def go_second() -> None:
        who.is_second = True
        assert locked.wait(PATIENCE_SECONDS)
        second(order)()

    outcomes = run_together(go_first, go_second)

    assert outcomes[0] is None
    assert isinstance(outcomes[1], refusal)
    assert numbers(shirt)[2] == 0


@pytest.mark.tampers_with_the_books
def test_f08_control_without_the_orders_lock_both_happen(monkeypatch):
    shirt = product(stock=10)
    paid_order({shirt: 4})
    order = paid_order({shirt: 2})
    read_instead_of_locking(monkeypatch, 2)
    hold_together(monkeypatch)

    outcomes = run_together(ship(order), cancel(order))

    # If the line is shipped before it is cancelled, its CHECK is all that is left to refuse that.
    assert kinds(outcomes) in (["done", "done"], ["IntegrityError", "done"])
    assert kinds(outcomes) == ["IntegrityError", "done"] or audit.differences() != []


def test_what_is_counted_before_its_stock_is_locked_was_not_known_to_who_undoes_a_ship(monkeypatch):
    shirt = product(stock=10)
    order = paid_order({shirt: 2})
    shipments.ship(order.pk, actor=MERCHANT)
    order.refresh_from_db()
    shipment = order.shipments.get()
    seen, undo_ship = shipments.standing_to_undo(order, shipment), inventory.undo_ship

    def counted_just_before(*units: Any, **how: Any) -> None:
        assert run_together(partial(inventory.count, shirt.pk, 8, actor=MERCHANT)) == [0]
        undo_ship(*units, **how)

    monkeypatch.setattr(inventory, "undo_ship", counted_just_before)

    with pytest.raises(Moved):
        shipments.undo(
            order.pk,
            shipment.pk,
            actor=MERCHANT,
            reason="mistake",
            whereabouts=inventory.Whereabouts.ON_THE_SHELF,
            seen=seen,
        )

    assert numbers(shirt) == (8, 8, 0)


def test_f09_two_who_undo_a_ship_at_once_bring_its_units_back_once():
    shirt = product(stock=10)
    order = paid_order({shirt: 2})
    shipment = shipments.ship(order.pk, actor=MERCHANT)

    outcomes = run_together(
        *[partial(shipments.undo, order.pk, shipment.pk, actor=MERCHANT, reason="mistake")] * 4
    )

    assert sorted(kinds(outcomes)) == ["ShipNotUndoable"] * 3 + ["done"]
    assert numbers(shirt) == (10, 8, 2)


@pytest.mark.parametrize("act", [ship, cancel])
def test_f09_twice_at_once_happens_once(act):
    shirt = product(stock=10)
    paid_order({shirt: 4})

    for _ in range(5):
        order = paid_order({shirt: 1})
        outcomes = run_together(*[act(order)] * 4)

        assert kinds(outcomes).count("done") == 1
        assert set(kinds(outcomes)) - {"done"} <= {"OrderNotShippable", "OrderNotCancellable"}
        assert moved(order).count("deallocate") == 1
        assert numbers(shirt)[2] == 4


@pytest.mark.tampers_with_the_books
def test_f09_control_without_the_orders_lock_the_units_of_others_go_too(monkeypatch):
    shirt = product(stock=10)
    paid_order({shirt: 4})
    order = paid_order({shirt: 1})
    read_instead_of_locking(monkeypatch, 2)
    hold_together(monkeypatch)

    outcomes = run_together(cancel(order), cancel(order))

    assert kinds(outcomes) == ["done", "done"]
    assert moved(order).count("deallocate") == 2
    assert numbers(shirt)[2] == 3
    assert audit.differences() != []


def hold_together(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let both find what the order holds before either gives it away."""
    both_have_looked = threading.Barrier(2, timeout=PATIENCE_SECONDS)

    def together(look: Callable[[Order], Any]) -> Callable[[Order], Any]:
        def look_together(order: Order) -> Any:
            found = look(order)
            both_have_looked.wait()
            return found

        return look_together

    monkeypatch.setattr(orders, "_held", together(orders._held))
    monkeypatch.setattr(shipments, "lines_of", together(units.lines_of))
