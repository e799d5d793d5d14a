"""Variants: products that share a parent, and differ by its options.

Each is a product with a stock of its own. The parent is locked before its variants, and after the
tree of categories: so no two people make one combination.
"""

import itertools
import re
import uuid
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from math import prod
from typing import Any, NamedTuple

from django.db.models import Q

from api import changes, clock
from api.actors import Actor
from api.codes import fault_of, tidied
from api.errors import require_as_seen
from api.idempotency import Key, claim
from api.ids import uuid7
from api.models import Change
from api.transactions import in_transaction
from inventory.errors import (
    CategoryNotFound,
    OptionsWrong,
    ParentInUse,
    ParentNotFound,
    ProductNotFound,
    VariantElsewhere,
    VariantsNotPossible,
)
from inventory.models import BY_HAND, Action, Category, Parent, Price, Product, Stock
from inventory.services import codes, currencies, product_rows
from inventory.services.category_tree import paths, text_of
from inventory.services.product_rows import PRICE, Whole
from inventory.services.products import INITIAL_STOCK, Money
from inventory.services.stock import move
from inventory.services.writing import Cause

OPTIONS_MAX, VALUES_MAX, VARIANTS_MAX = 3, 50, 200
WORD_LENGTH_MAX = 50
NAME_LENGTH_MAX, SKU_LENGTH_MAX = 200, 100
REFUSED_SHOWN = 3

# A variant's value of each option: {"Size": "M", "Colour": "Red"}.
Combination = Mapping[str, str]


@dataclass(frozen=True)
class Option:
    name: str
    values: Sequence[str]

    def __str__(self) -> str:
        return f"{self.name}: {', '.join(self.values)}"


@dataclass(frozen=True)
class Pattern:
    """What variants are named by: {Size} stands for the variant's value."""

    name: str
    sku: str


@dataclass(frozen=True)
class Shared:
    """What all variants that are made at once begin with."""

    prices: Collection[Money]
    status: str = Product.Status.LIVE
    manage_stock: bool = True
    initial_stock: int = 0
    category_ids: Collection[uuid.UUID] = ()


class Planned(NamedTuple):
    """A variant to be, and why it cannot be, if it cannot."""

    options: Combination
    name: str
    sku: str
    error: str = ""


# What is to be.


def options(named: Sequence[tuple[str, Sequence[str]]]) -> list[Option]:
    """Read options and their values as they are kept. Raises: OptionsWrong."""
    if not 0 < len(named) <= OPTIONS_MAX:
        raise OptionsWrong(f"Variants differ by 1 to {OPTIONS_MAX} options.")
    read = [Option(_word(name), _differing(map(_word, values))) for name, values in named]
    _differing(option.name for option in read)
    for option in read:
        if not 0 < len(option.values) <= VALUES_MAX:
            raise OptionsWrong(f"{option.name} needs 1 to {VALUES_MAX} values.")
    count = prod(len(option.values) for option in read)
    if count > VARIANTS_MAX:
        raise OptionsWrong(
            f"These options have {count} combinations. A parent has at most {VARIANTS_MAX}."
        )
    return read


def options_of(parent: Parent) -> list[Option]:
    return [Option(option["name"], option["values"]) for option in parent.options]


def combinations(given: Sequence[Option]) -> list[Combination]:
    names = [option.name for option in given]
    return [
        dict(zip(names, values, strict=True))
        for values in itertools.product(*(option.values for option in given))
    ]


