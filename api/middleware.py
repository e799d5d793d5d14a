"""What every request passes through: its id, and what browsers may do with the answer."""

import re
from collections.abc import Callable
from typing import Any

import structlog
from csp.constants import HEADER
from csp.middleware import CSPMiddleware, PolicyParts
from csp.utils import build_policy
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase

from api.ids import uuid7
from api.policies import ADMIN

API_PATHS = ("/v2/", "/oauth/", "/health/")
ADMIN_PATH = "/admin/"
_PLAIN_REQUEST_ID = re.compile(r"[0-9A-Za-z_.:-]{1,128}")


class RequestMiddleware:
    """Give every request an id, and accept a trailing slash on the API without a redirect."""

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
        response = self.get_response(request)
        response["X-Request-Id"] = request_id
        return response


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
