import uuid
from datetime import timedelta
from functools import partial

import pytest
from django.db import IntegrityError, transaction

from api import clock
from api.idempotency import Answered
from api.ids import uuid7
from inventory.errors import UnitsAllocated
from inventory.models import Product, StockTransaction
from inventory.services import currencies, products
from inventory.services.products import Money
from orders.errors import (
    CartEmpty,
    CurrencyDiffers,
    CustomItemIsAProduct,
    InsufficientStock,
    NotForSale,
    OrderNotChangeable,
    OrderNotFound,
    OrderNotShippable,
    PaymentUnderWay,
    ShipmentNotFound,
    ShipNotUndoable,
    TooManyUnpaidOrders,
    TotalChanged,
    TotalTooLarge,
)
from orders.models import Cart, CartItem, Order, OrderEvent, OrderItem, ReturnLine, Shipment
from orders.services import cancelling, cart_contents, carts, orders, returns, shipments
from orders.services.cart_lines import CustomItem
from orders.services.orders import Buyer
from orders.services.returns import TakenBack
from payments.errors import PaymentDeclined
from payments.models import Payment
from payments.services import payments, recovery
from payments.services.payments import PaymentRequest
from tests import factories
from tests.factories import BUYER, MERCHANT, filled_cart, paid_order, product, unpaid_order
from tests.orders.filling import MIDNIGHT, add, at, quantities
from tests.orders.statements import statements_of
from tests.orders.test_races import key
from tests.roles import as_owner
from tests.stock import entries, numbers

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("impatient")]


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


def test_an_order_line_is_a_copy_of_what_stood_in_the_cart():
    shirt = product(stock=10, price=1250)
    shirt.prices.update(includes_tax=False)
    cart_id = filled_cart({shirt: 4})
    inputs = {"engraving": {"text": "Ada"}}
    CartItem.objects.update(custom_inputs=inputs, location_id="default")

    order, [line] = orders.checkout(cart_id, BUYER)

    line.refresh_from_db()
    assert (line.order_id, line.position, line.product_id) == (order.pk, 0, shirt.pk)
    assert (line.name, line.sku, line.quantity) == (shirt.name, shirt.sku, 4)
    assert (line.unit_price, line.includes_tax) == (1250, False)
    assert line.custom_inputs == inputs
    assert line.location_id == "default"
    assert line.cart_item_id == CartItem.objects.get().pk


def test_an_order_keeps_who_buys_it_and_where_it_goes():
    cart_id = filled_cart({product(stock=10): 1})
    attributes = {"level": {"type": "string", "value": "premium"}}
    Cart.objects.update(custom_attributes=attributes)
    buyer = Buyer("Ada Buyer", "ada@example.com", {"city": "Ulm"}, {"city": "Bonn"})

    orders.checkout(cart_id, buyer)

    order = Order.objects.get()
    assert (order.customer_name, order.customer_email) == ("Ada Buyer", "ada@example.com")
    assert (order.billing_address, order.shipping_address) == ({"city": "Ulm"}, {"city": "Bonn"})
    assert (order.cart_id, order.custom_attributes) == (cart_id, attributes)


def test_an_order_is_found_by_its_buyer_as_soon_as_it_is_there():
    order, _ = orders.checkout(filled_cart({product(stock=10): 1}), BUYER)

    order.refresh_from_db()
    assert "ada" in order.found_by


def test_a_custom_item_whose_sku_a_product_has_got_since_is_not_ordered():
    carts.add_one("mine", CustomItem(1, "Wrapping", 250, sku="MINE"), currency="USD")
    carts.add_one("plain", CustomItem(1, "Wrapping", 250), currency="USD")
    product(sku="MINE")

    with pytest.raises(CustomItemIsAProduct) as refused:
        orders.checkout("mine", BUYER)

    assert refused.value.meta == {"id": str(CartItem.objects.get(sku="MINE").pk), "sku": "MINE"}
    assert orders.checkout("plain", BUYER)[0].total == 250


def test_what_went_off_sale_since_checkout_is_named():
    shirt = product(stock=10)
    order = unpaid_order({shirt: 1})
    cart_id = filled_cart({shirt: 1})
    products.update(shirt.pk, status="draft", actor=MERCHANT)

    for act in (
        lambda: orders.checkout(cart_id, BUYER),
        lambda: payments.pay(order.pk, PaymentRequest("manual"), actor=MERCHANT),
    ):
        with pytest.raises(NotForSale) as refused:
            act()
        assert refused.value.meta == {"id": str(shirt.pk), "sku": shirt.sku}


