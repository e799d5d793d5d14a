"""Who tries passwords at the admin's door. django-axes counts them; this tells it about us."""

import ipaddress
from datetime import datetime
from typing import Any

from axes.models import AccessAttempt
from axes.utils import reset
from django.conf import settings
from django.contrib import admin
from django.contrib.auth import SESSION_KEY
from django.contrib.sessions.models import Session
from django.core.exceptions import PermissionDenied
from django.db.models import Sum
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone

from api import limits, purging
from api.errors import Refusal, count

# Where a password is compared, so that tries are counted before anything is hashed.
PASSWORD_PATHS = {settings.LOGIN_URL, "/admin/password_change/"}


class PublishedPasswords:
    """Outside of the demo, the password that its documents tell opens no door, whatever the name.

    A database that was once a demo's may still have such logins.
    """

    def authenticate(
        self, request: HttpRequest | None, username: str | None = None, password: str | None = None
    ) -> None:
        """Raises: PermissionDenied, which ends the attempt as a wrong password does."""
        if password == settings.DEMO_PASSWORD and not settings.HOLDFAST_DEMO:
            raise PermissionDenied


def address(request: HttpRequest) -> str:
    """Tell from where, as limits do, in the form that a column of addresses takes."""
    try:
        return str(ipaddress.ip_network(limits.address_of(request)).network_address)
    except ValueError:
        # Whatever a proxy of ours calls it: all such callers are one.
        return "::"


def locked_out(request: HttpRequest, response: HttpResponse, credentials: Any) -> HttpResponse:
    """Answer whoever has failed too often, and does not get as far as the password any more."""
    minutes = settings.LOGIN_COOL_OFF_MINUTES
    return _shut(request, minutes * 60, {"minutes": minutes})


def too_many(request: HttpRequest, refusal: Refusal) -> HttpResponse:
    """Answer where too many have tried, from one address or at this moment, whatever the name."""
    count(refusal)
    return _shut(request, refusal.retry_after_seconds or 1, {"refusal": refusal})


def _shut(request: HttpRequest, seconds: int, words: dict[str, Any]) -> HttpResponse:
    context = {**admin.site.each_context(request), "title": "Log in", **words}
    answer = render(request, "admin/locked_out.html", context, status=429)
    answer["Retry-After"] = str(seconds)
    answer["Cache-Control"] = "no-store"
    return answer


def is_shut_out(name: str) -> bool:
    """Tell whether the door is closed to a name, wherever that may be."""
    attempts = AccessAttempt.objects.filter(username=name, attempt_time__gte=_counted_since())
    failures = attempts.order_by().values("ip_address").annotate(sum=Sum("failures_since_start"))
    return bool(failures.filter(sum__gte=settings.LOGIN_FAILURES).exists())


def let_in(name: str) -> None:
    """Forget the wrong passwords that were typed for a name, wherever that was."""
    reset(username=name)


def end_sessions(person_id: int) -> None:
    """Log a person out wherever they are logged in: also should they be let in again later."""
    for session in Session.objects.filter(expire_date__gt=timezone.now()).iterator():
        if session.get_decoded().get(SESSION_KEY) == str(person_id):
            session.delete()


def purge() -> None:
    """Forget sessions that are over, and wrong passwords that count no longer."""
    purging.purge(Session.objects.filter(expire_date__lt=timezone.now()))
    purging.purge(AccessAttempt.objects.filter(attempt_time__lt=_counted_since()).order_by("pk"))


def _counted_since() -> datetime:
    counted_since: datetime = timezone.now() - settings.AXES_COOLOFF_TIME
    return counted_since
