import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db.models import Q
from rest_framework.request import Request
from rest_framework.test import APIRequestFactory

from api.errors import Refusal
from api.filtering import (
    BYTES_MAX,
    COMPARISONS,
    EQ,
    IN,
    IS_NULL,
    LIKE,
    FilterCharacters,
    FilterNotParsed,
    FilterNotSupported,
    FilterTooLong,
    FilterValueWrong,
    Flag,
    Id,
    ListFilters,
    Moment,
    Number,
    SortNotSupported,
    Text,
    conditions,
    included,
    listed,
    parse,
    value_of,
)
from inventory.models import Product
from tests.factories import product


class ThingFilters(ListFilters):
    takes = {
        "id": Id("pk", IN),
        "name": Text("name", EQ, LIKE, IN, IS_NULL),
        "level": Number("level", EQ, *COMPARISONS),
        "kept": Flag("kept", EQ),
        "created_at": Moment("created_at", EQ, *COMPARISONS),
    }
    sorts = {"name": ["name"], "level": ["level"]}


def asking(**parameters: str | list[str]) -> Request:
    return Request(APIRequestFactory().get("/v2/things", parameters))


def asked(**parameters: Any) -> list[Any]:
    return conditions(asking(**parameters), ThingFilters)


# The grammar.


@pytest.mark.parametrize(
    ("text", "terms"),
    [
        ("eq(status,live)", [("eq", "status", ["live"])]),
        ("eq(a,b):gt(c,5)", [("eq", "a", ["b"]), ("gt", "c", ["5"])]),
        ("gt(a,1):gt(a,2)", [("gt", "a", ["1"]), ("gt", "a", ["2"])]),
        ("in(id,a,b,c)", [("in", "id", ["a", "b", "c"])]),
        ("in(id,a)", [("in", "id", ["a"])]),
        ("is_null(name)", [("is_null", "name", [])]),
        ("eq(contact.name,Ada)", [("eq", "contact.name", ["Ada"])]),
        ("like(name,*shirt*)", [("like", "name", ["*shirt*"])]),
        ("eq(a, b)", [("eq", "a", ["b"])]),
        ("eq(a,b c)", [("eq", "a", ["b c"])]),
        ("gt(a,2026-01-01T10:00:00Z)", [("gt", "a", ["2026-01-01T10:00:00Z"])]),
        ("eq(a,O'Brien)", [("eq", "a", ["O'Brien"])]),
        ('eq(a,5" pipe)', [("eq", "a", ['5" pipe'])]),
        ('eq(a,"b,c:d(e)")', [("eq", "a", ["b,c:d(e)"])]),
        ("eq(a,'b,c')", [("eq", "a", ["b,c"])]),
        ("in(a,\"b,c\",d , 'e' )", [("in", "a", ["b,c", "d ", "e"])]),
        (r'eq(a,"say \"hi\"")', [("eq", "a", [r"say \"hi\""])]),
        (r"eq(a,b\,c\))", [("eq", "a", [r"b\,c\)"])]),
        ("eq(a,日本:語)", [("eq", "a", ["日本:語"])]),
        ("eq(a,%_)", [("eq", "a", ["%_"])]),
    ],
)
def test_a_filter_is_read_as_terms(text, terms):
    assert parse(text) == terms


@pytest.mark.parametrize(
    "text",
    [
        *("x", "eq", "eq(", "eq()", "eq(a", "eq(a)", "eq(a,", "eq(a,)", "eq(a,b", "eq(a,b))"),
        *("eq(a,b):", ":eq(a,b)", "eq(a,b)::eq(c,d)", "eq(a,b)eq(c,d)", "eq(a,b) ", " eq(a,b)"),
        *("eq(a,b,c)", "gt(a,1,2)", "in(a)", "is_null(a,b)", "is_null()", "eq (a,b)", "eq(,b)"),
        *('eq(a,"b)', "eq(a,'b)", 'eq(a,"b"c)', 'eq(a,"")', "eq(a,'')", "eq(a,  )", "in(a,b,,c)"),
        *("(eq(a,b)|eq(c,d))", "eq(a,b)|eq(c,d)", "not(eq(a,b))", "eq(eq(a,b),c)", "eq(a,(b))"),
        *("eq(a,b\\)", "eq(a,b)\\", "é(a,b)", "eq(é,b)", "eq(a b,c)", "eq(a;b,c)", "1=1", "--"),
        *("eq[a,b]", "{}", "null", "eq(" + "a" * 65 + ",b)"),
    ],
)
def test_a_broken_filter_is_refused_in_the_words_of_the_contract(text):
    with pytest.raises(FilterNotParsed) as refusal:
        asked(filter=text)

    assert refusal.value.entries() == [
        {
            "status": 400,
            "title": "Bad Request",
            "detail": "Could not parse the supplied filter",
            "source": "filter",
            "code": "filter_not_parsed",
        }
    ]


