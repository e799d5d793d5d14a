"""Sixty days in the life of a small harbour shop, ending now.

Regulars and people who pass by, two people in the shop, deliveries, damage, things set aside for a
fair, and some three hundred orders in every state an order can be in: from carts left behind over
all ways of paying and of failing to, to parcels, orders cut short, units sent back, and one fraud.
All of it is replayed through the services, at the time of each event, so that nothing in it could
not have happened. The same `now` always gives the same shop.
"""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial

from django.db import connection

from api import store
from api.actors import SYSTEM
from demo import after_sale, assortment, goods_in
from demo.catalogue import FAMILIES, PRODUCTS, DemoProduct
from demo.drawings import FOLDER as PICTURES
from demo.people import CUSTOMERS, JONAS, MARIA, SWINDLER, Customer, customer_named, somebody
from demo.replay import CURRENCY, Lines, Purchase, Story, StoryEvent, by_card, by_hand
from inventory.models import Action, Stock
from inventory.services import pictures, products, stocktakes
from inventory.services.products import Money, NewCost
from inventory.services.sheets import processing
from payments.models import Gateway, Payment
from payments.services import payments

DAYS = 60
# How far the id of a picture lies from that of the first product that shows it.
_PICTURES_FROM = 2**16
_PLENTY = 20


def tell(now: datetime) -> None:
    """Make the shop as it stands at `now`, in a database without products."""
    with _hurried():
        Gateway.objects.get_or_create(slug="test", defaults={"name": "Test"})
        for slug in ("manual", "test"):
            payments.set_gateway(slug, enabled=True, actor=SYSTEM)
        store.change(custom_items_by_shoppers=True, actor=SYSTEM)
        written(now).replay()


@contextmanager
def _hurried() -> Iterator[None]:
    """Do not wait for the disk after each of some two thousand transactions.

    This is set on every connection: payments give theirs back, and may get another one next.
    """
    options = connection.settings_dict["OPTIONS"]
    usual = options["options"]
    options["options"] = f"{usual} -c synchronous_commit=off"
    _connect_anew()
    try:
        yield
    finally:
        options["options"] = usual
        _connect_anew()


def _connect_anew() -> None:
    connection.close()
    connection.close_pool()  # type: ignore[attr-defined]  # PostgreSQL has it.


def written(now: datetime) -> Story:
    story = Story(now)
    for happenings in (
        _ordinary_days,
        _cancelled_and_refunded,
        _cancelled_unpaid,
        _fraud,
        after_sale.arrived_broken,
        after_sale.sent_back,
        after_sale.refunded_in_cash,
        _paid_in_two_parts,
        _authorization_let_go,
        _never_paid,
        _carts_left_behind,
        _to_ship,
        _authorized_and_waiting,
        _paid_in_part,
        _waiting_for_somebody,
        _pending,
        _just_now,
        _shelf_work,
        _shelf_count,
        _price_list,
        _stocktake,
        _winter_prices,
        after_sale.in_two_parcels,
        after_sale.rest_cancelled,
        after_sale.paid_too_much,
        _by_telephone,
        # Last, because deliveries depend on what all the other events take.
        _shirts_cost_more,
        assortment.sorted_in,
        _openings_and_deliveries,
    ):
        happenings(story)
    return story


# What is bought on ordinary days. The units are taken for good, so that any product will do.


def _ordinary_days(story: Story) -> None:
    endings = [_paid_and_shipped, _captured_and_shipped, _declined_first, _paid_by_transfer]
    for days_ago in range(DAYS - 1, 2, -1):
        for _ in range(story.random.choice([3, 4, 5, 5, 6])):
            end = story.random.choices(endings, weights=[80, 9, 5, 6])[0]
            purchase = _somebody_orders(story, days_ago)
            packed_at = story.some_time(max(1, days_ago - story.random.choice([1, 1, 2])), 9, 17)
            end(purchase, packed_at)


def _somebody_orders(
    story: Story, days_ago: int, *, only_plentiful: bool = False, customer: Customer | None = None
) -> Purchase:
    customer = customer or somebody(story.random)
    basket = _basket(story, days_ago, only_plentiful=only_plentiful)
    return Purchase(story, customer, basket, story.some_time(days_ago, 8, 21)).ordered()


