"""Products: made, changed and archived, and whether their stock is managed."""

import uuid
from functools import partial
from typing import Any

import pytest

from api.errors import Conflict, Moved
from api.ids import uuid7
from api.models import Change
from inventory.errors import (
    CurrencyUnknown,
    ProductNotFound,
    SkuTaken,
    SlugTaken,
    StockExists,
    StockNotFound,
    StockTooLow,
    UnitsAllocated,
)
from inventory.models import Action, Product, Stock
from inventory.services import currencies, product_rows, products
from inventory.services.products import Money, NewCost
from tests.concurrency import run_together
from tests.factories import MERCHANT, holding_order, product, stock_of
from tests.http import administrator, shopper
from tests.inventory.movements import (
    actions_of,
    allocate,
    log_of,
    numbers_of,
    record,
    refused,
    ship,
)

pytestmark = pytest.mark.django_db


def _create(**fields: Any) -> Product:
    given = {"name": "Navy Shirt", "sku": "NAVY", "manage_stock": True, "actor": MERCHANT}
    return products.create(**{"prices": [Money("USD", 1250)], **given, **fields})


def test_a_new_product_starts_with_its_stock_in_the_log():
    made = _create(initial_stock=50)

    [entry] = log_of(made)
    assert (entry.action, entry.quantity, entry.reason) == ("increment", 50, "initial stock")
    assert entry.effective_at == made.created_at
    assert (entry.actor_kind, entry.actor_name) == (MERCHANT.kind, MERCHANT.name)
    assert numbers_of(made) == (50, 50, 0, 0)
    assert made.slug == "navy-shirt"
    assert [(price.currency_id, price.amount) for price in made.prices.all()] == [("USD", 1250)]


def test_a_new_product_without_stock_starts_at_zero_with_an_empty_log():
    made = _create()

    assert numbers_of(made) == (0, 0, 0, 0)
    assert stock_of(made).managed
    assert log_of(made) == []


@pytest.mark.parametrize(
    ("fields", "refusal"),
    [
        ({"sku": "TAKEN", "slug": "free"}, SkuTaken),
        ({"sku": "FREE", "slug": "taken"}, SlugTaken),
        ({"sku": "TAKEN"}, SkuTaken),
        ({"prices": [Money("XXX", 1)]}, CurrencyUnknown),
    ],
)
def test_a_product_that_cannot_be_is_refused_and_leaves_nothing(fields, refusal):
    product(sku="TAKEN", slug="taken")

    with pytest.raises(refusal):
        _create(initial_stock=5, **fields)

    assert Product.objects.count() == Stock.objects.count() == 1


def test_a_slug_is_made_of_the_name_unless_another_product_has_it():
    slugs = [_create(sku=sku).slug for sku in ("NAVY", "NAVY-2")]

    assert slugs == ["navy-shirt", "navy-shirt-navy-2"]


@pytest.mark.django_db(transaction=True)
def test_a_slug_that_somebody_takes_in_that_moment_is_made_anew(monkeypatch):
    free_slugs = product_rows.free_slugs
    theirs: list[str] = []

    def found_before_somebody_else_takes_it(made: list[Product]) -> list[str]:
        found = free_slugs(made)
        if not theirs:
            theirs.append("NAVY-2")
            run_together(partial(_create, sku="NAVY-2"))
        return found

    monkeypatch.setattr(product_rows, "free_slugs", found_before_somebody_else_takes_it)

    assert _create(sku="NAVY").slug == "navy-shirt-navy"
    assert Product.objects.get(sku="NAVY-2").slug == "navy-shirt"


@pytest.mark.parametrize("slug", ["", "blue"])
def test_a_product_is_made_under_the_id_that_was_given_and_over_no_other(slug):
    made = _create(product_id=uuid.UUID(int=7))
    assert made.pk == uuid.UUID(int=7)

    with pytest.raises(Conflict):
        _create(product_id=made.pk, name="Blue", sku="BLUE", slug=slug)

    assert Product.objects.get().name == "Navy Shirt"


@pytest.mark.parametrize("name", ["シャツ", "½" * 200, "x" * 200])
def test_two_products_of_any_one_name_get_slugs_of_their_own(name):
    slugs = {_create(name=name, sku=sku * 50).slug for sku in ("甲", "乙", "A", "B")}

    assert len(slugs) == 4
    assert all(slugs)


def test_a_change_of_a_product_leaves_the_rest_as_it_was():
    made = product(7, price=1250, barcode="4006381333931")

    products.update(made.pk, actor=MERCHANT, name="Blue Shirt")

    changed = Product.objects.get(pk=made.pk)
    assert (changed.name, changed.barcode, changed.sku) == ("Blue Shirt", "4006381333931", made.sku)
    assert changed.updated_at > made.updated_at
    assert [price.amount for price in changed.prices.all()] == [1250]
    assert numbers_of(made) == (7, 7, 0, 0)


