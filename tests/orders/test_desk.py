"""Orders that people of the store make for a customer."""

from contextlib import suppress
from datetime import timedelta

import pytest

from api import clock
from api.errors import Moved
from api.idempotency import Answered
from api.ids import uuid7
from orders.errors import CartEmpty, CartGone, InsufficientStock
from orders.models import Cart, CartItem, Order, OrderEvent
from orders.services import cart_contents, carts, desk
from orders.services.cart_lines import CustomItem, LineChange, ProductWanted
from orders.services.orders import Buyer
from tests.factories import BUYER, MERCHANT, product
from tests.orders.test_races import key

pytestmark = pytest.mark.django_db


def draft(*entries, cart_id: str = "") -> str:
    cart_id = cart_id or desk.new_draft()
    for entry in entries:
        desk.add(cart_id, entry, currency="USD", actor=MERCHANT)
    return cart_id


def standing(cart_id: str):
    return cart_contents.standing(cart_contents.contents(cart_id).lines)


def test_an_order_of_the_desk_says_who_made_it_and_its_draft_is_gone():
    shirt = product(5, price=1250)
    cart_id = draft(ProductWanted(2, shirt.pk), CustomItem(1, "Engraving", 500))
    assert Cart.objects.get(pk=cart_id).name == "Made by clerk"

    order = desk.check_out(cart_id, BUYER, actor=MERCHANT, note="Rings twice.")

    assert (order.total, order.payment, order.status) == (3000, "unpaid", "incomplete")
    told = order.events.order_by("pk").values_list("kind", "text", "actor_name")
    assert list(told) == [
        ("placed_at_the_desk", "", "clerk"),
        ("note", "Rings twice.", "clerk"),
    ]
    assert not Cart.objects.filter(pk=cart_id).exists()
    assert desk.order_of(cart_id) == order


def test_whoever_adds_to_a_draft_that_became_an_order_is_told():
    shirt = product(5)
    cart_id = draft(ProductWanted(1, shirt.pk))
    desk.check_out(cart_id, BUYER, actor=MERCHANT)

    with pytest.raises(CartGone):
        draft(ProductWanted(1, shirt.pk), cart_id=cart_id)
    with pytest.raises(CartGone):
        carts.add_one(cart_id, ProductWanted(1, shirt.pk), currency="USD", only_if_there=True)
    with pytest.raises(CartEmpty):
        desk.check_out(cart_id, BUYER, actor=MERCHANT)

    assert not Cart.objects.filter(pk=cart_id).exists()


def test_of_two_drafts_one_becomes_an_order_and_the_other_stays():
    shirt = product(5)
    one, other = draft(ProductWanted(1, shirt.pk)), draft(ProductWanted(2, shirt.pk))
    assert desk.order_of(one) is None

    made = desk.check_out(one, BUYER, actor=MERCHANT)

    assert (desk.order_of(one), desk.order_of(other)) == (made, None)
    assert [cart.pk for cart in Cart.objects.all()] == [other]
    assert CartItem.objects.get().quantity == 2


def test_a_draft_that_expired_begins_anew():
    shirt = product(5)
    cart_id = draft(ProductWanted(1, shirt.pk))
    later = clock.now() + timedelta(days=400)

    with clock.replaced(lambda: later):
        draft(ProductWanted(2, shirt.pk), cart_id=cart_id)

    assert CartItem.objects.get().quantity == 2


def test_what_is_sent_into_a_draft_twice_is_put_into_it_once_and_an_order_has_the_id_it_was_given():
    wanted, cart_id, order_id = ProductWanted(1, product(5).pk), desk.new_draft(), uuid7()
    for _ in range(2):
        with suppress(Answered):
            desk.add(cart_id, wanted, currency="USD", actor=MERCHANT, key=key())
    assert CartItem.objects.get().quantity == 1

    assert desk.check_out(cart_id, BUYER, actor=MERCHANT, order_id=order_id).pk == order_id


def test_the_last_order_of_a_customer_is_the_newest_in_whatever_case_the_address_is_written():
    shirt = product(9)
    for email in ("Ada@example.com", "ada@example.com", "bob@example.com"):
        last = desk.check_out(
            draft(ProductWanted(1, shirt.pk)), Buyer("Ada", email), actor=MERCHANT
        )

    found = desk.last_order_of("ADA@example.com")

    assert found is not None
    assert (found.customer_email, found.number < last.number) == ("ada@example.com", True)
    assert desk.last_order_of("nobody@example.com") is None


def test_a_draft_that_is_not_as_it_was_seen_becomes_no_order():
    shirt = product(5, price=1250)
    cart_id = draft(ProductWanted(1, shirt.pk))
    seen = standing(cart_id)
    assert seen == {f"units of {shirt.sku}": "1", f"price of {shirt.sku}": 1250}
    draft(ProductWanted(1, shirt.pk), cart_id=cart_id)

    with pytest.raises(Moved):
        desk.check_out(cart_id, BUYER, actor=MERCHANT, seen=seen)

    assert not Order.objects.exists()
    assert desk.check_out(cart_id, BUYER, actor=MERCHANT, seen=standing(cart_id)).total == 2500


def test_of_two_who_change_a_line_the_second_is_told():
    cart_id = draft(ProductWanted(1, product(5).pk))
    item = CartItem.objects.get()

    carts.change_items(cart_id, [LineChange(item.pk, 2)], seen={str(item.pk): 1})
    for quantity in (3, 0):
        with pytest.raises(Moved):
            carts.change_items(cart_id, [LineChange(item.pk, quantity)], seen={str(item.pk): 1})

    assert CartItem.objects.get().quantity == 2
    carts.remove_item(cart_id, item.pk)
    with pytest.raises(Moved):
        carts.change_items(cart_id, [LineChange(item.pk, 3)], seen={str(item.pk): 2})


def test_checking_out_twice_makes_one_order():
    cart_id = draft(ProductWanted(1, product(5).pk))
    desk.check_out(cart_id, BUYER, actor=MERCHANT, key=key())

    with pytest.raises(Answered):
        desk.check_out(cart_id, BUYER, actor=MERCHANT, key=key())

    assert Order.objects.count() == 1


def test_what_is_short_is_not_checked_out_and_the_draft_stays():
    shirt = product(3)
    cart_id = draft(ProductWanted(2, shirt.pk), ProductWanted(2, shirt.pk))

    with pytest.raises(InsufficientStock):
        desk.check_out(cart_id, BUYER, actor=MERCHANT)

    assert CartItem.objects.get().quantity == 4
    assert not OrderEvent.objects.exists()
