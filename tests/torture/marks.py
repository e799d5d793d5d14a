"""Where a process can be told to kill itself: before a service commits, or after a call returns."""

import functools
import importlib
import os
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from api.transactions import in_transaction

# Of the folder in which a file by the name of a mark is the order to die there.
ORDERS = "TORTURE_ORDERS"


@dataclass(frozen=True)
class Mark:
    """A function by its module and name, and whether death comes before its commit or after it.

    `only` names the kind of attempt that counts, where one function serves several. Where one looks
    again and again, only a look that `has_found` something counts.
    """

    where: str
    function: str
    before_commit: bool = False
    only: str = ""
    has_found: bool = False


_SERVICES = "payments.services.payments"
_SETTLING = "payments.services.settling"
_STRIPE = "payments.gateways.stripe"
_NUMBERING = "events.services.sequencing"
_TURNS = "events.services.turns"
KINDS = ("capture", "refund", "void")

MARKS = {
    # Paying, in the order of its steps.
    "begin.before_commit": Mark(_SERVICES, "begin", before_commit=True),
    "begin.committed": Mark(_SERVICES, "begin"),
    "announce.made": Mark(_STRIPE, "StripeGateway.announce"),
    "reference.committed": Mark(_SERVICES, "note_reference"),
    "charge.accepted": Mark(_STRIPE, "StripeGateway.charge"),
    "settle.before_commit": Mark(_SETTLING, "_settle", before_commit=True),
    "settle.committed": Mark(_SETTLING, "_settle"),
    # The same by a worker.
    "queue.committed": Mark(_SERVICES, "_queue"),
    "take_up.committed": Mark(_SERVICES, "_take_up"),
    # Giving up who waits for a buyer.
    "give_up.before_commit": Mark(_SERVICES, "_in_the_way", before_commit=True),
    "give_up.committed": Mark(_SERVICES, "_in_the_way"),
    "give_up.accepted": Mark(_STRIPE, "StripeGateway.give_up"),
    # Whatever else moves money or units.
    **{f"{kind}.recorded": Mark(_SERVICES, f"begin_{kind}") for kind in KINDS},
    **{f"{kind}.accepted": Mark(_STRIPE, "StripeGateway.perform", only=kind) for kind in KINDS},
    **{
        f"{kind}.before_commit": Mark(_SETTLING, "settle_attempt", before_commit=True, only=kind)
        for kind in KINDS
    },
    "cancel.before_commit": Mark(_SERVICES, "begin_cancel", before_commit=True),
    "cancel.committed": Mark(_SERVICES, "begin_cancel"),
    "ship.before_commit": Mark("orders.services.shipments", "ship", before_commit=True),
    "ship.committed": Mark("orders.services.shipments", "ship"),
    "undo_ship.before_commit": Mark("orders.services.shipments", "undo", before_commit=True),
    "cancel_some.before_commit": Mark(
        "orders.services.cancelling", "cancel_items", before_commit=True
    ),
    "take_back.before_commit": Mark("orders.services.returns", "take_back", before_commit=True),
    # Telling of it: these die in a worker, beside its jobs. What it writes is not committed yet.
    "number.before_commit": Mark(_NUMBERING, "_write"),
    "number.committed": Mark(_NUMBERING, "number_some", has_found=True),
    "deliver.claimed": Mark(_TURNS, "claim", has_found=True),
    "deliver.chosen": Mark(_TURNS, "next_turn", has_found=True),
    "deliver.answered": Mark("events.services.delivering", "_Unwritten.add"),
    "deliver.before_commit": Mark(_TURNS, "_write", before_commit=True),
    "deliver.committed": Mark(_TURNS, "settle"),
}


def install() -> None:
    """Wrap the functions of all marks in this process, wherever they were imported to."""
    for name, mark in MARKS.items():
        module = importlib.import_module(mark.where)
        *path, attribute = mark.function.split(".")
        holder = functools.reduce(getattr, path, module)
        original = getattr(holder, attribute)
        wrapped = _wrapped(name, mark, original)
        setattr(holder, attribute, wrapped)
        ours = ("payments.", "events.")
        for other in [one for one in sys.modules.values() if one.__name__.startswith(ours)]:
            for alias, found in list(vars(other).items()):
                if found is original:
                    setattr(other, alias, wrapped)


def _wrapped(name: str, mark: Mark, original: Callable[..., Any]) -> Callable[..., Any]:
    # The transaction is opened anew around the function and the mark, so that death finds the
    # function's work done and not yet committed.
    work = original.__wrapped__ if mark.before_commit else original  # type: ignore[attr-defined]

    @functools.wraps(work)
    def marked(*args: Any, **kwargs: Any) -> Any:
        result = work(*args, **kwargs)
        of_kind = not mark.only or any(getattr(one, "kind", "") == mark.only for one in args)
        if of_kind and (result or not mark.has_found):
            reach(name)
        return result

    return in_transaction(marked) if mark.before_commit else marked


def reach(name: str) -> None:
    """Die here, if that is the order: of all processes that come by, one."""
    try:
        Path(os.environ[ORDERS], name).unlink()
    except FileNotFoundError:
        return
    os.kill(os.getpid(), signal.SIGKILL)