def test_lines_of_a_cancelled_order_hold_nothing():
    order = paid_order({product(stock=10): 4})

    payments.cancel(order.pk, actor=MERCHANT)

    line = order.items.get()
    assert (line.allocated, line.stocked, line.cancelled) == (0, False, 4)


def test_what_one_order_gives_back_no_other_does():
    shirt = product(stock=10)
    other, cancelled, declined = (
        paid_order({shirt: 4}),
        paid_order({shirt: 1}),
        unpaid_order({shirt: 2}),
    )

    payments.cancel(cancelled.pk, actor=MERCHANT)
    with pytest.raises(PaymentDeclined):
        payments.pay(declined.pk, PaymentRequest("test", token="decline"), actor=MERCHANT)

    line = other.items.get()
    assert (line.stocked, line.allocated, line.cancelled) == (True, 4, 0)
    assert numbers(shirt) == (10, 6, 4)


def test_an_order_whose_units_others_took_since_checkout_is_not_paid_and_hears_no_number():
    shirt = product(stock=5)
    first, second = unpaid_order({shirt: 3}), unpaid_order({shirt: 3})
    payments.pay(first.pk, PaymentRequest("manual"), actor=MERCHANT)

    with pytest.raises(InsufficientStock) as refused:
        payments.pay(second.pk, PaymentRequest("manual"), actor=MERCHANT)

    assert (refused.value.meta, shirt.name in refused.value.detail) == (None, False)
    assert not Payment.objects.filter(order=second).exists()


def test_a_checkout_with_a_key_makes_one_order_with_the_id_it_was_given():
    cart_id, order_id = filled_cart({product(stock=10): 1}), uuid7()

    order, _ = orders.checkout(cart_id, BUYER, order_id=order_id, key=key())
    with pytest.raises(Answered):
        orders.checkout(cart_id, BUYER, key=key())

    assert list(Order.objects.values_list("pk", flat=True)) == [order.pk] == [order_id]


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


def test_t14_a_cart_in_a_currency_that_is_disabled_since_is_not_checked_out(euro):
    item = product(stock=10, prices=[Money("EUR", 1300), Money("USD", 1500)])
    cart_id = filled_cart({item: 1}, currency="EUR")
    ordered, _ = orders.checkout(cart_id, BUYER)
    currencies.change(euro.pk, enabled=False, actor=MERCHANT)

    with pytest.raises(NotForSale, match="no longer sells in EUR") as refused:
        orders.checkout(cart_id, BUYER)
    assert refused.value.meta == {"currency": "EUR"}

    # What was ordered before keeps its price, as it does whatever becomes of a price.
    payments.pay(ordered.pk, PaymentRequest("manual"), actor=MERCHANT)
    currencies.change(euro.pk, enabled=True, actor=MERCHANT)
    assert orders.checkout(cart_id, BUYER)[0].total == 1300


def test_an_order_is_worth_at_most_9007199254740991():
    cart_id = filled_cart({product(managed=False, price=2**53 - 1): 1, product(managed=False): 1})

    with pytest.raises(TotalTooLarge):
        orders.checkout(cart_id, BUYER)

    assert not Order.objects.exists()


# Shipping.


@pytest.mark.parametrize("limited", ["cart", "address"])
def test_t39_a_shopper_leaves_only_so_many_orders_unpaid(settings, limited):
    """Paid and cancelled ones do not count, nor other carts, addresses or days."""
    settings.UNPAID_ORDERS_PER_CART = 2 if limited == "cart" else 0
    settings.UNPAID_ORDERS_PER_ADDRESS = 2 if limited == "address" else 0
    shirt = product(stock=10)
    carts = [filled_cart({shirt: 1}) for _ in range(3)]
    mine = carts[:1] * 3 if limited == "cart" else carts

    def check_out(cart: str, address: str = "198.51.100.7") -> Order:
        return orders.checkout(cart, BUYER, placed_from=address)[0]

    first, second = check_out(mine[0]), check_out(mine[1])
    for _ in range(2):
        with pytest.raises(TooManyUnpaidOrders) as refused:
            check_out(mine[2])
    assert refused.value.retry_after_seconds
    assert "198" not in first.placed_from
    assert first.placed_from == second.placed_from

    payments.cancel(first.pk, actor=MERCHANT)
    third = check_out(mine[2])
    with pytest.raises(TooManyUnpaidOrders):
        check_out(mine[2])
    payments.pay(third.pk, PaymentRequest("manual"), actor=MERCHANT)
    check_out(mine[2])
    orders.checkout(mine[2], BUYER)
    check_out(carts[1] if limited == "cart" else mine[2], "198.51.100.8")
    if limited == "address":
        with at(clock.now() + timedelta(days=1, minutes=1)):
            check_out(mine[2])


