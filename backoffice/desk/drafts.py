"""A draft: a cart that somebody of the store fills for a customer, and makes an order of."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Self

from django.contrib import messages
from django.core.exceptions import PermissionDenied, SuspiciousOperation
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect
from django.template.loader import render_to_string
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.safestring import SafeString

from api.errors import Moved, Refusal, Standing
from api.idempotency import Answered, KeyReused
from backoffice.actions import Action, ActionAdmin, ActionForm, Case, carry_out, was_done_before
from backoffice.base import units
from backoffice.dates import said
from backoffice.desk.finding import Found, in_stock, look_for, product_of
from backoffice.desk.forms import (
    TYPED_MAX,
    CheckOutForm,
    CustomForm,
    DeskScanForm,
    DraftLineForm,
    KnownCustomerForm,
)
from backoffice.missing import missing
from backoffice.products.money import in_order
from backoffice.scanning import Told, refused, require_answer, wants_answer_alone
from backoffice.sent_pictures import thumbnails
from inventory.models import Currency
from inventory.services import currencies
from orders.errors import InsufficientStock, SeveralRefused
from orders.models import ITEMS_MAX, Order
from orders.services import cart_contents, carts, desk
from orders.services.cart_contents import CartContents, CartLine
from orders.services.cart_lines import CustomItem, LineChange, ProductWanted

MAY_MAKE = "orders.add_order"


@dataclass(frozen=True)
class Draft:
    """A cart of the desk as it is now. Nothing is written before something is put into it."""

    cart_id: str

    def __str__(self) -> str:
        return "New order"

    @cached_property
    def contents(self) -> CartContents:
        return cart_contents.contents(self.cart_id)

    @property
    def lines(self) -> list[CartLine]:
        return self.contents.lines

    @cached_property
    def short(self) -> set[Any]:
        """The products of which less is available than all lines together want."""
        wanted: dict[Any, int] = {}
        for line in self.lines:
            wanted[line.item.product_id] = wanted.get(line.item.product_id, 0) + line.item.quantity
        return {
            line.item.product_id
            for line in self.lines
            if line.offer.available is not None
            and wanted[line.item.product_id] > line.offer.available
        }

    def currency(self, asked: str = "") -> Currency:
        """The currency of what is in it, or else the one that is asked for or the store's."""
        cart = self.contents.cart
        code = cart.currency_id if cart and cart.currency_id else asked
        known = currencies.by_code()
        return known[code] if code in known else currencies.named("")


@dataclass(frozen=True)
class LineShown:
    line: CartLine
    form: DraftLineForm
    price: str
    value: str
    stock: str
    # Why it cannot be checked out as it is, if it cannot.
    wrong: str
    thumbnail: SafeString


@dataclass(frozen=True)
class DraftCase(Case[Draft]):
    sent_differently = "This form was sent before, with other values. Look at the orders."

    @property
    def draft(self) -> Draft:
        return self.subject

    def again(self) -> Self:
        return replace(self, subject=Draft(self.draft.cart_id))

    def standing(self) -> Standing:
        return cart_contents.standing(self.draft.lines)

    def worded(self, part: Any) -> str:
        if isinstance(part, int):
            return self.draft.currency().formatted(part)
        return super().worded(part)


def _discard(case: DraftCase, form: ActionForm) -> str:
    carts.delete(case.draft.cart_id, key=form.key(case.request))
    return "The draft is discarded."


DISCARD: Action[DraftCase] = Action(
    "discard",
    "Discard the draft",
    MAY_MAKE,
    _discard,
    effects=lambda case: [
        f"Forgets the {units(sum(line.item.quantity for line in case.draft.lines))} on it. "
        "Nothing of it was ordered, and nothing is held for it."
    ],
    heading="Discard the draft?",
    dangerous=True,
)


