"""Which rows each step locks, in which order and how strongly, as the SQL itself says.

Two who want one row at once are in tests/test_interleavings.py and beside the services; here stands
what no race shows for certain. A lock of several rows is in key order. It lets others go on
referring to its rows, unless these are to be deleted.
"""

import re
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.db import connection, transaction
from django.db.models import Model
from django.test.utils import CaptureQueriesContext

from api import clock, finished_jobs, limits, services, store
from api.actors import Actor
from api.models import ApiClient
from backoffice import rights
from backoffice.models import SavedView
from inventory.models import (
    Action,
    Currency,
    Delivery,
    Location,
    Parent,
    Picture,
    Product,
    Sheet,
    Stock,
    Stocktake,
)
from inventory.services import (
    categories,
    currencies,
    locations,
    pictures,
    product_rows,
    products,
    variants,
)
from inventory.services import stock as inventory
from inventory.services.sheets import processing
from inventory.services.variants import Option, Pattern, Shared
from orders.models import Cart, CartItem, Order
from orders.services import carts, orders, shipments
from payments.models import Gateway
from payments.services import payments, recovery
from payments.services.payments import PaymentRequest
from tests.drawn import picture
from tests.factories import (
    BUYER,
    MERCHANT,
    api_client,
    category,
    delivery,
    filled_cart,
    paid_order,
    parent,
    product,
    unpaid_order,
)
from tests.product_sheets import applied, checked

pytestmark = pytest.mark.django_db

# What is locked by number instead of by row.
ALONE, TOGETHER = "advisory", "advisory, shared"
# A cart is made if need be, and locked by that.
OPENED = "orders_cart, opened"


def of(model: type[Model], *how: str) -> str:
    return ", ".join([model._meta.db_table, *how])


def one(model: type[Model]) -> str:
    """A row that stays."""
    return of(model, "no key")


def several(model: type[Model]) -> str:
    return of(model, "in order", "no key")


def doomed(model: type[Model], *how: str) -> str:
    """Rows that are about to be deleted."""
    return of(model, *how, "key")


def locks(act: Callable[[], Any]) -> list[str]:
    with CaptureQueriesContext(connection) as captured:
        act()
    return [lock for query in captured if (lock := lock_of(query["sql"]))]


def lock_of(sql: str) -> str:
    if advisory := re.search(r"pg_advisory_xact_lock(_shared)?\(", sql):
        return TOGETHER if advisory[1] else ALONE
    if re.match(r"\s*INSERT INTO orders_cart .* ON CONFLICT \(id\) DO UPDATE", sql, re.DOTALL):
        return OPENED
    asked = re.search(r"FOR (NO KEY )?UPDATE( NOWAIT| SKIP LOCKED)?", sql)
    if not asked:
        return ""
    table = re.search(r'FROM "?(\w+)"?', sql)
    assert table
    # One that is found by its key needs no order, whatever `first` says.
    is_ordered = "ORDER BY" in sql and "LIMIT 1 " not in sql
    return ", ".join(
        [
            table[1],
            *(["in order"] if is_ordered else []),
            *([asked[2].strip().lower()] if asked[2] else []),
            "no key" if asked[1] else "key",
        ]
    )


def in_a_transaction(act: Callable[[], Any]) -> Callable[[], Any]:
    def run() -> None:
        with transaction.atomic():
            act()

    return run


# Each makes what it wants, and returns what is done then.


def a_cart(act: Callable[[str], Any]) -> Callable[[], Any]:
    cart_id = filled_cart({product(stock=5): 1})
    return lambda: act(cart_id)


def change_cart() -> Any:
    cart_id = filled_cart({product(stock=5): 1})
    item = CartItem.objects.get(cart_id=cart_id)
    return lambda: carts.change_item(cart_id, item.pk, 2)


def check_out() -> Any:
    return a_cart(lambda cart_id: orders.checkout(cart_id, BUYER))


def check_out_from_a_place() -> Any:
    return a_cart(lambda cart_id: orders.checkout(cart_id, BUYER, placed_from="198.51.100.7"))


def delete_cart() -> Any:
    return a_cart(carts.delete)


def purge_carts() -> Any:
    cart_id = filled_cart({product(stock=5): 1})
    Cart.objects.filter(pk=cart_id).update(expires_at=clock.now())
    return carts._purge_some


def lock_carts() -> Any:
    return in_a_transaction(lambda: Cart.objects.lock_all(["ada", "bob"]))


def pay() -> Any:
    order = unpaid_order({product(stock=5): 1, product(stock=5): 1})
    return lambda: payments.pay(order.pk, PaymentRequest("manual"), actor=MERCHANT)


def ship() -> Any:
    order = paid_order({product(stock=5): 1, product(stock=5): 1})
    return lambda: shipments.ship(order.pk, actor=MERCHANT)


def cancel() -> Any:
    order = paid_order({product(stock=5): 1, product(stock=5): 1})
    return lambda: payments.cancel(order.pk, actor=MERCHANT)