def _basket(story: Story, days_ago: int, *, only_plentiful: bool) -> Lines:
    on_sale = [
        product
        for product in PRODUCTS.values()
        if product.family.status == "live"
        and product.family.since_days_ago > days_ago
        and (not only_plentiful or (product.left or 0) >= _PLENTY)
    ]
    weights = [product.family.popularity for product in on_sale]
    lines = story.random.choice([1, 1, 1, 2, 2, 3])
    products = story.random.choices(on_sale, weights, k=lines)
    return {product.sku: story.random.choice([1, 1, 1, 2, 3]) for product in products}


def _paid_and_shipped(purchase: Purchase, packed_at: datetime) -> None:
    purchase.paid()
    purchase.shipped(packed_at)


def _captured_and_shipped(purchase: Purchase, packed_at: datetime) -> None:
    payment_id = purchase.authorized()
    purchase.captured(payment_id, packed_at - timedelta(minutes=6))
    purchase.shipped(packed_at)


def _declined_first(purchase: Purchase, packed_at: datetime) -> None:
    purchase.declined()
    purchase.paid()
    purchase.shipped(packed_at)


def _paid_by_transfer(purchase: Purchase, packed_at: datetime) -> None:
    reference = f"Bank transfer {purchase.story.random.randrange(10_000, 99_999)}"
    purchase.paid(by_hand(reference), at=packed_at - timedelta(minutes=30))
    purchase.shipped(packed_at)


# Orders that did not end with a shipment. Where units come back, there are plenty of them.


def _cancelled_and_refunded(story: Story) -> None:
    reasons = ["Ordered twice", "Changed their mind", "Wrong size, ordered again", "Moved abroad"]
    for days_ago, reason in zip([51, 38, 26, 13], reasons, strict=True):
        purchase = _somebody_orders(story, days_ago, only_plentiful=True)
        payment_id = purchase.paid()
        purchase.cancelled(story.at(days_ago - 1, 9, 12))
        purchase.refunded(payment_id, purchase.total, story.at(days_ago - 1, 9, 15), reason)


def _cancelled_unpaid(story: Story) -> None:
    for days_ago in [47, 35, 22, 16, 9]:
        purchase = _somebody_orders(story, days_ago, only_plentiful=True)
        purchase.cancelled(story.at(days_ago - 5, 17, 30))


def _fraud(story: Story) -> None:
    lines = {"SHIRT-NAVY-M": 6, "MUG-WHITE": 4}
    purchase = Purchase(story, SWINDLER, lines, story.at(8, 3, 17)).ordered()
    purchase.declined()
    payment_id = purchase.paid()
    purchase.cancelled(story.at(7, 8, 55))
    purchase.refunded(
        payment_id, purchase.total, story.at(7, 8, 57), "Fraud: the card was reported stolen"
    )


