"""Every movement of stock. All of it goes through `move`: one ordered lock, one write, commit.

House rule for locks: Cart, then Order, then Stock; in primary-key order; one query each; once a
transaction; as late as possible. A service that changes a product locks it just before its stock.
"""

import uuid
from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime
from enum import StrEnum

from api.actors import Actor
from api.errors import Standing, require_as_seen
from api.idempotency import Key, claim
from api.ids import uuid7
from api.transactions import Stale, assert_in_transaction, in_transaction
from inventory.errors import (
    CountedLater,
    CountedSinceShipped,
    CountedTooEarly,
    CountTooLow,
    FoundByCount,
    NotUndoable,
    StockMoved,
    StockNotFound,
    StockTooLow,
)
from inventory.models import (
    BY_HAND,
    FOR_ORDER,
    OPPOSITES,
    REASON_LENGTH_MAX,
    Action,
    CountLine,
    DeliveryLine,
    NewEntry,
    Product,
    Stock,
    StockTransaction,
)
from inventory.services import evidence
from inventory.services.log import Shipment, shipments, taking_back, totals_at
from inventory.services.writing import Cause, next_moment, write


def move(
    stocks: Sequence[Stock],
    actions: Sequence[Action],
    quantities: Mapping[uuid.UUID, int],
    cause: Cause,
    *,
    by_order: bool,
    first_id: uuid.UUID | None = None,
    ids: Sequence[uuid.UUID] | None = None,
    effective_at: datetime | None = None,
) -> None:
    """Apply the actions, each with the product's quantity, to locked rows: all of them or none.

    They count from now, unless an earlier moment is given.
    """
    entries = [
        stock.move(action, quantities[stock.product_id], by_order=by_order)
        for stock in stocks
        for action in actions
    ]
    moments = [effective_at] * len(entries) if effective_at else None
    write(entries, cause, first_id=first_id, ids=ids, effective_at=moments)


# By hand: in the admin and at /v2/inventories.


@in_transaction
def record(
    product_id: uuid.UUID,
    action: Action,
    quantity: int,
    *,
    actor: Actor,
    reason: str = "",
    seen: int | None = None,
    key: Key | None = None,
) -> uuid.UUID:
    """Increment, decrement, allocate or deallocate stock by hand; return the id of the log's entry.

    `seen` is the number of the last log entry that the person knew of. What moved since then makes
    no difference to what comes or goes, but for the same recorded by hand, which may be this one.
    Raises: StockNotFound; StockTooLow, having changed nothing; TooManyUnits; StockMoved if the same
    was recorded by hand since `seen`.
    """
    entry_id = uuid7()
    claim(key, entry_id)
    stock = lock_managed(product_id)
    if seen is not None:
        _require_not_the_same(stock, action, quantity, since=seen)
    cause = Cause(actor, reason)
    move([stock], [action], {product_id: quantity}, cause, by_order=BY_HAND, first_id=entry_id)
    return entry_id


def _require_not_the_same(stock: Stock, action: Action, quantity: int, *, since: int) -> None:
    """Raises: StockMoved."""
    by_hand = stock.log.filter(sequence__gt=since, by_order=BY_HAND)
    same = by_hand.filter(action=action, quantity=quantity).order_by("-sequence").first()
    if same:
        why = f" ({same.reason})" if same.reason else ""
        raise StockMoved(
            f"Since this form was opened, somebody recorded the same {quantity}{why}: "
            f"it is {stock} now. Send it again if yours is another one."
        )


