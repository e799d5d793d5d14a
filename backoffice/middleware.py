"""The API carries no session, no cookie and no message, so Django's layers for people skip it."""

import json
from collections.abc import Callable, Iterable
from http import HTTPStatus
from typing import Any

from axes.middleware import AxesMiddleware
from django.contrib import admin
from django.contrib.auth.middleware import AuthenticationMiddleware as DjangoAuthentication
from django.contrib.messages.middleware import MessageMiddleware as DjangoMessages
from django.contrib.messages.storage.base import Message
from django.contrib.messages.storage.session import SessionStorage
from django.contrib.sessions.middleware import SessionMiddleware as DjangoSession
from django.core.exceptions import BadRequest, RequestDataTooBig, SuspiciousOperation
from django.db import DataError, IntegrityError
from django.http import HttpRequest, HttpResponse, HttpResponseForbidden, QueryDict
from django.http.response import HttpResponseBase
from django.middleware.clickjacking import XFrameOptionsMiddleware as DjangoXFrameOptions
from django.middleware.common import CommonMiddleware as DjangoCommon
from django.middleware.csrf import CsrfViewMiddleware as DjangoCsrf
from django.template.loader import render_to_string
from django.utils import timezone

from api import errors, limits, store
from api.errors import BodyTooLarge, Refusal, as_refusal, refused
from api.fields import storable
from api.middleware import ADMIN_PATH, API_PATHS
from api.passwords import PasswordsBusy
from backoffice import logins, uploads


class _ForPeople:
    """Mixed into a Django middleware: on API paths, step aside. Hooks of views do so themselves."""

    get_response: Any

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        if request.path_info.startswith(API_PATHS):
            response: HttpResponseBase = self.get_response(request)
            return response
        return super().__call__(request)  # type: ignore[misc,no-any-return]


# What a person reads instead of the words for programs, by the code of the refusal.
_WORDS = {
    "forbidden": (
        "This is not for you",
        "Your role does not allow it, and nothing was changed.",
        "Whoever owns the store can give you another role.",
    ),
    "not_found": ("Nothing here", "There is no such page, or what it was about is gone."),
    "stale_form": (
        "This form is too old",
        "It was opened before you logged in or out, or this browser keeps no cookies. Nothing was "
        "changed.",
        "Go back, load the page anew and send the form again.",
    ),
    "body_too_large": (
        "This is too large",
        "What was sent is larger than is taken here, and nothing was changed.",
    ),
    "bad_request": (
        "This could not be read",
        "Something in the form or the address is not as it should be, and nothing was changed.",
        "Go back, load the page anew and try again.",
    ),
    "logged_out": (
        "You were logged out",
        "Your login ended while this was being done. Look whether it was done before you do it "
        "again.",
    ),
    "method_not_allowed": (
        "Nothing here to look at",
        "This address only takes what a button of another page sends. Nothing was changed.",
    ),
    "server_error": (
        "Something went wrong",
        "The server met a fault of its own. Look whether it was done before you do it again.",
    ),
}


class RefusalMiddleware:
    """Answer people, who sit at a browser, with a page where programs get an error as JSON.

    Whatever refused it: this stands around all else that answers.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        response = self.get_response(request)
        is_error = response.status_code >= 400 and request.path_info.startswith(ADMIN_PATH)
        if is_error and isinstance(response, HttpResponse) and not _is_page(response):
            response.content = _page(request, response)
            response["Content-Type"] = "text/html; charset=utf-8"
            response["Content-Length"] = str(len(response.content))
            response["Cache-Control"] = "no-store"
        return response

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        """Answer what a service refuses where no form has a place for it."""
        if not request.path_info.startswith(ADMIN_PATH):
            return None
        if isinstance(exception, Refusal):
            return refused(exception)
        refusal = as_refusal(exception) if isinstance(exception, IntegrityError) else None
        return refused(refusal) if refusal else None


def _is_page(response: HttpResponse) -> bool:
    return bool(response.content) and response["Content-Type"].startswith("text/html")


def _page(request: HttpRequest, response: HttpResponse) -> str:
    """Say in words what was refused, within the admin's frame for whoever has logged in.

    Anybody else gets a page that needs nothing else, and so does everybody where the server has a
    fault or the address cannot be read, of which the frame is made.
    """
    title, *words = _words(response)
    request_id = response.headers.get("X-Request-Id", "")
    context = {"title": title, "words": words, "request_id": request_id}
    user = getattr(request, "user", None)
    if response.status_code >= 500 or not (user and user.is_staff and _is_readable(request)):
        return render_to_string("admin/refused_plainly.html", context)
    # What was said to them meanwhile waits for the next page: this one may be older than it.
    request._messages = []  # type: ignore[attr-defined]
    framed = {**admin.site.each_context(request), **context}
    return render_to_string("admin/refused.html", framed, request)


def _is_readable(request: HttpRequest) -> bool:
    try:
        return request.GET is not None
    except (BadRequest, SuspiciousOperation):
        return False


def _words(response: HttpResponse) -> tuple[str, ...]:
    errors = _errors(response)
    code = errors[0].get("code", "") if errors else HTTPStatus(response.status_code).name.lower()
    details = (str(error.get("detail", "")) for error in errors)
    return _WORDS.get(code) or (HTTPStatus(response.status_code).phrase, *details)


def _errors(response: HttpResponse) -> list[dict[str, Any]]:
    if not response["Content-Type"].startswith("application/json"):
        return []
    told = json.loads(response.content)
    return told["errors"] if isinstance(told, dict) and "errors" in told else []


class SessionMiddleware(_ForPeople, DjangoSession): ...


class CommonMiddleware(_ForPeople, DjangoCommon): ...


class UploadMiddleware:
    """Before the next one reads a form, look from whom it comes and how large it is."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        return self.get_response(request)

    def process_view(
        self, request: HttpRequest, view: Callable[..., Any], *captured: Any
    ) -> HttpResponseBase | None:
        if request.method == "POST" and _has_forms_read(request, view):
            try:
                uploads.require_allowed(request, view)
            except RequestDataTooBig:
                return refused(BodyTooLarge())
        return None