def plan(pattern: Pattern, wanted: Sequence[Combination]) -> list[Planned]:
    """Name the variants of these combinations, and say which cannot be made, and why.

    Two queries, whatever their number. Raises: OptionsWrong for a pattern that names none.
    """
    if len(pattern.name) > NAME_LENGTH_MAX or len(pattern.sku) > SKU_LENGTH_MAX:
        raise OptionsWrong(
            f"A pattern has at most {NAME_LENGTH_MAX} letters for names, and {SKU_LENGTH_MAX} for "
            "SKUs."
        )
    named = [
        (each, written(pattern.name, each), tidied(written(pattern.sku, each))) for each in wanted
    ]
    skus = [sku for _, _, sku in named]
    there = Product.objects.kept().filter(sku__in=skus)
    by_sku = dict(there.values_list("sku", "name"))
    alike = codes.taken({*skus} - by_sku.keys())
    seen = [_read_alike(sku) for sku in skus]
    return [
        Planned(each, name, sku, _fault(name, sku, seen, by_sku, alike))
        for each, name, sku in named
    ]


def _read_alike(sku: str) -> str:
    return " ".join(sku.split()).upper()


def _fault(
    name: str, sku: str, seen: Sequence[str], by_sku: Mapping[str, str], alike: Collection[str]
) -> str:
    if not name or len(name) > NAME_LENGTH_MAX:
        return f"The name needs 1 to {NAME_LENGTH_MAX} letters."
    if not sku or len(sku) > SKU_LENGTH_MAX:
        return f"The SKU needs 1 to {SKU_LENGTH_MAX} letters."
    if fault := fault_of(sku):
        return fault
    if seen.count(_read_alike(sku)) > 1:
        return "Several of these would have this SKU: name every option in its pattern."
    if sku in by_sku:
        return f"{by_sku[sku]} has this SKU."
    if sku in alike:
        return "Another product has a code that reads or scans like this SKU."
    return ""


def written(pattern: str, combination: Combination) -> str:
    """Write a pattern with the values of a combination. Raises: OptionsWrong."""
    values = {_folded(name): value for name, value in combination.items()}

    def value(named: re.Match[str]) -> str:
        if _folded(named[1]) not in values:
            raise OptionsWrong(
                f"There is no option {named[1].strip() or 'without a name'}: a pattern names "
                f"{' or '.join(f'{{{name}}}' for name in combination)}."
            )
        return values[_folded(named[1])]

    return re.sub(r"\{([^{}]*)\}", value, pattern)


def _word(typed: str) -> str:
    """Raises: OptionsWrong."""
    word = " ".join(tidied(typed).split())
    if not 0 < len(word) <= WORD_LENGTH_MAX:
        raise OptionsWrong(f"An option or a value has 1 to {WORD_LENGTH_MAX} letters.")
    if set("{},") & set(word):
        raise OptionsWrong(f'There can be no comma or brace in "{word}".')
    if fault := fault_of(word):
        raise OptionsWrong(fault)
    return word


def _differing(words: Any) -> list[str]:
    """Raises: OptionsWrong."""
    read: dict[str, str] = {}
    for word in words:
        if _folded(word) in read:
            raise OptionsWrong(f'"{word}" is there twice.')
        read[_folded(word)] = word
    return list(read.values())


def _folded(word: str) -> str:
    return " ".join(word.split()).casefold()


# Parents and their variants.


@in_transaction
def create(
    name: str,
    given: Sequence[Option],
    pattern: Pattern,
    shared: Shared,
    *,
    actor: Actor,
    left_out: Collection[int] = (),
    parent_id: uuid.UUID | None = None,
    key: Key | None = None,
) -> Parent:
    """Make a parent with all its combinations, but those at the places that are left out.

    All of them or nothing. Locks the tree, shared, if they are put into categories.
    Raises: VariantsNotPossible, OptionsWrong; CurrencyUnknown, CategoryNotFound.
    """
    parent = Parent(id=parent_id or uuid7(), name=name)
    claim(key, parent.pk)
    if shared.category_ids:
        Category.objects.lock_tree(shared=True)
    parent.created_at = parent.updated_at = clock.now()
    parent.name_pattern, parent.sku_pattern = pattern.name, pattern.sku
    parent.options = _kept(given)
    every = enumerate(combinations(given))
    planned = _possible(pattern, [each for place, each in every if place not in {*left_out}])
    parent.save(force_insert=True)
    changes.created(actor, parent, _state(parent))
    _make(parent, planned, shared, actor)
    return parent


