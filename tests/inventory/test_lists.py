"""The lists of products and of the log over HTTP: filtered, sorted, in pages."""

import itertools
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

import pytest
from django.db import connection
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rest_framework.request import Request
from rest_framework.test import APIRequestFactory

from api import clock
from api.filtering import listed
from inventory import services
from inventory.filters import ProductFilters, StockTransactionFilters
from inventory.models import Action, Product, Stock
from tests.factories import MERCHANT, product
from tests.http import Api, administrator, shopper, statements

pytestmark = pytest.mark.django_db

NOON = datetime(2026, 5, 6, 12, tzinfo=UTC)


def at(moment: datetime) -> Any:
    return clock.replaced(itertools.repeat(moment).__next__)


@pytest.fixture
def back_office() -> Api:
    return administrator()


@pytest.fixture
def storefront() -> Api:
    return shopper()


@pytest.fixture
def shirt() -> Product:
    """Made at noon, live, managed, with 5 units."""
    with at(NOON):
        return product(
            5,
            sku="SH-1",
            name="Blue 100% Shirt",
            slug="blue-shirt",
            description="Soft cotton",
            barcode="4006381333931",
        )


@pytest.fixture
def song(shirt: Product) -> Product:
    """Made a day after the shirt, a draft, digital and without stock."""
    with at(NOON + timedelta(days=1)):
        return product(
            managed=False,
            sku="so_2",
            name="Song O'Brien, live",
            slug="song",
            description="A tune",
            status="draft",
            commodity_type="digital",
        )


def asked(api: Api, path: str = "/v2/products", /, **parameters: Any) -> Any:
    return api.get(f"{path}?{urlencode(parameters)}")


def skus(api: Api, **parameters: Any) -> list[str]:
    answer = asked(api, **parameters)
    assert answer.status_code == 200, answer.content
    body = answer.json()
    assert body["meta"]["results"]["total"] == len(body["data"])
    return sorted(shown["sku"] for shown in body["data"])


# Every field with every operator.

NOON_MS = int(NOON.timestamp() * 1000)
SHIRT, SONG, BOTH, NONE = ["SH-1"], ["so_2"], ["SH-1", "so_2"], list[str]()