@pytest.mark.parametrize(
    "change",
    [
        lambda made: products.update(made.pk, name="Blue", actor=MERCHANT),
        lambda made: products.change_prices(made.pk, {"USD": 900}, actor=MERCHANT),
        lambda made: products.archive(made.pk, actor=MERCHANT),
        lambda made: products.stop_managing(made.pk, actor=MERCHANT),
    ],
)
def test_a_product_tells_when_it_was_changed(change):
    made = product(stock=3)
    assert made.updated_at == made.created_at

    change(made)

    assert Product.objects.get(pk=made.pk).updated_at > made.created_at


def test_so_does_one_whose_stock_begins():
    made = product(managed=False)

    products.start_managing(made.pk, 0, actor=MERCHANT)

    assert Product.objects.get(pk=made.pk).updated_at > made.created_at


def test_a_field_that_is_not_as_somebody_saw_it_is_not_changed():
    made = product(name="Shirt")

    with pytest.raises(Moved):
        products.update(made.pk, name="Blue", seen={"name": "Top"}, actor=MERCHANT)
    assert Product.objects.get().name == "Shirt"

    products.update(made.pk, name="Blue", seen={"name": "Shirt"}, actor=MERCHANT)
    assert Product.objects.get().name == "Blue"


def _prices(made: Product) -> dict[str, tuple[int, bool]]:
    return {each.currency_id: (each.amount, each.includes_tax) for each in made.prices.all()}


def _in_three_currencies() -> Product:
    for code in ("EUR", "SEK"):
        currencies.create(code=code, actor=MERCHANT)
    return product(prices=[Money("USD", 1250, False), Money("SEK", 9900, False)])


def test_some_prices_are_changed_and_the_others_stay():
    made = _in_three_currencies()

    seen = {"USD": 1250, "EUR": None}
    products.change_prices(made.pk, {"USD": 900, "EUR": 800}, seen=seen, actor=MERCHANT)
    assert _prices(made) == {"USD": (900, False), "EUR": (800, True), "SEK": (9900, False)}

    products.change_prices(made.pk, {"SEK": None, "USD": 900}, actor=MERCHANT)
    assert _prices(made) == {"USD": (900, False), "EUR": (800, True)}


@pytest.mark.parametrize("seen", [{"USD": 1249}, {"USD": None}, {"EUR": 800}])
def test_no_other_price_is_replaced_than_somebody_saw(seen):
    made = _in_three_currencies()

    with pytest.raises(Moved):
        products.change_prices(made.pk, {"USD": 900}, seen=seen, actor=MERCHANT)

    assert _prices(made) == {"USD": (1250, False), "SEK": (9900, False)}


def test_a_price_cannot_be_changed_to_one_in_a_currency_that_there_is_not():
    made = product(price=1250)

    with pytest.raises(CurrencyUnknown) as refused:
        products.change_prices(made.pk, {"XXX": 900}, actor=MERCHANT)

    assert refused.value.source == "data.price"
    assert _prices(made) == {"USD": (1250, True)}


def test_prices_in_disabled_currencies_outlive_those_that_replace_all_prices():
    made = _in_three_currencies()
    sek = currencies.by_code()["SEK"]
    currencies.change(sek.pk, enabled=False, actor=MERCHANT)

    as_it_is = [Money("USD", 1250, False), Money("SEK", 9900, False)]
    products.update(made.pk, prices=[*as_it_is, Money("EUR", 800)], actor=MERCHANT)
    for other in (Money("SEK", 9800, False), Money("SEK", 9900)):
        with pytest.raises(CurrencyUnknown):
            products.update(made.pk, prices=[other], actor=MERCHANT)

    assert _prices(made) == {"USD": (1250, False), "EUR": (800, True), "SEK": (9900, False)}


def test_given_prices_replace_all_prices():
    made = product(price=1250)

    products.update(made.pk, actor=MERCHANT, prices=[Money("USD", 990)])

    assert [price.amount for price in made.prices.all()] == [990]


def test_a_sku_cannot_be_changed_to_one_that_is_taken():
    product(sku="TAKEN")
    made = product(sku="MINE")

    with pytest.raises(SkuTaken):
        products.update(made.pk, actor=MERCHANT, sku="TAKEN", name="New")

    made.refresh_from_db()
    assert (made.sku, made.name) == ("MINE", "Shirt MINE")


def test_an_unknown_product_cannot_be_changed():
    with pytest.raises(ProductNotFound):
        products.update(uuid7(), actor=MERCHANT, name="Ghost")


# Whether stock is managed.


