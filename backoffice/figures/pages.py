"""The pages of figures: each a chart, its numbers as a table, and as a file."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any, NamedTuple

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from unfold.admin import ModelAdmin

from backoffice.base import PER_PAGE, number_of
from backoffice.dates import today
from backoffice.exports import exported
from backoffice.figures import charts, lists, sums
from backoffice.figures.charts import Chart, Series
from backoffice.figures.days import (
    CANCELLED,
    REFUNDED,
    SHIPPED,
    SOLD,
    TAKEN,
    NotAddedUp,
    Period,
)
from backoffice.figures.lists import LONGEST, MONEY_SEEN, PAGES_MAX, STOCK_SEEN, listed
from backoffice.figures.periods import PeriodForm, months_until, presets
from backoffice.figures.tables import (
    Cell,
    Column,
    Row,
    Table,
    formatted,
    percent,
    plain,
    share_of,
)
from backoffice.history import NOTHING
from backoffice.products.page import inventory_url
from inventory.models import Action

# Sums of products are many: they are read of a quarter at most.
PRODUCTS_LONGEST = 92
# Of products and reasons, on a page; a file has more.
SHOWN = 50
IN_A_FILE = 100_000


@dataclass(frozen=True)
class Contents:
    table: Table
    charts: Sequence[Chart] = ()
    # Other ways to see the same: their names and addresses, and which of them is open.
    ways: Sequence[tuple[str, str, bool]] = field(default_factory=list)


class Asked(NamedTuple):
    period: Period
    query: Mapping[str, str]
    # How many rows there is room for.
    limit: int


class FiguresPage(NamedTuple):
    title: str
    permissions: Sequence[str]
    # How many days may be chosen; 0 where it has days of its own.
    longest: int
    # How it is counted, said on the page.
    about: str
    contents: Callable[[Asked], Contents]


# Money.


def _of(money: sums.Money, period: Period, currency: str, kind: str) -> Series:
    amounts = {day: money.get((day, currency, kind), sums.Sum()).amount for day in period.days}
    return Series(kind.capitalize(), amounts)


def _codes(money: sums.Money) -> list[str]:
    return sorted({currency for _, currency, _ in money})


def _chart(money: sums.Money, period: Period, currency: str, *kinds: str) -> Chart:
    named = " and ".join(kinds).capitalize()
    series = [_of(money, period, currency, kind) for kind in kinds]
    return charts.bars(
        f"{named} each day, {currency}",
        period.days,
        series,
        lambda amount: formatted(amount, currency),
    )


def _money_cell(kind: str, period: Period, currency: str, each: sums.Sum) -> Cell:
    link = listed(kind, period, currency=currency) if each.number else ""
    return Cell(formatted(each.amount, currency), link)


def _number_cell(kind: str, period: Period, currency: str, each: sums.Sum) -> Cell:
    return Cell(f"{each.number:,}", listed(kind, period, currency=currency) if each.number else "")


def revenue(asked: Asked) -> Contents:
    money = sums.money(asked.period)
    codes = _codes(money)

    def row(name: str, period: Period, currency: str, of: Callable[[str], sums.Sum]) -> Row:
        taken, refunded, sold = of(TAKEN), of(REFUNDED), of(SOLD)
        return Row(
            [
                Cell(name),
                _money_cell(TAKEN, period, currency, taken),
                _money_cell(REFUNDED, period, currency, refunded),
                Cell(formatted(taken.amount - refunded.amount, currency)),
                _number_cell(SOLD, period, currency, sold),
            ],
            [
                *(name, currency, plain(taken.amount, currency), plain(refunded.amount, currency)),
                *(plain(taken.amount - refunded.amount, currency), sold.number),
            ],
        )

    rows = [
        row(str(day), Period(day, day), code, _sum_of(money, day, code))
        for day in reversed(asked.period.days)
        for code in codes
        if any((day, code, kind) in money for kind in (TAKEN, REFUNDED, SOLD))
    ]
    return Contents(
        Table(
            columns=[
                Column("Day"),
                Column("Taken", is_number=True),
                Column("Refunded", is_number=True),
                Column("Left", is_number=True),
                Column("Orders paid", is_number=True),
            ],
            rows=rows,
            file_columns=["day", "currency", "taken", "refunded", "left", "orders paid"],
            empty="Nothing was taken and nothing refunded in these days.",
            totals=_totals(money, asked.period, codes, row),
        ),
        [_chart(money, asked.period, code, TAKEN, REFUNDED) for code in codes],
    )


def _totals(
    money: sums.Money,
    period: Period,
    codes: Iterable[str],
    row: Callable[[str, Period, str, Callable[[str], sums.Sum]], Row],
) -> list[Row]:
    all_days = sums.totals(money)

    def of(code: str) -> Callable[[str], sums.Sum]:
        return lambda kind: all_days[code, kind]

    return [row(f"All days, {code}", period, code, of(code)) for code in codes]


def _sum_of(money: sums.Money, day: date, currency: str) -> Callable[[str], sums.Sum]:
    return lambda kind: money.get((day, currency, kind), sums.Sum())


def refunds(asked: Asked) -> Contents:
    money = sums.money(asked.period)
    codes = [code for code in _codes(money) if any(key[1:] == (code, REFUNDED) for key in money)]

    def row(name: str, period: Period, currency: str, of: Callable[[str], sums.Sum]) -> Row:
        taken, refunded = of(TAKEN), of(REFUNDED)
        rate = percent(refunded.amount, taken.amount)
        return Row(
            [
                Cell(name),
                _number_cell(REFUNDED, period, currency, refunded),
                _money_cell(REFUNDED, period, currency, refunded),
                _money_cell(TAKEN, period, currency, taken),
                Cell(rate or NOTHING),
            ],
            [
                *(name, currency, refunded.number, plain(refunded.amount, currency)),
                *(plain(taken.amount, currency), rate.removesuffix(" %")),
            ],
        )

    return Contents(
        Table(
            columns=[
                Column("Day"),
                Column("Refunds", is_number=True),
                Column("Refunded", is_number=True),
                Column("Taken", is_number=True),
                Column("Rate", is_number=True),
            ],
            rows=[
                row(str(day), Period(day, day), code, _sum_of(money, day, code))
                for day in reversed(asked.period.days)
                for code in codes
                if (day, code, REFUNDED) in money
            ],
            file_columns=["day", "currency", "refunds", "refunded", "taken", "rate in percent"],
            empty="Nothing was refunded in these days.",
            totals=_totals(money, asked.period, codes, row),
        ),
        [_chart(money, asked.period, code, REFUNDED) for code in codes],
    )


def months(asked: Asked) -> Contents:
    """The twelve months up to the one that is asked for."""
    periods = months_until(_month(asked.query.get("until", "")))
    money = sums.money(Period(periods[-1].first, periods[0].last))
    by_month: dict[tuple[Period, str], dict[str, sums.Sum]] = {}
    for (day, code, kind), each in money.items():
        month = next(period for period in periods if period.first <= day <= period.last)
        of = by_month.setdefault((month, code), {})
        of[kind] = of.get(kind, sums.Sum()) + each

    def row(month: Period, code: str, of: Mapping[str, sums.Sum]) -> Row:
        sold, taken, refunded, shipped, cancelled = (
            of.get(kind, sums.Sum()) for kind in (SOLD, TAKEN, REFUNDED, SHIPPED, CANCELLED)
        )
        name = f"{month.first:%Y-%m}"
        return Row(
            [
                Cell(f"{month.first:%B %Y}", note=code),
                _number_cell(SOLD, month, code, sold),
                _money_cell(SOLD, month, code, sold),
                _money_cell(TAKEN, month, code, taken),
                _money_cell(REFUNDED, month, code, refunded),
                _number_cell(SHIPPED, month, code, shipped),
                _money_cell(SHIPPED, month, code, shipped),
                _number_cell(CANCELLED, month, code, cancelled),
                _money_cell(CANCELLED, month, code, cancelled),
            ],
            [
                *(name, code, sold.number, plain(sold.amount, code), plain(taken.amount, code)),
                *(plain(refunded.amount, code), shipped.number, plain(shipped.amount, code)),
                *(cancelled.number, plain(cancelled.amount, code)),
            ],
        )

    table = Table(
        columns=[
            Column("Month"),
            Column("Orders paid", is_number=True),
            Column("Sold", is_number=True),
            Column("Taken", is_number=True),
            Column("Refunded", is_number=True),
            Column("Shipments", is_number=True),
            Column("Shipped", is_number=True),
            Column("Orders cancelled", is_number=True),
            Column("Cancelled", is_number=True),
        ],
        rows=[
            row(month, code, by_month[month, code])
            for month in periods
            for code in _codes(money)
            if (month, code) in by_month
        ],
        file_columns=[
            *("month", "currency", "orders paid", "sold", "taken", "refunded"),
            *("shipments", "shipped", "orders cancelled", "cancelled"),
        ],
        empty="Nothing was sold in these months.",
    )
    return Contents(table, ways=_neighbours(periods))


def _month(written: str) -> date:
    try:
        month = date.fromisoformat(f"{written}-01")
    except ValueError:
        return today()
    return month if date(1971, 1, 1) <= month <= today() else today()


def _neighbours(periods: Sequence[Period]) -> list[tuple[str, str, bool]]:
    before = periods[-1].first - timedelta(days=1)
    ways = [("12 months before", f"?until={before:%Y-%m}", False)]
    if periods[0].last < today():
        ways.append(("The last 12 months", "?", False))
    return ways


# Products.


def best_sellers(asked: Asked) -> Contents:
    by = "amount" if asked.query.get("by") == "amount" else "units"
    found = sums.best_sellers(asked.period, by=by, limit=asked.limit)
    highest: dict[str, int] = {}
    for each in found:
        highest[each.currency] = max(highest.get(each.currency, 0), getattr(each, by))
    rows = [_sold_row(each, asked.period, by, highest[each.currency]) for each in found]
    table = Table(
        columns=[
            Column("Product"),
            Column("Units", is_number=True),
            Column("Amount", is_number=True),
            Column("Orders", is_number=True),
        ],
        rows=rows,
        file_columns=["product", "sku", "currency", "units", "amount", "orders"],
        empty="No order was paid in full in these days.",
    )
    days = f"since={asked.period.first}&until={asked.period.last}"
    ways = [
        (title, f"?{days}&by={name}", name == by)
        for title, name in (("By units", "units"), ("By amount", "amount"))
    ]
    return Contents(table, ways=ways)


def _sold_row(each: sums.Sold, period: Period, by: str, highest: int) -> Row:
    product = str(each.product_id or lists.NO_PRODUCT)
    of = listed(lists.PRODUCT_SOLD, period, currency=each.currency, product=product)
    name = each.name or "What is no product"
    link = inventory_url(each.product_id) if each.product_id else ""
    share = share_of(getattr(each, by), highest)
    return Row(
        [
            Cell(name, link, share=share, note=each.sku),
            Cell(f"{each.units:,}", of),
            Cell(formatted(each.amount, each.currency), of),
            Cell(f"{each.orders:,}", of),
        ],
        [
            *(name, each.sku, each.currency, each.units),
            *(plain(each.amount, each.currency), each.orders),
        ],
    )


def cover(asked: Asked) -> Contents:
    found = sums.cover(limit=asked.limit)
    longest = max((each.days for each in found), default=0)
    rows = [
        Row(
            [
                Cell(
                    each.name,
                    inventory_url(each.product_id),
                    share=share_of(round(each.days * 100), round(longest * 100)),
                    note=each.sku,
                ),
                Cell(f"{each.available:,}", inventory_url(each.product_id)),
                Cell(
                    f"{each.ordered:,}",
                    listed(lists.ORDERED, sums.cover_period(), product=str(each.product_id)),
                ),
                Cell(_lasting(each)),
            ],
            [
                *(each.name, each.sku, each.available, each.ordered, each.over),
                round(each.days, 1),
            ],
        )
        for each in found
    ]
    table = Table(
        columns=[
            Column("Product"),
            Column("Available", is_number=True),
            Column("Taken by orders", is_number=True),
            Column("Lasts", is_number=True),
        ],
        rows=rows,
        file_columns=["product", "sku", "available", "taken by orders", "over days", "lasts days"],
        empty="Orders took nothing in the past 30 days.",
    )
    return Contents(table)


def _lasting(each: sums.Cover) -> str:
    if not each.available:
        return "out"
    if each.days < 1:
        return "less than a day"
    return number_of(int(each.days), "day")


def movements(asked: Asked) -> Contents:
    found = sums.movements(asked.period)
    highest = max((each.entries for each in found), default=0)
    table = Table(
        columns=[
            Column("Reason"),
            Column("Added", is_number=True),
            Column("Taken out", is_number=True),
            Column("Allocated", is_number=True),
            Column("Released", is_number=True),
            Column("Entries", is_number=True),
        ],
        rows=[_moved_row(each, asked.period, highest) for each in found[: asked.limit]],
        file_columns=["reason", *_IN_FILES, "entries"],
        empty="Nothing was moved in these days.",
    )
    return Contents(table)


_ACTIONS = (Action.INCREMENT, Action.DECREMENT, Action.ALLOCATE, Action.DEALLOCATE)
_IN_FILES = ("added", "taken out", "allocated", "released")


def _moved_row(each: sums.Moved, period: Period, highest: int) -> Row:
    units = [each.units[action.value] for action in _ACTIONS]
    cells = [
        Cell(
            f"{number:,}" if number else NOTHING,
            listed(lists.MOVED, period, reason=each.reason, action=action.value) if number else "",
        )
        for action, number in zip(_ACTIONS, units, strict=True)
    ]
    share = share_of(each.entries, highest)
    of_all = Cell(f"{each.entries:,}", listed(lists.MOVED, period, reason=each.reason))
    return Row(
        [Cell(_reason(each.reason), share=share), *cells, of_all],
        [each.reason, *units, each.entries],
    )


def _reason(written: str) -> str:
    words = {"count": "Counts", "delivery": "Deliveries", "": "No reason given"}
    return words.get(written, written[:1].upper() + written[1:])


PAGES: Mapping[str, FiguresPage] = {
    "revenue": FiguresPage(
        "Revenue",
        MONEY_SEEN,
        LONGEST,
        "Taken is the money that was captured on the day, whatever its order became. Refunded is "
        "what was given back on the day, whenever it was taken. Money that came too late for its "
        "order counts as neither.",
        revenue,
    ),
    "best-sellers": FiguresPage(
        "Best sellers",
        MONEY_SEEN,
        PRODUCTS_LONGEST,
        "The lines of all orders that were paid in full in these days, at the prices of the order. "
        "What was cancelled or taken back later still counts.",
        best_sellers,
    ),
    "refunds": FiguresPage(
        "Refunds",
        MONEY_SEEN,
        LONGEST,
        "The rate is what was refunded in these days, of what was taken in the same days. A refund "
        "that came back counts no more.",
        refunds,
    ),
    "cover": FiguresPage(
        "Days of cover",
        STOCK_SEEN,
        0,
        "How long what is available lasts if orders go on taking as much as in the past 30 days, "
        "less what they gave back; of a product that is younger, since it was made. Products of "
        "which orders took none are left out.",
        cover,
    ),
    "movements": FiguresPage(
        "Movements",
        STOCK_SEEN,
        LONGEST,
        "Units of all products that were moved in these days, by the reason that the log gives. "
        "All counts are one reason, and all deliveries.",
        movements,
    ),
    "months": FiguresPage(
        "Months",
        MONEY_SEEN,
        0,
        "Sold is the total of the orders that were paid in full in the month; taken, what was "
        "captured in it; refunded, what was given back in it; shipped, what the lines of its "
        "shipments cost, without those that were undone since; cancelled, the total of the orders "
        "that were cancelled in it, paid or not.",
        months,
    ),
}


class FiguresPages(ModelAdmin):
    """Beside the pages of orders, since no table of their own is behind them."""

    def get_urls(self) -> list[URLPattern]:
        wrap = self.admin_site.admin_view
        of_pages = (self.figures_page_view, self.figures_export_view)
        of_lists = (self.list_view, self.list_export_view)
        shown = [
            path(
                f"figures/{under}{at}/{end}", wrap(view), {"name": at}, name=f"figures_{at}{after}"
            )
            for under, ats, views in (("", PAGES, of_pages), ("list/", lists.KINDS, of_lists))
            for at in ats
            for (end, after), view in zip((("", ""), ("export/", "_export")), views, strict=True)
        ]
        first = path("figures/", wrap(self.figures_view), name="figures")
        return [first, *shown, *super().get_urls()]

    def figures_view(self, request: HttpRequest) -> HttpResponse:
        """Open the first of them that one may see. Raises: PermissionDenied."""
        for name, page in PAGES.items():
            if request.user.has_perms(page.permissions):
                return redirect(f"admin:figures_{name}")
        raise PermissionDenied

    def figures_page_view(self, request: HttpRequest, name: str) -> HttpResponse:
        page = PAGES[name]
        _require(request, page.permissions)
        form = PeriodForm(request.GET if page.longest else {}, longest=page.longest or LONGEST)
        contents, is_late = _contents(page, form, request, SHOWN)
        chosen = form.period if form.is_valid() else None
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": f"Figures: {page.title.lower()}",
            "page": page,
            "tabs": [
                (each.title, reverse(f"admin:figures_{other}"), other == name)
                for other, each in PAGES.items()
                if request.user.has_perms(each.permissions)
            ],
            "form": form if page.longest else None,
            "presets": list(presets(chosen, page.longest)),
            "contents": contents,
            "table": contents and contents.table,
            "is_late": is_late,
            "is_cut": contents and len(contents.table.rows) == SHOWN and name in _CUT,
            "shown": SHOWN,
            "file": _with_query(request, reverse(f"admin:figures_{name}_export")),
            "zone": timezone.get_current_timezone_name(),
        }
        return TemplateResponse(request, "admin/figures/page.html", context)

    def figures_export_view(self, request: HttpRequest, name: str) -> HttpResponseBase:
        page = PAGES[name]
        _require(request, page.permissions)
        form = PeriodForm(request.GET if page.longest else {}, longest=page.longest or LONGEST)
        contents, _ = _contents(page, form, request, IN_A_FILE)
        if contents is None:
            return redirect(_with_query(request, reverse(f"admin:figures_{name}")))
        rows = (row.written for row in contents.table.rows)
        return exported(f"{name}-{today()}.csv", contents.table.file_columns, rows)

    def list_view(self, request: HttpRequest, name: str) -> HttpResponse:
        of = lists.KINDS[name]
        _require(request, of.permissions)
        form = lists.ListForm(request.GET)
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": of.title,
            "kind": of,
            "form": form,
            "is_late": False,
            "file": _with_query(request, reverse(f"admin:figures_{name}_export")),
            "zone": timezone.get_current_timezone_name(),
        }
        if form.is_valid() and _is_whole(of, form):
            try:
                context.update(_list_context(of, form))
            except NotAddedUp:
                context["is_late"] = True
        return TemplateResponse(request, "admin/figures/list.html", context)

    def list_export_view(self, request: HttpRequest, name: str) -> HttpResponseBase:
        of = lists.KINDS[name]
        _require(request, of.permissions)
        form = lists.ListForm(request.GET)
        page = _with_query(request, reverse(f"admin:figures_{name}"))
        if not form.is_valid() or not _is_whole(of, form):
            return redirect(page)
        try:
            rows = _all_at(of, lists.asked_by(form))
        except NotAddedUp:
            return redirect(page)
        return exported(f"{name}-{today()}.csv", of.file_columns, rows)


# Pages of which there may be more rows than are shown.
_CUT = {"best-sellers", "cover", "movements"}


def _contents(
    page: FiguresPage, form: PeriodForm, request: HttpRequest, limit: int
) -> tuple[Contents | None, bool]:
    """Read what a page shows, if it can be; and whether it is only too early for that."""
    if not form.is_valid():
        return None, False
    try:
        return page.contents(Asked(form.period, request.GET, limit)), False
    except NotAddedUp:
        return None, True


def _all_at(kind: lists.Kind, asked: lists.Asked) -> Iterator[Sequence[Any]]:
    """Find out at once whether the list can be read. Raises: NotAddedUp."""
    kind.counted(asked)
    return lists.file_rows(kind, asked)


def _list_context(kind: lists.Kind, form: lists.ListForm) -> dict[str, Any]:
    """Raises: NotAddedUp."""
    asked, number = lists.asked_by(form), form.cleaned_data["page"] or 1
    counts = kind.counted(asked)
    in_all = sum((each for each in counts.values()), sums.Sum())
    rows = [kind.shown(row, asked) for row in lists.page_of_list(kind, asked, number)]
    return {
        "asked": asked,
        "rows": rows,
        "number": in_all.number,
        "counted": number_of(in_all.number, *kind.nouns),
        "amount": kind.written(in_all, asked),
        "newer": number - 1,
        "older": number + 1 if number * PER_PAGE < in_all.number and number < PAGES_MAX else 0,
    }


def _is_whole(kind: lists.Kind, form: lists.ListForm) -> bool:
    """Tell whether all is there that the list needs, as it is in every link to one."""
    return all(form.cleaned_data[name] for name in kind.needs)


def _require(request: HttpRequest, permissions: Sequence[str]) -> None:
    """Raises: PermissionDenied."""
    if not request.user.has_perms(permissions):
        raise PermissionDenied


def _with_query(request: HttpRequest, address: str) -> str:
    query = request.GET.urlencode()
    return f"{address}?{query}" if query else address
