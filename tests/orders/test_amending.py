"""Changing the lines of an order that nobody has begun to pay."""

from functools import partial
from typing import Any

import pytest

from api.errors import Moved
from api.idempotency import Answered
from inventory.errors import ProductNotFound
from inventory.models import Product
from inventory.services import products
from inventory.services.products import Money
from orders.errors import (
    CustomItemIsAProduct,
    InsufficientStock,
    NoPrice,
    NotForSale,
    OrderNotChangeable,
    TooManyInALine,
    TooManyItems,
    TotalTooLarge,
)
from orders.models import Order
from orders.services import amending, carts, orders
from orders.services.cart_lines import CustomItem, ProductWanted
from payments.errors import PaymentDeclined
from payments.models import Payment
from payments.services import payments
from payments.services.payments import PaymentRequest
from tests.concurrency import run_together
from tests.factories import (
    BUYER,
    MERCHANT,
    holding_order,
    paid_order,
    product,
    shipped_order,
    unpaid_order,
)
from tests.http import statements
from tests.orders.test_races import key, kinds, read_instead_of_locking
from tests.roles import as_owner

pytestmark = pytest.mark.django_db


def change(order: Order, quantities: Any = None, *added: Any, **options: Any) -> None:
    """Change the lines of these products, or of no product, to these quantities."""
    lines = {item.product_id: item.pk for item in order.items.all()}
    named = {lines[each and each.pk]: quantity for each, quantity in (quantities or {}).items()}
    amending.change_lines(order.pk, named, added, actor=MERCHANT, **options)
    order.refresh_from_db()


def lines(order: Order) -> list[tuple[str, int, int]]:
    found = order.items.order_by("position")
    return [(item.sku or item.name, item.quantity, item.unit_price) for item in found]


def told(order: Order) -> list[str]:
    return list(order.events.order_by("pk").values_list("text", flat=True))


def reprice(wanted: Product, amount: int) -> None:
    products.update(wanted.pk, prices=[Money("USD", amount)], actor=MERCHANT)


def test_lines_that_stay_keep_their_price_and_new_ones_cost_what_they_do_today():
    shirt, mug, cap = (product(9, sku=sku, price=1000) for sku in ("SHIRT", "MUG", "CAP"))
    order = unpaid_order({shirt: 2, mug: 1})
    for each in (shirt, cap):
        reprice(each, 1500)

    change(order, {shirt: 3, mug: 0}, ProductWanted(1, cap.pk), CustomItem(2, "Wrapping", 250))

    assert lines(order) == [("SHIRT", 3, 1000), ("CAP", 1, 1500), ("Wrapping", 2, 250)]
    assert order.total == 5000
    assert told(order) == [
        "SHIRT: 2 → 3\nMUG: 1, removed\nCAP: 1 added\nWrapping: 2 added\nTotal: $30.00 → $50.00"
    ]
    payments.pay(order.pk, PaymentRequest("manual"), actor=MERCHANT)
    order.refresh_from_db()
    assert order.payment == "paid"


def test_a_new_line_is_all_that_was_asked_for_and_what_it_is_of():
    shirt, cap = product(9, price=1000), product(9, sku="CAP", name="Red cap", price=1500)
    cap.prices.update(includes_tax=False)
    order = unpaid_order({shirt: 1})
    custom = CustomItem(
        2, "Wrapping", 250, includes_tax=False, sku="WRAP", custom_inputs={"text": "Ada"}
    )

    change(order, {}, ProductWanted(3, cap.pk), custom)

    old, of_product, of_none = order.items.order_by("position")
    assert (of_product.position, of_product.product_id) == (1, cap.pk)
    assert (of_product.name, of_product.sku, of_product.quantity) == ("Red cap", "CAP", 3)
    assert (of_product.unit_price, of_product.includes_tax) == (1500, False)
    assert (of_none.position, of_none.product_id) == (2, None)
    assert (of_none.name, of_none.sku, of_none.quantity) == ("Wrapping", "WRAP", 2)
    assert (of_none.unit_price, of_none.includes_tax) == (250, False)
    assert of_none.custom_inputs == {"text": "Ada"}
    assert len({line.cart_item_id for line in (old, of_product, of_none)}) == 3


