"""The merchant's pages: products, the Inventory tab, the log."""

from html import unescape
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.core.exceptions import ValidationError
from django.test import Client
from django.urls import reverse

from api import clock, store
from api.fields import AMOUNT_MAX
from backoffice.products.forms import MoneyField
from inventory.models import Action, Currency, Price, Product, StockTransaction
from inventory.services import currencies, products
from inventory.services import stock as inventory
from tests.factories import MERCHANT, holding_order, paid_order, product, stock_of

pytestmark = pytest.mark.django_db

PRODUCTS = "/admin/inventory/product/"
ADD = f"{PRODUCTS}add/"
LOG = "/admin/inventory/stocktransaction/"


@pytest.fixture
def admin_client() -> Client:
    """Somebody who may do everything; without a password, whose hash takes half a second."""
    client = Client()
    client.force_login(User.objects.create_superuser("admin"))
    return client


def tab(product: Product) -> str:
    return f"{PRODUCTS}{product.pk}/inventory/"


def text(response: Any) -> str:
    return unescape(response.content.decode())


def numbers(product: Product) -> tuple[int, int, int, int]:
    stock = stock_of(product)
    return stock.total, stock.available, stock.allocated, stock.held


def move(client: Client, product: Product, action: str, quantity: Any, **fields: Any) -> Any:
    body = {"action": action, "quantity": quantity, "reason": "because", **fields}
    return client.post(tab(product), body)


def chosen(response: Any) -> str:
    """Tell which of the card's tabs is open."""
    [operation] = [each.action for each in response.context["operations"] if each.chosen]
    return str(operation)


