"""A delivery's goods: what is expected, and what comes in, scan after scan."""

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.contrib.admin.utils import quote
from django.core.exceptions import PermissionDenied, SuspiciousOperation
from django.db.models import Exists, F, OuterRef, Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect
from django.template.loader import render_to_string
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.http import urlencode

from api.errors import Refusal, Standing
from api.idempotency import Answered, KeyReused
from backoffice.actions import Action, ActionAdmin, Case
from backoffice.base import ServiceAdmin, is_number
from backoffice.deliveries.actions import BOOK, UNDO, DeliveryCase
from backoffice.deliveries.forms import GoodsForm, LineForm
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
from inventory.models import Delivery, DeliveryLine, Stock
from inventory.services import codes, deliveries

MAY_CHANGE = "inventory.change_delivery"
LINES_A_PAGE = 100
# What of a delivery's lines is shown, and the condition on them.
SHOWN = {
    "all": ("All", Q()),
    "short": ("Short", Q(received__lt=F("expected"))),
    "over": ("More than expected", Q(received__gt=F("expected"), expected__gt=0)),
    "unexpected": ("Not expected", Q(expected=0)),
}


class GoodsPage(ActionAdmin, ServiceAdmin):
    def get_urls(self) -> list[URLPattern]:
        return [
            self._page("goods", self.goods_view),
            self._page("line", self.line_view),
            self._page("book", self.book_view),
            self._page("undo", self.undo_view),
            *super().get_urls(),
        ]

    def _page(self, name: str, view: Callable[..., HttpResponseBase]) -> URLPattern:
        return path(
            f"<uuid:delivery_id>/{name}/",
            self.admin_site.admin_view(view),
            name=f"inventory_delivery_{name}",
        )

    def _found(self, request: HttpRequest, delivery_id: uuid.UUID) -> Delivery | None:
        """Raises: PermissionDenied."""
        if not self.has_view_or_change_permission(request):
            raise PermissionDenied
        return Delivery.objects.filter(pk=delivery_id).first()

    # Scanning.

    def goods_view(self, request: HttpRequest, delivery_id: uuid.UUID) -> HttpResponse:
        delivery = self._found(request, delivery_id)
        if delivery is None:
            return missing(self, request, delivery_id)
        if request.method != "POST":
            return self._goods_page(request, delivery)
        _require_change_permission(request)
        actions = {"scan": self._scan, "back": self._take_back}
        if request.POST.get("action") not in actions:
            raise SuspiciousOperation("no such action")
        return actions[request.POST["action"]](request, delivery)

    def _scan(self, request: HttpRequest, delivery: Delivery) -> HttpResponse:
        form = GoodsForm(request.POST)
        line, is_new, confirm = None, False, ""
        if form.is_valid():
            typed = form.cleaned_data
            try:
                line, _, is_new = deliveries.scan(
                    delivery.pk,
                    typed["code"],
                    typed["quantity"],
                    expecting=typed["expecting"],
                    confirmed=typed["confirmed"],
                    key=form.key(request),
                )
            except Answered:
                line = _line_scanned(delivery, typed["code"])
            except KeyReused:
                form.add_error(None, Case.sent_differently)
            except Refusal as refusal:
                confirm = add_refusal(request, form, refusal)
        expecting = form.cleaned_data.get("expecting", False)
        if form.errors:
            told = refused(form, confirm=confirm)
            return self._answered(request, delivery, told, form=form, expecting=expecting)
        return self._counted(
            request, delivery, line, form.cleaned_data["quantity"], expecting, is_new=is_new
        )

    def _take_back(self, request: HttpRequest, delivery: Delivery) -> HttpResponse:
        form = ScanForm(request.POST)
        line_id, units = scan_to_take_back(request)
        expecting = request.POST.get("expecting") == "on"
        line = delivery.lines.filter(pk=line_id).select_related("product").first()
        try:
            left = deliveries.take_back_scan(
                delivery.pk,
                line_id,
                units,
                expecting=expecting,
                key=form.key(request),
            )
            told = _taken_back(left or line)
        except Answered:
            left, told = line, _taken_back(line)
        except Refusal as refusal:
            left, told = line, not_taken_back(request, refusal)
        gone = line_id if left is None else None
        return self._answered(request, delivery, told, line=left, gone=gone, expecting=expecting)

    def _counted(
        self,
        request: HttpRequest,
        delivery: Delivery,
        line: DeliveryLine | None,
        units: int,
        expecting: bool,
        *,
        is_new: bool,
    ) -> HttpResponse:
        if line is None or wants_answer_alone(request):
            told = _told(line, units, expecting) if line else Told("Counted already")
            return self._answered(
                request, delivery, told, line=line, is_new=is_new, expecting=expecting
            )
        shown = {"line": str(line.pk), "units": str(units)} | (
            {"expecting": "on"} if expecting else {}
        )
        return redirect(f"{goods_url(delivery.pk)}?{urlencode(shown)}")

    # How it looks.

    def _answered(
        self,
        request: HttpRequest,
        delivery: Delivery,
        told: Told,
        *,
        form: ScanForm | None = None,
        line: DeliveryLine | None = None,
        is_new: bool = False,
        gone: int | None = None,
        expecting: bool = False,
    ) -> HttpResponse:
        """Draw what a scan has changed or, where the page was sent as a whole, all of it."""
        if not wants_answer_alone(request):
            return self._goods_page(request, delivery, form=form, told=told, expecting=expecting)
        try:
            delivery.refresh_from_db()
        except Delivery.DoesNotExist:
            return missing(self, request, delivery.pk)
        totals = deliveries.totals(delivery)
        context = {
            "delivery": delivery,
            "totals": totals,
            "choices": _choices(totals, _asked(request)),
            "told": told,
            "line": _lines(delivery).filter(pk=line.pk).first() if line else None,
            "is_new": is_new,
            "gone": gone,
            "may_change": delivery.is_open,
            "scan_url": _scan_url(request, expecting),
        }
        answer = render_to_string("admin/inventory/delivery/scanned.html", context, request)
        return HttpResponse(answer)

    def _goods_page(
        self,
        request: HttpRequest,
        delivery: Delivery,
        *,
        form: ScanForm | None = None,
        told: Told | None = None,
        expecting: bool = False,
    ) -> HttpResponse:
        expecting = expecting or request.GET.get("expecting") == "on"
        if form is None:
            form = GoodsForm(initial={"expecting": expecting})
        else:
            form.is_to_be_seen_again(request)
        shown, totals = _asked(request), deliveries.totals(delivery)
        case = DeliveryCase(request, delivery)
        context = {
            **self.admin_site.each_context(request),
            **titles(request, delivery, "Goods"),
            "opts": self.opts,
            "zone": timezone.get_current_timezone_name(),
            "original": delivery,
            "delivery": delivery,
            "totals": totals,
            "form": form,
            "told": told or _told_of_last_scan(request, delivery),
            "scan_url": _scan_url(request, expecting),
            "expecting": expecting,
            "may_change": request.user.has_perm(MAY_CHANGE) and delivery.is_open,
            "may_book": case.may(BOOK.permission),
            "shown": shown,
            "choices": _choices(totals, shown),
            "page": _page_of(delivery, shown, request.GET.get("after", "")),
            "followers": delivery.followers.all(),
        }
        return TemplateResponse(request, "admin/inventory/delivery/goods.html", context)

    # What is done by one button.

    def book_view(self, request: HttpRequest, delivery_id: uuid.UUID) -> HttpResponse:
        return self._confirmed(request, delivery_id, BOOK, "admin/inventory/delivery/lines.html")

    def undo_view(self, request: HttpRequest, delivery_id: uuid.UUID) -> HttpResponse:
        return self._confirmed(request, delivery_id, UNDO)

    def _confirmed(
        self,
        request: HttpRequest,
        delivery_id: uuid.UUID,
        action: Action[DeliveryCase],
        details: str = "",
    ) -> HttpResponse:
        delivery = self._found(request, delivery_id)
        case = DeliveryCase(request, delivery)  # type: ignore[arg-type]
        if not case.may(action.permission):
            raise PermissionDenied
        if delivery is None:
            return missing(self, request, delivery_id)
        lines = case.lines() if details else []
        back = goods_url(delivery_id)
        return self.confirm(action, case, back=back, details=details, lines=lines)

    def line_view(self, request: HttpRequest, delivery_id: uuid.UUID) -> HttpResponse:
        """Correct a line, which the address names, or take it off."""
        delivery = self._found(request, delivery_id)
        _require_change_permission(request)
        if delivery is None:
            return missing(self, request, delivery_id)
        number = request.GET.get("line", "")
        lines = delivery.lines.select_related("product", "delivery")
        line = lines.filter(pk=int(number)).first() if is_number(number) else None
        if line is None:
            return redirect(goods_url(delivery_id))
        action = REMOVE_LINE if "_remove" in request.POST else CORRECT_LINE
        return self.confirm(
            action,
            LineCase(request, line),
            back=goods_url(delivery_id),
            original=delivery,
            title=f"Delivery {delivery}",
            other_button="admin/inventory/delivery/remove_line.html",
        )


