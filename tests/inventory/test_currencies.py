"""/v2/currencies: read by everybody, changed by administrators."""

import itertools
import threading
import uuid
from collections.abc import Callable, Sequence
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from api import clock
from api.errors import Moved
from inventory.errors import (
    CurrencyInUse,
    CurrencyNotEnabled,
    CurrencyTaken,
    CurrencyUnknown,
    TooManyCurrencies,
)
from inventory.models import Currency, CurrencyQuerySet, Product
from inventory.services import currencies
from inventory.services.products import Money
from tests.concurrency import run_together, wait_until_somebody_waits
from tests.factories import MERCHANT, product, unpaid_order
from tests.http import a_moment, an_id, assert_shape, shopper, statements

pytestmark = pytest.mark.django_db

UNKNOWN = uuid.UUID("01234567-89ab-7def-8123-456789abcdef")
YEN = {
    "code": "JPY",
    "exchange_rate": 151.2,
    "format": "¥{price}",
    "decimal_point": ".",
    "thousand_separator": ",",
    "decimal_places": 0,
    "default": False,
    "enabled": True,
}


def dollar() -> Currency:
    return Currency.objects.get(code="USD")


def path(currency: Currency) -> str:
    return f"/v2/currencies/{currency.pk}"


def refused(answer: Any, status: int, code: str) -> dict[str, Any]:
    [error] = answer.json()["errors"]
    assert (answer.status_code, error["status"], error["code"]) == (status, status, code)
    return dict(error)


@pytest.mark.parametrize("more", [{}, {"type": "currency"}])
def test_a_currency_is_made_and_shown_in_the_shape_of_the_contract(back_office, more):
    answer = back_office.post("/v2/currencies", {**YEN, **more})

    shown = answer.json()["data"]
    assert answer.status_code == 201
    assert set(shown) == {*YEN, "id", "type", "links", "meta"}
    assert_shape(
        shown,
        {
            **YEN,
            "id": an_id,
            "type": "currency",
            "links": {"self": str},
            "meta": {"timestamps": {"created_at": a_moment, "updated_at": a_moment}},
        },
    )
    assert shown["links"]["self"].endswith(f"/v2/currencies/{shown['id']}")
    assert shopper().get(f"/v2/currencies/{shown['id']}").json()["data"] == shown


def test_only_the_code_is_needed(back_office):
    shown = back_office.post("/v2/currencies", {"code": "eur"}).json()["data"]

    assert (shown["code"], shown["decimal_places"], shown["default"]) == ("EUR", 2, False)


def test_shoppers_read_currencies_and_change_none(back_office):
    storefront = shopper()
    currencies.create(code="EUR", actor=MERCHANT)

    listed = storefront.get("/v2/currencies").json()

    assert [shown["code"] for shown in listed["data"]] == ["EUR", "USD"]
    assert listed["meta"]["results"]["total"] == 2
    refused(storefront.post("/v2/currencies", YEN), 403, "forbidden")
    refused(storefront.put(path(dollar()), {"enabled": False}), 403, "forbidden")
    refused(storefront.delete(path(dollar())), 403, "forbidden")


def test_a_long_list_costs_as_many_statements_as_a_short_one(back_office):
    for number in range(9):
        currencies.create(code=f"AA{chr(65 + number)}", actor=MERCHANT)
    back_office.get("/v2/currencies")

    short = statements(lambda: back_office.get("/v2/currencies?page[limit]=1"))
    assert statements(lambda: back_office.get("/v2/currencies")) == short


@pytest.mark.parametrize(
    ("code", "digits"), [("jpy", 0), ("KWD", 3), ("EUR", 2), ("XAU", 2), ("QQQ", 2)]
)
def test_t17_a_currency_has_its_own_digits_unless_told_otherwise(back_office, code, digits):
    answer = back_office.post("/v2/currencies", {"code": code})
    assert answer.json()["data"]["decimal_places"] == digits

    peso = back_office.post("/v2/currencies", {"code": "CLP", "decimal_places": 2})
    assert peso.json()["data"]["decimal_places"] == 2


