"""Views that people save of a list: what they filtered and sought, under a name of their own.

A list that offers it names what of its address a view may hold. A view is its person's alone.
"""

from collections.abc import Iterable
from typing import Any, ClassVar, NamedTuple
from urllib.parse import parse_qsl, urlencode
from uuid import UUID

from django import forms
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.db.models.functions import Lower
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from unfold.admin import ModelAdmin
from unfold.widgets import UnfoldAdminTextInputWidget

from api.transactions import in_transaction
from backoffice.forms import WholeForm
from backoffice.models import SavedView

VIEWS_MAX = 20


class ViewForm(WholeForm, forms.Form):
    name = forms.CharField(
        max_length=60,
        widget=UnfoldAdminTextInputWidget,
        error_messages={"required": "Give it a name."},
    )


class ViewTab(NamedTuple):
    title: str
    link: str
    is_open: bool


class SavedViews(ModelAdmin):
    # What of the list's address is kept, beside the search.
    kept_of_a_view: ClassVar[Iterable[str]] = ()

    def get_urls(self) -> list[URLPattern]:
        name = f"{self._page}_views"
        change = self.admin_site.admin_view(self.view_view)
        return [
            path("views/", self.admin_site.admin_view(self.views_view), name=name),
            path("views/<uuid:view_id>/", change, name=f"{self._page}_view"),
            *super().get_urls(),
        ]

    @property
    def _page(self) -> str:
        return f"{self.opts.app_label}_{self.opts.model_name}"

    def views_of(self, request: HttpRequest) -> list[ViewTab]:
        """The person's own tabs of this list."""
        asked = self.asked_of(request.GET.items())
        views = SavedView.objects.filter(person_id=request.user.pk, page=self._page)
        return [
            ViewTab(view.name, f"?{view.query}", view.query == asked)
            for view in views.order_by(Lower("name"))[:VIEWS_MAX]
        ]

    def asked_of(self, asked: Iterable[tuple[str, Any]]) -> str:
        """Write what a view keeps of an address, in one order."""
        known = {"q", *self.kept_of_a_view}
        return urlencode(sorted((name, value) for name, value in asked if value and name in known))

    def views_view(self, request: HttpRequest) -> HttpResponse:
        """List the person's views, and save one of what `of` asks for."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        query = self.asked_of(_read(request.GET.get("of", "")))
        form = ViewForm(request.POST if request.method == "POST" else None, label_suffix="")
        if form.is_valid():
            said = _save(request.user.pk, self._page, form.cleaned_data["name"], query)
            if not said:
                return redirect(f"{self._list()}?{query}")
            form.add_error("name", said)
        views = SavedView.objects.filter(person_id=request.user.pk, page=self._page)
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": "Your views",
            "form": form,
            "query": query,
            "views": [(each, f"{self._page}_view") for each in views.order_by(Lower("name"))],
            "list": self._list(),
        }
        return TemplateResponse(request, "admin/views.html", context)

    def view_view(self, request: HttpRequest, view_id: UUID) -> HttpResponse:
        """Rename a view of one's own, or delete it."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        own = SavedView.objects.filter(person_id=request.user.pk, page=self._page)
        view = get_object_or_404(own, pk=view_id)
        if request.method == "POST" and "delete" in request.POST:
            view.delete()
            messages.success(request, f"The view {view.name} is deleted.")
            return redirect(f"admin:{self._page}_views")
        sent = request.POST if request.method == "POST" else None
        form = ViewForm(sent, label_suffix="", initial={"name": view.name})
        if form.is_valid():
            said = _rename(view, form.cleaned_data["name"])
            if not said:
                return redirect(f"admin:{self._page}_views")
            form.add_error("name", said)
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": f"View {view.name}",
            "form": form,
            "view": view,
            "list": self._list(),
            "back": reverse(f"admin:{self._page}_views"),
        }
        return TemplateResponse(request, "admin/view.html", context)

    def _list(self) -> str:
        return reverse(f"admin:{self._page}_changelist")


def _read(query: str) -> list[tuple[str, str]]:
    try:
        return parse_qsl(query[: SavedView.QUERY_MAX], max_num_fields=20)
    except ValueError:
        return []


NAMED_SO = "You have a view of this name already."


@in_transaction
def _save(person_id: Any, page: str, name: str, query: str) -> str:
    """Keep a view; what speaks against it is returned."""
    if not query:
        return "Filter the list first, or search: a view keeps what was asked for."
    if len(query) > SavedView.QUERY_MAX:
        return "This is too long to be kept."
    # One after another for each person, so that none is one too many.
    SavedView.lock(person_id)
    views = SavedView.objects.filter(person_id=person_id, page=page)
    if views.count() >= VIEWS_MAX:
        return f"You have {VIEWS_MAX} views. Delete one first."
    if views.filter(name__iexact=name).exists():
        return NAMED_SO
    SavedView(person_id=person_id, page=page, name=name, query=query).save()
    return ""


@in_transaction
def _rename(view: SavedView, name: str) -> str:
    SavedView.lock(view.person_id)
    others = SavedView.objects.filter(person_id=view.person_id, page=view.page).exclude(pk=view.pk)
    if others.filter(name__iexact=name).exists():
        return NAMED_SO
    # Nothing, if it was deleted meanwhile.
    SavedView.objects.filter(pk=view.pk).update(name=name)
    return ""
