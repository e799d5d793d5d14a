import functools
import ipaddress
import os
import sys
from typing import Any

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.wsgi import get_wsgi_application
from django.http.request import split_domain_port, validate_host
from environs import EnvError

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
try:
    _django = get_wsgi_application()
except (EnvError, ImproperlyConfigured) as error:
    sys.exit(f"Nothing runs with this environment: {error}")


def _require_a_closed_shop() -> None:
    """Raises: SystemExit, with what leaves the shop open. The demo answers this machine alone."""
    from api import checks  # The apps are loaded only now.

    if not settings.HOLDFAST_DEMO and (found := checks.what_leaves_the_shop_open()):
        lines = "\n".join(str(message) for message in found)
        sys.exit(f"Holdfast does not serve a shop that is open to strangers:\n{lines}")


_require_a_closed_shop()


def application(environ: dict[str, Any], start_response: Any) -> Any:
    """Hand a request over to Django, whose body is there or comes from somebody known."""
    if settings.HOLDFAST_DEMO and not _comes_from_this_machine(environ):
        start_response("403 Forbidden", [("Content-Type", "text/plain; charset=utf-8")])
        return [b"The demo's passwords and keys are public, so it answers this machine alone.\n"]
    return _django(environ, start_response)


def _comes_from_this_machine(environ: dict[str, Any]) -> bool:
    """Tell by the caller's address and, since a tunnel calls from here too, by the host's name."""
    host, _ = split_domain_port(environ.get("HTTP_HOST", "localhost"))
    return _is_near(environ.get("REMOTE_ADDR", "")) and validate_host(host, settings.ALLOWED_HOSTS)


@functools.lru_cache(maxsize=16)
def _is_near(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False
