"""Addresses as they stand on a letter."""

from collections.abc import Mapping
from typing import Any

_LINES = [
    ("first_name", "last_name"),
    ("company_name",),
    ("line_1",),
    ("line_2",),
    ("line_3",),
    ("postcode", "city"),
    ("county", "region"),
    ("country",),
    ("phone_number",),
    ("instructions",),
]


def lines(address: Mapping[str, Any]) -> list[str]:
    found = (
        " ".join(str(address[name]) for name in names if address.get(name)) for names in _LINES
    )
    return [line for line in found if line]
