"""The tree of categories, and which products are in which of them.

The tree has one lock, which is taken before any product's: whoever changes the tree holds it alone,
whoever puts products into it shares it.
"""

import uuid
from collections.abc import Callable, Collection, Mapping
from typing import Any, NamedTuple

from django.db import connection
from django.utils.text import slugify

from api import changes, clock
from api.actors import Actor
from api.errors import Refusal, Standing, require_as_seen
from api.idempotency import Key, claim
from api.ids import uuid7
from api.models import Change
from api.transactions import assert_in_transaction, in_transaction
from inventory.errors import (
    CategoryBelowItself,
    CategoryHasChildren,
    CategoryNotFound,
    CategoryTooFull,
    ProductNotFound,
    TooManyCategories,
    TooManyCategoriesOfProduct,
    TooManyLevels,
)
from inventory.models import Category, Product
from inventory.services.category_tree import (
    A_PRODUCT_MAX,
    LEVELS_MAX,
    Tree,
    compared,
    joined,
    named,
    split,
    text_of,
)

CATEGORIES_MAX = 5_000
# Of a category that is deleted: each of them gets an entry on its record.
PRODUCTS_LOSE_MAX = 10_000
SLUG_LENGTH_MAX = 200
# What was there of a thing before it was made, and is after it is gone.
NOTHING: changes.State = {}


# Changing the tree, under its lock.


@in_transaction
def create(
    name: str,
    *,
    actor: Actor,
    parent_id: uuid.UUID | None = None,
    slug: str = "",
    category_id: uuid.UUID | None = None,
    key: Key | None = None,
) -> Category:
    """Make a category, the last of its parent's.

    Raises: CategoryNameWrong, CategoryTaken, CategorySlugTaken, CategoryNotFound; TooManyLevels,
    TooManyCategories.
    """
    category = Category(id=category_id or uuid7(), name=named(name), parent_id=parent_id, slug=slug)
    claim(key, category.pk)
    Category.objects.lock_tree()
    tree = Tree()
    _require_room(tree, parent_id)
    tree.require_free(category)
    _complete(category, tree)
    category.save(force_insert=True)
    changes.created(actor, category, _state(category.pk))
    return category


@in_transaction
def make(written: Collection[str], *, actor: Actor) -> dict[str, uuid.UUID]:
    """Find the categories of these paths, and make what is missing of them.

    For files, before they lock anything else. Raises: CategoryNameWrong; TooManyLevels,
    TooManyCategories.
    """
    Category.objects.lock_tree()
    return make_in(Tree(), written, actor)


def make_in(tree: Tree, written: Collection[str], actor: Actor) -> dict[str, uuid.UUID]:
    """Do what `make` does, in the tree that the caller has locked and read, and leave it there.

    What is refused has written nothing, but the tree is not to be used any more.
    """
    assert_in_transaction()
    by_names, made, found = tree.by_names(), list[Category](), dict[str, uuid.UUID]()
    for path in written:
        names, parent_id = split(path), None
        for level in range(1, len(names) + 1):
            known = tuple(map(compared, names[:level]))
            if known not in by_names:
                _require_room(tree, parent_id)
                category = Category(name=names[level - 1], parent_id=parent_id)
                _complete(category, tree)
                tree.add(category)
                by_names[known] = category.pk
                made.append(category)
            parent_id = by_names[known]
        assert parent_id is not None
        found[path] = parent_id
    Category.objects.bulk_create(made)
    states = [(category, NOTHING, _state_in(tree, category)) for category in made]
    changes.record(changes.entries(actor, Change.What.CREATED, states))
    return found


