"""Stripe's form encoding: `metadata[order]=7`, `created[gte]=5`, `payment_method_types[0]=card`."""

import re
from typing import Any
from urllib.parse import parse_qsl

from tests.fake_stripe.errors import BadParameters

Form = dict[str, Any]


def parsed(encoded: str) -> Form:
    form: Form = {}
    for name, text in parse_qsl(encoded, keep_blank_values=True):
        inner = form
        *above, last = [part for part in re.split(r"[\[\]]+", name) if part]
        for part in above:
            inner = inner.setdefault(part, {})
        inner[last] = text
    return form


def require_known(form: Form, *known: str) -> None:
    """Refuse what Stripe, or this fake, knows nothing of, rather than overlook it."""
    for name in form:
        if name not in known:
            raise BadParameters(
                f"Received unknown parameter: {name}", code="parameter_unknown", param=name
            )


def text(form: Form, name: str, default: str | None = None) -> str:
    found = form.get(name, default)
    if found is None or found == "":
        raise BadParameters(
            f"Missing required param: {name}.", code="parameter_missing", param=name
        )
    return str(found)


def choice(form: Form, name: str, *choices: str) -> str:
    """Read one of some words; the first is the default."""
    found = text(form, name, choices[0])
    if found not in choices:
        raise BadParameters(f"Invalid {name}: must be one of {', '.join(choices)}", param=name)
    return found


def number(form: Form, name: str, default: int | None = None, *, at_least: int = 1) -> int:
    found = text(form, name, None if default is None else str(default))
    if not re.fullmatch(r"-?\d+", found) or int(found) < at_least:
        raise BadParameters(
            f"Invalid integer: {found}", code="parameter_invalid_integer", param=name
        )
    return int(found)


def metadata(form: Form) -> dict[str, str]:
    given = form.get("metadata") or {}
    if any(len(name) > 40 or len(value) > 500 for name, value in given.items()):
        raise BadParameters("Metadata is too long.", param="metadata")
    return dict(given)


def flag(form: Form, name: str) -> bool:
    return choice(form, name, "false", "true") == "true"
