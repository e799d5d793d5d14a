"""What is put into a cart: products, quantities and prices, and for how long it stays."""

import uuid
from datetime import timedelta
from typing import Any

import pytest

from api.idempotency import Answered
from inventory.errors import ProductNotFound
from inventory.models import Action, Picture
from inventory.services import picture_files, pictures, products
from inventory.services import stock as inventory
from inventory.services.images import LARGE
from inventory.services.products import Money
from orders.errors import (
    CartCurrencyDiffers,
    CartIntoItself,
    CartItemNotFound,
    CustomItemsNotAllowed,
    InsufficientStock,
    LocationUnknown,
    NoPrice,
    SeveralRefused,
    TooManyInALine,
    TooManyItems,
    TooMuchWritten,
    TotalTooLarge,
)
from orders.models import WRITTEN_MAX, Cart, CartItem, Order
from orders.services import cart_contents, carts
from orders.services.cart_lines import CustomItem, Entry, LineChange, OtherCart, ProductWanted
from orders.services.offers import Image, Offer
from tests.factories import MERCHANT, product, unpaid_order
from tests.orders.filling import MIDNIGHT, add, at, quantities
from tests.orders.test_races import key
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
    add("ada", mug, 1, custom_inputs={})
    assert quantities("ada") == [2, 5, 4]


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


@pytest.mark.parametrize(
    "change",
    [
        lambda item, **more: carts.add_item(
            "ada", product_id=item.product_id, quantity=1, currency="USD", **more
        ),
        lambda item, **more: carts.change_item("ada", item.pk, 2, **more),
        lambda item, **more: carts.remove_item("ada", item.pk, **more),
        lambda item, **more: carts.remove_items("ada", **more),
        lambda item, **more: carts.create("new", **more),
        lambda item, **more: carts.save("ada", **more),
        lambda item, **more: carts.delete("ada", **more),
    ],
    ids=["add", "change", "remove", "empty", "create", "save", "delete"],
)
def test_a_change_of_a_cart_that_is_sent_twice_is_made_once(change):
    add("ada", product(stock=10), 1)
    item = CartItem.objects.get()
    change(item, key=key())
    before = list(CartItem.objects.values_list("pk", "quantity"))

    with pytest.raises(Answered):
        change(item, key=key())

    assert list(CartItem.objects.values_list("pk", "quantity")) == before


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda line: add("ada", line.product, 1), {"lines": [4], "currency": "EUR"}),
        (lambda line: carts.change_item("ada", line.pk, 1), {"lines": [1], "currency": "EUR"}),
        (lambda line: carts.change_item("ada", line.pk, 0), {"lines": [], "currency": None}),
        (lambda line: carts.remove_item("ada", line.pk), {"lines": [], "currency": None}),
        (lambda line: carts.remove_items("ada"), {"lines": [], "currency": None}),
        (lambda line: carts.save("ada", name="Mine"), {"lines": [3], "currency": "EUR"}),
    ],
    ids=["add", "change", "change to 0", "remove", "empty", "save"],
)
def test_what_changes_a_cart_changes_no_other(euro, change, expected):
    shirt = product(stock=10, prices=[Money("USD", 1250), Money("EUR", 1100)])
    with at(MIDNIGHT):
        add("bob", shirt, 2, currency="EUR")
        add("ada", shirt, 3, currency="EUR")
        before = list(Cart.objects.filter(pk="bob").values())
    line = CartItem.objects.get(cart="ada")

    with at(MIDNIGHT + timedelta(days=1)):
        change(line)

    ada = Cart.objects.get(pk="ada")
    lines = CartItem.objects.filter(cart="ada").values_list("quantity", flat=True)
    assert {"lines": list(lines), "currency": ada.currency_id} == expected
    assert ada.updated_at == MIDNIGHT + timedelta(days=1)
    assert list(Cart.objects.filter(pk="bob").values()) == before
    assert list(CartItem.objects.filter(cart="bob").values_list("quantity", flat=True)) == [2]


@pytest.mark.parametrize("gone", [lambda: carts.delete("ada"), carts.purge])
def test_a_cart_that_is_deleted_takes_no_other_with_it(gone):
    shirt = product(stock=10)
    with at(MIDNIGHT):
        add("ada", shirt, 1)
    with at(MIDNIGHT + timedelta(days=8)):
        add("bob", shirt, 2)
        gone()
        found = quantities("bob")

    assert [cart.pk for cart in Cart.objects.all()] == ["bob"]
    assert found == [2]


