"""The API carries no session, no cookie and no message, so Django's layers for people skip it."""

import re
from collections.abc import Callable
from typing import Any

import structlog
from django.contrib.auth.middleware import AuthenticationMiddleware as DjangoAuthentication
from django.contrib.messages.middleware import MessageMiddleware as DjangoMessages
from django.contrib.sessions.middleware import SessionMiddleware as DjangoSession
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.middleware.clickjacking import XFrameOptionsMiddleware as DjangoXFrameOptions
from django.middleware.common import CommonMiddleware as DjangoCommon
from django.middleware.csrf import CsrfViewMiddleware as DjangoCsrf

from api.ids import uuid7

API_PATHS = ("/v2/", "/oauth/", "/health/")
_PLAIN_REQUEST_ID = re.compile(r"[0-9A-Za-z_.:-]{1,128}")


class RequestMiddleware:
    """Give every request an id, and accept a trailing slash on the API without a redirect."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        sent = request.headers.get("X-Request-Id", "")
        request_id = sent if _PLAIN_REQUEST_ID.fullmatch(sent) else str(uuid7())
        request.request_id = request_id  # type: ignore[attr-defined]
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(request_id=request_id)
        if request.path_info.startswith(API_PATHS):
            request.path_info = request.path_info.rstrip("/")
        response = self.get_response(request)
        response["X-Request-Id"] = request_id
        return response


class _ForPeople:
    """Mixed into a Django middleware: on API paths, step aside."""

    get_response: Any

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        if request.path_info.startswith(API_PATHS):
            response: HttpResponseBase = self.get_response(request)
            return response
        return super().__call__(request)  # type: ignore[misc,no-any-return]


class SessionMiddleware(_ForPeople, DjangoSession): ...


class CommonMiddleware(_ForPeople, DjangoCommon): ...


class CsrfViewMiddleware(_ForPeople, DjangoCsrf): ...


class AuthenticationMiddleware(_ForPeople, DjangoAuthentication): ...


class MessageMiddleware(_ForPeople, DjangoMessages): ...


class XFrameOptionsMiddleware(_ForPeople, DjangoXFrameOptions): ...
