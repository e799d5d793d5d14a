"""Orders that are made at the desk: into a draft, and out of it."""

from typing import Any

import pytest
from django.test import Client

from inventory.models import Product
from inventory.services import currencies
from orders.models import Cart, CartItem, Order
from orders.services import carts, desk
from orders.services.cart_lines import LineChange
from orders.services.orders import Buyer
from tests.backoffice.pages import client_with, hidden, send, text
from tests.factories import BUYER, MERCHANT, drafted, filled_cart, product, unpaid_order

pytestmark = pytest.mark.django_db

BARCODE = "4006381333931"
ADDRESS = {
    "first_name": "Ada",
    "last_name": "Buyer",
    "line_1": "12 Square",
    "city": "Harbour",
    "postcode": "12345",
    "country": "DE",
}
TYPED = {
    "name": "Ada Buyer",
    "email": "ada@example.com",
    "same": "on",
    **{f"shipping_{name}": value for name, value in ADDRESS.items()},
}


@pytest.fixture
def seller() -> Client:
    return client_with("add_order", "view_order", "view_cart", "change_order", "add_payment")


@pytest.fixture
def mug() -> Product:
    return product(9, name="Blue mug", sku="MUG", barcode=BARCODE, price=1100)


def page(cart_id: str, name: str = "desk") -> str:
    return f"/admin/orders/cart/{cart_id}/{name}/"


def told(client: Client, cart_id: str, *, alone: bool = True, **typed: Any) -> str:
    """Send something into a draft as scanning.js does, or as a whole, and read the answer."""
    sent = {"action": "scan", "quantity": "1", **typed}
    if sent["action"] != "line":
        sent.setdefault("currency", "USD")
    headers = {"X-Scan": "1"} if alone else {}
    answer = client.post(page(cart_id), sent, headers=headers, follow=True)
    assert answer.status_code == 200
    return " ".join(text(answer).split())


def quantities(cart_id: str) -> list[int]:
    return list(CartItem.objects.filter(cart=cart_id).values_list("quantity", flat=True))


def test_a_new_order_is_not_there_before_something_is_put_into_it(seller):
    begun = seller.get("/admin/orders/order/add/")

    assert "Nothing is on it yet" in text(seller.get(begun["Location"]))
    assert not Cart.objects.exists()


@pytest.mark.parametrize("alone", [True, False])
def test_what_is_scanned_again_is_one_more(seller, mug, alone):
    cart_id = desk.new_draft()

    told(seller, cart_id, code=BARCODE, alone=alone)
    said = told(seller, cart_id, code="2*mug", alone=alone)

    assert quantities(cart_id) == [3]
    assert "9 available" in said
    assert "$33.00" in said
    assert Cart.objects.get(pk=cart_id).name == "Made by clerk"


def test_what_is_no_code_is_looked_for_by_its_words(seller, mug):
    product(3, name="Blue plate")
    product(3, name="Blue mug, old", status="draft")
    cart_id = desk.new_draft()

    said = told(seller, cart_id, code="2*mug blue")

    assert "Blue mug" in said
    assert "$11.00 · 9 available" in said
    assert "Add 2" in said
    assert "plate" not in said
    assert "mug, old" not in said
    assert "Nothing that is for sale is called cup." in told(seller, cart_id, code="cup")


@pytest.mark.parametrize(
    ("typed", "why"),
    [
        ({"code": ""}, "Scan or type what is wanted."),
        ({"code": "MUG", "quantity": BARCODE}, "is the code of a product, and no quantity"),
        ({"code": "10*MUG"}, "There is not enough of it: 9 available."),
        ({"code": "x" * 300}, "at most 200 characters"),
        ({"code": "MUG", "currency": "XYZ"}, "XYZ is not one of the available choices"),
    ],
)
def test_what_cannot_be_added_is_said_with_the_reason(seller, mug, typed, why):
    cart_id = desk.new_draft()

    for alone in (True, False):
        assert why in told(seller, cart_id, alone=alone, **typed)

    assert not Cart.objects.exists()


def test_what_is_not_there_is_found_and_not_offered(seller, mug):
    product(0, name="Blue plate")
    cart_id = desk.new_draft()

    found = told(seller, cart_id, code="blue")
    assert "0 available" in found
    assert found.count('name="code"') == 1
    assert 'name="code"' not in told(seller, cart_id, code="10*blue")


def test_a_scan_that_is_sent_again_counts_once(seller, mug):
    cart_id = desk.new_draft()

    for _ in range(2):
        told(seller, cart_id, code="MUG", once="abc")

    assert quantities(cart_id) == [1]


def test_more_than_there_is_is_marked_and_not_checked_out(seller, mug):
    cart_id = drafted(mug)
    told(seller, cart_id, code="9*MUG")

    assert "Only 9 available" in text(seller.get(page(cart_id)))
    refused = send(seller, page(cart_id, "check-out"), TYPED)

    assert "There is not enough stock" in text(refused)
    assert not Order.objects.exists()


