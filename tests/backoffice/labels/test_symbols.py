"""Codes as a scanner reads them: each is drawn, and read by a decoder that is not ours."""

import pytest
import zxingcpp
from hypothesis import given, settings
from hypothesis import strategies as st

from backoffice.labels.symbols import Symbol, code_128, ean, is_code_128, is_ean, qr

# Dots a module, and rows of a code that has one.
DOTS, LINES = 3, 40
PLAIN = "".join(map(chr, range(33, 127)))


def read(symbol: Symbol) -> tuple[str, str]:
    """Draw what the symbol says, quiet zones and all, and scan it."""
    rows = symbol.rows * LINES if len(symbol.rows) == 1 else symbol.rows
    left, right = symbol.quiet
    around = [] if len(symbol.rows) == 1 else ["0" * symbol.width] * left
    wide = [*around, *("0" * left + row + "0" * right for row in rows), *around]
    dots = [bytes(255 * (dot == "0") for dot in row for _ in range(DOTS)) for row in wide]
    picture = b"".join(line for line in dots for _ in range(DOTS))
    shape = (len(wide) * DOTS, symbol.width * DOTS)
    [found] = zxingcpp.read_barcodes(memoryview(picture).cast("B", shape))
    return found.text, str(found.format)


@given(st.text(PLAIN + "0123456789" * 20, min_size=1, max_size=30))
@settings(deadline=None, max_examples=60, derandomize=True)
def test_code_128_says_any_ascii(text):
    assert read(code_128(text)) == (text, "Code 128")


@pytest.mark.parametrize(
    ("text", "values"),
    [("AB", 2), ("1234", 2), ("123456", 3), ("12345", 4), ("A1234", 4), ("A12345B", 7), ("0", 1)],
)
def test_pairs_of_digits_take_half_the_room(text, values):
    # A start and a check value beside them, eleven modules each, and thirteen to stop.
    assert len(code_128(text).rows[0]) == (values + 2) * 11 + 13


@pytest.mark.parametrize(
    ("digits", "text", "kind"),
    [
        ("4006381333931", "4006381333931", "EAN-13"),
        ("9780306406157", "9780306406157", "EAN-13"),
        ("96385074", "96385074", "EAN-8"),
        # A UPC-A is an EAN-13 that begins with a zero, to whoever reads it.
        ("036000291452", "0036000291452", "EAN-13"),
    ],
)
def test_an_ean_is_read_as_one(digits, text, kind):
    assert read(ean(digits)) == (text, kind)


@given(st.integers(0, 10**12 - 1))
@settings(deadline=None, max_examples=30, derandomize=True)
def test_any_ean_13_is_read(number):
    begun = f"{number:012}"
    [last] = [digit for digit in "0123456789" if is_ean(begun + digit)]

    assert read(ean(begun + last))[0] == begun + last


@pytest.mark.parametrize(
    "written", ["", "4006381333932", "400638133393", "1234567", "\u0664" * 13, "4006381333931 "]
)
def test_what_is_no_ean_is_known(written):
    assert not is_ean(written)


@pytest.mark.parametrize(
    "text", ["7", "SHIRT-NAVY-M", "Gr\xf6\xdfe 42", "\xc5\xc4\xd6-12", "\u03c9" * 100]
)
def test_a_qr_code_says_any_text(text):
    assert read(qr(text)) == (text, "QR Code")


@pytest.mark.parametrize(
    ("text", "can"), [("SHIRT 1", True), ("", False), ("Gr\xf6\xdfe", False), ("A\tB", False)]
)
def test_what_code_128_cannot_say_is_known(text, can):
    assert is_code_128(text) == can


def test_a_path_is_the_rows_beside_their_quiet_zone():
    assert Symbol(("1101",), (10, 7)).path == "M10 0.5h2M13 0.5h1"
    assert Symbol(("10", "11"), (4, 4)).path == "M4 4.5h1M4 5.5h2"
