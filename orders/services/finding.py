"""What orders are found by: the words of a buyer and of the addresses, however they are written.

They are kept beside each order, in small letters without accents, because PostgreSQL takes accents
away only with an extension that not every server has.
"""

import re
import unicodedata
from collections.abc import Iterable, Mapping
from typing import Any

from django.contrib.postgres.search import SearchQueryField
from django.db.models import BooleanField, F, Func, Value
from django.db.models.functions import Cast

from orders.models import Order

# Of an order, and of a search.
WORDS_MAX, ASKED_MAX = 60, 10
LENGTH_MAX = 100
# What begins with fewer letters than these are too many to be of use: they must be the whole word.
PREFIX_MIN = 3

_NAMES = ("first_name", "last_name", "company_name", "city")
# Written with spaces or without.
_CODES = ("postcode", "phone_number")
# Letters that do not come apart into one without an accent and the accent.
_LETTERS = str.maketrans(
    {"æ": "ae", "œ": "oe", "ø": "o", "đ": "d", "ð": "d", "ł": "l", "þ": "th", "\u0131": "i"}
)
_WRITTEN_OUT = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "å": "aa"})
_WORD = re.compile(r"[^\W_]+")


def note(order: Order) -> None:
    """Keep the words that the order is found by. Whoever changes its buyer or addresses does so."""
    order.found_by = words(
        order.customer_name, order.customer_email, order.billing_address, order.shipping_address
    )


def words(name: str, email: str, *addresses: Mapping[str, Any]) -> str:
    """Collect what an order is found by, as the text of a tsvector."""
    # Most orders go to where the bill goes: what is the same is looked at once.
    texts = {name, email, *(str(each.get(field) or "") for each in addresses for field in _NAMES)}
    codes = {str(each.get(field) or "") for each in addresses for field in _CODES}
    found = set(_of(" ".join(texts)))
    for code in codes:
        parts = _WORD.findall(_folded(code))
        found.update([*parts, "".join(parts)])
    found.discard("")
    return " ".join(_quoted(word) for word in sorted(found)[:WORDS_MAX])


def matches(term: str) -> Func | None:
    """Make the condition that an order has all of these words, or begins of them; None of none."""
    asked = [*filter(None, map(_asked, _folded(term).split()))]
    if not asked:
        return None
    query = Cast(Value(" & ".join(asked[:ASKED_MAX])), SearchQueryField())
    return Func(
        F("found_by"),
        query,
        template="(%(expressions)s)",
        arg_joiner=" @@ ",
        output_field=BooleanField(),
    )


def _asked(chunk: str) -> str:
    """What stands between two spaces: an address of e-mail, or words, or the end of an address."""
    if "@" in chunk:
        return _beginning(chunk)
    parts = " & ".join(map(_beginning, _WORD.findall(chunk)[:ASKED_MAX]))
    return f"({parts} | {_beginning(chunk)})" if parts and "." in chunk else parts


def _beginning(word: str) -> str:
    return f"{_quoted(word)}:*" if len(word) >= PREFIX_MIN else _quoted(word)


def _of(text: str) -> Iterable[str]:
    """Take apart Jean-Luc, who is also found as JeanLuc; an address of e-mail stays whole, too."""
    written = [text, text.casefold().translate(_WRITTEN_OUT)] if not text.isascii() else [text]
    for chunk in " ".join(map(_folded, written)).split():
        if chunk.isalnum():
            yield chunk
        elif "@" in chunk:
            yield from (chunk, chunk.rpartition("@")[2])
        else:
            parts = _WORD.findall(chunk)
            yield from (*parts, "".join(parts))


def _folded(text: str) -> str:
    if text.isascii():
        return text.lower()
    apart = unicodedata.normalize("NFKD", unicodedata.normalize("NFC", text).casefold())
    return "".join(each for each in apart if not unicodedata.combining(each)).translate(_LETTERS)


def _quoted(word: str) -> str:
    return "'{}'".format(word[:LENGTH_MAX].replace("\\", "\\\\").replace("'", "''"))