@in_transaction
def add_value(
    parent_id: uuid.UUID,
    option: str,
    value: str,
    pattern: Pattern,
    shared: Shared,
    *,
    actor: Actor,
    key: Key | None = None,
) -> int:
    """Give an option another value, make the combinations with it, and return how many.

    Locks the tree, shared, if they are put into categories, then the parent.
    Raises: ParentNotFound, OptionsWrong, VariantsNotPossible; CurrencyUnknown, CategoryNotFound.
    """
    claim(key, parent_id)
    if shared.category_ids:
        Category.objects.lock_tree(shared=True)
    parent = lock(parent_id)
    with changes.recorded(actor, parent, state=lambda: _state(parent)):
        after = with_value(parent, option, value)
        planned = _possible(pattern, new_combinations(after, option, value))
        parent.options = _kept(after)
        parent.name_pattern, parent.sku_pattern = pattern.name, pattern.sku
        parent.updated_at = clock.now()
        parent.save(update_fields=["options", "name_pattern", "sku_pattern", "updated_at"])
    _make(parent, planned, shared, actor)
    return len(planned)


def with_value(parent: Parent, option: str, value: str) -> list[Option]:
    """Return the options that a parent has with another value. Raises: OptionsWrong."""
    if option not in {each.name for each in options_of(parent)}:
        raise OptionsWrong("The parent has no such option.")
    return options(
        [
            (each.name, [*each.values, value] if each.name == option else each.values)
            for each in options_of(parent)
        ]
    )


def new_combinations(after: Sequence[Option], option: str, value: str) -> list[Combination]:
    return [each for each in combinations(after) if each[option] == _word(value)]


@in_transaction
def rename(
    parent_id: uuid.UUID,
    name: str,
    *,
    actor: Actor,
    seen: Mapping[str, Any] | None = None,
    key: Key | None = None,
) -> None:
    """Name a parent anew; its variants keep their names. Raises: ParentNotFound, Moved."""
    claim(key, parent_id)
    parent = lock(parent_id)
    require_as_seen(seen, lambda: {field: getattr(parent, field) for field in seen or {}})
    with changes.recorded(actor, parent, state=lambda: _state(parent)):
        parent.name, parent.updated_at = name, clock.now()
        parent.save(update_fields=["name", "updated_at"])


@in_transaction
def put_in(
    parent_id: uuid.UUID,
    product_id: uuid.UUID,
    combination: Combination,
    *,
    actor: Actor,
    key: Key | None = None,
) -> Product:
    """Make a product that is there a variant of a parent. Locks the parent, then the product.

    Raises: ParentNotFound, ProductNotFound, OptionsWrong; VariantElsewhere, VariantTaken.
    """
    claim(key, product_id)
    parent = lock(parent_id)
    if dict(combination) not in combinations(options_of(parent)):
        raise OptionsWrong("Choose a value of each option that the parent has.")
    product = _lock_product(product_id)
    if product.parent_id not in {None, parent_id}:
        raise VariantElsewhere
    _set(product, parent, combination, actor)
    return product


@in_transaction
def take_out(
    parent_id: uuid.UUID, product_id: uuid.UUID, *, actor: Actor, key: Key | None = None
) -> Product:
    """Make a variant a product of its own. Raises: ParentNotFound, ProductNotFound."""
    claim(key, product_id)
    lock(parent_id)
    product = _lock_product(product_id, Q(parent=parent_id))
    _set(product, None, {}, actor)
    return product


@in_transaction
def delete(parent_id: uuid.UUID, *, actor: Actor, key: Key | None = None) -> None:
    """Delete a parent without variants. Archived ones lose it.

    Raises: ParentNotFound, ParentInUse.
    """
    claim(key, parent_id)
    parent = lock(parent_id)
    variants = parent.variants.order_by("pk").select_for_update(no_key=True)
    archived = list(variants)
    if any(product.archived_at is None for product in archived):
        raise ParentInUse
    for product in archived:
        _set(product, None, {}, actor)
    gone: tuple[Parent, changes.State, changes.State] = (parent, _state(parent), {})
    changes.record(changes.entries(actor, Change.What.DELETED, [gone]))
    parent.delete()


