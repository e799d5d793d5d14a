"""What a kind of sheet brings to the road that all of them take."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Literal, TypeVar

from inventory.models import Sheet, SheetLine

Line = TypeVar("Line", bound=SheetLine)
# What is known of each kind of sheets.
Kinds = Mapping[Sheet.Kind, "Kind[Any]"]

# What separates the words of a name, and what a program that does not know it leaves around one.
_BETWEEN_WORDS = re.compile(r"[\s_./:()\[\]\ufeff\"-]+")


def normalised(name: str) -> str:
    """Write the name of a column as it is known: Counted at as counted_at."""
    return _BETWEEN_WORDS.sub("_", name.lower()).strip("_")


def _nothing(sheet: Sheet) -> None:
    """Most kinds know of each line all there is to say when they have seen its batch."""


@dataclass(frozen=True)
class Column:
    """What a column of a file may be."""

    # The name by which it is known, in lower case and with _ between words: so files may write it,
    # and so it stands in the sheet's columns.
    name: str
    # What people choose it by.
    label: str
    # How other programs name it. A file that does is asked about once: "On hand" may be what was
    # counted, or what the books say.
    other_names: Sequence[str] = ()
    required: bool = False
    holds: Literal["text", "whole number", "money", "moment"] = "text"


@dataclass(frozen=True)
class Kind(Generic[Line]):
    """What is done with a batch of lines in each state, inside the batch's transaction.

    The sheet is locked. Each sets what the lines came to, and adds to the sums of the sheet.
    """

    # Say what applying would do. Nothing else is locked, and nothing is changed.
    check: Callable[[Sheet, Sequence[Line]], None]
    apply: Callable[[Sheet, Sequence[Line]], None]
    revert: Callable[[Sheet, Sequence[Line]], None]
    # What its files may have. Asked for whenever it is needed: currencies come and go.
    columns: Callable[[], Sequence[Column]]
    # One of these columns must be there: by them a line names its product.
    named_by: Sequence[str] = ("sku",)
    # What its exports have for people to read: columns that are not looked at.
    not_read: Sequence[str] = ()
    # The fields of its lines that say what is wanted: what is tried again has the same.
    wanted: Sequence[str] = ("product_id",)
    # What can be said only when all lines have been checked.
    finish_checking: Callable[[Sheet], None] = _nothing
