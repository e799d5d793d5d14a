"""Whether anybody may be told: a copy of a shop tells nobody, as it charges nobody.

Its receivers and its customers are the shop's, which has told them already, or will.
"""

from collections.abc import Callable

_is_a_copy: Callable[[], bool] | None = None
_remember: Callable[[], None] | None = None


def let_be_while(is_a_copy: Callable[[], bool], *, remember: Callable[[], None]) -> None:
    """Tell nobody while this is true, which an app above knows: that the database is a copy.

    `remember` has it known by where it is now, from which a copy differs.
    """
    global _is_a_copy, _remember
    _is_a_copy, _remember = is_a_copy, remember


def remember() -> None:
    """Remember where the database is, as soon as there is somebody to be told.

    A shop without a payment gateway has nothing else that a copy of it could be known by.
    """
    if _remember is not None:
        _remember()


def is_closed() -> bool:
    """Tell whether nothing may go out. It asks the database, and says in the log that it is so."""
    return _is_a_copy is not None and _is_a_copy()