@in_transaction
def count(
    product_id: uuid.UUID,
    counted: int,
    *,
    actor: Actor,
    counted_at: datetime | None = None,
    seen: int | None = None,
    reason: str = "",
    key: Key | None = None,
) -> int:
    """Bring the total to what was counted, and return by how much that moved it.

    The entry is the count less the total at the moment of the count, which is now if it is not
    given: so whatever moved since then stays moved. `seen` is the number of the last log entry that
    the person who counted knew of. Where the log agrees, nothing is written to it; what was counted
    is kept all the same.

    Raises: StockNotFound; StockMoved if the log has gone on since `seen`; CountedTooEarly for a
    moment before there was such a product; where the log does not agree, CountedLater if there is a
    count of a later moment, AwayThen if units came back since that had been shipped before,
    BookedAnew if a delivery was booked before and again since, CountTooLow if fewer units would be
    left than are allocated; TooManyUnits.
    """
    claim(key, product_id)
    stock = lock_managed(product_id)
    if seen is not None and seen != stock.sequence:
        raise StockMoved(_since(stock, seen))
    if counted_at and Product.objects.filter(pk=product_id, created_at__gt=counted_at).exists():
        raise CountedTooEarly
    moment = counted_at or next_moment(stock)
    [then] = totals_at([(stock, moment)])
    difference = counted - then.total
    if difference and then.refusal:
        raise then.refusal
    if stock.available + difference < 0:
        raise CountTooLow(
            f"{-difference} fewer than the log says, but only {stock.available} of {stock.total} "
            f"{'is' if stock.available == 1 else 'are'} available: {stock.allocated} "
            f"{'is' if stock.allocated == 1 else 'are'} allocated."
        )
    if difference:
        action = Action.INCREMENT if difference > 0 else Action.DECREMENT
        cause = Cause(actor, words_of_count(counted, counted_at, reason))
        quantities = {product_id: abs(difference)}
        move([stock], [action], quantities, cause, by_order=BY_HAND, effective_at=moment)
    evidence.keep([evidence.of(stock, counted, moment, difference, actor=actor)])
    return difference


def _since(stock: Stock, seen: int) -> str:
    entry = stock.log.filter(sequence=seen).first()
    was = entry.numbers if entry else "nothing"
    return f"The stock moved since this form was opened: it was {was}, and is {stock} now."


def words_of_count(counted: int, counted_at: datetime | None, reason: str) -> str:
    at = f" at {counted_at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC" if counted_at else ""
    words = f"count of {counted}{at}" + (f": {reason}" if reason else "")
    return words[:REASON_LENGTH_MAX]


@in_transaction
def undo(product_id: uuid.UUID, sequence: int, *, actor: Actor) -> StockTransaction:
    """Write and return the opposite of an entry made by hand, if that is still the log's last.

    It counts from when the entry did, so that the two add up to nothing at every moment.
    Raises: StockNotFound; NotUndoable, also if a file or a delivery wrote it, which would not
    know of it; CountedLater if it was counted since, with the entry.
    """
    # Entries never change: only whether this is the last one must be checked under the lock.
    entry = StockTransaction.objects.filter(stock__product_id=product_id, sequence=sequence).first()
    source = made_by(product_id, entry) if entry else ""
    stock = lock_managed(product_id)
    if entry is None or entry.by_order or entry.sequence != stock.sequence:
        raise NotUndoable
    if source:
        raise NotUndoable(source)
    [back] = taking_back([(stock, sequence)])
    if back.counted_at:
        raise CountedLater(back.counted_at)
    cause = Cause(actor, f"undo: {entry.reason}"[:REASON_LENGTH_MAX])
    opposite, quantities = OPPOSITES[Action(entry.action)], {product_id: entry.quantity}
    move([stock], [opposite], quantities, cause, by_order=BY_HAND, effective_at=back.effective_at)
    if entry.effective_at:
        evidence.follow_undo(stock, undone=sequence)
    return entry


def made_by(product_id: uuid.UUID, entry: StockTransaction) -> str:
    """Say what wrote the entry, or took one back by it, if that is what has to be undone."""
    if entry.order_id:
        return "A return wrote this entry: settle it on the page of its order."
    of_delivery = DeliveryLine.objects.filter(product_id=product_id)
    if of_delivery.filter(entries__contains=[entry.sequence]).exists():
        return "A delivery wrote this entry: undo its booking on its own page."
    if CountLine.objects.of_entry(product_id, entry.sequence).exists():
        return "A file of counts wrote this entry: revert the file, or count again."
    return ""


def lock_managed(product_id: uuid.UUID) -> Stock:
    stock = lock_one(product_id)
    stock.require_managed()
    return stock