def lock(parent_id: uuid.UUID) -> Parent:
    """Raises: ParentNotFound."""
    parent = Parent.objects.lock(parent_id)
    if parent is None:
        raise ParentNotFound
    return parent


def _lock_product(product_id: uuid.UUID, condition: Q | None = None) -> Product:
    kept = Product.objects.kept().filter(condition or Q(), pk=product_id)
    product = kept.select_for_update(no_key=True).first()
    if product is None:
        raise ProductNotFound
    return product


def _set(product: Product, parent: Parent | None, combination: Combination, actor: Actor) -> None:
    with changes.recorded(actor, product, state=lambda: _state_of_variant(product)):
        product.parent, product.options = parent, dict(combination)
        product.updated_at = clock.now()
        product.save(update_fields=["parent", "options", "updated_at"])


def _kept(given: Sequence[Option]) -> list[dict[str, Any]]:
    return [{"name": option.name, "values": [*option.values]} for option in given]


def _make(parent: Parent, planned: Sequence[Planned], shared: Shared, actor: Actor) -> None:
    """Raises: VariantsNotPossible, CurrencyUnknown, CategoryNotFound."""
    known = paths() if shared.category_ids else {}
    if not known.keys() >= {*shared.category_ids}:
        raise CategoryNotFound
    category_ids = {known[category_id]: category_id for category_id in shared.category_ids}
    now = clock.now()
    wholes = [_whole(parent, each, shared, text_of(category_ids), now) for each in planned]
    refused = product_rows.insert(wholes, category_ids=category_ids, actor=actor)
    if refused:
        # Somebody was faster than the look at what there is.
        raise VariantsNotPossible(str(next(iter(refused.values()))))
    if shared.initial_stock:
        quantities = {whole.product.pk: shared.initial_stock for whole in wholes}
        stocks, cause = Stock.objects.lock(quantities), Cause(actor, INITIAL_STOCK)
        # There is no moment at which there were the products, and not their units yet.
        move(stocks, [Action.INCREMENT], quantities, cause, by_order=BY_HAND, effective_at=now)


def _whole(parent: Parent, each: Planned, shared: Shared, in_text: str, now: datetime) -> Whole:
    product = Product(
        name=each.name,
        sku=each.sku,
        status=shared.status,
        parent=parent,
        options=dict(each.options),
        created_at=now,
        updated_at=now,
    )
    prices = {
        price.currency: Price(
            product=product,
            currency=currencies.named(price.currency),
            amount=price.amount,
            includes_tax=price.includes_tax,
        )
        for price in shared.prices
    }
    touched = {"categories", *(f"{PRICE}{code}" for code in prices)}
    return Whole(product, prices, shared.manage_stock, in_text, touched=touched)


def _possible(pattern: Pattern, wanted: Sequence[Combination]) -> list[Planned]:
    """Raises: VariantsNotPossible, OptionsWrong."""
    planned = plan(pattern, wanted)
    refused = [f"{each.sku or each.name}: {each.error}" for each in planned if each.error]
    if refused:
        more = len(refused) - REFUSED_SHOWN
        told = [*refused[:REFUSED_SHOWN], *([f"And {more} more."] if more > 0 else [])]
        raise VariantsNotPossible(" ".join(told))
    return planned


def _state(parent: Parent) -> changes.State:
    return {
        "name": parent.name,
        "options": "; ".join(map(str, options_of(parent))),
        "name_pattern": parent.name_pattern,
        "sku_pattern": parent.sku_pattern,
    }


def _state_of_variant(product: Product) -> changes.State:
    parent = product.parent
    return {"parent": parent and parent.name, "options": product.variant}
