"""How the description of an answer follows from its type."""

import json
from typing import Annotated, Any, Literal, NotRequired, TypedDict

import pytest

from api import schema
from api.answers import Data, Empty, Error, Id, Keywords, PageOf, Reference
from api.schema import schema_of

TEXT = {"type": "string"}
ERROR = {"$ref": "#/components/schemas/Error"}


class Size(TypedDict):
    width: int
    unit: Literal["cm", "in"]


class Parcel(Size):
    weight: NotRequired[Annotated[float, Keywords(exclusiveMinimum=0)]]


SIZE = {
    "type": "object",
    "properties": {
        "width": {"type": "integer"},
        "unit": {"type": "string", "enum": ["cm", "in"]},
    },
    "required": ["width", "unit"],
}


@pytest.mark.parametrize(
    ("hint", "piece"),
    [
        (str, TEXT),
        (bool, {"type": "boolean"}),
        (str | None, {"type": ["string", "null"]}),
        (Id | None, {"type": ["string", "null"], "format": "uuid"}),
        (list[Id], {"type": "array", "items": {"type": "string", "format": "uuid"}}),
        (dict[str, Any], {"type": "object", "additionalProperties": True}),
        (Empty, {"type": "object", "maxProperties": 0}),
    ],
)
def test_a_type_says_what_may_stand_there(hint, piece):
    assert schema_of(hint) == piece


def test_what_a_type_cannot_say_stands_beside_it():
    length = Annotated[int, Keywords(minimum=1), "In centimetres."]
    longest = Annotated[length, Keywords(maximum=9), "Of all."]

    assert schema_of(length) == {"type": "integer", "minimum": 1, "description": "In centimetres."}
    assert schema_of(longest) == {
        "type": "integer",
        "minimum": 1,
        "maximum": 9,
        "description": "Of all.",
    }


def test_an_answer_is_described_where_it_is_used():
    assert schema_of(list[Size]) == {"type": "array", "items": SIZE}


def test_a_component_is_described_once_and_named_elsewhere():
    assert schema_of(list[Error]) == {"type": "array", "items": ERROR}


def test_an_answer_has_the_fields_of_the_one_it_extends_and_may_lack_some():
    described = schema_of(Parcel)

    assert list(described["properties"]) == ["width", "unit", "weight"]
    assert described["properties"]["weight"] == {"type": "number", "exclusiveMinimum": 0}
    assert described["required"] == ["width", "unit"]


def test_a_generic_answer_holds_what_it_was_given():
    page = schema_of(PageOf[Error])

    assert page["properties"]["data"] == {"type": "array", "items": ERROR}
    assert page["required"] == ["data", "meta", "links"]
    assert schema_of(Data[list[Reference[Literal["item"]]]])["properties"]["data"] == {
        "type": "array",
        "items": {
            "type": "object",
            "properties": {
                "type": {"type": "string", "enum": ["item"]},
                "id": {"type": "string", "format": "uuid"},
            },
            "required": ["type", "id"],
        },
    }


def test_the_description_is_made_by_one_thread_while_others_wait(monkeypatch):
    monkeypatch.setattr(schema, "_made", lambda: {"alone": schema._making.locked()})

    assert schema.document() == {"alone": True}


def test_every_named_part_of_the_description_is_used():
    written = json.dumps(schema.document())

    unused = [
        name
        for name in schema.document()["components"]["schemas"]
        if f'"#/components/schemas/{name}"' not in written
    ]

    assert unused == []