class DraftPages(ActionAdmin):
    def get_urls(self) -> list[URLPattern]:
        return [
            self._draft_page("desk", self.desk_view),
            self._draft_page("check_out", self.check_out_view),
            self._draft_page("discard", self.discard_view),
            *super().get_urls(),
        ]

    def _draft_page(self, name: str, view: Callable[..., HttpResponseBase]) -> URLPattern:
        return path(
            f"<str:cart_id>/{name.replace('_', '-')}/",
            self.admin_site.admin_view(view),
            name=f"orders_cart_{name}",
        )

    def _elsewhere(self, request: HttpRequest, cart_id: str) -> HttpResponse | None:
        """Where to go if there is no draft of this name, or not any more. Raises: PermissionDenied.

        Shoppers' carts are theirs.
        """
        if not request.user.has_perm(MAY_MAKE):
            raise PermissionDenied
        if not desk.is_draft(cart_id):
            return missing(self, request, cart_id)
        if order := desk.order_of(cart_id):
            messages.info(request, f"This draft became order {order}.")
            return redirect("admin:orders_order_change", order.pk)
        return None

    # Filling it.

    def desk_view(self, request: HttpRequest, cart_id: str) -> HttpResponse:
        draft = Draft(cart_id)
        if request.method != "POST":
            return self._elsewhere(request, cart_id) or self._page(request, draft, Said())
        if not request.user.has_perm(MAY_MAKE) or not desk.is_draft(cart_id):
            raise PermissionDenied
        does = {"scan": _scan, "custom": _add_custom, "line": _change_line}
        action = request.POST.get("action", "")
        if action not in does:
            raise SuspiciousOperation("no such action")
        said = does[action](DraftCase(request, draft))
        if said.told is None and said.is_done and not wants_answer_alone(request):
            return redirect(desk_url(cart_id))
        return self._page(request, Draft(cart_id), said)

    def _page(self, request: HttpRequest, draft: Draft, said: "Said") -> HttpResponse:
        context = {
            **self._of(request, draft),
            "told": said.told,
            "found": said.found,
            "form": said.scan_form or _scan_form(draft),
            "custom_form": said.custom_form or CustomForm(currency=draft.currency()),
            "begun": draft.contents.cart is not None,
        }
        if wants_answer_alone(request):
            answer = render_to_string("admin/orders/cart/answered.html", context, request)
            return HttpResponse(answer)
        shared = {**self.admin_site.each_context(request), **context}
        return TemplateResponse(request, "admin/orders/cart/desk.html", shared)

    def _of(self, request: HttpRequest, draft: Draft) -> dict[str, Any]:
        cart = draft.contents.cart
        return {
            "opts": self.opts,
            "title": str(draft),
            "draft": draft,
            "scan_url": desk_url(draft.cart_id),
            "lines": _lines_shown(draft),
            "lines_max": ITEMS_MAX,
            "total": draft.currency().formatted(draft.contents.total),
            "currencies": in_order(currencies.by_code()),
            "currency": draft.currency(),
            "made_by": cart.name if cart else "",
            "kept_until": said(cart.expires_at) if cart else "",
        }

    # Making an order of it.

    def check_out_view(self, request: HttpRequest, cart_id: str) -> HttpResponse:
        if elsewhere := self._elsewhere(request, cart_id):
            return elsewhere
        case = DraftCase(request, Draft(cart_id))
        if not case.draft.lines:
            messages.error(request, "There is nothing in this draft yet.")
            return redirect(desk_url(cart_id))
        known, last = _known(request)
        form = CheckOutForm(None, case=case, last=last, typed=_kept(request).get(cart_id))
        if "_back" in request.POST:
            _keep(request, cart_id, form)
            return redirect(desk_url(cart_id))
        if request.method == "POST":
            form = CheckOutForm(request.POST, case=case)
            if was_done_before(case, form):
                return redirect(desk_url(cart_id))
            if form.is_valid() and carry_out(case, lambda: _check_out(case, form), form):
                return self._then(request, cart_id)
            case = case.again()
            form.case = case
            form.is_to_be_seen_again(request)
        context = {
            **self.admin_site.each_context(request),
            **self._of(request, case.draft),
            "title": "Check out",
            "form": form,
            "known": known,
            "last": last,
        }
        return TemplateResponse(request, "admin/orders/cart/check_out.html", context)

    def _then(self, request: HttpRequest, cart_id: str) -> HttpResponse:
        order = desk.order_of(cart_id)
        if order is None:
            return redirect(desk_url(cart_id))
        _forget(request, cart_id)
        pays = "_pay" in request.POST and request.user.has_perm("payments.add_payment")
        return redirect(f"admin:orders_order_{'record_payment' if pays else 'change'}", order.pk)

    def discard_view(self, request: HttpRequest, cart_id: str) -> HttpResponse:
        if elsewhere := self._elsewhere(request, cart_id):
            return elsewhere
        return self.confirm(
            DISCARD,
            DraftCase(request, Draft(cart_id)),
            back=desk_url(cart_id),
            then=reverse("admin:orders_cart_changelist"),
            original=None,
        )


