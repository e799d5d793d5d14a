import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import IntegrityError, transaction

from api import clock
from inventory.errors import ProductNotFound, StockNotFound, UnitsAllocated
from inventory.models import Action, Currency, Product, StockTransaction
from inventory.services import products
from inventory.services import stock as inventory
from inventory.services.products import Money
from orders.errors import (
    CartEmpty,
    CartItemNotFound,
    CurrencyDiffers,
    InsufficientStock,
    NoPrice,
    NotForSale,
    OrderNotChangeable,
    OrderNotFound,
    OrderNotShippable,
    PaymentUnderWay,
    ShipNotUndoable,
    TooManyInALine,
    TooManyItems,
    TotalChanged,
    TotalTooLarge,
)
from orders.models import Cart, CartItem, Order, OrderEvent, OrderItem
from orders.services import cart_contents, carts, orders
from payments.errors import PaymentDeclined
from payments.models import Payment
from payments.services import payments, recovery
from payments.services.payments import PaymentRequest
from tests.factories import (
    BUYER,
    MERCHANT,
    filled_cart,
    paid_order,
    product,
    stock_of,
    unpaid_order,
)
from tests.orders.statements import statements_of

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("impatient")]

MIDNIGHT = datetime(2026, 3, 1, tzinfo=UTC)


@contextmanager
def at(moment: datetime) -> Iterator[None]:
    with clock.replaced(lambda: moment):
        yield


def add(cart_id: str, wanted: Product, quantity: int, **more: Any) -> None:
    carts.add_item(cart_id, product_id=wanted.pk, quantity=quantity, **{"currency": "USD", **more})


def quantities(cart_id: str) -> list[int]:
    return [line.item.quantity for line in cart_contents.contents(cart_id).lines]


def numbers(wanted: Product) -> tuple[int, int, int]:
    """Total, available and allocated."""
    stock = stock_of(wanted)
    return stock.total, stock.available, stock.allocated


def entries(wanted: Product) -> list[tuple[str, int, str]]:
    """What the log says after the initial stock."""
    log = StockTransaction.objects.filter(stock__product=wanted).order_by("sequence")
    return list(log.exclude(reason="initial stock").values_list("action", "quantity", "reason"))


@pytest.fixture
def euro() -> Currency:
    now = clock.now()
    return Currency.objects.create(code="EUR", created_at=now, updated_at=now)


# Carts.


def test_a_cart_checks_the_requested_quantity_alone():
    shirt = product(stock=100)

    add("ada", shirt, 60)
    add("ada", shirt, 50)

    assert quantities("ada") == [110]


def test_two_carts_may_want_more_than_there_is():
    shirt = product(stock=100)

    add("ada", shirt, 80)
    add("bob", shirt, 30)

    assert quantities("ada") + quantities("bob") == [80, 30]


def test_more_than_is_available_is_refused_and_leaves_no_cart():
    shirt = product(stock=100)

    with pytest.raises(InsufficientStock) as refused:
        add("ada", shirt, 101)

    assert shirt.name not in refused.value.detail
    assert "100" not in refused.value.detail
    assert refused.value.meta is None
    assert not Cart.objects.exists()


def test_allocated_units_are_not_available():
    shirt = product(stock=10)
    inventory.record(shirt.pk, Action.ALLOCATE, 8, actor=MERCHANT)

    with pytest.raises(InsufficientStock):
        add("ada", shirt, 3)


def test_adding_changes_no_stock_and_writes_no_log():
    shirt = product(stock=10)

    add("ada", shirt, 4)

    assert numbers(shirt) == (10, 10, 0)
    assert entries(shirt) == []


def test_an_unmanaged_product_is_never_short():
    download = product(managed=False)

    add("ada", download, 1_000_000)

    assert quantities("ada") == [1_000_000]


def test_custom_inputs_make_another_line_whatever_their_order():
    mug = product(stock=10)

    add("ada", mug, 1)
    add("ada", mug, 2, custom_inputs={"text": "Hi", "font": "serif"})
    add("ada", mug, 3, custom_inputs={"font": "serif", "text": "Hi"})
    add("ada", mug, 4, custom_inputs={"font": "sans", "text": "Hi"})

    assert quantities("ada") == [1, 5, 4]


