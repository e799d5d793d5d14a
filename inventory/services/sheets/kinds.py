"""What a kind of sheet brings to the road that all of them take."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, Literal, TypeVar

from inventory.models import Sheet, SheetLine

Line = TypeVar("Line", bound=SheetLine)


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
    # What can be said only when all lines have been checked.
    finish_checking: Callable[[Sheet], None] = _nothing