FOUND = [
    ("in(sku,SH-1,nothing)", SHIRT),
    ("in(sku,SH-1,so_2)", BOTH),
    ("eq(sku,SH-1)", SHIRT),
    ("eq(sku,sh-1)", NONE),
    ("like(sku,sh*)", SHIRT),
    ("like(sku,*O_*)", SONG),
    ("like(sku,s__1)", NONE),
    ("eq(name,Blue 100% Shirt)", SHIRT),
    ("eq(name,blue 100% shirt)", NONE),
    ("like(name,*shirt*)", SHIRT),
    ("like(name,*SHIRT)", SHIRT),
    ("like(name,shirt*)", NONE),
    ("like(name,shirt)", NONE),
    ("like(name,blue 100% shirt)", SHIRT),
    ("like(name,*0% s*)", SHIRT),
    ("like(name,*b%t*)", NONE),
    ("like(name,*)", BOTH),
    ("like(name,*o'brien*)", SONG),
    (r"eq(name,Song O'Brien\, live)", SONG),
    ('eq(name,"Song O\'Brien, live")', SONG),
    (r"eq(name,'Song O\'Brien, live')", SONG),
    ("eq(slug,song)", SONG),
    ("like(slug,*shirt)", SHIRT),
    ("eq(status,draft)", SONG),
    ("eq(status,nonsense)", NONE),
    ("like(status,LIV*)", SHIRT),
    ("like(description,*COTTON*)", SHIRT),
    ("eq(commodity_type,digital)", SONG),
    ("eq(manage_stock,true)", SHIRT),
    ("eq(manage_stock,false)", SONG),
    ("eq(barcode,4006381333931)", SHIRT),
    ("eq(stock,5)", SHIRT),
    ("gt(stock,4)", SHIRT),
    ("gt(stock,5)", NONE),
    ("ge(stock,5)", SHIRT),
    ("lt(stock,5)", SONG),
    ("le(stock,5)", BOTH),
    ("lt(stock,-1)", NONE),
    (f"gt(stock,{2**63})", NONE),
    (f"lt(stock,{2**63})", BOTH),
    (f"eq(stock,{2**31})", NONE),
    (f"ge(stock,-{2**63 + 1})", BOTH),
    ("eq(created_at,2026-05-06)", SHIRT),
    ("eq(created_at,2026-05-05)", NONE),
    ("eq(created_at,2026-05-06T12:00:00Z)", SHIRT),
    ("eq(created_at,2026-05-06T14:00:00+02:00)", SHIRT),
    (f"eq(created_at,{NOON_MS})", SHIRT),
    ("gt(created_at,2026-05-06)", BOTH),
    ("gt(created_at,2026-05-06T12:00:00Z)", SONG),
    ("ge(created_at,2026-05-06T12:00:00Z)", BOTH),
    (f"gt(created_at,{NOON_MS})", SONG),
    ("lt(created_at,2026-05-07)", SHIRT),
    ("le(created_at,2026-05-06T12:00:00.000Z)", SHIRT),
    ("ge(created_at,2026-05-08)", NONE),
    ("eq(updated_at,2026-05-07)", SONG),
    ("gt(updated_at,2026-05-07)", SONG),
    ("ge(updated_at,2026-05-07T12:00:00Z)", SONG),
    ("lt(updated_at,2026-05-07)", SHIRT),
    (f"le(updated_at,{NOON_MS})", SHIRT),
    ("eq(status,live):gt(stock,4):like(name,*shirt*)", SHIRT),
    ("eq(status,live):eq(manage_stock,false)", NONE),
    ("ge(stock,1):le(stock,9):eq(manage_stock,true)", SHIRT),
    ("like(name,*blue*):like(name,*shirt*)", SHIRT),
    ("like(name,*blue*):like(name,*song*)", NONE),
]


@pytest.mark.parametrize(("filter_", "found"), FOUND)
def test_products_are_filtered(back_office, shirt, song, filter_, found):
    assert skus(back_office, filter=filter_) == found


def test_every_declared_filter_of_products_is_tried_here():
    tried = {
        (term.partition("(")[2].partition(",")[0], term.partition("(")[0])
        for filter_, _ in FOUND
        for term in filter_.split("):")
    }

    declared = {
        (field, operator)
        for field, takes in ProductFilters.takes.items()
        for operator in takes.operators
    }

    assert declared - tried == {("id", "in")}


def test_products_are_found_by_their_ids(back_office, shirt, song):
    unknown = "00000000-0000-7000-8000-000000000001"

    assert skus(back_office, filter=f"in(id,{shirt.pk},{unknown})") == SHIRT
    assert skus(back_office, filter=f"in(id,{shirt.pk},{song.pk})") == BOTH


@pytest.mark.parametrize(
    ("parameters", "found"),
    [
        ({"status": "draft"}, SONG),
        ({"status": ""}, BOTH),
        ({"name__like": "*shirt*"}, SHIRT),
        ({"sku__in": "SH-1,other"}, SHIRT),
        ({"stock__gt": "4"}, SHIRT),
        ({"created_at": "2026-05-06"}, SHIRT),
        ({"status": "live", "filter": "gt(stock,9)"}, NONE),
        ({"colour": "red", "page[limit]": "3", "include": "files"}, BOTH),
    ],
)
def test_plain_query_parameters_filter_too_and_unknown_ones_do_nothing(
    back_office, shirt, song, parameters, found
):
    assert skus(back_office, **parameters) == found


