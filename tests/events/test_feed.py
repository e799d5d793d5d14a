"""GET /v2/events: the feed, page by page, and what cannot be gone on from."""

from typing import Any

import pytest

from events.models import Event
from events.services import feed
from tests.events.made import events
from tests.http import Api, a_moment, administrator, assert_shape, shopper, statements
from tests.lists import asked

pytestmark = pytest.mark.django_db

MIXED = ("order.created", "order.paid", "stock.low", "order.created", "stock.out", "order.paid")


def positions(api: Api, **parameters: Any) -> list[int]:
    answer = asked(api, "/v2/events", **parameters)
    assert answer.status_code == 200, answer.content
    return [event["position"] for event in answer.json()["data"]]


def refused(api: Api, **parameters: Any) -> tuple[int, dict[str, Any]]:
    answer = asked(api, "/v2/events", **parameters)
    [error] = answer.json()["errors"]
    return answer.status_code, error


def test_the_feed_tells_each_event_with_its_payload_as_it_is_kept(back_office):
    told = {
        "data": {"type": "order", "id": "7", "note": 'ö "\\ \u2028 ☃'},
        "included": {"items": []},
    }
    [event] = events("order.paid", first=12, payload=told)

    shown = back_office.get("/v2/events").json()

    assert_shape(
        shown["data"][0],
        {
            "type": "event",
            "id": str(event.id),
            "position": 12,
            "triggered_by": "order.paid",
            "occurred_at": a_moment,
            "payload": told,
        },
    )
    assert shown["meta"] == {"first_position": 12, "last_position": 12, "last_id": str(event.id)}
    assert shown["links"] == {
        "current": "/v2/events?page[limit]=25",
        "first": "/v2/events?page[limit]=25",
        "next": None,
    }


def test_a_feed_without_events_begins_at_nothing(back_office):
    for after in ("", "?page[after]=0"):
        shown = back_office.get(f"/v2/events{after}").json()
        assert (shown["data"], shown["links"]["next"]) == ([], None)
        assert shown["meta"] == {"first_position": 0, "last_position": 0, "last_id": None}
    assert refused(back_office, **{"page[after]": 1})[1]["code"] == "feed_set_back"


@pytest.mark.parametrize("query", ["", "filter=in(type,order.created,order.paid)"])
def test_the_feed_is_read_to_its_end_by_its_links(back_office, query):
    events(*MIXED, first=41)
    expected = positions(back_office, filter=query.partition("=")[2] or "")

    seen, following = [], f"/v2/events?page[limit]=2&{query}"
    while following:
        shown = back_office.get(following).json()
        seen += [event["position"] for event in shown["data"]]
        following = shown["links"]["next"]
        assert not following or query in following

    assert seen == expected
    assert len(seen) == (4 if query else 6)


def test_a_reader_goes_on_after_what_it_knows(back_office):
    events(*MIXED)

    assert positions(back_office) == [1, 2, 3, 4, 5, 6]
    assert positions(back_office, **{"page[after]": 4}) == [5, 6]
    assert positions(back_office, **{"page[after]": 6}) == []
    assert positions(back_office, **{"page[after]": 0, "page[limit]": 3}) == [1, 2, 3]


@pytest.mark.parametrize(
    ("parameters", "found"),
    [
        ({"filter": "eq(type,stock.low)"}, [3]),
        ({"filter": "in(type,stock.out,stock.low)"}, [3, 5]),
        ({"filter": "in(triggered_by,order.paid,stock.low)"}, [2, 3, 6]),
        ({"filter": "in(type,order.paid,stock.low):eq(type,order.paid)"}, [2, 6]),
        ({"filter": "eq(type,order.paid):eq(triggered_by,stock.low)"}, []),
        ({"filter": "in(type,order.paid,order.paid)"}, [2, 6]),
        ({"type": "order.created"}, [1, 4]),
        ({"type__in": "stock.low,order.created", "page[after]": "1"}, [3, 4]),
        ({"filter": "eq(type,return.created)"}, []),
    ],
)
def test_the_feed_is_filtered_by_type(back_office, parameters, found):
    events(*MIXED)

    assert positions(back_office, **parameters) == found


def test_what_is_filtered_is_told_up_to_the_last_position_of_the_same_moment(back_office):
    """By it a reader of rare events goes on, who else would be left behind by what is forgotten."""
    events(*MIXED, first=11)

    shown = asked(back_office, "/v2/events", filter="eq(type,stock.low)").json()

    assert [event["position"] for event in shown["data"]] == [13]
    assert (shown["meta"]["first_position"], shown["meta"]["last_position"]) == (11, 16)
    assert positions(back_office, **{"filter": "eq(type,stock.low)", "page[after]": 16}) == []