@pytest.mark.parametrize("letter", ["\x00", "\n", "\x1b", "\x7f", "\ud800"])
def test_what_cannot_be_in_a_filter_is_refused_in_the_words_of_the_contract(letter):
    with pytest.raises(FilterCharacters) as refusal:
        parse(f"eq(name,a{letter}b)")

    assert refusal.value.detail == "The supplied filter contained unsupported characters"


def test_a_filter_holds_ten_terms_in_eight_kilobytes():
    parse(":".join(["eq(a,b)"] * 10))
    parse(f"eq(a,{'x' * (BYTES_MAX - 6)})")

    with pytest.raises(FilterTooLong):
        parse(":".join(["eq(a,b)"] * 11))
    with pytest.raises(FilterTooLong):
        parse(f"eq(a,{'x' * (BYTES_MAX - 5)})")
    with pytest.raises(FilterTooLong):
        parse(f"eq(a,{'é' * (BYTES_MAX // 2)})")


@pytest.mark.parametrize(
    "text",
    [
        *("eq(a," + "b " * 4000, 'eq(a,"' + "b" * 8000, "in(a" + ",b  " * 2000, "eq(a,\\" * 1100),
        *("in(a" + ',"b" ' * 1600, "eq(" * 2700, "in(a" + ", " * 4000, 'eq(a,"' + '\\"' * 4000),
    ],
)
def test_no_broken_filter_takes_long(text):
    began = time.process_time()

    with pytest.raises(FilterNotParsed):
        parse(text)

    assert time.process_time() - began < 0.05


# What a field takes.


@pytest.mark.parametrize(
    ("parameters", "condition"),
    [
        ({"filter": "eq(name,Shirt)"}, Q(name__exact="Shirt")),
        ({"filter": r"eq(name,\*a\,\\)"}, Q(name__exact="*a,\\")),
        ({"filter": "in(name,a,'b,c')"}, Q(name__in=["a", "b,c"])),
        ({"filter": "is_null(name)"}, Q(name__isnull=True)),
        ({"filter": "like(name,shirt)"}, Q(name__iexact="shirt")),
        ({"filter": "like(name,*shirt*)"}, Q(name__icontains="shirt")),
        ({"filter": "like(name,*shirt)"}, Q(name__iendswith="shirt")),
        ({"filter": "like(name,shirt*)"}, Q(name__istartswith="shirt")),
        ({"filter": "like(name,'*a*b*')"}, Q(name__icontains="a*b")),
        ({"filter": r"like(name,\*shirt\*)"}, Q(name__iexact="*shirt*")),
        ({"filter": r"like(name,*shirt\\*)"}, Q(name__icontains="shirt\\")),
        ({"filter": "like(name,*)"}, Q(name__iendswith="")),
        ({"filter": "eq(level,-5)"}, Q(level__exact=-5)),
        ({"filter": "gt(level,5)"}, Q(level__gt=5)),
        ({"filter": "ge(level,5)"}, Q(level__gte=5)),
        ({"filter": "lt(level,5)"}, Q(level__lt=5)),
        ({"filter": "le(level,5)"}, Q(level__lte=5)),
        ({"filter": "eq(kept,true)"}, Q(kept__exact=True)),
        ({"filter": "eq(kept,false)"}, Q(kept__exact=False)),
        ({"name": "Shirt"}, Q(name__exact="Shirt")),
        ({"name": r"a\b"}, Q(name__exact=r"a\b")),
        ({"name__like": r"a\b*"}, Q(name__istartswith=r"a\b")),
        ({"name__in": "a,b"}, Q(name__in=["a", "b"])),
        ({"level__ge": "5"}, Q(level__gte=5)),
    ],
)
def test_a_term_becomes_a_condition(parameters, condition):
    assert asked(**parameters) == [condition]