def record() -> Any:
    made = product(stock=5)
    return lambda: inventory.record(made.pk, Action.DECREMENT, 1, actor=MERCHANT)


def expire() -> Any:
    unpaid_order({product(stock=5): 1})
    Order.objects.update(created_at=clock.now().replace(year=2020))
    store.change(unpaid_order_expiry_hours=1, actor=MERCHANT)
    return recovery.expire_orders


def set_gateway() -> Any:
    return lambda: payments.set_gateway("test", name="Ours", actor=MERCHANT)


def change_store() -> Any:
    return lambda: store.change(page_length=50, actor=MERCHANT)


def rename_client() -> Any:
    client = api_client()
    return lambda: services.rename_client(client.pk, "Ours", actor=MERCHANT)


def change_currency() -> Any:
    dollar = Currency.objects.get(code="USD")
    return lambda: currencies.change(dollar.pk, format="{price} $", actor=MERCHANT)


def rename_location() -> Any:
    there = Location.objects.get()
    return lambda: locations.rename(there.pk, "Harbour", actor=MERCHANT)


def rename_product() -> Any:
    made = product(stock=5)
    return lambda: products.update(made.pk, name="New", actor=MERCHANT)


def stop_managing() -> Any:
    made = product(stock=5)
    return lambda: products.stop_managing(made.pk, actor=MERCHANT)


def restore_product() -> Any:
    made = product()
    products.archive(made.pk, actor=MERCHANT)
    return lambda: products.restore(made.pk, sku=made.sku, slug=made.slug, actor=MERCHANT)


def lock_products() -> Any:
    made = [product().pk, product().pk]
    return in_a_transaction(lambda: product_rows.lock(made))


def make_category() -> Any:
    return lambda: categories.create("Shirts", actor=MERCHANT)


def put_into_category() -> Any:
    made, shirts = product(), category("Shirts")
    return lambda: categories.set_for([made.pk], [shirts.pk], actor=MERCHANT)


def change_category() -> Any:
    shirts = category("Shirts")
    return lambda: categories.update(shirts.pk, name="Tops", actor=MERCHANT)


def move_category() -> Any:
    shirts = category("Shirts")
    return lambda: categories.move(shirts.pk, 1, actor=MERCHANT)


def delete_category() -> Any:
    shirts = category("Shirts")
    product(category_ids=[shirts.pk])
    return lambda: categories.delete(shirts.pk, actor=MERCHANT)


def make_product_in_category() -> Any:
    shirts = category("Shirts")
    return lambda: product(3, category_ids=[shirts.pk])


def put_product_into_category() -> Any:
    made, shirts = product(), category("Shirts")
    return lambda: products.update(made.pk, category_ids=[shirts.pk], actor=MERCHANT)


def make_variants_in_category() -> Any:
    shirts = category("Shirts")
    return lambda: parent(Option("Size", ["S", "M"]), stock=3, category_ids=[shirts.pk])


def add_variant_in_category() -> Any:
    made, shirts = parent(Option("Size", ["S", "M"])), category("Shirts")
    pattern, shared = Pattern("L", "L"), Shared([], category_ids=[shirts.pk])
    return lambda: variants.add_value(made.pk, "Size", "L", pattern, shared, actor=MERCHANT)


def apply_sheet_of_products() -> Any:
    product(sku="A")
    category("Shirts")
    sheet = checked("sku | manage_stock | categories\nA | no | Shirts")
    processing.apply(sheet.pk, actor=MERCHANT)
    return lambda: processing.take_a_batch(sheet.pk)


def apply_sheet_of_products_in_new_categories() -> Any:
    sheet = checked("sku | name | price_usd | categories\nA | Shirt | 5 | Shirts")
    processing.apply(sheet.pk, actor=MERCHANT, looked_at=True)
    return lambda: processing.take_a_batch(sheet.pk)


def revert_sheet_of_products() -> Any:
    product(sku="A")
    sheet = applied("sku | manage_stock | categories\nA | no | Shirts")
    processing.revert(sheet.pk, actor=MERCHANT)
    return lambda: processing.take_a_batch(sheet.pk)


def attach_picture() -> Any:
    made, taken = product(), picture()
    return lambda: pictures.attach(made.pk, [taken.pk], actor=MERCHANT)


def arrange_pictures() -> Any:
    made, taken = product(), picture()
    pictures.attach(made.pk, [taken.pk], actor=MERCHANT)
    return lambda: pictures.arrange(made.pk, [], seen=[taken.pk], actor=MERCHANT)


def delete_picture() -> Any:
    taken = picture()
    return lambda: pictures.delete(taken.pk, actor=MERCHANT)


def delete_unused_pictures() -> Any:
    taken = picture()
    return lambda: pictures.delete_unused(taken.pk, actor=MERCHANT)


