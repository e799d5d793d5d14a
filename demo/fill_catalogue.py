"""What `manage.py fill` makes around its products: their categories, variants, costs and record."""

import uuid
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from itertools import islice, product
from random import Random

from django.db import connection

from api import changes
from api.actors import Actor
from api.models import Change
from inventory.models import Category, Parent, Price, Product
from inventory.services import categories, product_rows, variants
from inventory.services.category_tree import Tree
from inventory.services.variants import Option

# Of five levels: 1 + 5 + 20 + 60 + 120 categories, of which the last two hold products.
_BRANCHES = (1, 5, 4, 3, 2)
_LEVEL_NAMES = ("Fill", "Department", "Aisle", "Shelf", "Box")
_A_PRODUCT_MAX = 3
SIZES, COLOURS = ("S", "M", "L", "XL"), ("Black", "Blue", "Red")
# Of so many products, which stand beside each other, the first ones are variants of one parent.
STRETCH = 30
_ROWS = 1_000


def make_tree(actor: Actor) -> list[uuid.UUID]:
    """Make the categories, unless they are there, and return those that hold products."""
    Category.objects.lock_tree()
    return [*categories.make_in(Tree(), list(_paths()), actor).values()]


def _paths() -> Iterator[str]:
    numbers = [range(1, branches + 1) for branches in _BRANCHES]
    for branch in product(*numbers):
        names = [_LEVEL_NAMES[0]]
        for level in range(1, len(branch)):
            names.append(f"{_LEVEL_NAMES[level]} {'.'.join(map(str, branch[1 : level + 1]))}")
        if branch[-1] == 1:
            yield " > ".join(names[:-1])
        yield " > ".join(names)


def make_variants(rows: Sequence[Product], at: datetime, dice: Random) -> None:
    """Write parents of 4 to 12, and make products variants of them, in memory."""
    options = variants.options([("Colour", COLOURS), ("Size", SIZES)])
    combinations = [dict(each) for each in variants.combinations(options)]
    parents = []
    for begin in range(0, len(rows) - len(combinations), STRETCH):
        size = dice.randint(4, len(combinations))
        first = rows[begin]
        parent = Parent(
            name=first.name,
            options=_kept(options),
            name_pattern=f"{first.name}, {{Colour}}, {{Size}}",
            sku_pattern=f"{first.sku}-{{Colour}}-{{Size}}",
            created_at=at,
            updated_at=at,
        )
        parents.append(parent)
        for variant, combination in zip(rows[begin : begin + size], combinations, strict=False):
            variant.parent, variant.options = parent, combination
            variant.name = f"{first.name}, {', '.join(combination.values())}"
    Parent.objects.bulk_create(parents, batch_size=_ROWS)


def _kept(options: Sequence[Option]) -> list[dict[str, object]]:
    return [{"name": option.name, "values": [*option.values]} for option in options]


def place(rows: Sequence[Product], category_ids: Sequence[uuid.UUID], dice: Random) -> None:
    """Put each product into one to three categories."""
    table = Product.categories.through._meta.db_table
    with (
        connection.cursor() as cursor,
        cursor.copy(f"COPY {table} (product_id, category_id) FROM STDIN") as copy,
    ):
        for row in rows:
            chosen = dice.sample(category_ids, dice.randint(1, _A_PRODUCT_MAX))
            copy.write("".join(f"{row.pk}\t{category_id}\n" for category_id in chosen))


def put_on_record(prices: Iterable[Price], at: datetime, actor: Actor) -> None:
    """Write that the products were created, as the record tells it, without their categories."""
    rows = iter(prices)
    while batch := list(islice(rows, _ROWS)):
        states = []
        for price in batch:
            state = product_rows.state_of(price.product, [price], True, "")
            states.append((price.product, categories.NOTHING, state))
        entries = changes.entries(actor, Change.What.CREATED, states)
        for entry in entries:
            entry.at = at
        Change.objects.bulk_create(entries)