def desk_url(cart_id: str) -> str:
    return reverse("admin:orders_cart_desk", args=[cart_id])


def _known(request: HttpRequest) -> tuple[KnownCustomerForm | None, Order | None]:
    """Look up the last order of the customer whose e-mail is in the address, if any is.

    Whoever may see no orders is told nothing of them here, either.
    """
    if not request.user.has_perm("orders.view_order"):
        return None, None
    asked = request.GET if "known" in request.GET and request.method == "GET" else None
    form = KnownCustomerForm(asked, label_suffix="")
    if asked is None or not form.is_valid():
        return form, None
    last = desk.last_order_of(form.cleaned_data["known"])
    if last is None:
        form.add_error("known", "No earlier order has this e-mail.")
    return form, last


# What was typed about the customer of a draft, while people go back to what is on it. It is kept
# with their login, and gone when they log out.

_KEPT, _DRAFTS_KEPT_MAX = "typed-for-drafts", 5


def _kept(request: HttpRequest) -> dict[str, dict[str, str]]:
    kept: dict[str, dict[str, str]] = request.session.get(_KEPT, {})
    return kept


def _keep(request: HttpRequest, cart_id: str, form: CheckOutForm) -> None:
    typed = {name: request.POST.get(name, "")[:TYPED_MAX] for name in form.typed_into()}
    _forget(request, cart_id)
    newest = list(_kept(request).items())[1 - _DRAFTS_KEPT_MAX :]
    request.session[_KEPT] = {**dict(newest), cart_id: typed}


def _forget(request: HttpRequest, cart_id: str) -> None:
    if cart_id in (kept := _kept(request)):
        request.session[_KEPT] = {name: typed for name, typed in kept.items() if name != cart_id}


def _check_out(case: DraftCase, form: CheckOutForm) -> str:
    order = desk.check_out(
        case.draft.cart_id,
        form.buyer,
        actor=case.actor,
        note=form.cleaned_data["note"],
        seen=form.saw,
        key=form.key(case.request),
    )
    return f"Order {order} is made. Nothing is held for it until a payment is recorded."


# What is done to a draft, and what is said to it.


@dataclass(frozen=True)
class Said:
    told: Told | None = None
    found: Found | None = None
    # Those that were not in order.
    scan_form: DeskScanForm | None = None
    custom_form: CustomForm | None = None
    is_done: bool = False


def _scan_form(draft: Draft, data: Any = None) -> DeskScanForm:
    known = {each.code: each for each in in_order(currencies.by_code())}
    initial = {"currency": draft.currency().code}
    return DeskScanForm(data, currencies=known, initial=initial)


def _scan(case: DraftCase) -> Said:
    """Add what a code means; what is no code is looked for."""
    form = _scan_form(case.draft, case.request.POST)
    if not form.is_valid():
        return Said(refused(form), scan_form=_seen_again(form, case.request))
    typed = form.cleaned_data
    currency = case.draft.currency(typed["currency"])
    code, quantity = typed["code"], typed["quantity"]
    product_id = product_of(code)
    if product_id is None:
        found = look_for(code, currency, quantity)
        if found.shown:
            return Said(found=found)
        form.add_error(None, f"Nothing that is for sale is called {code}.")
        return Said(refused(form), scan_form=_seen_again(form, case.request))
    try:
        contents = desk.add(
            case.draft.cart_id,
            ProductWanted(quantity, product_id),
            currency=currency.code,
            actor=case.actor,
            is_begun=typed["begun"],
            key=form.key(case.request),
        )
    except Answered:
        return Said(Told("Added already"))
    except KeyReused:
        form.add_error(None, case.sent_differently)
    except Refusal as refusal:
        require_answer(case.request, refusal)
        form.add_error(None, _words(refusal, look_for(code, currency)))
    else:
        line = next(each for each in contents.lines if each.item.product_id == product_id)
        return Said(_told(line, quantity), is_done=True)
    return Said(refused(form), scan_form=_seen_again(form, case.request))


def _seen_again(form: Any, request: HttpRequest) -> Any:
    form.is_to_be_seen_again(request)
    return form