def test_what_is_no_longer_kept_is_said_and_never_passed_over(back_office):
    events(*MIXED, first=101)

    for after in (0, 1, 99):
        status, error = refused(back_office, **{"page[after]": after})
        assert (status, error["code"], error["source"]) == (410, "events_forgotten", "page[after]")
        assert error["meta"] == {"first_position": 101, "last_position": 106}
    # Nothing of a rare type may have been missed either.
    status, _ = refused(back_office, **{"page[after]": 99, "filter": "eq(type,return.created)"})
    assert status == 410
    assert positions(back_office, **{"page[after]": 100})[0] == 101
    assert positions(back_office)[0] == 101


def test_a_reader_that_is_ahead_learns_that_the_feed_was_set_back(back_office):
    events(*MIXED)

    status, error = refused(back_office, **{"page[after]": 7})

    assert (status, error["code"]) == (410, "feed_set_back")
    assert error["meta"] == {"first_position": 1, "last_position": 6}


def test_a_feed_that_was_set_back_and_has_grown_again_is_known_by_the_ids(back_office):
    before = events(*MIXED)
    known = {"page[after]": 4, "page[after_id]": before[3].id}
    assert positions(back_office, **known) == [5, 6]
    following = back_office.get("/v2/events?page[limit]=4").json()["links"]["next"]
    Event.objects.all().delete()
    events(*MIXED, "order.paid", first=1)

    assert positions(back_office, **{"page[after]": 4}) == [5, 6, 7]
    assert refused(back_office, **known)[1]["code"] == "feed_set_back"
    # Whoever follows the links is told so, too.
    assert back_office.get(following).status_code == 410
    # Of an event that is no longer kept nobody knows.
    Event.objects.filter(position__lt=5).delete()
    assert positions(back_office, **known) == [5, 6, 7]


def test_what_is_no_id_is_refused(back_office):
    parameters = {"page[after]": 0, "page[after_id]": "x"}

    status, error = refused(back_office, **parameters)

    assert (status, error["code"]) == (400, "position_refused")
    assert error["source"] == "page[after_id]"


@pytest.mark.parametrize("after", ["-1", "x", "1.0", "", "1e3", "٣", "9" * 19, " 1", "WyJ4Il0"])
def test_what_is_no_position_is_refused(back_office, after):
    status, error = refused(back_office, **{"page[after]": after})

    assert (status, error["code"], error["source"]) == (400, "position_refused", "page[after]")


@pytest.mark.parametrize(
    ("parameters", "code", "source"),
    [
        ({"page[offset]": "0"}, "position_refused", "page[offset]"),
        ({"page[limit]": "101"}, "bad_request", "page[limit]"),
        ({"sort": "-position"}, "sort_not_supported", "sort"),
        ({"filter": "gt(position,4)"}, "filter_not_supported", "filter"),
        ({"filter": "like(type,order.*)"}, "filter_not_supported", "filter"),
        ({"filter": "eq(type,order.payed)"}, "filter_value_wrong", "filter"),
        ({"filter": "in(type,order.paid,customer.created)"}, "filter_value_wrong", "filter"),
        ({"filter": "eq(type"}, "filter_not_parsed", "filter"),
    ],
)
def test_the_feed_is_asked_for_nothing_else(back_office, parameters, code, source):
    events(*MIXED)

    status, error = refused(back_office, **parameters)

    assert (status, error["code"], error["source"]) == (400, code, source)


def test_a_page_of_large_payloads_ends_early_and_goes_on(back_office, monkeypatch):
    monkeypatch.setattr(feed, "PAGE_BYTES_MAX", 5_000)
    events(*MIXED, payload={"data": "x" * 2_000})

    seen, following = [], "/v2/events"
    while following:
        shown = back_office.get(following).json()
        seen.append([event["position"] for event in shown["data"]])
        following = shown["links"]["next"]

    assert seen == [[1, 2, 3], [4, 5, 6]]
    monkeypatch.setattr(feed, "PAGE_BYTES_MAX", 1)
    assert positions(back_office) == [1]


def test_the_feed_is_for_administrators_and_costs_one_statement(back_office):
    events(*MIXED)

    assert shopper().get("/v2/events").status_code == 403
    back_office.get("/v2/events")
    assert statements(lambda: back_office.get("/v2/events?type=order.paid")) == 1


def test_the_last_position_is_that_of_the_newest_event():
    assert feed.last_position() == 0
    events(*MIXED)
    assert feed.last_position() == 6
    Event.objects.filter(position__lt=6).delete()
    assert feed.last_position() == 6


def test_each_caller_reads_the_same(back_office):
    events(*MIXED)

    assert positions(administrator()) == positions(back_office)