def test_ship_takes_the_units_out_of_the_total():
    shirt = product(stock=10)
    order = paid_order({shirt: 4})

    shipments.ship(order.pk, actor=MERCHANT)

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
    shipments.ship(shipped.pk, actor=MERCHANT)
    before = numbers(shirt)

    for order in (unpaid_order({shirt: 1}), partly_paid, authorized, refunded, cancelled, shipped):
        with pytest.raises(OrderNotShippable):
            shipments.ship(order.pk, actor=MERCHANT)

    with pytest.raises(OrderNotFound):
        shipments.ship(uuid.uuid4(), actor=MERCHANT)
    assert numbers(shirt) == before


def test_a_partly_refunded_order_can_be_shipped():
    shirt = product(stock=10, price=1000)
    order = paid_order({shirt: 1})
    payments.refund(order.pk, order.payments.get().pk, 300, actor=MERCHANT)

    shipments.ship(order.pk, actor=MERCHANT)

    assert numbers(shirt) == (9, 9, 0)


def test_an_order_is_not_shipped_while_money_is_on_its_way():
    order = unpaid_order({product(stock=10): 1})
    payments.pay(order.pk, PaymentRequest("test", token="slow"), actor=MERCHANT)

    with pytest.raises(PaymentUnderWay):
        shipments.ship(order.pk, actor=MERCHANT)

    recovery.settle_pending()
    shipments.ship(order.pk, actor=MERCHANT)


def test_an_order_is_not_shipped_while_a_refund_is_pending():
    order = unpaid_order({product(stock=10): 1})
    payment = payments.pay(order.pk, PaymentRequest("test"), actor=MERCHANT)
    payments.begin_refund(order.pk, payment.pk, 5, actor=MERCHANT)

    with pytest.raises(PaymentUnderWay):
        shipments.ship(order.pk, actor=MERCHANT)


def test_unmanaged_lines_move_nothing():
    shirt, download = product(stock=10), product(managed=False)
    order = paid_order({shirt: 2, download: 5})

    shipments.ship(order.pk, actor=MERCHANT)

    assert numbers(shirt) == (8, 8, 0)
    assert numbers(download) == (0, 0, 0)
    assert entries(download) == []
    shipped = OrderItem.objects.order_by("position").values_list("stocked", "shipped")
    assert list(shipped) == [(True, 2), (False, 5)]


def test_an_order_of_nothing_managed_is_paid_and_shipped_without_stock():
    order = paid_order({product(managed=False): 5})

    shipments.ship(order.pk, actor=MERCHANT)

    assert not StockTransaction.objects.exists()


def test_f32_shipping_moves_what_was_recorded_though_the_product_is_managed_since():
    download = product(managed=False)
    order = paid_order({download: 5})
    products.start_managing(download.pk, 3, actor=MERCHANT)

    shipments.ship(order.pk, actor=MERCHANT)

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
    factories.undo_ship(order, reason="still on the shelf")


def test_f31_undo_ship_brings_total_and_allocation_back():
    shirt = product(stock=10)
    order = paid_order({shirt: 4})
    shipments.ship(order.pk, actor=MERCHANT)

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
    assert told(order)[-1] == ("ship_undone", "Shipment 1: still on the shelf", "clerk")


def test_an_order_whose_ship_was_undone_can_be_shipped_again_or_cancelled():
    shirt = product(stock=10)
    again, never = paid_order({shirt: 4}), paid_order({shirt: 2})
    for order in (again, never):
        shipments.ship(order.pk, actor=MERCHANT)
        undo_ship(order)

    shipments.ship(again.pk, actor=MERCHANT)
    payments.cancel(never.pk, actor=MERCHANT)

    assert numbers(shirt) == (6, 6, 0)


