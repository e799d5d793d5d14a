"""A stocktake's page: scan after scan, what was counted, and what is left to count."""

import uuid
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from django.core.exceptions import PermissionDenied, SuspiciousOperation
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect
from django.template.loader import render_to_string
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.http import urlencode

from api.errors import Refusal
from api.idempotency import Answered, KeyReused
from backoffice.actions import Action, ActionAdmin, Case
from backoffice.base import PER_PAGE, ServiceAdmin, is_number
from backoffice.missing import missing
from backoffice.scanning import (
    ScanForm,
    Told,
    add_refusal,
    not_taken_back,
    refused,
    scan_to_take_back,
    wants_answer_alone,
)
from backoffice.stocktakes.actions import (
    CLOSE,
    COUNT_LINE,
    DISCARD,
    MAY_CLOSE,
    MAY_SCAN,
    REOPEN,
    LineCase,
    StocktakeCase,
)
from inventory.models import DEFAULT_LOCATION_ID, Stock, Stocktake, StocktakeLine
from inventory.services import codes, stocktakes

COUNTED, LEFT = "counted", "left"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class CountingPage(ActionAdmin, ServiceAdmin):
    def get_urls(self) -> list[URLPattern]:
        return [
            self._page("counting", self.counting_view),
            self._page("line", self.line_view),
            self._page("close", self.close_view),
            *(self._page(each.name, self._view_of(each)) for each in (DISCARD, REOPEN)),
            *super().get_urls(),
        ]

    def _page(self, name: str, view: Callable[..., HttpResponseBase]) -> URLPattern:
        return path(
            f"<uuid:stocktake_id>/{name}/",
            self.admin_site.admin_view(view),
            name=f"inventory_stocktake_{name}",
        )

    def _found(
        self, request: HttpRequest, stocktake_id: uuid.UUID, permission: str = ""
    ) -> Stocktake | None:
        """Raises: PermissionDenied."""
        may = not permission or request.user.has_perm(permission)
        if not may or not self.has_view_or_change_permission(request):
            raise PermissionDenied
        return Stocktake.objects.select_related("sheet").filter(pk=stocktake_id).first()

    # Scanning.

    def counting_view(self, request: HttpRequest, stocktake_id: uuid.UUID) -> HttpResponse:
        is_sent = request.method == "POST"
        stocktake = self._found(request, stocktake_id, MAY_SCAN if is_sent else "")
        if stocktake is None:
            return missing(self, request, stocktake_id)
        if not is_sent:
            return self._counting_page(request, stocktake)
        actions = {"scan": self._scan, "back": self._take_back}
        if request.POST.get("action") not in actions:
            raise SuspiciousOperation("no such action")
        return actions[request.POST["action"]](request, stocktake)

    def _scan(self, request: HttpRequest, stocktake: Stocktake) -> HttpResponse:
        form = ScanForm(request.POST)
        line, confirm = None, ""
        if form.is_valid():
            typed = form.cleaned_data
            try:
                line = stocktakes.scan(
                    stocktake.pk,
                    typed["code"],
                    typed["quantity"],
                    confirmed=typed["confirmed"],
                    key=form.key(request),
                ).line
            except Answered:
                line = _line_scanned(stocktake, typed["code"])
            except KeyReused:
                form.add_error(None, Case.sent_differently)
            except Refusal as refusal:
                confirm = add_refusal(request, form, refusal)
        if form.errors:
            return self._answered(request, stocktake, refused(form, confirm=confirm), form=form)
        units = form.cleaned_data["quantity"]
        if line and not wants_answer_alone(request):
            shown = {"line": str(line.pk), "units": str(units)}
            return redirect(f"{counting_url(stocktake.pk)}?{urlencode(shown)}")
        told = _told(stocktake, line, units) if line else Told("Counted already")
        return self._answered(request, stocktake, told, line=line)

    def _take_back(self, request: HttpRequest, stocktake: Stocktake) -> HttpResponse:
        form = ScanForm(request.POST)
        line_id, units = scan_to_take_back(request)
        line = _lines(stocktake).filter(pk=line_id).first()
        try:
            line = stocktakes.take_back_scan(
                stocktake.pk,
                line_id,
                units,
                since=request.POST.get("since", ""),
                key=form.key(request),
            ).line
            told = _taken_back(line)
        except Answered:
            told = _taken_back(line)
        except Refusal as refusal:
            told = not_taken_back(request, refusal)
        return self._answered(request, stocktake, told)

    # How it looks.

    def _answered(
        self,
        request: HttpRequest,
        stocktake: Stocktake,
        told: Told,
        *,
        form: ScanForm | None = None,
        line: StocktakeLine | None = None,
    ) -> HttpResponse:
        """Draw what a scan has changed or, where the page was sent as a whole, all of it."""
        if not wants_answer_alone(request):
            return self._counting_page(request, stocktake, form=form, told=told)
        stocktake.refresh_from_db()
        context = {
            "stocktake": stocktake,
            "told": told,
            "line": line,
            "page": _counted_page(stocktake, ""),
            "may_scan": stocktake.is_open,
            "scan_url": request.path,
        }
        template = "admin/inventory/stocktake/scanned.html"
        return HttpResponse(render_to_string(template, context, request))

    def _counting_page(
        self,
        request: HttpRequest,
        stocktake: Stocktake,
        *,
        form: ScanForm | None = None,
        told: Told | None = None,
    ) -> HttpResponse:
        if form is None:
            form = ScanForm()
        else:
            form.is_to_be_seen_again(request)
        if told:
            stocktake.refresh_from_db()
        shown = LEFT if request.GET.get("show") == LEFT else COUNTED
        read = _left_page if shown == LEFT else _counted_page
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "original": stocktake,
            "title": str(stocktake),
            "stocktake": stocktake,
            "form": form,
            "told": told or _told_of_last_scan(request, stocktake),
            "scan_url": request.path,
            "may_scan": request.user.has_perm(MAY_SCAN) and stocktake.is_open,
            "may_close": request.user.has_perm(MAY_CLOSE),
            "may_reopen": REOPEN.is_offered(StocktakeCase(request, stocktake)),
            "shown": shown,
            "page": read(stocktake, request.GET.get("after", "")),
            "zone": timezone.get_current_timezone_name(),
        }
        return TemplateResponse(request, "admin/inventory/stocktake/counting.html", context)

    # What is done by one button.

    def close_view(self, request: HttpRequest, stocktake_id: uuid.UUID) -> HttpResponse:
        """Close it, and go on to the sheet, which is being checked."""
        answer = self._confirmed(request, stocktake_id, CLOSE)
        if answer.status_code == 302 and request.method == "POST":
            closed = Stocktake.objects.filter(pk=stocktake_id).exclude(sheet=None).first()
            if closed:
                return redirect("admin:inventory_sheet_change", closed.sheet_id)
        return answer

    def _view_of(self, action: Action[StocktakeCase]) -> Callable[..., HttpResponse]:
        def view(request: HttpRequest, stocktake_id: uuid.UUID) -> HttpResponse:
            return self._confirmed(request, stocktake_id, action)

        return view

    def _confirmed(
        self, request: HttpRequest, stocktake_id: uuid.UUID, action: Action[StocktakeCase]
    ) -> HttpResponse:
        stocktake = self._found(request, stocktake_id, action.permission)
        if stocktake is None:
            return missing(self, request, stocktake_id)
        case = StocktakeCase(request, stocktake)
        return self.confirm(action, case, back=counting_url(stocktake_id))

    def line_view(self, request: HttpRequest, stocktake_id: uuid.UUID) -> HttpResponse:
        """Count a product by hand: the address names its line."""
        stocktake = self._found(request, stocktake_id, MAY_SCAN)
        if stocktake is None:
            return missing(self, request, stocktake_id)
        number = request.GET.get("line", "")
        lines = _lines(stocktake).select_related("stocktake")
        line = lines.filter(pk=int(number)).first() if is_number(number) else None
        if line is None:
            return redirect(counting_url(stocktake_id))
        back = counting_url(stocktake_id) + ("" if line.units is not None else f"?show={LEFT}")
        return self.confirm(
            COUNT_LINE,
            LineCase(request, line),
            back=back,
            original=stocktake,
            title=str(stocktake),
        )


