"""What has committed is told: once, in order, in positions without gaps."""

import itertools
import re
import threading
from collections import defaultdict

import pytest
from django.apps import apps
from django.db import connection, transaction

from api import news, store
from events.models import Event, Outbox, ToldStock
from events.services import kinds, sequencing
from events.services.sequencing import Floor
from inventory import told as inventory_told
from inventory.models import Action, Product, StockTransaction
from inventory.services import currencies, products, stock
from orders.models import Order
from orders.services import carts, orders
from payments.services import payments
from payments.services.payments import PaymentRequest
from tests.concurrency import run_together
from tests.events.told import events_since, payload, told_of, types
from tests.factories import BUYER, MERCHANT, filled_cart, paid_order, product, unpaid_order
from tests.test_supervisor import wait_for

pytestmark = pytest.mark.django_db
committing = pytest.mark.django_db(transaction=True)
# Of a batch in which there is something of everything that a purchase does.
STATEMENTS = 20


@committing
def test_a_purchase_is_told_step_by_step():
    shirt = product(5)
    told = []

    def step(act):
        told.append(types(told_of(act)))

    step(lambda: carts.add_item("c", product_id=shirt.pk, quantity=2, currency="USD"))
    step(lambda: orders.checkout("c", BUYER))
    order = Order.objects.get()
    step(lambda: payments.pay(order.pk, PaymentRequest("manual"), actor=MERCHANT))

    assert told == [
        ["cart.updated"],
        ["order.created"],
        ["transaction.created", "order.updated", "order.paid", "stock-transaction.created"],
    ]


def test_each_event_shows_the_thing_as_the_api_does(back_office):
    shirt = product(5)
    order = paid_order({shirt: 2})
    sequencing.number_all()

    [told] = Event.objects.filter(type="order.paid")
    of_api = back_office.get(f"/v2/orders/{order.pk}?include=items").json()
    assert payload(told) == of_api
    assert (told.kind, told.subject, told.sequence) == ("order", str(order.pk), None)
    entry = Event.objects.filter(type="stock-transaction.created").latest("position")
    of_api = back_office.get(f"/v2/inventories/{shirt.pk}/transactions").json()
    assert payload(entry)["data"] in of_api["data"]
    assert (entry.subject, entry.sequence) == (str(shirt.pk), 2)


@committing
def test_f40_what_rolls_back_is_never_told():
    shirt = product(5)

    def change_and_go_back():
        with transaction.atomic():
            Product.objects.filter(pk=shirt.pk).update(name="Other")
            transaction.set_rollback(True)

    assert told_of(change_and_go_back) == []


@committing
def test_what_one_transaction_does_to_a_thing_is_told_together():
    shirt = product(5)

    def change_twice():
        with transaction.atomic():
            for name in ("One", "Two"):
                Product.objects.filter(pk=shirt.pk).update(name=name)

    [told] = told_of(change_twice)

    assert (told.type, payload(told)["data"]["name"]) == ("product.updated", "Two")


@committing
def test_what_is_made_is_not_changed_besides():
    assert types(told_of(lambda: product(2))) == ["product.created", "stock-transaction.created"]


@committing
def test_what_was_made_and_deleted_at_once_was_never_there():
    def make_and_delete():
        with transaction.atomic():
            with connection.cursor() as cursor:
                cursor.execute(
                    "INSERT INTO inventory_currency SELECT gen_random_uuid(), 'XXX', exchange_rate,"
                    " format, decimal_point, thousand_separator, decimal_places, false, enabled,"
                    " created_at, updated_at FROM inventory_currency WHERE code = 'USD'"
                )
                cursor.execute("DELETE FROM inventory_currency WHERE code = 'XXX'")

    assert told_of(make_and_delete) == []


@committing
def test_what_changed_nothing_that_anybody_sees_is_not_told():
    order = unpaid_order({product(5): 1})

    def touch():
        with transaction.atomic():
            Order.objects.lock(order.pk).write()

    assert told_of(touch) == []


