"""The Prices tab: one price in each of the store's currencies."""

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from backoffice import history
from inventory.models import Currency, Price, Product
from inventory.services import currencies, products
from inventory.services.products import Money, NewCost
from tests.backoffice.pages import client_with, send
from tests.backoffice.products.test_inventory_tab import text
from tests.concurrency import run_together
from tests.factories import MERCHANT, product
from tests.http import administrator

pytestmark = pytest.mark.django_db


@pytest.fixture
def owner() -> Client:
    client = Client()
    client.force_login(User.objects.create_superuser("owner"))
    return client


@pytest.fixture
def euro() -> None:
    currencies.create(
        code="EUR", format="{price} €", decimal_point=",", thousand_separator=".", actor=MERCHANT
    )


def tab(made: Product) -> str:
    return f"/admin/inventory/product/{made.pk}/prices/"


def opened(client: Client, made: Product) -> dict[str, Any]:
    """Return what a browser would send of the form untouched."""
    form = client.get(tab(made)).context["form"]
    sent = {field.html_name: field.value() or "" for field in form}
    return sent | {field.html_initial_name: field.value() or "" for field in form}


def prices(made: Product) -> dict[str, int]:
    return {price.currency_id: price.amount for price in made.prices.all()}


def test_prices_are_shown_and_typed_as_people_write_them(owner, euro):
    shirt = product(price=1250)
    form = opened(owner, shirt)
    assert (form["price_usd"], form["price_eur"]) == ("12.50", "")

    answer = owner.post(tab(shirt), {**form, "price_usd": "13.75", "price_eur": "1.234,50"})

    assert (answer.status_code, answer.url) == (302, tab(shirt))
    assert prices(shirt) == {"USD": 1375, "EUR": 123450}


def test_an_emptied_price_is_taken_away_unless_the_store_needs_it(owner, euro):
    shirt = product(price=1250)
    owner.post(tab(shirt), {**opened(owner, shirt), "price_eur": "9,90"})

    owner.post(tab(shirt), {**opened(owner, shirt), "price_eur": ""})
    assert prices(shirt) == {"USD": 1250}

    answer = owner.post(tab(shirt), {**opened(owner, shirt), "price_usd": ""})
    assert list(answer.context["form"].errors) == ["price_usd"]
    assert prices(shirt) == {"USD": 1250}


def test_f37_two_people_who_change_different_prices_both_have_their_way(owner, euro):
    shirt = product(price=1250)
    first, second = opened(owner, shirt), opened(owner, shirt)

    owner.post(tab(shirt), {**first, "price_usd": "15.00"})
    owner.post(tab(shirt), {**second, "price_eur": "20,00"})

    assert prices(shirt) == {"USD": 1500, "EUR": 2000}


def test_whether_tax_is_included_stays_as_it_was(owner):
    shirt = product(price=1250)
    Price.objects.update(includes_tax=False)

    owner.post(tab(shirt), {**opened(owner, shirt), "price_usd": "15.00"})

    assert not Price.objects.get().includes_tax


def test_prices_are_changed_by_whoever_may():
    shirt = product(price=1250)
    client = client_with("view_product")

    assert "$12.50" in text(client.get(tab(shirt)))
    assert "Save prices" not in text(client.get(tab(shirt)))
    assert client.post(tab(shirt), {"price_usd": "1.00"}).status_code == 403
    assert prices(shirt) == {"USD": 1250}


def test_prices_of_what_is_archived_are_not_changed(owner):
    shirt = product(price=1250)
    form = opened(owner, shirt)
    send(owner, f"/admin/inventory/product/{shirt.pk}/delete/")

    owner.post(tab(shirt), {**form, "price_usd": "1.00"})

    assert prices(shirt) == {"USD": 1250}


def disable_euro() -> None:
    currencies.change(Currency.objects.get(code="EUR").pk, enabled=False, actor=MERCHANT)


def test_a_price_in_a_disabled_currency_outlives_a_change_of_the_others(owner, euro):
    shirt = product(prices=[Money("USD", 1250), Money("EUR", 1100)])
    disable_euro()

    owner.post(tab(shirt), {**opened(owner, shirt), "price_usd": "15.00"})
    assert prices(shirt) == {"USD": 1500, "EUR": 1100}

    back_office = administrator()
    for price in ([{"amount": 1600, "currency": "USD"}], []):
        answer = back_office.put(f"/v2/products/{shirt.pk}", {"price": price})
        assert answer.status_code == 200
        assert prices(shirt) == {one["currency"]: one["amount"] for one in price} | {"EUR": 1100}


def test_prices_are_given_back_as_they_were_read(euro):
    shirt = product(prices=[Money("USD", 1250), Money("EUR", 1100)])
    disable_euro()
    back_office, path = administrator(), f"/v2/products/{shirt.pk}"
    read = back_office.get(path).json()["data"]["price"]

    given_back = back_office.put(path, {"price": read})
    changed = back_office.put(path, {"price": [{"amount": 1, "currency": "EUR"}]})

    assert given_back.status_code == 200
    assert [entry["code"] for entry in changed.json()["errors"]] == ["currency_unknown"]
    assert prices(shirt) == {"USD": 1250, "EUR": 1100}


