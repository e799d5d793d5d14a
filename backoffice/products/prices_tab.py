"""The Prices tab: what a product costs, in each of the store's currencies."""

import uuid
from typing import Any

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import URLPattern

from api.errors import Moved
from backoffice.actions import carry_out
from backoffice.missing import missing
from backoffice.products.actions import ProductCase
from backoffice.products.money import PricesForm
from backoffice.products.page import ProductPage
from inventory.models import Currency, Product
from inventory.services import currencies, products


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
            products.change_prices(product.pk, form.changed, actor=case.actor, seen=form.were)
            return "The prices were changed."

        if request.method == "POST" and form.is_valid():
            if carry_out(case, save, form):
                return redirect("admin:inventory_product_prices", product.pk)
            if isinstance(form.refusal, Moved):
                form = self._prices_form(request, product)
        shown = [
            (currency.code, currency.formatted(amount))
            for currency in form.currencies.values()
            if (amount := form.amounts.get(currency.code)) is not None
        ]
        context: dict[str, Any] = {"form": form, "may_change": may_change, "shown": shown}
        return self.drawn(request, product, "Prices", "prices.html", context)

    def _prices_form(self, request: HttpRequest, product: Product) -> PricesForm:
        currencies = price_fields()
        enabled = [currency.code for currency in currencies.values()]
        prices = product.prices.filter(currency_id__in=enabled)
        return PricesForm(
            request.POST if request.method == "POST" else None,
            currencies=currencies,
            amounts={price.currency_id: price.amount for price in prices},
        )


def price_fields() -> dict[str, Currency]:
    """Name the form's price fields `price_usd` and so on, the default currency's first.

    Each by its currency, so that no amount lands in another one whatever the default has become.
    """
    enabled = [currency for currency in currencies.by_code().values() if currency.enabled]
    return {
        f"price_{currency.code.lower()}": currency
        for currency in sorted(enabled, key=lambda each: (not each.default, each.code))
    }