def test_terms_and_plain_parameters_are_all_true():
    found = asked(filter="gt(level,1):gt(level,2)", name="Shirt", colour="red")

    assert found == [Q(level__gt=1), Q(level__gt=2), Q(name__exact="Shirt")]


@pytest.mark.parametrize(
    "parameters",
    [{}, {"filter": ""}, {"name": ""}, {"colour": "red"}, {"page[limit]": "3"}, {"id": "x"}],
)
def test_what_is_empty_or_no_filter_of_the_list_asks_for_nothing(parameters):
    assert asked(**parameters) == []


DAY = datetime(2026, 5, 6, tzinfo=UTC)


@pytest.mark.parametrize(
    ("written", "begin", "width"),
    [
        ("2026-05-06", DAY, timedelta(days=1)),
        ("2026-05-06T07:08:09Z", DAY.replace(hour=7, minute=8, second=9), timedelta(seconds=1)),
        ("2026-05-06t07:08:09z", DAY.replace(hour=7, minute=8, second=9), timedelta(seconds=1)),
        ("2026-05-06T02:00:00+02:00", DAY, timedelta(seconds=1)),
        ("2026-05-06T02:00:00 02:00", DAY, timedelta(seconds=1)),
        ("2026-05-05T19:00:00-05:00", DAY, timedelta(seconds=1)),
        ("2026-05-06T00:00:00.0Z", DAY, timedelta(milliseconds=100)),
        ("2026-05-06T00:00:00.000Z", DAY, timedelta(milliseconds=1)),
        ("2026-05-06T00:00:00.000000Z", DAY, timedelta(microseconds=1)),
        ("2026-05-06T00:00:00.000000999Z", DAY, timedelta(microseconds=1)),
        ("1778025600000", DAY, timedelta(milliseconds=1)),
        ("-1", datetime(1969, 12, 31, 23, 59, 59, 999000, UTC), timedelta(milliseconds=1)),
    ],
)
def test_a_moment_lasts_as_long_as_it_is_written_precisely(written, begin, width):
    lasting = Q(Q(created_at__gte=begin), Q(created_at__lt=begin + width))

    assert asked(filter=f"eq(created_at,{written})") == [lasting]
    assert asked(filter=f"gt(created_at,{written})") == [Q(created_at__gt=begin)]
    assert asked(filter=f"le(created_at,{written})") == [Q(created_at__lte=begin)]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *(("level", value) for value in ("x", "1.5", "1e3", "٣", "+1", "--1", "9" * 21, "0x1")),
        *(("kept", value) for value in ("yes", "True", "1", "null")),
        *(("created_at", value) for value in ("today", "2026-13-01", "2026-02-30", "2026-1-1")),
        *(("created_at", value) for value in ("0000-01-01", "9999-12-31", "9" * 15, "9" * 30)),
        *(("created_at", value) for value in ("0001-01-01T00:00:00+14:00", "\u0662026-01-01", "-")),
        *(("created_at", value) for value in ("2026-01-01T25:00:00Z", "2026-01-01T00:00:60Z")),
        *(("created_at", value) for value in ("2026-01-01T00:00:00+99:00", "2026-01-01T00:00Z")),
        ("created_at", "2026-01-01T00:00:00"),
    ],
)
def test_a_value_of_the_wrong_kind_is_refused_and_told_what_is_wanted(field, value):
    for parameters in ({"filter": f"eq({field},{value})"}, {field: value}):
        with pytest.raises(FilterValueWrong) as refusal:
            asked(**parameters)

        assert refusal.value.kind.status == 400
        assert f"eq({field}) wants" in refusal.value.detail
        assert refusal.value.source in parameters


def test_an_id_is_a_uuid():
    with pytest.raises(FilterValueWrong):
        asked(filter="in(id,00000000-0000-7000-8000-000000000001,x)")


@pytest.mark.parametrize(
    ("filter_", "told"),
    [
        ("eq(colour,red)", "There is no filter by colour here."),
        ("eq(name__like,x)", "There is no filter by name__like here."),
        ("eq(pk,1)", "There is no filter by pk here."),
        ("gt(kept,true)", "kept can be filtered by eq, not by gt."),
        ("EQ(kept,true)", "kept can be filtered by eq, not by EQ."),
        ("regex(kept,true)", "kept can be filtered by eq, not by regex."),
        ("is_null(level)", "level can be filtered by eq, gt, ge, lt, le, not by is_null."),
    ],
)
def test_an_unknown_field_or_operator_is_refused_by_name(filter_, told):
    with pytest.raises(FilterNotSupported) as refusal:
        asked(filter=filter_)

    assert (refusal.value.detail, refusal.value.source) == (told, "filter")