def counting_url(stocktake_id: uuid.UUID) -> str:
    return reverse("admin:inventory_stocktake_counting", args=[stocktake_id])


# What is said to a scan. Of what the books say, nothing while it is blind.


def _line_scanned(stocktake: Stocktake, code: str) -> StocktakeLine | None:
    """Find the line of a scan that was counted before."""
    product_id = codes.product_scanned(code)
    lines = _lines(stocktake).filter(product__in=[product_id] if product_id else [])
    return lines.exclude(units=None).first()


def _told(stocktake: Stocktake, line: StocktakeLine, units: int) -> Told:
    product = line.product
    [(_, books)] = _beside_the_books(stocktake, [line])
    said = [f"+{units:,}."]
    if books is not None:
        said.append(f"The books say {books:,}.")
    if line.is_added:
        said.append("It was not on the list, and is counted all the same.")
    return Told(
        heading=product.name,
        note=f"{product.sku}{f' · {product.barcode}' if product.barcode else ''}",
        figure=f"{line.units or 0:,}",
        words=" ".join(said),
        is_odd=line.is_added,
        hidden=(
            ("action", "back"),
            ("line", str(line.pk)),
            ("units", str(units)),
            ("since", str(line.first_at)),
            ("once", ScanForm().once_more()),
        ),
        button="Undo this scan",
    )


