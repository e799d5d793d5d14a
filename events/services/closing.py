"""Whether anybody may be told: a copy of a shop tells nobody, as it charges nobody.

Its receivers and its customers are the shop's, which has told them already, or will.
"""

from collections.abc import Callable

_is_a_copy: Callable[[], bool] | None = None


def let_be_while(is_a_copy: Callable[[], bool]) -> None:
    """Tell nobody while this is true, which an app above knows: that the database is a copy."""
    global _is_a_copy
    _is_a_copy = is_a_copy


def is_closed() -> bool:
    """Tell whether nothing may go out. It asks the database, and says in the log that it is so."""
    return _is_a_copy is not None and _is_a_copy()