def lock_one(product_id: uuid.UUID, *, seen: Standing | None = None) -> Stock:
    """Raises: StockNotFound; Moved, if it is not as it was `seen`."""
    stocks = Stock.objects.lock([product_id])
    if not stocks:
        raise StockNotFound
    require_as_seen(seen, stocks[0].standing)
    return stocks[0]


# For orders: inside the transaction of the caller, which has locked the order.


def allocate(quantities: Mapping[uuid.UUID, int], *, order_id: uuid.UUID, actor: Actor) -> None:
    """Take units for an order: of every product in `quantities`, all of them managed, or of none.

    Raises: StockTooLow; Stale if a product stopped being managed since the caller looked.
    """
    stocks = _lock_for_order(quantities)
    if len(stocks) < len(quantities) or not all(stock.managed for stock in stocks):
        raise Stale
    cause = Cause(actor, "payment started", order_id)
    move(stocks, [Action.ALLOCATE], quantities, cause, by_order=FOR_ORDER)


def deallocate(
    quantities: Mapping[uuid.UUID, int], *, order_id: uuid.UUID, actor: Actor, reason: str
) -> None:
    """Give back the units that an order holds."""
    stocks = _lock_for_order(quantities)
    cause = Cause(actor, reason, order_id)
    move(stocks, [Action.DEALLOCATE], quantities, cause, by_order=FOR_ORDER)


def ship(
    quantities: Mapping[uuid.UUID, int],
    *,
    order_id: uuid.UUID,
    actor: Actor,
    entry_ids: Mapping[uuid.UUID, tuple[uuid.UUID, uuid.UUID]],
) -> None:
    """Take units that an order holds out of the total.

    Each product gets two entries, so that the log replays by its public meaning alone, with the ids
    that `entry_ids` has for it: the second one says that the units left.
    """
    stocks = _lock_for_order(quantities)
    cause, out = Cause(actor, "shipped", order_id), [Action.DEALLOCATE, Action.DECREMENT]
    ids = [entry_id for stock in stocks for entry_id in entry_ids[stock.product_id]]
    move(stocks, out, quantities, cause, by_order=FOR_ORDER, ids=ids)


def write_off(
    quantities: Mapping[uuid.UUID, int], *, order_id: uuid.UUID, actor: Actor, reason: str
) -> None:
    """Take units that an order holds out of the total, because nobody can have them any more."""
    stocks = _lock_for_order(quantities)
    cause, out = Cause(actor, reason, order_id), [Action.DEALLOCATE, Action.DECREMENT]
    move(stocks, out, quantities, cause, by_order=FOR_ORDER)


def managed_among(product_ids: Collection[uuid.UUID]) -> set[uuid.UUID]:
    """Tell of which products the stock is managed. Without a lock, it may change meanwhile."""
    found = Stock.objects.filter(product_id__in=product_ids, managed=True)
    return set(found.values_list("product_id", flat=True))


class Whereabouts(StrEnum):
    """Where the units of an undone shipment were, if their product was counted since."""

    ON_THE_SHELF = "shelf"
    CAME_BACK = "back"


def undo_ship(
    quantities: Mapping[uuid.UUID, int],
    *,
    order_id: uuid.UUID,
    actor: Actor,
    reason: str,
    entry_ids: Collection[uuid.UUID],
    whereabouts: Whereabouts | None = None,
) -> None:
    """Bring back units that a shipment took out of the total, and let its order hold them again.

    `entry_ids` name the log's entries by which they left.

    They count from when they were shipped, as if they never had been. Where the product was counted
    since, that count has them already if they were on the shelf then. Units that came back were
    away, and count from now: all of the shipment's, whether or not their product was counted.

    Raises: Stale if a product stopped being managed since the caller looked; CountedSinceShipped if
    one was counted and nobody says where the units were; FoundByCount if they are said to have come
    back, and the counts may have found them before; StockTooLow if the count has them and others
    have taken them since; TooManyUnits.
    """
    stocks = _lock_for_order(quantities)
    if not all(stock.managed for stock in stocks):
        raise Stale
    shipped = shipments(entry_ids)
    entries: list[NewEntry] = []
    moments: list[datetime | None] = []
    confirmed = []
    for stock in stocks:
        shipment = shipped.get(stock.product_id, _UNKNOWN)
        quantity = quantities[stock.product_id]
        if shipment.counted_at and whereabouts is None:
            raise CountedSinceShipped(_sku_of(stock), shipment.counted_at)
        if shipment.counted_at and whereabouts == Whereabouts.ON_THE_SHELF:
            confirmed.append(stock)
            entries.append(_allocate_again(stock, quantity))
            moments.append(None)
            continue
        way_out = "Count it now, and then say that the units were on the shelf."
        _require_not_found(stock, shipment, way_out)
        came_back = whereabouts == Whereabouts.CAME_BACK
        for action in (Action.INCREMENT, Action.ALLOCATE):
            entries.append(stock.move(action, quantity, by_order=FOR_ORDER))
            moments.append(None if came_back else shipment.shipped_at)
    write(entries, Cause(actor, reason, order_id), effective_at=moments)
    evidence.confirm(confirmed)


