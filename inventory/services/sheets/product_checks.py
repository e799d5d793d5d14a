"""What a line about a product would do, and what speaks against it.

The same is asked twice: when a sheet is checked, for people to read, and again under the locks of
what is changed, since all of it may have changed meanwhile.
"""

import uuid
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.db import connection
from django.db.models import Count, Q

from api.codes import tidied
from inventory.errors import UnitsAllocated, listed
from inventory.models import Picture, Product, ProductLine, Sheet, Stock
from inventory.services import codes, currencies, pictures, product_rows
from inventory.services.category_tree import LEVEL, Tree, compared, joined, text_of
from inventory.services.codes import Spelled
from inventory.services.product_rows import ARCHIVED, PRICE, Whole, paths_in
from inventory.services.sheets import product_lines
from inventory.services.sheets.cells import Wrong
from inventory.services.sheets.price_sums import price_sums
from inventory.services.sheets.product_lines import INITIAL_STOCK, Said, words_of

What = ProductLine.What
# A field of a line that is no field of a product: the units that are written off with it.
STOCK = "stock"
ERROR_LENGTH, MARK_LENGTH = 500, 200
SKU_LENGTH = 100


class Places:
    """The categories as they are, by their paths."""

    def __init__(self, tree: Tree) -> None:
        self.tree = tree
        self._by_names = tree.by_names()

    def as_there(self, text: str) -> str:
        """Write a product's categories as the tree has them, as far as it does."""
        return text_of(self._path_as_there(path) for path in paths_in(text))

    def missing(self, text: str) -> list[str]:
        """Return the paths of which there is no category."""
        return [path for path in paths_in(text) if _names(path) not in self._by_names]

    def ids(self) -> dict[str, uuid.UUID]:
        return {self.tree.path(category_id): category_id for category_id in self.tree.by_id}

    def _path_as_there(self, path: str) -> str:
        names = _names(path)
        for levels in range(len(names), 0, -1):
            if category_id := self._by_names.get(names[:levels]):
                return joined([self.tree.path(category_id), *_split(path)[levels:]])
        return path


def _names(path: str) -> tuple[str, ...]:
    return tuple(compared(name) for name in path.split(LEVEL))


def _split(path: str) -> list[str]:
    return [name.strip() for name in path.split(LEVEL)]


@dataclass
class Around:
    """What of the store bears on a batch of lines, beside the products that they change."""

    places: Places | None = None
    # Pictures by the names that lines call them by.
    pictures: Mapping[str, Picture] = field(default_factory=dict)
    # Who has a slug that a line wants.
    slugs: Mapping[str, uuid.UUID] = field(default_factory=dict)
    # Which slugs products of the batch get that are there already.
    slugs_wanted: Collection[str] = ()
    # Kept products that stand in the way of those that are to come back; and these, once they have.
    in_the_way: list[Product] = field(default_factory=list)
    stocks: Mapping[uuid.UUID, Stock] = field(default_factory=dict)
    # Who has a code that reads like one that is new.
    alike: Mapping[str, Sequence[Spelled]] = field(default_factory=dict)
    # By new skus that are numbers, the skus that have zeros before them.
    with_zeros: Mapping[str, str] = field(default_factory=dict)


def wanted_of(lines: Iterable[ProductLine], name: str) -> set[Any]:
    """Return every value that the lines want of a field."""
    return {line.wanted[name] for line in lines if line.wanted.get(name)}


def look_around(lines: Sequence[ProductLine], wholes: Mapping[uuid.UUID, Whole]) -> Around:
    """Read what the lines need to know, each kind of it at most once."""
    around = Around()
    if names := wanted_of(lines, "picture"):
        ids = pictures.named(names)
        found = Picture.objects.in_bulk(set(ids.values()))
        around.pictures = {name: found[pk] for name, pk in ids.items() if pk in found}
    around.slugs_wanted = slugs = wanted_of(lines, "slug")
    if slugs:
        having = Product.objects.kept().filter(slug__in=slugs)
        around.slugs = dict(having.values_list("slug", "pk"))
    coming_back = [
        whole.product
        for line in lines
        if (whole := whole_of(line, wholes)) and is_coming_back(line, whole)
    ]
    if coming_back:
        around.in_the_way = list(
            Product.objects.kept().filter(
                Q(sku__in=[each.sku for each in coming_back])
                | Q(slug__in=[each.slug for each in coming_back])
                | Q(parent_id__in={each.parent_id for each in coming_back if each.parent_id})
            )
        )
    return around