def test_psql_is_heard_as_anybody_else():
    shirt = product(1)

    def rename():
        with connection.cursor() as cursor:
            cursor.execute(
                "UPDATE inventory_product SET name = 'By hand' WHERE id = %s", [shirt.pk]
            )

    assert types(told_of(rename)) == ["product.updated"]


def test_a_thing_that_is_gone_by_then_is_named_alone():
    cart_id = filled_cart({product(1): 1})
    sequencing.number_all()
    carts.save(cart_id, name="Last words")
    outbox = list(Outbox.objects.values_list("ordinal", flat=True))
    carts.delete(cart_id)
    Outbox.objects.exclude(ordinal__in=outbox).delete()

    sequencing.number_all()

    told = Event.objects.latest("position")
    assert (told.type, payload(told)) == ("cart.updated", {"type": "cart", "id": cart_id})


def test_what_is_deleted_is_named_alone():
    cart_id = filled_cart({product(1): 1})

    sequencing.number_all()
    [told] = told_of(lambda: carts.delete(cart_id))

    assert (told.type, payload(told)) == ("cart.deleted", {"type": "cart", "id": cart_id})


@committing
def test_what_is_deleted_is_named_alone_though_it_was_made_anew_since():
    shirt = product(5)
    cart_id = filled_cart({shirt: 1})

    def delete_and_make_anew():
        carts.delete(cart_id)
        filled_cart({shirt: 2}, cart_id=cart_id)

    deleted, made = told_of(delete_and_make_anew)

    assert (deleted.type, payload(deleted)) == ("cart.deleted", {"type": "cart", "id": cart_id})
    assert (made.type, payload(made)["data"]["id"]) == ("cart.updated", cart_id)


# One at a time, without gaps.


@committing
def test_f40_positions_follow_one_another_whatever_many_write_at_once():
    shirts = [product(50) for _ in range(4)]
    done = threading.Event()

    def number_until_done():
        while not done.is_set():
            sequencing.number_some()

    def buy():
        for shirt in shirts:
            paid_order({shirt: 1, shirts[0]: 1} if shirt is not shirts[0] else {shirt: 1})

    def buy_and_tell():
        try:
            run_together(buy, buy, buy)
        finally:
            done.set()

    outcomes = run_together(buy_and_tell, number_until_done, number_until_done)
    assert outcomes == [None, None, None]
    sequencing.number_all()

    events = events_since(0)
    assert [event.position for event in events] == [*range(1, len(events) + 1)]
    assert len({event.id for event in events}) == len(events)
    assert not Outbox.objects.exists()
    entries: dict[str, list[int]] = defaultdict(list)
    states: dict[str, list[str]] = defaultdict(list)
    for event in events:
        if event.kind == "stock-transaction":
            entries[event.subject].append(event.sequence or 0)
        if event.kind == "order":
            states[event.subject].append(event.type)
    for each in StockTransaction.objects.values_list("stock__product_id", flat=True).distinct():
        log = StockTransaction.objects.filter(stock__product_id=each).count()
        assert entries[str(each)] == [*range(1, log + 1)]
    told = ["order.created", "order.updated", "order.paid"]
    assert len(states) == 12
    assert all(each == told for each in states.values())


@committing
def test_a_position_that_was_read_is_never_filled_later_as_a_plain_number_is():
    """Two commit in the other order than they drew their numbers: the control loses one of them."""
    first, second = product(1), product(1)
    sequencing.number_all()
    read_up_to = itertools.count()
    has_written, may_commit = threading.Event(), threading.Event()

    def rename(which, name):
        Product.objects.filter(pk=which.pk).update(name=name)

    def slow():
        with transaction.atomic():
            rename(first, "drew the lower number")
            has_written.set()
            assert may_commit.wait(10)

    seen_by_number: list[str] = []
    seen_by_position: list[str] = []
    number, position = next(read_up_to), Event.objects.latest("position").position

    def read():
        nonlocal number, position
        for row in Outbox.objects.filter(ordinal__gt=number).order_by("ordinal"):
            seen_by_number.append(row.subject)
            number = row.ordinal
        with transaction.atomic():
            rows = list(Outbox.objects.all())
            sequencing.number_all()
            for event in events_since(position):
                seen_by_position.append(event.subject)
                position = event.position
            # The control reads what was there, as if it stayed.
            Outbox.objects.bulk_create(rows)

    def quick():
        assert has_written.wait(10)
        rename(second, "drew the higher number")
        read()
        may_commit.set()

    assert run_together(slow, quick) == [None, None]
    Outbox.objects.filter(subject=str(second.pk)).delete()
    read()

    assert seen_by_number == [str(second.pk)]
    assert seen_by_position == [str(second.pk), str(first.pk)]