def test_the_first_stock_of_an_unmanaged_product_makes_it_managed():
    made = product(managed=False)

    products.start_managing(made.pk, 30, actor=MERCHANT)

    assert stock_of(made).managed
    assert numbers_of(made) == (30, 30, 0, 0)
    assert [entry.reason for entry in log_of(made)] == ["initial stock"]


def test_an_untouched_zero_record_may_be_given_its_first_stock():
    made = product(0)

    products.start_managing(made.pk, 30, actor=MERCHANT)

    assert numbers_of(made) == (30, 30, 0, 0)


@pytest.mark.parametrize("left", [3, 0])
def test_stock_that_has_moved_cannot_be_created_again(left):
    made = product(3)
    if not left:
        record(made, Action.DECREMENT, 3)

    with refused(StockExists):
        products.start_managing(made.pk, 30, actor=MERCHANT)


def test_what_is_available_is_written_off_when_stock_is_no_longer_managed():
    made = product(30)

    products.stop_managing(made.pk, actor=MERCHANT)

    assert not stock_of(made).managed
    assert numbers_of(made) == (0, 0, 0, 0)
    assert [(e.action, e.quantity, e.reason) for e in log_of(made)] == [
        ("increment", 30, "initial stock"),
        ("decrement", 30, "stock no longer managed"),
    ]


def test_stock_that_is_managed_again_goes_on_with_its_old_log():
    made = product(30)
    products.stop_managing(made.pk, actor=MERCHANT)

    products.start_managing(made.pk, 5, actor=MERCHANT)

    assert numbers_of(made) == (5, 5, 0, 0)
    assert [entry.sequence for entry in log_of(made)] == [1, 2, 3]


def _stop(made: Product) -> None:
    products.stop_managing(made.pk, actor=MERCHANT)


def _turn_off(made: Product) -> None:
    products.update(made.pk, actor=MERCHANT, manage_stock=False)


def _archive(made: Product) -> None:
    products.archive(made.pk, actor=MERCHANT)


@pytest.mark.parametrize("give_up", [_stop, _turn_off, _archive])
@pytest.mark.parametrize("allocated", ["by hand", "to an order"])
def test_f32_no_stock_is_given_up_while_units_are_allocated(give_up, allocated):
    made = product(10)
    if allocated == "by hand":
        record(made, Action.ALLOCATE, 1)
    else:
        holding_order({made: 1})

    with refused(UnitsAllocated):
        give_up(made)

    assert Product.objects.kept().filter(pk=made.pk).exists()


@pytest.mark.parametrize("give_up", [_stop, _turn_off, _archive])
def test_f32_giving_up_stock_writes_off_exactly_what_is_available(give_up):
    made = product(10)
    order = {made: 4}
    allocate(order, order_id := uuid7())
    ship(order, order_id)

    give_up(made)

    assert numbers_of(made) == (0, 0, 0, 0)
    assert actions_of(made)[-1] == ("decrement", 6, False)


def test_f32_managed_off_and_on_again_returns_without_a_negative_number():
    made = product(10)
    _turn_off(made)

    products.update(made.pk, actor=MERCHANT, manage_stock=True)

    assert numbers_of(made) == (0, 0, 0, 0)
    with refused(StockTooLow):
        allocate({made: 1}, uuid7())


def test_managing_what_is_managed_already_changes_nothing():
    made = product(10)

    products.update(made.pk, actor=MERCHANT, manage_stock=True)

    assert numbers_of(made) == (10, 10, 0, 0)
    assert len(log_of(made)) == 1


def test_stock_that_is_not_managed_cannot_be_given_up():
    made = product(managed=False)

    with refused(StockNotFound):
        _stop(made)


def test_an_archived_product_gives_its_sku_and_slug_free_and_keeps_its_log():
    made = product(10, sku="SHIRT", slug="shirt")

    _archive(made)
    successor = product(sku="SHIRT", slug="shirt")

    assert successor.pk != made.pk
    assert len(log_of(made)) == 2


@pytest.mark.parametrize(
    "change",
    [
        lambda made: products.update(made.pk, actor=MERCHANT, name="Back"),
        lambda made: products.start_managing(made.pk, 1, actor=MERCHANT),
        lambda made: products.archive(made.pk, actor=MERCHANT),
    ],
)
def test_an_archived_product_is_found_by_nobody(change):
    made = product(10)
    _archive(made)

    with refused(ProductNotFound):
        change(made)


@pytest.mark.parametrize("write_off", [products.archive, products.stop_managing])
def test_t11_no_other_units_are_written_off_than_somebody_saw(write_off):
    shirt = product(4)
    seen = {**stock_of(shirt).standing(), "available": "3"}

    with pytest.raises(Moved):
        write_off(shirt.pk, actor=MERCHANT, seen=seen)

    assert stock_of(shirt).available == 4
    assert Product.objects.get().archived_at is None


