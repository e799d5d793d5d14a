"""The record of what was set: what gets an entry, what stands in it, and that it stays."""

import psycopg.errors
import pytest
from django.db import DatabaseError, connection, transaction

from api import changes, services, store
from api.actors import SYSTEM
from api.models import ApiClient, Change
from tests.factories import MERCHANT, api_client
from tests.roles import as_owner

pytestmark = pytest.mark.django_db

CHANGED = Change.What.CHANGED


def told() -> list[tuple[str, str, list[dict[str, object]]]]:
    return [(entry.thing_name, entry.what, entry.fields) for entry in Change.objects.order_by("pk")]


def test_an_entry_says_who_changed_what_from_what_to_what():
    client = api_client(name="Office", client_id="office")

    services.rename_client(client.pk, "Harbour office", actor=MERCHANT)

    [entry] = Change.objects.all()
    assert entry.actor == MERCHANT
    assert (entry.kind, entry.thing_id) == ("api.apiclient", str(client.pk))
    assert entry.thing_name == "Harbour office (office)"
    assert entry.fields == [{"field": "name", "before": "Office", "after": "Harbour office"}]


def test_what_is_set_to_what_it_was_gets_no_entry():
    client = api_client(name="Office")

    services.rename_client(client.pk, "Office", actor=MERCHANT)
    services.restore_client(client.pk, actor=MERCHANT)
    store.change(page_length=store.current().page_length, actor=MERCHANT)
    store.change(actor=MERCHANT)

    assert told() == []


def test_what_was_refused_is_not_on_record():
    storefront = api_client("")

    with pytest.raises(services.StorefrontHasNoSecret):
        services.rotate_secret(storefront.pk, actor=MERCHANT)

    assert told() == []


def test_a_secret_is_never_on_record():
    client = api_client(name="Office", client_id="office")

    secret = services.rotate_secret(client.pk, actor=MERCHANT)
    services.create_client("shop", "Shop", actor=SYSTEM)

    [renewed, created] = told()
    assert renewed == ("Office (office)", "secret renewed", [{"field": "secret_sha256"}])
    assert created[1] == "created"
    client.refresh_from_db()
    written = str(told())
    assert secret not in written
    assert client.secret_sha256 not in written


def test_a_client_is_shut_out_and_let_in_again_on_record():
    client = api_client()

    services.revoke_client(client.pk, actor=MERCHANT)
    services.restore_client(client.pk, actor=MERCHANT)

    assert [what for _, what, _ in told()] == ["deactivated", "reactivated"]


def test_the_record_outlives_what_it_is_about():
    client = api_client(name="Office", client_id="office")
    services.rename_client(client.pk, "Harbour office", actor=MERCHANT)

    ApiClient.objects.all().delete()

    assert [name for name, _, _ in told()] == ["Harbour office (office)"]


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE api_change SET actor_name = 'nobody'",
        "UPDATE api_change SET fields = '[]' WHERE id > 0",
        "DELETE FROM api_change",
        "TRUNCATE api_change",
    ],
)
def test_no_statement_from_whatever_hand_changes_the_record(statement):
    store.change(name="Harbour Goods", actor=MERCHANT)
    before = told()

    with as_owner(), pytest.raises(DatabaseError) as refused, transaction.atomic():
        connection.cursor().execute(statement)

    assert isinstance(refused.value.__cause__, psycopg.errors.RestrictViolation)
    assert told() == before


def test_many_things_are_put_on_record_with_few_statements(django_assert_num_queries):
    clients = [ApiClient(client_id=f"c{number}", name="Shop") for number in range(1001)]
    states = [(client, {"active": True}, {"active": False}) for client in clients]

    entries = changes.entries(MERCHANT, CHANGED, states)
    with django_assert_num_queries(2):
        changes.record(entries)

    assert Change.objects.count() == 1001
    assert Change.objects.values("at").distinct().count() == 1


_MANY = """
INSERT INTO api_change (actor_kind, actor_id, actor_name, kind, thing_id, thing_name, what, fields,
    at)
SELECT 'system', '', '', 'inventory.product', n % 300, 'n', 'changed', '[]', now()
FROM generate_series(1, 3000) AS n
"""


def test_a_history_is_read_from_its_index():
    with as_owner(), connection.cursor() as cursor:
        # Of an empty table another index may seem as cheap.
        cursor.execute(_MANY)
        cursor.execute("ANALYZE api_change")
        # Nor is it to be a matter of taste whether rows are fetched in the index's order.
        cursor.execute("SET LOCAL enable_seqscan = off")
        cursor.execute("SET LOCAL enable_bitmapscan = off")
        cursor.execute(
            "EXPLAIN SELECT * FROM api_change WHERE kind = 'inventory.product' AND thing_id = '1'"
            " ORDER BY id DESC LIMIT 25"
        )
        plan = "\n".join(row[0] for row in cursor.fetchall())

    assert "change_of_a_thing" in plan
    assert "Sort" not in plan
