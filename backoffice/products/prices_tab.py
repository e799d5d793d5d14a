"""The Prices tab: what a product costs, in each of the store's currencies."""

import uuid
from typing import Any

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import URLPattern

from backoffice.actions import carry_out
from backoffice.products.actions import ProductCase
from backoffice.products.forms import PricesForm
from backoffice.products.page import ProductPage
from inventory.models import Currency
from inventory.services import currencies, products


class PricesTab(ProductPage):
    def get_urls(self) -> list[URLPattern]:
        return [self.page(self.prices_view, "prices/", "prices"), *super().get_urls()]

    def prices_view(self, request: HttpRequest, product_id: uuid.UUID) -> HttpResponse:
        product = self.found(request, product_id)
        if product is None:
            return self.missing(request, product_id)
        may_change = self.has_change_permission(request, product)
        if request.method == "POST" and not may_change:
            raise PermissionDenied
        currencies = price_fields()
        enabled = [currency.code for currency in currencies.values()]
        prices = product.prices.filter(currency_id__in=enabled)
        before = {price.currency_id: price for price in prices}
        form = PricesForm(
            request.POST if request.method == "POST" else None,
            currencies=currencies,
            amounts={code: price.amount for code, price in before.items()},
        )

        case = ProductCase(request, product)

        def save() -> str:
            """Change what was changed on the form, so that two people's changes can both stand."""
            products.change_prices(product.pk, form.changed, actor=case.actor)
            return "The prices were changed."

        if request.method == "POST" and form.is_valid() and carry_out(case, save, form):
            return redirect("admin:inventory_product_prices", product.pk)
        shown = [
            (currency.code, currency.formatted(before[currency.code].amount))
            for currency in currencies.values()
            if currency.code in before
        ]
        context: dict[str, Any] = {"form": form, "may_change": may_change, "shown": shown}
        return self.drawn(request, product, "Prices", "prices.html", context)


def price_fields() -> dict[str, Currency]:
    """Name the form's price fields: `price` in the default currency, `price_eur` and so on."""
    enabled = [currency for currency in currencies.by_code().values() if currency.enabled]
    return {
        "price" if currency.default else f"price_{currency.code.lower()}": currency
        for currency in sorted(enabled, key=lambda each: (not each.default, each.code))
    }