def _scan_url(request: HttpRequest, expecting: bool) -> str:
    """Where the field is sent: to the page as it is, but for what was scanned last."""
    asked = {"show": _asked(request)} | ({"expecting": "on"} if expecting else {})
    return f"{request.path}?{urlencode(asked)}"


def goods_url(delivery_id: uuid.UUID) -> str:
    return reverse("admin:inventory_delivery_goods", args=[delivery_id])


def titles(request: HttpRequest, delivery: Delivery, tab: str) -> dict[str, Any]:
    links = {"Goods": "goods", "Details": "change"}
    items = [
        {
            "title": title,
            "link": reverse(f"admin:inventory_delivery_{name}", args=[quote(delivery.pk)]),
            "active": title == tab,
            "has_permission": True,
        }
        for title, name in links.items()
    ]
    tab_list = [{"models": [{"name": "inventory.delivery", "detail": True}], "items": items}]
    return {"title": f"Delivery {delivery}", "subtitle": tab, "tab_list": tab_list}


def _require_change_permission(request: HttpRequest) -> None:
    if not request.user.has_perm(MAY_CHANGE):
        raise PermissionDenied


# What is said to a scan.


def _line_scanned(delivery: Delivery, code: str) -> DeliveryLine | None:
    """Find the line of a scan that was counted before."""
    product_id = codes.product_scanned(code)
    lines = delivery.lines.filter(product__in=[product_id] if product_id else [])
    return lines.select_related("product").first()