def test_lines_keep_their_place_when_quantities_change():
    shirt, mug = product(stock=10), product(stock=10)
    add("ada", shirt, 1)
    add("ada", mug, 1)

    add("ada", shirt, 5)

    assert [line.offer.sku for line in cart_contents.contents("ada").lines] == [shirt.sku, mug.sku]


def test_products_can_be_added_by_sku():
    product(stock=10, sku="MUG")

    carts.add_item("ada", sku="MUG", quantity=2, currency="USD")

    assert quantities("ada") == [2]


def test_what_is_not_live_is_unknown():
    draft = product(stock=10, sku="DRAFT", status="draft")
    archived = product(stock=10, sku="GONE")
    products.archive(archived.pk, actor=MERCHANT)
    wanted: list[dict[str, Any]] = [
        {"product_id": draft.pk},
        {"sku": "DRAFT"},
        {"product_id": archived.pk},
        {"sku": "GONE"},
        {"product_id": uuid.uuid4()},
        {"sku": "NEVER"},
        {},
    ]

    for names in wanted:
        with pytest.raises(ProductNotFound):
            carts.add_item("ada", quantity=1, currency="USD", **names)

    assert not Cart.objects.exists()


def test_a_product_without_a_price_in_the_currency_is_refused(euro):
    shirt = product(stock=10)

    with pytest.raises(NoPrice) as refused:
        add("ada", shirt, 1, currency="EUR")

    assert refused.value.detail == "This product does not have a price for EUR"
    assert refused.value.meta == {"id": str(shirt.pk), "sku": shirt.sku}


def test_the_first_item_fixes_the_currency(euro):
    shirt = product(stock=10, prices=[Money("USD", 1250), Money("EUR", 1100)])
    only_in_euro = product(stock=10, prices=[Money("EUR", 900)])
    add("ada", shirt, 1, currency="EUR")

    add("ada", shirt, 1, currency="USD")

    assert cart_contents.contents("ada").total == 2200
    add("ada", only_in_euro, 1, currency="USD")
    assert cart_contents.contents("ada").total == 3100


@pytest.mark.parametrize(
    "empty",
    [
        lambda item: carts.remove_items("ada"),
        lambda item: carts.remove_item("ada", item.pk),
        lambda item: carts.change_item("ada", item.pk, 0),
    ],
    ids=["all items", "the last item", "the last quantity"],
)
def test_an_emptied_cart_takes_the_currency_of_its_next_item(euro, empty):
    shirt = product(stock=10, prices=[Money("USD", 1250), Money("EUR", 1100)])
    add("ada", shirt, 1, currency="EUR")

    empty(CartItem.objects.get())
    add("ada", shirt, 1, currency="USD")

    assert cart_contents.contents("ada").total == 1250


def test_a_cart_shows_the_prices_of_today():
    shirt = product(stock=10, price=1250)
    add("ada", shirt, 2)

    products.update(shirt.pk, prices=[Money("USD", 2000)], actor=MERCHANT)

    assert cart_contents.contents("ada").total == 4000


def test_a_line_is_set_to_a_quantity_and_checked_against_it():
    shirt = product(stock=10)
    add("ada", shirt, 3)
    item = CartItem.objects.get()

    carts.change_item("ada", item.pk, 10)

    with pytest.raises(InsufficientStock):
        carts.change_item("ada", item.pk, 11)
    assert quantities("ada") == [10]


def test_quantity_zero_removes_the_line():
    shirt, mug = product(stock=10), product(stock=10)
    add("ada", shirt, 3)
    add("ada", mug, 1)

    carts.change_item("ada", CartItem.objects.get(product=shirt).pk, 0)

    assert [line.offer.sku for line in cart_contents.contents("ada").lines] == [mug.sku]


