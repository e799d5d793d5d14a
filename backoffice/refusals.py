"""What people, who sit at a browser, read where programs get an error as JSON."""

import json
from collections.abc import Callable
from http import HTTPStatus
from typing import Any

from django.contrib import admin
from django.core.exceptions import BadRequest, SuspiciousOperation
from django.db import IntegrityError
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.template.loader import render_to_string

from api.errors import Refusal, as_refusal, refused
from api.middleware import ADMIN_PATH

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
    "search_too_long": (
        "This is too much to search for",
        "A few words find it, too: a sku, a number, an e-mail or a part of a name.",
        "Go back and leave some out.",
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
    "database_away": (
        "The shop does not answer right now",
        "Its database is away. Look whether it was done before you do it again.",
        "Try again in a moment.",
    ),
    "server_error": (
        "Something went wrong",
        "The server met a fault of its own. Look whether it was done before you do it again.",
    ),
}

# A file that is sent when a login has ended is not too large, but too large for anybody.
_TOO_MUCH_OF_A_STRANGER = (
    "You are not logged in",
    "Your login has ended, and this is larger than is taken from anybody else. Nothing was "
    "changed.",
    "Log in, open the page anew and send it again.",
)


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
    request_id = response.headers.get("X-Request-Id", "")
    if response.status_code >= 500:
        # Nobody is asked who it is: the fault may be that of the database, which knows it.
        return _plain_page(_words(response), request_id)
    user = getattr(request, "user", None)
    is_large = response.status_code == HTTPStatus.REQUEST_ENTITY_TOO_LARGE
    is_stranger = not (user and user.is_authenticated)
    words = _TOO_MUCH_OF_A_STRANGER if is_large and is_stranger else _words(response)
    if not (user and user.is_staff and _is_readable(request)):
        return _plain_page(words, request_id)
    # What was said to them meanwhile waits for the next page: this one may be older than it.
    request._messages = []  # type: ignore[attr-defined]
    context = {**admin.site.each_context(request), **_said(words, request_id)}
    return render_to_string("admin/refused.html", context, request)


def _plain_page(words: tuple[str, ...], request_id: str) -> str:
    return render_to_string("admin/refused_plainly.html", _said(words, request_id))


def _said(words: tuple[str, ...], request_id: str) -> dict[str, Any]:
    return {"title": words[0], "words": words[1:], "request_id": request_id}


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
