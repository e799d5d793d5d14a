"""Products by file or selection: how lines are applied and taken back.

A line goes by what people saw of it: a field that is not any more what the check found is not
overwritten, and one that was changed since the line was applied is not taken back. Locks: the tree
of categories if a line names any, products in key order, then the stock of those whose stock moves.
"""

import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from api import clock
from api.actors import Actor
from api.errors import Refusal
from api.ids import uuid7
from api.transactions import Stale
from inventory.models import (
    BY_HAND,
    REASON_LENGTH_MAX,
    Action,
    Category,
    NewEntry,
    Product,
    ProductLine,
    Sheet,
    Stock,
    StockCount,
)
from inventory.services import categories, evidence, product_rows
from inventory.services.category_tree import Tree
from inventory.services.product_rows import ARCHIVED, PRICE, Whole
from inventory.services.products import INITIAL_STOCK as INITIALLY
from inventory.services.products import NO_LONGER_MANAGED
from inventory.services.sheets import product_checks
from inventory.services.sheets.kinds import Kind
from inventory.services.sheets.product_checks import (
    STOCK,
    Around,
    Places,
    fault_of_money,
    faults,
    faults_of_coming_back,
    is_coming_back,
    look_around,
    refuse,
    whole_of,
)
from inventory.services.sheets.product_lines import INITIAL_STOCK, columns, words_of, written
from inventory.services.writing import Cause, next_moment, write

What = ProductLine.What
# Of a text, in an error.
_LENGTH_TOLD = 60


@dataclass
class _Movements:
    """What happens to the stock of a batch of lines: written together, in a few statements."""

    actor: Actor
    entries: list[NewEntry] = field(default_factory=list)
    reasons: list[str] = field(default_factory=list)
    moments: list[datetime | None] = field(default_factory=list)
    ended: list[Stock] = field(default_factory=list)
    begun: list[Stock] = field(default_factory=list)
    counts: list[StockCount] = field(default_factory=list)

    def move(
        self, stock: Stock, action: Action, units: int, why: str, at: datetime | None = None
    ) -> int:
        """Move units, in memory, and return the number of the entry."""
        entry = stock.move(action, units, by_order=BY_HAND)
        self.entries.append(entry)
        self.reasons.append(why[:REASON_LENGTH_MAX])
        self.moments.append(at)
        return entry.sequence

    def begin(self, stock: Stock) -> None:
        """Manage stock that was not: what was on the shelf before is not known."""
        stock.managed = True
        self.begun.append(stock)
        self.counts.append(evidence.of(stock, 0, next_moment(stock), 0, actor=self.actor))

    def end(self, stock: Stock) -> None:
        stock.managed = False
        self.ended.append(stock)

    def write(self) -> None:
        # Units come to managed stock only, and unmanaged stock has none.
        self._set_managed(self.begun, True)
        evidence.keep(self.counts)
        if self.entries:
            cause = Cause(self.actor)
            write(self.entries, cause, reasons=self.reasons, effective_at=self.moments)
        self._set_managed(self.ended, False)

    @staticmethod
    def _set_managed(stocks: Sequence[Stock], managed: bool) -> None:
        if stocks:
            Stock.objects.filter(pk__in=[stock.pk for stock in stocks]).update(managed=managed)


def _lock_stock(wholes: Iterable[Whole]) -> dict[uuid.UUID, Stock]:
    """Lock the stock of these products. From now on it is certain whether it is managed."""
    by_id = {whole.product.pk: whole for whole in wholes}
    stocks = Stock.objects.lock(list(by_id)) if by_id else []
    for stock in stocks:
        whole = by_id[stock.product_id]
        whole.stock, whole.managed = stock, stock.managed
    return {stock.product_id: stock for stock in stocks}


# Applying.


def _apply(sheet: Sheet, lines: Sequence[ProductLine]) -> None:
    todo = [line for line in lines if not line.error and line.fields]
    places = _lock_places(todo, sheet.actor)
    products = product_rows.lock([line.product_id for line in todo if line.product_id])
    with_pictures = any(line.wanted.get("picture") is not None for line in todo)
    wholes = product_rows.read(products, with_pictures=with_pictures)
    around = look_around(todo, wholes)
    category_ids = places.ids() if places else {}
    movements = _Movements(sheet.actor)
    _make(
        sheet, [line for line in todo if line.what == What.CREATE], around, category_ids, movements
    )
    changing = [
        (line, whole)
        for line in todo
        if line.what == What.CHANGE and (whole := whole_of(line, wholes))
    ]
    touching = [whole for line, whole in changing if _touches_stock(line)]
    around.stocks = _lock_stock(touching)
    for line, whole in changing:
        _change(sheet, line, whole, around, movements)
    changed = [whole for _, whole in changing]
    product_rows.save(changed, category_ids=category_ids, actor=sheet.actor)
    movements.write()
    for line in lines:
        sheet.refused += bool(line.error)
        sheet.changed += not line.error and line.applied
        sheet.unchanged += not line.error and not line.applied


