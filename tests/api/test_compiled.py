"""What is written by hand for speed, held against the queryset that it stands for."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction
from django.test.utils import CaptureQueriesContext

from api import clock, compiled
from api.ids import uuid7
from api.models import ApiClient, Change
from inventory.models import Currency, Product, Stock, StockTransaction
from orders.models import Cart, CartItem, Order, OrderItem
from orders.services import carts
from payments.models import Gateway, Payment
from tests.factories import ApiClientFactory, api_client, paid_order, product

pytestmark = pytest.mark.django_db


def _fields(row):
    return {field.attname: getattr(row, field.attname) for field in row._meta.concrete_fields}


def test_rows_are_found_that_the_queryset_finds():
    clients = [api_client(active=number % 2 == 0) for number in range(4)]
    wanted = [client.client_id for client in clients[:3]]
    where = "WHERE client_id = ANY(%s) AND active ORDER BY client_id"

    found = compiled.fetch(ApiClient, where, [wanted])

    expected = ApiClient.objects.filter(client_id__in=wanted, active=True).order_by("client_id")
    assert [_fields(row) for row in found] == [_fields(row) for row in expected]
    assert len(found) == 2
    assert not found[0]._state.adding
    assert compiled.fetch(ApiClient, where, [[]]) == []


@pytest.mark.parametrize("model", [Cart, CartItem, Order, Stock, Payment, Gateway, Currency])
def test_every_kind_of_value_is_read_as_django_reads_it(model):
    paid_order({product(stock=10): 1})
    inputs = {"for": ["Ada", None]}
    carts.add_item(
        "bob", product_id=product(stock=5).pk, quantity=2, custom_inputs=inputs, currency="USD"
    )

    found = compiled.fetch(model, f"ORDER BY {model._meta.pk.column}", [])

    assert found
    assert [_fields(row) for row in found] == [_fields(row) for row in model.objects.order_by("pk")]
    for row, expected in zip(found, model.objects.order_by("pk"), strict=True):
        kinds = [type(value) for value in _fields(row).values()]
        assert kinds == [type(value) for value in _fields(expected).values()]


def test_an_instance_is_like_one_that_django_made():
    [found] = compiled.fetch(Currency, "WHERE code = %s", ["USD"])
    expected = Currency.objects.get(code="USD")
    found.format = "{price} !"
    found.save(update_fields=["format"])

    assert found == expected
    assert vars(found).keys() == vars(expected).keys()
    assert (found._state.adding, found._state.db) == (False, "default")
    assert found.get_deferred_fields() == set()
    expected.refresh_from_db()
    assert expected.format == "{price} !"


@pytest.mark.django_db(transaction=True)
def test_a_lock_needs_a_transaction():
    client = api_client()
    locked = "WHERE id = %s FOR NO KEY UPDATE"

    with transaction.atomic():
        assert compiled.fetch(ApiClient, locked, [client.pk]) == [client]
    with pytest.raises(AssertionError, match="a lock needs a transaction"):
        compiled.fetch(ApiClient, locked, [client.pk])


def test_rows_are_inserted_by_one_statement_as_django_would_insert_them():
    rows = [ApiClientFactory.build(name="Ünï'code") for _ in range(3)]

    with CaptureQueriesContext(connection) as queries:
        compiled.insert(rows)

    assert len(queries) == 1
    stored = ApiClient.objects.in_bulk()
    assert [_fields(stored[row.pk]) for row in rows] == [_fields(row) for row in rows]
    assert {(row._state.adding, row._state.db) for row in rows} == {(False, "default")}


@pytest.mark.parametrize(
    "model", [Cart, CartItem, Order, OrderItem, Payment, ApiClient, Currency, StockTransaction]
)
def test_a_value_is_prepared_as_django_prepares_it(model):
    """Type by type, for `Int4(1)` and 1 are equal and yet different to the server."""
    values = {
        "BooleanField": True,
        "CharField": Order.Status.PROCESSING,
        "DateTimeField": datetime(2026, 5, 4, tzinfo=UTC),
        "DecimalField": Decimal("1.5"),
        "IntegerField": 7,
        "BigIntegerField": 2**40,
        "PositiveIntegerField": 7,
        "PositiveSmallIntegerField": 7,
        "SlugField": "default",
        "JSONField": {"for": "Ada"},
        "TextField": "text",
        "SearchVectorField": "ada lovelace",
        "UUIDField": uuid7(),
    }
    fields = [field for field in model._meta.concrete_fields if not field.generated]
    columns = compiled._columns(model, tuple(field.name for field in fields))

    for field, column in zip(fields, columns, strict=True):
        kind = (field.target_field if field.is_relation else field).get_internal_type()
        for value in (None, values[kind]):
            row = model(**{field.attname: value})
            ours, expected = (
                compiled._value(row, column),
                field.get_db_prep_save(value, connection),
            )
            assert type(ours) is type(expected), field
            assert ours == expected or ours.obj == expected.obj, field


def test_a_row_is_inserted_once():
    client = api_client()

    with pytest.raises(IntegrityError), transaction.atomic():
        compiled.insert([client])


def _product(sku: str, **fields: Any) -> Product:
    now = clock.now()
    return Product(
        sku=sku, slug=sku.lower(), name="Shirt", created_at=now, updated_at=now, **fields
    )


def test_many_rows_are_inserted_by_one_statement_as_django_would_insert_them():
    rows = [
        _product("A", description='Ünï"code\\ \n {', options={"Size": ["M", None]}),
        _product("B", cost=2**40, cost_currency_id="USD", archived_at=clock.now()),
    ]

    with CaptureQueriesContext(connection) as queries:
        compiled.insert_many(rows)
        compiled.insert_many([])

    assert len(queries) == 1
    stored = Product.objects.in_bulk()
    assert [_fields(stored[row.pk]) for row in rows] == [_fields(row) for row in rows]


def test_the_database_makes_the_keys_that_rows_have_not():
    rows = [
        Change(
            kind="a", thing_id=name, thing_name=name, what="changed", fields=[{}], at=clock.now()
        )
        for name in "XYZ"
    ]

    compiled.insert_many(rows)

    assert list(Change.objects.order_by("pk").values_list("thing_id", flat=True)) == [*"XYZ"]


def test_rows_that_others_stand_in_the_way_of_are_left_out_and_named():
    product(sku="A")
    rows = [_product(sku) for sku in "ABC"]

    written = compiled.insert_unless_there(rows)

    assert [row.sku for row in written] == ["B", "C"]
    assert Product.objects.filter(pk__in=[row.pk for row in rows]).count() == 2
    assert compiled.insert_unless_there([]) == []


def test_an_update_writes_the_given_fields_and_no_others():
    client = api_client(name="Old", client_id="shop")
    client.name, client.client_id = "New", "other"
    client.created_at = datetime(2026, 5, 4, tzinfo=UTC)

    compiled.update(client, "name", "created_at")

    client.refresh_from_db()
    assert (client.name, client.client_id) == ("New", "shop")
    assert client.created_at == datetime(2026, 5, 4, tzinfo=UTC)


def test_an_update_of_a_row_that_is_gone_is_a_mistake():
    client = api_client()
    ApiClient.objects.all().delete()

    with pytest.raises(AssertionError):
        compiled.update(client, "name")