def _told(line: DeliveryLine, units: int, expecting: bool) -> Told:
    hidden = [
        ("action", "back"),
        ("line", str(line.pk)),
        ("units", str(units)),
        ("once", ScanForm().once_more()),
    ]
    product = line.product
    if expecting:
        figure, state, is_odd = f"{line.expected:,} expected", "", False
        hidden.append(("expecting", "on"))
    else:
        figure = f"{line.received:,} of {line.expected:,}"
        state, is_odd = state_of(line), bool(line.over)
    return Told(
        heading=product.name,
        note=f"{product.sku}{f' · {product.barcode}' if product.barcode else ''}",
        figure=figure,
        words=f"+{units:,}. {state}".strip(),
        is_odd=is_odd,
        hidden=tuple(hidden),
        button="Undo this scan",
    )


def _taken_back(line: DeliveryLine | None) -> Told:
    if line is None:
        return Told("Taken back")
    return Told(
        f"Taken back: {line.product.name}",
        note=line.product.sku,
        figure=f"{line.received:,} of {line.expected:,}",
    )


def state_of(line: DeliveryLine) -> str:
    """Say in words how what came compares with what was expected."""
    if not line.expected:
        return "Not expected"
    if line.short:
        return f"{line.short:,} still to come"
    return f"{line.over:,} more than expected" if line.over else "As expected"