def test_an_expired_cart_that_starts_anew_leaves_the_lines_of_others_alone():
    shirt = product(stock=10)
    with at(MIDNIGHT):
        add("ada", shirt, 1)
    with at(MIDNIGHT + timedelta(days=6)):
        add("bob", shirt, 2)

    with at(MIDNIGHT + timedelta(days=8)):
        add("ada", shirt, 3)
        found = quantities("ada"), quantities("bob")

    assert found == ([3], [2])


def test_a_line_says_when_it_changed_last():
    shirt = product(stock=10)
    with at(MIDNIGHT):
        add("ada", shirt, 1)
    changes = [
        lambda: add("ada", shirt, 1),
        lambda: carts.change_item("ada", CartItem.objects.get().pk, 5),
        lambda: carts.change_item("ada", CartItem.objects.get().pk, location="default"),
    ]
    for hours, change in enumerate(changes, start=1):
        with at(MIDNIGHT + timedelta(hours=hours)):
            change()
        item = CartItem.objects.get()
        assert (item.created_at, item.updated_at) == (MIDNIGHT, MIDNIGHT + timedelta(hours=hours))


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


def test_the_units_of_all_entries_of_one_call_are_checked_together():
    shirt = product(stock=5)
    entries = [ProductWanted(2, shirt.pk, custom_inputs={"n": n}) for n in range(3)]

    changed = carts.add("ada", entries, all_or_nothing=False, currency="USD")

    assert [(each.position, type(each.refusal)) for each in changed.refused] == [
        (2, InsufficientStock)
    ]
    assert quantities("ada") == [2, 2]


def test_what_is_refused_is_named_as_it_was_asked_for():
    mug, gone = product(stock=1, sku="MUG"), uuid.uuid4()
    entries: list[Entry] = [
        ProductWanted(1, gone),
        ProductWanted(2, sku="MUG"),
        ProductWanted(1, sku="NEVER"),
        CustomItem(1, "Wrapping", 350, sku="MUG"),
    ]

    with pytest.raises(SeveralRefused) as refused:
        carts.add("ada", entries, currency="USD")

    assert [(each.position, each.identity) for each in refused.value.refused] == [
        (0, {"id": str(gone)}),
        (1, {"id": str(mug.pk)}),
        (2, {"sku": "NEVER"}),
        (3, {"name": "Wrapping"}),
    ]


def test_a_cart_that_is_not_merged_is_named(euro):
    shirt = product(stock=9, prices=[Money("USD", 1250), Money("EUR", 1100)])
    for cart_id, currency in (("ada", "USD"), ("bob", "EUR")):
        add(cart_id, shirt, 1, currency=currency)

    with pytest.raises(SeveralRefused) as refused:
        carts.add("ada", [OtherCart("ada"), OtherCart("bob")], currency="USD")

    assert [(type(each.refusal), each.identity) for each in refused.value.refused] == [
        (CartIntoItself, {"cart_id": "ada"}),
        (CartCurrencyDiffers, {"cart_id": "bob"}),
    ]


def test_the_first_entry_of_a_call_fixes_the_currency_for_the_carts_that_follow(euro):
    shirt = product(stock=9, prices=[Money("USD", 1250), Money("EUR", 1100)])
    add("bob", shirt, 1, currency="EUR")

    changed = carts.add(
        "ada",
        [ProductWanted(1, shirt.pk), OtherCart("bob")],
        all_or_nothing=False,
        currency="USD",
    )

    assert [type(each.refusal) for each in changed.refused] == [CartCurrencyDiffers]
    assert cart_contents.contents("ada").total == 1250


def test_a_line_is_removed_whatever_else_is_asked_of_it():
    add("ada", product(stock=9), 1)

    carts.change_item("ada", CartItem.objects.get().pk, 0, writing(WRITTEN_MAX + 1), "nowhere")

    assert quantities("ada") == []


# What requests write, in bytes as they are sent.
FRAME = len('{"text": ""}')