def test_t17_another_code_brings_its_own_digits_along(back_office):
    euro = path(currencies.create(code="EUR", actor=MERCHANT))
    changes = [
        ({"code": "JPY"}, 0),
        ({"code": "JPY", "format": "¥{price}"}, 0),
        ({"decimal_places": 1}, 1),
        ({"code": "JPY"}, 1),
        ({"code": "KWD", "decimal_places": 2}, 2),
    ]

    digits = [
        back_office.put(euro, fields).json()["data"]["decimal_places"] for fields, _ in changes
    ]

    assert digits == [expected for _, expected in changes]


def test_t17_what_names_no_code_leaves_the_digits(back_office):
    yen = path(currencies.create(code="JPY", actor=MERCHANT))

    assert back_office.put(yen, {"format": "¥{price}"}).json()["data"]["decimal_places"] == 0


def test_a_code_that_is_there_is_refused_in_the_words_of_the_contract(back_office):
    for answer in (
        back_office.post("/v2/currencies", {"code": "usd"}),
        back_office.put(path(currencies.create(code="EUR", actor=MERCHANT)), {"code": "USD"}),
    ):
        error = refused(answer, 409, "currency_taken")
        assert error["title"] == "Currency already exists"
        assert error["detail"] == "The specified currency code already exists for this store"


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({"code": None}, 400),
        ({"code": "US"}, 422),
        ({"code": "ÄÖÜ"}, 422),
        ({"code": 7}, 400),
        ({"exchange_rate": "1"}, 400),
        ({"exchange_rate": True}, 400),
        ({"exchange_rate": 0}, 422),
        ({"exchange_rate": -1}, 422),
        ({"exchange_rate": 1e-9}, 422),
        ({"exchange_rate": 1e10}, 422),
        ({"exchange_rate": 10**400}, 422),
        ({"format": "$"}, 422),
        ({"format": "{price}{price}"}, 422),
        ({"format": "{price}" + "x" * 20}, 422),
        ({"format": 7}, 400),
        ({"decimal_point": ""}, 422),
        ({"decimal_point": ".."}, 422),
        ({"decimal_point": "1"}, 422),
        ({"decimal_point": ","}, 422),
        ({"thousand_separator": "."}, 422),
        ({"thousand_separator": None}, 400),
        ({"decimal_places": -1}, 422),
        ({"decimal_places": 5}, 422),
        ({"decimal_places": 1.5}, 400),
        ({"default": "yes"}, 400),
        ({"enabled": 1}, 400),
    ],
)
def test_a_wrong_currency_is_neither_made_nor_changed_to(back_office, fields, status):
    made = currencies.create(code="EUR", actor=MERCHANT)
    before = Currency.objects.values().get(code="EUR")

    for answer in (
        back_office.post("/v2/currencies", {**YEN, **fields}),
        back_office.put(path(made), fields),
    ):
        assert answer.status_code == answer.json()["errors"][0]["status"] == status

    assert set(Currency.objects.values_list("code", flat=True)) == {"EUR", "USD"}
    assert Currency.objects.values().get(code="EUR") == before


def test_a_separator_may_be_a_space_or_nothing(back_office):
    made = currencies.create(code="EUR", actor=MERCHANT)

    spaced = back_office.put(path(made), {"decimal_point": ",", "thousand_separator": " "})
    joined = back_office.put(path(made), {"thousand_separator": ""})

    assert spaced.json()["data"]["thousand_separator"] == " "
    assert joined.json()["data"]["thousand_separator"] == ""
    assert currencies.by_code()["EUR"].formatted(123456) == "1234,56"


def test_an_unknown_currency_is_not_found(back_office):
    unknown = f"/v2/currencies/{UNKNOWN}"

    for answer in (
        back_office.get(unknown),
        back_office.put(unknown, {"enabled": True}),
        back_office.delete(unknown),
    ):
        refused(answer, 404, "currency_not_found")


def test_another_default_takes_the_place_of_the_one_before(back_office):
    euro = currencies.create(code="EUR", actor=MERCHANT)
    shirt = product(prices=[Money("EUR", 900), Money("USD", 1000)])

    answer = back_office.put(path(euro), {"default": True})

    assert answer.json()["data"]["default"] is True
    assert list(Currency.objects.filter(default=True)) == [euro]
    shown = back_office.get(f"/v2/products/{shirt.pk}").json()["data"]
    assert shown["meta"]["display_price"]["with_tax"]["currency"] == "EUR"
    made = back_office.post("/v2/currencies", {**YEN, "default": True})
    assert made.json()["data"]["default"] is True
    assert Currency.objects.get(default=True).code == "JPY"