@in_transaction
def update(
    category_id: uuid.UUID,
    *,
    actor: Actor,
    seen: Mapping[str, Any] | None = None,
    key: Key | None = None,
    **fields: Any,
) -> Category:
    """Change its `name`, `slug` or `parent_id`, where it becomes the last. Leave what is not given.

    `seen` is what stood in some of the fields before. Raises: CategoryNotFound,
    CategoryNameWrong, CategoryTaken, CategorySlugTaken; CategoryBelowItself, TooManyLevels; Moved.
    """
    claim(key, category_id)
    Category.objects.lock_tree()
    tree = Tree()
    category = tree.get(category_id)
    require_as_seen(seen, lambda: {name: getattr(category, name) for name in seen or {}})
    with changes.recorded(actor, category, state=lambda: _state(category_id)):
        if "name" in fields:
            category.name = named(fields["name"])
        if "parent_id" in fields and fields["parent_id"] != category.parent_id:
            _require_room_to_move(tree, category, fields["parent_id"])
            category.parent_id = fields["parent_id"]
            category.position = _last_position(tree, category.parent_id)
        tree.require_free(category)
        if "slug" in fields:
            category.slug = fields["slug"] or _free_slug(category, tree)
        category.updated_at = clock.now()
        category.save()
    return category


@in_transaction
def move(
    category_id: uuid.UUID,
    place: int,
    *,
    actor: Actor,
    seen: int | None = None,
    key: Key | None = None,
) -> Category:
    """Put a category at a place among its siblings, from 1. `seen` is the place that it had.

    Raises: CategoryNotFound, Moved.
    """
    claim(key, category_id)
    Category.objects.lock_tree()
    tree = Tree()
    category = tree.get(category_id)
    was = tree.place(category)
    require_as_seen(None if seen is None else {"place": seen}, lambda: {"place": was})
    with changes.recorded(actor, category, state=lambda: _state(category_id)):
        siblings = tree.children[category.parent_id]
        siblings.remove(category)
        siblings.insert(max(place - 1, 0), category)
        with connection.cursor() as cursor:
            cursor.execute(_ORDER, [[each.pk for each in siblings]])
    return category


_ORDER = """
UPDATE inventory_category AS category SET position = new.position
FROM unnest(%s::uuid[]) WITH ORDINALITY AS new (id, position)
WHERE category.id = new.id AND category.position <> new.position
"""


@in_transaction
def delete(
    category_id: uuid.UUID, *, actor: Actor, seen: Standing | None = None, key: Key | None = None
) -> None:
    """Delete a category with none below it. Its products stay, and are in it no more.

    Raises: CategoryNotFound; CategoryHasChildren; CategoryTooFull; Moved.
    """
    claim(key, category_id)
    Category.objects.lock_tree()
    tree = Tree()
    category = tree.get(category_id)
    require_as_seen(seen, lambda: standing(category))
    require_no_children(category)
    # The archived ones, too.
    product_ids = list(category.products.values_list("pk", flat=True)[: PRODUCTS_LOSE_MAX + 1])
    if len(product_ids) > PRODUCTS_LOSE_MAX:
        raise CategoryTooFull
    found = of(_lock(product_ids, Product.objects.all()))
    _put(tree, {pk: ids - {category_id} for pk, ids in found.items()}, found, actor)
    gone = (category, _state_in(tree, category), NOTHING)
    changes.record(changes.entries(actor, Change.What.DELETED, [gone]))
    category.delete()


def standing(category: Category) -> Standing:
    """What people decide by who delete a category."""
    return {"products": category.products.kept().count()}


def require_no_children(category: Category) -> None:
    """Raises: CategoryHasChildren, which names some of them."""
    names = list(category.children.order_by("position", "name").values_list("name", flat=True)[:4])
    if names:
        more = " and others" if len(names) > 3 else ""
        raise CategoryHasChildren(
            f"Below it there are {', '.join(names[:3])}{more}. Move or delete them first."
        )


def _require_room(tree: Tree, parent_id: uuid.UUID | None) -> None:
    """Raises: TooManyCategories, TooManyLevels, CategoryNotFound."""
    if len(tree.by_id) >= CATEGORIES_MAX:
        raise TooManyCategories
    if parent_id is not None and len(tree.above(tree.get(parent_id).pk)) >= LEVELS_MAX:
        raise TooManyLevels


