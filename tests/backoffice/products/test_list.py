"""Products in the admin: their list, and making, editing and deleting them."""

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from api import clock, store
from api.models import Change
from backoffice.products.forms import TOLD_OF
from inventory.models import Action, Currency, Price, Product, StockTransaction
from inventory.services import currencies, products
from inventory.services import stock as inventory
from tests.backoffice.pages import client_with, hidden, send, text
from tests.factories import MERCHANT, paid_order, product, stock_of

pytestmark = pytest.mark.django_db

PRODUCTS = "/admin/inventory/product/"
ADD = f"{PRODUCTS}add/"


def numbers(product: Product) -> tuple[int, int, int, int]:
    stock = stock_of(product)
    return stock.total, stock.available, stock.allocated, stock.held


# The list of products.


def test_the_list_costs_the_same_for_one_product_and_for_a_page_of_them(
    admin_client, django_assert_num_queries
):
    currencies.by_code()
    store.current()
    product(1)
    with django_assert_num_queries(7):
        admin_client.get(PRODUCTS)

    for _ in range(29):
        product(1)

    with django_assert_num_queries(7):
        assert len(admin_client.get(PRODUCTS).context["cl"].result_list) == 25


@pytest.mark.parametrize("order", ["", "o=5", "o=-5.2", "q=shirt&o=-2"])
def test_the_pages_of_the_list_have_every_product_once_and_in_order(admin_client, order):
    made = [product(number % 4, name=f"Shirt {number:02}") for number in range(77)]

    everything = admin_client.get(f"{PRODUCTS}?{order}&all=").context["cl"].result_list
    pages = [
        list(admin_client.get(f"{PRODUCTS}?{order}&p={page}").context["cl"].result_list)
        for page in (1, 2, 3, 4)
    ]

    assert [len(page) for page in pages] == [25, 25, 25, 2]
    assert [each for page in pages for each in page] == list(everything)
    assert {each.pk for each in everything} == {each.pk for each in made}


def test_what_a_page_skips_is_not_read_whole(admin_client):
    for _ in range(60):
        product(1)

    with CaptureQueriesContext(connection) as captured:
        admin_client.get(f"{PRODUCTS}?p=2")

    [skipping] = [query["sql"] for query in captured if "OFFSET" in query["sql"]]
    _, inner = skipping.split("IN (SELECT ", 1)
    assert "description" not in inner


@pytest.mark.parametrize("asked", ["cost__gt=1", "cost_currency=USD", "cost__isnull=0"])
def test_nobody_finds_out_a_cost_by_asking_for_it_in_an_address(asked):
    product(cost=products.Money("USD", 987))

    viewer = client_with("view_product", "view_stock")
    for page in ("", "export/", "export-products/"):
        assert viewer.get(f"{PRODUCTS}{page}?{asked}").status_code == 302


def test_the_list_shows_the_price_as_people_write_it_and_the_numbers(admin_client):
    shirt = product(10, price=123450, name="Dear shirt")
    paid_order({shirt: 4})

    shown = text(admin_client.get(PRODUCTS)).split('id="result_list"')[1]
    assert "$1,234.50" in shown
    assert [f">{number}<" in shown for number in (6, 4, 10)] == [True, True, True]


def test_t02_what_was_not_counted_for_long_is_found(admin_client):
    product(5, sku="never")
    product(sku="free", managed=False)
    with clock.replaced(lambda: timezone.now() - timedelta(days=100)):
        inventory.count(product(5, sku="long ago").pk, 5, actor=MERCHANT)
    today, withdrawn = product(5, sku="today"), product(5, sku="withdrawn")
    inventory.count(today.pk, 5, actor=MERCHANT)
    inventory.count(withdrawn.pk, 4, actor=MERCHANT)
    inventory.undo(withdrawn.pk, 2, actor=MERCHANT)

    def found(counted: str) -> set[str]:
        listed = admin_client.get(PRODUCTS, {"counted": counted}).context["cl"].queryset
        return {each.sku for each in listed}

    assert found("never") == {"never", "withdrawn"}
    assert found("90") == {"never", "withdrawn", "long ago"}
    assert found("365") == {"never", "withdrawn"}
    assert found("yesterday") == {"never", "long ago", "today", "free", "withdrawn"}


def test_products_are_found_by_name_sku_and_barcode(admin_client):
    product(1, name="Linen shirt", sku="L-1", barcode="4006381333931")
    product(1, name="Mug", sku="M-1")

    def found(term: str) -> list[str]:
        return [each.sku for each in admin_client.get(PRODUCTS, {"q": term}).context["cl"].queryset]

    assert [found(term) for term in ("linen", "l-", "40063")] == [["L-1"]] * 3


