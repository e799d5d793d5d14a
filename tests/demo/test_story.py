from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.db import connection
from django.db.models import Count, F, Max, Min

from api import clock
from api.models import ApiClient, Change
from backoffice import attention
from backoffice.roles import ROLES
from demo.catalogue import PRODUCTS
from demo.drawings import FOLDER, drawings
from demo.story import DAYS, written
from events.models import Event, Outbox
from inventory.models import (
    Delivery,
    Parent,
    Product,
    Sheet,
    Stock,
    Stocktake,
    StockTransaction,
)
from inventory.services import currencies, deliveries, images, picture_files, pictures
from inventory.services.category_tree import Tree
from orders.models import (
    Cart,
    Order,
    OrderEvent,
    OrderItem,
    Return,
    ReturnLine,
    Shipment,
)
from payments.models import Attempt, Gateway, Payment
from payments.services import audit, recovery
from payments.services.payments import EXCESS
from tests.conftest import leave_the_first_rows

pytestmark = pytest.mark.thorough

NOW = datetime(2026, 3, 14, 15, 9, 26, tzinfo=UTC)
LOW = 5


@pytest.fixture(scope="module")
def loaded(django_db_setup, django_db_blocker):
    """The demo, loaded and committed once for all tests of this module that ask for it."""
    with django_db_blocker.unblock():
        currencies.forget()
        with pytest.MonkeyPatch.context() as patch, clock.replaced(lambda: NOW):
            # The tests have no pool, and so would connect anew after each payment.
            patch.setattr(connection, "close", lambda: None)
            call_command("load_demo")
    yield
    with django_db_blocker.unblock():
        leave_the_first_rows()


@pytest.fixture
def demo(loaded, db):
    """The loaded demo, as it was before any other test touched it."""


# Whether it can be loaded.


@pytest.mark.usefixtures("demo")
def test_demo_goes_into_an_empty_database_only():
    with pytest.raises(CommandError, match="products already"):
        call_command("load_demo")


def test_demo_is_refused_where_its_passwords_would_be_a_danger(settings):
    settings.HOLDFAST_DEMO = False

    with pytest.raises(CommandError, match="HOLDFAST_DEMO"):
        call_command("load_demo")


# Whether all is well with it.


@pytest.mark.usefixtures("demo")
@pytest.mark.parametrize(
    ("command", "last_line"),
    [
        ("check", "System check identified no issues (1 silenced)."),
        ("reconcile_payments --days=60", "The books of the last 60 days agree."),
    ],
)
def test_t18_every_check_finds_it_clean(command, last_line, capsys):
    """The audit runs after each of these tests."""
    with clock.replaced(lambda: NOW):
        call_command(*command.split())

    assert capsys.readouterr().out.splitlines()[-1] == last_line


# Who may come in.


@pytest.mark.usefixtures("demo")
def test_demo_logs_in_with_its_password_and_may_do_everything():
    user = User.objects.get(username="demo")

    assert user.check_password("demo")
    assert user.is_superuser
    assert user.is_staff


@pytest.mark.usefixtures("demo")
def test_every_role_can_log_in_with_the_same_password():
    people = User.objects.filter(is_superuser=False)

    assert {person.groups.get().name for person in people} == set(ROLES)
    for person in people:
        assert person.is_staff
        assert person.check_password("demo")


@pytest.mark.usefixtures("demo")
def test_back_office_has_its_secret_and_the_storefront_has_none():
    back_office = ApiClient.objects.get(client_id="demo")
    storefront = ApiClient.objects.get(client_id="demo-storefront")

    assert back_office.has_secret("demo-secret")
    assert storefront.secret_sha256 == ""


@pytest.mark.usefixtures("demo")
def test_its_past_is_told_as_it_happened():
    events = list(Event.objects.order_by("position"))

    times = [event.occurred_at for event in events]
    assert times == sorted(times)
    assert times[0] < NOW - timedelta(days=DAYS - 1)
    assert not Outbox.objects.exists()
    told = {(event.subject, event.type) for event in events}
    assert {(str(order.pk), "order.created") for order in Order.objects.all()} <= told


