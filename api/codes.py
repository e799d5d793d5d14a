"""Codes that people type and machines scan: what they may hold, and how they may be spelled."""

import unicodedata

# What fills a cell or joins letters and is not seen, although Unicode calls it a letter or a mark.
_UNSEEN_LETTERS = frozenset(
    "\u034f\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u180f\u2800\u3164\uffa0"
)
# The lengths of EAN-8, UPC-A, EAN-13 and GTIN-14, which are one number with more or fewer zeros.
_GTIN_LENGTHS = (8, 12, 13, 14)
# East Asian keyboards write Latin letters and digits as wide as those around them, too.
_FULL_WIDTH = {sign: sign + 0xFEE0 for sign in range(ord("!"), ord("~") + 1)}


def tidied(code: str) -> str:
    """Compose its letters, and take away the spaces and unseen signs around it."""
    if _is_plain(code):
        return code.strip(" ")
    composed = unicodedata.normalize("NFC", code)
    seen = [place for place, sign in enumerate(composed) if sign != " " and not _is_unseen(sign)]
    return composed[seen[0] : seen[-1] + 1] if seen else ""


def fault_of(code: str) -> str:
    """Return why nobody could type a tidied code again, in words; "" if one can."""
    for sign in code:
        if sign != " " and _is_unseen(sign):
            name = unicodedata.name(sign, "a control character").lower()
            return (
                f"There is a sign in it that cannot be seen or typed: {name} (U+{ord(sign):04X}). "
                "Write the code without it."
            )
    return ""


def _is_unseen(sign: str) -> bool:
    return (
        # Controls, formats, halves of pairs; and every space and end of a line but the plain one.
        unicodedata.category(sign) in {"Cc", "Cf", "Cs", "Zl", "Zp", "Zs"}
        or sign in _UNSEEN_LETTERS
        or 0xFE00 <= ord(sign) <= 0xFE0F  # They choose how the letter before them is drawn.
        or 0xE0100 <= ord(sign) <= 0xE01EF
    )


def spellings(code: str) -> set[str]:
    """Return the ways to write a code, but for its case, each of which reads and scans the same."""
    shown = tidied(code if _is_plain(code) else _as_seen(code))
    # A page shows several spaces in a row as one.
    joined = " ".join(shown.split())
    wide = shown.translate(_FULL_WIDTH)
    return {code, tidied(code), shown, joined, wide, *_gtins(shown)} - {""}


def _is_plain(code: str) -> bool:
    """Most codes are, and files have hundreds of thousands of them."""
    return code.isascii() and code.isprintable()


def _as_seen(code: str) -> str:
    """Leave out what is not seen, and write letters and spaces of other widths as usual."""
    usual = unicodedata.normalize("NFKC", code)
    return "".join(sign for sign in usual if sign == " " or not _is_unseen(sign))


def _gtins(number: str) -> set[str]:
    """A scanner says a UPC-A as it is, or as an EAN-13 that begins with a zero."""
    if len(number) not in _GTIN_LENGTHS or not (number.isascii() and number.isdecimal()):
        return set()
    longest = number.zfill(max(_GTIN_LENGTHS))
    shorter = {longest[-length:] for length in _GTIN_LENGTHS}
    return {each for each in shorter if each.zfill(len(longest)) == longest}