@pytest.mark.parametrize("parameters", [{"filter": "eq(name,x)"}, {"sort": "name"}])
def test_a_list_takes_nothing_unless_it_says_so(parameters):
    with pytest.raises(Refusal) as refusal:
        listed(asking(**parameters), Product.objects.all())

    assert refusal.value.kind.status == 400


# Sorting and including.


@pytest.mark.parametrize(
    ("sort", "order"),
    [
        ("", ["-created_at"]),
        ("name", ["OrderBy(F(name), descending=False)", "OrderBy(F(pk), descending=False)"]),
        ("-name", ["OrderBy(F(name), descending=True)", "OrderBy(F(pk), descending=True)"]),
    ],
)
def test_ties_are_broken_by_the_primary_key(sort, order):
    rows = listed(asking(sort=sort), Product.objects.order_by("-created_at"), ThingFilters)

    assert [str(column) for column in rows.query.order_by] == order


@pytest.mark.parametrize("said", [{"sort": "name,-level"}, {"sort": ["name", "-level"]}])
def test_t35_a_list_is_sorted_by_several_fields_one_after_the_other(said):
    rows = listed(asking(**said), Product.objects.all(), ThingFilters)

    assert [str(column) for column in rows.query.order_by] == [
        "OrderBy(F(name), descending=False)",
        "OrderBy(F(level), descending=True)",
        "OrderBy(F(pk), descending=True)",
    ]


@pytest.mark.parametrize(
    "sort",
    [*("colour", "--name", "-", "name,colour", "NAME", "name ", "pk", "name,", "name,-name"), ","],
)
def test_an_unknown_sort_is_refused(sort):
    with pytest.raises(SortNotSupported) as refusal:
        listed(asking(sort=sort), Product.objects.all(), ThingFilters)

    assert (refusal.value.kind.status, refusal.value.source) == (400, "sort")
    assert refusal.value.detail


def test_what_is_to_be_included_is_read_whatever_its_case():
    assert included(asking(include="Items, tax_items")) == {"items", "tax_items"}


# Parameters that are said more than once.


def test_all_that_is_to_be_included_counts():
    assert included(asking(include=["items,promotions", "", "tax_items"])) == {
        *("items", "promotions", "tax_items")
    }


def test_all_filters_must_hold_however_often_the_parameter_is_said():
    found = asked(filter=["gt(level,1):lt(level,9)", "", "eq(kept,true)"], name=["a", "b"])

    assert found == [
        *(Q(level__gt=1), Q(level__lt=9), Q(kept__exact=True)),
        *(Q(name__exact="a"), Q(name__exact="b")),
    ]


@pytest.mark.parametrize(
    "said",
    [
        {"filter": ["gt(level,1):gt(level,1)"] * 6},
        {"filter": ["gt(level,1)"] * 6, "level__gt": ["1"] * 5},
        {"name": ["x"] * 11},
        {"filter": [f"eq(name,{'x' * 5000})"] * 2},
    ],
)
def test_saying_it_more_often_does_not_make_a_filter_longer(said):
    with pytest.raises(FilterTooLong):
        asked(**said)


@pytest.mark.parametrize("said", [["eq(name,x)", "eq(name"], ["eq(name", "x)"]])
def test_each_filter_is_read_by_itself(said):
    with pytest.raises(FilterNotParsed):
        asked(filter=said)


def test_what_can_have_only_one_value_is_refused_with_two():
    assert value_of(asking(at="x"), "at") == "x"
    assert value_of(asking(), "at") is None
    with pytest.raises(Refusal) as refusal:
        value_of(asking(at=["x", "x"]), "at")

    assert (refusal.value.kind.status, refusal.value.source) == (400, "at")


# The words of django-filter.


@pytest.mark.django_db
def test_a_list_is_a_filterset_like_any_other():
    class NamedProducts(ListFilters):
        takes = {"name": Text("name", EQ, LIKE)}

    blue, _ = product(name="Blue Shirt"), product(name="Blue trousers")

    found = NamedProducts({"name__like": "*shirt*"}, Product.objects.all()).qs

    assert list(NamedProducts.base_filters) == ["name", "name__like"]
    assert list(found) == [blue]