def _told_of_last_scan(request: HttpRequest, delivery: Delivery) -> Told | None:
    """Say it again on the page that is shown after a scan that was sent as a whole."""
    number, units = request.GET.get("line", ""), request.GET.get("units", "")
    if not (delivery.is_open and is_number(number) and is_number(units)):
        return None
    line = delivery.lines.filter(pk=int(number)).select_related("product").first()
    return _told(line, int(units), request.GET.get("expecting") == "on") if line else None


# Lines.


@dataclass(frozen=True)
class LinesPage:
    """Some of a delivery's lines: found by their numbers, so that every page costs the same."""

    lines: list[DeliveryLine]
    next: int | None
    previous: int | None


def _asked(request: HttpRequest) -> str:
    """Tell which lines are to be shown."""
    asked = request.GET.get("show", "")
    return asked if asked in SHOWN else "all"


def _choices(totals: deliveries.Totals, shown: str) -> list[tuple[str, str, int, bool]]:
    return [
        (name, label, getattr(totals, f"lines_{name}"), name == shown)
        for name, (label, _) in SHOWN.items()
    ]


def _lines(delivery: Delivery) -> "QuerySet[DeliveryLine]":
    managed = Stock.objects.filter(product_id=OuterRef("product_id"), managed=True)
    return delivery.lines.select_related("product").annotate(is_managed=Exists(managed))


def _page_of(delivery: Delivery, shown: str, after: str) -> LinesPage:
    _, condition = SHOWN[shown]
    lines = _lines(delivery).filter(condition)
    begin = int(after) if is_number(after) else 0
    page = list(lines.filter(pk__gt=begin).order_by("pk")[: LINES_A_PAGE + 1])
    before = lines.filter(pk__lte=begin).order_by("-pk").values_list("pk", flat=True)
    numbers = list(before[:LINES_A_PAGE]) if begin else []
    return LinesPage(
        page[:LINES_A_PAGE],
        next=page[LINES_A_PAGE - 1].pk if len(page) > LINES_A_PAGE else None,
        previous=numbers[-1] - 1 if numbers else None,
    )


@dataclass(frozen=True)
class LineCase(Case[DeliveryLine]):
    def standing(self) -> Standing:
        line = self.subject
        return {"expected": line.expected, "received": line.received}


def _require_open(case: LineCase) -> None:
    case.subject.delivery.require(Delivery.State.OPEN)


def _correct(case: LineCase, form: LineForm) -> str:
    typed = form.cleaned_data
    line = deliveries.correct(
        case.subject.delivery_id,
        case.subject.pk,
        expected=typed["expected"],
        received=typed["received"],
        seen=form.saw,
        confirmed=typed["confirmed"],
        key=form.key(case.request),
    )
    return f"{line.product}: {line.received:,} of {line.expected:,}."


def _remove(case: LineCase, form: LineForm) -> str:
    line = case.subject
    deliveries.remove_line(line.delivery_id, line.pk, seen=form.saw, key=form.key(case.request))
    return f"{line.product} is off the delivery."


CORRECT_LINE: Action[LineCase] = Action(
    "line",
    "Correct",
    MAY_CHANGE,
    _correct,
    guard=_require_open,
    form=LineForm,
    heading="{subject.product}",
    label=lambda case: "Save",
)
REMOVE_LINE: Action[LineCase] = Action(
    "remove_line",
    "Remove",
    MAY_CHANGE,
    _remove,
    guard=_require_open,
    form=LineForm,
    heading="{subject.product}",
)
