"""Which code comes on a label, and why no other."""

import pytest

from backoffice.labels.drawing import (
    BARCODE,
    CODE_128,
    EAN,
    QR,
    QR_BYTES_MAX,
    QR_CODE,
    SKU,
    code_for,
)
from backoffice.labels.papers import PAPERS

SMALL, WIDE = PAPERS["a4-65"], PAPERS["a4-24"]
LONG = "SHIRT-NAVY-COTTON-LARGE"


@pytest.mark.parametrize(
    ("wanted", "sku", "barcode", "kind", "text", "why"),
    [
        (SKU, "SHIRT", "4006381333931", CODE_128, "SHIRT", ""),
        (SKU, "4006381333931", "", CODE_128, "4006381333931", ""),
        (SKU, "Gr\xf6\xdfe", "", QR, "Gr\xf6\xdfe", "Code 128 has no such letters"),
        (SKU, LONG, "", QR, LONG, "Too long for Code 128 on this paper"),
        (BARCODE, "SHIRT", "4006381333931", EAN, "4006381333931", ""),
        (BARCODE, "SHIRT", "036000291452", EAN, "036000291452", ""),
        (BARCODE, "SHIRT", "4006381333932", CODE_128, "4006381333932", ""),
        (BARCODE, "SHIRT", "BOX-7", CODE_128, "BOX-7", ""),
        (BARCODE, "SHIRT", "", CODE_128, "SHIRT", "It has no barcode: its SKU is printed."),
        (QR_CODE, LONG, "4006381333931", QR, LONG, ""),
        (QR_CODE, "\u4e2d" * 100, "", None, "\u4e2d" * 100, "Too long for any code"),
    ],
)
def test_the_code_that_was_asked_for_comes_or_it_is_said_why_not(
    wanted, sku, barcode, kind, text, why
):
    code = code_for(wanted, sku, barcode, SMALL)

    assert (code.kind, code.text) == (kind, text)
    assert code.why.startswith(why)
    assert bool(code.why) == bool(why)


def test_what_is_too_long_for_one_paper_is_not_for_another():
    assert code_for(SKU, LONG, "", WIDE).kind == CODE_128


@pytest.mark.parametrize("paper", PAPERS.values(), ids=PAPERS)
def test_whatever_is_drawn_fits_its_paper_and_is_not_too_fine(paper):
    codes = [
        code_for(BARCODE, "", "4006381333931", paper),
        *(code_for(SKU, "S" * length, "", paper) for length in range(1, 40)),
        code_for(QR_CODE, "s" * QR_BYTES_MAX, "", paper),
        code_for(QR_CODE, "s", "", paper),
    ]

    for code in codes:
        dot = code.width_mm / code.symbol.width
        assert code.width_mm <= (paper.square if code.is_square else paper.room)
        assert round(dot, 3) >= (0.26 if code.is_square else 0.19)