def test_lines_of_another_cart_are_unknown():
    add("ada", product(stock=10), 3)
    item = CartItem.objects.get()

    with pytest.raises(CartItemNotFound):
        carts.change_item("bob", item.pk, 1)
    with pytest.raises(CartItemNotFound):
        carts.remove_item("bob", item.pk)

    assert quantities("ada") == [3]
    assert [cart.pk for cart in Cart.objects.all()] == ["ada"]


def test_lines_can_be_removed_singly_and_together():
    shirt, mug = product(stock=10), product(stock=10)
    for wanted in (shirt, mug, shirt):
        add("ada", wanted, 1)

    carts.remove_item("ada", CartItem.objects.get(product=mug).pk)

    assert quantities("ada") == [2]
    carts.remove_items("ada")
    assert quantities("ada") == []
    assert Cart.objects.filter(pk="ada").exists()


def test_a_cart_holds_a_hundred_lines():
    mug = product(managed=False)
    for number in range(100):
        add("ada", mug, 1, custom_inputs={"number": number})

    with pytest.raises(TooManyItems):
        add("ada", mug, 1)

    add("ada", mug, 1, custom_inputs={"number": 7})
    assert sum(quantities("ada")) == 101
    assert len(quantities("ada")) == 100


def test_a_line_holds_at_most_2147483647_units():
    download = product(managed=False, price=0)
    add("ada", download, 2**31 - 1)

    with pytest.raises(TooManyInALine):
        add("ada", download, 1)
    with pytest.raises(TooManyInALine):
        carts.change_item("ada", CartItem.objects.get().pk, 2**31)

    assert quantities("ada") == [2**31 - 1]


def test_a_line_is_worth_at_most_9007199254740991():
    gold = product(managed=False, price=2**53 - 1)
    add("ada", gold, 1)

    with pytest.raises(TotalTooLarge):
        add("ada", gold, 1)

    assert quantities("ada") == [1]


def test_an_expired_cart_is_empty_and_starts_anew():
    shirt, mug = product(stock=10), product(stock=10)
    with at(MIDNIGHT):
        carts.save("ada", name="Wishes")
        add("ada", shirt, 1)
    a_week_later = MIDNIGHT + timedelta(days=7)

    with at(a_week_later - timedelta(seconds=1)):
        before = quantities("ada")
    with at(a_week_later):
        after = quantities("ada")
        add("ada", mug, 2)
        revived = cart_contents.contents("ada")

    assert (before, after) == ([1], [])
    assert [line.offer.sku for line in revived.lines] == [mug.sku]
    assert revived.cart is not None
    assert revived.cart.name == "Cart"
    assert revived.cart.created_at == a_week_later
    assert revived.cart.expires_at == a_week_later + timedelta(days=7)


def test_an_expired_cart_takes_the_currency_of_its_next_item(euro):
    shirt = product(stock=10, prices=[Money("USD", 1250), Money("EUR", 1100)])
    with at(MIDNIGHT):
        add("ada", shirt, 1, currency="EUR")

    with at(MIDNIGHT + timedelta(days=8)):
        add("ada", shirt, 1, currency="USD")
        total = cart_contents.contents("ada").total

    assert total == 1250


def test_every_change_puts_the_expiry_off():
    with at(MIDNIGHT):
        add("ada", product(stock=10), 1)

    with at(MIDNIGHT + timedelta(days=3)):
        carts.change_item("ada", CartItem.objects.get().pk, 2)

    assert Cart.objects.get().expires_at == MIDNIGHT + timedelta(days=10)


def test_two_adds_at_one_moment_both_count():
    shirt, mug = product(stock=10), product(stock=10)

    with at(MIDNIGHT):
        add("ada", shirt, 1)
        add("ada", mug, 2)
        found = quantities("ada")

    assert found == [1, 2]


def test_an_unknown_cart_is_empty_and_reading_writes_nothing():
    found = cart_contents.contents("nobody")

    assert (found.cart, found.lines, found.total) == (None, [], 0)
    assert not Cart.objects.exists()