def test_a_change_is_of_one_order_and_somebody_is_to_look_at_it_again():
    shirt = product(9, price=1000)
    other, order = unpaid_order({shirt: 4}), unpaid_order({shirt: 1})
    orders.leave_be(order, actor=MERCHANT, reason="agreed")
    before = order.updated_at

    change(order, {shirt: 2}, CustomItem(1, "Fee", 100))
    change(order, {None: 0})

    assert (order.total, order.left_be_at, order.updated_at > before) == (2000, None, True)
    other.refresh_from_db()
    assert ([quantity for _, quantity, _ in lines(other)], other.total) == ([4], 4000)


def test_the_lines_of_another_order_are_not_changed_with_it():
    shirt = product(9)
    order, other = unpaid_order({shirt: 1}), unpaid_order({shirt: 1})

    with pytest.raises(Moved):
        amending.change_lines(order.pk, {other.items.get().pk: 2}, actor=MERCHANT)

    assert lines(other)[0][1] == 1


def test_more_of_a_product_that_is_on_it_already_goes_onto_its_line():
    shirt = product(9, sku="SHIRT", price=1000)
    order = unpaid_order({shirt: 2})
    reprice(shirt, 1500)

    change(order, {}, ProductWanted(1, shirt.pk), ProductWanted(2, shirt.pk))

    assert lines(order) == [("SHIRT", 5, 1000)]


def test_more_of_a_product_stays_apart_from_what_was_made_for_somebody():
    shirt = product(9, sku="SHIRT", price=1000)
    order = unpaid_order({shirt: 2})
    order.items.update(custom_inputs={"engraving": {"text": "Ada"}})

    change(order, {}, ProductWanted(1, shirt.pk))

    assert lines(order) == [("SHIRT", 2, 1000), ("SHIRT", 1, 1000)]


@pytest.mark.parametrize("number", [20, 21])
def test_of_many_lines_that_change_the_first_are_told(number):
    order = unpaid_order({product(9): 1})

    change(order, {}, *(CustomItem(1, f"Fee {n}", 100) for n in range(number)))

    *named, last, total = told(order)[0].split("\n")
    assert len(named) == (19 if number == 20 else 20)
    assert last == ("Fee 19: 1 added" if number == 20 else "1 more lines")
    assert total.startswith("Total: ")


def test_what_changes_nothing_is_not_told():
    shirt = product(9)
    order = unpaid_order({shirt: 2})

    change(order, {shirt: 2})

    assert told(order) == []


def paid(of: Product) -> Order:
    return paid_order({of: 1})


def cancelled(of: Product) -> Order:
    order = unpaid_order({of: 1})
    payments.cancel(order.pk, actor=MERCHANT)
    return order


def waiting(of: Product) -> Order:
    order = unpaid_order({of: 1})
    payments.pay(order.pk, PaymentRequest("test", token="unknown"), actor=MERCHANT)
    return order


def partly_paid(of: Product) -> Order:
    order = unpaid_order({of: 1})
    payments.pay(order.pk, PaymentRequest("manual", amount=1), actor=MERCHANT)
    return order


def authorized(of: Product) -> Order:
    order = unpaid_order({of: 1})
    payments.pay(order.pk, PaymentRequest("test", Payment.Method.AUTHORIZE), actor=MERCHANT)
    return order


def holding(of: Product) -> Order:
    """Nothing leaves an order like this."""
    order = holding_order({of: 1})
    with as_owner():
        order.payments.all().delete()
    order.pending = order.attempts_open = 0
    order.write()
    return order


@pytest.mark.parametrize(
    ("made", "why"),
    [
        (paid, "Money was paid"),
        (partly_paid, "Money was paid"),
        (cancelled, "cancelled already"),
        (lambda of: shipped_order({of: 1}), "shipped already"),
        (waiting, "Give it up first"),
        (authorized, "Money was paid"),
        pytest.param(holding, "holds units", marks=pytest.mark.tampers_with_the_books),
    ],
)
def test_an_order_that_somebody_begins_to_pay_is_not_changed(made, why):
    shirt = product(9)
    order = made(shirt)

    with pytest.raises(OrderNotChangeable, match=why):
        change(order, {shirt: 2})

    assert lines(order)[0][1] == 1


