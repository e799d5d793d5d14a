"""The list of products as a file that can be edited and uploaded again: its own template."""

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any

from django.contrib.admin.options import IncorrectLookupParameters
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.shortcuts import redirect
from django.urls import URLPattern, path
from unfold.admin import ModelAdmin

from backoffice import dates
from backoffice.exports import EXPORT_ROWS, exported
from inventory.models import Product
from inventory.services import product_rows
from inventory.services.sheets import product_lines

_MAY_SEE_COSTS = "inventory.view_cost"


class ProductExport(ModelAdmin):
    """Filtered and searched as the list stands. Costs are for those who may see them."""

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.export_products_view)
        export = path("export-products/", view, name="inventory_product_export_products")
        return [export, *super().get_urls()]

    def export_products_view(self, request: HttpRequest) -> HttpResponseBase:
        if not self.has_view_permission(request):
            raise PermissionDenied
        try:
            listed = self.get_changelist_instance(request).queryset
        except IncorrectLookupParameters:
            return redirect("../")
        columns = [
            column.name
            for column in product_lines.columns()
            if column.name != "cost" or request.user.has_perm(_MAY_SEE_COSTS)
        ]
        day = dates.today()
        return exported(f"products-{day}.csv", columns, _rows(listed, columns))


def _rows(listed: QuerySet[Product], columns: Sequence[str]) -> Iterator[list[Any]]:
    products = listed.prefetch_related(None).iterator(EXPORT_ROWS)
    while some := list(islice(products, EXPORT_ROWS)):
        wholes = product_rows.read(some, with_pictures=True)
        for product in some:
            yield [product_lines.cell_of(wholes[product.pk], column) for column in columns]