def whole_of(line: ProductLine, wholes: Mapping[uuid.UUID, Whole]) -> Whole | None:
    return wholes.get(line.product_id) if line.product_id else None


def is_coming_back(line: ProductLine, whole: Whole) -> bool:
    status = line.wanted.get("status", ARCHIVED)
    return whole.product.archived_at is not None and status != ARCHIVED


def takes_stock(line: ProductLine, whole: Whole) -> bool:
    """Tell whether the line ends the managing of stock that is managed."""
    wanted = line.wanted
    ends = wanted.get("manage_stock") is False or wanted.get("status") == ARCHIVED
    return ends and whole.managed


# Checking.


def check(sheet: Sheet, lines: Sequence[ProductLine]) -> None:
    """Say of each line what applying would do. Nothing is locked."""
    said = {line.number: _said(sheet, line) for line in lines}
    if sheet.source == Sheet.Source.FILE:
        _find_products(lines, said)
    ids = {line.product_id for line in lines if line.product_id}
    with_pictures = "image" in sheet.columns or bool(wanted_of(lines, "picture"))
    products = list(Product.objects.filter(pk__in=ids))
    wholes = product_rows.read(products, with_pictures=with_pictures)
    for line in lines:
        whole = whole_of(line, wholes)
        _read(line, said[line.number], whole, decimal_comma=sheet.decimal_comma)
    around = look_around(lines, wholes)
    _look_further(around, lines, wholes)
    for line in lines:
        _decide(line, whole_of(line, wholes), around)


def _said(sheet: Sheet, line: ProductLine) -> Said:
    """Begin a line anew: it may have been checked before, by other columns."""
    line.what, line.fields, line.mark = "", [], ""
    if sheet.source != Sheet.Source.FILE:
        # Its lines were made with what they want, or with why they want nothing.
        return Said(line.sku, {}, line.error)
    said = product_lines.said(sheet, line)
    line.product_id, line.wanted = None, {}
    line.sku, line.error = tidied(said.sku)[:SKU_LENGTH], said.error
    return said


def _find_products(lines: Sequence[ProductLine], said: Mapping[int, Said]) -> None:
    skus = {said[line.number].sku for line in lines if not line.error}
    ids = codes.ids_by_sku(skus)
    for line in lines:
        line.product_id = None if line.error else ids.get(said[line.number].sku)


def _read(
    line: ProductLine, said: Said, whole: Whole | None, *, decimal_comma: bool | None
) -> None:
    """Read what is wanted out of the cells that say something else than there is."""
    if line.error:
        return
    errors = []
    for column, text in said.cells.items():
        if whole and product_lines.says_the_same(whole, column, text):
            continue
        try:
            name, value = product_lines.value_of(column, text, decimal_comma=decimal_comma)
        except Wrong as wrong:
            errors.append(f"{column}: {wrong}")
        else:
            # A new product has nothing that could be taken away.
            if whole or value not in (None, ""):
                line.wanted[name] = value
    if whole is None:
        errors += _faults_of_new(line, said)
    refuse(line, errors)


def _faults_of_new(line: ProductLine, said: Said) -> list[str]:
    errors = []
    try:
        line.sku = product_lines.code_of(said.sku, "sku", SKU_LENGTH)
    except Wrong as wrong:
        errors.append(f"sku: {wrong}")
    if "name" not in said.cells:
        errors.append("No product has this sku, and a new one needs a name.")
    if line.wanted.get("status") == ARCHIVED:
        errors.append("status: a new product cannot be archived.")
    line.wanted.setdefault("status", Product.Status.LIVE.value)
    if not line.wanted.setdefault("manage_stock", True) and line.wanted.get(INITIAL_STOCK):
        errors.append(f"{INITIAL_STOCK}: only managed stock can start with units.")
    return errors


