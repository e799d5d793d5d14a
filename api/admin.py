"""What every admin page shares, and the pages of API clients and of people."""

import hashlib
import uuid
from collections.abc import Callable
from datetime import datetime
from typing import Any, ClassVar

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.options import csrf_protect_m
from django.contrib.auth.admin import GroupAdmin as DjangoGroupAdmin
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.models import Group, User
from django.db import models
from django.http import HttpRequest
from django.utils import timezone
from procrastinate.contrib.django.models import ProcrastinateJob
from unfold.admin import ModelAdmin
from unfold.decorators import display
from unfold.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm
from unfold.widgets import UnfoldBooleanSwitchWidget

from api import services, tokens
from api.actors import Actor
from api.errors import Refusal
from api.idempotency import Key
from api.ids import uuid7
from api.models import ApiClient
from api.services import ClientIdTaken

PER_PAGE = 25


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


class ReadOnlyAdmin(ModelAdmin):
    """Pages to look at: whoever may view may do nothing else, a superuser included."""

    list_per_page = PER_PAGE
    # Counting every filter's rows takes longer the more there are.
    show_facets = admin.ShowFacets.NEVER
    actions = None

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


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


@admin.register(ApiClient)
class ApiClientAdmin(ServiceAdmin):
    list_display = ["name", "client_id", "kind", "active", "created"]
    list_filter = ["active"]
    search_fields = ["name", "client_id"]
    ordering = ["name"]
    refusal_fields: ClassVar = {ClientIdTaken: "client_id"}

    @display(description="kind", label={"back office": "primary", "storefront": "info"})
    def kind(self, client: ApiClient) -> str:
        return "back office" if client.secret_sha256 else "storefront"

    @display(description="created", ordering="created_at")
    def created(self, client: ApiClient) -> str:
        return moment(client.created_at)

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        if obj is None:
            return ["client_id", "name", "storefront"]
        return ["client_id", "name", "kind", "active", "created"]

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return ["client_id", "kind", "created"] if obj else []

    def get_form(
        self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any
    ) -> type[forms.ModelForm]:
        if obj is None:
            kwargs["form"] = _NewClientForm
        return super().get_form(request, obj, change, **kwargs)

    def save_model(self, request: HttpRequest, obj: ApiClient, form: Any, change: bool) -> None:
        if change:
            obj.save(update_fields=["name", "active"])
            tokens.forget_clients()
            return
        storefront = form.cleaned_data["storefront"]
        secret = services.create_client(obj.client_id, obj.name, storefront=storefront)
        # The form made this object with an id of its own; the service made the row.
        obj.pk = ApiClient.objects.values_list("pk", flat=True).get(client_id=obj.client_id)
        if secret:
            messages.warning(
                request,
                f"The secret of {obj.client_id} is {secret} Copy it now: it is stored nowhere "
                "and will not be shown again.",
            )

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """What a client did stays in the logs; one that is not needed is made inactive."""
        return False


# People and groups, in the look of the other pages.

admin.site.unregister(User)
admin.site.unregister(Group)
# Jobs are for whoever operates the server, who has the command line.
admin.site.unregister(ProcrastinateJob)


@admin.register(User)
class UserAdmin(DjangoUserAdmin, ModelAdmin):
    form = UserChangeForm
    add_form = UserCreationForm
    change_password_form = AdminPasswordChangeForm
    list_per_page = PER_PAGE


@admin.register(Group)
class GroupAdmin(DjangoGroupAdmin, ModelAdmin):
    list_per_page = PER_PAGE