@committing
def test_only_one_numbers_at_a_time():
    product(1)
    has_numbered, may_commit = threading.Event(), threading.Event()

    def slow():
        with transaction.atomic():
            numbered = sequencing.number_some()
            has_numbered.set()
            assert may_commit.wait(10)
        return numbered

    def other():
        assert has_numbered.wait(10)
        numbered = sequencing.number_some()
        may_commit.set()
        return numbered

    first, second = run_together(slow, other)

    assert first
    assert second is None


def test_what_comes_one_after_the_other_is_gathered_and_a_backlog_is_not(monkeypatch):
    """A batch that is not full is waited after, for the next; without any, for a notice."""
    batches = iter([1, sequencing.ROWS, 2, None])
    waited: list[object] = []

    class Stop(threading.Event):
        def wait(self, timeout=None):
            waited.append(timeout)

    def wait_for_news(_, seconds, stop):
        waited.append("news")
        stop.set()

    monkeypatch.setattr(sequencing, "number_some", lambda floor: next(batches))
    monkeypatch.setattr(news.Waiter, "wait", wait_for_news)
    sequencing.run(Stop())

    gathered = sequencing.GATHERED_SECONDS
    assert waited == [gathered, gathered, "news"]


@committing
def test_what_dies_before_its_commit_has_numbered_nothing():
    product(1)
    last = Event.objects.count()
    with transaction.atomic():
        assert sequencing.number_some()
        transaction.set_rollback(True)
    assert Event.objects.count() == last

    sequencing.number_all()

    assert [event.position for event in events_since(0)] == [*range(1, Event.objects.count() + 1)]
    assert Event.objects.filter(type="product.created").count() == 1


@committing
def test_a_transaction_is_told_whole_however_many_rows_are_numbered_together(monkeypatch):
    monkeypatch.setattr(sequencing, "ROWS", 2)
    made = [product(5) for _ in range(3)]
    sequencing.number_all()
    last = Event.objects.latest("position").position

    with transaction.atomic():
        for name in ("One", "Two"):
            for each in made:
                Product.objects.filter(pk=each.pk).update(name=name)

    assert sequencing.number_some() == 3
    assert sequencing.number_some() is None
    assert [event.subject for event in events_since(last)] == [str(each.pk) for each in made]


@committing
@pytest.mark.parametrize("rows", [500, 1])
def test_what_lies_in_another_order_on_disk_is_told_in_that_of_its_changes(monkeypatch, rows):
    monkeypatch.setattr(sequencing, "ROWS", rows)
    first, second = product(1), product(1)
    sequencing.number_all()
    last = Event.objects.latest("position").position
    with transaction.atomic():
        for each in (first, second, first):
            Product.objects.filter(pk=each.pk).update(name=f"{each.name}, again")
    with connection.cursor() as cursor:
        # Written anew, they lie behind those that were not: here, the other way round.
        for ordinal in Outbox.objects.order_by("-ordinal").values_list("ordinal", flat=True)[1:]:
            cursor.execute("UPDATE events_outbox SET kind = kind WHERE ordinal = %s", [ordinal])

    sequencing.number_all()

    assert [event.subject for event in events_since(last)] == [str(first.pk), str(second.pk)]


