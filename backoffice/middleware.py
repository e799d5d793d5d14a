"""The API carries no session, no cookie and no message, so Django's layers for people skip it."""

from collections.abc import Callable, Iterable
from typing import Any

from axes.middleware import AxesMiddleware
from django.contrib.auth.middleware import AuthenticationMiddleware as DjangoAuthentication
from django.contrib.messages.middleware import MessageMiddleware as DjangoMessages
from django.contrib.messages.storage.base import Message
from django.contrib.messages.storage.session import SessionStorage
from django.contrib.sessions.middleware import SessionMiddleware as DjangoSession
from django.core.exceptions import RequestDataTooBig, SuspiciousOperation
from django.db import DataError
from django.http import HttpRequest, HttpResponse, HttpResponseForbidden, QueryDict
from django.http.response import HttpResponseBase
from django.middleware.clickjacking import XFrameOptionsMiddleware as DjangoXFrameOptions
from django.middleware.common import CommonMiddleware as DjangoCommon
from django.middleware.csrf import CsrfViewMiddleware as DjangoCsrf
from django.utils import timezone

from api import errors, limits, store
from api.errors import BodyTooLarge, Refusal, refused
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


class _OfHooks:
    """A middleware that hands everything on, but for what its hooks refuse."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        return self.get_response(request)


class SessionMiddleware(_ForPeople, DjangoSession): ...


class CommonMiddleware(_ForPeople, DjangoCommon): ...


class UploadMiddleware(_OfHooks):
    """Before the next one reads a form, look from whom it comes and how large it is."""

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


class SearchTooLong(Refusal):
    kind = errors.BAD_REQUEST
    code = "search_too_long"
    detail = f"A search has at most {SEARCH_LENGTH_MAX} characters in {SEARCH_WORDS_MAX} words."


class UnstorableMiddleware(_OfHooks):
    """Refuse what the database cannot look for, such as a NUL, or not in good time."""

    def process_view(
        self, request: HttpRequest, view: Callable[..., Any], *captured: Any
    ) -> HttpResponse | None:
        if not request.path_info.startswith(ADMIN_PATH):
            return None
        sought = (text for name in SEARCHED for text in request.GET.getlist(name))
        if all(_is_short(text) for text in sought):
            return None
        return refused(SearchTooLong())

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