def test_a_deleted_cart_leaves_its_orders():
    order = unpaid_order({product(stock=10): 1})

    carts.delete(order.cart_id)

    assert not Cart.objects.exists()
    assert not CartItem.objects.exists()
    assert Order.objects.get(cart_id=order.cart_id) == order


def test_deleting_an_unknown_cart_does_nothing():
    carts.delete("nobody")
    carts.remove_items("nobody")

    assert not Cart.objects.exists()


def test_a_cart_can_be_made_and_named():
    carts.save("ada", name="Wishes", description="For spring")

    cart = Cart.objects.get()
    assert (cart.name, cart.description, cart.currency) == ("Wishes", "For spring", None)
    carts.save("ada")
    assert Cart.objects.get().name == "Wishes"


# Checkout.


def test_checkout_makes_an_unpaid_order_and_reserves_nothing():
    shirt = product(stock=10, price=1250)
    cart_id = filled_cart({shirt: 4})

    order, items = orders.checkout(
        cart_id, BUYER, order_number="PO-7", external_ref="erp", expected_total=5000
    )

    assert (order.status, order.payment, order.shipping) == ("incomplete", "unpaid", "unfulfilled")
    assert (order.total, order.payable, order.balance_owing) == (5000, 5000, 5000)
    assert (order.customer_name, order.order_number, order.external_ref) == (
        "Ada Buyer",
        "PO-7",
        "erp",
    )
    assert order.cart_id == cart_id
    assert [(item.sku, item.quantity, item.unit_price, item.allocated) for item in items] == [
        (shirt.sku, 4, 1250, 0)
    ]
    assert numbers(shirt) == (10, 10, 0)
    assert entries(shirt) == []


def test_order_items_name_their_cart_items():
    cart_id = filled_cart({product(stock=10): 1, product(stock=10): 2})

    _, items = orders.checkout(cart_id, BUYER)

    lines = [line.item.pk for line in cart_contents.contents(cart_id).lines]
    assert [item.cart_item_id for item in items] == lines


def test_the_cart_survives_and_can_be_checked_out_again():
    cart_id = filled_cart({product(stock=10): 4})

    first, _ = orders.checkout(cart_id, BUYER)
    second, _ = orders.checkout(cart_id, BUYER)

    assert second.number > first.number
    assert quantities(cart_id) == [4]


def test_an_order_keeps_the_prices_and_names_of_its_checkout():
    shirt = product(stock=10, price=1250, name="Navy Shirt")
    order = unpaid_order({shirt: 2})

    products.update(shirt.pk, name="Blue", prices=[Money("USD", 9)], actor=MERCHANT)

    item = OrderItem.objects.get(order=order)
    assert (item.name, item.unit_price, item.value) == ("Navy Shirt", 1250, 2500)


def test_f03_two_lines_of_one_product_are_checked_together():
    mug = product(stock=5)
    add("ada", mug, 3)
    add("ada", mug, 3, custom_inputs={"text": "Hi"})

    with pytest.raises(InsufficientStock):
        orders.checkout("ada", BUYER)

    assert not Order.objects.exists()


def test_two_adds_that_together_exceed_the_stock_are_refused_at_checkout():
    shirt = product(stock=100)
    add("ada", shirt, 60)
    add("ada", shirt, 50)

    with pytest.raises(InsufficientStock):
        orders.checkout("ada", BUYER)


def test_an_empty_cart_cannot_be_checked_out():
    carts.save("named")
    add("emptied", product(stock=10), 1)
    carts.remove_items("emptied")
    with at(MIDNIGHT):
        add("expired", product(stock=10), 1)

    for cart_id in ("nobody", "named", "emptied", "expired"):
        with pytest.raises(CartEmpty):
            orders.checkout(cart_id, BUYER)

    assert not Order.objects.exists()


def test_what_is_no_longer_for_sale_cannot_be_checked_out(euro):
    draft, archived, unpriced = product(stock=10), product(stock=10), product(stock=10)
    carts = [filled_cart({wanted: 1}) for wanted in (draft, archived, unpriced)]
    products.update(draft.pk, status="draft", actor=MERCHANT)
    products.archive(archived.pk, actor=MERCHANT)
    products.update(unpriced.pk, prices=[Money("EUR", 5)], actor=MERCHANT)

    for cart_id in carts:
        with pytest.raises(NotForSale):
            orders.checkout(cart_id, BUYER)

    assert not Order.objects.exists()


