"""Times and days as people say them, in the store's time zone."""

from datetime import date, datetime, time, timedelta

from django.utils import timezone
from django.utils.html import format_html

from api import clock

NEVER = "\N{EN DASH}"
_DAYS_IN_A_WEEK = 7


def today() -> date:
    return timezone.localtime(clock.now()).date()


def midnight(on: date) -> datetime:
    return timezone.make_aware(datetime.combine(on, time.min))


def spans() -> dict[str, tuple[date, date]]:
    """The days, the last one included, of what people mostly ask for."""
    last = today()
    this_month = last.replace(day=1)
    month_before = this_month - timedelta(days=1)
    yesterday = last - timedelta(days=1)
    return {
        "today": (last, last),
        "yesterday": (yesterday, yesterday),
        "7-days": (last - timedelta(days=6), last),
        "30-days": (last - timedelta(days=29), last),
        "this-month": (this_month, last),
        "last-month": (month_before.replace(day=1), month_before),
        "this-year": (last.replace(month=1, day=1), last),
    }


def moment(at: datetime | None) -> str:
    """Write a time as people say it, for a page: pointed at, it tells its seconds and its zone."""
    if at is None:
        return NEVER
    words = said(at)
    iso = timezone.localtime(at).isoformat(timespec="seconds")
    template = '<time datetime="{}" title="{}">{}</time>'
    return format_html(template, iso, exact(at), words[0].upper() + words[1:])


def said(at: datetime | date) -> str:
    """Say a time of the store, or a day, as within a sentence: "yesterday at 09:10"."""
    if not isinstance(at, datetime):
        return _day_said(at)
    here = timezone.localtime(at)
    return f"{_day_said(here.date())} at {here:%H:%M}"


def day(on: date | None) -> str:
    """Write a day as people say it, for a page."""
    if on is None:
        return NEVER
    words = _day_said(on)
    template = '<time datetime="{}">{}</time>'
    return format_html(template, on.isoformat(), words[0].upper() + words[1:])


def _day_said(on: date) -> str:
    now = today()
    age = (now - on).days
    near = {-1: "tomorrow", 0: "today", 1: "yesterday"}
    if age in near:
        return near[age]
    if 0 < age < _DAYS_IN_A_WEEK:
        return f"{on:%A}"
    return f"{on.day} {on:%B}" if on.year == now.year else f"{on.day} {on:%B %Y}"


def exact(at: datetime) -> str:
    """Write a time with its seconds, in the store's time zone, which it names."""
    return timezone.localtime(at).strftime("%Y-%m-%d %H:%M:%S %Z")


def for_a_file(at: datetime) -> str:
    """Write a time so that a spreadsheet reads it, in the store's time zone."""
    return timezone.localtime(at).isoformat(" ", "seconds")