def test_a_line_is_changed_and_removed_and_whoever_saw_it_otherwise_is_told(seller, mug):
    cart_id = drafted(mug)
    line: dict[str, Any] = {"action": "line", "line": CartItem.objects.get().pk}

    told(seller, cart_id, **line, was="1", quantity="3")
    assert quantities(cart_id) == [3]
    said = told(seller, cart_id, **line, was="1", quantity="5")
    assert "it was 1, and is 3 now" in said
    assert "There is not enough of Blue mug: 9 available." in told(
        seller, cart_id, **line, was="3", quantity="10"
    )
    told(seller, cart_id, **line, was="3", quantity="0")
    assert quantities(cart_id) == []
    assert "is gone" in told(seller, cart_id, **line, was="3", quantity="1")


def test_something_that_is_no_product_has_a_name_and_a_price(seller):
    cart_id = desk.new_draft()

    wrong = told(seller, cart_id, action="custom", name="Engraving", price="five")
    said = told(seller, cart_id, action="custom", name="Engraving", price="5.00", quantity="2")

    assert "Write the amount in USD like 12.50." in wrong
    assert "$10.00" in said
    assert CartItem.objects.get().unit_price == 500


def test_the_currency_is_chosen_while_nothing_is_on_it(seller, mug):
    currencies.create(code="EUR", format="{price} EUR", enabled=True, actor=MERCHANT)
    cart_id = desk.new_draft()

    assert '<select name="currency"' in text(seller.get(page(cart_id)))
    assert "no price in EUR" in told(seller, cart_id, code="blue", currency="EUR")
    told(seller, cart_id, action="custom", name="Fee", price="5.00", currency="EUR")

    assert Cart.objects.get().currency_id == "EUR"
    assert '<select name="currency"' not in text(seller.get(page(cart_id)))


def test_checked_out_it_is_an_unpaid_order_and_a_second_click_makes_no_other(seller, mug):
    cart_id = drafted(mug)
    form = {**hidden(seller, page(cart_id, "check-out")), **TYPED, "note": "Rings twice."}

    first = seller.post(page(cart_id, "check-out"), form)
    again = seller.post(page(cart_id, "check-out"), form)

    order = Order.objects.get()
    assert first["Location"] == again["Location"] == f"/admin/orders/order/{order.pk}/change/"
    assert order.shipping_address["line_1"] == "12 Square"
    assert order.billing_address == order.shipping_address
    shown = seller.get(first["Location"])
    entries = [(entry.what, entry.who, entry.note) for entry in shown.context["timeline"]]
    assert entries == [("Placed at the desk", "clerk", ""), ("Note", "clerk", "Rings twice.")]
    assert f"This draft became order {order}." in text(seller.get(page(cart_id), follow=True))


def test_its_payment_is_recorded_next_if_that_is_wanted(seller, mug):
    answer = send(seller, page(drafted(mug), "check-out"), {**TYPED, "_pay": "yes"})

    assert answer["Location"] == f"/admin/orders/order/{Order.objects.get().pk}/record-payment/"


@pytest.mark.parametrize(
    ("typed", "why"),
    [
        ({"email": "nobody"}, "Enter a valid email address."),
        ({"shipping_postcode": ""}, "This field is required."),
        ({"shipping_postcode": "1" * 21}, "at most 20 characters"),
        ({"same": ""}, "This field is required."),
        ({"billing_city": "Elsewhere"}, "Another address is typed for the bill"),
        ({"note": "x" * 2001}, "at most 2000 characters"),
        ({"shipping_moon": "x"}, "There is no place for"),
    ],
)
def test_what_is_typed_wrong_is_said_at_its_field_and_nothing_is_done(seller, mug, typed, why):
    refused = send(seller, page(drafted(mug), "check-out"), {**TYPED, **typed})

    assert why in text(refused)
    assert "12 Square" in text(refused)
    assert not Order.objects.exists()


def test_what_is_known_of_a_customer_is_filled_in_from_the_last_order(seller, mug):
    for street in ("1 Hill", "2 Hill"):
        shipping = {**ADDRESS, "line_1": street, "phone_number": "123"}
        unpaid_order({mug: 1}, buyer=Buyer("Grace", "Grace@example.com", ADDRESS, shipping))
    check_out = page(drafted(mug), "check-out")

    known = text(seller.get(check_out, {"known": "grace@EXAMPLE.com"}))
    unknown = text(seller.get(check_out, {"known": "nobody@example.com"}))
    wrong = text(seller.get(check_out, {"known": "x" * 300}))

    assert 'value="2 Hill"' in known
    assert 'value="12 Square"' in known
    assert "Ask whether it is still right." in known
    assert "No earlier order has this e-mail." in unknown
    assert "at most 254 characters" in wrong