@committing
def test_what_others_did_before_it_to_the_same_thing_is_told_before_it(monkeypatch):
    monkeypatch.setattr(sequencing, "ROWS", 2)
    mug, cap, pen, shirt = (product(5) for _ in range(4))

    def rename(name, *these):
        for each in these:
            Product.objects.filter(pk=each.pk).update(name=name)

    def change():
        with transaction.atomic():
            rename("Ours", mug)
            run_together(lambda: rename("Theirs", cap, pen, shirt))
            rename("Ours", shirt)

    moments = [event.occurred_at for event in told_of(change) if event.subject == str(shirt.pk)]

    assert len(moments) == 2
    assert moments == sorted(moments)


@committing
def test_no_more_entries_are_numbered_together_than_fit(monkeypatch):
    monkeypatch.setattr(sequencing, "ENTRIES", 2)
    shirt = product(5)
    sequencing.number_all()
    for _ in range(5):
        stock.record(shirt.pk, Action.INCREMENT, 1, actor=MERCHANT)

    batches = iter(sequencing.number_some, None)

    assert [*batches] == [2, 2, 1]


def test_what_cannot_be_rendered_is_named_and_does_not_end_the_feed(monkeypatch):
    whole = kinds._renders["product"]

    def render(ids):
        if str(bad.pk) in ids:
            raise ValueError("broken")
        return whole(ids)

    good, bad = product(), product()
    monkeypatch.setitem(kinds._renders, "product", render)

    sequencing.number_all()

    told = {event.subject: payload(event) for event in Event.objects.filter(kind="product")}
    assert told[str(good.pk)]["data"]["sku"] == good.sku
    assert told[str(bad.pk)] == {"type": "product", "id": str(bad.pk)}


def test_after_everything_was_forgotten_positions_go_on(settings):
    from events.services import keeping

    product(1)
    sequencing.number_all()
    last = Event.objects.latest("position").position
    Event.objects.update(numbered_at="2020-01-01T00:00Z")

    assert keeping.purge() == last - 1
    assert [event.position for event in told_of(lambda: product())][:1] == [last + 1]


def test_a_batch_takes_as_many_statements_for_many_as_for_one(settings, django_assert_num_queries):
    settings.CLIENT_CACHE_SECONDS = 600
    currencies.forget()
    store.forget()
    shirts = [product(50) for _ in range(5)]
    sequencing.number_all()

    for bought in ([{shirts[0]: 1}], [dict.fromkeys(shirts, 1)] * 4):
        for wanted in bought:
            paid_order(wanted)
        with django_assert_num_queries(STATEMENTS):
            assert sequencing.number_some()


def test_an_outbox_that_was_empty_when_it_was_planned_is_read_by_its_index():
    """PostgreSQL keeps such a plan, and would go through all rows that were numbered since."""
    product(1)
    sequencing.number_all()

    with connection.cursor() as cursor:
        cursor.execute("EXPLAIN SELECT ordinal FROM events_outbox ORDER BY ordinal LIMIT 500")
        assert "Index" in cursor.fetchone()[0] + cursor.fetchone()[0]
        cursor.execute("SHOW enable_seqscan")
        assert cursor.fetchone() == ("off",)


# The log of each stock, entry by entry.


def test_entries_that_somebody_kept_from_the_outbox_are_told_with_the_next_and_none_twice():
    shirt = product(5)
    sequencing.number_all()
    stock.record(shirt.pk, Action.INCREMENT, 1, actor=MERCHANT)
    Outbox.objects.all().delete()
    stock.record(shirt.pk, Action.INCREMENT, 1, actor=MERCHANT)
    again = Outbox.objects.get(kind="stock")
    sequencing.number_all()
    Outbox.objects.bulk_create([again])
    sequencing.number_all()

    entries = Event.objects.filter(type="stock-transaction.created").order_by("position")
    assert [event.sequence for event in entries] == [1, 2, 3]
    told = ToldStock.objects.get()
    assert (told.first, told.last) == (1, 3)


def test_entries_of_a_stock_that_somebody_took_away_do_not_end_the_feed(monkeypatch):
    first, second = product(5), product(5)
    known = inventory_told._stocks

    def without_the_first(ranges):
        return {
            key: each for key, each in known(ranges).items() if each.product_id != str(first.pk)
        }

    monkeypatch.setattr(inventory_told, "_stocks", without_the_first)

    sequencing.number_all()

    entries = Event.objects.filter(type="stock-transaction.created")
    assert [event.subject for event in entries] == [str(second.pk)]


