"""What the cells of a file of products say, and how the same is written into one.

An empty cell leaves what is there. What a product has already, written as an export writes it, is
no change, whatever it is.
"""

import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any, NamedTuple

from api.codes import fault_of, tidied
from api.errors import Refusal
from api.fields import AMOUNT_MAX, UNITS_MAX, storable
from inventory.models import PICTURE_NAME_LENGTH, Currency, Product, Sheet, SheetLine
from inventory.services import currencies
from inventory.services.category_tree import read as read_categories
from inventory.services.category_tree import text_of
from inventory.services.pictures import fault_of_address
from inventory.services.product_rows import ARCHIVED, PRICE, Whole
from inventory.services.sheets import cells
from inventory.services.sheets.cells import LENGTH_TOLD, Wrong
from inventory.services.sheets.kinds import Column

# What a cell says that takes away what is there.
CLEARED = "(empty)"
# A text that happens to be that word has as many apostrophes before it, and one more in a file.
_LIKE_CLEARED = re.compile(r"'*\(empty\)", re.IGNORECASE)
DESCRIPTION_LENGTH_MAX = 20_000
# Of a written amount: a longer one would be rounded.
_AMOUNT_LENGTH_MAX = 25
# The field of a line that is no field of a product.
INITIAL_STOCK = "initial_stock"
SKU = "sku"
_STATUSES = {
    "live": "live",
    "draft": "draft",
    ARCHIVED: ARCHIVED,
    # What other programs call them.
    "active": "live",
    "published": "live",
    "inactive": "draft",
    "unpublished": "draft",
}
_ANSWERS = {
    **dict.fromkeys(("yes", "true", "1", "y"), True),
    **dict.fromkeys(("no", "false", "0", "n"), False),
}
# How spreadsheets show, and save, long numbers in narrow cells.
_SHORTENED = re.compile(r"[0-9]([.,][0-9]+)?E\+[0-9]+")
_SCHEME = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]*:|/")


class Said(NamedTuple):
    """What a line says: its sku, and each other cell that is not empty, by its column."""

    sku: str
    cells: Mapping[str, str]
    error: str = ""


def columns() -> list[Column]:
    """Return what columns a file of products may have: a price in each enabled currency, too."""
    return [
        Column(SKU, "SKU", ("article", "artikelnummer", "item_number", "variant_sku"), True),
        Column("name", "Name", ("title", "product", "product_name", "bezeichnung")),
        Column("description", "Description", ("body", "body_html", "beschreibung")),
        Column("status", "Status", ("published",)),
        Column("barcode", "Barcode", ("ean", "gtin", "upc", "isbn", "variant_barcode")),
        *(_price_column(currency) for currency in _enabled()),
        Column("cost", "Cost", ("cost_price", "cost_per_item"), holds="money"),
        Column("threshold", "Low-stock threshold", ("low_stock",), holds="whole number"),
        Column("categories", "Categories", ("category", "collection", "kategorie")),
        Column("image", "Picture", ("image_url", "picture", "image_src")),
        Column("slug", "Slug", ("handle", "url_key")),
        Column("commodity_type", "Commodity type", ("type",)),
        Column("manage_stock", "Stock managed", ("track_stock",)),
        Column(INITIAL_STOCK, "Initial stock (new products)", ("stock",), holds="whole number"),
    ]


def _enabled() -> list[Currency]:
    enabled = [currency for currency in currencies.by_code().values() if currency.enabled]
    return sorted(enabled, key=lambda currency: (not currency.default, currency.code))


def _price_column(currency: Currency) -> Column:
    others = ("price", "variant_price", "preis") if currency.default else ()
    return Column(
        f"{PRICE}{currency.code.lower()}", f"Price ({currency.code})", others, holds="money"
    )


# Reading.


def said(sheet: Sheet, line: SheetLine) -> Said:
    """Take a line apart. What is wrong with its form stands in the error."""
    sku = ""
    if SKU in sheet.columns[: len(line.cells)]:
        # As it is: a product of former days may have signs around its own.
        sku = cells.text_of(line.cells[sheet.columns.index(SKU)])
    try:
        row = cells.by_name(sheet, line)
    except Wrong as wrong:
        return Said(sku, {}, str(wrong))
    texts = {name: text for name, cell in row.items() if name != SKU and (text := _plain(cell))}
    error = ""
    if not tidied(sku):
        error = "There is no sku."
    elif not all(storable(text) for text in (sku, *texts.values())):
        error = "There is a sign in it that cannot be kept."
    return Said(sku, texts, error)