def writing(size: int) -> dict[str, str]:
    """Inputs of so many bytes, in letters of two."""
    return {"text": "é" * ((size - FRAME) // 2) + "x" * ((size - FRAME) % 2)}


def test_a_cart_that_is_written_full_takes_units_and_no_more_words():
    shirt = product(stock=99)
    engraving = writing(WRITTEN_MAX - 4)
    add("ada", shirt, 1, custom_inputs=engraving)
    carts.add_one("ada", CustomItem(1, "Wrapping", 350, description="éé"), currency="USD")

    add("ada", shirt, 1, custom_inputs=engraving)
    add("ada", shirt, 1)
    with pytest.raises(TooMuchWritten):
        carts.add_one("ada", CustomItem(1, "Card", 100, description="x"), currency="USD")

    assert quantities("ada") == [2, 1, 1]


def test_what_the_entries_of_one_call_write_is_counted_together():
    shirt, size = product(stock=9), WRITTEN_MAX // 2 + 1
    entries = [
        ProductWanted(1, shirt.pk, custom_inputs={**writing(size), "n": n}) for n in range(2)
    ]

    changed = carts.add("ada", entries, all_or_nothing=False, currency="USD")

    assert [type(each.refusal) for each in changed.refused] == [TooMuchWritten]
    assert quantities("ada") == [1]


def test_what_is_written_anew_may_fill_the_cart_and_not_more():
    carts.add_one("ada", CustomItem(1, "Wrapping", 350, description="éé"), currency="USD")
    add("ada", product(stock=9), 1, custom_inputs=writing(100))
    wrapping, shirt = CartItem.objects.order_by("pk")

    carts.change_item("ada", wrapping.pk, custom_inputs=writing(WRITTEN_MAX - 104))
    for line, size in ((wrapping, WRITTEN_MAX - 103), (shirt, 101)):
        with pytest.raises(TooMuchWritten):
            carts.change_item("ada", line.pk, custom_inputs=writing(size))
    carts.change_item("ada", shirt.pk, custom_inputs=writing(99))

    assert CartItem.objects.get(pk=shirt.pk).custom_inputs == writing(99)


def test_custom_items_that_differ_in_nothing_but_their_number_add_up():
    for quantity in (1, 2):
        carts.add_one("ada", CustomItem(quantity, "Wrapping", 350, sku="W"), currency="USD")

    assert quantities("ada") == [3]


def test_a_custom_item_is_the_same_in_the_cart_it_is_merged_into():
    wrapping = CustomItem(
        2, "Wrapping", 350, includes_tax=False, sku="W", description="A bow", custom_inputs={"n": 1}
    )
    carts.add_one("ada", wrapping, currency="USD")
    add("ada", product(stock=9), 1, custom_inputs={"for": "Bo"})
    CartItem.objects.exclude(product=None).update(location="default")

    carts.add("bob", [OtherCart("ada")], currency="USD")

    told = ("product", "name", "sku", "quantity", "unit_price", "includes_tax", "description")
    items = CartItem.objects.order_by("pk").values(*told, "custom_inputs", "location")
    ours, theirs = (list(items.filter(cart=cart)) for cart in ("bob", "ada"))
    assert ours == theirs
    assert ours[0]["includes_tax"] is False
    assert (ours[1]["custom_inputs"], ours[1]["location"]) == ({"for": "Bo"}, "default")


def test_a_shopper_may_say_again_how_many_custom_items_there_are():
    carts.add_one("ada", CustomItem(2, "Wrapping", 350), currency="USD")
    item = CartItem.objects.get()

    carts.change_item("ada", item.pk, 2, by_shopper=True)
    with pytest.raises(CustomItemsNotAllowed):
        carts.change_item("ada", item.pk, 3, by_shopper=True)

    assert quantities("ada") == [2]


def test_only_a_product_is_taken_from_a_location():
    carts.add_one("ada", CustomItem(2, "Wrapping", 350), currency="USD")

    with pytest.raises(LocationUnknown):
        carts.change_item("ada", CartItem.objects.get().pk, location="default")


def test_lines_that_are_joined_leave_the_other_changes_of_the_call_alone():
    shirt, mug = product(stock=9), product(stock=9)
    for wanted, name in ((shirt, "Ada"), (shirt, "Bo"), (mug, "Bo")):
        add("ada", wanted, 1, custom_inputs={"for": name})
    first, second, third = CartItem.objects.order_by("pk")

    carts.change_items(
        "ada", [LineChange(third.pk, 5), LineChange(second.pk, custom_inputs={"for": "Ada"})]
    )

    assert list(CartItem.objects.order_by("pk").values_list("pk", "quantity")) == [
        (first.pk, 2),
        (third.pk, 5),
    ]


def test_a_custom_item_is_offered_as_its_line_says():
    wrapping = CustomItem(2, "Wrapping", 350, includes_tax=False, sku="W", description="A bow")
    carts.add_one("ada", wrapping, currency="USD")

    [line] = cart_contents.contents("ada").lines

    assert line.offer == Offer(
        product_id=None,
        name="Wrapping",
        sku="W",
        slug="",
        description="A bow",
        image=Image(""),
        is_live=True,
        currency="USD",
        unit_price=350,
        includes_tax=False,
        available=None,
    )
    assert (line.offer.is_managed, line.value) == (False, 700)


def test_a_line_shows_the_main_picture_of_its_product_or_one_from_elsewhere():
    elsewhere = "https://cdn.example.com/shirt.svg"
    ours, theirs, none = (
        product(9, image_url=elsewhere),
        product(9, image_url=elsewhere),
        product(9),
    )
    front, back = Picture.objects.bulk_create(
        Picture(name=name, sha256=name, size=1, width=1, height=1, created_at=MIDNIGHT)
        for name in ("front.png", "back.png")
    )
    pictures.attach(ours.pk, [front.pk, back.pk], actor=MERCHANT)
    for shown in (ours, theirs, none):
        add("ada", shown, 1)

    assert [line.offer.image for line in cart_contents.contents("ada").lines] == [
        Image(picture_files.address(front.pk, LARGE), "image/webp", "front.png"),
        Image(elsewhere),
        Image(""),
    ]


def test_what_has_no_price_any_more_counts_nothing(euro):
    shirt, mug = product(stock=9, price=1000), product(stock=9, price=50)
    add("ada", shirt, 3)
    add("ada", mug, 2)

    products.update(shirt.pk, prices=[Money("EUR", 900)], actor=MERCHANT)

    assert cart_contents.contents("ada").total == 100


def test_carts_are_read_together_each_with_its_own_lines_and_empty_ones_too():
    shirt, mug = product(stock=9), product(stock=9)
    carts.save("empty", name="Wishes")
    for cart_id, wanted in (("ada", mug), ("ada", shirt), ("bob", shirt)):
        add(cart_id, wanted, 1)

    found = cart_contents.contents_of(Cart.objects.order_by("pk").all())

    assert [(each.id, [line.offer.sku for line in each.lines]) for each in found] == [
        ("ada", [mug.sku, shirt.sku]),
        ("bob", [shirt.sku]),
        ("empty", []),
    ]


def test_carts_that_changed_at_one_moment_are_listed_newest_first():
    with at(MIDNIGHT):
        for cart_id in ("ada", "bob"):
            carts.save(cart_id)
        found = list(cart_contents.newest_first())

    assert [cart.pk for cart in found] == ["bob", "ada"]


def test_people_order_by_how_many_of_what_and_by_the_price():
    shirt = product(stock=9, sku="SHIRT", price=1000)
    add("ada", shirt, 1)
    add("ada", shirt, 2, custom_inputs={"for": "Bo"})
    carts.add_one("ada", CustomItem(3, "Wrapping", 350), currency="USD")

    assert cart_contents.standing(cart_contents.contents("ada").lines) == {
        "units of SHIRT": "1 + 2",
        "price of SHIRT": 1000,
        "units of Wrapping": "3",
        "price of Wrapping": 350,
    }


def test_a_line_is_worth_at_most_9007199254740991():
    gold = product(managed=False, price=2**53 - 1)
    add("ada", gold, 1)

    with pytest.raises(TotalTooLarge):
        add("ada", gold, 1)
    with pytest.raises(TotalTooLarge):
        carts.change_item("ada", CartItem.objects.get().pk, 2)

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


def test_of_a_cart_nothing_is_merged_from_the_moment_on_at_which_it_expires():
    with at(MIDNIGHT):
        add("ada", product(stock=10), 1)

    with at(MIDNIGHT + timedelta(days=7)):
        carts.add("bob", [OtherCart("ada")], currency="USD")

    assert not Cart.objects.filter(pk="bob").exists()


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


def test_a_cart_that_begins_with_an_item_is_called_cart_unless_it_is_named_then():
    mug = ProductWanted(1, product(stock=10).pk)
    carts.add_one("ada", mug, currency="USD")
    for name in ("Wishes", "Another's"):
        carts.add_one("bob", mug, currency="USD", named=name)

    names = Cart.objects.order_by("pk").values_list("name", flat=True)
    assert list(names) == ["Cart", "Wishes"]


def test_a_cart_can_be_made_and_named():
    carts.save("ada", name="Wishes", description="For spring")

    cart = Cart.objects.get()
    assert (cart.name, cart.description, cart.currency) == ("Wishes", "For spring", None)
    carts.save("ada")
    assert Cart.objects.get().name == "Wishes"