def _taken_back(line: StocktakeLine | None) -> Told:
    if line is None:
        return Told("Taken back")
    figure = "not counted" if line.units is None else f"{line.units:,}"
    return Told(f"Taken back: {line.product.name}", note=line.product.sku, figure=figure)


def _told_of_last_scan(request: HttpRequest, stocktake: Stocktake) -> Told | None:
    """Say it again on the page that is shown after a scan that was sent as a whole."""
    number, units = request.GET.get("line", ""), request.GET.get("units", "")
    if not (stocktake.is_open and is_number(number) and is_number(units)):
        return None
    line = _lines(stocktake).filter(pk=int(number)).exclude(units=None).first()
    return _told(stocktake, line, int(units)) if line else None


# Lines.

Beside = tuple[StocktakeLine, int | None]


@dataclass(frozen=True)
class LinesPage:
    """Lines, each beside what the books say, if that may be seen; every page costs the same."""

    lines: list[Beside]
    # What the addresses of the neighbouring pages say; empty where there is none.
    next: str = ""
    previous: str = ""
    is_first: bool = True


def _lines(stocktake: Stocktake) -> "QuerySet[StocktakeLine]":
    return stocktake.lines.select_related("product")


def _counted_page(stocktake: Stocktake, after: str) -> LinesPage:
    """Read what was counted, the last first, after the moment and the line that are named."""
    counted = _lines(stocktake).exclude(units=None)
    moment, _, number = after.partition("-")
    is_first = not (is_number(moment) and is_number(number))
    if not is_first:
        at = _EPOCH + timedelta(microseconds=min(int(moment), _MICROSECONDS_MAX))
        counted = counted.filter(Q(counted_at__lt=at) | Q(counted_at=at, pk__lt=int(number)))
    found = list(counted.order_by("-counted_at", "-pk")[: PER_PAGE + 1])
    page = found[:PER_PAGE]
    next_page = _place_of(page[-1]) if len(found) > PER_PAGE else ""
    return LinesPage(_beside_the_books(stocktake, page), next=next_page, is_first=is_first)


# A few thousand years, beyond which the arithmetic of dates ends.
_MICROSECONDS_MAX = 10**17


def _place_of(line: StocktakeLine) -> str:
    assert line.counted_at
    return f"{(line.counted_at - _EPOCH) // timedelta(microseconds=1)}-{line.pk}"


def _left_page(stocktake: Stocktake, after: str) -> LinesPage:
    """Read what is left to count, in the order of the list, after the place that is named.

    What was deleted from the store since is not to be counted any more.
    """
    left = _lines(stocktake).filter(units=None, product__archived_at=None)
    begin = int(after) if is_number(after) and len(after) < 10 else 0
    found = list(left.filter(number__gt=begin).order_by("number")[: PER_PAGE + 1])
    page = found[:PER_PAGE]
    before = list(left.filter(number__lte=begin).order_by("-number")[:PER_PAGE]) if begin else []
    return LinesPage(
        _beside_the_books(stocktake, page),
        next=str(page[-1].number) if len(found) > PER_PAGE else "",
        previous=str(before[-1].number - 1) if before else "",
    )


def _beside_the_books(stocktake: Stocktake, lines: Sequence[StocktakeLine]) -> list[Beside]:
    if stocktake.hides_the_books:
        return [(line, None) for line in lines]
    totals = _totals(line.product_id for line in lines)
    return [(line, totals.get(line.product_id)) for line in lines]


def _totals(product_ids: Iterable[uuid.UUID]) -> dict[uuid.UUID, int]:
    here = Stock.objects.filter(location_id=DEFAULT_LOCATION_ID, product_id__in=list(product_ids))
    return dict(here.values_list("product_id", "total"))