@pytest.mark.parametrize("change", [{"default": False}, {"enabled": False}])
def test_the_default_is_neither_given_up_nor_disabled(back_office, change):
    refused(back_office.put(path(dollar()), change), 422, "currency_is_default")
    refused(back_office.delete(path(dollar())), 422, "currency_is_default")
    assert (dollar().default, dollar().enabled) == (True, True)


def test_a_disabled_currency_does_not_become_the_default(back_office):
    euro = currencies.create(code="EUR", enabled=False, actor=MERCHANT)

    for answer in (
        back_office.put(path(euro), {"default": True}),
        back_office.post("/v2/currencies", {**YEN, "enabled": False, "default": True}),
    ):
        refused(answer, 422, "currency_not_enabled")
    assert dollar().default
    assert back_office.put(path(euro), {"default": True, "enabled": True}).status_code == 200


def test_a_disabled_currency_is_not_to_be_asked_for(back_office):
    euro = currencies.create(code="EUR", actor=MERCHANT)
    back_office.put(path(euro), {"enabled": False})

    answer = back_office.get(f"/v2/products/{product().pk}", X_MOLTIN_CURRENCY="EUR")

    refused(answer, 422, "currency_unknown")


def test_a_currency_of_a_price_a_cost_or_an_order_stays_what_it_is(back_office):
    priced = currencies.create(code="EUR", actor=MERCHANT)
    product(prices=[Money("EUR", 1)])
    costed = currencies.create(code="SEK", actor=MERCHANT)
    product(cost=Money("SEK", 1))
    unpaid_order({product(stock=1): 1})
    currencies.create(code="CHF", default=True, actor=MERCHANT)

    for used in (priced, costed, dollar()):
        refused(back_office.delete(path(used)), 409, "currency_in_use")
        for change in ({"code": "XXX"}, {"decimal_places": 0}):
            refused(back_office.put(path(used), change), 409, "currency_in_use")
        same = {"code": used.code, "decimal_places": 2, "format": "{price} !", "enabled": False}
        assert back_office.put(path(used), same).status_code == 200


def test_a_currency_nobody_uses_is_renamed_and_deleted(back_office):
    euro = currencies.create(code="EUR", actor=MERCHANT)

    renamed = back_office.put(path(euro), {"code": "CHF", "decimal_places": 4})
    deleted = back_office.delete(path(euro))

    assert renamed.json()["data"]["code"] == "CHF"
    assert (deleted.status_code, deleted.content) == (204, b"")
    refused(back_office.get(path(euro)), 404, "currency_not_found")


def test_a_store_has_at_most_10_currencies(back_office):
    for number in range(9):
        currencies.create(code=f"AA{chr(65 + number)}", actor=MERCHANT)

    refused(back_office.post("/v2/currencies", YEN), 422, "too_many_currencies")


def test_the_same_key_makes_one_currency(back_office):
    answers = [back_office.post("/v2/currencies", YEN, key="click") for _ in range(2)]

    assert [answer.status_code for answer in answers] == [201, 201]
    assert answers[0].json() == answers[1].json()


def test_what_another_process_made_is_known_at_once():
    currencies.by_code()
    now = clock.now()
    Currency.objects.create(code="EUR", created_at=now, updated_at=now)

    assert currencies.by_code()["EUR"].enabled
    currencies.forget()
    currencies.by_code()
    Currency.objects.create(code="CHF", created_at=now, updated_at=now)
    assert currencies.named("CHF").code == "CHF"


def test_every_change_is_dated(back_office):
    euro = currencies.create(code="EUR", actor=MERCHANT)

    with clock.replaced(itertools.repeat(clock.now() + timedelta(minutes=5)).__next__):
        currencies.change(euro.pk, format="€{price}", actor=MERCHANT)

    changed = Currency.objects.get(pk=euro.pk)
    assert changed.updated_at > changed.created_at == euro.created_at


