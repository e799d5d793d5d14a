"""The list of refusals in docs/api.md tells of all of them, and of no others."""

from api.errors import FieldError, Invalid
from tests import refusals


def test_the_document_lists_every_refusal():
    """If this fails: HOLDFAST_DEMO=1 .venv/bin/python -m tests.refusals"""
    assert refusals.DOCUMENT.read_text() == refusals.written()


def test_there_is_advice_for_every_refusal_and_no_other():
    assert {row.code for row in refusals.rows()} == set(refusals.ADVICE)


def test_a_code_has_one_status_and_one_meaning():
    codes = [row.code for row in refusals.rows()]

    assert len(codes) == len(set(codes))


def test_fields_have_codes_of_their_own():
    entries = Invalid(FieldError("data.name", "required", "…", "field_required")).entries()

    assert [entry["code"] for entry in entries] == ["field_required"]
