import json
import uuid
from base64 import urlsafe_b64encode
from typing import Any

import pytest
from django.db.models import F
from django.db.models.functions import Lower
from rest_framework.request import Request
from rest_framework.test import APIRequestFactory

from api.errors import BadRequest
from api.pagination import Page, PositionRefused, Walk
from inventory.models import Product
from tests.factories import product

pytestmark = pytest.mark.django_db


def _request(query: str = "") -> Request:
    return Request(APIRequestFactory().get(f"/v2/things{query}"))


def _page(query: str) -> tuple[int, int]:
    page = Page.of(_request(query))
    return page.limit, page.offset


@pytest.mark.parametrize(
    ("query", "limit", "offset"),
    [
        ("", 25, 0),
        ("?page[limit]=0", 25, 0),
        ("?page[limit]=1&page[offset]=3", 1, 3),
        ("?page[limit]=100&page[offset]=10000", 100, 10_000),
    ],
)
def test_a_page_is_25_records_from_the_first_unless_asked_otherwise(query, limit, offset):
    assert _page(query) == (limit, offset)


@pytest.mark.parametrize("name", ["limit", "offset"])
@pytest.mark.parametrize("text", ["-1", "1.5", "x", "", "٣", "1e3", "10001", "9" * 30, "0x1", " 1"])
def test_a_page_that_cannot_be_is_refused(name, text):
    with pytest.raises(BadRequest) as refusal:
        Page.of(_request(f"?page[{name}]={text}"))

    assert refusal.value.source == f"page[{name}]"


def test_more_than_a_hundred_records_are_refused():
    with pytest.raises(BadRequest):
        _page("?page[limit]=101")


def _envelope(query: str, total: int) -> dict[str, Any]:
    request = _request(query)
    page = Page.of(request)
    more = page.offset + page.limit < total
    envelope: dict[str, Any] = page.envelope(request, [], total, more=more).data
    return envelope


def test_a_page_says_where_it_stands_among_all():
    envelope = _envelope("?page[limit]=10&page[offset]=20", total=45)

    assert envelope["meta"] == {
        "results": {"total": 45},
        "page": {"limit": 10, "offset": 20, "current": 3, "total": 5},
    }


def test_a_page_links_to_its_neighbours_and_keeps_the_question():
    links = _envelope("?sort=-name&page[limit]=10&page[offset]=20", total=45)["links"]

    def link(offset: int) -> str:
        return f"/v2/things?sort=-name&page[limit]=10&page[offset]={offset}"

    assert links == {
        "current": link(20),
        "first": link(0),
        "last": link(40),
        "next": link(30),
        "prev": link(10),
    }


def test_a_link_keeps_what_was_said_more_than_once():
    links = _envelope("?filter=eq(a,b)&filter=eq(c,d)&page[offset]=0", total=45)["links"]

    assert links["next"].startswith("/v2/things?filter=eq(a,b)&filter=eq(c,d)&page[limit]=25")


@pytest.mark.parametrize("name", ["limit", "offset"])
def test_a_page_is_not_said_twice(name):
    with pytest.raises(BadRequest, match="only once"):
        _page(f"?page[{name}]=1&page[{name}]=1")


def test_no_link_leads_where_no_offset_goes():
    links = _envelope("?page[limit]=100&page[offset]=10000", total=20_000)["links"]

    assert links["last"] is None
    assert links["prev"].endswith("page[offset]=9900")


@pytest.mark.parametrize(
    ("order", "signature"),
    [
        (["-created_at", "-pk"], "-created_at,-id"),
        (["name"], "name"),
        ([F("name").desc(), F("pk").desc()], "-name,-id"),
        (["name", "-pk"], "name,-id"),
        ([Lower("name").asc(), F("pk").asc()], None),
        ([], None),
    ],
)
def test_a_list_is_walked_in_an_order_of_columns(order, signature):
    walk = Walk.through(Product.objects.order_by(*order))

    assert (walk and walk.signature) == signature


def test_a_position_is_read_as_it_was_written():
    row = product(name="Größe 7 “x”")
    walk = Walk.through(Product.objects.order_by("name", "created_at", "pk"))
    assert walk

    position = walk.position(row, 3)

    assert walk.read(position) == (3, [row.name, row.created_at, row.pk])
    assert not set(position) & set("=+/&?#%")


# Always the same: the names of tests are made of it, in several processes.
SOME_ID = str(uuid.UUID(int=7))


def _written(*parts: object) -> str:
    return urlsafe_b64encode(json.dumps(parts).encode()).decode().rstrip("=")


@pytest.mark.parametrize(
    "position",
    [
        *("", "x", "é", "=", "A" * 2001, "bnVsbA", "W10", "e30", "MQ", "Ww" * 500, "\x00"),
        _written("created_at,id", 1, "2026-05-06", "x"),
        _written("created_at,id", 1, "2026-05-06"),
        _written("created_at,id", 1, None, SOME_ID),
        _written("created_at,id", 1, "yesterday", SOME_ID),
        _written("created_at,id", -1, "2026-05-06T00:00:00Z", SOME_ID),
        _written("created_at,id", True, "2026-05-06T00:00:00Z", SOME_ID),
        _written("created_at,id", 2**60, "2026-05-06T00:00:00Z", SOME_ID),
        _written("-created_at,id", 1, "2026-05-06T00:00:00Z", SOME_ID),
        _written("name", 1, "a"),
    ],
)
def test_a_position_that_was_never_given_out_is_refused(position):
    walk = Walk.through(Product.objects.order_by("created_at", "pk"))
    assert walk

    with pytest.raises(PositionRefused) as refusal:
        walk.read(position)

    assert (refusal.value.kind.status, refusal.value.source) == (400, "page[after]")


@pytest.mark.parametrize("value", ["a\x00b", "x" * 201])
def test_a_position_holds_only_what_its_column_can(value):
    walk = Walk.through(Product.objects.order_by("name"))
    assert walk

    with pytest.raises(PositionRefused):
        walk.read(_written("name", 1, value))


@pytest.mark.parametrize("total", [0, 1, 25])
def test_an_only_page_has_no_neighbours(total):
    envelope = _envelope("", total)

    links = envelope["links"]
    assert (links["last"], links["next"], links["prev"]) == (None, None, None)
    assert envelope["meta"]["page"]["total"] == 1