def test_t25_a_scanned_code_opens_its_product_and_one_of_several_lists_them(admin_client):
    mug = product(sku="MUG-BLUE", barcode="012345678905")
    url = f"/admin/inventory/product/{mug.pk}/inventory/"
    for scanned in ("mug-blue", "0012345678905"):
        assert admin_client.get(PRODUCTS, {"q": scanned})["Location"] == url

    product(sku="mug-blue", barcode="00012345678905")
    for scanned in ("Mug-Blue", "0012345678905"):
        listed = admin_client.get(PRODUCTS, {"q": scanned}).context["cl"].queryset
        assert {each.sku for each in listed} == {"MUG-BLUE", "mug-blue"}


def test_products_are_filtered_by_state(admin_client):
    product(1, sku="here")
    product(0, sku="out")
    product(managed=False, sku="free")
    product(1, sku="draft", status="draft")

    def found(**query: str) -> set[str]:
        return {each.sku for each in admin_client.get(PRODUCTS, query).context["cl"].queryset}

    assert found(status__exact="draft") == {"draft"}
    assert found(managed="no") == {"free"}
    assert found(managed="yes") == {"here", "out", "draft"}
    assert found(stock_state="in") == {"here", "free", "draft"}
    assert found(stock_state="out") == {"out"}


# Creating, editing and deleting products.


def form(**fields: Any) -> dict[str, Any]:
    return {
        "name": "Linen shirt",
        "sku": "SHIRT",
        "price_usd": "12.50",
        "status": "live",
        "commodity_type": "physical",
        "manage_stock": "on",
        "initial_stock": "0",
        **fields,
    }


def test_a_new_product_begins_with_its_initial_stock_in_the_log(admin_client):
    response = admin_client.post(ADD, form(initial_stock="50", barcode="123"))

    assert response.status_code == 302
    shirt = Product.objects.get()
    assert (shirt.name, shirt.slug, shirt.barcode) == ("Linen shirt", "linen-shirt", "123")
    assert Price.objects.get().amount == 1250
    assert numbers(shirt) == (50, 50, 0, 0)
    entry = StockTransaction.objects.get()
    assert (entry.action, entry.quantity, entry.reason) == ("increment", 50, "initial stock")
    assert entry.actor_name == "admin"


@pytest.mark.parametrize(
    ("first", "second", "field"),
    [
        ({"sku": "TEA-TIN"}, {"sku": "tea-tin"}, "sku"),
        ({"barcode": "4006381333931"}, {"sku": "B", "barcode": "4006381333931"}, "barcode"),
        ({"barcode": "012345678905"}, {"sku": "B", "barcode": "0012345678905"}, "barcode"),
        ({"sku": "4006381333931"}, {"sku": "B", "barcode": "4006381333931"}, "barcode"),
        ({"barcode": "4006381333931"}, {"sku": "4006381333931"}, "sku"),
    ],
)
def test_t25_a_code_that_another_product_has_is_said_before_saving(
    admin_client, first, second, field
):
    other = product(name="<Tea> tin", **first)
    typed = form(**second)

    shown = admin_client.post(ADD, typed)

    [(named, [error])] = shown.context["adminform"].form.errors.items()
    assert named == field
    assert "&lt;Tea&gt; tin" in error
    box = f'name="{TOLD_OF}" value="{other.pk}"'
    assert box in shown.content.decode()
    assert not Product.objects.filter(name=typed["name"]).exists()

    assert admin_client.post(ADD, {**typed, TOLD_OF: str(other.pk)}).status_code == 302
    assert Product.objects.filter(name=typed["name"]).exists()


def test_t25_whoever_was_told_of_another_product_is_told_again(admin_client):
    first = product(sku="TEA-TIN")
    product(sku="Tea-Tin")

    assert (
        admin_client.post(ADD, form(sku="tea-tin", **{TOLD_OF: str(first.pk)})).status_code == 200
    )


def test_t25_a_product_that_keeps_its_codes_is_not_asked_about(admin_client):
    tin = product(sku="TEA-TIN", barcode="123")
    product(sku="tea-tin", barcode="123")
    url = f"{PRODUCTS}{tin.pk}/change/"
    typed = opened(admin_client, url)

    assert admin_client.post(url, {**typed, "name": "Tea"}).status_code == 302
    assert Product.objects.get(pk=tin.pk).name == "Tea"

    refused = admin_client.post(url, {**typed, "barcode": "TEA-TIN", "sku": "tea-TIN"})
    assert set(refused.context["adminform"].form.errors) == {"sku", "barcode"}