def test_a_total_that_changed_is_refused():
    shirt = product(stock=10, price=1250)
    cart_id = filled_cart({shirt: 2})
    products.update(shirt.pk, prices=[Money("USD", 1300)], actor=MERCHANT)

    with pytest.raises(TotalChanged):
        orders.checkout(cart_id, BUYER, expected_total=2500)

    order, _ = orders.checkout(cart_id, BUYER, expected_total=2600)
    assert order.total == 2600


def test_a_free_order_may_be_expected_to_cost_nothing():
    cart_id = filled_cart({product(stock=10, price=0): 1})

    order, _ = orders.checkout(cart_id, BUYER, expected_total=0)

    assert order.total == 0


def test_another_currency_than_the_carts_is_refused_at_checkout():
    cart_id = filled_cart({product(stock=10): 1})

    with pytest.raises(CurrencyDiffers):
        orders.checkout(cart_id, BUYER, currency="EUR")

    order, _ = orders.checkout(cart_id, BUYER, currency="USD")
    assert order.currency_id == "USD"


def test_an_order_is_worth_at_most_9007199254740991():
    cart_id = filled_cart({product(managed=False, price=2**53 - 1): 1, product(managed=False): 1})

    with pytest.raises(TotalTooLarge):
        orders.checkout(cart_id, BUYER)

    assert not Order.objects.exists()


# Shipping.


def test_ship_takes_the_units_out_of_the_total():
    shirt = product(stock=10)
    order = paid_order({shirt: 4})

    orders.ship(order.pk, actor=MERCHANT)

    order.refresh_from_db()
    assert (order.shipping, order.status, order.payment) == ("fulfilled", "complete", "paid")
    assert order.shipped_at is not None
    assert numbers(shirt) == (6, 6, 0)
    assert entries(shirt) == [
        ("allocate", 4, "payment started"),
        ("deallocate", 4, "shipped"),
        ("decrement", 4, "shipped"),
    ]
    assert list(OrderItem.objects.values_list("allocated", "shipped")) == [(0, 4)]
    assert not Order.objects.holding_units().exists()


def test_only_a_paid_order_can_be_shipped():
    shirt = product(stock=10, price=1000)
    partly_paid = unpaid_order({shirt: 1})
    payments.pay(partly_paid.pk, PaymentRequest("manual", amount=400), actor=MERCHANT)
    authorized = unpaid_order({shirt: 1})
    payments.pay(authorized.pk, PaymentRequest("manual", Payment.Method.AUTHORIZE), actor=MERCHANT)
    refunded = paid_order({shirt: 1})
    payments.refund(refunded.pk, refunded.payments.get().pk, None, actor=MERCHANT)
    cancelled = paid_order({shirt: 1})
    payments.cancel(cancelled.pk, actor=MERCHANT)
    shipped = paid_order({shirt: 1})
    orders.ship(shipped.pk, actor=MERCHANT)
    before = numbers(shirt)

    for order in (unpaid_order({shirt: 1}), partly_paid, authorized, refunded, cancelled, shipped):
        with pytest.raises(OrderNotShippable):
            orders.ship(order.pk, actor=MERCHANT)

    with pytest.raises(OrderNotFound):
        orders.ship(uuid.uuid4(), actor=MERCHANT)
    assert numbers(shirt) == before


def test_a_partly_refunded_order_can_be_shipped():
    shirt = product(stock=10, price=1000)
    order = paid_order({shirt: 1})
    payments.refund(order.pk, order.payments.get().pk, 300, actor=MERCHANT)

    orders.ship(order.pk, actor=MERCHANT)

    assert numbers(shirt) == (9, 9, 0)


