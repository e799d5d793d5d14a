"""Two at once in the tree of categories, on real PostgreSQL; each beside its control."""

import threading
import uuid
from collections.abc import Sequence
from functools import partial

import pytest

from api.errors import Conflict
from api.models import Change
from inventory.errors import CategoryBelowItself, CategoryNotFound, CategoryTaken
from inventory.models import Category, CategoryQuerySet, Product
from inventory.services import categories
from inventory.services.category_tree import Tree
from tests.concurrency import PATIENCE_SECONDS, run_together
from tests.factories import MERCHANT, category, product

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.thorough]


def _without_the_lock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lock nothing, and let nobody go on before both have read the tree."""
    both_have_read = threading.Barrier(2, timeout=PATIENCE_SECONDS)
    thread, read = threading.local(), Tree.__init__

    def read_together(tree: Tree) -> None:
        read(tree)
        if not hasattr(thread, "has_read"):
            thread.has_read = True
            both_have_read.wait()

    monkeypatch.setattr(CategoryQuerySet, "lock_tree", lambda rows, *, shared=False: None)
    monkeypatch.setattr(Tree, "__init__", read_together)


def _read_who_is_in_it_together(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let nobody go on before both know in which categories the products are."""
    both_know, of = threading.Barrier(2, timeout=PATIENCE_SECONDS), categories.of

    def known_to_both(product_ids: Sequence[uuid.UUID]) -> dict[uuid.UUID, set[uuid.UUID]]:
        found = of(product_ids)
        both_know.wait()
        return found

    monkeypatch.setattr(categories, "of", known_to_both)


def _make_one_twice() -> list[object]:
    make = partial(categories.make, ["Clothes > Shirts"], actor=MERCHANT)
    return run_together(make, make)


def test_two_who_make_one_category_have_the_same():
    first, second = _make_one_twice()

    assert first == second
    assert Category.objects.count() == 2


def test_control_without_the_lock_one_of_them_is_refused(monkeypatch):
    _without_the_lock(monkeypatch)

    outcomes = _make_one_twice()

    assert CategoryTaken in map(type, outcomes)


def _move_each_below_the_other(one: Category, other: Category) -> list[object]:
    return run_together(
        partial(categories.update, one.pk, parent_id=other.pk, actor=MERCHANT),
        partial(categories.update, other.pk, parent_id=one.pk, actor=MERCHANT),
    )


def _are_in_a_circle() -> bool:
    return not Category.objects.filter(parent=None).exists()


def test_two_moves_make_no_circle():
    outcomes = _move_each_below_the_other(category("One"), category("Other"))

    assert {type(each) for each in outcomes} == {Category, CategoryBelowItself}
    assert not _are_in_a_circle()


def test_control_without_the_lock_each_is_below_the_other(monkeypatch):
    one, other = category("One"), category("Other")
    _without_the_lock(monkeypatch)
    # What became of it cannot be read any more.
    monkeypatch.setattr(categories, "_state", lambda category_id: {})

    _move_each_below_the_other(one, other)

    assert _are_in_a_circle()


def _put_in_and_delete(made: Product, sale: Category) -> list[object]:
    return run_together(
        partial(categories.change_for, [made.pk], add=[sale.pk], actor=MERCHANT),
        partial(categories.delete, sale.pk, actor=MERCHANT),
    )


def _is_out_of_it_unsaid(made: Product) -> bool:
    """Tell whether the last word on record is that the product is in it, which is gone."""
    last = Change.objects.filter(thing_id=str(made.pk)).order_by("pk").last()
    return bool(last and last.fields[-1]["after"] == "Sale")


def test_a_product_is_put_into_no_category_that_is_deleted():
    made = product()

    put_in, deleted = _put_in_and_delete(made, category("Sale"))

    assert deleted is None
    assert isinstance(put_in, categories.Assigned | CategoryNotFound)
    assert not _is_out_of_it_unsaid(made)


def test_control_without_the_lock_it_is_out_unsaid_or_somebody_meets_what_nobody_foresaw(
    monkeypatch,
):
    made, sale = product(), category("Sale")
    _without_the_lock(monkeypatch)
    _read_who_is_in_it_together(monkeypatch)

    outcomes = _put_in_and_delete(made, sale)

    assert Conflict in map(type, outcomes) or _is_out_of_it_unsaid(made)