@pytest.mark.parametrize("sku", ["TEA\u200bTIN", "TEA\u00a0TIN", "\u200b"])
def test_t25_a_sku_that_nobody_could_type_again_is_refused(admin_client, sku):
    refused = admin_client.post(ADD, form(sku=sku))

    assert set(refused.context["adminform"].form.errors) == {"sku"}


def test_t25_what_stands_around_a_code_unseen_is_taken_away(admin_client):
    admin_client.post(ADD, form(sku="\ufeffTEA\u00a0", barcode="\u200b123 "))

    assert Product.objects.values_list("sku", "barcode").get() == ("TEA", "123")


def test_a_new_product_can_be_unmanaged(admin_client):
    admin_client.post(ADD, {**form(), "manage_stock": ""})

    assert not stock_of(Product.objects.get()).managed


def test_only_managed_stock_can_start_with_units(admin_client):
    response = admin_client.post(ADD, form(manage_stock="", initial_stock="5"))

    assert "Only managed stock can start with units." in text(response)
    assert not Product.objects.exists()


def test_a_taken_sku_is_refused_on_the_form(admin_client):
    product(5, sku="SHIRT")

    response = admin_client.post(ADD, form())

    assert response.context["adminform"].form.errors == {"sku": ["Another product has this sku."]}
    assert Product.objects.count() == 1


def test_t11_a_new_product_with_a_price_that_has_no_place_is_none(admin_client):
    response = admin_client.post(ADD, form(price_eur="9.00"))

    assert 'There is no place for "price_eur"' in text(response)
    assert not Product.objects.exists()


@pytest.mark.parametrize("price", ["", "12.505", "-1", "abc", "9" * 30, "1,2", "1e3", "12.50 EUR"])
def test_a_price_that_is_none_is_refused(admin_client, price):
    response = admin_client.post(ADD, form(price_usd=price))

    assert list(response.context["adminform"].form.errors) == ["price_usd"]
    assert not Product.objects.exists()


def test_editing_changes_what_was_edited_and_never_the_stock(admin_client):
    shirt = product(10, name="Shirt", price=1250, sku="SHIRT")
    page = f"{PRODUCTS}{shirt.pk}/change/"
    initial = admin_client.get(page).context["adminform"].form

    response = admin_client.post(
        page, form(name="Better shirt", slug=shirt.slug, available="99", total="99")
    )

    assert not {"available", "allocated", "total", "manage_stock", "initial_stock"} & set(
        initial.fields
    )
    assert response.status_code == 302
    shirt.refresh_from_db()
    assert (shirt.name, Price.objects.get().amount) == ("Better shirt", 1250)
    assert numbers(shirt) == (10, 10, 0, 0)


def opened(client: Client, page: str) -> dict[str, Any]:
    """Return what a browser would send of a form that somebody has opened and not touched."""
    found = client.get(page).context["adminform"].form
    sent = {field.html_name: field.value() or "" for field in found}
    return sent | {field.html_initial_name: field.value() or "" for field in found}


def test_f37_a_form_opened_before_a_sale_leaves_the_stock_alone(admin_client):
    shirt = product(50, name="Shirt")
    page = f"{PRODUCTS}{shirt.pk}/change/"
    form = opened(admin_client, page)
    paid_order({shirt: 3})

    admin_client.post(page, {**form, "name": "Better shirt"})

    shirt.refresh_from_db()
    assert shirt.name == "Better shirt"
    assert numbers(shirt) == (50, 47, 3, 0)


def test_two_people_who_change_different_fields_both_have_their_way(admin_client):
    shirt = product(50, name="Shirt", barcode="1")
    page = f"{PRODUCTS}{shirt.pk}/change/"
    first, second = opened(admin_client, page), opened(admin_client, page)

    admin_client.post(page, {**first, "name": "Better shirt"})
    admin_client.post(page, {**second, "barcode": "2"})

    shirt.refresh_from_db()
    assert (shirt.name, shirt.barcode) == ("Better shirt", "2")


