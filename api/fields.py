"""Serializer fields that take a JSON value of their own type, and nothing that looks like it."""

import math
import uuid
from typing import Any

from rest_framework import serializers

from api import codes

# The largest value of a PostgreSQL integer, and so of any count of units.
UNITS_MAX = 2**31 - 1
# The largest integer that JavaScript holds exactly, and so of any amount of money.
AMOUNT_MAX = 2**53 - 1


def storable(text: str) -> bool:
    """Tell whether PostgreSQL can hold the text: no NUL, and no half of a surrogate pair."""
    return "\x00" not in text and not any("\ud800" <= letter <= "\udfff" for letter in text)


def storable_json(value: Any, *, levels: int) -> bool:
    """Tell whether PostgreSQL can hold the value, nested at most `levels` deep."""
    if isinstance(value, str):
        return storable(value)
    if isinstance(value, float):
        # Python reads 1e999 as infinity, which is no JSON.
        return math.isfinite(value)
    if isinstance(value, dict):
        value = [*value, *value.values()]
    if isinstance(value, list):
        return levels > 0 and all(storable_json(nested, levels=levels - 1) for nested in value)
    return True


class Text(serializers.CharField):
    default_error_messages = {"type": "This must be a string."}

    def to_internal_value(self, data: Any) -> str:
        if not isinstance(data, str):
            self.fail("type")
        if not storable(data):
            self.fail("invalid")
        return super().to_internal_value(data)


class Code(Text):
    """A new sku or barcode, without what stands around it unseen. Nothing unseen may be within."""

    def to_internal_value(self, data: Any) -> str:
        code = codes.tidied(super().to_internal_value(data))
        if not code and not self.allow_blank:
            self.fail("blank")
        if fault := codes.fault_of(code):
            raise serializers.ValidationError(fault, code="unseen")
        return code


class Choice(serializers.ChoiceField):
    default_error_messages = {
        "type": "This must be a string.",
        "invalid_choice": "This must be one of: {choices}.",
    }

    def to_internal_value(self, data: Any) -> str:
        if not isinstance(data, str):
            self.fail("type")
        if data not in self.choices:
            self.fail("invalid_choice", choices=", ".join(map(str, self.choices)))
        return data


class Id(serializers.UUIDField):
    default_error_messages = {"type": "This must be a string."}

    def to_internal_value(self, data: Any) -> uuid.UUID:
        if not isinstance(data, str):
            self.fail("type")
        return super().to_internal_value(data)


class WholeNumber(serializers.IntegerField):
    default_error_messages = {"type": "This must be a whole number."}

    def to_internal_value(self, data: Any) -> int:
        if isinstance(data, bool) or not isinstance(data, int):
            self.fail("type")
        return data


class Quantity(WholeNumber):
    """A number of units: at least one, unless told otherwise."""

    def __init__(self, *, min_value: int = 1, **options: Any) -> None:
        super().__init__(min_value=min_value, max_value=UNITS_MAX, **options)


class Amount(WholeNumber):
    """Money in the currency's smallest unit."""

    def __init__(self, *, min_value: int = 0, **options: Any) -> None:
        super().__init__(min_value=min_value, max_value=AMOUNT_MAX, **options)


class Flag(serializers.BooleanField):
    default_error_messages = {"type": "This must be true or false."}

    def to_internal_value(self, data: Any) -> bool:
        if not isinstance(data, bool):
            self.fail("type")
        return data


class Email(serializers.EmailField):
    default_error_messages = {
        "type": "This must be a string.",
        "format": "Does not match format 'email'",
    }

    def to_internal_value(self, data: Any) -> str:
        if not isinstance(data, str):
            self.fail("type")
        if not storable(data):
            self.fail("format")
        return super().to_internal_value(data)

    def run_validators(self, value: Any) -> None:
        try:
            super().run_validators(value)
        except serializers.ValidationError:
            self.fail("format")
