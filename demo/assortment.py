"""How the demo's goods are sorted: categories of three levels, and what variants share."""

import uuid
from functools import partial

from demo.catalogue import FAMILIES, PRODUCTS, DemoProduct, Family
from demo.people import MARIA
from demo.replay import CURRENCY, Story
from inventory.services import categories, variants
from inventory.services.products import Money
from inventory.services.sheets import processing
from inventory.services.variants import Option, Pattern, Shared

GIFTS = ("Gifts",)
GIFT_IDEAS = ("MUG-WHITE", "MUG-BLUE", "CANDLE", "NOTEBOOK-RED", "STICKERS")
# A category and a parent have the same id in every demo, as products have: so far from those.
_CATEGORIES_FROM = 2**17
_PARENTS_FROM = 2**18
_FIRST = next(iter(PRODUCTS.values())).id.int


def _paths() -> list[tuple[str, ...]]:
    """Return every category that there is, each after the one above it."""
    named = [family.category for family in FAMILIES] + [GIFTS]
    return list(dict.fromkeys(path[:level] for path in named for level in range(1, len(path) + 1)))


_IDS = {
    path: uuid.UUID(int=_FIRST + _CATEGORIES_FROM + place) for place, path in enumerate(_paths())
}


def category_of(product: DemoProduct) -> uuid.UUID:
    return _IDS[product.family.category]


def sorted_in(story: Story) -> None:
    """Have the categories made before there is a product, and a file of gift ideas applied."""
    first_day = max(family.since_days_ago for family in FAMILIES)
    for minute, (path, category_id) in enumerate(_IDS.items()):
        make = partial(
            categories.create,
            path[-1],
            parent_id=_IDS.get(path[:-1]),
            category_id=category_id,
            actor=MARIA,
        )
        story.happens(story.at(first_day, 6, minute), make)
    story.happens(story.at(11, 10, 40), _apply_gift_ideas)


def shared_by(story: Story, place: int, family: Family) -> None:
    """Have a family's parent made before its products, and each put in once it is there."""
    its = [product for product in PRODUCTS.values() if product.family is family]
    if len(its) == 1:
        return
    parent_id = uuid.UUID(int=_FIRST + _PARENTS_FROM + place)
    options = _options(its)
    pattern = Pattern(
        ", ".join([family.name, *(f"{{{option.name}}}" for option in options)]),
        "-".join([family.sku, *(f"{{{option.name}}}" for option in options)]),
    )
    make = partial(
        variants.create,
        family.name,
        options,
        pattern,
        Shared(prices=[Money(CURRENCY, family.price)]),
        # Its variants are made with units of their own.
        left_out=range(len(variants.combinations(options))),
        parent_id=parent_id,
        actor=MARIA,
    )
    story.happens(story.at(family.since_days_ago, 6, 50), make)
    for product in its:
        put_in = partial(variants.put_in, parent_id, product.id, _options_of(product), actor=MARIA)
        story.happens(story.at(family.since_days_ago, 7, 50), put_in)


def _options(its: list[DemoProduct]) -> list[Option]:
    every = [_options_of(product) for product in its]
    return [
        Option(name, list(dict.fromkeys(options[name] for options in every))) for name in every[0]
    ]


def _options_of(product: DemoProduct) -> dict[str, str]:
    named = {"Colour": product.colour, "Size": product.size}
    return {name: value for name, value in named.items() if value}


def _apply_gift_ideas() -> None:
    lines = ["sku;categories;threshold"]
    for sku in GIFT_IDEAS:
        paths = [PRODUCTS[sku].family.category, GIFTS]
        lines.append(f'{sku};"{"; ".join(" > ".join(path) for path in paths)}";8')
    sheet, _ = processing.upload("gift-ideas.csv", "\n".join(lines).encode(), actor=MARIA)
    while processing.take_a_batch(sheet.pk):
        pass
    processing.apply(sheet.pk, actor=MARIA)
    while processing.take_a_batch(sheet.pk):
        pass