def test_t11_stock_begins_only_where_there_is_none_as_somebody_saw():
    made = product(managed=False)
    seen = {**stock_of(made).standing(), "available": "1"}

    with pytest.raises(Moved):
        products.start_managing(made.pk, 30, seen=seen, actor=MERCHANT)

    assert not stock_of(made).managed


def test_of_a_product_that_there_is_not_no_stock_is_given_up():
    with pytest.raises(StockNotFound):
        products.stop_managing(uuid7(), actor=MERCHANT)


def test_what_is_archived_is_on_record_as_deleted():
    made = product()

    _archive(made)

    assert Change.objects.latest("pk").what == Change.What.DELETED


def test_an_archived_product_has_no_stock_to_move():
    made = product(10)
    _archive(made)

    with refused(StockNotFound):
        record(made, Action.INCREMENT, 1)


FOUR_TWENTY = Money("USD", 420)


def test_a_cost_is_on_record_as_an_amount_in_its_currency():
    shirt = product(cost=FOUR_TWENTY)

    products.change_prices(
        shirt.pk, {}, actor=MERCHANT, cost=NewCost(Money("USD", 450), seen=FOUR_TWENTY)
    )
    products.change_prices(
        shirt.pk, {"USD": 900}, actor=MERCHANT, cost=NewCost(None, seen=Money("USD", 450))
    )

    shirt.refresh_from_db()
    assert (shirt.cost, shirt.cost_currency) == (None, None)
    told = [field for entry in Change.objects.order_by("pk")[1:] for field in entry.fields]
    assert told == [
        {"field": "cost", "before": "4.20 USD", "after": "4.50 USD"},
        {"field": "cost", "before": "4.50 USD", "after": None},
        {"field": "price_in_USD", "before": "12.50", "after": "9.00"},
    ]


def test_no_other_cost_is_replaced_than_somebody_saw():
    shirt = product(cost=FOUR_TWENTY)

    with pytest.raises(Moved):
        products.change_prices(
            shirt.pk, {"USD": 900}, actor=MERCHANT, cost=NewCost(None, seen=Money("USD", 419))
        )

    shirt.refresh_from_db()
    assert products.cost_of(shirt) == FOUR_TWENTY
    assert shirt.prices.get().amount == 1250


@pytest.mark.parametrize("code", ["XXX", "CHF"])
def test_a_cost_is_in_a_currency_that_the_store_has_enabled(code):
    currencies.create(code="CHF", enabled=False, actor=MERCHANT)

    with refused(CurrencyUnknown):
        product(cost=Money(code, 420))

    assert not Product.objects.exists()


def test_shoppers_and_programs_do_not_learn_what_a_product_costs_the_store():
    shirt = product(cost=Money("USD", 98765))

    for api in (administrator(), shopper()):
        for path in ("/v2/products", f"/v2/products/{shirt.pk}"):
            assert "98765" not in api.get(path).content.decode()
            assert "987.65" not in api.get(path).content.decode()


# Bringing back.


def _restore(made: Product, sku: str = "", slug: str = "") -> Product:
    sku, slug = sku or made.sku, slug or made.slug
    return products.restore(made.pk, sku=sku, slug=slug, actor=MERCHANT)


def test_an_archived_product_comes_back_as_a_draft_whose_stock_begins_anew():
    _archive(product())
    made = product(10, sku="SHIRT", price=1250)
    _archive(made)
    archived_at = Product.objects.get(pk=made.pk).updated_at

    _restore(made)

    back = Product.objects.kept().get()
    assert (back.pk, back.sku, back.status) == (made.pk, "SHIRT", "draft")
    assert back.updated_at > archived_at
    assert [price.amount for price in back.prices.all()] == [1250]
    assert not stock_of(made).managed
    products.start_managing(made.pk, 3, actor=MERCHANT)
    assert numbers_of(made) == (3, 3, 0, 0)
    assert [each["field"] for each in Change.objects.latest("pk").fields] == ["stock_managed"]
    entry = Change.objects.order_by("-pk")[1]
    assert {each["field"] for each in entry.fields} == {"status", "archived_at"}


@pytest.mark.parametrize(("field", "refusal"), [("sku", SkuTaken), ("slug", SlugTaken)])
def test_a_product_comes_back_only_under_a_name_that_nobody_has_taken(field, refusal):
    made = product(sku="SHIRT", slug="shirt")
    _archive(made)
    product(**{"name": "Successor", field: getattr(made, field)})

    with pytest.raises(refusal, match=r"^Successor .* by now"):
        _restore(made)
    assert Product.objects.exclude(archived_at=None).get() == made

    _restore(made, **{field: "other"})
    assert Product.objects.kept().count() == 2


def test_only_what_is_archived_comes_back():
    made = product()

    with refused(ProductNotFound):
        _restore(made)
