"""Who looks at a page, and what they read there."""

from collections.abc import Mapping
from html import unescape
from typing import Any

from django.contrib.auth.models import Permission, User
from django.forms import CheckboxInput
from django.test import Client


def signed_in(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def client_with(*permissions: str) -> Client:
    user = User.objects.create_user("clerk", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    return signed_in(user)


def send(
    client: Client, address: str, typed: Mapping[str, Any] | None = None, **options: Any
) -> Any:
    """Open a page with a form, fill in what is `typed`, and send it with what else is on it."""
    return client.post(address, {**hidden(client, address), **(typed or {})}, **options)


def hidden(client: Client, address: str) -> dict[str, Any]:
    """What a page's form would send, with its fields emptied and its switches off."""
    form = (client.get(address).context or {}).get("form")
    if form is None:
        return {}
    hides = {field.html_name: field.value() for field in form.hidden_fields()}
    sent = {name: value for name, value in hides.items() if value is not None}
    empty = {
        field.html_name: ""
        for field in form.visible_fields()
        if not isinstance(field.field.widget, CheckboxInput)
    }
    return {**empty, **sent}


def text(response: Any) -> str:
    return unescape(response.content.decode())