def test_a_new_log_is_told_from_its_first_entry_though_that_was_kept_from_the_outbox():
    shirt = product(5)
    Outbox.objects.filter(kind="stock").delete()
    stock.record(shirt.pk, Action.INCREMENT, 1, actor=MERCHANT)
    sequencing.number_all()

    entries = Event.objects.filter(type="stock-transaction.created").order_by("position")
    assert [event.sequence for event in entries] == [1, 2]
    assert ToldStock.objects.get().first == 1


CROSSINGS = [
    # Available before and after, with a threshold of 3, and what that crosses.
    (10, 4, []),
    (10, 3, ["stock.low"]),
    (4, 2, ["stock.low"]),
    (3, 2, []),
    (3, 1, []),
    (2, 0, ["stock.out"]),
    (10, 0, ["stock.low", "stock.out"]),
    (0, 1, ["stock.back"]),
    (0, 10, ["stock.back"]),
    (2, 10, []),
]


@pytest.mark.parametrize(("before", "after", "crossed"), CROSSINGS)
def test_f41_each_threshold_is_told_once_on_the_way_across_it(before, after, crossed):
    shirt = product(20, low_stock_threshold=3)
    stock.record(shirt.pk, Action.DECREMENT, 20 - before, actor=MERCHANT)
    action = Action.DECREMENT if after < before else Action.INCREMENT

    told = told_of(lambda: stock.record(shirt.pk, action, abs(after - before), actor=MERCHANT))

    assert types(told) == ["stock-transaction.created", *crossed]
    for event in told[1:]:
        assert payload(event)["data"]["available"] == after
        assert event.subject == str(shirt.pk)


@committing
def test_f41_units_that_pass_through_in_one_transaction_cross_nothing():
    """Shipping gives the units back and takes them away: in between nobody could have them."""
    from orders.services import shipments

    order = paid_order({product(2): 2})
    told = told_of(lambda: shipments.ship(order.pk, actor=MERCHANT))

    assert [each for each in types(told) if each.startswith("stock")] == [
        "stock-transaction.created",
        "stock-transaction.created",
    ]


def test_the_first_units_of_a_product_were_never_out():
    assert not [each for each in types(told_of(lambda: product(5))) if "stock." in each]


def test_stock_that_is_managed_no_more_is_not_out():
    shirt = product(5)
    told = told_of(lambda: products.update(shirt.pk, manage_stock=False, actor=MERCHANT))

    assert "stock.out" not in types(told)
    assert "product.updated" in types(told)


# Every table and column of which something is told.

# Columns that change without being seen by whoever reads the API, and why.
UNSEEN = {
    "inventory_product": {"id", "created_at", "updated_at", "archived_at"},
    "inventory_currency": {"id", "created_at", "updated_at"},
    "orders_order": {
        *("id", "number", "cart_id", "placed_from", "found_by", "created_at", "updated_at"),
        *("pending", "attempts_open", "refunds_open", "allocated_at", "left_be_at"),
        # The states say it.
        *("shipped_at", "cancelled_at"),
    },
    "orders_orderitem": {"id", "order_id", "stocked", "allocated"},
    "payments_payment": {
        *("id", "order_id", "actor_kind", "actor_id", "actor_name", "created_at", "updated_at"),
        *("captured_at", "refunding_amount", "late", "token", "failure"),
        *("charging_until", "queued_until"),
    },
    "events_integration": {
        *("id", "signing_secret", "old_signing_secret", "old_signs_until"),
        *("created_at", "updated_at"),
    },
}


