"""Which product is meant by a code that people type and machines scan."""

import pytest
from django.db import connection

from inventory.errors import CodeAmbiguous, CodeUnknown
from inventory.models import Product
from inventory.services import codes
from tests.factories import product
from tests.http import statements
from tests.roles import as_owner

pytestmark = pytest.mark.django_db

UPC, EAN, GTIN = "012345678905", "0012345678905", "00012345678905"


def named(sku: str = "", barcode: str = "") -> codes.Named:
    [found] = codes.products_named([(sku, barcode)])
    return found


@pytest.mark.parametrize("scanned", ["mug-blue", "MUG-BLUE", " Mug-Blue\u200b", "\uff2dUG-BLUE"])
def test_t25_case_and_what_is_not_seen_make_no_difference_to_a_scanner(scanned):
    mug = product(sku="MUG-BLUE", barcode="Abc-9")

    assert codes.product_scanned(scanned) == mug.pk
    assert codes.product_scanned("aBC-9") == mug.pk


@pytest.mark.parametrize("stored", [UPC, EAN, GTIN])
@pytest.mark.parametrize("scanned", [UPC, EAN, GTIN])
def test_t25_a_upc_is_found_by_its_ean_and_the_other_way_round(stored, scanned):
    by_barcode = product(barcode=stored)
    assert codes.product_scanned(scanned) == by_barcode.pk
    assert named(barcode=scanned).product_id == by_barcode.pk

    by_sku = product(sku=stored)
    assert codes.product_scanned(stored) == by_sku.pk
    assert named(sku=scanned).product_id == by_sku.pk


def test_of_two_that_read_the_same_each_is_found_by_its_own_spelling_and_none_by_a_third():
    loud, quiet = product(sku="TEA-TIN"), product(sku="tea-tin")

    assert codes.product_scanned("TEA-TIN") == loud.pk
    assert codes.product_scanned("tea-tin") == quiet.pk
    assert codes.product_scanned("Tea-Tin") is None
    assert named("tea-tin").product_id == quiet.pk
    assert named("Tea-Tin").error.startswith("2 products have this sku in other spellings")


def test_a_barcode_of_several_means_none_also_in_another_spelling():
    first, second = product(sku="A", barcode=UPC), product(sku="B", barcode=EAN)
    product(sku="C", barcode="SHARED")
    product(sku="D", barcode="SHARED")

    assert codes.product_scanned(UPC) == first.pk
    assert codes.product_scanned(EAN) == second.pk
    assert codes.product_scanned(GTIN) is None
    assert codes.product_scanned("SHARED") is None
    assert codes.product_scanned("shared") is None
    assert named(barcode=GTIN).error == "2 products have this barcode: write the sku."


def test_a_sku_goes_before_a_barcode_but_only_if_it_is_spelled_so():
    by_sku = product(sku="X-1")
    by_barcode = product(sku="Y", barcode="x-1")

    assert codes.product_scanned("X-1") == by_sku.pk
    assert codes.product_scanned("x-1") == by_barcode.pk
    assert codes.product_scanned("x-1 ") == by_barcode.pk


@pytest.mark.parametrize("scanned", ["", " ", "\x00", "\ud800", "unknown", "\u200b"])
def test_what_is_no_code_finds_nothing(scanned):
    product(sku="A")

    assert codes.product_scanned(scanned) is None


def test_t25_a_code_in_full_width_is_found_by_the_usual_letters_and_the_other_way_round():
    narrow = product(sku="TEA-1")
    wide = product(sku="\uff2d\uff35\uff27\uff0d\uff11")

    assert codes.product_scanned("\uff34\uff25\uff21\uff0d\uff11") == narrow.pk
    assert codes.product_scanned("MUG-1") == wide.pk
    assert [each.id for each in codes.look_alikes(["MUG-1"])] == [wide.pk]


def test_a_deleted_product_is_not_meant():
    gone = product(sku="GONE", barcode="123")
    Product.objects.filter(pk=gone.pk).update(archived_at=gone.created_at)

    assert codes.product_scanned("gone") is None
    assert codes.look_alikes(["gone", "123"]) == []


def test_zeros_that_a_spreadsheet_took_are_not_made_up():
    product(sku="0042", barcode=EAN)

    assert codes.product_scanned("42") is None
    assert codes.product_scanned("12345678905") is None


def test_what_was_stored_before_codes_were_tidied_is_found_as_it_is():
    odd = product(sku="TEA\u200bTIN")

    assert codes.product_scanned("TEA\u200bTIN") == odd.pk
    assert codes.ids_by_sku(["TEA\u200bTIN"]) == {"TEA\u200bTIN": odd.pk}


def test_look_alikes_are_those_with_the_code_as_sku_or_barcode():
    mug = product(sku="mug", barcode=UPC)
    product(sku="other")

    for written in ("MUG", EAN, UPC, "mug"):
        assert [each.id for each in codes.look_alikes([written])] == [mug.pk]
        assert codes.taken([written, "free"]) == {written}
    assert codes.look_alikes(["mug"], besides=mug.pk) == []
    assert codes.look_alikes([""]) == []