@pytest.mark.parametrize(
    "filter_",
    [
        *("eq(id,x)", "gt(name,a)", "in(name,a)", "gt(status,a)", "eq(description,Soft)"),
        *("like(commodity_type,d*)", "gt(manage_stock,true)", "like(barcode,4*)", "in(stock,1)"),
        *("like(created_at,2026*)", "is_null(name)", "eq(brand.id,x)", "eq(category.id,x)"),
        *("eq(archived_at,2026-01-01)", "eq(prices,1)", "eq(stocks__available,1)", "eq(pk,1)"),
        *("eq(name__startswith,B)", "eq(image_url,x)", "eq(customer_id,x)", "eq(password,x)"),
    ],
)
def test_what_products_do_not_declare_is_refused(back_office, shirt, filter_):
    refused = asked(back_office, filter=filter_)

    assert refused.status_code == 400
    [error] = refused.json()["errors"]
    assert (error["title"], error["source"]) == ("Bad Request", "filter")
    assert error["code"] == "filter_not_supported"
    assert filter_.partition("(")[2].partition(",")[0].rstrip(")") in error["detail"]


@pytest.mark.parametrize(
    ("parameters", "source"),
    [
        ({"filter": "in(id,x)"}, "filter"),
        ({"filter": "gt(stock,many)"}, "filter"),
        ({"filter": "eq(manage_stock,maybe)"}, "filter"),
        ({"filter": "eq(created_at,yesterday)"}, "filter"),
        ({"filter": "eq(name"}, "filter"),
        ({"filter": "eq(name,\x00)"}, "filter"),
        ({"filter": "eq(name,x):" * 10 + "eq(name,x)"}, "filter"),
        ({"filter": f"eq(name,{'x' * 8192})"}, "filter"),
        ({"stock__gt": "many"}, "stock__gt"),
        ({"name": "a\x00b"}, "name"),
        ({"id__in": "x,y"}, "id__in"),
        ({"sort": "colour"}, "sort"),
        ({"sort": "name,sku"}, "sort"),
        ({"sort": "stocks__available"}, "sort"),
    ],
)
def test_what_cannot_be_understood_is_refused(back_office, shirt, parameters, source):
    refused = asked(back_office, **parameters)

    assert refused.status_code == 400
    [error] = refused.json()["errors"]
    assert (error["status"], error["title"], error["source"]) == (400, "Bad Request", source)


@pytest.mark.parametrize(
    "value",
    [
        *("' OR '1'='1", "'; DROP TABLE inventory_product; --", "x\\'; --", "%27 OR 1=1", "$1"),
        *("%s", "%(name)s", "{0}", "x') OR (1=1", "\\", "%", "_", "*%*_*"),
    ],
)
def test_a_value_is_never_more_than_a_value(back_office, shirt, value):
    quoted = value.replace("\\", "\\\\").replace('"', '\\"')

    for operator in ("eq", "like"):
        assert skus(back_office, filter=f'{operator}(name,"{quoted}")') == []
    assert skus(back_office, name=value) == []


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

    refused = asked(storefront, filter="gt(stock,4)")

    assert refused.status_code == 400
    assert skus(storefront, stock__gt="9") == SHIRT
    assert skus(back_office, filter="gt(stock,9)") == []


# Sorting and pages.


@pytest.mark.parametrize("field", sorted(ProductFilters.sorts))
def test_products_are_sorted_either_way(back_office, shirt, song, field):
    def order(sort: str) -> list[str]:
        return [shown["sku"] for shown in asked(back_office, sort=sort).json()["data"]]

    upwards = order(field)

    rising = {
        "commodity_type": ["so_2", "SH-1"],
        "description": ["so_2", "SH-1"],
        "manage_stock": ["so_2", "SH-1"],
        "status": ["so_2", "SH-1"],
    }
    assert upwards == rising.get(field, ["SH-1", "so_2"])
    assert order(f"-{field}") == upwards[::-1]


def test_newest_products_come_first_unless_told_otherwise(back_office, shirt, song):
    shown = asked(back_office, filter="le(stock,5)").json()["data"]

    assert [found["sku"] for found in shown] == ["so_2", "SH-1"]


