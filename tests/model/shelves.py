"""What the documents say of a product's stock: numbers, a log, and what was counted when.

Plain arithmetic that imports nothing of Holdfast. See docs/counting.md.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, field


class Refused(Exception):
    """The documents say that this is refused, and how the refusal is called."""

    @property
    def code(self) -> str:
        return str(self.args[0])


@contextmanager
def all_or_nothing(model: object) -> Iterator[None]:
    """Leave the model as it was if what the block does is refused."""
    before = deepcopy(model.__dict__)
    try:
        yield
    except Refused:
        model.__dict__.clear()
        model.__dict__.update(before)
        raise


def refuse_if(refused: object, code: str) -> None:
    if refused:
        raise Refused(code)


# What a unit does to what is available, to what is allocated, and to what is set aside by hand.
BY_HAND = {
    "increment": (1, 0, 0),
    "decrement": (-1, 0, 0),
    "allocate": (-1, 1, 1),
    "deallocate": (1, -1, -1),
}
OPPOSITE = {
    "increment": "decrement",
    "decrement": "increment",
    "allocate": "deallocate",
    "deallocate": "allocate",
}


@dataclass
class Entry:
    action: str
    units: int
    by_order: bool
    # From when it counts, in seconds, and when it was written.
    at: int
    written: int
    order: int | None = None
    # Whether a file wrote it, which then has to be taken back as a whole.
    by_file: bool = False
    # Whether units left for a buyer, or came back from one.
    sent: bool = False

    @property
    def total(self) -> int:
        return {"increment": self.units, "decrement": -self.units}.get(self.action, 0)


@dataclass
class Count:
    units: int
    at: int
    change: int
    # How many entries the log had then, the correction included.
    sequence: int
    withdrawn: bool = False
    # The entry that took its correction back.
    withdrawn_by: int | None = None


@dataclass
class Shelf:
    """A product: what it costs, whether it is for sale, and its stock."""

    made: int
    price: int
    managed: bool
    live: bool = True
    archived: bool = False
    available: int = 0
    allocated: int = 0
    held: int = 0
    log: list[Entry] = field(default_factory=list)
    counts: list[Count] = field(default_factory=list)

    @property
    def total(self) -> int:
        return self.available + self.allocated

    @property
    def for_sale(self) -> bool:
        return self.live and not self.archived

    def write(self, action: str, units: int, now: int, **of: object) -> Entry:
        """Move units, if there are as many."""
        entry = Entry(action, units, **{"by_order": False, "at": now, **of}, written=now)  # type: ignore[arg-type]
        available, allocated, held = BY_HAND[action]
        numbers = (
            self.available + available * units,
            self.allocated + allocated * units,
            self.held + (0 if entry.by_order else held * units),
        )
        refuse_if(min(numbers) < 0 or numbers[1] < numbers[2], "stock_too_low")
        self.available, self.allocated, self.held = numbers
        self.log.append(entry)
        return entry

    # By hand.

    def record(self, action: str, units: int, now: int) -> None:
        refuse_if(not self.managed, "stock_not_found")
        self.write(action, units, now)

    def begin(self, units: int, now: int) -> None:
        """Manage the stock, which begins anew with these units: they count as found now."""
        if not self.managed:
            self.managed = True
            self.counts.append(Count(0, now, 0, len(self.log)))
        if units:
            self.write("increment", units, now)
            self.counts.append(Count(units, now, units, len(self.log)))

    def end(self, now: int) -> None:
        refuse_if(self.allocated, "units_allocated")
        if self.available:
            self.write("decrement", self.available, now)
        self.managed = False

    def undo(self, number: int, now: int) -> None:
        """Take back the entry of this number, if it is the last and was made by hand."""
        refuse_if(not self.managed, "stock_not_found")
        refuse_if(number != len(self.log) or not number, "not_undoable")
        entry = self.log[-1]
        refuse_if(entry.by_order or entry.by_file or entry.order is not None, "not_undoable")
        refuse_if(self.counted_with(number), "counted_later")
        self.write(OPPOSITE[entry.action], entry.units, now, at=entry.at)
        for count in self.counts:
            if count.change and count.sequence == number and not count.withdrawn:
                count.withdrawn, count.withdrawn_by = True, len(self.log)
            elif count.change and count.withdrawn_by == number:
                count.withdrawn, count.withdrawn_by = False, None
                count.sequence = len(self.log)

    # Counting.

    def total_at(self, moment: int) -> int:
        return sum(entry.total for entry in self.log if entry.at <= moment)

    def standing(self) -> list[Count]:
        """Return the counts that were not withdrawn, the latest moment last."""
        return sorted(
            (count for count in self.counts if not count.withdrawn),
            key=lambda count: (count.at, count.sequence),
        )

    def counted(self, units: int, moment: int) -> int:
        """Return by how much a count of this moment corrects the total."""
        difference = units - self.total_at(moment)
        if difference:
            refuse_if(any(count.at > moment for count in self.standing()), "counted_later")
            refuse_if(self._were_away(moment), "away_then")
        return difference

    def _were_away(self, moment: int) -> bool:
        """Tell whether units of an order were away then and are an entry of their own since."""
        return any(
            self._is_away(gone) and gone.written <= moment < back.written
            for number, back in enumerate(self.log)
            if back.sent and back.total > 0 and back.at == back.written
            for gone in self.log[:number]
            if gone.sent and gone.order == back.order
        )

    def _is_away(self, gone: Entry) -> bool:
        """Tell whether this is a shipment, and was not undone as if it had never been."""
        return gone.total < 0 and not any(
            back.sent and back.order == gone.order and back.at == gone.at < back.written
            for back in self.log
        )

    def count(self, units: int, moment: int | None, now: int) -> None:
        refuse_if(not self.managed, "stock_not_found")
        moment = now if moment is None else moment
        refuse_if(moment < self.made, "counted_too_early")
        difference = self.counted(units, moment)
        refuse_if(self.available + difference < 0, "count_too_low")
        self.correct(difference, moment, now)
        self.counts.append(Count(units, moment, difference, len(self.log)))

    def correct(self, change: int, at: int, now: int, *, by_file: bool = False) -> None:
        if change:
            action = "increment" if change > 0 else "decrement"
            self.write(action, abs(change), now, at=at, by_file=by_file)

    def counted_with(self, number: int) -> bool:
        """Tell whether it was counted since this entry, and with it."""
        entry = self.log[number - 1]
        return any(
            count.at >= entry.at
            and count.sequence >= number
            and not (count.sequence == number and count.change)
            for count in self.standing()
        )

    def found_since(self, moment: int) -> tuple[bool, int]:
        """Tell whether it was counted since, and how many more than the log said were found.

        They were there at the last count at the latest, whichever of the counts found them.
        """
        since = [count for count in self.standing() if count.at >= moment]
        found = most = 0
        for count in reversed(since):
            found += count.change
            most = max(most, found)
        return bool(since), most
