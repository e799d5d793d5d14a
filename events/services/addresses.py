"""Where deliveries may go: not to what only the shop's own machines can reach.

Whoever may make an integration could else have this server speak to others of its network, or to
the one that hands out a cloud's keys. An address is looked at when it is written down, as far as it
can be without asking anybody, and what its name leads to at every connection (`is_inside`).
"""

import functools
import ipaddress
import re
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import NamedTuple

from django.conf import settings

# By IANA's registry of special addresses, and told here, since what Python takes for global has
# changed with its versions.
_NOT_PUBLIC = [
    IPv4Network(network)
    for network in (
        *("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16"),
        *("172.16.0.0/12", "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16"),
        *("198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4"),
        # What a machine of Azure asks about itself.
        "168.63.129.16/32",
    )
]
_PUBLIC_IPV6 = IPv6Network("2000::/3")
# Tunnels and identifiers, examples, 6to4, and examples again.
_NOT_PUBLIC_IPV6 = [
    IPv6Network(network) for network in ("2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20")
]
# An IPv4 address in the clothes of IPv6: what is meant is in its last 32 bits.
_IPV4_WITHIN = [IPv6Network(network) for network in ("::ffff:0:0/96", "64:ff9b::/96")]

_SIGNS = re.compile(r"[!-\[\]-~]+")
_PLACE = re.compile(r"(\[[0-9a-f:.]+\]|[0-9a-z._-]+)(?::([0-9]{1,5}))?", re.IGNORECASE)
_LABEL = re.compile(r"[0-9a-z_]([0-9a-z_-]{0,61}[0-9a-z_])?")
# What some take for a number of an IPv4 address: decimal, octal, or hexadecimal.
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")
PORTS = {"http": 80, "https": 443}
# As long as the column.
_LENGTH_MAX = 2_000


class Target(NamedTuple):
    """A URL in its parts, each as it goes to the other side. An IPv6 host has no brackets."""

    scheme: str
    host: str
    port: int
    path: str


class Unfit(Exception):
    """A URL to which nothing is sent, and why."""


def fault_of(url: str) -> str:
    """Say why nothing may be sent to this URL; empty if nothing speaks against it so far."""
    try:
        target_of(url)
    except Unfit as unfit:
        return str(unfit)
    return ""


def target_of(url: str) -> Target:
    """Read a URL more strictly than browsers and libraries do, which differ where it is unclear.

    Raises: Unfit, whose text is a sentence.
    """
    if len(url) > _LENGTH_MAX:
        raise Unfit(f"The URL is longer than {_LENGTH_MAX} characters.")
    if not _SIGNS.fullmatch(url):
        raise Unfit("The URL has a space, or a sign that must be written as % and a number.")
    scheme, _, rest = url.partition("://")
    scheme = scheme.lower()
    if scheme != "https" and not (scheme == "http" and settings.HOLDFAST_DEMO):
        raise Unfit("The URL must begin with https://.")
    if "#" in rest:
        raise Unfit("The URL must have no # and nothing after it.")
    place = re.split(r"[/?]", rest, maxsplit=1)[0]
    if "@" in place:
        raise Unfit("The URL must have no user's name or password before its host.")
    found = _PLACE.fullmatch(place)
    if not found:
        raise Unfit("The URL names no host such as shop.example.com.")
    port = int(found[2] or PORTS[scheme])
    if not 1 <= port <= 65_535:
        raise Unfit("The URL's port must be from 1 to 65535.")
    host = _host(found[1].lower())
    path = rest[len(place) :]
    return Target(scheme, host, port, path if path.startswith("/") else f"/{path}")


def _host(written: str) -> str:
    """Raises: Unfit."""
    if written.startswith("["):
        host = str(_of_version_6(written[1:-1]))
    else:
        host = written
        labels = host.split(".")
        if _NUMBER.fullmatch(labels[-1]):
            host = str(_of_version_4(host))
        elif len(host) > 253 or not all(map(_LABEL.fullmatch, labels)):
            raise Unfit("The URL names no host such as shop.example.com.")
    if not is_named(host) and _is_of_own_network(host):
        raise Unfit(
            "The URL's host is inside this network. Whoever runs this server can allow it, by "
            "WEBHOOK_INSIDE_HOSTS."
        )
    return host


def _of_version_6(text: str) -> IPv6Address:
    try:
        return IPv6Address(text)
    except ValueError as error:
        raise Unfit("The URL's host is no IPv6 address.") from error


def _of_version_4(text: str) -> IPv4Address:
    try:
        return IPv4Address(text)
    except ValueError as error:
        raise Unfit("The URL's host is no IPv4 address such as 198.51.100.7.") from error


def _is_of_own_network(host: str) -> bool:
    """Tell of a host what is known without asking for its addresses."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return "." not in host or host.endswith(".localhost")
    return is_inside(host)


def is_named(host: str) -> bool:
    """Tell whether whoever runs the server has allowed this host by its name."""
    return host in _plain_ones(tuple(settings.WEBHOOK_INSIDE_HOSTS))


# Asked for each delivery, and always the same.
@functools.lru_cache(maxsize=8)
def _plain_ones(names: tuple[str, ...]) -> frozenset[str]:
    return frozenset(map(_plain, names))


def _plain(name: str) -> str:
    name = name.lower().strip("[]")
    try:
        return str(ipaddress.ip_address(name))
    except ValueError:
        return name


def is_inside(address: str) -> bool:
    """Tell whether an address that a name leads to is anything but a public one."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return True
    if isinstance(found, IPv6Address):
        if not any(found in network for network in _IPV4_WITHIN):
            return found not in _PUBLIC_IPV6 or any(found in each for each in _NOT_PUBLIC_IPV6)
        found = IPv4Address(int(found) & 0xFFFF_FFFF)
    return any(found in network for network in _NOT_PUBLIC)
