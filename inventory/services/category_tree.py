"""The tree of categories as it is, and how its paths are written: Clothes > Shirts."""

import uuid
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator

from api.codes import fault_of, tidied
from inventory.errors import (
    CategoryNameWrong,
    CategoryNotFound,
    CategoryTaken,
    TooManyCategoriesOfProduct,
    TooManyLevels,
)
from inventory.models import Category

# Between the levels of a path, and between the paths of a product.
LEVEL, OTHER = ">", ";"
LEVELS_MAX = 5
A_PRODUCT_MAX = 20
NAME_LENGTH_MAX = 100

# A path as it is compared: in any case.
Names = tuple[str, ...]


class Tree:
    """All categories as they are, read with one query. Siblings stand in their order."""

    def __init__(self) -> None:
        self.by_id: dict[uuid.UUID, Category] = {}
        self.children: dict[uuid.UUID | None, list[Category]] = defaultdict(list)
        self.slugs: dict[str, uuid.UUID] = {}
        # Made when somebody asks for them.
        self._paths: dict[uuid.UUID, str] = {}
        self._places: dict[uuid.UUID | None, dict[uuid.UUID, int]] = {}
        for category in Category.objects.order_by("position", "name", "pk"):
            self.add(category)

    def add(self, category: Category) -> None:
        self.by_id[category.pk] = category
        self.children[category.parent_id].append(category)
        self.slugs[category.slug] = category.pk
        self._places.pop(category.parent_id, None)

    def get(self, category_id: uuid.UUID) -> Category:
        """Raises: CategoryNotFound."""
        if category_id not in self.by_id:
            raise CategoryNotFound
        return self.by_id[category_id]

    def walk(
        self, below: uuid.UUID | None = None, level: int = 1
    ) -> Iterator[tuple[Category, int]]:
        """Go through the tree from above, each category before those below it, with its level."""
        for category in self.children.get(below, ()):
            yield category, level
            yield from self.walk(category.pk, level + 1)

    def below(self, category_ids: Collection[uuid.UUID]) -> set[uuid.UUID]:
        """Return these categories, and all that are below one of them."""
        found = {each for each in category_ids if each in self.by_id}
        for each in tuple(found):
            found.update(category.pk for category, _ in self.walk(each))
        return found

    def above(self, category_id: uuid.UUID | None) -> list[Category]:
        """Return a category and those above it, from the top."""
        found: list[Category] = []
        while category_id is not None:
            found.append(self.by_id[category_id])
            category_id = found[-1].parent_id
        return found[::-1]

    def path(self, category_id: uuid.UUID | None) -> str:
        if category_id is None:
            return ""
        if category_id not in self._paths:
            category = self.by_id[category_id]
            above = [self.path(category.parent_id)] if category.parent_id else []
            self._paths[category_id] = joined([*above, category.name])
        return self._paths[category_id]

    def text(self, category_ids: Collection[uuid.UUID]) -> str:
        return text_of(self.path(each) for each in category_ids)

    def place(self, category: Category) -> int:
        """Return where it stands among its siblings, from 1."""
        if category.parent_id not in self._places:
            siblings = enumerate(self.children[category.parent_id], start=1)
            self._places[category.parent_id] = {each.pk: place for place, each in siblings}
        return self._places[category.parent_id][category.pk]

    def require_free(self, category: Category) -> None:
        """Let a path name one category alone. Raises: CategoryTaken."""
        for each in self.children.get(category.parent_id, ()):
            if each.pk != category.pk and compared(each.name) == compared(category.name):
                raise CategoryTaken

    def by_names(self) -> dict[Names, uuid.UUID]:
        return {tuple(compared(each.name) for each in self.above(pk)): pk for pk in self.by_id}


def paths() -> dict[uuid.UUID, str]:
    """Return the path of every category, in the order of the tree; one query."""
    tree = Tree()
    return {category.pk: tree.path(category.pk) for category, _ in tree.walk()}


def below(category_ids: Collection[uuid.UUID]) -> set[uuid.UUID]:
    """Return these categories, and all that are below one of them; one query."""
    return Tree().below(category_ids)


def find(written: Collection[str]) -> dict[str, uuid.UUID]:
    """Find the categories of these paths, in any case; those that are none are left out."""
    by_names = Tree().by_names()
    names = {path: tuple(compared(name) for name in path.split(LEVEL)) for path in written}
    return {path: by_names[each] for path, each in names.items() if each in by_names}


def read(cell: str) -> list[str]:
    """Read the paths that somebody wrote into one cell: "Clothes > Shirts; Sale".

    Raises: CategoryNameWrong, TooManyLevels, TooManyCategoriesOfProduct.
    """
    written = [split(path) for path in cell.split(OTHER) if tidied(path)]
    found = {tuple(map(compared, names)): joined(names) for names in written}
    if len(found) > A_PRODUCT_MAX:
        raise TooManyCategoriesOfProduct
    return list(found.values())


def named(name: str) -> str:
    """Return a category's name as it is kept. Raises: CategoryNameWrong."""
    kept = " ".join(tidied(name).split())
    if not kept:
        raise CategoryNameWrong("A category needs a name.")
    if len(kept) > NAME_LENGTH_MAX:
        raise CategoryNameWrong(f"A category's name has at most {NAME_LENGTH_MAX} letters.")
    if LEVEL in kept or OTHER in kept:
        raise CategoryNameWrong(
            f'There can be no "{LEVEL}" or "{OTHER}" in a name: they stand between categories.'
        )
    if fault := fault_of(kept):
        raise CategoryNameWrong(fault)
    return kept


def split(path: str) -> list[str]:
    """Raises: CategoryNameWrong, TooManyLevels."""
    names = [named(name) for name in path.split(LEVEL)]
    if len(names) > LEVELS_MAX:
        raise TooManyLevels
    return names


def compared(name: str) -> str:
    """Write it as names are compared: what PostgreSQL's upper() takes for the same is, here too."""
    return " ".join(tidied(name).split()).upper().casefold()


def joined(names: Iterable[str]) -> str:
    return f" {LEVEL} ".join(names)


def text_of(paths: Iterable[str]) -> str:
    return f"{OTHER} ".join(sorted(paths))
