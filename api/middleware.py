"""What every request passes through: its id, what is told of it, compression, and what browsers
may do with answers.
"""

import re
from collections.abc import Callable
from typing import Any

import structlog
from csp.constants import HEADER
from csp.middleware import CSPMiddleware, PolicyParts
from csp.utils import build_policy
from django.core.exceptions import DisallowedHost, RequestDataTooBig, TooManyFieldsSent
from django.http import HttpRequest, HttpResponse, UnreadablePostError
from django.http.response import HttpResponseBase
from django.middleware.gzip import GZipMiddleware
from django.utils.cache import patch_vary_headers

from api import traffic
from api.errors import BadRequest, as_refusal, refused
from api.ids import uuid7
from api.policies import ADMIN
from config.outages import OnceASecond

# What load balancers and monitors ask for, by the address of a machine.
OF_OPERATORS = ("/health/", "/metrics", "/version")
API_PATHS = ("/v2/", "/oauth/", *OF_OPERATORS)
ADMIN_PATH = "/admin/"
_PLAIN_REQUEST_ID = re.compile(r"[0-9A-Za-z_.:-]{1,128}")


class RequestMiddleware:
    """Give every request an id, and accept a trailing slash on the API without a redirect.

    A host that is not ours is refused before anything is done. Health is told to whoever asks, and
    numbers to whoever has their token.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        header = request.headers.get("X-Request-Id", "")
        request_id = header if _PLAIN_REQUEST_ID.fullmatch(header) else str(uuid7())
        request.request_id = request_id  # type: ignore[attr-defined]
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(request_id=request_id)
        if request.path_info.startswith(API_PATHS):
            request.path_info = request.path_info.rstrip("/")
        seen = traffic.begin(request)
        response = _refused_host(request) or self.get_response(request)
        response["X-Request-Id"] = request_id
        traffic.end(seen, request, response)
        return response

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        """Answer what the API would, where a view that is none of it reads a body."""
        # Django would log the last two with their tracebacks, though nothing broke here.
        of_body = (UnreadablePostError, RequestDataTooBig, TooManyFieldsSent)
        if isinstance(exception, of_body) and (refusal := as_refusal(exception)):
            return refused(refusal)
        return None


# How much of a host that is not ours a log shows.
HOST_TOLD = 100
hosts_refused = OnceASecond(__name__, "warning", "host_refused")


def _refused_host(request: HttpRequest) -> HttpResponse | None:
    """Refuse a host that is not ours. Django would log each of them, at whatever length it came."""
    if request.path_info.startswith(OF_OPERATORS):
        return None
    try:
        request.get_host()
    except DisallowedHost:
        hosts_refused.tell(host=request.META.get("HTTP_HOST", "")[:HOST_TOLD])
        return refused(BadRequest("This server does not answer for the host that was named."))
    return None


# Where an answer holds a secret beside words of whoever asked. Compressed, its length would tell
# how alike the two are. Tokens, secrets of clients, and what a buyer confirms a payment with.
_SECRETS = re.compile(
    r"/oauth/|/admin/api/apiclient/|/v2/carts/[^/]+/orders|/v2/orders/[^/]+/transactions"
)
# Shorter ones fit into one packet as they are.
_COMPRESSED_FROM = 1_000


class CompressionMiddleware(GZipMiddleware):
    """Compress what is read, for those who take it. Answers to all other calls are short."""

    def process_response(
        self, request: HttpRequest, response: HttpResponseBase
    ) -> HttpResponseBase:
        if request.method not in {"GET", "HEAD"} or _SECRETS.match(request.path_info):
            return response
        if response.headers.get("Content-Type", "").startswith("image/"):
            # It is as small as it gets.
            return response
        patch_vary_headers(response, ["Accept-Encoding"])
        if isinstance(response, HttpResponse) and len(response.content) < _COMPRESSED_FROM:
            return response
        if not _takes_gzip(request.headers.get("Accept-Encoding", "")):
            return response
        return super().process_response(request, response)


def _takes_gzip(accepted: str) -> bool:
    """Read Accept-Encoding, where a weight of 0 means anything but this."""
    for offer in accepted.split(","):
        name, _, weight = offer.partition(";")
        if name.strip().lower() == "gzip":
            return not re.fullmatch(r"q=0(\.0*)?", weight.replace(" ", "").lower())
    return False


class ContentPolicyMiddleware(CSPMiddleware):
    """Tell browsers what a page may load: the admin what Unfold needs, any other its own policy.

    The API's answers, of which there are many, get the default in one piece.
    """

    get_response: Any
    _default = build_policy()

    def __call__(self, request: HttpRequest) -> Any:
        if not request.path_info.startswith(API_PATHS):
            return super().__call__(request)
        response: HttpResponseBase = self.get_response(request)
        if hasattr(response, "_csp_config"):
            return self.process_response(request, response)
        response.headers[HEADER] = self._default
        return response

    def get_policy_parts(
        self, request: HttpRequest, response: HttpResponseBase, report_only: bool = False
    ) -> PolicyParts:
        parts = super().get_policy_parts(request, response, report_only)
        if not report_only and parts.config is None and request.path_info.startswith(ADMIN_PATH):
            parts.config = ADMIN
        return parts