def _look_further(
    around: Around, lines: Sequence[ProductLine], wholes: Mapping[uuid.UUID, Whole]
) -> None:
    """Read what only people are told of."""
    if wanted_of(lines, "categories"):
        around.places = Places(Tree())
    new_skus = {line.sku for line in lines if not line.error and not line.product_id}
    around.with_zeros = codes.with_zeros(new_skus)
    new_codes = wanted_of(lines, "barcode") | new_skus
    around.alike = codes.alike(new_codes) if new_codes else {}
    ending = [
        whole.product.pk
        for line in lines
        if (whole := whole_of(line, wholes)) and takes_stock(line, whole)
    ]
    if ending:
        stocks = Stock.objects.filter(product__in=ending)
        around.stocks = {stock.product_id: stock for stock in stocks}


def _decide(line: ProductLine, whole: Whole | None, around: Around) -> None:
    """Set what the line does, field by field; or why it does nothing."""
    if line.error:
        return
    if around.places and line.wanted.get("categories"):
        line.wanted["categories"] = around.places.as_there(line.wanted["categories"])
    if picture := around.pictures.get(line.wanted.get("picture", "")):
        line.wanted["picture"] = picture.name
        around.pictures = {**around.pictures, picture.name: picture}
    if whole is None:
        line.what = What.CREATE
        line.fields = [_field(name, None, value) for name, value in line.wanted.items()]
    else:
        line.fields = _differences(line, whole, around)
        line.what = What.CHANGE if line.fields else What.LEAVE
    for told in line.fields:
        if told["field"] == "categories" and around.places:
            told["makes"] = around.places.missing(told["after"])
    errors = faults(line, whole, around) if line.fields or INITIAL_STOCK in line.wanted else []
    if whole and (others := _others_with(line.wanted.get("barcode"), whole, around)):
        # The zeros of the sku may have been lost: then another product is meant.
        errors.append(
            f"barcode: it is the code of {_named(others)}, and the sku of {whole.product}."
        )
    refuse(line, errors)
    if not errors:
        line.mark = " ".join(_marks(line, whole, around))[:MARK_LENGTH]


def _field(name: str, before: Any, after: Any) -> dict[str, Any]:
    told = {"field": name, "before": before, "after": after}
    by_code = currencies.by_code()
    if codes_named := [code for value in (before, after) if (code := _currency_of(name, value))]:
        # An amount means nothing without them.
        told["digits"] = {code: by_code[code].decimal_places for code in codes_named}
    return told


def _currency_of(name: str, value: Any) -> str:
    """Return the code of the currency in which a field's value is; "" if it is no money."""
    if value is None:
        return ""
    return str(value[1]) if name == "cost" else name.removeprefix(PRICE) * name.startswith(PRICE)


def _differences(line: ProductLine, whole: Whole, around: Around) -> list[dict[str, Any]]:
    found = [
        _field(name, whole.value(name), value)
        for name, value in line.wanted.items()
        if name != INITIAL_STOCK and whole.value(name) != value
    ]
    if not takes_stock(line, whole):
        return found
    if "manage_stock" not in line.wanted:
        found.append(_field("manage_stock", True, False))
    stock = around.stocks.get(whole.product.pk)
    if stock and stock.available:
        found.append(_field(STOCK, stock.available, 0))
    return found


def faults(line: ProductLine, whole: Whole | None, around: Around) -> list[str]:
    """Say why a line cannot be applied, by what is known around it."""
    wanted, found = line.wanted, []
    for told in line.fields:
        code = _currency_of(told["field"], told["after"])
        fault = fault_of_money(told, told["after"])
        if not fault and code and not currencies.by_code()[code].enabled:
            fault = f"{code} is not enabled any more."
        if fault:
            found.append(f"{words_of(told['field'])}: {fault}")
    owner = around.slugs.get(wanted.get("slug", ""))
    if owner and (whole is None or owner != whole.product.pk):
        found.append("slug: another product has it.")
    if name := wanted.get("picture"):
        own = whole.pictures if whole else []
        if not any(picture.name == name for picture in own):
            if name not in around.pictures:
                found.append("image: no picture of this name was uploaded.")
            elif len(own) >= pictures.PICTURES_MAX:
                found.append(f"image: a product has at most {pictures.PICTURES_MAX} pictures.")
    if whole is None:
        return found
    if wanted.get("image_url") == "" and whole.pictures and "picture" not in wanted:
        found.append("image: an uploaded picture is taken away on the product's own page.")
    if wanted.get(INITIAL_STOCK) is not None:
        found.append(
            f"{INITIAL_STOCK}: this product is there already. How much there is of it is told by "
            "a file of counts."
        )
    found += _faults_of_status(line, whole, around)
    return found


