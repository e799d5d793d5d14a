"""The history of a thing, as people read it on its page."""

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Group, User

from api import services, store
from api.actors import Actor
from api.models import Change
from backoffice import history
from inventory.models import DEFAULT_LOCATION_ID, Currency
from inventory.services import currencies, products
from inventory.services.products import Money
from tests.backoffice.pages import client_with, signed_in, text
from tests.factories import MERCHANT, api_client, product

pytestmark = pytest.mark.django_db

NOBODY_IN_PARTICULAR = Actor("user", "7", "maria")


def page(row: object, name: str) -> str:
    return f"/admin/{name}/{row}/history/"


def test_t21_who_changed_a_price_from_what_to_what_stands_in_the_products_history(admin_client):
    shirt = product(price=1200)

    products.change_prices(shirt.pk, {"USD": 1400}, actor=NOBODY_IN_PARTICULAR)

    own = page(shirt.pk, "inventory/product")
    for address in (own, own.replace("history", "stock-history")):
        shown = text(admin_client.get(address))
        assert "Price in USD: 12.00 → 14.00" in shown
        assert "maria" in shown


def test_t21_deleting_a_person_deletes_nothing_of_what_they_did():
    boss = User.objects.create_superuser("boss")
    client = api_client()
    services.revoke_client(client.pk, actor=Actor.person(boss))

    boss.delete()

    assert [entry.actor_name for entry in Change.objects.all()] == ["boss"]


def test_values_are_written_as_people_say_them(admin_client):
    shirt = product(name="Shirt", sku="SHIRT")
    products.update(
        shirt.pk,
        status="draft",
        image_url="https://example.com/shirt.png",
        low_stock_threshold=0,
        manage_stock=False,
        prices=[Money("USD", 1250, includes_tax=False)],
        actor=MERCHANT,
    )

    shown = text(admin_client.get(page(shirt.pk, "inventory/product")))

    for line in (
        "Status: Live → Draft",
        f"Image URL: {history.NOTHING} → https://example.com/shirt.png",
        f"Low stock threshold: {history.NOTHING} → 0",
        "Stock managed: yes → no",
        "Price in USD: 12.50 → 12.50, tax not included",
        "SKU: SHIRT",
    ):
        assert line in shown


def test_a_secret_is_said_to_have_changed_and_no_more(admin_client):
    client = api_client()
    secret = services.rotate_secret(client.pk, actor=MERCHANT)

    shown = text(admin_client.get(page(client.pk, "api/apiclient")))

    assert "Secret: changed" in shown
    assert secret not in shown


def test_what_was_never_changed_has_an_empty_history(admin_client):
    for name, row in (
        ("payments/gateway", "manual"),
        ("inventory/currency", Currency.objects.get().pk),
        ("inventory/location", DEFAULT_LOCATION_ID),
        ("api/storesettings", 1),
    ):
        assert "Nothing is on record yet." in text(admin_client.get(page(row, name)))


def test_a_long_history_is_read_page_by_page(admin_client, django_assert_num_queries):
    for number in range(history.ENTRIES_A_PAGE + 2):
        store.change(page_length=30 + number, actor=MERCHANT)
    address = page(1, "api/storesettings")

    newest = text(admin_client.get(address))
    older = Change.objects.order_by("-pk")[history.ENTRIES_A_PAGE - 1].pk
    oldest = text(admin_client.get(f"{address}?before={older}"))

    assert "→ 56" in newest
    assert "→ 31" not in newest
    assert f"?before={older}" in newest
    assert ("→ 31" in oldest, "→ 56" in oldest, "Older" in oldest) == (True, False, False)
    assert "→ 56" in text(admin_client.get(f"{address}?before=nonsense"))


def test_history_is_for_those_who_may_see_the_thing():
    shirt = product()

    assert client_with("view_order").get(page(shirt.pk, "inventory/product")).status_code == 403


def test_no_page_writes_djangos_own_log():
    owner = signed_in(User.objects.create_superuser("boss"))

    owner.post("/admin/payments/gateway/manual/change/", {"name": "Transfer", "enabled": "on"})

    assert Change.objects.count() == 1
    assert LogEntry.objects.count() == 0


def test_what_is_gone_stands_among_all_changes(admin_client):
    euro = currencies.create(code="EUR", actor=MERCHANT)
    currencies.delete(euro.pk, actor=NOBODY_IN_PARTICULAR)
    entry = Change.objects.latest("pk")

    for address in ("/admin/api/change/", f"/admin/api/change/{entry.pk}/change/"):
        shown = text(admin_client.get(address))
        assert f"Code: EUR → {history.NOTHING}" in shown
        assert "maria" in shown
        assert "currency" in shown


def test_all_changes_are_for_owners_and_to_be_looked_at():
    store.change(name="Harbour Goods", actor=MERCHANT)
    page = f"/admin/api/change/{Change.objects.get().pk}/"

    for role, status in (("owner", 200), ("order manager", 403)):
        person = User.objects.create(username=role, is_staff=True)
        person.groups.add(Group.objects.get(name=role))
        assert signed_in(person).get(f"{page}change/").status_code == status
        assert signed_in(person).post(f"{page}delete/", {"post": "yes"}).status_code == 403


def test_t27_who_may_see_changes_and_no_costs_sees_no_cost_in_them():
    product(cost=Money("USD", 731))
    client = client_with("view_change")
    entries = Change.objects.order_by("-pk")

    for address in ("/admin/api/change/", f"/admin/api/change/{entries[0].pk}/change/"):
        shown = text(client.get(address))
        assert "Cost: changed" in shown
        assert "7.31" not in shown