def _allocate_again(stock: Stock, quantity: int) -> NewEntry:
    try:
        return stock.move(Action.ALLOCATE, quantity, by_order=FOR_ORDER)
    except StockTooLow as refusal:
        raise StockTooLow(f"{_sku_of(stock)}: {refusal}") from refusal


# A shipment that the log does not know.
_UNKNOWN = Shipment(shipped_at=None, counted_at=None, found=0)


def put_back(
    quantities: Mapping[uuid.UUID, int],
    *,
    order_id: uuid.UUID,
    actor: Actor,
    reason: str,
    entry_ids: Collection[uuid.UUID],
    to_inspect: Mapping[uuid.UUID, int],
    inspected_as: str,
) -> None:
    """Bring back units that had been shipped, of which some are set aside by hand `to_inspect`.

    The parcel was away and has come back, so this counts from now, unlike what undoes a shipment.
    `entry_ids` name the log's entries by which the order's units left. What is set aside gets the
    reason `inspected_as`.
    Raises: StockNotFound if one of the products is no longer managed; FoundByCount if the counts
    since the shipment found more than there should be; TooManyUnits.
    """
    stocks = _lock_for_order(quantities)
    for stock in stocks:
        if not stock.managed:
            raise StockNotFound(f"The stock of {_sku_of(stock)} is not managed.")
    shipped = shipments(entry_ids)
    entries, reasons = [], []
    for stock in stocks:
        shipment = shipped.get(stock.product_id, _UNKNOWN)
        _require_not_found(stock, shipment, "Do not put them into stock, and count.")
        came = quantities[stock.product_id]
        entries.append(stock.move(Action.INCREMENT, came, by_order=FOR_ORDER))
        reasons.append(reason)
        if inspected := to_inspect.get(stock.product_id):
            entries.append(stock.move(Action.ALLOCATE, inspected, by_order=BY_HAND))
            reasons.append(inspected_as)
    write(entries, Cause(actor, order_id=order_id), reasons=reasons)


def settle_inspected(
    product_id: uuid.UUID,
    quantity: int,
    *,
    order_id: uuid.UUID,
    actor: Actor,
    reason: str,
    write_off: bool,
) -> None:
    """Let go of units that were set aside to be inspected, and write them off if they are no good.

    Raises: StockTooLow, if so many are not set aside any more.
    """
    stocks = _lock_for_order({product_id: quantity})
    actions = [Action.DEALLOCATE, *([Action.DECREMENT] if write_off else [])]
    cause = Cause(actor, reason, order_id)
    move(stocks, actions, {product_id: quantity}, cause, by_order=BY_HAND)


def _require_not_found(stock: Stock, shipment: Shipment, way_out: str) -> None:
    """Raises: FoundByCount, if what is said to have come back may have been counted already."""
    if shipment.counted_at and shipment.found > 0:
        raise FoundByCount(_sku_of(stock), shipment.counted_at, way_out)


def _sku_of(stock: Stock) -> str:
    return Product.objects.values_list("sku", flat=True).get(pk=stock.product_id)


def _lock_for_order(quantities: Mapping[uuid.UUID, int]) -> list[Stock]:
    assert_in_transaction()
    assert quantities
    return Stock.objects.lock(quantities)