def _lock_places(lines: Sequence[ProductLine], actor: Actor) -> Places | None:
    """Lock the tree of categories, if lines name any, and make what is missing of them.

    It is locked alone only where something is missing. Raises: Stale, if that is so only now.
    """
    naming = [line for line in lines if line.wanted.get("categories")]
    if not naming:
        return None
    places = Places(Tree())
    are_missing = any(places.missing(line.wanted["categories"]) for line in naming)
    Category.objects.lock_tree(shared=not are_missing)
    places = Places(Tree())
    for line in naming:
        if gone := {*places.missing(line.wanted["categories"])} - _to_be_made(line):
            refuse(line, [f"categories: there is no {min(gone)} any more."])
    naming = [line for line in naming if not line.error]
    missing = {path for line in naming for path in places.missing(line.wanted["categories"])}
    if missing and not are_missing:
        raise Stale
    if missing:
        places = _made(places, sorted(missing), naming, actor)
    for line in naming:
        if not line.error:
            _write_as_there(line, places)
    return places


def _to_be_made(line: ProductLine) -> set[str]:
    """Return the categories that people were told of as new."""
    return {path for told in line.fields for path in told.get("makes", ())}


def _made(
    places: Places, missing: Sequence[str], naming: Sequence[ProductLine], actor: Actor
) -> Places:
    """Make categories, or refuse the lines that name them."""
    try:
        categories.make_in(places.tree, missing, actor)
    except Refusal as refusal:
        for line in naming:
            if places.missing(line.wanted["categories"]):
                refuse(line, [f"categories: {refusal}"])
        return Places(Tree())
    return Places(places.tree)


def _write_as_there(line: ProductLine, places: Places) -> None:
    line.wanted["categories"] = places.as_there(line.wanted["categories"])
    for told in line.fields:
        if told["field"] == "categories":
            told["after"] = line.wanted["categories"]


def _touches_stock(line: ProductLine) -> bool:
    """Tell whether the stock must be locked: an archived product has none, too."""
    return any(
        told["field"] in ("manage_stock", STOCK) or ARCHIVED in (told["before"], told["after"])
        for told in line.fields
    )


def _make(
    sheet: Sheet,
    lines: Sequence[ProductLine],
    around: Around,
    category_ids: Mapping[str, uuid.UUID],
    movements: _Movements,
) -> None:
    made: list[tuple[ProductLine, Whole]] = []
    for line in lines:
        refuse(line, [line.error] if line.error else faults(line, None, around))
        if not line.error:
            made.append((line, _new(line, around)))
    wholes = [whole for _, whole in made]
    refused = product_rows.insert(
        wholes, category_ids=category_ids, actor=sheet.actor, slugs_taken=around.slugs_wanted
    )
    for line, whole in made:
        product = whole.product
        if product.pk in refused:
            refuse(line, [str(refused[product.pk])])
            continue
        line.product_id, line.applied = product.pk, True
        if units := line.wanted.get(INITIAL_STOCK):
            assert whole.stock
            why = f"{INITIALLY} ({_source(sheet, line)})"
            # There is no moment at which there was the product, and not its units yet.
            at = product.created_at
            line.sequence = movements.move(whole.stock, Action.INCREMENT, units, why, at)


def _new(line: ProductLine, around: Around) -> Whole:
    now = clock.now()
    product = Product(id=uuid7(), sku=line.sku, created_at=now, updated_at=now)
    whole = Whole(product, touched={"sku"})
    for name, value in line.wanted.items():
        if name == "picture":
            whole.pictures.append(around.pictures[value])
        if name != INITIAL_STOCK:
            whole.set(name, value)
    return whole


def _change(
    sheet: Sheet, line: ProductLine, whole: Whole, around: Around, movements: _Movements
) -> None:
    """Change a product, in memory, or say in the line why not."""
    errors = [line.error] if line.error else _moved(line, whole)
    refuse(line, errors or faults(line, whole, around))
    if line.error:
        return
    line.fields = [told for told in line.fields if _now(whole, told["field"]) != told["after"]]
    line.applied = bool(line.fields)
    line.what = What.CHANGE if line.fields else What.LEAVE
    if is_coming_back(line, whole):
        around.in_the_way.append(whole.product)
    for told in line.fields:
        name, value = told["field"], told["after"]
        if value is None and name.startswith(PRICE):
            # As much as an amount says of a price, unless it is gone.
            told["includes_tax"] = whole.prices[name.removeprefix(PRICE)].includes_tax
        if name == "picture":
            _show(told, whole, around)
        if name != STOCK:
            whole.set(name, value)
    if whole.stock and whole.managed != whole.stock.managed:
        why = f"{NO_LONGER_MANAGED} ({_source(sheet, line)})"
        line.sequence = _follow(whole, whole.stock, movements, why)


