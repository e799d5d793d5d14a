"""What every line of the log passes through, whoever wrote it."""

from collections.abc import MutableMapping
from typing import Any


def loggers(level: str) -> dict[str, dict[str, str]]:
    """Return what is logged otherwise than at this level of LOG_LEVEL."""
    return {
        # A refused request is the client's affair; only what broke here is logged.
        "django.request": {"level": "ERROR"},
        # At DEBUG it writes down whole answers, with what a buyer confirms a payment with.
        "stripe": {"level": "INFO" if level == "DEBUG" else level},
    }


# Whoever calls may have chosen what stands in a line. A traceback is ours, and longer.
LENGTH_MAX = 1_000
TRACEBACK_LENGTH_MAX = 8_000


def shortened(logger: object, method: str, line: MutableMapping[str, Any]) -> Any:
    """Cut what is too long: of a traceback the middle, since its end tells the most."""
    for name, value in line.items():
        if name in {"exception", "stack"}:
            line[name] = _without_middle(str(value), TRACEBACK_LENGTH_MAX)
        elif not isinstance(value, int | float | None):
            text = value if isinstance(value, str) else repr(value)
            if len(text) > LENGTH_MAX:
                line[name] = _without_middle(text, LENGTH_MAX)
    return line


def _without_middle(text: str, most: int) -> str:
    if len(text) <= most:
        return text
    half = most // 2
    return f"{text[:half]} [...{len(text) - 2 * half} more...] {text[-half:]}"