@pytest.mark.usefixtures("demo")
def test_both_gateways_are_enabled():
    assert set(Gateway.objects.filter(enabled=True).values_list("slug", flat=True)) == {
        "manual",
        "test",
    }


# The shelves.


@pytest.mark.usefixtures("demo")
def test_every_product_ends_with_the_units_that_the_catalogue_says():
    left = Stock.objects.filter(managed=True).values_list("product__sku", "available")

    assert dict(left) == {p.sku: p.left for p in PRODUCTS.values() if p.is_managed}


@pytest.mark.usefixtures("demo")
def test_every_state_of_stock_can_be_seen():
    available = list(
        Stock.objects.filter(managed=True, product__status="live").values_list(
            "available", flat=True
        )
    )

    assert available.count(1) == 1
    assert available.count(0) >= 2
    assert len([units for units in available if 1 < units <= LOW]) >= 3
    assert len([units for units in available if units > 20]) >= 10
    assert Stock.objects.filter(managed=False, product__status="live").count() >= 2
    assert Product.objects.filter(status="draft").count() >= 1


@pytest.mark.usefixtures("demo")
def test_navy_shirt_in_m_is_the_example_of_the_inventory_tab():
    stock = Stock.objects.get(product__sku="SHIRT-NAVY-M")

    assert (stock.total, stock.available, stock.allocated) == (50, 38, 12)
    assert (stock.for_orders, stock.held) == (9, 3)


@pytest.mark.usefixtures("demo")
def test_a_product_that_is_out_is_still_owed_to_orders():
    assert Stock.objects.filter(available=0, allocated__gt=0).exists()


@pytest.mark.usefixtures("demo")
def test_deliveries_came_are_being_unpacked_and_are_late():
    half, late = Delivery.objects.get(number="4718"), Delivery.objects.get(number="4715")

    assert Delivery.objects.filter(state="booked").count() == 5
    sums = deliveries.totals(half)
    assert (sums.units_received, sums.units_expected, sums.lines_unexpected) == (42, 86, 1)
    assert late.expected_on == (NOW - timedelta(days=4)).date()
    shirt = Product.objects.get(sku="SHIRT-NAVY-M")
    assert [each.units for each in deliveries.expected_of(shirt.pk)] == [20]


@pytest.mark.usefixtures("demo")
def test_log_tells_of_deliveries_damage_and_things_set_aside_by_several_people():
    by_hand = StockTransaction.objects.filter(by_order=False)

    assert by_hand.filter(action="increment", reason__startswith="Delivery").count() >= 50
    assert by_hand.filter(action="decrement").count() >= 5
    assert by_hand.filter(action="allocate").count() >= 3
    assert by_hand.filter(action="deallocate").count() >= 2
    assert {"Maria", "Jonas", "Storefront (shopper)"} <= set(
        StockTransaction.objects.values_list("actor_name", flat=True)
    )
    assert not by_hand.filter(reason="").exists()


# The orders.


@pytest.mark.usefixtures("demo")
def test_orders_are_in_every_state():
    states = Counter(Order.objects.values_list("status", "payment", "shipping"))

    assert sum(states.values()) >= 300
    assert states["complete", "paid", "fulfilled"] >= 200
    assert states["complete", "paid", "unfulfilled"] >= 6
    assert states["complete", "refunded", "fulfilled"] >= 2
    assert states["processing", "authorized", "unfulfilled"] >= 2
    assert states["incomplete", "unpaid", "unfulfilled"] >= 6
    assert states["incomplete", "partially_paid", "unfulfilled"] >= 2
    assert states["incomplete", "partially_authorized", "unfulfilled"] >= 1
    assert states["cancelled", "unpaid", "unfulfilled"] >= 3
    assert states["cancelled", "refunded", "unfulfilled"] >= 3


@pytest.mark.usefixtures("demo")
def test_what_waits_too_long_for_its_money_has_expired_already():
    assert OrderEvent.objects.filter(text="expired unpaid").count() == 6
    with clock.replaced(lambda: NOW):
        assert recovery.expire_orders() == 0


