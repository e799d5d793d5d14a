"""That the audit sees what was not told, or amiss: in the outbox, by the sequencer, in the feed."""

from importlib import import_module
from types import SimpleNamespace

import pytest
from django.db import connection

from events.models import Event, Outbox, ToldStock
from events.services import keeping, sequencing
from inventory.models import Action, Product
from inventory.services import stock, telling
from payments.services import audit
from tests.factories import MERCHANT, product, stock_of

pytestmark = pytest.mark.django_db
committing = pytest.mark.django_db(transaction=True)
tampered = pytest.mark.tampers_with_the_books


def move(which: Product, times: int = 1) -> None:
    for _ in range(times):
        stock.record(which.pk, Action.INCREMENT, 1, actor=MERCHANT)


@pytest.fixture
def shirt() -> Product:
    """Four entries are in the feed, beside a mug's, and two wait to be."""
    mug, made = product(5, sku="MUG"), product(5, sku="SHIRT")
    for _ in range(3):
        move(mug)
        move(made)
    sequencing.number_all()
    move(made, 2)
    return made


def found() -> list[str]:
    differences = telling.differences()
    assert {each.sku for each in differences} <= {"SHIRT", "the feed"}
    return [each.what for each in differences]


def execute(sql: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(sql)


def test_what_is_told_and_what_waits_for_it_is_all_there_is(shirt):
    assert found() == []
    sequencing.number_all()
    assert found() == []
    assert (ToldStock.objects.get(pk=stock_of(shirt).pk).last, Outbox.objects.count()) == (6, 0)


LAST = "ordinal = (SELECT max(ordinal) FROM events_outbox)"
FIRST = "ordinal = (SELECT min(ordinal) FROM events_outbox)"
OUTBOX = {
    f"DELETE FROM events_outbox WHERE {LAST}": "what waits to be goes from 5 to 5",
    f"DELETE FROM events_outbox WHERE {FIRST}": "what waits to be goes from 6 to 6",
    "DELETE FROM events_outbox": "nothing waits to be",
    f"UPDATE events_outbox SET firsts = '{{5}}' WHERE {LAST}": (
        "what waits to be goes from 5 to 6, but not in a row"
    ),
    f"UPDATE events_outbox SET lasts = '{{7}}' WHERE {LAST}": "what waits to be goes from 5 to 7",
    f"UPDATE events_outbox SET firsts = '{{4}}' WHERE {FIRST}": "what waits to be goes from 4 to 6",
    "UPDATE events_outbox SET firsts = '{6}', lasts = '{5}' WHERE " + LAST: (
        "what waits to be goes from 5 to 5, but not in a row"
    ),
    "UPDATE events_outbox SET stocks = '{}', firsts = '{}', lasts = '{}'": "nothing waits to be",
}


@tampered
@pytest.mark.parametrize("tampering", OUTBOX)
def test_f40_what_the_outbox_does_not_have_as_the_log_has_it_is_named(shirt, tampering):
    execute(tampering)

    assert found() == [
        f"its log ends at entry 6; until entry 4 it is told, and {OUTBOX[tampering]}"
    ]
    [difference] = telling.untold()
    assert (difference.row, difference.row_id) == ("stock", stock_of(shirt).pk)
    assert difference in audit.differences()


@tampered
@pytest.mark.parametrize(("last", "says"), [("3", "until entry 3"), ("5", "until entry 5")])
def test_f40_what_the_sequencer_says_must_be_so_in_the_log_and_in_the_feed(shirt, last, says):
    execute(
        f"UPDATE events_toldstock SET last = {last} "
        "WHERE stock_id = (SELECT id FROM inventory_stock WHERE sequence = 6)"
    )

    assert found() == [
        f"its log ends at entry 6; {says} it is told, and what waits to be goes from 5 to 6",
        f"{says} its log is told, and the feed ends at entry 4 of it",
    ]


@tampered
def test_f40_what_was_numbered_and_never_came_into_the_feed_is_named(shirt):
    """As a sequencer would leave it that deletes from the outbox what it has not written."""
    execute("DELETE FROM events_outbox")
    execute(
        "UPDATE events_toldstock SET last = 6 "
        "WHERE stock_id = (SELECT id FROM inventory_stock WHERE sequence = 6)"
    )

    assert found() == ["until entry 6 its log is told, and the feed ends at entry 4 of it"]


OF_SHIRT = "subject = (SELECT id::text FROM inventory_product WHERE sku = 'SHIRT')"
FEED = {
    f"DELETE FROM events_event WHERE sequence = 2 AND {OF_SHIRT}": [
        "of its positions from {begin} to {last} there are {less}; there is none after {before}",
        "in the feed, entry 3 of its log stands at {after} after entry 1",
    ],
    f"UPDATE events_event SET sequence = 1 WHERE sequence = 2 AND {OF_SHIRT}": [
        "in the feed, entry 1 of its log stands at {at} after entry 1",
        "in the feed, entry 3 of its log stands at {after} after entry 1",
    ],
    f"UPDATE events_event SET sequence = 5 - sequence WHERE sequence IN (2, 3) AND {OF_SHIRT}": [
        "in the feed, entry 3 of its log stands at {at} after entry 1",
        "in the feed, entry 2 of its log stands at {after} after entry 3",
        "in the feed, entry 4 of its log stands at {last} after entry 2",
    ],
    f"DELETE FROM events_event WHERE sequence = 4 AND {OF_SHIRT}": [
        "until entry 4 its log is told, and the feed ends at entry 3 of it"
    ],
    "DELETE FROM events_event": [
        "until entry 4 its log is told, and the feed has none of it",
    ],
}


@tampered
@pytest.mark.parametrize("tampering", FEED)
def test_f40_what_is_missing_or_out_of_its_place_in_the_feed_is_named(shirt, tampering):
    entries = Event.objects.filter(subject=str(shirt.pk), kind="stock-transaction")
    first, at, after, last = entries.order_by("position").values_list("position", flat=True)
    places = {"at": at, "after": after, "last": last, "before": at - 1}

    execute(tampering)

    says = [each.format(begin=1, less=last - 1, **places) for each in FEED[tampering]]
    of_all = telling.differences()
    assert [each.what for each in of_all if each.sku != "MUG"] == says
    assert of_all == [each for each in audit.differences() if each in of_all]
    # Of what came since, the same is found, and of what was there before nothing.
    since = [each.format(begin=first, less=last - first, **places) for each in FEED[tampering]]
    of_order = [each for each in since if "until" not in each]
    assert [each.what for each in telling.out_of_order(since=first)] == of_order
    assert telling.out_of_order(since=last) == []


@committing
@tampered
def test_of_what_agreed_once_only_what_moved_since_is_looked_up_in_the_feed(shirt):
    audit.compare(whole=True)
    execute("DELETE FROM events_event WHERE sequence = 4")
    assert telling.unlike_the_feed(moved_only=True) == []
    assert len(telling.unlike_the_feed()) == 2

    move(shirt)

    [difference] = telling.unlike_the_feed(moved_only=True)
    assert difference.sku == "SHIRT"


@committing
def test_an_incremental_audit_reads_what_was_told_since(shirt):
    first, _ = audit.compare(whole=True)
    sequencing.number_all()
    second, found = audit.compare()

    assert (second.kind, found) == ("incremental", [])
    last = Event.objects.latest("position").position
    assert (first.position, second.position) == (last - 2, last)


@committing
@tampered
@pytest.mark.parametrize(
    "tampering",
    [
        "DELETE FROM events_outbox",
        "UPDATE events_event SET sequence = 7 WHERE position = (SELECT max(position) FROM "
        "events_event)",
        "DELETE FROM events_event WHERE position = (SELECT max(position) - 1 FROM events_event)",
        "DELETE FROM events_event WHERE position = (SELECT max(position) FROM events_event)",
    ],
)
def test_f40_both_kinds_of_audit_find_what_is_told_amiss(shirt, tampering):
    audit.compare(whole=True)
    sequencing.number_all()
    move(shirt)
    execute(tampering)

    result, found = audit.compare()

    assert result.kind == "incremental"
    assert found
    assert [each.row_id for each in found] == [each.row_id for each in telling.differences()]
    assert audit.compare(whole=True)[1] == telling.differences()


def test_what_the_feed_has_forgotten_is_no_difference(shirt):
    sequencing.number_all()
    last = Event.objects.latest("position").position
    Event.objects.filter(position__lt=last).update(numbered_at="2020-01-01T00:00Z")
    keeping.purge()
    assert Event.objects.get().position == last

    # Of the mug there is nothing left.
    assert found() == []
    move(shirt)
    sequencing.number_all()
    assert found() == []


# Where the telling begins.


def test_logs_from_before_there_was_a_feed_are_told_from_there_on(monkeypatch):
    old, moved = product(5), product(5)
    for each in (old, moved):
        move(each)
    # None of it was told: there were no triggers.
    Outbox.objects.all().delete()
    move(moved, 2)
    migration = import_module("inventory.migrations.0036_told_from_here_on")
    monkeypatch.setattr(migration, "_BATCH", 1)

    for _ in range(2):
        # It may be run again.
        migration.tell_from_here_on(None, SimpleNamespace(connection=connection))

    begins = {row.stock_id: (row.first, row.last) for row in ToldStock.objects.all()}
    assert begins == {stock_of(old).pk: (3, 2), stock_of(moved).pk: (3, 2)}
    assert telling.differences() == []
    product(5)
    sequencing.number_all()
    assert telling.differences() == []
    entries = Event.objects.filter(type="stock-transaction.created").order_by("position")
    assert [event.sequence for event in entries] == [3, 4, 1]