@pytest.mark.parametrize("table", UNSEEN)
def test_every_column_that_the_api_shows_is_told_when_it_changes(table):
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_get_triggerdef(oid) FROM pg_trigger "
            "WHERE tgrelid = %s::regclass AND NOT tgisinternal",
            [table],
        )
        compared = {
            name.strip('"')
            for (definition,) in cursor.fetchall()
            if "tell" in definition and "AFTER UPDATE" in definition
            for name in re.findall(r"old\.(\"?\w+\"?)", definition)
        }
    [model] = [each for each in apps.get_models() if each._meta.db_table == table]
    columns = {field.column for field in model._meta.concrete_fields}

    assert columns - compared - {"archived_at"} == UNSEEN[table] - {"archived_at"}


def test_nothing_is_told_that_is_no_known_type():
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT tgname, tgargs FROM pg_trigger JOIN pg_proc ON pg_proc.oid = tgfoid "
            "WHERE proname IN ('events_tell', 'events_tell_of')"
        )
        told = {
            tuple(bytes(arguments).decode().split("\0")[:2]) for _, arguments in cursor.fetchall()
        }

    assert told
    assert {f"{kind}.{change}" for kind, change in told} <= kinds.TYPES


# What was deleted is not gone through again.


@committing
def test_nothing_is_passed_over_that_may_still_commit(monkeypatch):
    """Two commit in the other order than they drew their ordinals, and the floor rises between."""
    monkeypatch.setattr(Floor, "RISES_SECONDS", 0)
    floor = Floor()
    first, second = product(1), product(1)
    sequencing.number_all()
    has_written, may_commit = threading.Event(), threading.Event()

    def slow():
        with transaction.atomic():
            Product.objects.filter(pk=first.pk).update(name="drew the lower ordinal")
            has_written.set()
            assert may_commit.wait(10)

    def quick():
        assert has_written.wait(10)
        Product.objects.filter(pk=second.pk).update(name="drew the higher one")
        highest = Outbox.objects.get().ordinal
        told = [sequencing.number_some(floor) for _ in range(4)]
        assert told == [1, None, None, None]
        assert floor.ordinal < highest
        may_commit.set()

    last = Event.objects.latest("position").position
    assert run_together(slow, quick) == [None, None]

    assert sequencing.number_some(floor) == 1
    assert [event.subject for event in events_since(last)] == [str(second.pk), str(first.pk)]


@committing
def test_what_is_told_is_below_the_floor_a_moment_later(monkeypatch):
    monkeypatch.setattr(Floor, "RISES_SECONDS", 0)
    floor = Floor()
    product(1)
    highest = Outbox.objects.latest("ordinal").ordinal

    def has_risen():
        sequencing.number_some(floor)
        return floor.ordinal == highest

    # Whatever runs in other databases of this server has to end before.
    wait_for(has_risen, 30)
    assert floor.ordinal == highest
    # And what comes after it is told.
    product(1)
    assert sequencing.number_some(floor)


@committing
def test_the_floor_does_not_rise_above_what_waits(monkeypatch):
    monkeypatch.setattr(Floor, "RISES_SECONDS", 0)
    monkeypatch.setattr(sequencing, "ROWS", 1)
    floor = Floor()
    for _ in range(3):
        product(1)
    ordinals = list(Outbox.objects.order_by("ordinal").values_list("ordinal", flat=True))
    for _ in range(3):
        with transaction.atomic():
            sequencing.number_some(floor)
            # As one does who dies before its commit.
            transaction.set_rollback(True)

    assert floor.ordinal < ordinals[0]
    told = [*iter(lambda: sequencing.number_some(floor), None)]
    assert len(told) == 3
    assert not Outbox.objects.exists()


@committing
def test_what_comes_back_below_the_floor_is_told_a_while_later(monkeypatch):
    monkeypatch.setattr(Floor, "RISES_SECONDS", 0)
    floor = Floor()
    shirt = product(1)
    sequencing.number_all()
    Product.objects.filter(pk=shirt.pk).update(name="Other")
    again = Outbox.objects.get()

    def has_risen():
        sequencing.number_some(floor)
        return floor.ordinal == again.ordinal

    wait_for(has_risen, 30)
    Outbox.objects.bulk_create([again])

    assert sequencing.number_some(floor) is None
    floor._forgotten_at = 0
    assert sequencing.number_some(floor) == 1