@pytest.mark.usefixtures("demo")
def test_dozen_people_bought():
    customers = Order.objects.values_list("customer_email", flat=True).distinct()

    assert len(customers) >= 12
    assert all(email.endswith("@example.com") for email in customers)


@pytest.mark.usefixtures("demo")
def test_payments_went_every_way():
    payments = Payment.objects.all()

    assert payments.filter(status="pending", charging_until=None).count() == 3
    assert payments.filter(status="failed").count() >= 6
    assert payments.filter(status="cancelled", method="authorize").count() >= 2
    assert payments.filter(method="authorize", captured_amount__gt=0).count() >= 10
    assert payments.filter(gateway="manual", status="complete").count() >= 10


@pytest.mark.usefixtures("demo")
def test_a_declined_buyer_tried_again():
    declined = Order.objects.filter(payments__status="failed")

    assert declined.filter(payments__status="complete").exists()
    assert declined.exclude(payments__status="complete").exists()


@pytest.mark.usefixtures("demo")
def test_some_orders_were_paid_in_two_parts():
    paid = Order.objects.filter(payments__status="complete", payment="paid")

    assert paid.annotate(parts=Count("payments")).filter(parts=2).count() >= 3


@pytest.mark.usefixtures("demo")
def test_money_went_back_in_part_in_whole_and_by_hand():
    refunds = Attempt.objects.filter(kind="refund", status="succeeded")

    assert refunds.filter(amount__lt=F("payment__amount")).count() >= 3
    assert refunds.filter(amount=F("payment__amount"), payment__gateway="test").count() >= 3
    assert refunds.filter(reference="").count() == 1
    assert not refunds.filter(reason="").exists()


@pytest.mark.usefixtures("demo")
def test_fraud_was_cancelled_and_refunded_by_a_person():
    refund = Attempt.objects.get(reason__contains="Fraud")

    assert (refund.actor_kind, refund.actor_name) == ("user", "Maria")
    assert refund.payment.order.is_cancelled
    assert refund.payment.refunded_amount == refund.payment.order.total


@pytest.mark.usefixtures("demo")
def test_shelves_were_counted_and_the_file_applied():
    file = Sheet.objects.get(kind="counts")

    assert (file.state, file.uploaded_by, file.unchanged) == ("applied", "Jonas", 3)
    assert (file.units_added, file.units_removed, file.refused) == (2, 1, 0)


@pytest.mark.usefixtures("demo")
def test_a_file_of_new_prices_waits_for_somebody_to_look_at_it():
    file = Sheet.objects.get(name="winter-prices.csv")

    assert (file.state, file.uploaded_by) == ("checked", "Maria")
    assert (file.changed, file.marked, file.refused) == (3, 1, 1)


@pytest.mark.usefixtures("demo")
def test_a_price_list_waits_for_its_columns():
    file = Sheet.objects.get(name="price-list-december.csv")

    assert (file.state, file.kind, file.lines_total) == ("mapping", "products", 2)


@pytest.mark.usefixtures("demo")
def test_a_stocktake_is_in_the_middle():
    stocktake = Stocktake.objects.get()

    assert stocktake.is_open
    assert 0 < stocktake.counted < stocktake.left


@pytest.mark.usefixtures("demo")
def test_goods_are_sorted_on_three_levels_and_a_file_has_made_gift_ideas_of_some():
    levels = [level for _, level in Tree().walk()]
    file = Sheet.objects.get(name="gift-ideas.csv")

    assert max(levels) == 3
    assert not Product.objects.filter(categories=None).exists()
    assert (file.state, file.changed, file.refused) == ("applied", 5, 0)
    assert Product.objects.filter(categories__name="Gifts").count() == 5


