import os
import time
import uuid
from datetime import datetime

from django.urls import register_converter
from django.urls.converters import UUIDConverter


def uuid7() -> uuid.UUID:
    """Make a version 7 UUID (RFC 9562, method 3): one made a microsecond later sorts later.

    Its 62 random bits come from the operating system: anybody who knows an order's id may pay it.
    """
    nanoseconds = time.time_ns()
    milliseconds, rest = divmod(nanoseconds, 1_000_000)
    fraction = (rest << 12) // 1_000_000
    random = int.from_bytes(os.urandom(8)) & (1 << 62) - 1
    return uuid7_of(milliseconds, fraction, random)


def uuid7_of(milliseconds: int, fraction: int, random: int) -> uuid.UUID:
    """Lay out a version 7 UUID: time since 1970, 12 bits of the millisecond, 62 random bits."""
    return uuid.UUID(int=milliseconds << 80 | 0x7 << 76 | fraction << 64 | 0b10 << 62 | random)


def first_id_of(moment: datetime) -> uuid.UUID:
    """Return what every id is greater than that was made at this moment or later, and no other."""
    return uuid.UUID(int=int(moment.timestamp() * 1000) << 80)


class IdInAddress(UUIDConverter):
    """An id in either case: some languages write UUIDs in capital letters only."""

    regex = "[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"


register_converter(IdInAddress, "id")