def test_an_order_is_not_shipped_while_money_is_on_its_way():
    order = unpaid_order({product(stock=10): 1})
    payments.pay(order.pk, PaymentRequest("test", token="slow"), actor=MERCHANT)

    with pytest.raises(PaymentUnderWay):
        orders.ship(order.pk, actor=MERCHANT)

    recovery.settle_pending()
    orders.ship(order.pk, actor=MERCHANT)


def test_an_order_is_not_shipped_while_a_refund_is_pending():
    order = unpaid_order({product(stock=10): 1})
    payment = payments.pay(order.pk, PaymentRequest("test"), actor=MERCHANT)
    payments.begin_refund(order.pk, payment.pk, 5, actor=MERCHANT)

    with pytest.raises(PaymentUnderWay):
        orders.ship(order.pk, actor=MERCHANT)


def test_unmanaged_lines_move_nothing():
    shirt, download = product(stock=10), product(managed=False)
    order = paid_order({shirt: 2, download: 5})

    orders.ship(order.pk, actor=MERCHANT)

    assert numbers(shirt) == (8, 8, 0)
    assert numbers(download) == (0, 0, 0)
    assert entries(download) == []
    shipped = OrderItem.objects.order_by("position").values_list("shipped", flat=True)
    assert list(shipped) == [2, 0]


def test_an_order_of_nothing_managed_is_paid_and_shipped_without_stock():
    order = paid_order({product(managed=False): 5})

    orders.ship(order.pk, actor=MERCHANT)

    assert not StockTransaction.objects.exists()


def test_f32_shipping_moves_what_was_recorded_though_the_product_is_managed_since():
    download = product(managed=False)
    order = paid_order({download: 5})
    products.start_managing(download.pk, 3, actor=MERCHANT)

    orders.ship(order.pk, actor=MERCHANT)

    assert numbers(download) == (3, 3, 0)


def test_f32_cancelling_moves_what_was_recorded_though_the_product_is_managed_since():
    download = product(managed=False)
    order = paid_order({download: 5})
    products.start_managing(download.pk, 3, actor=MERCHANT)

    payments.cancel(order.pk, actor=MERCHANT)

    assert numbers(download) == (3, 3, 0)


def test_f32_a_product_with_allocated_units_is_neither_unmanaged_nor_deleted():
    shirt = product(stock=10)
    order = paid_order({shirt: 4})

    for refused in (
        lambda: products.stop_managing(shirt.pk, actor=MERCHANT),
        lambda: products.archive(shirt.pk, actor=MERCHANT),
        lambda: products.update(shirt.pk, manage_stock=False, actor=MERCHANT),
    ):
        with pytest.raises(UnitsAllocated):
            refused()

    payments.cancel(order.pk, actor=MERCHANT)
    assert numbers(shirt) == (10, 10, 0)


def test_f32_switching_off_and_on_between_payments_starts_clean():
    shirt = product(stock=10)
    order = unpaid_order({shirt: 4})
    products.stop_managing(shirt.pk, actor=MERCHANT)
    products.start_managing(shirt.pk, 4, actor=MERCHANT)

    payments.pay(order.pk, PaymentRequest("manual"), actor=MERCHANT)

    assert numbers(shirt) == (4, 0, 4)


def test_a_line_that_was_unmanaged_at_a_failed_payment_is_looked_at_anew():
    download = product(managed=False)
    order = unpaid_order({download: 5})
    with pytest.raises(PaymentDeclined):
        payments.pay(order.pk, PaymentRequest("test", token="decline"), actor=MERCHANT)
    products.start_managing(download.pk, 7, actor=MERCHANT)

    payments.pay(order.pk, PaymentRequest("manual"), actor=MERCHANT)

    assert numbers(download) == (7, 2, 5)


# Undoing it.


def undo_ship(order: Order) -> None:
    orders.undo_ship(order.pk, actor=MERCHANT, reason="still on the shelf")


