"""Who carries the demo's parcels, and under which numbers."""

from random import Random
from typing import NamedTuple


class Parcel(NamedTuple):
    carrier: str
    tracking: str


NO_PARCEL = Parcel("", "")
# By country, each with what its numbers begin with and how many digits follow.
_CARRIERS = {
    "US": [("USPS", "9400", 18), ("UPS", "1Z", 16)],
    "CA": [("UPS", "1Z", 16)],
    "DE": [("DHL", "00340434", 12)],
    "GB": [("Royal Mail", "QH", 9)],
    "SE": [("PostNord", "UU", 9)],
    "NO": [("PostNord", "UU", 9)],
    "FR": [("La Poste", "6A", 11)],
}
_ANYWHERE = [("DHL", "JD01", 14)]


def parcel_to(country: str, dice: Random) -> Parcel:
    carrier, begins, digits = dice.choice(_CARRIERS.get(country, _ANYWHERE))
    return Parcel(carrier, f"{begins}{dice.randrange(10**digits):0{digits}}")