def test_a_price_in_a_currency_that_another_process_has_just_disabled_is_replaced(euro):
    shirt = product(prices=[Money("EUR", 1100)])
    currencies.by_code()
    Currency.objects.filter(code="EUR").update(enabled=False)

    products.update(shirt.pk, actor=MERCHANT, prices=[Money("EUR", 900)])

    assert prices(shirt) == {"EUR": 900}


def test_t11_a_price_that_somebody_else_changed_is_not_overwritten_unsaid(owner, euro):
    shirt = product(price=1250)
    first, second = opened(owner, shirt), opened(owner, shirt)
    owner.post(tab(shirt), {**first, "price_usd": "15.00"})

    told = owner.post(tab(shirt), {**second, "price_usd": "9.00", "price_eur": "8,00"})
    unchanged = prices(shirt)
    form = told.context["form"]
    again = {**opened(owner, shirt), "price_usd": form["price_usd"].value(), "price_eur": "8,00"}
    owner.post(tab(shirt), again)

    assert list(form.errors) == ["price_usd"]
    assert "it is 15.00 now" in text(told)
    assert 'name="initial-price_usd" value="15.00"' in told.content.decode()
    assert unchanged == {"USD": 1500}
    assert prices(shirt) == {"USD": 900, "EUR": 800}


def test_t11_a_price_whose_currency_was_disabled_meanwhile_refuses_the_whole(owner, euro):
    shirt = product(price=1250)
    form = opened(owner, shirt)
    disable_euro()

    told = owner.post(tab(shirt), {**form, "price_usd": "15.00", "price_eur": "8,00"})

    assert 'There is no place for "price_eur"' in text(told)
    assert prices(shirt) == {"USD": 1250}


def test_t11_a_price_that_changes_at_the_same_moment_is_not_overwritten(owner, monkeypatch):
    shirt = product(price=1250)
    change = products.change_prices

    def after_somebody_else(product_id: Any, amounts: Any, **how: Any) -> None:
        change(product_id, {"USD": 1100}, actor=MERCHANT)
        change(product_id, amounts, **how)

    monkeypatch.setattr(products, "change_prices", after_somebody_else)
    told = owner.post(tab(shirt), {**opened(owner, shirt), "price_usd": "15.00"})

    assert "it is 11.00 now" in text(told)
    assert prices(shirt) == {"USD": 1100}


@pytest.mark.django_db(transaction=True)
def test_f37_prices_that_two_people_change_at_once_are_both_changed(owner, euro, monkeypatch):
    shirt = product(price=1250)
    change = products.change_prices

    def after_somebody_else(product_id: Any, amounts: Any, **how: Any) -> None:
        run_together(lambda: change(product_id, {"EUR": 1100}, actor=MERCHANT))
        change(product_id, amounts, **how)

    monkeypatch.setattr(products, "change_prices", after_somebody_else)
    owner.post(tab(shirt), {**opened(owner, shirt), "price_usd": "15.00"})

    assert prices(shirt) == {"USD": 1500, "EUR": 1100}


def test_t11_a_price_stays_in_its_currency_whatever_the_default_has_become(owner, euro):
    shirt = product(price=1250)
    form = {name: value for name, value in opened(owner, shirt).items() if "price_usd" in name}
    currencies.change(currencies.by_code()["EUR"].pk, default=True, actor=MERCHANT)

    told = owner.post(tab(shirt), {**form, "price_usd": "20.00"})

    assert list(told.context["form"].errors) == ["price_eur"]
    assert prices(shirt) == {"USD": 1250}


def test_t11_a_price_that_was_not_on_the_form_is_left_alone_by_it(owner, euro):
    shirt = product(prices=[Money("USD", 1250), Money("EUR", 1100)])
    form = {name: value for name, value in opened(owner, shirt).items() if "eur" not in name}

    owner.post(tab(shirt), {**form, "price_usd": "15.00"})

    assert prices(shirt) == {"USD": 1500, "EUR": 1100}


# What a product costs the store.


def cost(made: Product) -> Money | None:
    return products.cost_of(Product.objects.get(pk=made.pk))


def test_a_cost_is_typed_as_people_write_it_in_a_currency_of_its_own(owner, euro):
    shirt = product(price=1250)
    form = opened(owner, shirt)

    owner.post(tab(shirt), {**form, "cost_usd": "4,20 EUR"})

    assert cost(shirt) == Money("EUR", 420)
    assert prices(shirt) == {"USD": 1250}
    assert opened(owner, shirt)["cost_usd"] == "4,20 EUR"
    owner.post(tab(shirt), {**opened(owner, shirt), "cost_usd": ""})
    assert cost(shirt) is None


