"""Who the demo's story is about."""

from dataclasses import dataclass, replace
from random import Random

from api.actors import Actor
from api.tokens import shopper_of
from orders.services.orders import Buyer

MARIA = Actor("user", "maria", "Maria")
JONAS = Actor("user", "jonas", "Jonas")
STOREFRONT = Actor("shopper", "demo-storefront", shopper_of("Storefront"))
BACK_OFFICE = Actor("api_client", "demo", "Back office")

_COMES_BACK = 0.8


@dataclass(frozen=True)
class Customer:
    first_name: str
    last_name: str
    line_1: str
    postcode: str
    city: str
    region: str
    country: str
    company: str = ""
    # Whom it is sent to, if that is somebody else.
    to: "Customer | None" = None

    @property
    def buyer(self) -> Buyer:
        email = f"{self.first_name.lower()}@example.com"
        shipping = (self.to or self).address
        return Buyer(f"{self.first_name} {self.last_name}", email, self.address, shipping)

    @property
    def address(self) -> dict[str, str]:
        return {
            "first_name": self.first_name,
            "last_name": self.last_name,
            "company_name": self.company,
            "line_1": self.line_1,
            "line_2": "",
            "city": self.city,
            "postcode": self.postcode,
            "county": "",
            "region": self.region,
            "country": self.country,
        }


# They come back again and again.
CUSTOMERS = [
    Customer("Amara", "Okafor", "12 Quay Street", "04101", "Portland", "ME", "US"),
    Customer("Ben", "Carter", "8 Mill Lane", "02139", "Cambridge", "MA", "US"),
    Customer("Chiara", "Rossi", "Via del Porto 5", "16126", "Genova", "GE", "IT"),
    Customer("Daniel", "Kim", "431 Pine Street", "98101", "Seattle", "WA", "US"),
    Customer("Elif", "Çelik", "Hafenstraße 21", "20359", "Hamburg", "HH", "DE"),
    Customer("Farah", "Haddad", "77 Rue Peel", "H3C 2G9", "Montréal", "QC", "CA"),
    Customer("George", "Whitman", "3 Harbour Row", "BN1 1AA", "Brighton", "ESX", "GB"),
    Customer("Hana", "Nováková", "Nábřežní 14", "150 00", "Praha", "PR", "CZ"),
    Customer("Ines", "Duarte", "Rua da Praia 9", "4150-001", "Porto", "PO", "PT"),
    Customer("Jack", "Murphy", "26 Strand Road", "D04 X2N3", "Dublin", "D", "IE"),
    Customer("Kavya", "Rao", "190 Beach Avenue", "94121", "San Francisco", "CA", "US"),
    Customer("Lars", "Nilsson", "Kajen 2", "411 04", "Göteborg", "O", "SE"),
    Customer("Mei", "Tanaka", "55 Ocean Drive", "96815", "Honolulu", "HI", "US"),
]

# They find the shop once, or twice.
PASSING = [
    Customer("Aaliyah", "Brooks", "905 Congress Avenue", "78701", "Austin", "TX", "US"),
    Customer("Bruno", "Costa", "Rua Augusta 140", "1100-053", "Lisboa", "LI", "PT"),
    Customer("Clara", "Lindqvist", "Storgatan 8", "903 26", "Umeå", "AC", "SE"),
    Customer("Diego", "Fuentes", "Calle del Mar 31", "46003", "València", "V", "ES"),
    Customer("Emma", "Walsh", "14 Shop Street", "H91 E2RP", "Galway", "G", "IE", "Walsh & Sons"),
    Customer("Felix", "Brandt", "Am Markt 3", "18055", "Rostock", "MV", "DE"),
    Customer("Grace", "Nguyen", "2200 Larimer Street", "80205", "Denver", "CO", "US"),
    Customer("Henrik", "Dahl", "Bryggen 11", "5003", "Bergen", "46", "NO", "Dahl Båtbyggeri"),
    Customer("Isla", "Campbell", "27 Shore Street", "EH6 6QW", "Edinburgh", "EDH", "GB"),
    Customer("Juliette", "Moreau", "5 Quai de la Fosse", "44000", "Nantes", "44", "FR"),
    Customer("Kenji", "Sato", "6100 Wilshire Boulevard", "90048", "Los Angeles", "CA", "US"),
    Customer("Lucía", "Ortega", "88 Canal Street", "70130", "New Orleans", "LA", "US"),
]
# A friend's birthday is sent to the friend.
PASSING += [
    replace(customer, to=friend)
    for customer, friend in [(CUSTOMERS[1], PASSING[0]), (CUSTOMERS[6], PASSING[8])]
]

# Not one of the regulars.
SWINDLER = Customer("John", "Smith", "1 Main Street", "33101", "Miami", "FL", "US")


def somebody(dice: Random) -> Customer:
    """Pick a customer: mostly one of those who come back."""
    return dice.choice(CUSTOMERS if dice.random() < _COMES_BACK else PASSING)


def customer_named(first_name: str) -> Customer:
    return next(customer for customer in CUSTOMERS if customer.first_name == first_name)
