"""Where a parcel can be followed: at the carriers that are known here, or at an address of its own.

Any other carrier may be named. Its number is shown and leads nowhere.
"""

from collections.abc import Mapping
from urllib.parse import quote, urlsplit

ADDRESSES: Mapping[str, str] = {
    "Australia Post": "https://auspost.com.au/mypost/track/details/{}",
    "bpost": "https://track.bpost.cloud/btr/web/#/search?itemCode={}",
    "Canada Post": "https://www.canadapost-postescanada.ca/track-reperage/en#/search?searchFor={}",
    "DHL": "https://www.dhl.com/global-en/home/tracking.html?tracking-id={}",
    "DPD": "https://tracking.dpd.de/status/en_US/parcel/{}",
    "Evri": "https://www.evri.com/track/parcel/{}",
    "FedEx": "https://www.fedex.com/fedextrack/?trknbr={}",
    "GLS": "https://gls-group.com/GROUP/en/parcel-tracking?match={}",
    "La Poste": "https://www.laposte.fr/outils/suivre-vos-envois?code={}",
    "PostNord": "https://tracking.postnord.com/en/?id={}",
    "Royal Mail": "https://www.royalmail.com/track-your-item#/tracking-results/{}",
    "UPS": "https://www.ups.com/track?tracknum={}",
    "USPS": "https://tools.usps.com/go/TrackConfirmAction?tLabels={}",
}
_BY_NAME = {name.casefold(): address for name, address in ADDRESSES.items()}


def link_to(carrier: str, tracking: str) -> str:
    """Return where this parcel can be followed; nothing where that is not known."""
    if _is_address(tracking):
        return tracking
    address = _BY_NAME.get(carrier.strip().casefold())
    return address.format(quote(tracking, safe="")) if address and tracking else ""


def _is_address(tracking: str) -> bool:
    """Tell whether it may be linked as it is. Of any other kind, a link may be a program."""
    try:
        parts = urlsplit(tracking)
        return parts.scheme == "https" and bool(parts.hostname) and " " not in tracking
    except ValueError:
        return False