def _plain(text: str) -> str:
    """Return a text as it is compared: programs end lines, and fill cells, in their own ways."""
    return text.replace("\r\n", "\n").replace("\r", "\n").strip()


def value_of(column: str, text: str, *, decimal_comma: bool | None) -> tuple[str, Any]:
    """Return the field that a cell is about, and the value that it is to have. Raises: Wrong."""
    is_cleared = text.lower() == CLEARED
    if column.startswith(PRICE):
        code = column.removeprefix(PRICE).upper()
        amount = None if is_cleared else _amount(text, code, decimal_comma=decimal_comma)
        return f"{PRICE}{code}", amount
    if column == "cost":
        return "cost", None if is_cleared else _cost(text, decimal_comma=decimal_comma)
    if is_cleared and column not in _MAY_BE_CLEARED:
        raise Wrong("It cannot be empty.")
    if is_cleared:
        field, nothing = _MAY_BE_CLEARED[column]
        return field, nothing
    if column in _WHOLE_NUMBERS:
        return _WHOLE_NUMBERS[column], _units(text, decimal_comma=decimal_comma)
    if _LIKE_CLEARED.fullmatch(text):
        text = text.removeprefix("'")
    return _READERS[column](text)


# Where it may be, the field of a column, and what stands for nothing there.
_MAY_BE_CLEARED: dict[str, tuple[str, Any]] = {
    "description": ("description", ""),
    "barcode": ("barcode", ""),
    "threshold": ("low_stock_threshold", None),
    "image": ("image_url", ""),
    "categories": ("categories", ""),
}


def _amount(text: str, code: str, *, decimal_comma: bool | None, may_be_told: bool = True) -> int:
    """Read money in major units as an amount of the smallest unit."""
    currency = currencies.by_code()[code]
    if not currency.enabled:
        raise Wrong(f"The currency {code} is not enabled.")
    if len(text) > _AMOUNT_LENGTH_MAX:
        raise Wrong("The amount is too large.")
    try:
        number = cells.number(text, decimal_comma=decimal_comma)
    except Wrong as wrong:
        what = wrong if may_be_told else "This is no amount."
        raise Wrong(f"{what} Write the amount alone, as in 1250.50.") from wrong
    amount = number.scaleb(currency.decimal_places)
    if amount < 0:
        raise Wrong("An amount cannot be negative.")
    if amount != amount.to_integral_value():
        digits = currency.decimal_places
        allowed = f"at most {digits} digit{'s' * (digits > 1)}" if digits else "no digits"
        told = f", not {text[:LENGTH_TOLD]}" if may_be_told else ""
        raise Wrong(f"{code} has {allowed} after the decimal point{told}.")
    if amount > AMOUNT_MAX:
        raise Wrong("The amount is too large.")
    return int(amount)


def _cost(text: str, *, decimal_comma: bool | None) -> list[Any]:
    """Read a cost, which may have the code of its currency behind it: 4.20 or 4.20 EUR."""
    before, _, code = text.rpartition(" ")
    if re.fullmatch(r"[A-Za-z]{3}", code) and before:
        text, code = before.strip(), code.upper()
    else:
        code = currencies.named("").code
    # Whoever sees an error may not see costs.
    return [_amount(text, code, decimal_comma=decimal_comma, may_be_told=False), code]


def _short(field: str, length: int) -> Callable[[str], tuple[str, Any]]:
    def read(text: str) -> tuple[str, Any]:
        if len(text) > length:
            raise Wrong(f"At most {length:,} letters, not {len(text):,}.")
        return field, text

    return read


def _barcode(text: str) -> tuple[str, Any]:
    return "barcode", code_of(text, "barcode", 64)


def code_of(text: str, name: str, length: int) -> str:
    """Return a new sku or barcode as it is kept. Raises: Wrong."""
    code = tidied(text)
    if not code:
        raise Wrong(f"There is nothing in the {name} that can be seen.")
    if fault := fault_of(code):
        raise Wrong(fault)
    if _SHORTENED.fullmatch(code):
        raise Wrong(
            f"A spreadsheet has shortened {code}. Have it show all digits there: format the column "
            "as text or as a number without a fraction, and save the file again."
        )
    if len(code) > length:
        raise Wrong(f"A {name} has at most {length} letters.")
    return code


def _status(text: str) -> tuple[str, Any]:
    status = _STATUSES.get(text.lower())
    if status is None:
        raise Wrong(f'"{text[:LENGTH_TOLD]}" is none of live, draft and archived.')
    return "status", status


def _slug(text: str) -> tuple[str, Any]:
    if not re.fullmatch(r"[-a-zA-Z0-9_]+", text):
        raise Wrong("A slug has letters, digits, - and _ only.")
    return _short("slug", 200)(text)


