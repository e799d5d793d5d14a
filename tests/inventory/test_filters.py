"""The lists of products and of the log over HTTP: filtered, sorted, in pages."""

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from rest_framework.request import Request
from rest_framework.test import APIRequestFactory

from api import clock, pagination
from api.filtering import listed
from inventory.filters import ProductFilters, StockTransactionFilters
from inventory.models import Action, Product
from inventory.services import categories
from inventory.services import stock as inventory
from tests.factories import MERCHANT, category, product
from tests.http import Api, statements
from tests.lists import NOON, NOON_MS, a_shirt_and_a_song, asked, at
from tests.roles import as_owner

pytestmark = pytest.mark.django_db


@pytest.fixture
def both() -> tuple[Product, Product]:
    return a_shirt_and_a_song()


@pytest.fixture
def shirt(both: tuple[Product, Product]) -> Product:
    return both[0]


@pytest.fixture
def song(both: tuple[Product, Product]) -> Product:
    return both[1]


def skus(api: Api, **parameters: Any) -> list[str]:
    answer = asked(api, "/v2/products", **parameters)
    assert answer.status_code == 200, answer.content
    body = answer.json()
    assert body["meta"]["results"]["total"] == len(body["data"])
    return sorted(shown["sku"] for shown in body["data"])


SHIRT, BOTH = ["SH-1"], ["SH-1", "so_2"]


def test_products_are_found_by_their_ids(back_office, shirt, song):
    unknown = "00000000-0000-7000-8000-000000000001"

    assert skus(back_office, filter=f"in(id,{shirt.pk},{unknown})") == SHIRT
    assert skus(back_office, filter=f"in(id,{shirt.pk},{song.pk})") == BOTH


def test_products_are_found_by_a_category_that_they_are_in(storefront, shirt, song):
    clothes, sale = category("Clothes"), category("Sale")
    categories.change_for([shirt.pk, song.pk], add=[clothes.pk], actor=MERCHANT)

    assert skus(storefront, filter=f"eq(category.id,{clothes.pk})") == SHIRT
    assert skus(storefront, filter=f"eq(category.id,{sale.pk})") == []
    wrong = asked(storefront, "/v2/products", filter="eq(category.id,clothes)")
    assert wrong.status_code == 400


def test_no_filter_shows_a_shopper_what_is_not_live(storefront, shirt, song):
    assert skus(storefront, filter="eq(status,draft)") == []
    assert skus(storefront, status="draft") == []
    assert skus(storefront, filter=f"in(id,{song.pk},{shirt.pk})") == SHIRT


def test_deleted_products_are_not_found(back_office, shirt, song):
    back_office.delete(f"/v2/products/{song.pk}")

    assert skus(back_office, filter="like(name,*song*)") == []


def test_a_store_that_hides_its_levels_does_not_let_shoppers_guess_them(
    back_office, storefront, shirt, settings
):
    assert skus(storefront, filter="gt(stock,4)") == SHIRT
    settings.SHOW_STOCK_LEVEL = False

    refused = asked(storefront, "/v2/products", filter="gt(stock,4)")

    assert refused.status_code == 400
    assert skus(storefront, stock__gt="9") == SHIRT
    assert skus(back_office, filter="gt(stock,9)") == []


def test_a_filter_and_a_sort_go_together_and_the_total_is_what_the_filter_leaves(back_office):
    for number in range(7):
        product(number, sku=f"n-{number}", name="Odd" if number % 2 else "Even")

    body = asked(
        back_office,
        "/v2/products",
        **{"filter": "like(name,even)", "sort": "-sku", "page[limit]": 2, "page[offset]": 2},
    ).json()

    assert [shown["sku"] for shown in body["data"]] == ["n-2", "n-0"]
    assert body["meta"]["results"]["total"] == 4
    assert body["meta"]["page"] == {"limit": 2, "offset": 2, "current": 2, "total": 2}
    assert "filter=like(name,even)&sort=-sku" in body["links"]["first"]


# Indexes: asked of a catalogue large enough for the database to want them.