def test_a_filter_and_a_sort_go_together_and_the_total_is_what_the_filter_leaves(back_office):
    for number in range(7):
        product(number, sku=f"n-{number}", name="Odd" if number % 2 else "Even")

    body = asked(
        back_office,
        **{"filter": "like(name,even)", "sort": "-sku", "page[limit]": 2, "page[offset]": 2},
    ).json()

    assert [shown["sku"] for shown in body["data"]] == ["n-2", "n-0"]
    assert body["meta"]["results"]["total"] == 4
    assert body["meta"]["page"] == {"limit": 2, "offset": 2, "current": 2, "total": 2}
    assert "filter=like(name,even)&sort=-sku" in body["links"]["first"]


@pytest.mark.parametrize("sort", ["name", "-name", "manage_stock", "status", ""])
def test_no_product_is_on_two_pages_though_all_of_them_tie(back_office, sort):
    with at(NOON):
        made = {str(product(name="Same").pk) for _ in range(9)}

    seen = [
        shown["id"]
        for offset in range(0, 9, 2)
        for shown in asked(
            back_office, **{"sort": sort, "page[limit]": 2, "page[offset]": offset}
        ).json()["data"]
    ]

    assert len(seen) == 9
    assert set(seen) == made


FILTERS = [
    {},
    {"filter": "like(name,*shirt*):gt(stock,0):eq(manage_stock,true)", "sort": "-manage_stock"},
    {"status": "live", "sort": "sku"},
]


@pytest.mark.parametrize("parameters", FILTERS)
def test_a_long_filtered_list_costs_as_many_statements_as_a_short_one(back_office, parameters):
    for _ in range(25):
        product(1)
    asked(back_office)

    def cost(limit: int) -> int:
        return statements(lambda: asked(back_office, **parameters, **{"page[limit]": limit}))

    assert cost(1) == cost(25)
    assert cost(25) <= 4


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
        for number in range(6000)
    )
    with connection.cursor() as cursor:
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
        ("like(sku,sku-01234)", "product_sku_parts"),
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
            services.record(shirt.pk, action, quantity, actor=MERCHANT)
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
            assert f"{operator}({field}," in tried


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


@pytest.mark.parametrize("parameters", [{"filter": "eq(location,x)"}, {"sort": "total"}])
@pytest.mark.parametrize("path", ["/v2/inventories", "/v2/gateways"])
def test_other_lists_take_neither_filter_nor_sort(back_office, path, parameters):
    assert asked(back_office, path, **parameters).status_code == 400


# Anything at all.

WORDS = st.sampled_from(
    [
        *("eq", "like", "in", "gt", "ge", "lt", "le", "is_null", "(", ")", ",", ":", "'", '"'),
        *("\\", "*", "%", "_", " ", "|", "-", ".", "\x00", "\n", "9" * 30, "2026-05-06", "true"),
        *("99999999999999", "9999-12-31", "0001-01-01T00:00:00+14:00", "\U0001f600", "\ud800"),
        *ProductFilters.takes,
    ]
)
VALUES = st.one_of(st.text(max_size=8), WORDS)
TERMS = st.builds(
    "{}({},{})".format,
    st.sampled_from(["eq", "like", "in", "gt", "ge", "lt", "le"]),
    st.sampled_from(list(ProductFilters.takes)),
    VALUES,
)
TEXTS = st.one_of(
    st.text(max_size=40),
    st.lists(WORDS, max_size=12).map("".join),
    st.lists(TERMS, min_size=1, max_size=3).map(":".join),
)


@settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    filter_=TEXTS,
    sort=st.one_of(st.text(max_size=8), st.sampled_from(["name", "-stock", "manage_stock"])),
    plain=st.tuples(st.sampled_from(list(ProductFilters.base_filters)), VALUES),
)
def test_no_filter_whatever_breaks_the_server(back_office, shirt, filter_, sort, plain):
    parameters = {"filter": filter_, "sort": sort, plain[0]: plain[1]}
    query = urlencode(parameters, errors="surrogatepass")

    answer = back_office.get(f"/v2/products?{query}")

    assert answer.status_code in {200, 400}
    assert Stock.objects.filter(product=shirt, available=5).exists()
