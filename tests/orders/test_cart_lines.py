"""What is put into a cart: products, quantities and prices, and for how long it stays."""

import uuid
from datetime import timedelta
from typing import Any

import pytest

from inventory.errors import ProductNotFound
from inventory.models import Action
from inventory.services import products
from inventory.services import stock as inventory
from inventory.services.products import Money
from orders.errors import (
    CartItemNotFound,
    InsufficientStock,
    NoPrice,
    TooManyInALine,
    TooManyItems,
    TotalTooLarge,
)
from orders.models import Cart, CartItem, Order
from orders.services import cart_contents, carts
from tests.factories import MERCHANT, product, unpaid_order
from tests.orders.filling import MIDNIGHT, add, at, quantities
from tests.stock import entries, numbers

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("impatient")]


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