def _require_room_to_move(tree: Tree, category: Category, parent_id: uuid.UUID | None) -> None:
    """Raises: CategoryNotFound, CategoryBelowItself, TooManyLevels."""
    if parent_id is None:
        return
    above = tree.above(tree.get(parent_id).pk)
    if category in above:
        raise CategoryBelowItself
    levels = max((level for _, level in tree.walk(category.pk)), default=0) + 1
    if len(above) + levels > LEVELS_MAX:
        raise TooManyLevels


def _complete(category: Category, tree: Tree) -> None:
    category.position = _last_position(tree, category.parent_id)
    category.slug = category.slug or _free_slug(category, tree)
    category.created_at = category.updated_at = clock.now()


def _last_position(tree: Tree, parent_id: uuid.UUID | None) -> int:
    siblings = tree.children[parent_id]
    return siblings[-1].position + 1 if siblings else 1


def _free_slug(category: Category, tree: Tree) -> str:
    """Make the slug from its name or, if that is taken, from its whole path."""
    path = " ".join([*(each.name for each in tree.above(category.parent_id)), category.name])
    for slug in (slugify(name)[:SLUG_LENGTH_MAX].rstrip("-") for name in (category.name, path)):
        if slug and tree.slugs.get(slug, category.pk) == category.pk:
            return slug
    return category.pk.hex


def _state(category_id: uuid.UUID) -> changes.State:
    tree = Tree()
    return _state_in(tree, tree.by_id[category_id])


def _state_in(tree: Tree, category: Category) -> changes.State:
    return {
        "name": category.name,
        "slug": category.slug,
        "parent": tree.path(category.parent_id),
        "place": tree.place(category),
    }


# Which products are in which categories.


def texts(product_ids: Collection[uuid.UUID]) -> dict[uuid.UUID, str]:
    """Write for each product in which categories it is; one query."""
    found: dict[uuid.UUID, list[str]] = {product_id: [] for product_id in product_ids}
    names = ["category" + "__parent" * above + "__name" for above in reversed(range(LEVELS_MAX))]
    rows = Product.categories.through.objects.filter(product__in=product_ids)
    for product_id, *path in rows.values_list("product_id", *names):
        found[product_id].append(joined(name for name in path if name))
    return {product_id: text_of(each) for product_id, each in found.items()}


def of(product_ids: Collection[uuid.UUID]) -> dict[uuid.UUID, set[uuid.UUID]]:
    """Return the categories of each product; one query."""
    found: dict[uuid.UUID, set[uuid.UUID]] = {product_id: set() for product_id in product_ids}
    rows = Product.categories.through.objects.filter(product__in=product_ids)
    for product_id, category_id in rows.values_list("product_id", "category_id"):
        found[product_id].add(category_id)
    return found


class Assigned(NamedTuple):
    """What became of a change of many products: who was changed, and who was refused, and why."""

    changed: set[uuid.UUID]
    refused: dict[uuid.UUID, Refusal]


@in_transaction
def change_for(
    product_ids: Collection[uuid.UUID],
    *,
    actor: Actor,
    add: Collection[uuid.UUID] = (),
    remove: Collection[uuid.UUID] = (),
    key: Key | None = None,
) -> Assigned:
    """Put products into some categories, and take them out of others.

    Locks the tree, shared, then the products. Those that would be in too many, and those that are
    no more, are refused one by one; the others are changed. Raises: CategoryNotFound.
    """
    return _change_each(product_ids, lambda now: (now - {*remove}) | {*add}, actor, key)


@in_transaction
def set_for(
    product_ids: Collection[uuid.UUID],
    category_ids: Collection[uuid.UUID],
    *,
    actor: Actor,
    key: Key | None = None,
) -> Assigned:
    """Put products into exactly these categories: see `change_for`."""
    return _change_each(product_ids, lambda now: {*category_ids}, actor, key)