def fault_of_money(told: Mapping[str, Any], value: Any) -> str:
    """Say why a field cannot have an amount of money that it was to have; "" if it can."""
    code = _currency_of(told["field"], value)
    if not code:
        return ""
    currency = currencies.by_code()[code]
    if currency._state.adding:
        return f"there is no currency {code} any more."
    if currency.decimal_places != told["digits"][code]:
        return f"{code} has more or fewer digits after the decimal point by now."
    return ""


def _faults_of_status(line: ProductLine, whole: Whole, around: Around) -> list[str]:
    wanted, product = line.wanted, whole.product
    if wanted.get("status") == ARCHIVED and wanted.get("manage_stock"):
        return ["manage_stock: an archived product has no stock."]
    if product.archived_at and not is_coming_back(line, whole):
        return ["This product is archived."]
    if product.archived_at:
        return faults_of_coming_back(product, around.in_the_way)
    stock = around.stocks.get(product.pk)
    if takes_stock(line, whole) and stock and stock.allocated:
        return [str(UnitsAllocated())]
    return []


def faults_of_coming_back(product: Product, in_the_way: Iterable[Product]) -> list[str]:
    """Name whoever has the sku or slug of a product by now, or is the same variant."""
    for other in in_the_way:
        for name in ("sku", "slug"):
            if getattr(other, name) == getattr(product, name):
                return [f"{other} has its {name} by now."]
        is_sibling = product.parent_id and other.parent_id == product.parent_id
        if is_sibling and other.options == product.options:
            return [f"{other} is the same variant."]
    return []


def refuse(line: ProductLine, errors: Collection[str]) -> None:
    if errors:
        line.error = " ".join(errors)[:ERROR_LENGTH]
        line.what = ""


# What looks like a mistake.


def _marks(line: ProductLine, whole: Whole | None, around: Around) -> list[str]:
    marks = []
    for told in line.fields:
        name, before, after = told["field"], told["before"], told["after"]
        if name.startswith(PRICE) and is_great(before, after):
            currency = currencies.by_code()[name.removeprefix(PRICE)]
            was, new = currency.formatted(before), currency.formatted(after)
            marks.append(f"The price goes from {was} to {new}.")
        if name == STOCK:
            marks.append(f"{before:,} unit{'s are' if before != 1 else ' is'} written off.")
    if whole is None and not any(name.startswith(PRICE) for name in line.wanted):
        marks.append("It has no price, so nobody can buy it.")
    if whole is None and line.sku in around.with_zeros:
        meant = around.with_zeros[line.sku]
        marks.append(f"There is a product {meant}: has a spreadsheet taken the zeros away?")
    for code in (line.sku, line.wanted.get("barcode")) if whole is None else ():
        if others := _others_with(code, whole, around):
            marks.append(f"To people and scanners {code} is the code of {_named(others)}, too.")
    return marks


def _others_with(code: str | None, whole: Whole | None, around: Around) -> list[Spelled]:
    """Return the products, but the line's own, that have a code which reads or scans the same."""
    own = whole.product.pk if whole else None
    return [each for each in around.alike.get(code or "", ()) if each.id != own]


def _named(products: Iterable[Spelled]) -> str:
    return listed([f"{each.name} ({each.sku})" for each in products])


def is_great(before: int | None, after: int | None) -> bool:
    """Tell whether a price goes up or down by more than half: a digit was lost, perhaps."""
    if not before or after is None:
        return False
    return 2 * after < before or 2 * after > 3 * before


# What is known when all lines have been checked.


