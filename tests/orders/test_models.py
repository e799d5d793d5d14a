import uuid

import pytest
from django.db import IntegrityError, OperationalError, connection, transaction

from api import clock
from api.ids import uuid7
from inventory.models import Stock
from orders.errors import OrderNotCancellable, OrderNotFound, OrderNotShippable, PaymentUnderWay
from orders.models import Cart, CartItem, Order, OrderItem, next_order_number, summed
from tests.concurrency import run_together
from tests.factories import filled_cart, product, unpaid_order
from tests.orders.statements import sql_of

pytestmark = pytest.mark.django_db


def test_payable_leaves_out_what_is_taken_promised_or_on_its_way():
    order = Order(total=1000, captured=100, authorized=200, pending=300, refunded=50)

    assert order.payable == 400
    assert order.balance_owing == 700


def test_quantities_of_one_product_add_up():
    shirt, mug = uuid.uuid4(), uuid.uuid4()

    assert summed([(shirt, 2), (mug, 1), (shirt, 3)]) == {shirt: 5, mug: 1}


def test_order_numbers_rise():
    first, second = next_order_number(), next_order_number()

    assert second > first > 1000


@pytest.mark.parametrize(
    ("order", "refusal"),
    [
        (Order(payment="paid", status="cancelled"), OrderNotShippable),
        (Order(payment="paid", shipping="fulfilled"), OrderNotShippable),
        (Order(payment="paid", attempts_open=1), PaymentUnderWay),
        (Order(payment="paid", refunds_open=1), PaymentUnderWay),
        (Order(payment="partially_paid"), OrderNotShippable),
        (Order(payment="authorized"), OrderNotShippable),
        (Order(payment="refunded"), OrderNotShippable),
    ],
)
def test_what_is_not_shippable_says_so(order, refusal):
    with pytest.raises(refusal):
        order.require_shippable()


@pytest.mark.parametrize(
    ("order", "refusal"),
    [
        (Order(status="cancelled"), OrderNotCancellable),
        (Order(shipping="fulfilled"), OrderNotCancellable),
        (Order(attempts_open=1), PaymentUnderWay),
    ],
)
def test_what_is_not_cancellable_says_so(order, refusal):
    with pytest.raises(refusal):
        order.require_cancellable()


def test_a_paid_order_may_be_shipped_and_cancelled_while_a_refund_is_pending():
    Order(payment="paid").require_shippable()
    Order(payment="paid", refunds_open=1).require_cancellable()


# The database's own net.


@pytest.mark.parametrize(
    "impossible",
    [
        {"captured": -1},
        {"authorized": -1},
        {"pending": -1},
        {"captured": 600, "pending": 401},
        {"authorized": 1001},
        {"captured": 100, "refunded": 101},
        {"attempts_open": -1},
        {"refunds_open": -1},
        {"status": "cancelled", "shipping": "fulfilled"},
    ],
)
def test_the_database_refuses_impossible_orders(impossible):
    order = unpaid_order({product(stock=1, price=1000): 1})

    with pytest.raises(IntegrityError), transaction.atomic():
        Order.objects.filter(pk=order.pk).update(**impossible)


@pytest.mark.parametrize(
    "impossible",
    [
        {"allocated": 3},
        {"allocated": 1, "shipped": 2},
        {"allocated": -1},
        {"shipped": -1},
        {"quantity": 0},
        {"unit_price": -1},
    ],
)
def test_the_database_refuses_impossible_lines(impossible):
    order = unpaid_order({product(stock=2): 2})

    with pytest.raises(IntegrityError), transaction.atomic():
        OrderItem.objects.filter(order=order).update(**impossible)


def test_the_database_keeps_one_line_of_a_kind_in_a_cart():
    filled_cart({product(stock=2): 2}, cart_id="ada")
    item = CartItem.objects.get()
    item.pk = uuid7()

    with pytest.raises(IntegrityError), transaction.atomic():
        item.save(force_insert=True)
    with pytest.raises(IntegrityError), transaction.atomic():
        CartItem.objects.update(quantity=0)


# Locks.


def test_an_unknown_order_cannot_be_locked():
    with pytest.raises(OrderNotFound):
        Order.objects.lock(uuid.uuid4())


def test_the_order_is_locked_by_its_key_and_leaves_the_key_to_others():
    order = unpaid_order({product(stock=1): 1})

    (sql,) = sql_of(lambda: Order.objects.lock(order.pk))

    assert sql.rstrip().endswith("FOR NO KEY UPDATE")


def with_little_patience(act):
    def run():
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SET LOCAL lock_timeout = '100ms'")
            return act()

    return run


@pytest.mark.django_db(transaction=True)
def test_who_wants_a_locked_order_waits_and_others_do_not():
    shirt = product(stock=3)
    order, other = unpaid_order({shirt: 1}), unpaid_order({shirt: 1})

    with transaction.atomic():
        Order.objects.lock(order.pk)
        waited, free, referring = run_together(
            with_little_patience(lambda: Order.objects.lock(order.pk)),
            with_little_patience(lambda: Order.objects.lock(other.pk)),
            with_little_patience(lambda: OrderItem.objects.filter(order=order).count()),
        )

    assert isinstance(waited, OperationalError)
    assert (free.pk, referring) == (other.pk, 1)


@pytest.mark.django_db(transaction=True)
def test_who_wants_a_locked_cart_waits_and_others_do_not():
    shirt = product(stock=3)
    cart_id, other = filled_cart({shirt: 1}), filled_cart({shirt: 1})

    with transaction.atomic():
        Cart.objects.lock(cart_id, now=clock.now())
        waited, free = run_together(
            with_little_patience(lambda: Cart.objects.lock(cart_id, now=clock.now())),
            with_little_patience(lambda: Cart.objects.lock(other, now=clock.now())),
        )

    assert isinstance(waited, OperationalError)
    assert free.pk == other


@pytest.mark.django_db(transaction=True)
def test_a_stock_row_that_is_being_sold_does_not_keep_others_from_checking_out():
    shirt = product(stock=3)

    with transaction.atomic():
        Stock.objects.lock([shirt.pk])
        (done,) = run_together(lambda: unpaid_order({shirt: 1}))

    assert done.payment == "unpaid"