class CsrfViewMiddleware(_ForPeople, DjangoCsrf):
    """Look for a token in forms, and read none where forms mean nothing."""

    def process_view(
        self,
        request: HttpRequest,
        view: Callable[..., HttpResponseBase],
        captured: tuple[Any, ...],
        named: dict[str, Any],
    ) -> HttpResponseForbidden | None:
        if not _has_forms_read(request, view):
            return None
        answer: HttpResponseForbidden | None = super().process_view(request, view, captured, named)
        return answer


def _has_forms_read(request: HttpRequest, view: Callable[..., Any]) -> bool:
    """Tell whether the token in a form is looked for, and so the form is read, before the view."""
    return not (request.path_info.startswith(API_PATHS) or getattr(view, "csrf_exempt", False))


class AuthenticationMiddleware(_ForPeople, DjangoAuthentication): ...


class MessageMiddleware(_ForPeople, DjangoMessages): ...


# How many messages wait to be read, and how long each is at most.
MESSAGES_MAX, MESSAGE_LENGTH_MAX = 20, 2_000


class Messages(SessionStorage):
    """Keep the latest messages. One may repeat an address, and many be made that nobody reads."""

    def _store(
        self, messages: Iterable[Message], response: HttpResponseBase, *args: Any, **options: Any
    ) -> list[Message]:
        kept = list(messages)[-MESSAGES_MAX:]
        for message in kept:
            if len(str(message.message)) > MESSAGE_LENGTH_MAX:
                message.message = f"{str(message.message)[:MESSAGE_LENGTH_MAX]}…"
        super()._store(kept, response, *args, **options)  # type: ignore[misc]
        return []


class XFrameOptionsMiddleware(_ForPeople, DjangoXFrameOptions): ...


class LoginMiddleware(_ForPeople, AxesMiddleware):  # type: ignore[misc]
    """Keep those out who have failed too often, and those who try too many names or at once."""

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        if request.method == "POST" and request.path_info in logins.PASSWORD_PATHS:
            try:
                limits.count(request, "login")
            except limits.TooManyRequests as refusal:
                return logins.too_many(request, refusal)
        return super().__call__(request)

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        if isinstance(exception, PasswordsBusy):
            return logins.too_many(request, exception)
        return None


# The names under which pages are asked to search, and how much each may be asked for: every word is
# looked for in every row.
SEARCHED = ("q", "term", "s")
SEARCH_LENGTH_MAX, SEARCH_WORDS_MAX = 200, 20


class UnstorableMiddleware:
    """Refuse what the database cannot look for, such as a NUL, or not in good time."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        return self.get_response(request)

    def process_view(
        self, request: HttpRequest, view: Callable[..., Any], *captured: Any
    ) -> HttpResponse | None:
        if not request.path_info.startswith(ADMIN_PATH):
            return None
        sought = (text for name in SEARCHED for text in request.GET.getlist(name))
        if all(_is_short(text) for text in sought):
            return None
        return refused(
            errors.BadRequest(
                f"A search has at most {SEARCH_LENGTH_MAX} characters in {SEARCH_WORDS_MAX} words."
            )
        )

    def process_exception(self, request: HttpRequest, exception: Exception) -> None:
        if not isinstance(exception, DataError) or not request.path_info.startswith(ADMIN_PATH):
            return
        sent = [request.path_info, *_values(request.GET), *_values(request.POST)]
        if not all(map(storable, sent)):
            raise SuspiciousOperation("not to be stored") from exception


def _is_short(search: str) -> bool:
    return len(search) <= SEARCH_LENGTH_MAX and len(search.split()) <= SEARCH_WORDS_MAX


def _values(sent: QueryDict) -> list[str]:
    return [value for _, values in sent.lists() for value in values]


class TimeZoneMiddleware:
    """Let people read times in the store's time zone."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        if not request.path_info.startswith(ADMIN_PATH):
            return self.get_response(request)
        with timezone.override(store.time_zone()):
            return self.get_response(request)
