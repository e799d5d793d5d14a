"""By which words of its buyer and addresses an order is found."""

import pytest

from orders.models import Order
from orders.services import finding
from orders.services.orders import Buyer
from tests.factories import HOME, product, unpaid_order


def words(name: str = "", email: str = "", *addresses: dict[str, str]) -> set[str]:
    """The words as they are kept, without their quotes."""
    return {word.strip("'") for word in finding.words(name, email, *addresses).split()}


def test_of_names_and_places_each_word_is_kept_without_accents_and_however_it_is_written():
    bjork = {"bjork", "bjoerk", "sohne", "soehne"}
    lucy = {"o", "brien", "luczak", "obrienluczak"}
    codes = {"sw1a", "1aa", "sw1a1aa", "49", "170", "555", "01", "4917055501"}

    assert words("", "", HOME) == {"zoe", "sao", "paulo", *bjork, *lucy, *codes}


def test_an_address_of_e_mail_is_found_as_a_whole_and_by_where_it_is():
    assert words("Ada", "Ada.B@Example.COM") == {"ada", "ada.b@example.com", "example.com"}
    assert words("", '"a@b"@x.org') == {'"a@b"@x.org', "x.org"}


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        ("Ærøskøbing", {"aeroskobing"}),
        ("Straße", {"strasse"}),
        ("ÅNGSTRÖM", {"angstrom", "aangstroem"}),
        ("Œuvre đak Ðorðe Þór", {"oeuvre", "dak", "dorde", "thor"}),
        ("ﬁne Ⅳ", {"fine", "iv"}),
        ("Zoe\u0308", {"zoe"}),
        ("- & '", set()),
        ("", set()),
    ],
)
def test_letters_are_kept_as_people_without_them_type_them(written, kept):
    assert words(written) == kept


def test_what_is_no_word_to_the_database_is_quoted():
    assert finding.words("", "o'b\\c@x") == r"'o''b\\c@x' 'x'"


def test_of_very_many_words_some_are_kept():
    many = " ".join(f"w{number}" for number in range(100))

    assert len(words(many)) == finding.WORDS_MAX


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("term", "is_found"),
    [
        ("Zoë", True),
        ("zo", False),
        ("bri", True),
        ("o'brien luczak", True),
        ("brien smith", False),
        ("sw1a1aa", True),
        ("zoe@ex", True),
        ("example.c", True),
        ("zoe. paulo", True),
        ("aulo", False),
        ("a'b\\c@", False),
    ],
)
def test_an_order_is_found_by_all_words_of_a_search_or_by_how_they_begin(term, is_found):
    shirt = product(9)
    zoes = unpaid_order({shirt: 1}, buyer=Buyer("Zoë", "zoe@example.com", {}, HOME))
    unpaid_order({shirt: 1}, buyer=Buyer("Bob", "bob@other.org"))

    found = Order.objects.filter(finding.matches(term))

    assert list(found) == ([zoes] if is_found else [])


@pytest.mark.django_db
def test_both_addresses_find_an_order_and_so_does_its_buyer():
    order = unpaid_order({product(9): 1}, buyer=Buyer("Ada", "ada@x.org"))
    order.billing_address, order.shipping_address = {"city": "Ulm"}, {"city": "Bonn"}

    finding.note(order)

    assert order.found_by == "'ada' 'ada@x.org' 'bonn' 'ulm' 'x.org'"


@pytest.mark.parametrize("term", ["", "  ", "- &", "."])
def test_nothing_is_looked_for_by_what_has_no_word(term):
    assert finding.matches(term) is None