def test_an_order_whose_payment_was_declined_can_be_changed():
    shirt = product(9)
    order = unpaid_order({shirt: 1})
    with pytest.raises(PaymentDeclined):
        payments.pay(order.pk, PaymentRequest("test", token="decline"), actor=MERCHANT)

    change(order, {shirt: 2})

    assert lines(order)[0][1] == 2


def archived() -> Product:
    gone = product(9)
    products.archive(gone.pk, actor=MERCHANT)
    return gone


@pytest.mark.parametrize(
    ("quantity", "added", "refusal"),
    [
        (0, None, OrderNotChangeable),
        (10, None, InsufficientStock),
        (1, lambda: ProductWanted(4, product(3).pk), InsufficientStock),
        (1, lambda: ProductWanted(1, product(0).pk), InsufficientStock),
        (1, lambda: ProductWanted(1, archived().pk), ProductNotFound),
        (1, lambda: ProductWanted(1, product(3, prices=[]).pk), NoPrice),
        (1, lambda: CustomItem(1, "Shirt", 1, sku=product(sku="MINE").sku), CustomItemIsAProduct),
        (1, lambda: CustomItem(2**31 - 1, "Much", 2**31 - 1), TotalTooLarge),
        (2**31, None, InsufficientStock),
    ],
)
def test_what_no_checkout_would_take_is_refused_and_nothing_changes(quantity, added, refusal):
    shirt = product(9, price=1000)
    order = unpaid_order({shirt: 1})

    with pytest.raises(refusal):
        change(order, {shirt: quantity}, *([added()] if added else []))

    order.refresh_from_db()
    assert (order.total, lines(order)[0][1]) == (1000, 1)


def test_there_are_limits_of_lines_and_units():
    shirt, bulk = product(9), product(managed=False, price=0)
    order = unpaid_order({shirt: 1, bulk: 1})

    with pytest.raises(TooManyItems):
        change(order, {}, *(CustomItem(1, f"Fee {number}", 1) for number in range(99)))
    with pytest.raises(TooManyInALine):
        change(order, {bulk: 2**31})
    change(order, {bulk: 2**31 - 1})

    change(order, {}, *(CustomItem(1, f"Fee {number}", 1) for number in range(98)))
    assert order.items.count() == 100
    assert told(order)[-1].splitlines()[-2] == "78 more lines"


def test_what_went_off_sale_may_stay_and_shrink_and_does_not_grow():
    shirt, mug = product(9), product(9)
    order = unpaid_order({shirt: 2, mug: 1})
    products.update(shirt.pk, status="draft", actor=MERCHANT)

    with pytest.raises(NotForSale):
        change(order, {shirt: 3})
    change(order, {shirt: 1, mug: 2})

    assert [quantity for _, quantity, _ in lines(order)] == [1, 2]


def of_two_lines(of: Product, plain: int, engraved: int) -> tuple[Order, list[Any]]:
    """Order the product once as it is, and once made for somebody."""
    wanted = [
        ProductWanted(plain, of.pk),
        ProductWanted(engraved, of.pk, custom_inputs={"text": "Ada"}),
    ]
    carts.add("mine", wanted, currency="USD")
    order, items = orders.checkout("mine", BUYER)
    return order, [item.pk for item in items]


def test_two_lines_of_one_product_need_the_units_of_both():
    shirt = product(9, sku="SHIRT")
    order, (plain, engraved) = of_two_lines(shirt, 1, 2)

    with pytest.raises(InsufficientStock, match="9 of SHIRT available, and 10 wanted"):
        amending.change_lines(order.pk, {plain: 6, engraved: 4}, actor=MERCHANT)
    amending.change_lines(order.pk, {plain: 6, engraved: 3}, actor=MERCHANT)

    assert amending.standing(order)["quantity of SHIRT"] == "6 + 3"


def test_what_is_off_sale_may_go_from_one_of_its_lines_to_the_other():
    shirt = product(9)
    order, (plain, engraved) = of_two_lines(shirt, 1, 2)
    products.update(shirt.pk, status="draft", actor=MERCHANT)

    with pytest.raises(NotForSale):
        amending.change_lines(order.pk, {plain: 3, engraved: 1}, actor=MERCHANT)
    for quantities in ({plain: 2, engraved: 1}, {plain: 1, engraved: 2}):
        amending.change_lines(order.pk, quantities, actor=MERCHANT)

    assert [quantity for _, quantity, _ in lines(order)] == [1, 2]


