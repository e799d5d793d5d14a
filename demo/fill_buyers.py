"""Who buys in the large shop that `manage.py fill` makes: some often, most now and then."""

from functools import cache
from random import Random
from typing import NamedTuple

from orders.services import finding

BUYERS = 50_000
# So many of them buy one order in fifty, together.
REGULARS = 20
_FIRST_NAMES = (
    *("Ada", "Ben", "Chloë", "Davide", "Elif", "Fatima", "Gustav", "Hana", "Imre", "Júlia"),
    *("Karl", "Lucía", "Mateo", "Nora", "Olga", "Paweł", "Quentin", "Rosa", "Søren", "Zoë"),
)
_LAST_NAMES = (
    *("Andersson", "Böhm", "Çelik", "Dubois", "Evans", "Fernández", "García", "Haddad", "Ito"),
    *("Jansen", "Kowalski", "Lopez", "Müller", "Nguyen", "O'Brien", "Petrov", "Rossi", "Smith"),
    *("Tanaka", "Walker", "Yildiz", "Zhang"),
)
_TOWNS = (
    *(("Austin", "TX", "US"), ("Boston", "MA", "US"), ("Bristol", "BST", "GB")),
    *(("Denver", "CO", "US"), ("Genève", "GE", "CH"), ("Göteborg", "O", "SE")),
    *(("Kraków", "MA", "PL"), ("Lisboa", "LI", "PT"), ("Málaga", "MA", "ES")),
    *(("Nantes", "44", "FR"), ("Portland", "OR", "US"), ("Zürich", "ZH", "CH")),
)


class Buyer(NamedTuple):
    name: str
    email: str
    address: dict[str, str]
    # What their orders are found by, made once for all of them.
    words: str


def somebody(position: int, dice: Random) -> Buyer:
    """Pick who places the order at this position."""
    return _buyer(dice.randrange(BUYERS if position % 50 else REGULARS))


@cache
def _buyer(number: int) -> Buyer:
    first = _FIRST_NAMES[number % len(_FIRST_NAMES)]
    last = _LAST_NAMES[number // len(_FIRST_NAMES) % len(_LAST_NAMES)]
    city, region, country = _TOWNS[number % 7 + number // 7 % 6]
    name, email = f"{first} {last}", f"buyer{number}@example.com"
    address = {
        "first_name": first,
        "last_name": last,
        "line_1": f"{number % 180 + 1} Harbour Road",
        "postcode": f"{10_000 + number * 7 % 90_000}",
        "city": city,
        "region": region,
        "country": country,
    }
    return Buyer(name, email, address, finding.words(name, email, address, address))