def _show(told: dict[str, Any], whole: Whole, around: Around) -> None:
    """Have a picture among the product's own, and note where it stood, or that it did not."""
    names = [picture.name for picture in whole.pictures]
    if told["after"] in names:
        told["place"] = names.index(told["after"])
    else:
        whole.pictures.append(around.pictures[told["after"]])
        told["added"] = True


def _follow(whole: Whole, stock: Stock, movements: _Movements, why: str) -> int | None:
    """Begin or end managing the stock, as was set; return the entry that wrote units off."""
    if whole.managed:
        movements.begin(stock)
        return None
    units, sequence = stock.available, None
    if units:
        sequence = movements.move(stock, Action.DECREMENT, units, why)
    movements.end(stock)
    return sequence


def _now(whole: Whole, name: str) -> Any:
    if name == STOCK:
        return whole.stock.available if whole.stock else 0
    return whole.value(name)


def _moved(line: ProductLine, whole: Whole) -> list[str]:
    """Say what is neither as it was checked nor as it is to be."""
    told_fields = [*line.fields, *_implied(line)]
    return [
        f"The {words_of(name)} changed since this was checked{_from_to(name, before, now)}."
        for name, before, after, now in (
            (told["field"], told["before"], told["after"], _now(whole, told["field"]))
            for told in told_fields
        )
        if now not in (before, after)
    ]


def _from_to(name: str, before: Any, now: Any) -> str:
    # Whoever sees an error may not see costs.
    if name == "cost":
        return ""
    return f": it was {_told(name, before)}, and is {_told(name, now)} now"


def _implied(line: ProductLine) -> list[dict[str, Any]]:
    """Return what a line goes by without saying it: there were no units, and is no stock left."""
    after = {told["field"]: told["after"] for told in line.fields}
    implied = {}
    if after.get("status") == ARCHIVED:
        implied = {"manage_stock": False, STOCK: 0}
    elif after.get("manage_stock") is False:
        implied = {STOCK: 0}
    return [
        {"field": name, "before": value, "after": value}
        for name, value in implied.items()
        if name not in after
    ]


def _told(name: str, value: Any) -> str:
    text = written(name, value) or "nothing"
    return text if len(text) <= _LENGTH_TOLD else f"{text[:_LENGTH_TOLD]}\N{HORIZONTAL ELLIPSIS}"


def _source(sheet: Sheet, line: ProductLine) -> str:
    return f"{sheet.name}, line {line.number}"


# Taking back.


def _revert(sheet: Sheet, lines: Sequence[ProductLine]) -> None:
    """Take back field by field what nobody has changed since; products that were made are archived.

    What stays is said, and can be tried again.
    """
    todo = [line for line in lines if line.is_applied]
    names = {told["field"] for line in todo for told in line.fields}
    if "categories" in names:
        Category.objects.lock_tree(shared=True)
    category_ids = Places(Tree()).ids() if "categories" in names else {}
    products = product_rows.lock([line.product_id for line in todo if line.product_id])
    wholes = product_rows.read(products, with_pictures="picture" in names)
    around = _look_back(todo, wholes)
    touching = [
        whole
        for line in todo
        if (whole := whole_of(line, wholes)) and (line.what == What.CREATE or _touches_stock(line))
    ]
    _lock_stock(touching)
    movements = _Movements(sheet.actor)
    for line in todo:
        whole = wholes[line.product_id] if line.product_id else None
        assert whole
        why = f"Reverted: {_source(sheet, line)}"
        if line.what == What.CREATE:
            _take_back_new(line, whole, movements, why)
        else:
            _take_back(line, whole, around, category_ids, movements, why)
        sheet.reverted += line.reverted
        sheet.not_reverted += not line.reverted
    product_rows.save(wholes.values(), category_ids=category_ids, actor=sheet.actor)
    movements.write()


def _look_back(lines: Sequence[ProductLine], wholes: Mapping[uuid.UUID, Whole]) -> Around:
    """Read what stands in the way of what was: who has a slug, or a sku, by now."""
    was = [
        ProductLine(product_id=line.product_id, wanted={told["field"]: told["before"]})
        for line in lines
        for told in line.fields
        if told["field"] in ("slug", "status") and line.what == What.CHANGE
    ]
    return look_around(was, wholes)


