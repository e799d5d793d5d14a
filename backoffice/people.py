"""What every admin page shares, and the pages of API clients and of people."""

import hashlib
import uuid
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar

from django import forms
from django.conf import settings
from django.contrib import admin, messages
from django.contrib.admin.options import IncorrectLookupParameters, csrf_protect_m
from django.contrib.auth.admin import GroupAdmin as DjangoGroupAdmin
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.models import Group, Permission, User
from django.core.exceptions import PermissionDenied
from django.db import models
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.utils import timezone
from procrastinate.contrib.django.models import ProcrastinateJob
from unfold.admin import ModelAdmin
from unfold.decorators import action, display
from unfold.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm
from unfold.widgets import UnfoldAdminCheckboxSelectMultipleWidget, UnfoldBooleanSwitchWidget

from api import clock, services
from api.actors import Actor
from api.errors import Refusal
from api.idempotency import Key
from api.ids import uuid7
from api.models import ApiClient
from api.services import ClientIdTaken
from api.spreadsheets import csv_response
from backoffice import logins

PER_PAGE = 25
# How many rows of an export are in memory together.
EXPORT_ROWS = 2_000


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


class ServiceAdmin(ModelAdmin, _NoTransactionOfItsOwn):
    """A page whose `save_model` calls a service; what the service refuses stands on the form."""

    list_per_page = PER_PAGE
    show_facets = admin.ShowFacets.NEVER
    # Django's only bulk action deletes rows behind the services' back.
    actions = None
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
        form = super().get_form(request, obj, change, **kwargs)
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


@dataclass(frozen=True)
class ConfirmedStep:
    """Something that can be done with a row, after it was said what it will do."""

    title: str
    effects: list[str]
    # Does it, and says so.
    take: Callable[[HttpRequest, Any], str]
    applies: Callable[[Any], bool]
    dangerous: bool = False
    # What is said of a row to which it does not apply.
    idle: str = "There is nothing to do for {}."


class ConfirmingAdmin(ModelAdmin):
    """A page whose steps are confirmed before they are taken."""

    def confirm(self, request: HttpRequest, object_id: str, step: ConfirmedStep) -> HttpResponse:
        """Say what the step does, and take it when that was confirmed."""
        row = self.get_object(request, object_id)
        if row is None:
            redirected: HttpResponse = self._get_obj_does_not_exist_redirect(
                request, self.opts, object_id
            )
            return redirected
        if not self.has_change_permission(request, row):
            raise PermissionDenied
        if request.method == "POST":
            try:
                messages.success(request, step.take(request, row))
                self.log_change(request, row, step.title)
            except Refusal as refusal:
                messages.error(request, str(refusal))
            return redirect(f"admin:{self.opts.app_label}_{self.opts.model_name}_change", row.pk)
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "original": row,
            "title": str(row),
            "step": step,
            "refusal": "" if step.applies(row) else step.idle.format(row),
        }
        return TemplateResponse(request, "admin/api/confirm.html", context)


class ReadOnlyAdmin(ModelAdmin):
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


class ExportingAdmin(ModelAdmin):
    """A list that can be had as a CSV file too, filtered and searched as it stands."""

    export_name: ClassVar[str]
    export_columns: ClassVar[Sequence[str]]
    # Besides the permission to see the list.
    export_permission: ClassVar[str]

    def export_rows(self, listed: models.QuerySet[Any]) -> Iterable[Sequence[Any]]:
        raise NotImplementedError

    def get_urls(self) -> list[URLPattern]:
        name = f"{self.opts.app_label}_{self.opts.model_name}_export"
        export = path("export/", self.admin_site.admin_view(self.export_view), name=name)
        return [export, *super().get_urls()]

    def export_view(self, request: HttpRequest) -> HttpResponseBase:
        if not self.has_view_permission(request) or not request.user.has_perm(
            self.export_permission
        ):
            raise PermissionDenied
        try:
            listed = self.get_changelist_instance(request).queryset
        except IncorrectLookupParameters:
            return redirect("../")
        day = timezone.localtime(clock.now()).date()
        name = f"{self.export_name}-{day}.csv"
        return csv_response(name, self.export_columns, self.export_rows(listed))


def moment(at: datetime) -> str:
    """Write a time as people read it: in the store's time zone, which it names."""
    return timezone.localtime(at).strftime("%Y-%m-%d %H:%M:%S %Z")


def actor_of(request: HttpRequest) -> Actor:
    return Actor.person(request.user)


class OnceForm(forms.Form):
    """A form that happens once, however often its button is pressed."""

    once = forms.CharField(max_length=64, required=False, widget=forms.HiddenInput)

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **{"label_suffix": "", **options})
        self.fields["once"].initial = uuid.uuid4().hex

    def key(self, request: HttpRequest) -> Key | None:
        """Make the idempotency key of what was sent, as an API client would."""
        once = self.cleaned_data["once"]
        if not once:
            return None
        sent = repr(sorted((name, self.data.get(name)) for name in self.fields))
        return Key(
            client_id=f"user:{request.user.pk}",
            method="POST",
            path=request.path_info,
            key=once,
            fingerprint=hashlib.sha256(sent.encode()).hexdigest(),
            claim_id=uuid7(),
        )