def test_only_what_is_shipped_is_undone():
    shirt = product(stock=10)
    order = paid_order({shirt: 4})

    with pytest.raises(ShipmentNotFound):
        shipments.undo(order.pk, uuid.uuid4(), actor=MERCHANT, reason="mistake")

    shipments.ship(order.pk, actor=MERCHANT)
    undo_ship(order)
    with pytest.raises(ShipNotUndoable):
        undo_ship(order)
    assert numbers(shirt) == (10, 6, 4)


@pytest.mark.parametrize("gone", [products.stop_managing, products.archive])
def test_t19_undoing_a_ship_does_not_need_todays_catalogue(gone):
    shirt, cap = product(stock=4), product(stock=10, sku="CAP")
    order = paid_order({cap: 3, shirt: 2})
    shipment = shipments.ship(order.pk, actor=MERCHANT)
    gone(cap.pk, actor=MERCHANT)

    assert shipments.not_coming_back(shipment) == ["CAP"]
    undo_ship(order)

    assert numbers(shirt) == (4, 2, 2)
    assert entries(cap)[-1] == ("decrement", 7, "stock no longer managed")
    assert list(OrderItem.objects.order_by("position").values_list("stocked", "allocated")) == [
        (False, 0),
        (True, 2),
    ]
    assert told(order)[-1][1].endswith("(not back in stock, which is not managed any more: CAP)")
    shipments.ship(order.pk, actor=MERCHANT)
    assert numbers(shirt) == (2, 2, 0)


def test_undoing_the_ship_of_what_holds_no_stock_moves_none():
    order = paid_order({product(managed=False): 5})
    shipments.ship(order.pk, actor=MERCHANT)

    undo_ship(order)
    shipments.ship(order.pk, actor=MERCHANT)

    assert not StockTransaction.objects.exists()


# Changing an order.


def test_an_order_is_changed_until_it_is_shipped():
    order = paid_order({product(stock=10): 1})

    orders.change(order.pk, actor=MERCHANT, external_ref="erp-9", shipping_address={"city": "Ulm"})

    order.refresh_from_db()
    assert (order.external_ref, order.shipping_address) == ("erp-9", {"city": "Ulm"})
    shipments.ship(order.pk, actor=MERCHANT)
    with pytest.raises(OrderNotChangeable):
        orders.change(order.pk, actor=MERCHANT, external_ref="erp-10")


def test_a_change_that_is_sent_twice_is_made_once_and_the_order_is_found_by_what_is_new():
    order = unpaid_order({product(stock=10): 1})

    orders.change(order.pk, actor=MERCHANT, customer_name="Grace Hopper", key=key())
    with pytest.raises(Answered):
        orders.change(order.pk, actor=MERCHANT, customer_name="Grace Hopper", key=key())

    changed = Order.objects.get()
    assert changed.updated_at > order.updated_at
    assert "hopper" in changed.found_by
    assert len(told(order)) == 1


def test_people_change_an_order_by_its_states_and_by_what_stands_in_the_fields():
    order = unpaid_order({product(stock=10): 1})
    order.billing_address = {"line_1": "1 Square", "line_2": "", "city": "Ulm"}

    assert orders.standing_of(order, ["billing_address", "customer_name", "order_number"]) == {
        "status": "incomplete",
        "shipping": "unfulfilled",
        "billing address line 1": "1 Square",
        "billing address city": "Ulm",
        "customer name": "Ada Buyer",
    }


def test_an_order_that_is_left_be_is_looked_at_again_after_whatever_happens_to_it():
    order = paid_order({product(stock=10): 5})
    [line] = order.items.all()
    shipments.ship(order.pk, actor=MERCHANT, units={line.pk: 3})
    inspected = [TakenBack(line.pk, 1, "inspection")]

    for act in (
        lambda: returns.take_back(order.pk, inspected, actor=MERCHANT),
        lambda: returns.settle_inspected(
            order.pk, ReturnLine.objects.get().pk, "restocked", actor=MERCHANT
        ),
        lambda: cancelling.cancel_items(order.pk, {line.pk: 1}, actor=MERCHANT, reason="late"),
        lambda: shipments.ship(order.pk, actor=MERCHANT),
        lambda: undo_ship(order),
    ):
        order.refresh_from_db()
        orders.leave_be(order, actor=MERCHANT, reason="agreed")
        assert Order.objects.get().left_be_at is not None
        before = order.updated_at
        act()
        order.refresh_from_db()
        assert (order.left_be_at, order.updated_at > before) == (None, True)
    assert told(order)[-2] == ("left_be", "agreed", "clerk")