@pytest.mark.usefixtures("demo")
def test_colours_and_sizes_are_variants_of_one_parent():
    shirt = Product.objects.get(sku="SHIRT-NAVY-M")
    shared = Parent.objects.get(name="Shirt")

    assert (shirt.parent, shirt.variant) == (shared, "Colour Navy, Size M")
    assert shared.variants.count() == 12
    assert not Parent.objects.filter(variants=None).exists()


@pytest.mark.usefixtures("demo")
def test_two_orders_need_attention():
    with clock.replaced(lambda: NOW):
        assert {
            reason for order_id in attention.order_ids() for reason in attention.why(order_id)
        } >= {attention.HELD, attention.PARTLY_PAID}


@pytest.mark.usefixtures("demo")
def test_carts_were_left_behind():
    ordered = Order.objects.values("cart_id")
    left_behind = Cart.objects.filter(items__isnull=False).exclude(pk__in=ordered).distinct()

    assert left_behind.filter(expires_at__gt=NOW).count() >= 5
    assert left_behind.filter(expires_at__lt=NOW).exists()


@pytest.mark.usefixtures("demo")
def test_some_orders_left_in_two_parcels_and_one_is_half_way():
    in_parts = Order.objects.filter(shipments_made=2)
    half_way = Order.objects.get(shipments_made=1, shipping="unfulfilled")

    assert in_parts.filter(shipping="fulfilled").count() == 4
    assert half_way.is_partly_shipped
    carriers = Shipment.objects.exclude(tracking="").values_list("carrier", flat=True)
    assert {"DHL", "PostNord", "Royal Mail", "UPS", "USPS"} <= {*carriers}
    assert Shipment.objects.filter(carrier="").exists()


@pytest.mark.usefixtures("demo")
def test_the_rest_of_one_order_was_cancelled_and_exactly_that_refunded():
    item = OrderItem.objects.get(cancelled__gt=0, order__cancelled_at=None)

    assert (item.quantity, item.shipped, item.cancelled) == (3, 2, 1)
    assert item.order.is_shipped
    assert item.order.refunded == item.unit_price


@pytest.mark.usefixtures("demo")
def test_units_came_back_in_every_way_and_one_waits_to_be_looked_at():
    lines = ReturnLine.objects.all()

    assert {*lines.values_list("disposition", flat=True)} == {*ReturnLine.Disposition}
    assert [line.item.sku for line in lines if line.is_to_inspect] == ["HOODIE-GREEN-M"]
    assert lines.get(settled_at__isnull=False).settled_as == "discarded"
    assert not Return.objects.filter(attempt_id=None).exists()


@pytest.mark.usefixtures("demo")
def test_somebody_paid_too_much_and_it_waits_to_be_sent_back():
    excess = Payment.objects.get(EXCESS)

    assert (excess.amount, excess.refunded_amount) == (5_00, 0)
    with clock.replaced(lambda: NOW):
        assert attention.why(excess.order_id) == [attention.OVERPAID]


@pytest.mark.usefixtures("demo")
def test_two_orders_were_taken_on_the_telephone():
    taken = OrderEvent.objects.filter(kind="placed_at_the_desk")

    assert [event.actor_name for event in taken] == ["Maria", "Maria"]
    assert taken.filter(order__shipping="fulfilled").count() == 1


@pytest.mark.usefixtures("demo")
def test_most_customers_come_back_and_some_send_to_somebody_else():
    bought = Counter(Order.objects.values_list("customer_email", flat=True))
    cities = {*Order.objects.values_list("shipping_address__city", flat=True)}
    elsewhere = Order.objects.exclude(shipping_address=F("billing_address"))

    assert len([email for email, times in bought.items() if times > 5]) >= 13
    assert len(cities) >= 20
    assert elsewhere.exists()


# That it could have happened.


@pytest.mark.usefixtures("demo")
def test_log_stock_and_orders_agree():
    assert StockTransaction.objects.count() > 1000
    assert audit.differences() == []


@pytest.mark.usefixtures("demo")
@pytest.mark.parametrize("model", [Product, StockTransaction, Cart, Order, Payment, Attempt])
def test_nothing_lies_in_the_future_or_before_the_story(model):
    times = model.objects.aggregate(first=Min("created_at"), last=Max("created_at"))

    assert times["last"] <= NOW
    assert times["first"] >= NOW - timedelta(days=DAYS + 1)