class _NewClientForm(forms.ModelForm):
    storefront = forms.BooleanField(
        required=False,
        widget=UnfoldBooleanSwitchWidget,
        help_text="Runs in browsers and can keep no secret: it may do what shoppers may. "
        "Leave off for a back office, which gets a secret and may do everything.",
    )

    class Meta:
        model = ApiClient
        fields = ["client_id", "name"]
        help_texts: ClassVar = {
            "client_id": "By which the program asks for its tokens, such as web-shop. It stays.",
            "name": "By which people know it: what it does stands under this name in the logs.",
        }


def _rotate(request: HttpRequest, client: ApiClient) -> str:
    _show_secret(request, client, services.rotate_secret(client.pk))
    return "The old secret is replaced."


def _revoke(request: HttpRequest, client: ApiClient) -> str:
    services.revoke_client(client.pk)
    return f"{client} is revoked."


def _restore(request: HttpRequest, client: ApiClient) -> str:
    services.restore_client(client.pk)
    return f"{client} may call the API again."


def _show_secret(request: HttpRequest, client: ApiClient, secret: str) -> None:
    messages.warning(
        request,
        f"The secret of {client.client_id} is {secret} Copy it now: it is stored nowhere "
        "and will not be shown again.",
    )


_TOKENS_END = f"Tokens that it has now end within {settings.CLIENT_CACHE_SECONDS} seconds."
CLIENT_STEPS = {
    "rotate": ConfirmedStep(
        "New secret",
        [
            "Makes a new secret, shown once. The old one is good for nothing from then on.",
            f"{_TOKENS_END} The program is shut out until it has been given the new secret.",
        ],
        _rotate,
        lambda client: not client.is_storefront,
    ),
    "revoke": ConfirmedStep(
        "Revoke",
        ["Gives this client no more tokens.", _TOKENS_END, "It can be allowed again."],
        _revoke,
        lambda client: client.active,
        dangerous=True,
    ),
    "restore": ConfirmedStep(
        "Allow again",
        ["Gives this client tokens again, for the secret that it had."],
        _restore,
        lambda client: not client.active,
    ),
}


