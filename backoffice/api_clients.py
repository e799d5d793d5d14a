"""The programs that call the API: who may, and with which secret."""

from typing import Any, ClassVar

from django import forms
from django.conf import settings
from django.contrib import admin, messages
from django.http import HttpRequest
from unfold.decorators import display
from unfold.widgets import UnfoldBooleanSwitchWidget

from api import services
from api.errors import Standing
from api.models import ApiClient
from api.services import ClientIdTaken
from backoffice.actions import Action, ActionForm, Case, RowActionAdmin, only_if, row_action
from backoffice.base import ServiceAdmin, actor_of
from backoffice.dates import moment

MAY_CHANGE = "api.change_apiclient"


class _NewClientForm(forms.ModelForm):
    storefront = forms.BooleanField(
        required=False,
        widget=UnfoldBooleanSwitchWidget,
        help_text="Runs in browsers and can keep no secret: it may do what shoppers may. "
        "Leave off for a server, which gets a secret and may do everything.",
    )

    class Meta:
        model = ApiClient
        fields = ["client_id", "name"]
        help_texts: ClassVar = {
            "client_id": "By which the program asks for its tokens, such as web-shop. It stays.",
            "name": "By which people know it: what it does stands under this name in the logs.",
        }


class ClientCase(Case[ApiClient]):
    def standing(self) -> Standing:
        return self.subject.standing()


def _rotate(case: Case[ApiClient], form: ActionForm) -> str:
    client = case.subject
    secret = services.rotate_secret(client.pk, actor=case.actor, seen=form.saw)
    _show_secret(case.request, client, secret)
    return "The old secret is replaced."


def _revoke(case: Case[ApiClient], form: object) -> str:
    services.revoke_client(case.subject.pk, actor=case.actor)
    return f"{case.subject} is revoked."


def _restore(case: Case[ApiClient], form: object) -> str:
    services.restore_client(case.subject.pk, actor=case.actor)
    return f"{case.subject} may call the API again."


def _show_secret(request: HttpRequest, client: ApiClient, secret: str) -> None:
    messages.warning(
        request,
        f"The secret of {client.client_id} is {secret} Copy it now: it is stored nowhere "
        "and will not be shown again.",
    )


_TOKENS_END = f"Tokens that it has now end within {settings.CLIENT_CACHE_SECONDS} seconds."
ROTATE = Action(
    "rotate",
    "New secret",
    MAY_CHANGE,
    _rotate,
    effects=lambda case: [
        "Makes a new secret, shown once. The old one is good for nothing from then on.",
        f"{_TOKENS_END} The program is shut out until it has been given the new secret.",
    ],
    guard=only_if(lambda client: not client.is_storefront),
)
REVOKE = Action(
    "revoke",
    "Revoke",
    MAY_CHANGE,
    _revoke,
    effects=lambda case: [
        "Gives this client no more tokens.",
        _TOKENS_END,
        "It can be allowed again.",
    ],
    guard=only_if(lambda client: client.active),
    dangerous=True,
)
RESTORE = Action(
    "restore",
    "Allow again",
    MAY_CHANGE,
    _restore,
    effects=lambda case: ["Gives this client tokens again, for the secret that it had."],
    guard=only_if(lambda client: not client.active),
)
CLIENT_ACTIONS = {action.name: action for action in (ROTATE, REVOKE, RESTORE)}


@admin.register(ApiClient)
class ApiClientAdmin(RowActionAdmin, ServiceAdmin):
    list_display = ["name", "client_id", "kind", "active", "created"]
    list_filter = ["active"]
    search_fields = ["name", "client_id"]
    ordering = ["name"]
    when_empty = "Add one for each program that calls the API: a storefront, a server of yours."
    refusal_fields: ClassVar = {ClientIdTaken: "client_id"}
    row_actions = CLIENT_ACTIONS
    row_case = ClientCase

    @display(description="kind", label={"server": "primary", "storefront": "info"})
    def kind(self, client: ApiClient) -> str:
        return "storefront" if client.is_storefront else "server"

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
            if "name" in form.changed_data:
                services.rename_client(obj.pk, obj.name, actor=actor_of(request), seen=form.seen)
            return
        storefront = form.cleaned_data["storefront"]
        secret = services.create_client(
            obj.client_id, obj.name, storefront=storefront, actor=actor_of(request)
        )
        # The form made this object with an id of its own; the service made the row.
        obj.pk = ApiClient.objects.values_list("pk", flat=True).get(client_id=obj.client_id)
        if secret:
            _show_secret(request, obj, secret)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """What a client did stays in the logs; one that is not needed is revoked."""
        return False

    rotate = row_action(ROTATE, icon="key")
    revoke = row_action(REVOKE, icon="block")
    restore = row_action(RESTORE, icon="undo")