def _paid_in_two_parts(story: Story) -> None:
    for days_ago in [45, 31, 12]:
        purchase = _somebody_orders(story, days_ago)
        purchase.paid(by_card(purchase.total // 2))
        purchase.paid(by_hand("The rest by bank transfer"), at=story.at(days_ago - 2, 9, 30))
        purchase.shipped(story.at(days_ago - 2, 11, 10))


def _by_telephone(story: Story) -> None:
    """Have Maria take an order on the telephone, which is paid when it is fetched."""
    lines = {"SHIRT-WHITE-XL": 1, "SOCKS-RED-41-45": 2, "GIFT-WRAPPING": 1}
    george = customer_named("George")
    fetched = Purchase(story, george, lines, story.at(3, 11, 15), taken_by=MARIA).ordered()
    fetched.paid(by_hand("Cash at the counter"), at=story.at(2, 16, 40))
    fetched.shipped(story.at(2, 16, 42), over_the_counter=True)
    Purchase(story, george, {"CANDLE": 1}, story.ago(minutes=48), taken_by=MARIA).ordered()


def _authorization_let_go(story: Story) -> None:
    purchase = _somebody_orders(story, 17, only_plentiful=True)
    payment_id = purchase.authorized()
    purchase.voided(payment_id, story.at(16, 10, 40), "The customer wants to pay by transfer")
    purchase.cancelled(story.at(12, 10, 0))
    cancelled = _somebody_orders(story, 6, only_plentiful=True)
    cancelled.authorized()
    cancelled.cancelled(story.at(5, 9, 20))


def _never_paid(story: Story) -> None:
    for days_ago in [54, 40, 28, 18]:
        _somebody_orders(story, days_ago, only_plentiful=True).expired()
    for days_ago in [12, 10, 5]:
        _somebody_orders(story, days_ago, only_plentiful=True)
    for days_ago in [37, 20]:
        purchase = _somebody_orders(story, days_ago, only_plentiful=True)
        purchase.declined()
        purchase.expired()
    _somebody_orders(story, 7, only_plentiful=True).declined()


def _carts_left_behind(story: Story) -> None:
    for days_ago in [44, 25, 15, 6, 5, 5, 4, 3, 3, 2, 2, 1]:
        basket = _basket(story, days_ago, only_plentiful=True)
        customer = story.random.choice(CUSTOMERS)
        Purchase(story, customer, basket, story.some_time(days_ago, 8, 21))


# The last days: what waits for somebody. Nine of the navy shirts in M are held by these orders.


def _to_ship(story: Story) -> None:
    for first_name, ago, lines in [
        ("Lars", timedelta(days=2, hours=6), {"SHIRT-NAVY-M": 2, "SOCKS-RED-41-45": 1}),
        ("Kavya", timedelta(days=2, hours=1), {"HOODIE-GREY-M": 1, "TOTE-NATURAL": 1}),
        ("Jack", timedelta(days=1, hours=9), {"SHIRT-NAVY-M": 1, "GIFT-WRAPPING": 1}),
        ("Ines", timedelta(days=1, hours=3), {"BOTTLE-STEEL": 2}),
        ("Chiara", timedelta(hours=21), {"SHIRT-NAVY-M": 3, "SHIRT-WHITE-M": 3}),
        ("George", timedelta(hours=7), {"NOTEBOOK-RED": 4, "STICKERS": 5}),
        ("Hana", timedelta(hours=3, minutes=40), {"HOODIE-GREY-M": 1, "CAP-BLACK": 1}),
        ("Ben", timedelta(minutes=52), {"SHIRT-NAVY-M": 1, "MUG-WHITE": 2, "CANDLE": 1}),
        ("Mei", timedelta(minutes=14), {"POSTER-HARBOUR": 1}),
    ]:
        Purchase(story, customer_named(first_name), lines, story.now - ago).ordered().paid()


def _authorized_and_waiting(story: Story) -> None:
    for first_name, ago, lines in [
        ("Elif", timedelta(days=1, hours=5), {"TROUSERS-SAND-32": 1, "SHIRT-NAVY-M": 1}),
        ("Daniel", timedelta(hours=2, minutes=10), {"SHIRT-NAVY-M": 1, "CAP-BLACK": 2}),
    ]:
        purchase = Purchase(story, customer_named(first_name), lines, story.now - ago)
        purchase.ordered().authorized()


def _paid_in_part(story: Story) -> None:
    half = Purchase(
        story, customer_named("Farah"), {"HOODIE-GREEN-M": 2, "MUG-WHITE": 1}, story.ago(days=1)
    ).ordered()
    half.paid(by_card(half.total // 2))
    other = Purchase(
        story, customer_named("George"), {"TROUSERS-SAND-34": 1}, story.ago(hours=5)
    ).ordered()
    other.paid(by_hand("Deposit in cash", 20_00))
    reserved = Purchase(
        story, customer_named("Ines"), {"SHIRT-WHITE-S": 2}, story.ago(hours=4)
    ).ordered()
    reserved.paid(by_card(24_00, method=Payment.Method.AUTHORIZE))


def _waiting_for_somebody(story: Story) -> None:
    """Add what needs attention: a deposit and no more for days, and money that was kept."""
    ordered_at = story.at(5, 16, 10)
    deposit = Purchase(story, customer_named("Kavya"), {"POSTER-HARBOUR": 3}, ordered_at)
    deposit.ordered().paid(by_hand("Deposit in cash", 10_00))
    lines = {"TOTE-NATURAL": 3}
    packed = Purchase(story, customer_named("Daniel"), lines, story.at(4, 20, 35)).ordered()
    payment_id = packed.paid()
    packed.cancelled(story.at(3, 9, 40))
    postage = 4_90
    packed.refunded(
        payment_id, packed.total - postage, story.at(3, 9, 45), "Cancelled on its way; postage kept"
    )


def _pending(story: Story) -> None:
    """Leave a payment without an answer. The worker asks again within a minute of its start."""
    for first_name, minutes, token, lines in [
        ("Amara", 9, "slow", {"SHIRT-WHITE-M": 1}),
        ("Jack", 6, "slow_decline", {"STICKERS": 3, "MUG-WHITE": 1}),
        ("Kavya", 4, "slow", {"TOTE-NATURAL": 2}),
    ]:
        at = story.ago(minutes=minutes)
        purchase = Purchase(story, customer_named(first_name), lines, at).ordered()
        purchase.paid(by_card(token=token))


def _just_now(story: Story) -> None:
    Purchase(story, customer_named("Lars"), {"SOCKS-RED-36-40": 2}, story.ago(minutes=31)).ordered()
    Purchase(
        story, customer_named("Hana"), {"MUG-BLUE": 2}, story.ago(minutes=22)
    ).ordered().declined()
    Purchase(story, customer_named("Elif"), {"NOTEBOOK-RED": 1}, story.ago(minutes=3)).ordered()
    Purchase(
        story,
        customer_named("Daniel"),
        {"SHIRT-NAVY-L": 1, "POSTER-HARBOUR": 1},
        story.ago(minutes=2),
    )


# The shelves.

_FAIR = "Set aside for the harbour fair"


def _shelf_work(story: Story) -> None:
    for days_ago, hour, actor, action, quantity, sku, reason in [
        (55, 10, JONAS, Action.DECREMENT, 2, "MUG-WHITE", "Damaged in the store room"),
        (50, 16, MARIA, Action.ALLOCATE, 2, "SHIRT-RED-M", "Set aside for photographs"),
        (46, 11, MARIA, Action.DEALLOCATE, 2, "SHIRT-RED-M", "The photographs are done"),
        (42, 18, JONAS, Action.DECREMENT, 1, "SOCKS-RED-36-40", "Count: one missing"),
        (42, 18, JONAS, Action.INCREMENT, 2, "STICKERS", "Count: two more than the books say"),
        (36, 9, JONAS, Action.DECREMENT, 3, "CANDLE", "Melted in the window"),
        (30, 12, MARIA, Action.DECREMENT, 1, "SHIRT-WHITE-M", "Given to the theatre group"),
        (23, 10, JONAS, Action.DECREMENT, 1, "BOTTLE-STEEL", "Dented on arrival"),
        (21, 18, JONAS, Action.DECREMENT, 1, "TOTE-NATURAL", "Count: one missing"),
        (12, 15, MARIA, Action.ALLOCATE, 4, "SHIRT-NAVY-M", _FAIR),
        (12, 15, MARIA, Action.ALLOCATE, 6, "TOTE-NATURAL", _FAIR),
        (10, 9, JONAS, Action.DECREMENT, 1, "MUG-BLUE", "Damaged in the store room"),
        (6, 14, MARIA, Action.DEALLOCATE, 1, "SHIRT-NAVY-M", "Not needed for the fair"),
        (4, 17, MARIA, Action.ALLOCATE, 2, "CANDLE", "Set aside for Amara, who comes on Friday"),
        (2, 18, JONAS, Action.DECREMENT, 1, "NOTEBOOK-RED", "Count: one missing"),
    ]:
        story.by_hand(story.at(days_ago, hour, 25), actor, action, quantity, sku, reason)


def _shelf_count(story: Story) -> None:
    """Have Jonas count bags and posters and upload the list. Most of it agrees."""
    differences = {"TOTE-NATURAL": -1, "STICKERS": 2}
    skus = ["POSTER-HARBOUR", "POSTER-LIGHTHOUSE", "STICKERS", "TOTE-NATURAL", "TOTE-NAVY"]
    at = story.at(2, 18, 40)
    story.happens(
        at, partial(_count, at, {sku: differences.get(sku, 0) for sku in skus}), differences
    )


def _count(at: datetime, differences: Lines) -> None:
    totals = dict(Stock.objects.values_list("product__sku", "total"))
    lines = [
        f"{sku};{totals[sku] + difference};{at:%Y-%m-%d %H:%M}"
        for sku, difference in differences.items()
    ]
    content = "\n".join(["sku;count;counted_at", *lines])
    sheet, _ = processing.upload("bags-and-posters.csv", content.encode(), actor=JONAS)
    # A worker's part, but at the story's time.
    while processing.take_a_batch(sheet.pk):
        pass
    processing.apply(sheet.pk, actor=JONAS)
    while processing.take_a_batch(sheet.pk):
        pass


def _winter_prices(story: Story) -> None:
    """Have Maria upload new prices, in which something looks like a mistake: nobody applied it."""
    story.happens(story.at(1, 16, 10), _check_prices)


def _check_prices() -> None:
    content = (
        "sku;name;price_usd\n"
        "CAP-BLACK;;21.00\n"
        "MUG-BLUE;;121.00\n"
        "SCARF-RED;Scarf, red;29.00\n"
        "TOTE-NAVY;;on request\n"
    )
    sheet, _ = processing.upload("winter-prices.csv", content.encode(), actor=MARIA)
    while processing.take_a_batch(sheet.pk):
        pass


def _price_list(story: Story) -> None:
    """Have Jonas upload a supplier's list, whose columns nobody has named yet."""
    story.happens(story.at(1, 16, 5), _upload_price_list)


def _upload_price_list() -> None:
    content = "Item;Description;New price\nMUG-BLUE;Mug;15,50\nMUG-RED;Mug;15,50\n"
    processing.upload("price-list-december.csv", content.encode(), actor=JONAS)


def _stocktake(story: Story) -> None:
    """Have Jonas begin a stocktake, which he has half done. The rest waits until tomorrow."""
    story.happens(story.at(1, 18, 30), _begin_a_stocktake)


def _begin_a_stocktake() -> None:
    stocktake = stocktakes.begin("Autumn stocktake", actor=JONAS)
    differences = {"CANDLE": -1, "MUG-BLUE": 1}
    totals = dict(Stock.objects.values_list("product__sku", "total"))
    to_count = stocktake.lines.order_by("number").values_list("product__sku", flat=True)
    for sku in to_count[: stocktake.products // 2]:
        if units := totals[sku] + differences.get(sku, 0):
            stocktakes.scan(stocktake.pk, sku, units)


# Deliveries arrive before the shop opens. Their size follows from everything above, going back in
# time from what shall be left: each brings boxes for up to two thirds of the stock after it.

_MADE_AT = 7
_KEPT_IN_STOCK = 12
_BOX = 6


def _openings_and_deliveries(story: Story) -> None:
    events = story.in_order_of_time()
    brought: dict[goods_in.Announced, dict[str, int]] = {each: {} for each in goods_in.PAST}
    for position, product in enumerate(PRODUCTS.values()):
        opened_at = story.at(product.family.since_days_ago, _MADE_AT, position)
        units = product.left or 0
        until = story.now
        for announced, lines in brought.items():
            arrived_at = goods_in.arrival(story, announced)
            is_there = announced.made_days_ago < product.family.since_days_ago
            if product.is_managed and is_there and story.random.random() < 0.7:
                units -= _change(events, product, arrived_at, until)
                delivered = max(0, units - _KEPT_IN_STOCK) * 2 // 3 // _BOX * _BOX
                if delivered:
                    lines[product.sku] = delivered
                units -= delivered
                until = arrived_at
        units -= _change(events, product, opened_at, until)
        _opening(story, product, units, opened_at)
    for place, family in enumerate(FAMILIES):
        assortment.shared_by(story, place, family)
    for announced, lines in brought.items():
        goods_in.came_in(story, announced, lines)
    goods_in.under_way(story)


def _change(
    events: list[StoryEvent], product: DemoProduct, after: datetime, until: datetime
) -> int:
    """Return how the events change the product's available units in this time."""
    return sum(event.change.get(product.sku, 0) for event in events if after < event.at <= until)


def _opening(story: Story, product: DemoProduct, units: int, at: datetime) -> None:
    family = product.family
    do = partial(
        products.create,
        product_id=product.id,
        sku=product.sku,
        name=product.name,
        description=family.description,
        barcode=product.barcode,
        status=family.status,
        commodity_type=family.commodity_type,
        prices=[Money(CURRENCY, family.price)],
        manage_stock=product.is_managed,
        initial_stock=units if product.is_managed else 0,
        cost=Money(CURRENCY, family.cost) if family.cost else None,
        category_ids=[assortment.category_of(product)],
        actor=MARIA,
    )
    story.happens(at, do, {product.sku: units} if product.is_managed else None)
    story.happens(at, partial(_show, product))


def _show(product: DemoProduct) -> None:
    """Upload the product's picture, which some show in several sizes, and have it shown."""
    content = (PICTURES / product.picture).read_bytes()
    # The same in every demo, as the product's own is.
    picture_id = uuid.UUID(int=product.id.int + _PICTURES_FROM)
    picture = pictures.take(product.picture, content, actor=MARIA, picture_id=picture_id)
    pictures.attach(product.id, [picture.pk], actor=MARIA)


def _shirts_cost_more(story: Story) -> None:
    """From three weeks ago on, as the Prices tab of each tells."""
    for position, product in enumerate(PRODUCTS.values()):
        if product.family.name == "Shirt" and product.family.cost:
            was = Money(CURRENCY, product.family.cost)
            new = NewCost(replace(was, amount=was.amount + 40), seen=was)
            do = partial(products.change_prices, product.id, {}, actor=MARIA, cost=new)
            story.happens(story.at(21, 9, position), do)