def test_whoever_decided_on_other_lines_is_told():
    shirt, mug = product(9, sku="SHIRT"), product(9)
    order = unpaid_order({shirt: 1})
    seen = amending.standing(order)
    assert seen["quantity of SHIRT"] == "1"
    before = order.standing()
    change(order, {}, ProductWanted(1, mug.pk))

    with pytest.raises(Moved):
        change(order, {shirt: 2}, seen=seen)
    # So is who is about to record the payment of what it came to.
    with pytest.raises(Moved):
        payments.pay(order.pk, PaymentRequest("manual"), actor=MERCHANT, seen=before)
    change(order, {shirt: 2}, seen=amending.standing(order))


def test_the_same_form_sent_twice_changes_it_once():
    shirt = product(9)
    order = unpaid_order({shirt: 1})

    change(order, {}, ProductWanted(1, shirt.pk), key=key())
    with pytest.raises(Answered):
        change(order, {}, ProductWanted(1, shirt.pk), key=key())

    assert lines(order)[0][1] == 2


def test_changing_many_lines_costs_as_much_as_changing_one():
    def cost(count: int) -> int:
        made = [product(9) for _ in range(2 * count)]
        order = unpaid_order(dict.fromkeys(made[:count], 2))
        quantities = {item.pk: 1 for item in order.items.all()}
        added = [ProductWanted(1, each.pk) for each in made[count:]]
        act = partial(amending.change_lines, order.pk, quantities, added, actor=MERCHANT)
        return statements(act)

    assert cost(1) == cost(8)


def change_and_pay(order: Order) -> list[Any]:
    """Have two people at once: one makes it two of it, and one pays all that is owing."""
    line = order.items.get()
    return run_together(
        partial(amending.change_lines, order.pk, {line.pk: 2}, actor=MERCHANT),
        partial(payments.pay, order.pk, PaymentRequest("manual"), actor=MERCHANT),
    )


@pytest.mark.thorough
@pytest.mark.django_db(transaction=True)
def test_an_order_that_is_changed_and_paid_at_once_is_paid_for_what_it_is():
    order = unpaid_order({product(9, price=1000): 1})

    outcomes = change_and_pay(order)

    order.refresh_from_db()
    assert kinds(outcomes) in (["OrderNotChangeable", "done"], ["done", "done"])
    assert (order.captured, order.payment) == (order.total, "paid")


@pytest.mark.thorough
@pytest.mark.tampers_with_the_books
@pytest.mark.django_db(transaction=True)
def test_control_without_the_orders_lock_it_is_paid_for_what_it_was(monkeypatch):
    # Of what has stock, the database itself would take no more than what is held.
    order = unpaid_order({product(managed=False, price=1000): 1})
    read_instead_of_locking(monkeypatch, parties=2)

    assert kinds(change_and_pay(order)) == ["done", "done"]

    order.refresh_from_db()
    assert (order.captured, order.total) == (1000, 2000)


# The customer and the addresses.


def test_the_timeline_tells_that_the_customer_was_changed_and_not_what_it_was():
    order = unpaid_order({product(9): 1})

    orders.change(
        order.pk,
        actor=MERCHANT,
        customer_name="Grace",
        customer_email="grace@example.com",
        billing_address={"line_1": "12 Square"},
    )

    order.refresh_from_db()
    assert (order.customer_name, order.customer_email) == ("Grace", "grace@example.com")
    assert told(order) == ["customer name, customer email, billing address"]


def test_of_two_who_change_an_address_the_second_is_told():
    order = unpaid_order({product(9): 1})
    seen = orders.standing_of(order, ["shipping_address"])
    orders.change(order.pk, actor=MERCHANT, shipping_address={"line_1": "1 Square"}, seen=seen)

    with pytest.raises(Moved):
        orders.change(order.pk, actor=MERCHANT, shipping_address={"line_1": "2 Hill"}, seen=seen)

    order.refresh_from_db()
    assert order.shipping_address == {"line_1": "1 Square"}
    assert orders.standing_of(order, ["shipping_address"])["shipping address line 1"] == "1 Square"