def rename_parent() -> Any:
    made = parent(Option("Size", ["S", "M"]))
    return lambda: variants.rename(made.pk, "Top", actor=MERCHANT)


def put_in_variant() -> Any:
    made, top = parent(Option("Size", ["S", "M"])), product()
    variants.take_out(made.pk, made.variants.get(options={"Size": "S"}).pk, actor=MERCHANT)
    return lambda: variants.put_in(made.pk, top.pk, {"Size": "S"}, actor=MERCHANT)


def take_out_variant() -> Any:
    made = parent(Option("Size", ["S", "M"]))
    variant = made.variants.order_by("pk")[0]
    return lambda: variants.take_out(made.pk, variant.pk, actor=MERCHANT)


def delete_parent() -> Any:
    made = parent(Option("Size", ["S", "M"]))
    for variant in made.variants.all():
        products.archive(variant.pk, actor=MERCHANT)
    return lambda: variants.delete(made.pk, actor=MERCHANT)


def lock_sheet() -> Any:
    return in_a_transaction(lambda: Sheet.objects.lock(Location.objects.get().pk))


def lock_delivery() -> Any:
    made = delivery()
    return in_a_transaction(lambda: Delivery.objects.lock(made.pk))


def lock_stocktake() -> Any:
    return in_a_transaction(lambda: Stocktake.objects.lock(Location.objects.get().pk))


def save_view() -> Any:
    return in_a_transaction(lambda: SavedView.lock(1))


def an_owner() -> Actor:
    person = User.objects.create_superuser("maria")
    return Actor("user", str(person.pk), "maria")


def change_role() -> Any:
    owner, role = an_owner(), Group.objects.create(name="Accountants")
    return lambda: rights.change_role(role.pk, [], actor=owner)


def change_password() -> Any:
    owner = an_owner()

    def change() -> None:
        with rights.password_on_record(int(owner.id), actor=owner):
            pass

    return change


def purge_counts() -> Any:
    return lambda: limits._purge_some(0)


def purge_jobs() -> Any:
    return finished_jobs.purge


LOCKED: dict[Callable[[], Any], list[str]] = {
    change_cart: [OPENED],
    check_out: [one(Cart)],
    check_out_from_a_place: [one(Cart), ALONE],
    delete_cart: [doomed(Cart)],
    purge_carts: [doomed(Cart, "in order", "skip locked")],
    lock_carts: [several(Cart)],
    pay: [one(Order), several(Stock)],
    ship: [one(Order), several(Stock)],
    cancel: [one(Order), several(Stock)],
    record: [several(Stock)],
    expire: [one(Order)],
    set_gateway: [one(Gateway)],
    change_store: ["api_storesettings, no key"],
    rename_client: [one(ApiClient)],
    change_currency: [several(Currency)],
    rename_location: [one(Location)],
    rename_product: [one(Product)],
    stop_managing: [one(Product), several(Stock)],
    restore_product: [one(Product)],
    lock_products: [several(Product)],
    make_category: [ALONE],
    put_into_category: [TOGETHER, several(Product)],
    change_category: [ALONE],
    move_category: [ALONE],
    delete_category: [ALONE, several(Product)],
    make_product_in_category: [TOGETHER, several(Stock)],
    put_product_into_category: [TOGETHER, one(Product)],
    make_variants_in_category: [TOGETHER, several(Stock)],
    add_variant_in_category: [TOGETHER, one(Parent)],
    apply_sheet_of_products: [one(Sheet), TOGETHER, several(Product), several(Stock)],
    apply_sheet_of_products_in_new_categories: [one(Sheet), ALONE],
    revert_sheet_of_products: [one(Sheet), TOGETHER, several(Product), several(Stock)],
    attach_picture: [one(Product), several(Picture)],
    arrange_pictures: [one(Product), several(Picture)],
    delete_picture: [doomed(Picture)],
    delete_unused_pictures: [doomed(Picture, "in order")],
    rename_parent: [one(Parent)],
    put_in_variant: [one(Parent), one(Product)],
    take_out_variant: [one(Parent), one(Product)],
    delete_parent: [one(Parent), several(Product)],
    lock_sheet: [one(Sheet)],
    lock_delivery: [several(Delivery)],
    lock_stocktake: [one(Stocktake)],
    save_view: [one(User)],
    change_role: [several(User), one(Group)],
    change_password: [of(User, "nowait", "no key")],
    purge_counts: ["api_callcount, skip locked, key"],
    purge_jobs: ["procrastinate_jobs, in order, skip locked, key"],
}


@pytest.mark.parametrize("prepare", LOCKED, ids=lambda prepare: prepare.__name__)
def test_a_step_locks_these_rows_in_this_order(prepare, settings, tmp_path):
    settings.MEDIA_ROOT = str(tmp_path)
    settings.UNPAID_ORDERS_PER_ADDRESS = 9
    act = prepare()

    assert locks(act) == LOCKED[prepare]