@pytest.mark.django_db(transaction=True)
def test_of_currencies_made_the_default_at_once_one_is():
    made = [currencies.create(code=code, actor=MERCHANT) for code in ("AAA", "BBB", "CCC", "DDD")]

    def make_default(currency: Currency) -> Any:
        return lambda: currencies.change(currency.pk, default=True, actor=MERCHANT)

    outcomes = run_together(*map(make_default, made))

    assert not [outcome for outcome in outcomes if isinstance(outcome, Exception)]
    assert Currency.objects.filter(default=True).count() == 1


@pytest.mark.django_db(transaction=True)
def test_a_price_in_a_currency_that_another_process_has_just_deleted_is_refused():
    currencies.create(code="EUR", actor=MERCHANT)
    currencies.by_code()
    Currency.objects.filter(code="EUR").delete()

    with pytest.raises(CurrencyUnknown):
        product(prices=[Money("EUR", 900)])

    assert not Product.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_of_codes_made_at_once_one_is():
    outcomes = run_together(*[lambda: currencies.create(code="EUR", actor=MERCHANT)] * 4)

    assert len([made for made in outcomes if isinstance(made, Currency)]) == 1
    assert {type(one).__name__ for one in outcomes} == {"Currency", "CurrencyTaken"}


LockAll = Callable[[CurrencyQuerySet], list[Currency]]


def two_made_for_the_last_place(
    monkeypatch: pytest.MonkeyPatch, lock_all: LockAll
) -> Sequence[Any]:
    """Have one currency wait for another to be made, of which there is room for one alone."""
    for number in range(8):
        currencies.create(code=f"AA{chr(65 + number)}", actor=MERCHANT)
    is_first = threading.Semaphore()

    def lock_and_let_the_other_wait(rows: CurrencyQuerySet) -> list[Currency]:
        known = lock_all(rows)
        if is_first.acquire(blocking=False):
            wait_until_somebody_waits()
        return known

    monkeypatch.setattr(CurrencyQuerySet, "lock_all", lock_and_let_the_other_wait)
    codes = ("EUR", "JPY")
    create = partial(currencies.create, actor=MERCHANT)
    return run_together(*[partial(create, code=code) for code in codes])


@pytest.mark.django_db(transaction=True)
def test_the_last_place_is_taken_by_one_of_two_currencies(monkeypatch):
    outcomes = two_made_for_the_last_place(monkeypatch, CurrencyQuerySet.lock_all)

    assert {type(outcome) for outcome in outcomes} == {Currency, TooManyCurrencies}
    assert Currency.objects.count() == 10


@pytest.mark.django_db(transaction=True)
def test_control_whoever_does_not_look_again_after_waiting_makes_one_too_many(monkeypatch):
    outcomes = two_made_for_the_last_place(
        monkeypatch, lambda rows: list(rows.order_by("pk").select_for_update(no_key=True))
    )

    assert [type(outcome) for outcome in outcomes] == [Currency, Currency]
    assert Currency.objects.count() == 11


# In the admin.

IN_ADMIN = "/admin/inventory/currency/"
TYPED = {
    "code": "EUR",
    "format": "{price} €",
    "decimal_point": ",",
    "thousand_separator": ".",
    "decimal_places": "2",
    "exchange_rate": "1",
    "enabled": "on",
}


def owner() -> Client:
    client = Client()
    client.force_login(User.objects.create_superuser("owner"))
    return client


def errors(answer: Any) -> dict[str, list[str]]:
    return dict(answer.context["adminform"].form.errors)


@pytest.mark.django_db(transaction=True)
def test_a_code_that_somebody_makes_meanwhile_is_refused_on_the_form(monkeypatch):
    client, create = owner(), currencies.create

    def made_by_another_meanwhile(**fields: Any) -> Currency:
        assert [
            type(made) for made in run_together(lambda: create(code="EUR", actor=MERCHANT))
        ] == [Currency]
        return create(**fields)

    monkeypatch.setattr(currencies, "create", made_by_another_meanwhile)

    answer = client.post(f"{IN_ADMIN}add/", TYPED)

    assert answer.status_code == 200
    assert errors(answer) == {"code": [CurrencyTaken.detail]}
    assert Currency.objects.filter(code="EUR").count() == 1


def test_the_eleventh_currency_is_refused_on_the_form():
    for number in range(9):
        currencies.create(code=f"AA{chr(65 + number)}", actor=MERCHANT)

    answer = owner().post(f"{IN_ADMIN}add/", TYPED)

    assert errors(answer) == {"__all__": [TooManyCurrencies.detail]}
    assert Currency.objects.count() == 10