def test_many_codes_cost_as_many_statements_as_one():
    one, many = [("a", "1")], [(f"a{n}", f"{n}") for n in range(30)]

    assert statements(lambda: codes.products_named(one)) == 1
    assert statements(lambda: codes.products_named(many)) == 1


_MANY = """
INSERT INTO inventory_product (id, name, sku, slug, description, status, commodity_type, barcode,
    image_url, created_at, updated_at)
SELECT gen_random_uuid(), 'n', 's' || n, 's' || n, '', 'live', 'physical', n, '', now(), now()
FROM generate_series(1, 3000) AS n
"""


def test_each_look_up_has_an_index():
    with as_owner(), connection.cursor() as cursor:
        cursor.execute(_MANY)
        cursor.execute("ANALYZE inventory_product")
        # A few thousand rows are read from end to end as fast, and by another index almost so.
        cursor.execute("SET LOCAL enable_seqscan = off")
        cursor.execute("SET LOCAL enable_bitmapscan = off")
        cursor.execute(f"EXPLAIN {codes._SPELLED_ALIKE}", [["sku"], ["a"], ["a"]])
        plan = "\n".join(row[0] for row in cursor.fetchall())

    assert "product_sku_any_case" in plan
    assert "product_barcode_any_case" in plan


def test_a_product_is_named_by_its_sku_its_barcode_or_both():
    mug, shirt = product(sku="MUG", barcode="111"), product(sku="SHIRT", barcode="222")
    product(sku="T1", barcode="333")
    product(sku="T2", barcode="333")

    found = codes.products_named(
        [("MUG", ""), ("", "222"), ("MUG", "111"), ("shirt", "222"), ("T2", "333")]
    )

    assert [(each.product_id, each.error) for each in found[:4]] == [
        *((mug.pk, ""), (shirt.pk, ""), (mug.pk, ""), (shirt.pk, ""))
    ]
    assert found[0].made_at == found[2].made_at == mug.created_at
    assert found[1].made_at == shirt.created_at
    assert (found[4].product_id, found[4].error) == (Product.objects.get(sku="T2").pk, "")


@pytest.mark.parametrize(
    ("sku", "barcode", "meant", "error"),
    [
        ("X", "", "", "No product has this sku."),
        ("X", "999", "", "No product has this sku."),
        ("X", "111", "MUG", "No product has this sku. The barcode is that of MUG."),
        ("X", "333", "", "No product has this sku. The barcode is that of T1 and 2 more."),
        ("X", "444", "", "No product has this sku. The barcode is that of U1 and 1 more."),
        ("MUG", "999", "MUG", "No product has this barcode: correct it, or leave it empty."),
        (
            "MUG",
            "222",
            "",
            "The barcode is that of SHIRT, and not of MUG: correct one of the two, or leave it "
            "empty.",
        ),
        (
            "MUG",
            "333",
            "",
            "The barcode is that of T1 and 2 more, and not of MUG: correct one of the two, or "
            "leave it empty.",
        ),
        ("T1", "", "T1", ""),
        (
            "Tea-Tin",
            "",
            "",
            "2 products have this sku in other spellings: write it as one of them has it.",
        ),
        ("", "999", "", "No product has this barcode."),
        ("", "333", "", "3 products have this barcode: write the sku."),
    ],
)
def test_whoever_is_not_named_for_certain_is_not_meant(sku, barcode, meant, error):
    product(sku="MUG", barcode="111")
    product(sku="SHIRT", barcode="222")
    for each in ("T1", "T2", "T3", "U1", "U2"):
        product(sku=each, barcode="333" if each[0] == "T" else "444")
    product(sku="TEA-TIN")
    product(sku="tea-tin")

    found = named(sku, barcode)

    product_id = Product.objects.get(sku=meant).pk if meant else None
    assert (found.product_id, found.error) == (product_id, error)
    assert (found.made_at is None) == (meant == "")


def test_what_a_person_has_scanned_is_one_product_or_said_to_be_none_or_several():
    mug = product(sku="MUG", barcode="111")
    for sku in ("A", "B"):
        product(sku=sku, barcode="333")

    assert codes.scanned("111").id == mug.pk
    with pytest.raises(CodeUnknown, match="999"):
        codes.scanned("999")
    with pytest.raises(CodeAmbiguous, match=r"333.*A.*B"):
        codes.scanned("333")


def test_skus_that_programs_write_are_found_as_they_are_or_tidied():
    odd, plain = product(sku="B"), product(sku="A")
    Product.objects.filter(pk=odd.pk).update(sku="A\u200b")
    product(sku="OTHER")

    found = codes.ids_by_sku(["A\u200b", "A", " A ", "a", "NONE"])

    assert found == {"A\u200b": odd.pk, "A": plain.pk, " A ": plain.pk}


def test_zeros_before_a_number_are_thought_of_up_to_five():
    for sku in ("042", "0000043", "00000044", "A5", "0A5", "45"):
        product(sku=sku)
    gone = product(sku="046")
    Product.objects.filter(pk=gone.pk).update(archived_at=gone.created_at)

    asked = ["42", "43", "44", "A5", "45", "46", "\uff14\uff12"]

    assert codes.with_zeros(asked) == {"42": "042", "43": "0000043"}
    assert codes.with_zeros(["A5"]) == {}