def test_f31_undo_ship_brings_total_and_allocation_back():
    shirt = product(stock=10)
    order = paid_order({shirt: 4})
    orders.ship(order.pk, actor=MERCHANT)

    undo_ship(order)

    order.refresh_from_db()
    assert (order.shipping, order.status, order.payment) == ("unfulfilled", "complete", "paid")
    assert (order.shipped_at, order.allocated_at is None) == (None, False)
    assert numbers(shirt) == (10, 6, 4)
    assert entries(shirt)[-2:] == [
        ("increment", 4, "ship undone: still on the shelf"),
        ("allocate", 4, "ship undone: still on the shelf"),
    ]
    assert list(OrderItem.objects.values_list("allocated", "shipped")) == [(4, 0)]
    assert told(order)[-1] == ("ship_undone", "still on the shelf", "clerk")


def test_an_order_whose_ship_was_undone_can_be_shipped_again_or_cancelled():
    shirt = product(stock=10)
    again, never = paid_order({shirt: 4}), paid_order({shirt: 2})
    for order in (again, never):
        orders.ship(order.pk, actor=MERCHANT)
        undo_ship(order)

    orders.ship(again.pk, actor=MERCHANT)
    payments.cancel(never.pk, actor=MERCHANT)

    assert numbers(shirt) == (6, 6, 0)


def test_only_what_is_shipped_is_undone():
    shirt = product(stock=10)
    order = paid_order({shirt: 4})

    with pytest.raises(ShipNotUndoable):
        undo_ship(order)

    orders.ship(order.pk, actor=MERCHANT)
    undo_ship(order)
    with pytest.raises(ShipNotUndoable):
        undo_ship(order)
    assert numbers(shirt) == (10, 6, 4)


def test_ship_is_not_undone_once_the_stock_is_no_longer_managed():
    shirt = product(stock=4)
    order = paid_order({shirt: 4})
    orders.ship(order.pk, actor=MERCHANT)
    products.stop_managing(shirt.pk, actor=MERCHANT)

    with pytest.raises(StockNotFound):
        undo_ship(order)

    order.refresh_from_db()
    assert order.shipping == "fulfilled"
    assert told(order) == [("shipped", "", "clerk")]


def test_undoing_the_ship_of_what_holds_no_stock_moves_none():
    order = paid_order({product(managed=False): 5})
    orders.ship(order.pk, actor=MERCHANT)

    undo_ship(order)
    orders.ship(order.pk, actor=MERCHANT)

    assert not StockTransaction.objects.exists()


# Changing an order.


def test_an_order_is_changed_until_it_is_shipped():
    order = paid_order({product(stock=10): 1})

    orders.change(order.pk, actor=MERCHANT, external_ref="erp-9", shipping_address={"city": "Ulm"})

    order.refresh_from_db()
    assert (order.external_ref, order.shipping_address) == ("erp-9", {"city": "Ulm"})
    orders.ship(order.pk, actor=MERCHANT)
    with pytest.raises(OrderNotChangeable):
        orders.change(order.pk, actor=MERCHANT, external_ref="erp-10")


# What is told of an order.


def told(order: Order) -> list[tuple[str, str, str]]:
    events = order.events.order_by("pk")
    return list(events.values_list("kind", "text", "actor_name"))


def test_the_order_tells_who_shipped_it_and_with_which_parcel():
    order = paid_order({product(stock=10): 1})

    orders.ship(order.pk, actor=MERCHANT, tracking="00340434161094042557")

    assert told(order) == [("shipped", "00340434161094042557", "clerk")]


def test_the_order_tells_who_cancelled_it_though_it_moved_no_stock():
    order = unpaid_order({product(stock=10): 1})

    payments.cancel(order.pk, actor=MERCHANT)

    assert told(order) == [("cancelled", "", "clerk")]


def test_the_order_tells_what_was_changed_but_keeps_no_address_for_ever():
    order = unpaid_order({product(stock=10): 1})

    orders.change(order.pk, actor=MERCHANT, external_ref="erp-9", shipping_address={"city": "Ulm"})
    orders.change(order.pk, actor=MERCHANT, external_ref="erp-9")

    assert told(order) == [
        ("changed", 'external ref from "" to "erp-9", shipping address', "clerk")
    ]


