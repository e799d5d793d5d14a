"""Lists that only grow: pages go on from where one ends, so that each costs the same at any depth.

A page's address names the row that it follows, as `links.next` of the API does, or the one before
which it ends. Numbers of pages, `?p=2`, are understood as far as they are cheap.
"""

from datetime import datetime, timedelta
from typing import Any, NamedTuple, TypeVar

from django import forms
from django.contrib.admin.options import IncorrectLookupParameters
from django.db.models import Model, QuerySet
from django.http import HttpRequest
from unfold.paginator import InfinitePaginator
from unfold.views import ChangeList

from api.pagination import OFFSET_MAX, PositionRefused, Walk
from backoffice import dates
from backoffice.base import ReadOnlyAdmin
from backoffice.products.forms import DayField

AFTER_VAR, BEFORE_VAR, DAY_VAR = "after", "before", "day"
Row = TypeVar("Row", bound=Model)


class Place(NamedTuple):
    """A page of a list, and the positions at which its neighbours meet it."""

    rows: list[Any]
    # How many rows come before the first one, as far as whoever walked here has counted.
    passed: int
    # Empty where there is none.
    newer: str
    older: str


def page_after(walk: Walk, rows: "QuerySet[Any, Row]", position: str, length: int) -> Place:
    """Return the page that follows the position. Raises: PositionRefused."""
    passed, values = walk.read(position)
    found = list(walk.beyond(rows, values)[: length + 1])
    return _placed(walk, found[:length], passed, newer=True, older=len(found) > length)


def page_before(walk: Walk, rows: "QuerySet[Any, Row]", position: str, length: int) -> Place:
    """Return the page that ends before the position. Raises: PositionRefused."""
    at, values = walk.read(position)
    back = Walk(walk.fields, [not downwards for downwards in walk.downwards])
    found = list(back.beyond(rows.reverse(), values)[: length + 1])
    shown = found[:length][::-1]
    is_first = len(found) <= length
    passed = 0 if is_first else max(0, at - 1 - len(shown))
    return _placed(walk, shown, passed, newer=not is_first, older=True)


def page_from(walk: Walk, rows: "QuerySet[Any, Row]", offset: int, length: int) -> Place:
    found = list(rows[offset : offset + length + 1])
    return _placed(walk, found[:length], offset, newer=offset > 0, older=len(found) > length)


def _placed(walk: Walk, rows: list[Any], passed: int, *, newer: bool, older: bool) -> Place:
    if not rows:
        return Place([], passed, "", "")
    return Place(
        rows,
        passed,
        walk.position(rows[0], passed + 1) if newer else "",
        walk.position(rows[-1], passed + len(rows)) if older else "",
    )


def page_below(walk: Walk, rows: "QuerySet[Any, Row]", most: Any, length: int) -> Place:
    """Return the page of what is less than this in the first column, which runs downwards."""
    first = walk.fields[0].name
    place = page_from(walk, rows.filter(**{f"{first}__lt": most}), 0, length)
    is_first = not rows.reverse().filter(**{f"{first}__gte": most})[:1]
    return _placed(walk, place.rows, 0, newer=not is_first, older=bool(place.older))


class DayForm(forms.Form):
    day = DayField(label="Go to a day")


class WalkedList(ChangeList):
    """Django's page of rows, found by its place. The rows are never counted."""

    model_admin: Any

    def get_queryset(self, request: HttpRequest, exclude_parameters: Any = None) -> Any:
        """Leave places out of what is asked for: a search or filter begins at the first page."""
        for name in (AFTER_VAR, BEFORE_VAR, DAY_VAR):
            self.params.pop(name, None)
            self.filter_params.pop(name, None)
        return super().get_queryset(request, exclude_parameters)

    def get_results(self, request: HttpRequest) -> None:
        """Raises: IncorrectLookupParameters."""
        self.day_form = DayForm(request.GET) if self.model_admin.leaps else None
        place = self._place(request)
        self.paginator = self.model_admin.get_paginator(request, self.queryset, self.list_per_page)
        self.paginator.template_name = "admin/places.html"
        self.result_list: Any = place.rows
        self.result_count = self.paginator.count
        self.full_result_count = None
        self.show_full_result_count = self.can_show_all = False
        self.show_admin_actions = self.multi_page = True
        self.page_num = place.passed // self.list_per_page + 1
        is_elsewhere = place.newer or not place.rows
        self.first_url = self.get_query_string() if is_elsewhere else ""
        self.newer_url = self._url(BEFORE_VAR, place.newer)
        self.older_url = self._url(AFTER_VAR, place.older)

    def _place(self, request: HttpRequest) -> Place:
        walk = Walk.through(self.queryset)
        assert walk, "the list is in an order that has to be computed"
        after, before = request.GET.get(AFTER_VAR, ""), request.GET.get(BEFORE_VAR, "")
        try:
            if after:
                return page_after(walk, self.queryset, after, self.list_per_page)
            if before:
                return page_before(walk, self.queryset, before, self.list_per_page)
        except PositionRefused as refused:
            raise IncorrectLookupParameters from refused
        if (
            self.day_form
            and self.day_form.is_valid()
            and (day := self.day_form.cleaned_data["day"])
        ):
            most = self.model_admin.leap(dates.midnight(day + timedelta(days=1)))
            return page_below(walk, self.queryset, most, self.list_per_page)
        offset = (self.page_num - 1) * self.list_per_page
        if not 0 <= offset <= OFFSET_MAX:
            raise IncorrectLookupParameters
        return page_from(walk, self.queryset, offset, self.list_per_page)

    def _url(self, name: str, position: str) -> str:
        address: str = self.get_query_string({name: position})
        return address if position else ""


class WalkedAdmin(ReadOnlyAdmin):
    """The page of a table that only grows, in an order of its columns."""

    paginator = InfinitePaginator
    show_full_result_count = False
    # Whether one can go to a day: its order begins with a time, or an id made of one, downwards.
    leaps = False

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[Any]:
        return WalkedList

    def leap(self, moment: datetime) -> Any:
        """Return what the first column was less than until the moment."""
        return moment