# What is told of an order.


def told(order: Order) -> list[tuple[str, str, str]]:
    events = order.events.order_by("pk")
    return list(events.values_list("kind", "text", "actor_name"))


def test_the_order_tells_who_shipped_it_and_with_which_parcel():
    order = paid_order({product(stock=10): 1})

    shipments.ship(order.pk, actor=MERCHANT, carrier="DHL", tracking="00340434161094042557")

    assert told(order) == [("shipped", "Shipment 1: DHL 00340434161094042557", "clerk")]


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


def test_of_several_fields_only_those_are_told_that_became_others():
    order = unpaid_order({product(stock=10): 1})
    attributes = {"level": {"type": "string", "value": "premium"}}

    orders.change(
        order.pk,
        actor=MERCHANT,
        external_ref="",
        order_number="PO-7",
        custom_attributes=attributes,
    )

    assert told(order) == [
        ("changed", 'order number from "" to "PO-7", custom attributes', "clerk")
    ]


def test_a_note_that_is_sent_twice_is_kept_once_with_who_wrote_it():
    order = unpaid_order({product(stock=10): 1})

    orders.write_note(order.pk, "Rings twice.", actor=MERCHANT, key=key())
    with pytest.raises(Answered):
        orders.write_note(order.pk, "Rings twice.", actor=MERCHANT, key=key())

    assert told(order) == [("note", "Rings twice.", "clerk")]
    with pytest.raises(OrderNotFound):
        orders.write_note(uuid.uuid4(), "Whose?", actor=MERCHANT)


def test_what_was_refused_is_not_told():
    order = unpaid_order({product(stock=10): 1})

    with pytest.raises(OrderNotShippable):
        shipments.ship(order.pk, actor=MERCHANT)

    assert told(order) == []


@pytest.mark.parametrize(
    "change", [lambda events: events.update(actor_name="another"), lambda events: events.delete()]
)
def test_the_database_keeps_what_was_told(change):
    order = paid_order({product(stock=10): 1})
    shipments.ship(order.pk, actor=MERCHANT)

    refused = pytest.raises(IntegrityError, match="kept as they are")
    with as_owner(), refused, transaction.atomic():
        change(OrderEvent.objects.all())

    assert told(order) == [("shipped", "Shipment 1", "clerk")]


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
def test_checkout_takes_as_many_statements_for_twenty_lines_as_for_one(settings):
    small = filled_cart(dict.fromkeys(some_products(1), 1))
    large = filled_cart(dict.fromkeys(some_products(20), 1))

    few = statements_of(lambda: orders.checkout(small, BUYER))
    many = statements_of(lambda: orders.checkout(large, BUYER))

    assert few == many
    assert len(few) == 8, few
    assert "lock orders_cart" in few
    settings.UNPAID_ORDERS_PER_ADDRESS = 0
    by_shopper = statements_of(lambda: orders.checkout(small, BUYER, placed_from="198.51.100.7"))
    assert len(by_shopper) == 8, by_shopper
    assert not [statement for statement in few if "stock" in statement]


@pytest.mark.django_db(transaction=True)
def test_ship_takes_as_many_statements_for_twenty_lines_as_for_one():
    small = paid_order(dict.fromkeys(some_products(1), 1))
    large = paid_order(dict.fromkeys(some_products(20), 1))

    few = statements_of(lambda: shipments.ship(small.pk, actor=MERCHANT))
    many = statements_of(lambda: shipments.ship(large.pk, actor=MERCHANT))

    assert few == many
    assert len(few) == 11, few
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
    [one, other] = [shipments.ship(order.pk, actor=MERCHANT) for order in (small, large)]

    def undo(order: Order, shipment: Shipment) -> list[str]:
        how = partial(shipments.undo, order.pk, shipment.pk, actor=MERCHANT, reason="mistake")
        return statements_of(how)

    few, many = undo(small, one), undo(large, other)

    assert few == many
    assert len(few) == 13, few
    assert few[1] == "lock orders_order"
    assert few[-5:] == [
        "insert orders_orderevent",
        "lock inventory_stock",
        "select inventory_stocktransaction",
        "write inventory_stock",
        "COMMIT",
    ]
