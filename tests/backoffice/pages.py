"""Who looks at a page, and what they read there."""

from collections.abc import Mapping
from html import unescape
from html.parser import HTMLParser
from typing import Any

from django.contrib.auth.models import Permission, User
from django.forms import BoundField, CheckboxInput, Select
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


def send_as_it_is(
    client: Client, address: str, typed: Mapping[str, Any] | None = None, **options: Any
) -> Any:
    """Open a page with a form, and send it with what stands in it, but for what is `typed`."""
    form = client.get(address).context["form"]
    stands = {field.html_name: _as_sent(field) for field in form}
    sent = {name: value for name, value in stands.items() if value is not None}
    return client.post(address, {**sent, **(typed or {})}, **options)


def _as_sent(field: BoundField) -> Any:
    """What a browser sends of a field that nobody touched: nothing of a box that is not ticked."""
    value = field.value()
    if isinstance(field.field.widget, CheckboxInput):
        return "on" if value else None
    if value is None and isinstance(field.field.widget, Select):
        return next(value for value, _ in field.field.widget.choices)
    return "" if value is None else field.field.prepare_value(value)


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


def filled_in(response: Any) -> dict[str, list[str]]:
    """What a browser would send of a page of the admin whose fields nobody has touched.

    Searches and filters are forms of their own, and are sent by no other.
    """
    page = _Fields()
    page.feed(response.content.decode())
    return page.sent


class _Fields(HTMLParser):
    """Reads what stands in inputs and lists, which is enough for forms without texts of lines."""

    def __init__(self) -> None:
        super().__init__()
        self.sent: dict[str, list[str]] = {}
        self._list = ""
        self._asks = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag == "form":
            self._asks = (given.get("method") or "get").lower() == "get"
        if self._asks:
            return
        name = given.get("name") or ""
        if tag == "select":
            self._list = name
        kind = given.get("type")
        is_box = kind in {"checkbox", "radio"}
        value = given.get("value") or ("on" if is_box and "value" not in given else "")
        is_sent = "checked" in given or not is_box
        if tag == "input" and name and kind not in {"submit", "file"} and is_sent:
            self.sent.setdefault(name, []).append(value)
        if tag == "option" and "selected" in given:
            self.sent.setdefault(self._list, []).append(value)

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self._asks = False


def text(response: Any) -> str:
    return unescape(response.content.decode())