def assign(wanted: Mapping[uuid.UUID, Collection[uuid.UUID]]) -> None:
    """Put each product into exactly these categories, in the caller's transaction.

    The caller has locked the tree, shared, then the products, and puts it on record: see `texts`.
    Raises: CategoryNotFound, TooManyCategoriesOfProduct.
    """
    assert_in_transaction()
    unknown = {each for ids in wanted.values() for each in ids}
    unknown -= set(Category.objects.filter(pk__in=unknown).values_list("pk", flat=True))
    if unknown:
        raise CategoryNotFound
    if any(len({*ids}) > A_PRODUCT_MAX for ids in wanted.values()):
        raise TooManyCategoriesOfProduct
    _write(wanted, of(wanted))


def _change_each(
    product_ids: Collection[uuid.UUID],
    wanted_of: Callable[[set[uuid.UUID]], set[uuid.UUID]],
    actor: Actor,
    key: Key | None,
) -> Assigned:
    claim(key, uuid7())
    Category.objects.lock_tree(shared=True)
    tree = Tree()
    locked = of(_lock(product_ids, Product.objects.kept()))
    wanted = {product_id: wanted_of(now) for product_id, now in locked.items()}
    for category_id in {each for ids in wanted.values() for each in ids}:
        tree.get(category_id)
    refused: dict[uuid.UUID, Refusal] = {
        product_id: ProductNotFound() for product_id in {*product_ids} - locked.keys()
    }
    for product_id, ids in tuple(wanted.items()):
        if len(ids) > A_PRODUCT_MAX:
            refused[product_id] = TooManyCategoriesOfProduct()
            del wanted[product_id]
    return Assigned(_put(tree, wanted, locked, actor), refused)


def _lock(product_ids: Collection[uuid.UUID], products: Any) -> list[uuid.UUID]:
    locked = products.filter(pk__in=product_ids).order_by("pk").select_for_update(no_key=True)
    return list(locked.values_list("pk", flat=True))


def _put(
    tree: Tree,
    wanted: Mapping[uuid.UUID, set[uuid.UUID]],
    now: Mapping[uuid.UUID, set[uuid.UUID]],
    actor: Actor,
) -> set[uuid.UUID]:
    """Write what is wanted of products that are locked, on record, and return which changed."""
    differ = {pk: ids for pk, ids in wanted.items() if ids != now[pk]}
    _write(differ, now)
    changed = Product.objects.in_bulk(differ)
    Product.objects.filter(pk__in=differ).update(updated_at=clock.now())
    states = [
        (product, {"categories": tree.text(now[pk])}, {"categories": tree.text(differ[pk])})
        for pk, product in changed.items()
    ]
    changes.record(changes.entries(actor, Change.What.CHANGED, states))
    return set(changed)


def _write(
    wanted: Mapping[uuid.UUID, Collection[uuid.UUID]], now: Mapping[uuid.UUID, set[uuid.UUID]]
) -> None:
    gone = [(pk, each) for pk, ids in wanted.items() for each in now[pk] - {*ids}]
    new = [(pk, each) for pk, ids in wanted.items() for each in {*ids} - now[pk]]
    with connection.cursor() as cursor:
        for statement, pairs in ((_TAKE_OUT, gone), (_PUT_IN, new)):
            if pairs:
                cursor.execute(statement, [list(each) for each in zip(*pairs, strict=True)])


_TAKE_OUT = """
DELETE FROM inventory_product_categories AS placed
USING unnest(%s::uuid[], %s::uuid[]) AS gone (product_id, category_id)
WHERE placed.product_id = gone.product_id AND placed.category_id = gone.category_id
"""
_PUT_IN = """
INSERT INTO inventory_product_categories (product_id, category_id)
SELECT * FROM unnest(%s::uuid[], %s::uuid[])
"""
