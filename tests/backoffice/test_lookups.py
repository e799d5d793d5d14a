"""What the address of a list may ask for: what its page offers, and nothing else."""

from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib import admin
from django.contrib.admin.utils import get_fields_from_path
from django.contrib.auth.models import Group, User
from django.core.exceptions import FieldDoesNotExist
from django.db.models import Model
from django.test import Client, RequestFactory

from api.models import ApiClient
from backoffice.base import ListedAdmin
from backoffice.roles import VIEWER
from tests.factories import api_client

pytestmark = pytest.mark.django_db

KINDS = ["", "__exact", "__startswith", "__isnull", "__gte", "__regex", "__in", "__contains"]
# What the pages offer themselves: whatever comes to the lists, this walk wants to hear of it.
OFFERED = {
    "api.apiclient": {"active"},
    "api.change": {"what"},
    "auth.user": {"groups", "is_active"},
    "events.delivery": {"integration", "state"},
    "events.event": {"type", "about"},
    "events.integration": {"enabled", "health"},
    "events.mail": {"state"},
    "inventory.delivery": {"state"},
    "inventory.product": {"status", "category", "managed", "stock_state", "counted", "cost"},
    "inventory.sheet": {"kind", "source", "state"},
    "inventory.stocktake": {"state"},
    "inventory.stocktransaction": {"movement", "since"},
    "payments.gatewayevent": {"known", "gateway"},
}


def paths(model: type[Model], hops: int = 2) -> Iterator[str]:
    """Name every field of a model, and of what it relates to and what relates to it."""
    for field in model._meta.get_fields():
        yield field.name
        related = field.related_model
        if hops and isinstance(related, type):
            yield from (f"{field.name}__{path}" for path in paths(related, hops - 1))


@pytest.fixture
def superuser() -> Any:
    request = RequestFactory().get("/")
    request.user = User.objects.create_superuser("superuser")
    return request


@pytest.mark.parametrize("model", admin.site._registry, ids=lambda model: model._meta.label_lower)
def test_t27_a_list_is_filtered_by_what_it_offers_and_by_no_other_field(model, superuser):
    page: Any = admin.site.get_model_admin(model)
    assert isinstance(page, ListedAdmin)

    answered = {
        path
        for path in paths(model)
        for kind in KINDS
        if page.lookup_allowed(f"{path}{kind}", "a", superuser)
    }

    offered = OFFERED.get(model._meta.label_lower, set())
    fields = {path.removesuffix("__id") for path in answered}
    assert fields == {name for name in offered if is_field(model, name)}
    assert not any(page.lookup_allowed(f"{path}__startswith", "a", superuser) for path in offered)


def is_field(model: type[Model], name: str) -> bool:
    try:
        return bool(get_fields_from_path(model, name))
    except FieldDoesNotExist:
        return False


@pytest.mark.parametrize(
    "asked", ["secret_sha256__startswith", "secret_sha256", "_to_field", "nothing__exact"]
)
def test_t27_what_is_kept_of_a_secret_is_told_to_nobody(asked):
    api_client()
    kept = ApiClient.objects.get().secret_sha256
    client = Client()
    client.force_login(User.objects.create(username="viewer", is_staff=True))
    User.objects.get().groups.add(Group.objects.get(name=VIEWER))

    answers = [
        client.get("/admin/api/apiclient/", {asked: value})
        for value in (kept[:1], "~", "secret_sha256")
    ]

    assert len({(answer.status_code, answer.content) for answer in answers}) == 1
    assert answers[0].status_code == 302
    assert "no such filter" in client.get("/admin/api/apiclient/?e=1").content.decode()


def test_t27_nothing_is_sorted_searched_or_named_by_what_is_kept_of_a_secret(superuser):
    for model, page in admin.site._registry.items():
        listed = page.get_changelist_instance(superuser)
        sorted_by = {str(listed.get_ordering_field(column)) for column in listed.list_display}
        searched = set(page.get_search_fields(superuser))
        named_by = {
            field.name
            for field in model._meta.concrete_fields
            if page.to_field_allowed(superuser, field.name)
        }

        secrets = {"secret_sha256", "password", "cost", "cost_currency"}
        assert not secrets & (sorted_by | searched | named_by), model


def test_the_choices_of_a_field_are_told_to_who_may_see_them_and_of_no_other_field():
    clients = {}
    for name in ("viewer", "nobody"):
        clients[name] = Client()
        clients[name].force_login(User.objects.create(username=name, is_staff=True))
    User.objects.get(username="viewer").groups.add(Group.objects.get(name=VIEWER))

    def status(who: str, model: type[Model], field: str) -> int:
        meta = model._meta
        of_model = {"app_label": meta.app_label, "model_name": str(meta.model_name)}
        asked = {**of_model, "field_name": field}
        answered: int = clients[who].get("/admin/autocomplete/", asked).status_code
        return answered

    asked = [
        (model, name)
        for model in admin.site._registry
        for name in (*(field.name for field in model._meta.get_fields() if field.is_relation), "x")
    ]
    told = [each for each in asked if status("viewer", *each) not in {403, 404}]

    assert {status("viewer", *each) for each in told} == {200}
    assert {status("nobody", *each) for each in told} == {403}
    assert len(told) < len(asked)
