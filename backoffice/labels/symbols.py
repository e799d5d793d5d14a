"""Codes that scanners read: Code 128, EAN and QR, as rows of black and white modules."""

import re
from dataclasses import dataclass

import segno

# The widths of bars and gaps of each value of Code 128, from ISO/IEC 15417; the last one stops.
_CODE_128 = re.findall(
    "[0-9]+",
    "212222 222122 222221 121223 121322 131222 122213 122312 132212 221213 221312 231212 112232 "
    "122132 122231 113222 123122 123221 223211 221132 221231 213212 223112 312131 311222 321122 "
    "321221 312212 322112 322211 212123 212321 232121 111323 131123 131321 112313 132113 132311 "
    "211313 231113 231311 112133 112331 132131 113123 113321 133121 313121 211331 231131 213113 "
    "213311 213131 311123 311321 331121 312113 312311 332111 314111 221411 431111 111224 111422 "
    "121124 121421 141122 141221 112214 112412 122114 122411 142112 142211 241211 221114 413111 "
    "241112 134111 111242 121142 121241 114212 124112 124211 411212 421112 421211 212141 214121 "
    "412121 111143 111341 131141 114113 114311 411113 411311 113141 114131 311141 411131 211412 "
    "211214 211232 2331112",
)
_TO_PAIRS, _TO_LETTERS, _START_LETTERS, _START_PAIRS, _STOP = 99, 100, 104, 105, 106
# Pairs of digits take half the room, if there are two of them and no digit is left over.
_PAIRS = "(?:[0-9]{2}){2,}(?![0-9])"
_PARTS = re.compile(f"{_PAIRS}|(?:(?!{_PAIRS}).)+")

# The digits of an EAN on its left side, from ISO/IEC 15420; on the right they are inverted, and
# where the first digit says so they are read backwards from there.
_EAN = re.findall(
    "[01]+",
    "0001101 0011001 0010011 0111101 0100011 0110001 0101111 0111011 0110111 0001011",
)
_BACKWARDS = re.findall(
    "[.x]+",
    "...... ..x.xx ..xx.x ..xxx. .x..xx .xx..x .xxx.. .x.x.x .x.xx. .xx.x.",
)
_INVERTED = str.maketrans("01", "10")


@dataclass(frozen=True)
class Symbol:
    """Rows of modules, `1` black, without the quiet zone, and how wide that is on either side."""

    rows: tuple[str, ...]
    quiet: tuple[int, int]

    @property
    def width(self) -> int:
        """Return the number of modules in a row, quiet zones included."""
        return len(self.rows[0]) + sum(self.quiet)

    @property
    def height(self) -> int:
        """Return the number of rows, quiet zones included, of a code that is read in both ways."""
        return len(self.rows) + sum(self.quiet) if len(self.rows) > 1 else 1

    @property
    def path(self) -> str:
        """Draw it as an SVG path of lines one module thick, to be stroked."""
        left, top = self.quiet[0], self.quiet[0] if len(self.rows) > 1 else 0
        return "".join(
            f"M{left + bar.start()} {top + number}.5h{bar.end() - bar.start()}"
            for number, row in enumerate(self.rows)
            for bar in re.finditer("1+", row)
        )


def is_code_128(text: str) -> bool:
    """Tell whether Code 128 can say it: in ASCII, without controls."""
    return bool(text) and text.isascii() and text.isprintable()


def code_128(text: str) -> Symbol:
    assert is_code_128(text)
    values: list[int] = []
    for part in _PARTS.findall(text):
        if re.fullmatch(_PAIRS, part):
            values.append(_TO_PAIRS if values else _START_PAIRS)
            values += [int(part[place : place + 2]) for place in range(0, len(part), 2)]
        else:
            values.append(_TO_LETTERS if values else _START_LETTERS)
            values += [ord(letter) - 32 for letter in part]
    check = values[0] + sum(place * value for place, value in enumerate(values))
    widths = "".join(_CODE_128[value] for value in [*values, check % 103, _STOP])
    bars = "".join("10"[place % 2] * int(width) for place, width in enumerate(widths))
    return Symbol((bars,), (10, 10))


def is_ean(digits: str) -> bool:
    """Tell whether it is an EAN-13, an EAN-8 or a UPC-A whose last digit proves the others."""
    if not (digits.isascii() and digits.isdecimal() and len(digits) in (8, 12, 13)):
        return False
    weighed = (int(digit) * (3, 1)[place % 2] for place, digit in enumerate(digits[-2::-1]))
    return (sum(weighed) + int(digits[-1])) % 10 == 0


def ean(digits: str) -> Symbol:
    """Draw an EAN-13 or EAN-8; a UPC-A is the EAN-13 that begins with a zero."""
    assert is_ean(digits)
    if len(digits) == 8:
        first, left, right, quiet = "0", digits[:4], digits[4:], (7, 7)
    else:
        digits = digits.zfill(13)
        first, left, right, quiet = digits[0], digits[1:7], digits[7:], (11, 7)
    inverted = [_EAN[int(digit)].translate(_INVERTED) for digit in right]
    begun = [
        _EAN[int(digit)].translate(_INVERTED)[::-1] if is_backwards == "x" else _EAN[int(digit)]
        for digit, is_backwards in zip(left, _BACKWARDS[int(first)], strict=False)
    ]
    return Symbol(("".join(["101", *begun, "01010", *inverted, "101"]),), quiet)


def qr(text: str) -> Symbol:
    """Draw a QR code of which a seventh may be dirty or torn.

    The pattern that is laid over it is not chosen among eight, which takes many times as long:
    readers read each of them. Letters beyond ASCII are said to be UTF-8, or readers guess.
    """
    plain = text.isascii()
    encoding = None if plain else "utf-8"
    made = segno.make_qr(
        text, error="m", boost_error=False, mask=2, encoding=encoding, eci=not plain
    )
    rows = tuple("".join("1" if module else "0" for module in row) for row in made.matrix)
    return Symbol(rows, (4, 4))