def test_a_cost_in_a_disabled_currency_stays_and_is_not_changed(owner, euro):
    shirt = product(cost=Money("EUR", 420))
    disable_euro()

    owner.post(tab(shirt), {**opened(owner, shirt), "price_usd": "15.00"})
    told = owner.post(tab(shirt), {**opened(owner, shirt), "cost_usd": "4,50 EUR"})

    assert "EUR is disabled." in text(told)
    assert (prices(shirt), cost(shirt)) == ({"USD": 1500}, Money("EUR", 420))


def test_a_cost_that_somebody_else_changed_is_not_overwritten_unsaid(owner, euro):
    shirt = product(cost=Money("USD", 420))
    first, second = opened(owner, shirt), opened(owner, shirt)
    owner.post(tab(shirt), {**first, "cost_usd": "4,20 EUR"})

    told = owner.post(tab(shirt), {**second, "cost_usd": "4.50"})

    assert "it is 4,20 EUR now" in text(told)
    assert cost(shirt) == Money("EUR", 420)


def test_a_cost_that_changes_at_the_same_moment_is_not_overwritten(owner, monkeypatch):
    shirt = product(cost=Money("USD", 420))
    change = products.change_prices

    def after_somebody_else(product_id: Any, amounts: Any, **how: Any) -> None:
        was = NewCost(Money("USD", 999), seen=Money("USD", 420))
        change(product_id, {}, actor=MERCHANT, cost=was)
        change(product_id, amounts, **how)

    monkeypatch.setattr(products, "change_prices", after_somebody_else)
    told = owner.post(tab(shirt), {**opened(owner, shirt), "cost_usd": "4.50"})

    assert "it is 9.99 USD now" in text(told)
    assert cost(shirt) == Money("USD", 999)


def test_an_amount_typed_as_dollars_does_not_become_euros(owner, euro):
    shirt = product(prices=[Money("USD", 1250), Money("EUR", 1100)])
    form = opened(owner, shirt)
    currencies.change(currencies.by_code()["EUR"].pk, default=True, actor=MERCHANT)

    told = owner.post(tab(shirt), {**form, "cost_usd": "4.20"})

    assert 'There is no place for "cost_usd"' in text(told)
    assert cost(shirt) is None


@pytest.mark.parametrize("may_see", [True, False])
def test_a_cost_is_shown_and_taken_where_the_role_says_so(may_see):
    shirt = product(cost=Money("USD", 98765))
    permissions = ["view_product", "add_product", "change_product", "view_stocktransaction"]
    clerk = client_with(*permissions, *(["view_cost"] if may_see else []))
    pages = [tab(shirt), tab(shirt).replace("prices", "history")]
    pages.append(tab(shirt).replace("prices", "stock-history"))
    pages.append("/admin/inventory/product/add/")

    shown = [clerk.get(page).content.decode() for page in pages]

    for page in shown[:3]:
        assert ("987.65" in page) == may_see
        assert "Cost: changed" in page or may_see
    assert ("cost_usd" in shown[3]) == may_see
    clerk.post(tab(shirt), {**opened(clerk, shirt), "cost_usd": "1.00"})
    assert cost(shirt) == Money("USD", 100 if may_see else 98765)


# What they were.


def test_prices_and_costs_are_on_record_newest_first_and_nothing_else(owner):
    shirt = product(price=1200, cost=Money("USD", 420))
    products.update(shirt.pk, name="Blue shirt", actor=MERCHANT)
    products.change_prices(shirt.pk, {"USD": 1400}, actor=MERCHANT)

    shown = owner.get(tab(shirt))

    entries = shown.context["history"].entries
    assert [[str(line) for line in lines] for _, lines in entries] == [
        ["Price in USD: 12.00 \N{RIGHTWARDS ARROW} 14.00"],
        ["Cost: 4.20 USD", "Price in USD: 12.00"],
    ]
    assert [entry.actor_name for entry, _ in entries] == ["clerk", "clerk"]


def test_old_prices_are_paged_and_found_behind_however_many_other_changes(owner, monkeypatch):
    shirt = product(price=1200)
    monkeypatch.setattr(history, "LOOKED_THROUGH", 4)
    for number in range(5):
        products.update(shirt.pk, name=f"Shirt {number}", actor=MERCHANT)

    newest = owner.get(tab(shirt))
    older = owner.get(f"{tab(shirt)}?before={newest.context['history'].older}")

    assert newest.context["history"].entries == []
    assert "Older" in text(newest)
    [(entry, _)] = older.context["history"].entries
    assert (entry.what, older.context["history"].older) == ("created", None)


def test_a_full_page_of_prices_says_where_the_next_one_begins():
    shirt = product(price=1200)
    for amount in (1, 2):
        products.change_prices(shirt.pk, {"USD": amount}, actor=MERCHANT)

    def read(before: str) -> history.HistoryPage:
        return history.history_of(
            shirt, before, length=2, hidden=(), only=lambda field: field == "price_in_USD"
        )

    page = read("")
    rest = read(str(page.older))

    told = [lines[0].after for part in (page, rest) for _, lines in part.entries]
    assert told == ["0.02", "0.01", "12.00"]
    assert rest.older is None