def test_what_is_changed_on_the_form_leaves_the_rest_as_others_have_made_it(monkeypatch):
    client, change = owner(), currencies.change
    euro = currencies.create(code="EUR", actor=MERCHANT)

    def made_default_meanwhile(*args: Any, **fields: Any) -> Currency:
        change(euro.pk, default=True, actor=MERCHANT)
        return change(*args, **fields)

    monkeypatch.setattr(currencies, "change", made_default_meanwhile)

    client.post(f"{IN_ADMIN}{euro.pk}/change/", {**TYPED, "exchange_rate": "1.5"})

    euro.refresh_from_db()
    assert (euro.default, str(euro.exchange_rate)) == (True, "1.50000000")


# Found by code.


def _currency(code: str, **fields: Any) -> Currency:
    now = clock.now()
    return Currency.objects.create(code=code, created_at=now, updated_at=now, **fields)


def test_a_currency_is_found_by_its_code_and_the_default_one_without():
    _currency("EUR")

    assert currencies.named("EUR").code == "EUR"
    assert currencies.named("").code == "USD"


@pytest.mark.parametrize("code", ["XXX", "OLD", "usd"])
def test_a_currency_that_the_store_does_not_use_is_refused(code):
    _currency("OLD", enabled=False)

    with pytest.raises(CurrencyUnknown) as unknown:
        currencies.named(code)
    assert unknown.value.source == "X-MOLTIN-CURRENCY"
    with pytest.raises(CurrencyUnknown):
        product(prices=[Money(code, 1250)])


def test_what_this_process_changes_it_knows_at_once():
    euro = currencies.create(code="EUR", currency_id=UNKNOWN, actor=MERCHANT)
    assert {code: each.pk for code, each in currencies.by_code().items()} == {
        "EUR": UNKNOWN,
        "USD": dollar().pk,
    }

    currencies.change(euro.pk, format="{price} €", actor=MERCHANT)
    assert currencies.by_code()["EUR"].format == "{price} €"
    currencies.delete(euro.pk, actor=MERCHANT)
    assert {*currencies.by_code()} == {"USD"}


def test_of_a_currency_that_is_gone_amounts_are_written_as_most_are():
    currencies.by_code()
    _currency("EUR", format="{price} €")

    assert currencies.by_code()["EUR"].formatted(1250) == "12.50 €"
    gone = currencies.by_code()["XXX"]
    assert (gone.code, gone.enabled, gone.formatted(1250)) == ("XXX", False, "12.50")


def test_a_currency_is_not_changed_from_what_nobody_saw():
    with pytest.raises(Moved):
        currencies.change(
            dollar().pk, format="{price} $", seen={"format": "{price} !"}, actor=MERCHANT
        )

    assert dollar().format != "{price} $"


def test_another_default_takes_the_place_of_the_one_that_was_seen_and_is_there():
    currencies.create(code="EUR", actor=MERCHANT)

    with pytest.raises(Moved):
        currencies.change_store("USD", "EUR", actor=MERCHANT)
    with pytest.raises(CurrencyNotEnabled):
        currencies.change_store("XXX", "USD", actor=MERCHANT)
    assert currencies.named("").code == "USD"

    currencies.change_store("EUR", "USD", actor=MERCHANT)
    assert currencies.named("").code == "EUR"


def test_a_currency_that_somebody_begins_to_use_in_that_moment_stays_what_it_is(monkeypatch):
    euro = currencies.create(code="EUR", actor=MERCHANT)
    product(prices=[Money("EUR", 900)])
    # As it was when it was looked at.
    monkeypatch.setattr(Currency, "is_in_use", lambda currency: False)

    for act in (
        partial(currencies.change, euro.pk, code="SEK", actor=MERCHANT),
        partial(currencies.delete, euro.pk, actor=MERCHANT),
    ):
        with pytest.raises(CurrencyInUse):
            act()

    assert Currency.objects.get(pk=euro.pk).code == "EUR"


def test_currencies_are_read_once_in_some_seconds(django_assert_num_queries):
    with django_assert_num_queries(1):
        currencies.named("USD")
        currencies.named("")
