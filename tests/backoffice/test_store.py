"""The one page of settings, and what they change; and the page of a currency."""

from datetime import UTC, datetime

import pytest
from django.contrib.auth.models import Group, User
from django.test import Client

from api import clock, store
from api.models import StoreSettings
from inventory.models import Currency
from inventory.services import currencies
from tests.backoffice.pages import filled_in, text
from tests.factories import MERCHANT, product

pytestmark = pytest.mark.django_db

PAGE = "/admin/api/storesettings/1/change/"
NOON = datetime(2026, 7, 1, 12, tzinfo=UTC)


def somebody(role: str) -> Client:
    user = User.objects.create(username=role, is_staff=True)
    user.groups.add(Group.objects.get(name=role))
    client = Client()
    client.force_login(user)
    return client


@pytest.fixture
def owner() -> Client:
    return somebody("owner")


def sent(**changes: str) -> dict[str, str]:
    """The form as it is shown at first, but for the changes."""
    return {
        "name": "",
        "time_zone": "",
        "default_currency": "USD",
        "low_stock_threshold": "5",
        "cart_expiry_days": "7",
        "unpaid_order_expiry_hours": "336",
        "partly_paid_order_expiry_hours": "0",
        "page_length": "25",
        **changes,
    }


def test_settings_link_leads_to_the_one_page_before_anything_was_ever_saved(owner):
    response = owner.get("/admin/api/storesettings/", follow=True)

    assert response.redirect_chain == [(PAGE, 302)]
    assert response.status_code == 200
    assert not StoreSettings.objects.exists()


def test_what_was_typed_counts_at_once(owner):
    response = owner.post(
        PAGE,
        sent(
            name="Harbour Goods",
            low_stock_threshold="3",
            cart_expiry_days="30",
            unpaid_order_expiry_hours="24",
            partly_paid_order_expiry_hours="72",
            page_length="50",
            defer_inventory_check="on",
        ),
    )

    assert response.status_code == 302
    current = store.current()
    assert current.name == "Harbour Goods"
    assert current.low_stock_threshold == 3
    assert current.cart_expiry_days == 30
    assert current.unpaid_order_expiry_hours == 24
    assert current.partly_paid_order_expiry_hours == 72
    assert current.page_length == 50
    assert current.defer_inventory_check


def test_what_was_left_alone_keeps_what_somebody_else_typed_meanwhile(owner):
    store.change(cart_expiry_days=30, actor=MERCHANT)

    owner.post(PAGE, sent(cart_expiry_days="30", page_length="50"))
    store.change(cart_expiry_days=14, actor=MERCHANT)
    owner.post(PAGE, sent(cart_expiry_days="14", page_length="10"))

    assert (store.current().cart_expiry_days, store.current().page_length) == (14, 10)


def test_t11_settings_that_two_people_change_both_stand_or_say_so(owner):
    page = owner.get(PAGE).context["adminform"].form
    opened = {f"initial-{name}": page[name].value() or "" for name in page.fields}
    owner.post(PAGE, {**sent(cart_expiry_days="30", page_length="50"), **opened})

    owner.post(PAGE, {**sent(name="Harbour Goods"), **opened})
    told = owner.post(PAGE, {**sent(page_length="60"), **opened})

    assert store.current().name == "Harbour Goods"
    assert (store.current().cart_expiry_days, store.current().page_length) == (30, 50)
    assert list(told.context["adminform"].form.errors) == ["page_length"]


@pytest.mark.parametrize(
    ("field", "typed"),
    [
        ("cart_expiry_days", "0"),
        ("cart_expiry_days", "366"),
        ("page_length", "101"),
        ("unpaid_order_expiry_hours", "8761"),
        ("partly_paid_order_expiry_hours", "-1"),
        ("low_stock_threshold", "-1"),
        ("time_zone", "Mars/Olympus"),
        ("default_currency", "EUR"),
    ],
)
def test_what_cannot_be_is_refused_on_the_form(owner, field, typed):
    response = owner.post(PAGE, sent(**{field: typed}))

    assert list(response.context["adminform"].form.errors) == [field]
    assert not StoreSettings.objects.exists()


def test_the_stores_name_stands_at_the_top(owner):
    assert "Harbour Goods" not in text(owner.get("/admin/"))

    owner.post(PAGE, sent(name="Harbour Goods"))

    assert "Harbour Goods" in text(owner.get("/admin/"))
    assert "Harbour Goods" in text(Client().get("/admin/login/"))


def test_people_read_times_in_the_stores_time_zone_which_is_named(owner):
    with clock.replaced(lambda: NOON):
        product(stock=3)
    log = "/admin/inventory/stocktransaction/"
    assert "2026-07-01 12:00:00 UTC" in text(owner.get(log))

    owner.post(PAGE, sent(time_zone="Europe/Berlin"))

    assert "2026-07-01 14:00:00 CEST" in text(owner.get(log))