def _words(refusal: Refusal, found: Found) -> str:
    """Say how many there are, which a shopper does not learn."""
    if isinstance(refusal, InsufficientStock) and len(found.shown) == 1:
        return f"There is not enough of it: {found.shown[0].stock}."
    return str(refusal)


def _told(line: CartLine, added: int) -> Told:
    offer, quantity = line.offer, line.item.quantity
    is_short = offer.available is not None and quantity > offer.available
    return Told(
        heading=offer.name,
        note=offer.sku,
        figure=f"{quantity:,}",
        words=f"+{added:,}. {in_stock(offer)}".strip(),
        is_odd=is_short,
    )


def _add_custom(case: DraftCase) -> Said:
    post = case.request.POST
    form = CustomForm(post, currency=case.draft.currency(post.get("currency", "")))
    if form.is_valid():
        item: CustomItem = form.item
        try:
            desk.add(
                case.draft.cart_id,
                item,
                currency=item.currency,
                actor=case.actor,
                is_begun=form.cleaned_data["begun"],
                key=form.key(case.request),
            )
        except Answered:
            return Said(Told("Added already"))
        except KeyReused:
            form.add_error(None, case.sent_differently)
        except Refusal as refusal:
            require_answer(case.request, refusal)
            form.add_error(None, str(refusal))
        else:
            told = Told(item.name, figure=f"{item.quantity:,}", words="Added.")
            return Said(told, is_done=True)
    return Said(custom_form=_seen_again(form, case.request))


def _change_line(case: DraftCase) -> Said:
    form = DraftLineForm(case.request.POST)
    if not form.is_valid():
        return Said(_not_changed(" ".join(str(each) for each in _faults(form))))
    typed = form.cleaned_data
    line_id, was = typed["line"], typed["was"]
    try:
        carts.change_items(
            case.draft.cart_id,
            [LineChange(line_id, typed["quantity"])],
            seen={str(line_id): was},
            key=form.key(case.request),
        )
    except Answered:
        return Said(is_done=True)
    except KeyReused:
        return Said(_not_changed(case.sent_differently))
    except Moved:
        return Said(_not_changed(_what_moved(case.again().draft, line_id, was)))
    except SeveralRefused as several:
        refusal = several.refused[0].refusal
        return Said(_not_changed(_why_not(case.draft, line_id, refusal)))
    except Refusal as refusal:
        require_answer(case.request, refusal)
        return Said(_not_changed(str(refusal)))
    return Said(is_done=True)


def _faults(form: DraftLineForm) -> list[Any]:
    return [fault for faults in form.errors.values() for fault in faults]


def _not_changed(why: str) -> Told:
    return Told("Not changed", words=why, is_refused=True)


def _line_of(draft: Draft, line_id: Any) -> CartLine | None:
    return next((line for line in draft.lines if line.item.pk == line_id), None)


def _what_moved(draft: Draft, line_id: Any, was: int) -> str:
    line = _line_of(draft, line_id)
    now = f"is {line.item.quantity:,} now" if line else "is gone"
    return f"Somebody else changed this line meanwhile: it was {was:,}, and {now}."


def _why_not(draft: Draft, line_id: Any, refusal: Refusal) -> str:
    line = _line_of(draft, line_id)
    if isinstance(refusal, InsufficientStock) and line:
        return f"There is not enough of {line.offer.name}: {in_stock(line.offer)}."
    return str(refusal)


def _lines_shown(draft: Draft) -> list[LineShown]:
    money = draft.currency().formatted
    drawn: Mapping[Any, SafeString] = thumbnails(line.item.product_id for line in draft.lines)
    return [
        LineShown(
            line,
            DraftLineForm(
                initial={
                    "line": line.item.pk,
                    "was": line.item.quantity,
                    "quantity": line.item.quantity,
                },
                auto_id=f"id_%s_{line.item.pk.hex}",
            ),
            money(line.offer.value_of(1)),
            money(line.value),
            in_stock(line.offer),
            _wrong(draft, line),
            drawn[line.item.product_id],
        )
        for line in draft.lines
    ]


def _wrong(draft: Draft, line: CartLine) -> str:
    if not line.offer.is_live:
        return "No longer for sale: remove it."
    if line.offer.unit_price is None:
        return f"Has no price in {line.offer.currency}: remove it."
    if line.item.product_id in draft.short:
        return f"Only {line.offer.available:,} available"
    return ""