@pytest.mark.usefixtures("demo")
def test_last_order_came_minutes_ago():
    last = Order.objects.aggregate(last=Max("created_at"))["last"]

    assert NOW - last < timedelta(minutes=10)


@pytest.mark.usefixtures("demo")
def test_ids_and_numbers_of_orders_follow_time():
    by_time = Order.objects.order_by("created_at")

    assert list(by_time) == list(Order.objects.order_by("pk"))
    assert list(by_time) == list(Order.objects.order_by("number"))


@pytest.mark.usefixtures("demo")
def test_unshipped_orders_hold_what_they_were_paid_for():
    waiting = OrderItem.objects.filter(
        order__shipping="unfulfilled",
        order__payment="paid",
        order__cancelled_at=None,
        product__stocks__managed=True,
    )

    assert waiting.count() >= 6
    assert not waiting.exclude(allocated=F("quantity") - F("shipped")).exists()


def test_same_moment_tells_the_same_story():
    assert repr(written(NOW).events) == repr(written(NOW).events)


@pytest.mark.parametrize(
    "now",
    [
        datetime(2026, 1, 1, 0, 0, 1, tzinfo=UTC),
        datetime(2026, 3, 29, 6, 59, 59, tzinfo=UTC),
        datetime(2028, 2, 29, 12, 0, 0, tzinfo=UTC),
        datetime(2026, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC),
    ],
)
def test_shelves_are_never_short_whenever_the_demo_is_loaded(now):
    units = Counter[str]()

    for event in written(now).in_order_of_time():
        units.update(event.change)
        assert all(units[sku] >= 0 for sku in event.change if PRODUCTS[sku].is_managed)

    assert {sku: units[sku] for sku in PRODUCTS if PRODUCTS[sku].is_managed} == {
        product.sku: product.left for product in PRODUCTS.values() if product.is_managed
    }


# The catalogue and its pictures.


def test_products_have_names_of_their_own():
    assert 35 <= len(PRODUCTS) <= 50
    assert len({product.name for product in PRODUCTS.values()}) == len(PRODUCTS)
    assert len({product.id for product in PRODUCTS.values()}) == len(PRODUCTS)


def test_barcodes_are_true_ean_13():
    barcodes = [product.barcode for product in PRODUCTS.values() if product.barcode]

    for barcode in barcodes:
        digits = [int(digit) for digit in barcode]
        assert len(digits) == 13
        assert (sum(digits[0::2]) + 3 * sum(digits[1::2])) % 10 == 0
    assert len(set(barcodes)) == len(barcodes)


def test_there_is_a_file_for_each_drawing_and_no_other():
    drawn = {f"{name}.png" for name, _ in drawings()}

    assert {path.name for path in FOLDER.iterdir()} == drawn
    assert {product.picture for product in PRODUCTS.values()} == drawn


@pytest.mark.usefixtures("demo")
def test_every_product_has_a_picture_and_it_is_served(client):
    main = pictures.main_of(Product.objects.values_list("pk", flat=True))

    assert len(main) == Product.objects.count()
    assert len({*main.values()}) == len(dict(drawings()))
    for picture_id in {*main.values()}:
        for side in images.SIDES:
            answer = client.get(picture_files.address(picture_id, side))
            assert answer["Content-Type"] == "image/webp"


@pytest.mark.usefixtures("demo")
def test_what_products_cost_is_known_but_for_one_and_has_gone_up_for_some():
    unknown = Product.objects.filter(cost=None, stocks__total__gt=0)
    shirt = Product.objects.get(sku="SHIRT-NAVY-M")
    told = [field for entry in Change.objects.filter(thing_id=shirt.pk) for field in entry.fields]

    assert [each.sku for each in unknown] == ["POSTER-LIGHTHOUSE"]
    assert {"field": "cost", "before": "9.60 USD", "after": "10.00 USD"} in told