def test_what_was_refused_is_not_told():
    order = unpaid_order({product(stock=10): 1})

    with pytest.raises(OrderNotShippable):
        orders.ship(order.pk, actor=MERCHANT)

    assert told(order) == []


@pytest.mark.parametrize(
    "change", [lambda events: events.update(actor_name="another"), lambda events: events.delete()]
)
def test_the_database_keeps_what_was_told(change):
    order = paid_order({product(stock=10): 1})
    orders.ship(order.pk, actor=MERCHANT)

    with pytest.raises(IntegrityError, match="kept as they are"), transaction.atomic():
        change(OrderEvent.objects.all())

    assert told(order) == [("shipped", "", "clerk")]


# Statements.


def some_products(number: int) -> list[Product]:
    return [product(stock=10) for _ in range(number)]


@pytest.mark.django_db(transaction=True)
def test_adding_to_a_cart_takes_the_same_few_statements_each_time():
    shirt = product(stock=10)
    # The store's settings are read by now.
    add("bob", shirt, 1)

    first = statements_of(lambda: add("ada", shirt, 1))
    again = statements_of(lambda: add("ada", shirt, 1))

    assert len(first) == len(again) == 6, (first, again)
    assert (first[0], first[-1]) == ("BEGIN", "COMMIT")


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("change", "locks"),
    [
        (lambda item: add("ada", item.product, 1), "insert orders_cart"),
        (lambda item: carts.change_item("ada", item.pk, 2), "insert orders_cart"),
        (lambda item: carts.remove_item("ada", item.pk), "insert orders_cart"),
        (lambda item: carts.remove_items("ada"), "lock orders_cart"),
    ],
    ids=["add", "change", "remove", "remove all"],
)
def test_every_change_of_a_cart_begins_with_its_lock(change, locks):
    """Making the cart, or putting off its expiry, locks it too."""
    add("ada", product(stock=10), 1)
    item = CartItem.objects.select_related("product").get()

    begin, first, *_ = statements_of(lambda: change(item))

    assert (begin, first) == ("BEGIN", locks)


@pytest.mark.django_db(transaction=True)
def test_checkout_takes_as_many_statements_for_twenty_lines_as_for_one():
    small = filled_cart(dict.fromkeys(some_products(1), 1))
    large = filled_cart(dict.fromkeys(some_products(20), 1))

    few = statements_of(lambda: orders.checkout(small, BUYER))
    many = statements_of(lambda: orders.checkout(large, BUYER))

    assert few == many
    assert len(few) == 8, few
    assert "lock orders_cart" in few
    assert not [statement for statement in few if "stock" in statement]


@pytest.mark.django_db(transaction=True)
def test_ship_takes_as_many_statements_for_twenty_lines_as_for_one():
    small = paid_order(dict.fromkeys(some_products(1), 1))
    large = paid_order(dict.fromkeys(some_products(20), 1))

    few = statements_of(lambda: orders.ship(small.pk, actor=MERCHANT))
    many = statements_of(lambda: orders.ship(large.pk, actor=MERCHANT))

    assert few == many
    assert len(few) == 9, few
    assert few[1] == "lock orders_order"
    assert few[-4:] == [
        "insert orders_orderevent",
        "lock inventory_stock",
        "write inventory_stock",
        "COMMIT",
    ]
    assert len([statement for statement in few if statement.startswith("lock")]) == 2


@pytest.mark.django_db(transaction=True)
def test_undo_ship_takes_as_many_statements_for_twenty_lines_as_for_one():
    small = paid_order(dict.fromkeys(some_products(1), 1))
    large = paid_order(dict.fromkeys(some_products(20), 1))
    for order in (small, large):
        orders.ship(order.pk, actor=MERCHANT)

    few = statements_of(lambda: undo_ship(small))
    many = statements_of(lambda: undo_ship(large))

    assert few == many
    assert len(few) == 9, few
    assert few[1] == "lock orders_order"
    assert few[-4:] == [
        "insert orders_orderevent",
        "lock inventory_stock",
        "write inventory_stock",
        "COMMIT",
    ]
