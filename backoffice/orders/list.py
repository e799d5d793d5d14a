"""Orders as a list of work: its tabs, its search, and what can be done with several at once."""

import uuid
from collections.abc import Callable, Collection, Iterable
from dataclasses import replace
from typing import Any, NamedTuple
from urllib.parse import urlencode

from django import forms
from django.contrib.admin.options import IncorrectLookupParameters
from django.contrib.admin.views.main import ORDER_VAR, PAGE_VAR, SEARCH_VAR
from django.db import connection
from django.db.models import Exists, OuterRef, Prefetch, QuerySet
from django.http import HttpRequest

from api.errors import Moved, Refusal, Standing
from api.idempotency import Answered, Key, require_new
from backoffice import attention
from backoffice.actions import read_standing, words, written_standing
from backoffice.base import COUNTED, counted
from backoffice.forms import OnceForm
from backoffice.orders.case import OrderCase
from backoffice.orders.filters import NAMES, OrderFilter
from backoffice.orders.search import search
from backoffice.walking import AFTER_VAR, BEFORE_VAR, WalkedList
from orders.models import Order, OrderItem, OrderQuerySet
from orders.services import shipments

LIST_VAR = "list"
# Of what needs attention: for which reason. See `attention.SLUGS`.
WHY_VAR = "why"


class WorkList(NamedTuple):
    title: str
    of: Callable[[OrderQuerySet], QuerySet[Order]]
    # The order in which it is worked through, which is the order of its index.
    ordering: str
    # What its page says when there is nothing to do.
    empty: str
    # Whether it is work, and its tab says how much there is of it.
    is_counted: bool = True


def _holding(found: OrderQuerySet) -> QuerySet[Order]:
    held = OrderItem.objects.filter(order=OuterRef("pk"), allocated__gt=0)
    return found.holding_units().filter(Exists(held))


TO_SHIP, ATTENTION, ALL = "to-ship", "attention", "all"
LISTS = {
    TO_SHIP: WorkList(
        "To ship", OrderQuerySet.to_ship, "fully_paid_at", "Every paid order is on its way."
    ),
    ATTENTION: WorkList(
        "Needs attention",
        lambda found: found.filter(pk__in=attention.order_ids()),
        "created_at",
        "No payment is stuck, and no money is where it should not be.",
    ),
    "unpaid": WorkList(
        "Unpaid", OrderQuerySet.unpaid, "-created_at", "Nobody owes anything for an order."
    ),
    "holding": WorkList("Holding units", _holding, "allocated_at", "No order holds any units."),
    "money-held": WorkList(
        "Money held",
        OrderQuerySet.cancelled_with_money,
        "cancelled_at",
        "What was paid for cancelled orders was given back.",
    ),
    "shipped": WorkList(
        "Shipped", OrderQuerySet.shipped, "-shipped_at", "None was shipped yet.", is_counted=False
    ),
    "cancelled": WorkList(
        "Cancelled", OrderQuerySet.cancelled, "-cancelled_at", "None was.", is_counted=False
    ),
    ALL: WorkList(
        "All", lambda found: found, "-created_at", "There are no orders yet.", is_counted=False
    ),
}


# By when they were placed PostgreSQL would walk through all orders for these few.
_IN_ORDER_OF = {attention.HELD: "cancelled_at"}
# What may stand in the address of the first list, or of one of its pages.
_OF_NO_LIST = {LIST_VAR, SEARCH_VAR, PAGE_VAR, ORDER_VAR, AFTER_VAR, BEFORE_VAR}


def named(request: HttpRequest) -> str:
    """Tell which list is asked for: a search looks at all orders, as a filter alone does."""
    if request.GET.get(SEARCH_VAR, "").strip():
        return ALL
    asked = request.GET.get(LIST_VAR, "")
    if asked in LISTS:
        return asked
    return TO_SHIP if set(request.GET) <= _OF_NO_LIST else ALL


def reason(request: HttpRequest) -> str:
    """Tell for which one reason orders that need attention are asked for; empty for any.

    Raises: IncorrectLookupParameters.
    """
    asked = request.GET.get(WHY_VAR, "") if named(request) == ATTENTION else ""
    slugs = {slug: why for why, slug in attention.SLUGS.items()}
    if asked and asked not in slugs:
        raise IncorrectLookupParameters
    return slugs[asked] if asked else ""


def title(request: HttpRequest) -> str:
    slugs = {slug: why for why, slug in attention.SLUGS.items()}
    return slugs.get(request.GET.get(WHY_VAR, ""), LISTS[named(request)].title)