def test_environment_names_the_time_zone_until_the_store_does(owner, settings):
    settings.TIME_ZONE = "Asia/Tokyo"

    assert str(store.time_zone()) == "Asia/Tokyo"
    assert "As the server has it (Asia/Tokyo)" in text(owner.get(PAGE))


def test_a_time_zone_that_this_machine_does_not_know_stops_nobody(owner):
    store.change(time_zone="Atlantis/Capital", actor=MERCHANT)

    assert owner.get(PAGE).status_code == 200


def test_default_currency_moves_from_one_to_another(owner):
    currencies.create(code="EUR", format="{price} €", enabled=True, actor=MERCHANT)

    owner.post(PAGE, sent(default_currency="EUR"))

    assert list(Currency.objects.filter(default=True).values_list("code", flat=True)) == ["EUR"]
    assert currencies.named("").code == "EUR"


def test_others_may_look_and_change_nothing():
    clerk = somebody("stock clerk")

    shown = text(clerk.get(PAGE))
    response = clerk.post(PAGE, sent(name="Mine"))

    assert "USD" in shown
    assert "<select" not in shown
    assert response.status_code == 403
    assert not StoreSettings.objects.exists()


# Currencies.


def new_currency(**fields: str) -> dict[str, str]:
    return {
        "code": "kwd",
        "format": "{price} KD",
        "decimal_point": ".",
        "thousand_separator": ",",
        "decimal_places": "3",
        "exchange_rate": "1",
        "enabled": "on",
        **fields,
    }


def test_a_currency_is_added_and_its_digits_stay(admin_client):
    admin_client.post("/admin/inventory/currency/add/", new_currency())
    dinar = Currency.objects.get(code="KWD")
    url = f"/admin/inventory/currency/{dinar.pk}/change/"
    admin_client.post(url, new_currency(decimal_places="0", format="KD {price}"))

    dinar.refresh_from_db()
    currencies.forget()
    assert dinar.formatted(1250) == "KD 1.250"


def test_a_space_may_separate_thousands(admin_client):
    spaced = {"decimal_point": ",", "thousand_separator": " "}
    admin_client.post("/admin/inventory/currency/add/", new_currency(**spaced))
    dinar = Currency.objects.get(code="KWD")
    page = f"/admin/inventory/currency/{dinar.pk}/change/"

    read = [dinar.formatted(1_250_000)]
    for separator in ("", " "):
        sent = {**filled_in(admin_client.get(page)), "thousand_separator": separator}
        admin_client.post(page, sent)
        dinar.refresh_from_db()
        read.append(dinar.formatted(1_250_000))

    assert read == ["1 250,000 KD", "1250,000 KD", "1 250,000 KD"]


def test_t17_where_no_digits_are_typed_the_currency_has_its_own(admin_client):
    url = "/admin/inventory/currency/add/"
    shown = admin_client.get(url).context["adminform"].form["decimal_places"].value()

    admin_client.post(url, new_currency(code="jpy", decimal_places=""))

    assert shown is None
    assert Currency.objects.get(code="JPY").decimal_places == 0


@pytest.mark.parametrize(
    "wrong",
    [
        {"code": "usd"},
        {"code": "12$"},
        {"format": "KD"},
        {"thousand_separator": "."},
        {"decimal_point": "0"},
        {"decimal_point": "\ufeff"},
        {"decimal_places": "5"},
        {"exchange_rate": "0"},
        {"exchange_rate": "-1.5"},
    ],
)
def test_a_currency_that_could_be_misread_is_refused(admin_client, wrong):
    response = admin_client.post("/admin/inventory/currency/add/", new_currency(**wrong))

    assert response.status_code == 200
    assert Currency.objects.count() == 1


def test_t11_a_setting_that_did_not_arrive_is_left_alone(owner):
    store.change(name="Shore", actor=MERCHANT)
    form = owner.get(PAGE).context["adminform"].form
    stands = {field: "" if field.value() is None else field.value() for field in form}
    sent = {field.html_initial_name: value for field, value in stands.items()}
    sent |= {field.html_name: value for field, value in stands.items() if field.name != "name"}

    owner.post(PAGE, {**sent, "page_length": "7"})

    store.forget()
    assert (store.current().name, store.current().page_length) == ("Shore", 7)


def test_t11_a_currency_that_became_the_default_is_not_said_to_be_disabled(owner):
    euro = currencies.create(code="EUR", format="{price} €", enabled=True, actor=MERCHANT)
    page = f"/admin/inventory/currency/{euro.pk}/change/"
    form = owner.get(page).context["adminform"].form
    sent = {field.html_name: field.value() for field in form if field.name != "enabled"}
    sent |= {field.html_initial_name: field.value() for field in form}
    currencies.change(euro.pk, default=True, actor=MERCHANT)

    told = owner.post(page, sent)

    assert 'There is no place for "enabled" any more' in text(told)