@pytest.fixture
def large_catalogue() -> None:
    now = clock.now()
    Product.objects.bulk_create(
        Product(
            sku=f"SKU-{number:05}",
            slug=f"product-{number}",
            name=f"Product number {number:05}",
            created_at=now + timedelta(seconds=number),
            updated_at=now,
        )
        for number in range(12_000)
    )
    with as_owner(), connection.cursor() as cursor:
        cursor.execute("ANALYZE inventory_product")


def plan_of(filter_: str) -> str:
    request = Request(APIRequestFactory().get("/v2/products", {"filter": filter_}))
    rows = Product.objects.kept().order_by("-created_at", "-pk")
    return listed(request, rows, ProductFilters)[:25].explain()


def test_parts_of_names_and_skus_are_looked_up_in_an_index(large_catalogue):
    for filter_, index in [
        ("like(name,*ber 01234*)", "product_name_parts"),
        ("like(name,product number 01234*)", "product_name_parts"),
        ("like(name,*number 01234)", "product_name_parts"),
        ("like(name,Product Number 01234)", "product_name_parts"),
        ("like(sku,*01234*)", "product_sku_parts"),
        ("like(sku,sku-01234)", "product_sku_any_case"),
    ]:
        assert index in plan_of(filter_)


def test_the_newest_products_are_read_in_the_order_of_an_index(large_catalogue):
    plan = plan_of("")

    assert "Index Scan Backward using product_by_age" in plan
    assert "Sort" not in plan


# The log, and lists without filters.


def log_of(made: Product) -> str:
    return f"/v2/inventories/{made.pk}/transactions"


@pytest.fixture
def moved(shirt: Product) -> Product:
    """The shirt: +5 at noon, then -1, held 2 and given back 2, each a day later."""
    steps = [(Action.DECREMENT, 1), (Action.ALLOCATE, 2), (Action.DEALLOCATE, 2)]
    for days, (action, quantity) in enumerate(steps, start=1):
        with at(NOON + timedelta(days=days)):
            inventory.record(shirt.pk, action, quantity, actor=MERCHANT)
    return shirt


LOGGED = [
    ("eq(action,increment)", [5]),
    ("in(action,allocate,deallocate)", [2, 2]),
    ("eq(action,nonsense)", []),
    ("eq(created_at,2026-05-07)", [1]),
    ("gt(created_at,2026-05-07T12:00:00Z)", [2, 2]),
    ("ge(created_at,2026-05-07T12:00:00Z)", [1, 2, 2]),
    ("lt(created_at,2026-05-07)", [5]),
    (f"le(created_at,{NOON_MS})", [5]),
    ("eq(action,allocate):lt(created_at,2026-05-08)", []),
]


@pytest.mark.parametrize(("filter_", "quantities"), LOGGED)
def test_the_log_is_filtered_and_counted(back_office, moved, filter_, quantities):
    product(9)

    oldest_first = asked(back_office, log_of(moved), filter=filter_).json()
    newest_first = asked(back_office, log_of(moved), filter=filter_, sort="-created_at").json()

    assert [entry["quantity"] for entry in oldest_first["data"]] == quantities
    assert [entry["quantity"] for entry in newest_first["data"]] == quantities[::-1]
    assert oldest_first["meta"]["results"]["total"] == len(quantities)


def test_every_declared_filter_of_the_log_is_tried_here():
    tried = " ".join(filter_ for filter_, _ in LOGGED)

    for field, takes in StockTransactionFilters.takes.items():
        for operator in takes.operators:
            assert f"{operator}({field}," in tried or field == "id"


def test_a_plain_parameter_filters_the_log_too(back_office, moved):
    body = asked(back_office, log_of(moved), action="decrement").json()

    assert [entry["quantity"] for entry in body["data"]] == [1]


def test_a_filtered_log_comes_in_pages(back_office, moved):
    page = {"filter": "gt(created_at,2026-05-07)", "page[limit]": 2, "page[offset]": 2}

    body = asked(back_office, log_of(moved), **page).json()

    assert [entry["action"] for entry in body["data"]] == ["deallocate"]
    assert body["meta"]["page"] == {"limit": 2, "offset": 2, "current": 2, "total": 2}