def test_t11_a_field_that_somebody_else_changed_is_not_overwritten_unsaid(admin_client):
    shirt = product(name="Shirt", barcode="1")
    Product.objects.update(description="One\nTwo")
    page = f"{PRODUCTS}{shirt.pk}/change/"
    first, second = opened(admin_client, page), opened(admin_client, page)
    # As browsers send them.
    second["initial-description"] = second["description"] = "One\r\nTwo"
    admin_client.post(page, {**first, "name": "Better shirt", "barcode": "2"})

    told = admin_client.post(page, {**second, "name": "Best shirt", "description": "Two"})
    unchanged = Product.objects.get().name
    again = {**second, "initial-name": "Better shirt", "name": "Best shirt", "description": "Two"}
    admin_client.post(page, again)

    assert list(told.context["adminform"].form.errors) == ["name"]
    assert "Somebody changed it since this form was opened: it is Better shirt now." in text(told)
    assert 'name="initial-name" value="Better shirt"' in told.content.decode()
    assert unchanged == "Better shirt"
    saved = Product.objects.get()
    assert (saved.name, saved.barcode, saved.description) == ("Best shirt", "2", "Two")


def test_t11_a_field_that_changes_at_the_same_moment_is_not_overwritten(admin_client, monkeypatch):
    shirt = product(name="Shirt")
    page = f"{PRODUCTS}{shirt.pk}/change/"
    update = products.update

    def after_somebody_else(product_id: Any, **fields: Any) -> Any:
        monkeypatch.setattr(products, "update", update)
        update(product_id, actor=MERCHANT, name="Better shirt")
        return update(product_id, **fields)

    monkeypatch.setattr(products, "update", after_somebody_else)
    told = admin_client.post(page, {**opened(admin_client, page), "name": "Best shirt"})

    assert "it is Better shirt now" in text(told)
    assert Product.objects.get().name == "Better shirt"


def test_editing_into_a_taken_sku_is_refused_and_changes_nothing(admin_client):
    product(1, sku="TAKEN")
    shirt = product(1, sku="SHIRT", name="Shirt")

    response = admin_client.post(
        f"{PRODUCTS}{shirt.pk}/change/", form(sku="TAKEN", name="Other", slug=shirt.slug)
    )

    assert "Another product has this sku." in text(response)
    shirt.refresh_from_db()
    assert (shirt.sku, shirt.name) == ("SHIRT", "Shirt")


def test_each_enabled_currency_has_its_own_price(admin_client):
    now = clock.now()
    Currency.objects.create(
        code="JPY", format="¥{price}", decimal_places=0, created_at=now, updated_at=now
    )
    currencies.forget()

    admin_client.post(ADD, form(price_usd="12.50", price_jpy="1,900"))

    prices = dict(Price.objects.values_list("currency_id", "amount"))
    currencies.forget()
    assert prices == {"USD": 1250, "JPY": 1900}


def test_deleting_archives_after_saying_what_is_written_off(admin_client):
    shirt = product(4)
    page = f"{PRODUCTS}{shirt.pk}/delete/"

    asked = text(admin_client.get(page))
    answer = send(admin_client, page)

    assert "4 units" in asked
    assert answer.url == PRODUCTS
    assert Change.objects.filter(thing_id=str(shirt.pk)).latest("pk").what == "deleted"
    shirt.refresh_from_db()
    assert shirt.archived_at
    assert not admin_client.get(PRODUCTS).context["cl"].result_list
    assert StockTransaction.objects.latest("sequence").action == "decrement"


def test_deleting_is_refused_while_units_are_allocated(admin_client):
    shirt = product(4)
    paid_order({shirt: 1})

    response = send(admin_client, f"{PRODUCTS}{shirt.pk}/delete/")

    assert "Units of this product are allocated." in text(response)
    shirt.refresh_from_db()
    assert shirt.archived_at is None
    assert numbers(shirt) == (4, 3, 1, 0)


def test_t11_a_product_is_not_deleted_with_other_units_than_were_seen(admin_client):
    shirt = product(4)
    page = f"{PRODUCTS}{shirt.pk}/delete/"
    seen = hidden(admin_client, page)
    inventory.record(shirt.pk, Action.INCREMENT, 5, actor=MERCHANT)

    answer = text(admin_client.post(page, seen))

    assert "Available: was 4, and is 9 now." in answer
    assert "9 units" in answer
    shirt.refresh_from_db()
    assert shirt.archived_at is None


def test_there_is_no_deleting_in_bulk(admin_client):
    shirt = product(4)

    admin_client.post(
        PRODUCTS, {"action": "delete_selected", "_selected_action": [shirt.pk], "post": "yes"}
    )

    shirt.refresh_from_db()
    assert shirt.archived_at is None


def test_products_are_created_and_deleted_by_whoever_may():
    shirt = product(1)
    client = client_with("view_product")

    assert client.post(ADD, form()).status_code == 403
    assert client.post(f"{PRODUCTS}{shirt.pk}/delete/", {"post": "yes"}).status_code == 403
    assert client.get(f"{PRODUCTS}{shirt.pk}/change/").status_code == 200
