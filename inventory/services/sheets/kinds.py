"""What a kind of sheet brings to the road that all of them take."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from inventory.models import Sheet, SheetLine

Line = TypeVar("Line", bound=SheetLine)


def _nothing(sheet: Sheet) -> None:
    """Most kinds know of each line all there is to say when they have seen its batch."""


@dataclass(frozen=True)
class Kind(Generic[Line]):
    """What is done with a batch of lines in each state, inside the batch's transaction.

    The sheet is locked. Each sets what the lines came to, and adds to the sums of the sheet.
    """

    # Say what applying would do. Nothing else is locked, and nothing is changed.
    check: Callable[[Sheet, Sequence[Line]], None]
    apply: Callable[[Sheet, Sequence[Line]], None]
    revert: Callable[[Sheet, Sequence[Line]], None]
    # What can be said only when all lines have been checked.
    finish_checking: Callable[[Sheet], None] = _nothing
