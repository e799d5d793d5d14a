"""The Prices tab: what a product sells for in each currency, what it costs, and what it did."""

import uuid
from typing import Any

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import URLPattern

from api.errors import Moved
from backoffice.actions import carry_out
from backoffice.history import history_of
from backoffice.missing import missing
from backoffice.products.actions import ProductCase
from backoffice.products.money import CostField, PricesForm, in_order
from backoffice.products.page import ProductPage
from inventory.models import Currency, Product
from inventory.services import currencies, products
from inventory.services.products import Money


class PricesTab(ProductPage):
    def get_urls(self) -> list[URLPattern]:
        return [self.page(self.prices_view, "prices/", "prices"), *super().get_urls()]

    def prices_view(self, request: HttpRequest, product_id: uuid.UUID) -> HttpResponse:
        product = self.found(request, product_id)
        if product is None:
            return missing(self, request, product_id)
        may_change = self.has_change_permission(request, product)
        if request.method == "POST" and not may_change:
            raise PermissionDenied
        form = self._prices_form(request, product)

        case = ProductCase(request, product)

        def save() -> str:
            """Change what was changed on the form, so that two people's changes can both stand."""
            products.change_prices(
                product.pk, form.changed, actor=case.actor, seen=form.were, cost=form.new_cost
            )
            return "The prices were changed."

        if request.method == "POST" and form.is_valid():
            if carry_out(case, save, form):
                return redirect("admin:inventory_product_prices", product.pk)
            if isinstance(form.refusal, Moved):
                product.refresh_from_db()
                form = self._prices_form(request, product)
        shown: list[tuple[str, str | None]] = [
            (currency.code, currency.formatted(amount))
            for currency in form.currencies.values()
            if (amount := form.amounts.get(currency.code)) is not None
        ]
        if may_see_cost(request):
            shown.append(("Cost", product.written_cost()))
        context: dict[str, Any] = {
            "form": form,
            "may_change": may_change,
            "shown": shown,
            "history": history_of(
                product,
                request.GET.get("before", ""),
                hidden=self.hidden_fields(request),
                only=_is_of_money,
            ),
        }
        return self.drawn(request, product, "Prices", "prices.html", context)

    def _prices_form(self, request: HttpRequest, product: Product) -> PricesForm:
        currencies = price_fields()
        enabled = [currency.code for currency in currencies.values()]
        prices = product.prices.filter(currency_id__in=enabled)
        return PricesForm(
            request.POST if request.method == "POST" else None,
            currencies=currencies,
            amounts={price.currency_id: price.amount for price in prices},
            cost_fields=cost_field(request, products.cost_of(product)),
        )


def _is_of_money(field: str) -> bool:
    return field == "cost" or field.startswith("price_in_")


def price_fields() -> dict[str, Currency]:
    """Name the form's price fields `price_usd` and so on, the default currency's first.

    Each by its currency, so that no amount lands in another one whatever the default has become.
    """
    enabled = in_order(currencies.by_code())
    return {f"price_{currency.code.lower()}": currency for currency in enabled}


def may_see_cost(request: HttpRequest) -> bool:
    return request.user.has_perm("inventory.view_cost")


def cost_field(request: HttpRequest, cost: Money | None = None) -> dict[str, CostField]:
    """Name the field of the cost by the currency that an amount alone is in; none for some."""
    if not may_see_cost(request):
        return {}
    field = CostField(currencies.by_code(), initial=cost)
    return {f"cost_{field.first.code.lower()}": field}