def test_only_a_filtered_log_is_counted(back_office, moved):
    asked(back_office, log_of(moved))

    unfiltered = statements(lambda: asked(back_office, log_of(moved)))
    filtered = statements(lambda: asked(back_office, log_of(moved), action="allocate"))

    assert filtered == unfiltered + 1


@pytest.mark.parametrize(
    "parameters",
    [
        {"filter": "like(action,inc*)"},
        {"filter": "eq(quantity,5)"},
        {"filter": "eq(reason,x)"},
        {"filter": "eq(created_at,now)"},
        {"sort": "quantity"},
    ],
)
def test_what_the_log_does_not_declare_is_refused(back_office, moved, parameters):
    assert asked(back_office, log_of(moved), **parameters).status_code == 400


@pytest.mark.parametrize("parameters", [{"filter": "eq(location,x)"}, {"sort": "colour"}])
@pytest.mark.parametrize("path", ["/v2/inventories", "/v2/gateways", "/v2/currencies"])
def test_other_lists_take_no_filter_and_no_sort_but_their_own(back_office, path, parameters):
    assert asked(back_office, path, **parameters).status_code == 400


# Stock.


@pytest.mark.parametrize(
    ("parameters", "found"),
    [
        ({"filter": "eq(sku,S-0)"}, [0]),
        ({"filter": "like(sku,s-*)", "sort": "-available"}, [5, 2, 0]),
        ({"filter": "in(sku,S-5,S-2)", "sort": "total"}, [2, 5]),
        ({"filter": "gt(available,0)", "sort": "available"}, [2, 5]),
        ({"filter": "eq(available,0)"}, [0]),
        ({"filter": "ge(available,3)"}, [5]),
        ({"filter": "eq(total,2):eq(allocated,0)"}, [2]),
        ({"filter": "gt(allocated,0)"}, []),
        ({"available__lt": "5", "sort": "-total"}, [2, 0]),
        ({"sort": "-allocated,available"}, [0, 2, 5]),
    ],
)
def test_t36_stock_is_filtered_and_sorted(back_office, parameters, found):
    for units in (0, 5, 2):
        product(units, sku=f"S-{units}")

    shown = asked(back_office, "/v2/inventories", **parameters).json()["data"]

    assert [stock["available"] for stock in shown] == found


def test_t35_stock_is_found_by_its_product(back_office):
    wanted, other = product(1), product(1)

    for filter_ in (f"eq(id,{wanted.pk})", f"in(product_id,{wanted.pk})"):
        [shown] = asked(back_office, "/v2/inventories", filter=filter_).json()["data"]
        assert shown["id"] == str(wanted.pk)
    both = asked(back_office, "/v2/inventories", sort="id").json()["data"]
    assert [stock["id"] for stock in both] == sorted([str(wanted.pk), str(other.pk)])


_MANY = """
WITH made AS (
    INSERT INTO inventory_product (id, name, sku, slug, description, status, commodity_type,
        barcode, image_url, created_at, updated_at)
    SELECT gen_random_uuid(), 'Bolt ' || n, 'BOLT-' || n, 'bolt-' || n, '', 'live', 'physical',
        '', '', now(), now()
    FROM generate_series(1, 460) AS n
    RETURNING id
)
INSERT INTO inventory_stock (id, product_id, location_id, managed)
SELECT gen_random_uuid(), id, (SELECT id FROM inventory_location), true FROM made
"""


def test_t36_all_stock_is_walked_though_no_offset_goes_so_far(back_office, monkeypatch):
    monkeypatch.setattr(pagination, "OFFSET_MAX", 300)
    with connection.cursor() as cursor:
        cursor.execute(_MANY)
    seen: set[str] = set()
    following = "/v2/inventories?page[limit]=100"

    while following:
        body = back_office.client.get(following, headers=back_office.headers).json()
        seen |= {stock["id"] for stock in body["data"]}
        following = body["links"]["next"]

    assert len(seen) == body["meta"]["results"]["total"] == 460
    assert body["meta"]["page"]["offset"] == 400
