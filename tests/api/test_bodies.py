from typing import Any

import pytest
from rest_framework import serializers

from api.bodies import WholeBody, unknown
from api.errors import FieldError, Invalid
from api.fields import Amount
from api.views import validated


class Inner(WholeBody):
    not_supported = frozenset({"known"})

    amount = Amount(required=False)


class Outer(WholeBody):
    name = serializers.CharField()
    inner = Inner(required=False)


def refused(data: Any) -> set[tuple[str, str]]:
    with pytest.raises(Invalid) as raised:
        validated(Outer, data)
    return {(error.source, error.code) for error in raised.value.errors}


def test_what_is_declared_is_read():
    assert validated(Outer, {"name": "a", "inner": {"amount": 1}}) == {
        "name": "a",
        "inner": {"amount": 1},
    }


def test_every_field_that_is_wrong_is_told_with_those_that_nobody_knows():
    assert refused({"inner": {"amount": "x", "known": 1, "amout": 1}, "nmae": "a"}) == {
        ("data.name", "field_required"),
        ("data.inner.amount", "field_type"),
        ("data.inner.known", "not_supported"),
        ("data.inner.amout", "unknown_field"),
        ("data.nmae", "unknown_field"),
    }


def test_names_are_told_at_no_length_and_in_utf_8():
    [told] = unknown(["\ud800" + "x" * 1000])

    assert told.source == "?" + "x" * 99


@pytest.mark.parametrize(
    ("titles", "loosely", "strictly"),
    [(["required"], 400, 400), (["type"], 400, 422), (["required", "type"], 400, 422)],
)
def test_strictly_a_wrong_type_breaks_a_rule(titles, loosely, strictly):
    errors = [FieldError("data.x", title, "…", f"field_{title}") for title in titles]

    assert {entry["status"] for entry in Invalid(*errors).entries()} == {loosely}
    assert {entry["status"] for entry in Invalid(*errors, strictly=True).entries()} == {strictly}
