"""What a sku or barcode may hold, and how else it may be spelled."""

import pytest

from api import codes

ZERO_WIDTH_SPACE, BOM, NO_BREAK_SPACE = "\u200b", "\ufeff", "\u00a0"


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        ("TEA-TIN", "TEA-TIN"),
        (f" {BOM}TEA{NO_BREAK_SPACE}\t", "TEA"),
        (f"{ZERO_WIDTH_SPACE}TEA TIN\u202c", "TEA TIN"),
        ("CAFE\u0301", "CAF\u00c9"),
        ("", ""),
        (f"{ZERO_WIDTH_SPACE} {BOM}", ""),
    ],
)
def test_t25_what_is_around_a_code_and_not_of_it_goes(written, kept):
    assert codes.tidied(written) == kept
    assert codes.fault_of(kept) == ""


@pytest.mark.parametrize(
    ("sign", "name"),
    [
        (ZERO_WIDTH_SPACE, "zero width space (U+200B)"),
        (BOM, "zero width no-break space (U+FEFF)"),
        (NO_BREAK_SPACE, "no-break space (U+00A0)"),
        ("\u202e", "right-to-left override (U+202E)"),
        ("\u00ad", "soft hyphen (U+00AD)"),
        ("\u2009", "thin space (U+2009)"),
        ("\u2028", "line separator (U+2028)"),
        ("\u3164", "hangul filler (U+3164)"),
        ("\u180b", "mongolian free variation selector one (U+180B)"),
        ("\ufe0f", "variation selector-16 (U+FE0F)"),
        ("\t", "a control character (U+0009)"),
    ],
)
def test_t25_what_nobody_sees_in_a_code_is_named(sign, name):
    assert name in codes.fault_of(f"TEA{sign}TIN")


@pytest.mark.parametrize("code", ["TEA TIN", "TEA-TIN/2", "茶缶", "ÄÖ_1.5", "#42"])
def test_what_people_can_see_and_type_is_no_fault(code):
    assert codes.fault_of(code) == ""


def test_t25_a_upc_is_the_ean_that_begins_with_a_zero():
    all_of_it = {"012345678905", "0012345678905", "00012345678905"}

    assert [_narrow(number) for number in sorted(all_of_it)] == [all_of_it] * 3
    assert _narrow("96385074") == {
        *("96385074", "000096385074", "0000096385074", "00000096385074"),
    }
    assert _narrow("4006381333931") == {"4006381333931", "04006381333931"}


def _narrow(code: str) -> set[str]:
    return {each for each in codes.spellings(code) if each.isascii()}


@pytest.mark.parametrize("code", ["42", "0042", "12345678905", "01234567890X", "٠١٢٣٤٥٦٧"])
def test_other_numbers_keep_their_zeros(code):
    for each in codes.spellings(code):
        assert each.startswith(("0", "\uff10")) == code.startswith("0")


def test_a_code_is_spelled_without_what_is_not_seen_and_in_letters_of_usual_width():
    assert codes.spellings(f"\uff34EA{ZERO_WIDTH_SPACE}-TIN") >= {"TEA-TIN"}
    assert codes.spellings(f"TEA{NO_BREAK_SPACE}TIN") >= {"TEA TIN"}
    assert _narrow("TEA  TIN") == {"TEA  TIN", "TEA TIN"}
    assert codes.spellings("TEA-1") == {"TEA-1", "\uff34\uff25\uff21\uff0d\uff11"}
    assert codes.spellings("") == set()
