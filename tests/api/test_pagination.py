from typing import Any

import pytest
from rest_framework.request import Request
from rest_framework.test import APIRequestFactory

from api.errors import BadRequest
from api.pagination import Page

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
    envelope: dict[str, Any] = Page.of(request).envelope(request, [], total).data
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

    assert links["next"].startswith("/v2/things?filter=eq(a,b)&filter=eq(c,d)&page[offset]=25")


@pytest.mark.parametrize("name", ["limit", "offset"])
def test_a_page_is_not_said_twice(name):
    with pytest.raises(BadRequest, match="only once"):
        _page(f"?page[{name}]=1&page[{name}]=1")


@pytest.mark.parametrize("total", [0, 1, 25])
def test_an_only_page_has_no_neighbours(total):
    envelope = _envelope("", total)

    links = envelope["links"]
    assert (links["last"], links["next"], links["prev"]) == (None, None, None)
    assert envelope["meta"]["page"]["total"] == 1