def client_with(*permissions: str) -> Client:
    user = User.objects.create_user("clerk", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    client = Client()
    client.force_login(user)
    return client


# The Inventory tab.


def test_the_tab_says_how_the_total_is_made_up(admin_client):
    shirt = product(50)
    paid_order({shirt: 9})
    inventory.record(shirt.pk, Action.ALLOCATE, 3, actor=MERCHANT)

    response = admin_client.get(tab(shirt))

    assert "Total 50 = Available 38 + Allocated 12 (orders 9, set aside 3)" in text(response)


@pytest.mark.parametrize(
    ("action", "after"),
    [
        ("allocate", (10, 4, 6, 6)),
        ("deallocate", (10, 8, 2, 2)),
        ("increment", (12, 8, 4, 4)),
        ("decrement", (8, 4, 4, 4)),
    ],
)
def test_each_form_moves_stock_and_the_log_says_who_and_why(admin_client, action, after):
    shirt = product(10)
    inventory.record(shirt.pk, Action.ALLOCATE, 4, actor=MERCHANT)

    response = move(admin_client, shirt, action, 2, reason="Counted twice")

    assert (response.status_code, response.url) == (302, f"{tab(shirt)}?do={action}")
    assert numbers(shirt) == after
    entry = StockTransaction.objects.latest("sequence")
    assert (entry.action, entry.quantity, entry.reason) == (action, 2, "Counted twice")
    assert (entry.actor_kind, entry.actor_name) == ("user", "admin")
    shown = text(admin_client.get(tab(shirt)))
    assert "Counted twice" in shown
    assert "admin" in shown


def test_a_refusal_stands_on_its_form_with_what_was_typed_and_changes_nothing(admin_client):
    shirt = product(10)
    paid_order({shirt: 4})

    response = move(admin_client, shirt, "deallocate", 3, reason="Wrong shelf")

    refused = response.context["form"].non_field_errors()
    assert refused == ["None are set aside by hand; 3 asked for."]
    assert chosen(response) == "deallocate"
    assert 'value="3"' in text(response)
    assert 'value="Wrong shelf"' in text(response)
    assert numbers(shirt) == (10, 6, 4, 0)
    assert StockTransaction.objects.count() == 2


@pytest.mark.parametrize("quantity", ["", "0", "-1", "1.5", "many", "2147483648"])
def test_a_quantity_that_is_no_positive_number_changes_nothing(admin_client, quantity):
    shirt = product(10)

    response = move(admin_client, shirt, "increment", quantity)

    assert response.status_code == 200
    assert "hf-field-error" in text(response)
    assert numbers(shirt) == (10, 10, 0, 0)


def test_a_reason_is_asked_for(admin_client):
    shirt = product(10)

    response = move(admin_client, shirt, "increment", 1, reason="  ")

    assert "Say why: the log keeps it." in text(response)
    assert numbers(shirt) == (10, 10, 0, 0)


def test_a_form_sent_twice_moves_once(admin_client):
    shirt = product(10)
    page = admin_client.get(tab(shirt))
    once = page.context["form"]["once"].value()

    move(admin_client, shirt, "increment", 5, once=once)
    response = admin_client.post(
        tab(shirt),
        {"action": "increment", "quantity": 5, "reason": "because", "once": once},
        follow=True,
    )

    assert "recorded already" in text(response)
    assert numbers(shirt) == (15, 15, 0, 0)


def test_a_refused_form_can_be_corrected_and_sent_again(admin_client):
    shirt = product(10)

    move(admin_client, shirt, "decrement", 50, once="the-same-form")
    move(admin_client, shirt, "decrement", 5, once="the-same-form")

    assert numbers(shirt) == (5, 5, 0, 0)


def test_the_log_links_to_the_order_that_moved_the_stock(admin_client):
    shirt = product(10)
    order = holding_order({shirt: 2})

    shown = text(admin_client.get(tab(shirt)))

    assert reverse("admin:orders_order_change", args=[order.pk]) in shown


def test_an_unmanaged_product_says_so_and_can_be_managed(admin_client):
    gift = product(managed=False)
    assert "The stock of this product is not managed." in text(admin_client.get(tab(gift)))

    response = admin_client.post(tab(gift), {"action": "start", "quantity": 7}, follow=True)

    assert "Total 7 = Available 7 + Allocated 0 (orders 0, set aside 0)" in text(response)
    assert StockTransaction.objects.get().reason == "initial stock"


def test_a_product_that_is_managed_already_is_not_started_again(admin_client):
    shirt = product(3)

    response = admin_client.post(tab(shirt), {"action": "start", "quantity": 7})

    assert response.status_code == 200
    assert numbers(shirt) == (3, 3, 0, 0)


def test_stop_managing_says_what_is_written_off_before_it_does_it(admin_client):
    shirt = product(8)

    asked = text(admin_client.get(f"{tab(shirt)}stop/"))
    unchanged = numbers(shirt)
    admin_client.post(f"{tab(shirt)}stop/")

    assert "8 units" in asked
    assert unchanged == (8, 8, 0, 0)
    assert not stock_of(shirt).managed
    assert StockTransaction.objects.latest("sequence").actor_name == "admin"


def test_stop_managing_is_refused_while_units_are_allocated(admin_client):
    shirt = product(8)
    paid_order({shirt: 1})

    response = admin_client.post(f"{tab(shirt)}stop/", follow=True)

    assert "Units of this product are allocated." in text(response)
    assert numbers(shirt) == (8, 7, 1, 0)


def test_who_may_only_view_sees_the_numbers_and_no_forms():
    shirt = product(8)
    client = client_with("view_product", "view_stock")

    shown = text(client.get(tab(shirt)))

    assert "Total 8 = Available 8" in shown
    assert 'name="quantity"' not in shown
    assert move(client, shirt, "increment", 1).status_code == 403
    assert client.post(tab(shirt), {"action": "start", "quantity": 1}).status_code == 403
    assert client.get(f"{tab(shirt)}stop/").status_code == 403
    assert client.post(f"{tab(shirt)}stop/").status_code == 403
    assert numbers(shirt) == (8, 8, 0, 0)


def test_a_stock_clerk_may_move_stock_without_changing_products():
    shirt = product(8)
    client = client_with("view_product", "change_stock")

    assert move(client, shirt, "increment", 1).status_code == 302
    assert client.post(f"{PRODUCTS}{shirt.pk}/change/", {"name": "X"}).status_code == 403


def test_the_tab_is_closed_to_everybody_else(client):
    shirt = product(8)

    assert client.get(tab(shirt)).status_code == 302
    assert client_with().get(tab(shirt)).status_code == 403


def test_forms_without_a_token_are_turned_away():
    shirt = product(8)
    client = Client(enforce_csrf_checks=True)
    client.force_login(User.objects.create_superuser("boss"))

    assert move(client, shirt, "increment", 1).status_code == 403
    assert numbers(shirt) == (8, 8, 0, 0)


def test_an_unknown_action_and_an_unknown_product_move_nothing(admin_client):
    shirt = product(8)

    assert move(admin_client, shirt, "set", 1).status_code == 400
    products.archive(shirt.pk, actor=MERCHANT)
    assert admin_client.get(tab(shirt)).status_code == 302


# The log.


@pytest.mark.parametrize("page", ["add/", "{}/delete/"])
def test_nobody_can_add_to_the_log_or_delete_from_it(admin_client, page):
    product(5)
    entry = StockTransaction.objects.get()

    assert admin_client.get(LOG + page.format(entry.pk)).status_code == 403
    assert admin_client.post(LOG + page.format(entry.pk), {"post": "yes"}).status_code == 403
    assert StockTransaction.objects.count() == 1


def test_nobody_can_change_the_log(admin_client):
    product(5)
    entry = StockTransaction.objects.get()
    page = f"{LOG}{entry.pk}/change/"

    assert admin_client.post(page, {"quantity": 99}).status_code == 403
    shown = text(admin_client.get(page))
    assert 'name="quantity"' not in shown
    assert 'name="_save"' not in shown
    bulk = {"action": "delete_selected", "_selected_action": [str(entry.pk)], "post": "yes"}
    admin_client.post(LOG, bulk)
    assert StockTransaction.objects.get().quantity == 5


def test_the_whole_log_can_be_searched_by_sku_and_filtered(admin_client):
    shirt, mug = product(5, sku="SHIRT"), product(5, sku="MUG")
    inventory.record(shirt.pk, Action.DECREMENT, 1, actor=MERCHANT)

    def found(**query: str) -> list[tuple[str, str]]:
        rows = admin_client.get(LOG, query).context["cl"].result_list
        return [(row.stock.product.sku, row.action) for row in rows]

    assert found() == [("SHIRT", "decrement"), ("MUG", "increment"), ("SHIRT", "increment")]
    assert found(q=mug.sku) == [("MUG", "increment")]
    assert found(action__exact="decrement") == [("SHIRT", "decrement")]
    assert len(found(since="1")) == 3


def test_the_log_is_never_counted(admin_client, django_assert_num_queries):
    product(5)
    store.current()

    with django_assert_num_queries(3) as queries:
        admin_client.get(LOG)

    assert not any("COUNT(" in query["sql"] for query in queries.captured_queries)


# The list of products.


def test_the_list_costs_the_same_for_one_product_and_for_a_page_of_them(
    admin_client, django_assert_num_queries
):
    currencies.by_code()
    store.current()
    product(1)
    with django_assert_num_queries(5):
        admin_client.get(PRODUCTS)

    for _ in range(29):
        product(1)

    with django_assert_num_queries(5):
        assert len(admin_client.get(PRODUCTS).context["cl"].result_list) == 25


def test_the_list_shows_the_price_as_people_write_it_and_the_numbers(admin_client):
    shirt = product(10, price=123450, name="Dear shirt")
    paid_order({shirt: 4})

    shown = text(admin_client.get(PRODUCTS)).split('id="result_list"')[1]
    assert "$1,234.50" in shown
    assert [f">{number}<" in shown for number in (6, 4, 10)] == [True, True, True]


def test_products_are_found_by_name_sku_and_barcode(admin_client):
    product(1, name="Linen shirt", sku="L-1", barcode="4006381333931")
    product(1, name="Mug", sku="M-1")

    def found(term: str) -> list[str]:
        return [each.sku for each in admin_client.get(PRODUCTS, {"q": term}).context["cl"].queryset]

    assert [found(term) for term in ("linen", "l-1", "40063")] == [["L-1"]] * 3


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
        "price": "12.50",
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


@pytest.mark.parametrize("price", ["", "12.505", "-1", "abc", "9" * 30, "1,2", "1e3", "12.50 EUR"])
def test_a_price_that_is_none_is_refused(admin_client, price):
    response = admin_client.post(ADD, form(price=price))

    assert list(response.context["adminform"].form.errors) == ["price"]
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

    admin_client.post(ADD, form(price="12.50", price_jpy="1,900"))

    prices = dict(Price.objects.values_list("currency_id", "amount"))
    currencies.forget()
    assert prices == {"USD": 1250, "JPY": 1900}


def test_deleting_archives_after_saying_what_is_written_off(admin_client):
    shirt = product(4)
    page = f"{PRODUCTS}{shirt.pk}/delete/"

    asked = text(admin_client.get(page))
    admin_client.post(page, {"post": "yes"})

    assert "4 units" in asked
    shirt.refresh_from_db()
    assert shirt.archived_at
    assert not admin_client.get(PRODUCTS).context["cl"].result_list
    assert StockTransaction.objects.latest("sequence").action == "decrement"


def test_deleting_is_refused_while_units_are_allocated(admin_client):
    shirt = product(4)
    paid_order({shirt: 1})

    response = admin_client.post(f"{PRODUCTS}{shirt.pk}/delete/", {"post": "yes"}, follow=True)

    assert "Units of this product are allocated." in text(response)
    shirt.refresh_from_db()
    assert shirt.archived_at is None
    assert numbers(shirt) == (4, 3, 1, 0)


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


@pytest.mark.parametrize(
    "wrong",
    [
        {"code": "usd"},
        {"code": "12$"},
        {"format": "KD"},
        {"thousand_separator": "."},
        {"decimal_point": "0"},
        {"decimal_places": "5"},
        {"exchange_rate": "0"},
        {"exchange_rate": "-1.5"},
    ],
)
def test_a_currency_that_could_be_misread_is_refused(admin_client, wrong):
    response = admin_client.post("/admin/inventory/currency/add/", new_currency(**wrong))

    assert response.status_code == 200
    assert Currency.objects.count() == 1


# Money as people write it.


def currency(digits: int, **fields: Any) -> Currency:
    return Currency(code="XXX", decimal_places=digits, **fields)


@pytest.mark.parametrize(
    ("digits", "written", "amount"),
    [
        (2, "12.50", 1250),
        (2, "12.5", 1250),
        (2, "12", 1200),
        (2, " $1,234.50 ", 123450),
        (2, "0", 0),
        (2, "90071992547409.91", AMOUNT_MAX),
        (0, "1250", 1250),
        (0, "1,250", 1250),
        (3, "1.250", 1250),
        (3, "1.2", 1200),
    ],
)
def test_money_is_read_in_major_units(digits, written, amount):
    field = MoneyField(currency(digits, format="${price}"))

    assert field.clean(written) == amount


@pytest.mark.parametrize(
    ("digits", "written"),
    [
        (2, "12.505"),
        (2, "12."),
        (2, ".50"),
        (2, "-12.50"),
        (2, "1,23"),
        (2, "12,50"),
        (2, "1 000"),
        (2, "٣"),
        (2, "NaN"),
        (2, "90071992547409.92"),
        (2, "9" * 10_000),
        (0, "12.5"),
        (0, "12."),
        (3, "1.2505"),
    ],
)
def test_money_that_cannot_be_meant_is_refused(digits, written):
    with pytest.raises(ValidationError):
        MoneyField(currency(digits)).clean(written)


@pytest.mark.parametrize(("digits", "shown"), [(0, "123,456"), (2, "1,234.56"), (3, "123.456")])
def test_money_is_shown_with_the_digits_of_its_currency(digits, shown):
    field = MoneyField(currency(digits))

    assert field.prepare_value(123456) == shown
    assert field.clean(shown) == 123456
    assert not field.has_changed(123456, shown)


def test_money_is_read_with_the_points_of_its_currency():
    euro = currency(2, format="{price} €", decimal_point=",", thousand_separator=".")

    assert MoneyField(euro).clean("1.234,50 €") == 123450