@admin.register(ApiClient)
class ApiClientAdmin(ConfirmingAdmin, ServiceAdmin):
    list_display = ["name", "client_id", "kind", "active", "created"]
    list_filter = ["active"]
    search_fields = ["name", "client_id"]
    ordering = ["name"]
    when_empty = "Add one for each program that calls the API: a storefront, a back office."
    refusal_fields: ClassVar = {ClientIdTaken: "client_id"}
    actions_detail = list(CLIENT_STEPS)

    @display(description="kind", label={"back office": "primary", "storefront": "info"})
    def kind(self, client: ApiClient) -> str:
        return "storefront" if client.is_storefront else "back office"

    @display(description="created", ordering="created_at")
    def created(self, client: ApiClient) -> str:
        return moment(client.created_at)

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        if obj is None:
            return ["client_id", "name", "storefront"]
        return ["client_id", "name", "kind", "active", "created"]

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return ["client_id", "kind", "active", "created"] if obj else []

    def get_form(
        self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any
    ) -> type[forms.ModelForm]:
        if obj is None:
            kwargs["form"] = _NewClientForm
        return super().get_form(request, obj, change, **kwargs)

    def save_model(self, request: HttpRequest, obj: ApiClient, form: Any, change: bool) -> None:
        if change:
            services.rename_client(obj.pk, obj.name)
            return
        storefront = form.cleaned_data["storefront"]
        secret = services.create_client(obj.client_id, obj.name, storefront=storefront)
        # The form made this object with an id of its own; the service made the row.
        obj.pk = ApiClient.objects.values_list("pk", flat=True).get(client_id=obj.client_id)
        if secret:
            _show_secret(request, obj, secret)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """What a client did stays in the logs; one that is not needed is revoked."""
        return False

    # What can be done with one.

    @action(description="New secret", permissions=["change"], icon="key")
    def rotate(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return self.confirm(request, object_id, CLIENT_STEPS["rotate"])

    @action(description="Revoke", permissions=["change"], icon="block")
    def revoke(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return self.confirm(request, object_id, CLIENT_STEPS["revoke"])

    @action(description="Allow again", permissions=["change"], icon="undo")
    def restore(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return self.confirm(request, object_id, CLIENT_STEPS["restore"])

    def get_actions_detail(self, request: HttpRequest, object_id: Any) -> Any:
        client = self.get_object(request, object_id)
        return [
            offered
            for offered in super().get_actions_detail(request, object_id)
            if client is None or CLIENT_STEPS[offered.path].applies(client)
        ]


# People and groups, in the look of the other pages.

admin.site.unregister(User)
admin.site.unregister(Group)
# Jobs are for whoever operates the server, who has the command line.
admin.site.unregister(ProcrastinateJob)


@admin.register(User)
class UserAdmin(ConfirmingAdmin, DjangoUserAdmin, ModelAdmin):
    form = UserChangeForm
    add_form = UserCreationForm
    change_password_form = AdminPasswordChangeForm
    list_per_page = PER_PAGE
    list_display = ["username", "email", "roles", "is_active", "seen"]
    list_filter = ["groups", "is_active"]
    filter_horizontal = ()
    readonly_fields = ["seen", "joined"]
    fieldsets = [
        (None, {"fields": ["username", "password"]}),
        ("Person", {"fields": ["first_name", "last_name", "email"]}),
        ("Rights", {"fields": ["is_active", "is_staff", "is_superuser", "groups"]}),
        ("Dates", {"fields": ["seen", "joined"]}),
    ]
    add_fieldsets = [
        (None, {"fields": ["username", "email", "password1", "password2"]}),
        ("Rights", {"fields": ["is_staff", "groups"]}),
    ]

    actions_detail = ["let_in"]

    @display(description="roles")
    def roles(self, user: User) -> str:
        roles = [group.name for group in user.groups.all()]
        return ", ".join(["superuser", *roles] if user.is_superuser else roles) or "none"

    @display(description="last login", ordering="last_login")
    def seen(self, user: User) -> str:
        return moment(user.last_login) if user.last_login else "never"

    @display(description="joined", ordering="date_joined")
    def joined(self, user: User) -> str:
        return moment(user.date_joined)

    def get_queryset(self, request: HttpRequest) -> QuerySet[User]:
        people: QuerySet[User] = super().get_queryset(request).prefetch_related("groups")
        return people

    # Only a superuser makes superusers or changes one: an owner would become one that way.

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        fixed = [] if request.user.is_superuser else ["is_superuser"]
        return [*super().get_readonly_fields(request, obj), *fixed]

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        allowed: bool = super().has_change_permission(request, obj)
        return allowed and _may_touch(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        allowed: bool = super().has_delete_permission(request, obj)
        return allowed and _may_touch(request, obj)

    # Whoever typed wrong passwords is let in before the time is over.

    @action(description="Let in again", permissions=["let_in"], icon="lock_open")
    def let_in(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return self.confirm(request, object_id, _LET_IN)

    def has_let_in_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return request.user.has_perm("auth.change_user")

    def get_actions_detail(self, request: HttpRequest, object_id: Any) -> Any:
        user = self.get_object(request, object_id)
        if user is None or not self.has_change_permission(request, user):
            return []
        offered = super().get_actions_detail(request, object_id)
        return offered if offered and _LET_IN.applies(user) else []

    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        """Deleted are people one by one: in bulk nobody is asked about each of them."""
        return {}

    def get_changeform_initial_data(self, request: HttpRequest) -> dict[str, Any]:
        return {"is_staff": True, **super().get_changeform_initial_data(request)}

    def formfield_for_dbfield(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        if db_field.name == "groups":
            kwargs["widget"] = UnfoldAdminCheckboxSelectMultipleWidget
        field: Any = super().formfield_for_dbfield(db_field, request, **kwargs)
        if db_field.name == "groups":
            field.label, field.help_text = "Roles", "What each may do is said under Groups."
            # Its button beside the boxes would make a group in passing.
            field.widget.can_add_related = False
        return field


def _let_in(request: HttpRequest, user: User) -> str:
    logins.let_in(user.get_username())
    return f"{user} can log in again."


_LET_IN = ConfirmedStep(
    "Let in again",
    [
        "Forgets the wrong passwords that were typed for this name. The right one opens the door "
        "at once.",
        "Was it somebody else who tried? Then a new password is better still.",
    ],
    _let_in,
    lambda user: logins.is_shut_out(user.get_username()),
    idle="{} is not shut out.",
)


def _may_touch(request: HttpRequest, user: User | None) -> bool:
    return bool(request.user.is_superuser or not (user and user.is_superuser))


@admin.register(Group)
class GroupAdmin(DjangoGroupAdmin, ModelAdmin):
    list_per_page = PER_PAGE
    filter_horizontal = ()
    actions = None

    def formfield_for_manytomany(
        self, db_field: Any, request: HttpRequest | None = None, **kwargs: Any
    ) -> Any:
        """Offer what the pages ask for, and not the rights to Django's own tables."""
        ours = {model._meta.app_label for model in self.admin_site._registry}
        kwargs["widget"] = UnfoldAdminCheckboxSelectMultipleWidget
        kwargs["queryset"] = Permission.objects.filter(
            content_type__app_label__in=ours
        ).select_related("content_type")
        field: Any = super().formfield_for_manytomany(db_field, request, **kwargs)
        field.label_from_instance = lambda permission: permission.name
        field.help_text = ""
        return field
