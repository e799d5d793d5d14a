"""The menu of each role."""

import re

import pytest
from django.contrib.admin import site
from django.contrib.auth.models import Group, User
from django.db.models.options import Options
from django.urls import reverse

from backoffice.roles import ORDER_MANAGER, OWNER, ROLES, STOCK_CLERK, VIEWER
from tests.backoffice.pages import signed_in, text

pytestmark = pytest.mark.django_db


def menu(role: str | None, address: str = "/admin/") -> list[dict[str, object]]:
    person, _ = User.objects.get_or_create(username=f"the {role}", is_staff=True)
    if role:
        person.groups.add(Group.objects.get(name=role))
    shown = signed_in(person).get(address, follow=True).context["sidebar_navigation"]
    return [
        {"title": item["title"], "is_folded": group["collapsible"], **item}
        for group in shown
        for item in group["items"]
    ]


def titles(role: str | None, *, folded: bool) -> list[object]:
    return [item["title"] for item in menu(role) if item["is_folded"] == folded]


STOCK_WORK = ["Products", "Deliveries", "Stocktakes", "Imports and counts", "Stock log"]
MORE = ["Stock value", "Categories", "Variants", "Pictures"]


def test_t26_a_role_has_in_its_menu_what_it_works_with():
    assert titles(STOCK_CLERK, folded=False) == ["Dashboard", "Orders", "Figures", *STOCK_WORK]
    assert titles(STOCK_CLERK, folded=True) == MORE
    assert titles(ORDER_MANAGER, folded=False) == [
        *("Dashboard", "Orders", "New order", "Figures", "Carts", "Products", "Stock log"),
    ]
    assert titles(ORDER_MANAGER, folded=True) == []
    assert titles(VIEWER, folded=False) == [
        *("Dashboard", "Orders", "Figures", "Products", "Stock log"),
    ]
    assert titles(None, folded=False) == ["Dashboard"]
    assert titles(OWNER, folded=True)[:6] == [*MORE, "Store", "People"]


@pytest.mark.parametrize("role", ROLES)
def test_whatever_is_in_a_menu_opens_and_is_marked_there(role):
    entries = menu(role)

    for entry in entries:
        at = [each["title"] for each in menu(role, str(entry["link"])) if each["active"]]
        # A new order is a cart from the first.
        assert at == ["Carts" if entry["title"] == "New order" else entry["title"]]


def test_no_menu_is_long():
    assert all(len(titles(role, folded=False)) <= 8 for role in (STOCK_CLERK, ORDER_MANAGER))


@pytest.mark.parametrize(
    ("address", "named"),
    [
        ("auth/user/", "People"),
        ("auth/group/", "Roles"),
        ("api/apiclient/", "API clients"),
        ("inventory/stocktransaction/", "Stock log"),
    ],
)
def test_t26_a_page_is_called_as_in_the_menu(admin_client, address, named):
    page = text(admin_client.get(f"/admin/{address}"))

    assert f'tracking-tight">{named}</a>' in page
    for djangos in ("Authentication and Authorization", "API access"):
        assert djangos not in page


def title_of(page: str) -> list[str]:
    found = re.search(r"<title>(.*?)</title>", page, re.DOTALL)
    assert found
    return [part.strip() for part in found.group(1).split("|")]


@pytest.mark.parametrize(
    ("address", "title"),
    [
        ("auth/user/", "People"),
        ("auth/user/add/", "New person"),
        ("auth/user/{person}/change/", "Person"),
        ("auth/group/", "Roles"),
        ("auth/group/add/", "New role"),
        ("auth/group/{role}/change/", "Role"),
        ("inventory/currency/", "Currencies"),
        ("api/apiclient/add/", "New API client"),
    ],
)
def test_the_title_of_a_page_says_what_it_is_in_the_words_of_the_menu(admin_client, address, title):
    ids = {"person": User.objects.get().pk, "role": Group.objects.get(name=VIEWER).pk}

    page = text(admin_client.get(f"/admin/{address.format(**ids)}"))

    assert title in title_of(page)


def test_nothing_is_called_as_the_framework_calls_it(admin_client):
    """Where it is counted, made or not there."""
    for address in ("auth/user/", "auth/group/"):
        page = text(admin_client.get(f"/admin/{address}"))

        hidden = r"<(script|style).*?</\1>|<span class=\"material-symbols[^>]*>[^<]*|<[^>]*>"
        shown = re.sub(hidden, " ", page, flags=re.DOTALL)
        assert re.findall(r".*\b(?:users?|groups?|to change)\b.*", shown, re.IGNORECASE) == []


def test_no_list_is_called_by_what_one_may_do_to_it(admin_client):
    for admin in site._registry.values():
        lists = reverse(f"admin:{admin.opts.app_label}_{admin.opts.model_name}_changelist")
        page = text(admin_client.get(lists, follow=True))

        assert "select " not in " ".join(title_of(page)).lower()


def test_what_a_page_is_called_takes_nothing_from_what_its_model_knows():
    """A copy of the model's options empties the caches of both: of what goes with a deleted row."""
    for model, admin in site._registry.items():
        assert admin.opts is model._meta or not isinstance(admin.opts, Options)
        assert admin.opts.related_objects == model._meta.related_objects
    assert User._meta.related_objects
