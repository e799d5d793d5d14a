import uuid
from typing import Any

import pytest
from rest_framework.exceptions import ValidationError

from api.fields import (
    AMOUNT_MAX,
    UNITS_MAX,
    Amount,
    Choice,
    Email,
    Flag,
    Id,
    Quantity,
    Text,
    WholeNumber,
    storable_json,
)

LONE_SURROGATE = "\ud83d"
NOT_A_NUMBER = [True, False, "1", "", 1.0, 1.5, None, [], [1], {}, "NaN"]


def _code(field: Any, value: Any) -> str:
    with pytest.raises(ValidationError) as error:
        field.run_validation(value)
    codes: Any = error.value.get_codes()
    return str(codes[0])


@pytest.mark.parametrize("value", [1, 2, UNITS_MAX])
def test_a_quantity_is_a_whole_number_from_one(value):
    assert Quantity().run_validation(value) == value


@pytest.mark.parametrize("value", [0, -1, UNITS_MAX + 1, 2**63, -(2**63), 10**400])
def test_f42_a_quantity_out_of_range_breaks_a_rule(value):
    assert _code(Quantity(), value) in {"min_value", "max_value"}


@pytest.mark.parametrize("value", NOT_A_NUMBER)
@pytest.mark.parametrize("field", [Quantity, Amount, WholeNumber])
def test_f42_what_only_looks_like_a_number_is_none(field, value):
    assert _code(field(), value) in {"type", "null"}


def test_a_quantity_may_be_allowed_to_be_zero():
    assert Quantity(min_value=0).run_validation(0) == 0


@pytest.mark.parametrize("value", [0, 1250, AMOUNT_MAX])
def test_an_amount_is_a_whole_number_that_javascript_can_hold(value):
    assert Amount().run_validation(value) == value


@pytest.mark.parametrize("value", [-1, AMOUNT_MAX + 1, 10**400])
def test_an_amount_out_of_range_breaks_a_rule(value):
    assert _code(Amount(), value) in {"min_value", "max_value"}


@pytest.mark.parametrize("value", ["Shirt", "名前", "👕", "O'Hara; DROP TABLE"])
def test_text_is_taken_as_it_is(value):
    assert Text().run_validation(value) == value


@pytest.mark.parametrize(
    ("value", "code"),
    [
        (1, "type"),
        (True, "type"),
        (["a"], "type"),
        ({}, "type"),
        (None, "null"),
        ("", "blank"),
        ("a\x00b", "invalid"),
        (LONE_SURROGATE, "invalid"),
    ],
)
def test_what_is_no_text_or_cannot_be_stored_is_refused(value, code):
    assert _code(Text(), value) == code


@pytest.mark.parametrize("value", [True, False])
def test_a_flag_is_true_or_false(value):
    assert Flag().run_validation(value) is value


@pytest.mark.parametrize("value", ["true", "false", "on", 1, 0, [], {}, ""])
def test_what_only_looks_like_a_flag_is_none(value):
    assert _code(Flag(), value) == "type"


def test_an_email_address_is_taken_as_it_is():
    assert Email().run_validation("ada@example.com") == "ada@example.com"


@pytest.mark.parametrize(
    ("value", "code"),
    [
        ("ada", "format"),
        ("ada@", "format"),
        ("a\x00@example.com", "format"),
        (f"{LONE_SURROGATE}@example.com", "format"),
        (1, "type"),
        (["ada@example.com"], "type"),
    ],
)
def test_what_is_no_email_address_is_refused(value, code):
    assert _code(Email(), value) == code


@pytest.mark.parametrize(
    ("value", "code"),
    [("c", "invalid_choice"), (1, "type"), (["a"], "type"), ("", "invalid_choice")],
)
def test_a_choice_is_one_of_the_words_it_lists(value, code):
    field = Choice(["a", "b"])

    assert field.run_validation("b") == "b"
    assert _code(field, value) == code


@pytest.mark.parametrize(
    ("value", "code"), [("x", "invalid"), ("", "invalid"), (1, "type"), ({}, "type")]
)
def test_an_id_is_a_uuid_written_as_text(value, code):
    known = uuid.uuid4()

    assert Id().run_validation(str(known)) == known
    assert _code(Id(), value) == code


@pytest.mark.parametrize("value", [None, True, 1, 1.5, "text", [1, {"a": ["b"]}], {}])
def test_json_that_can_be_stored(value):
    assert storable_json(value, levels=3)


@pytest.mark.parametrize(
    "value",
    ["a\x00b", {"a\x00b": 1}, {"a": [LONE_SURROGATE]}, [float("inf")], float("nan"), [[[[]]]]],
)
def test_json_that_cannot_be_stored(value):
    assert not storable_json(value, levels=3)