def finish_checking(sheet: Sheet) -> None:
    """Refuse and mark what several lines say together, and add all up again."""
    for statement, words in _REFUSED_TOGETHER.items():
        _tell(_REFUSE, sheet, _together(statement, words, sheet))
    for statement, words in _MARKED_TOGETHER.items():
        _tell(_MARK, sheet, _together(statement, words, sheet))
    _mark_new_categories(sheet)
    _add_up_again(sheet)
    sheet.price_sums = price_sums(sheet)


def _together(statement: str, words: str, sheet: Sheet) -> list[tuple[int, str]]:
    """Find the lines that say the same, and tell each of them which they are."""
    with connection.cursor() as cursor:
        cursor.execute(statement, [sheet.pk])
        groups = [numbers for (numbers,) in cursor.fetchall()]
    told = [(numbers, listed([f"{number:,}" for number in numbers])) for numbers in groups]
    return [(number, words.format(named)) for numbers, named in told for number in numbers]


def _tell(statement: str, sheet: Sheet, told: Sequence[tuple[int, str]]) -> None:
    words: dict[int, str] = {}
    for number, more in told:
        words[number] = f"{words[number]} {more}" if number in words else more
    if words:
        with connection.cursor() as cursor:
            cursor.execute(statement, [list(words), list(words.values()), sheet.pk])


_OF_SHEET = "FROM inventory_productline WHERE sheet_id = %s"
_NUMBERS = "SELECT array_agg(number ORDER BY number)"
_REFUSED_TOGETHER = {
    f"{_NUMBERS} {_OF_SHEET} AND sku <> '' GROUP BY sku HAVING count(*) > 1": (
        "Lines {} have this sku: write all of it into one line."
    ),
    f"{_NUMBERS} {_OF_SHEET} AND error = '' AND jsonb_exists(wanted, 'slug') "
    "GROUP BY wanted->>'slug' HAVING count(*) > 1": "Lines {} want the same slug.",
}
_MARKED_TOGETHER = {
    f"{_NUMBERS} {_OF_SHEET} AND error = '' AND what = 'create' "
    "GROUP BY upper(sku) HAVING count(*) > 1": "To people, lines {} have the same sku.",
    f"{_NUMBERS} {_OF_SHEET} AND error = '' AND wanted->>'barcode' <> '' "
    "GROUP BY upper(wanted->>'barcode') HAVING count(*) > 1": "Lines {} have the same barcode.",
}
_REFUSE = """
UPDATE inventory_productline AS line SET error = told.words, what = ''
FROM unnest(%s::int[], %s::text[]) AS told (number, words)
WHERE line.sheet_id = %s AND line.number = told.number AND line.error = ''
"""
_MARK = """
UPDATE inventory_productline AS line SET mark = left(concat_ws(' ', nullif(mark, ''), words), 200)
FROM unnest(%s::int[], %s::text[]) AS told (number, words)
WHERE line.sheet_id = %s AND line.number = told.number
"""


def _mark_new_categories(sheet: Sheet) -> None:
    """Mark the first line of each category that applying makes: a name may be misspelled."""
    with connection.cursor() as cursor:
        cursor.execute(_FIRST_IN_CATEGORIES, [sheet.pk])
        first = dict(cursor.fetchall())
    places = Places(Tree()) if first else None
    new = [path for path in first if places and places.missing(path)]
    _tell(_MARK, sheet, [(first[path], f"Makes the category {path}.") for path in new])


_FIRST_IN_CATEGORIES = f"""
SELECT path, min(number) FROM (
    SELECT number, btrim(regexp_split_to_table(wanted->>'categories', ';')) AS path
    {_OF_SHEET} AND error = '' AND wanted->>'categories' <> ''
) AS placed GROUP BY path
"""  # noqa: S608 - nothing in it is anybody's


def _add_up_again(sheet: Sheet) -> None:
    good = Q(error="")
    sums = sheet.lines.aggregate(
        changed=Count("pk", filter=good & ~Q(what=What.LEAVE)),
        unchanged=Count("pk", filter=good & Q(what=What.LEAVE)),
        refused=Count("pk", filter=~good),
        marked=Count("pk", filter=good & ~Q(mark="")),
    )
    for name, value in sums.items():
        setattr(sheet, name, value)
