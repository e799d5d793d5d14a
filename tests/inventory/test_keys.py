"""Whatever a catalogue's services do with an `Idempotency-Key`, they do once."""

import uuid
from collections.abc import Callable

import pytest

from api.idempotency import Answered, Key
from api.ids import uuid7
from inventory.services import categories, currencies, pictures, products, variants
from inventory.services.products import Money
from inventory.services.variants import Option, Pattern, Shared
from tests.drawn import drawn
from tests.factories import MERCHANT, category, parent, product
from tests.inventory.test_pictures import attach, rows

pytestmark = pytest.mark.django_db

# What is done with a key, and what the key names then, if there is one thing to name.
Done = Callable[[Key], uuid.UUID | None]

SIZE = Option("Size", ["S", "M"])
LARGE = Pattern("Shirt {Size}", "SHIRT-{Size}")
SHARED = Shared([Money("USD", 1250)])


def _of_products(way: str) -> Done:
    shirt = product(managed=way != "begin")
    if way == "bring back":
        products.archive(shirt.pk, actor=MERCHANT)

    def act(key: Key) -> uuid.UUID:
        match way:
            case "make":
                return products.create(
                    name="Mug", sku="MUG", prices=[], manage_stock=True, actor=MERCHANT, key=key
                ).pk
            case "change":
                products.update(shirt.pk, name="Blue", actor=MERCHANT, key=key)
            case "begin":
                products.start_managing(shirt.pk, 0, actor=MERCHANT, key=key)
            case "end":
                products.stop_managing(shirt.pk, actor=MERCHANT, key=key)
            case "archive":
                products.archive(shirt.pk, actor=MERCHANT, key=key)
            case "bring back":
                products.restore(shirt.pk, sku="S", slug="s", actor=MERCHANT, key=key)
        return shirt.pk

    return act


def _of_variants(way: str) -> Done:
    made = parent(SIZE)
    small = made.variants.get(sku="SHIRT-S")
    if way in ("put in", "delete"):
        for each in made.variants.all():
            variants.take_out(made.pk, each.pk, actor=MERCHANT)

    def act(key: Key) -> uuid.UUID:
        match way:
            case "make":
                tops = Pattern("Top {Size}", "TOP-{Size}")
                return variants.create("Top", [SIZE], tops, SHARED, actor=MERCHANT, key=key).pk
            case "add":
                variants.add_value(made.pk, "Size", "L", LARGE, SHARED, actor=MERCHANT, key=key)
            case "rename":
                variants.rename(made.pk, "Top", actor=MERCHANT, key=key)
            case "put in":
                variants.put_in(made.pk, small.pk, {"Size": "S"}, actor=MERCHANT, key=key)
                return small.pk
            case "take out":
                variants.take_out(made.pk, small.pk, actor=MERCHANT, key=key)
                return small.pk
            case "delete":
                variants.delete(made.pk, actor=MERCHANT, key=key)
        return made.pk

    return act


def _of_categories(way: str) -> Done:
    shirts, made = category("Shirts"), product()

    def act(key: Key) -> uuid.UUID | None:
        match way:
            case "make":
                return categories.create("Sale", actor=MERCHANT, key=key).pk
            case "change":
                categories.update(shirts.pk, name="Tops", actor=MERCHANT, key=key)
            case "move":
                categories.move(shirts.pk, 1, actor=MERCHANT, key=key)
            case "delete":
                categories.delete(shirts.pk, actor=MERCHANT, key=key)
            case "put in":
                categories.change_for([made.pk], add=[shirts.pk], actor=MERCHANT, key=key)
                return None
            case "set":
                categories.set_for([made.pk], [shirts.pk], actor=MERCHANT, key=key)
                return None
        return shirts.pk

    return act


def _of_currencies(way: str) -> Done:
    euro = currencies.create(code="EUR", actor=MERCHANT)

    def act(key: Key) -> uuid.UUID:
        match way:
            case "make":
                return currencies.create(code="SEK", actor=MERCHANT, key=key).pk
            case "change":
                currencies.change(euro.pk, enabled=False, actor=MERCHANT, key=key)
            case "delete":
                currencies.delete(euro.pk, actor=MERCHANT, key=key)
        return euro.pk

    return act


def _of_pictures(way: str) -> Done:
    shirt, [front, back] = product(), rows(2)
    attach(shirt, front)
    content = drawn()
    if way == "send again":
        pictures.take("a.png", content, actor=MERCHANT)

    def act(key: Key) -> uuid.UUID:
        match way:
            case "send" | "send again":
                return pictures.take("a.png", content, actor=MERCHANT, key=key).pk
            case "delete":
                pictures.delete(back.pk, actor=MERCHANT, key=key)
                return back.pk
            case "attach":
                pictures.attach(shirt.pk, [back.pk], actor=MERCHANT, key=key)
            case "arrange":
                seen = [front.pk]
                pictures.arrange(shirt.pk, seen, seen=seen, actor=MERCHANT, key=key)
        return shirt.pk

    return act


OF: list[tuple[Callable[[str], Done], tuple[str, ...]]] = [
    (_of_products, ("make", "change", "begin", "end", "archive", "bring back")),
    (_of_variants, ("make", "add", "rename", "put in", "take out", "delete")),
    (_of_categories, ("make", "change", "move", "delete", "put in", "set")),
    (_of_currencies, ("make", "change", "delete")),
    (_of_pictures, ("send", "send again", "delete", "attach", "arrange")),
]


@pytest.mark.parametrize(("of", "way"), [(of, way) for of, ways in OF for way in ways])
def test_what_was_done_with_a_key_is_not_done_again(of, way):
    act, key = of(way), Key("user:7", "POST", "/", way, "same", uuid7())
    named = act(key)

    with pytest.raises(Answered) as again:
        act(key)

    if named:
        assert again.value.record.resource_id == str(named)