def test_t27_who_may_see_no_orders_is_told_nothing_of_who_ordered_before(mug):
    blind = client_with("add_order")
    unpaid_order({mug: 1}, buyer=Buyer("Grace", "grace@example.com", ADDRESS, ADDRESS))
    check_out = page(drafted(mug), "check-out")

    for email in ("grace@example.com", "nobody@example.com"):
        shown = text(blind.get(check_out, {"known": email}))
        assert "Check out" in shown
        assert not [word for word in ("Grace", "12 Square", "earlier order") if word in shown]


def test_whoever_checks_out_what_a_colleague_changed_or_checked_out_is_told(seller, mug):
    cart_id = drafted(mug)
    form = {**hidden(seller, page(cart_id, "check-out")), **TYPED}
    item = CartItem.objects.get()
    carts.change_items(cart_id, [LineChange(item.pk, 2)])

    refused = seller.post(page(cart_id, "check-out"), form)
    assert "Units of MUG: was 1, and is 2 now." in text(refused)
    assert not Order.objects.exists()

    order = desk.check_out(cart_id, BUYER, actor=MERCHANT)
    told = seller.post(page(cart_id, "check-out"), form, follow=True)
    assert f"This draft became order {order}." in text(told)
    assert Order.objects.count() == 1


def test_what_was_typed_is_there_again_after_a_look_at_the_items(seller, mug):
    cart_id, other = drafted(mug), drafted(mug)
    check_out = page(cart_id, "check-out")
    typed = {**TYPED, "name": "Ada <Buyer>", "email": "not yet", "note": "Rings twice."}

    back = send(seller, check_out, {**typed, "same": "", "billing_city": "Hill", "_back": "yes"})
    form = seller.get(check_out).context["form"]
    assert back["Location"] == page(cart_id)
    shown = {name: form[name].value() for name in ("name", "email", "same", "note")}
    assert shown == {**{name: typed[name] for name in shown}, "same": ""}
    assert form["shipping_line_1"].value() == "12 Square"
    assert form["billing_city"].value() == "Hill"
    assert "Rings twice." not in text(seller.get(page(other, "check-out")))

    unpaid_order({mug: 1}, buyer=Buyer("Grace", "grace@example.com", ADDRESS, ADDRESS))
    known = seller.get(check_out, {"known": "grace@example.com"}).context["form"]
    assert (known["name"].value(), known["note"].value()) == ("Grace", "Rings twice.")

    send(seller, check_out, TYPED)
    assert seller.session["typed-for-drafts"] == {}


def test_no_more_is_kept_of_what_was_typed_than_a_seller_has_at_hand(seller, mug):
    drafts = [drafted(mug) for _ in range(7)]
    for cart_id in drafts:
        send(seller, page(cart_id, "check-out"), {"note": "x" * 9_000, "_back": "yes"})

    kept = seller.session["typed-for-drafts"]
    assert list(kept) == drafts[2:]
    assert {len(typed["note"]) for typed in kept.values()} == {2_000}


@pytest.mark.parametrize(
    "entry",
    [
        {"code": "MUG"},
        {"action": "custom", "name": "Engraving", "price": "5", "quantity": "1"},
    ],
)
def test_who_adds_to_what_a_colleague_discarded_is_told_and_may_begin_again(seller, mug, entry):
    cart_id = drafted(mug)
    seen = seller.get(page(cart_id))
    carts.delete(cart_id)

    assert '<input type="hidden" name="begun" value="yes">' in text(seen)
    refused = told(seller, cart_id, **entry, begun="yes", once="1")
    assert "Somebody has checked this out or discarded it meanwhile." in refused
    assert quantities(cart_id) == []
    assert 'name="begun"' not in refused
    told(seller, cart_id, **entry, once="2")
    assert quantities(cart_id) == [1]


def test_a_draft_is_found_under_carts_and_discarded(seller, mug):
    cart_id = drafted(mug)
    filled_cart({mug: 1})

    listed = text(seller.get("/admin/orders/cart/"))
    send(seller, page(cart_id, "discard"))

    assert listed.count("Go on") == 1
    assert not Cart.objects.filter(pk=cart_id).exists()


def test_shoppers_carts_are_not_for_the_desk(seller, mug):
    cart_id = filled_cart({mug: 1})

    for name in ("desk", "check-out", "discard"):
        assert seller.get(page(cart_id, name)).status_code == 302
    assert seller.post(page(cart_id), {"action": "scan", "code": "MUG"}).status_code == 403

    assert quantities(cart_id) == [1]


def test_a_draft_costs_the_same_however_much_is_on_it(seller, django_assert_num_queries):
    small, large = drafted(product(5)), drafted(*(product(5) for _ in range(8)))
    seller.get(page(small))

    for name, queries in {"desk": 9, "check-out": 9}.items():
        for cart_id in (small, large):
            with django_assert_num_queries(queries):
                seller.get(page(cart_id, name))