def _take_back_new(line: ProductLine, whole: Whole, movements: _Movements, why: str) -> None:
    """Archive a product that was made, unless anything has become of it."""
    product, stock = whole.product, whole.stock
    assert stock
    line.error = ""
    if product.archived_at:
        line.reverted = True
    elif stock.sequence != (line.sequence or 0) or stock.allocated:
        line.error = "It stays: its stock has moved since."
    elif product.updated_at != product.created_at or _differs(line, whole):
        line.error = "It stays: it was changed since."
    else:
        whole.set("status", ARCHIVED)
        if stock.managed:
            whole.set("manage_stock", False)
            _follow(whole, stock, movements, why)
        line.reverted = True


def _differs(line: ProductLine, whole: Whole) -> bool:
    """Tell whether a product is not any more as it was made. A picture counts as one of it."""
    return any(
        whole.value(told["field"]) != told["after"]
        for told in line.fields
        if told["field"] != INITIAL_STOCK
    )


def _take_back(
    line: ProductLine,
    whole: Whole,
    around: Around,
    category_ids: Mapping[str, uuid.UUID],
    movements: _Movements,
    why: str,
) -> None:
    was_archived = any(_archives(told) and not told.get("back") for told in line.fields)
    if whole.product.archived_at and not was_archived:
        line.error = "It stays: it is archived by now."
        return
    stays = []
    for told in sorted(line.fields, key=lambda told: (not _archives(told), told["field"] == STOCK)):
        if told.get("back"):
            continue
        fault = _fault_of_going_back(told, line, whole, around, category_ids, movements)
        if fault:
            stays.append(f"The {words_of(told['field'])} stays: {fault}")
            if _archives(told) and whole.product.archived_at:
                break
        else:
            _go_back(told, line, whole, movements, why)
            if _archives(told):
                around.in_the_way.append(whole.product)
    line.error = " ".join(stays)[:500]
    line.reverted = not stays


def _archives(told: Mapping[str, Any]) -> bool:
    return bool(told["field"] == "status" and told["after"] == ARCHIVED)


def _fault_of_going_back(
    told: Mapping[str, Any],
    line: ProductLine,
    whole: Whole,
    around: Around,
    category_ids: Mapping[str, uuid.UUID],
    movements: _Movements,
) -> str:
    """Say why a field is not taken back, in words; "" if it can be."""
    name, before, stock = told["field"], told["before"], whole.stock
    if name == STOCK:
        if stock is None or not whole.managed or stock.sequence != line.sequence:
            return "its stock has moved since."
        # Whoever begins with no units leaves no entry, and has said that there are none.
        return "" if stock in movements.begun else "its stock began anew since."
    now = whole.value(name)
    if now != told["after"]:
        return f"it was changed since{'' if name == 'cost' else f', to {_told(name, now)}'}."
    if fault := fault_of_money(told, before):
        return fault
    if _archives(told):
        return " ".join(faults_of_coming_back(whole.product, around.in_the_way))
    if name == "status" and before == ARCHIVED and whole.managed:
        return "its stock is managed by now."
    if name == "manage_stock" and not before and stock and (stock.available or stock.allocated):
        return "there are units of it by now."
    if name == "slug" and around.slugs.get(before, whole.product.pk) != whole.product.pk:
        return "another product has the one before."
    if name == "categories":
        gone = [path for path in product_rows.paths_in(before) if path not in category_ids]
        return f"there is no category {gone[0]} any more." if gone else ""
    return ""


def _go_back(
    told: dict[str, Any], line: ProductLine, whole: Whole, movements: _Movements, why: str
) -> None:
    name, before, stock = told["field"], told["before"], whole.stock
    told["back"] = True
    if name == STOCK:
        assert stock
        movements.move(stock, Action.INCREMENT, before, why)
        return
    whole.set(name, "" if told.get("added") else before)
    if "place" in told:
        names = [picture.name for picture in whole.pictures]
        shown = whole.pictures.pop(names.index(told["after"]))
        whole.pictures.insert(told["place"], shown)
    if "includes_tax" in told:
        whole.prices[name.removeprefix(PRICE)].includes_tax = told["includes_tax"]
    if name == "manage_stock" and stock and whole.managed != stock.managed:
        _follow(whole, stock, movements, why)


KIND = Kind(
    check=product_checks.check,
    apply=_apply,
    revert=_revert,
    columns=columns,
    # Of a selection; a file's are read again from its cells.
    wanted=("product_id", "sku", "wanted"),
    finish_checking=product_checks.finish_checking,
)
