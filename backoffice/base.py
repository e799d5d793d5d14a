"""What every page for people shares."""

import uuid
from collections.abc import Callable, Iterable, Iterator
from typing import Any, ClassVar

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.exceptions import DisallowedModelAdminLookup, DisallowedModelAdminToField
from django.contrib.admin.options import IncorrectLookupParameters, csrf_protect_m
from django.contrib.admin.utils import get_fields_from_path
from django.contrib.admin.views.main import ERROR_FLAG
from django.db import models
from django.http import HttpRequest
from unfold.admin import ModelAdmin

from api.actors import Actor
from api.errors import Refusal
from api.passwords import PasswordsBusy
from backoffice import menu
from backoffice.forms import EditForm
from backoffice.history import HistoryAdmin

PER_PAGE = 25
# Beyond this many, "1000+" says enough.
COUNTED = 1_000


class _NoTransactionOfItsOwn(admin.ModelAdmin):
    """Django's admin handles a form inside a transaction; services begin and retry their own."""

    # Django's, unknown to the stubs.
    _changeform_view: Callable[..., Any]
    _delete_view: Callable[..., Any]

    @csrf_protect_m
    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> Any:
        return self._changeform_view(request, object_id, form_url, extra_context)

    @csrf_protect_m
    def delete_view(
        self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None
    ) -> Any:
        return self._delete_view(request, object_id, extra_context)


class _Called:
    """What a model says of itself, but for what one of it is called and several are.

    No copy: that would share the caches of the model, and leave nothing in them of what refers to
    it, so that nothing would go with a row that is deleted.
    """

    def __init__(self, options: Any, nouns: tuple[str, str]) -> None:
        self._options = options
        self.verbose_name, self.verbose_name_plural = nouns

    def __getattr__(self, name: str) -> Any:
        return getattr(self._options, name)

    def __str__(self) -> str:
        return str(self._options)


class ListedAdmin(ModelAdmin):
    """A list that is filtered by what its page offers, and by nothing else in its address.

    Django answers whatever names a field: one letter after another, of a secret too.

    List and form are called as in the menu.
    """

    # Django's, unknown to the stubs.
    opts: Any
    # What one of them is called and several are, where the framework calls them otherwise.
    nouns: ClassVar[tuple[str, str] | None] = None

    def __init__(self, model: type[models.Model], admin_site: admin.AdminSite) -> None:
        super().__init__(model, admin_site)
        if self.nouns:
            self.opts = _Called(self.opts, self.nouns)

    def lookup_allowed(self, lookup: str, value: Any, request: HttpRequest) -> bool:
        return lookup in set(self._lookups(request))

    def get_changelist_instance(self, request: HttpRequest) -> Any:
        """Treat a filter that is not offered as one that there is not: nothing is told of it."""
        try:
            shown = super().get_changelist_instance(request)
        except (DisallowedModelAdminLookup, DisallowedModelAdminToField) as disallowed:
            raise IncorrectLookupParameters from disallowed
        shown.opts = self.opts
        return shown

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> Any:
        if ERROR_FLAG in request.GET:
            messages.warning(request, "This list has no such filter. Here is all of it.")
        title = menu.title_of(request.path) or _capital(self.opts.verbose_name_plural)
        return super().changelist_view(request, {"title": title, **(extra_context or {})})

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> Any:
        noun = str(self.opts.verbose_name)
        context = {"title": _capital(noun) if object_id else f"New {noun}", **(extra_context or {})}
        return super().changeform_view(request, object_id, form_url, context)

    def _lookups(self, request: HttpRequest) -> Iterator[str]:
        filters: Iterable[Any] = self.get_list_filter(request)
        for offered in filters:
            name = offered[0] if isinstance(offered, tuple) else offered
            if not isinstance(name, str):
                yield name.parameter_name
                continue
            field = get_fields_from_path(self.model, name)[-1]
            exactly = f"{name}__id" if field.is_relation else name
            yield from (exactly, f"{exactly}__exact", f"{exactly}__in", f"{name}__isnull")


class ServiceAdmin(ListedAdmin, HistoryAdmin, _NoTransactionOfItsOwn):
    """A page whose `save_model` calls a service; what the service refuses stands on the form."""

    list_per_page = PER_PAGE
    show_facets = admin.ShowFacets.NEVER
    # Django's only bulk action deletes rows behind the services' back.
    actions: Any = None
    # The field that a refusal is about; any other stands above the form.
    refusal_fields: ClassVar[dict[type[Refusal], str]] = {}

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> Any:
        try:
            return super().changeform_view(request, object_id, form_url, extra_context)
        except PasswordsBusy:
            # To hash the password for the form again would be one more.
            raise
        except Refusal as refusal:
            # Nothing has changed: show the same form again, with the refusal as its error.
            request.refusal = refusal  # type: ignore[attr-defined]
            return super().changeform_view(request, object_id, form_url, extra_context)

    def get_form(
        self,
        request: HttpRequest,
        obj: models.Model | None = None,
        change: bool = False,
        **kwargs: Any,
    ) -> type[forms.ModelForm]:
        form = super().get_form(request, obj, change=change, **kwargs)
        if obj and not issubclass(form, EditForm):
            form = type(form.__name__, (EditForm, form), {})
        refusal: Refusal | None = getattr(request, "refusal", None)
        if refusal is None:
            return form
        field = self.refusal_fields.get(type(refusal))

        class Refused(form):  # type: ignore[valid-type,misc]
            def clean(self) -> Any:
                cleaned = super().clean()
                self.add_error(field, str(refusal))
                return cleaned

        return Refused


class ReadOnlyAdmin(ListedAdmin):
    """Pages to look at: whoever may view may do nothing else, a superuser included."""

    list_per_page = PER_PAGE
    # Counting every filter's rows takes longer the more there are.
    show_facets = admin.ShowFacets.NEVER
    actions: Any = None

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


def _capital(words: Any) -> str:
    """Begin with a capital letter, and leave the others as they are."""
    return f"{words}"[:1].upper() + f"{words}"[1:]


def counted(number: int) -> str:
    return f"{COUNTED}+" if number >= COUNTED else str(number)


def number_of(count: int, one: str, several: str = "") -> str:
    """Say how many there are of something, as in "1 order" and "12,000 orders"."""
    return f"1 {one}" if count == 1 else f"{count:,} {several or f'{one}s'}"


def units(quantity: int) -> str:
    return number_of(quantity, "unit")


def is_number(written: str) -> bool:
    """Tell whether this is a whole number that fits the database's bigint."""
    return written.isdecimal() and len(written) <= 18


def uuid_of(written: str) -> uuid.UUID | None:
    try:
        return uuid.UUID(written)
    except ValueError:
        return None


def actor_of(request: HttpRequest) -> Actor:
    return Actor.person(request.user)
