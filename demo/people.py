"""Who the demo's story is about."""

from dataclasses import dataclass

from api.actors import Actor
from api.tokens import shopper_of
from orders.services.orders import Buyer

MARIA = Actor("user", "maria", "Maria")
JONAS = Actor("user", "jonas", "Jonas")
STOREFRONT = Actor("shopper", "demo-storefront", shopper_of("Storefront"))
BACK_OFFICE = Actor("api_client", "demo", "Back office")


@dataclass(frozen=True)
class Customer:
    first_name: str
    last_name: str
    line_1: str
    postcode: str
    city: str
    region: str
    country: str

    @property
    def buyer(self) -> Buyer:
        address = {
            "first_name": self.first_name,
            "last_name": self.last_name,
            "company_name": "",
            "line_1": self.line_1,
            "line_2": "",
            "city": self.city,
            "postcode": self.postcode,
            "county": "",
            "region": self.region,
            "country": self.country,
        }
        email = f"{self.first_name.lower()}@example.com"
        return Buyer(f"{self.first_name} {self.last_name}", email, address, address)


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

# Not one of the regulars.
SWINDLER = Customer("John", "Smith", "1 Main Street", "33101", "Miami", "FL", "US")


def customer_named(first_name: str) -> Customer:
    return next(customer for customer in CUSTOMERS if customer.first_name == first_name)