def _commodity_type(text: str) -> tuple[str, Any]:
    if text.lower() not in Product.CommodityType.values:
        raise Wrong(f'"{text[:LENGTH_TOLD]}" is neither physical nor digital.')
    return "commodity_type", text.lower()


def _manage_stock(text: str) -> tuple[str, Any]:
    answer = _ANSWERS.get(text.lower())
    if answer is None:
        raise Wrong(f'"{text[:LENGTH_TOLD]}" is neither yes nor no.')
    return "manage_stock", answer


# By column, the field.
_WHOLE_NUMBERS = {"threshold": "low_stock_threshold", INITIAL_STOCK: INITIAL_STOCK}


_THREE_ZEROS = re.compile(r"[1-9][0-9]{0,2}[.,]000")


def _units(text: str, *, decimal_comma: bool | None) -> int:
    units = cells.whole(text, decimal_comma=decimal_comma, most=UNITS_MAX)
    if units < 0:
        raise Wrong("It cannot be below zero.")
    if units > UNITS_MAX:
        raise Wrong("That is more than a product can hold.")
    if _THREE_ZEROS.fullmatch(text) and units < 1000:
        raise Wrong(f"Is {text} {units} or {units}000? Write it without that sign.")
    return units


def _image(text: str) -> tuple[str, Any]:
    """An address, or the name of a picture that was uploaded."""
    if not _SCHEME.match(text):
        return _short("picture", PICTURE_NAME_LENGTH)(text)
    if fault := fault_of_address(text):
        raise Wrong(fault)
    return _short("image_url", 500)(text)


def _categories(text: str) -> tuple[str, Any]:
    try:
        return "categories", text_of(read_categories(text))
    except Refusal as refusal:
        raise Wrong(str(refusal)) from refusal


_READERS: dict[str, Callable[[str], tuple[str, Any]]] = {
    "name": _short("name", 200),
    "description": _short("description", DESCRIPTION_LENGTH_MAX),
    "status": _status,
    "barcode": _barcode,
    "categories": _categories,
    "image": _image,
    "slug": _slug,
    "commodity_type": _commodity_type,
    "manage_stock": _manage_stock,
}


# Writing.


def cell_of(whole: Whole, column: str) -> Decimal | int | str:
    """Write what a product has into a cell of a file, which reads as no change again."""
    if column.startswith(PRICE):
        code = column.removeprefix(PRICE).upper()
        return "" if code not in whole.prices else _in_major_units(whole.value(PRICE + code), code)
    match column:
        case "cost":
            return _cell_of_cost(whole)
        case "threshold":
            threshold = whole.product.low_stock_threshold
            return "" if threshold is None else threshold
        case "manage_stock":
            return "yes" if whole.managed else "no"
        case "image":
            text = whole.value("picture") or whole.product.image_url
        case "initial_stock":
            return ""
        case _:
            text = str(whole.value(column))
    return f"'{text}" if _LIKE_CLEARED.fullmatch(text.strip()) else text


def _cell_of_cost(whole: Whole) -> Decimal | str:
    if whole.product.cost is None:
        return ""
    amount, code = whole.value("cost")
    written = _in_major_units(amount, code)
    return written if currencies.by_code()[code].default else f"{written} {code}"


def _in_major_units(amount: int, code: str) -> Decimal:
    digits = currencies.by_code()[code].decimal_places
    return Decimal(amount).scaleb(-digits).quantize(Decimal(1).scaleb(-digits))


def says_the_same(whole: Whole, column: str, text: str) -> bool:
    """Tell whether a cell is as an export would write it."""
    return _plain(str(cell_of(whole, column))) == text


# For people.

_WORDS = {
    "sku": "SKU",
    "image_url": "picture's address",
    "low_stock_threshold": "low-stock threshold",
    "manage_stock": "stock managed",
    INITIAL_STOCK: "initial stock",
    "commodity_type": "commodity type",
    "stock": "units",
}


def words_of(name: str) -> str:
    """Name a field as people know it."""
    if name.startswith(PRICE):
        return f"price in {name.removeprefix(PRICE)}"
    return _WORDS.get(name, name)


def written(name: str, value: Any) -> str:
    """Write a field's value as people read it; "" stands for nothing."""
    if value is None or value == "":
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if name.startswith(PRICE):
        return currencies.by_code()[name.removeprefix(PRICE)].formatted(value)
    if name == "cost":
        amount, code = value
        return currencies.by_code()[code].formatted(amount)
    return f"{value:,}" if isinstance(value, int) else str(value)