class WorkListPage(WalkedList):
    """A page of rows of the list that is asked for."""

    def get_filters_params(self, params: Any = None) -> dict[str, Any]:
        return {
            name: value
            for name, value in super().get_filters_params(params).items()
            if name not in (LIST_VAR, WHY_VAR, *NAMES)
        }

    def get_queryset(self, request: HttpRequest, exclude_parameters: Any = None) -> Any:
        work_list = LISTS[named(request)]
        self.filter_form = OrderFilter(request.GET)
        found = self.filter_form.of(super().get_queryset(request, exclude_parameters))
        self.has_active_filters = bool(self.filter_form.filled)
        why = reason(request)
        found = found.filter(pk__in=attention.order_ids(why)) if why else work_list.of(found)
        if term := self.query.strip():
            found = search(found, term)
        # Both one way, so that an index is enough for a page at any depth.
        ordering = _IN_ORDER_OF.get(why, work_list.ordering)
        found = found.order_by(ordering, "-pk" if ordering.startswith("-") else "pk")
        return found.prefetch_related(Prefetch("items", OrderItem.objects.order_by("position")))

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        # For what the page says when it is empty.
        self.work_list = LISTS[named(request)]
        if named(request) == ATTENTION:
            why: dict[uuid.UUID, list[str]] = {}
            for order_id, reason in attention.reasons([order.pk for order in self.result_list]):
                why.setdefault(order_id, []).append(reason)
            for order in self.result_list:
                order.why = why.get(order.pk, [])


class ListTab(NamedTuple):
    title: str
    link: str
    is_open: bool
    # Empty where nobody counts.
    how_many: str


def tabs(request: HttpRequest) -> list[ListTab]:
    """Each list, of what is filtered; then nobody counts, since that may be a walk through all."""
    active, kept = named(request), OrderFilter(request.GET).filled
    counts = {} if kept else _counts()
    return [
        ListTab(
            each.title,
            f"?{urlencode({LIST_VAR: name, **kept})}",
            name == active,
            counted(counts[name]) if name in counts else "",
        )
        for name, each in LISTS.items()
    ]


def is_narrowed(request: HttpRequest) -> bool:
    """Tell whether anything is asked for that is no list of itself."""
    return any(request.GET.get(name, "").strip() for name in (SEARCH_VAR, *NAMES))


def without_filters(request: HttpRequest) -> str:
    kept = {LIST_VAR: named(request), SEARCH_VAR: request.GET.get(SEARCH_VAR, "").strip()}
    return f"?{urlencode({name: value for name, value in kept.items() if value})}"


def _counts() -> dict[str, int]:
    """Count each list of work, as far as people are told: by its own index, in one query."""
    rows = OrderQuerySet(Order)
    # Of each way to need it no more than is told; the others in the order of their index. Both keep
    # PostgreSQL from reading all of a list for some of it.
    attention_ids = attention.order_ids(limit=COUNTED)
    found: dict[str, QuerySet[Order]] = {ATTENTION: rows.filter(pk__in=attention_ids)}
    for name, each in LISTS.items():
        if each.is_counted and name != ATTENTION:
            found[name] = each.of(rows)
    queries = [each.values("pk")[:COUNTED].query.sql_with_params() for each in found.values()]
    counts = [f"(SELECT count(*) FROM ({sql}) AS listed)" for sql, _ in queries]  # noqa: S608
    values = [value for _, values in queries for value in values]
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {', '.join(counts)}", values)
        return dict(zip(found, cursor.fetchone(), strict=True))


# Several orders at once.


class SeveralForm(OnceForm):
    """Several orders, as each of them was seen, and each of them once."""

    seen = forms.CharField(max_length=2_000_000, required=False, widget=forms.HiddenInput)

    def __init__(self, data: Any, found: Iterable[Order]) -> None:
        super().__init__(data)
        standings = {str(order.pk): order.standing() for order in found}
        self.fields["seen"].initial = written_standing(standings)

    def saw(self, order: Order) -> Standing:
        seen = read_standing(self.data.get("seen", "")).get(str(order.pk))
        return seen if isinstance(seen, dict) else {}

    def key_of(self, case: OrderCase) -> Key | None:
        """Make the key of what this form does with one of them."""
        key = self.key(case.request)
        return key and replace(key, path=f"{key.path}{case.order.pk}")


class Shipped(NamedTuple):
    """What became of one of several orders."""

    order: Order
    # Empty where it was shipped.
    refusal: str


def ship_all(found: Collection[Order], form: SeveralForm, request: HttpRequest) -> list[Shipped]:
    """Ship each order in a transaction of its own: one that is refused holds up no other."""
    return [Shipped(order, _ship(OrderCase(request, order), form)) for order in found]


def _ship(case: OrderCase, form: SeveralForm) -> str:
    saw, key = form.saw(case.order), form.key_of(case)
    try:
        require_new(key)
        case.order.require_shippable()
        shipments.ship(case.order.pk, actor=case.actor, seen=saw, key=key)
    except Answered:
        # A second click, or the results loaded anew: should it have been undone meanwhile, that
        # does not ship it once more.
        return "" if case.again().order.is_shipped else case.recorded_already
    except Moved as moved:
        return " ".join([words(moved), *(case.again().changes(saw) if saw else [])])
    except Refusal as refusal:
        return words(refusal)
    return ""
