"""The list of stocktakes, and how one begins."""

import uuid
from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import F
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.html import format_html
from unfold.decorators import display

from api.idempotency import Answered
from backoffice import dates
from backoffice.actions import Case, carry_out
from backoffice.base import actor_of, uuid_of
from backoffice.dates import moment
from backoffice.missing import missing
from backoffice.stocktakes.actions import BeginForm
from backoffice.stocktakes.counting import CountingPage, counting_url
from inventory.models import Stocktake
from inventory.services import stocktakes


@admin.register(Stocktake)
class StocktakeAdmin(CountingPage):
    list_display = ["counting", "what", "progress", "status", "opened"]
    list_display_links = None
    list_filter = ["state"]
    search_fields = ["name"]
    search_help_text = "Name of the stocktake"
    when_empty = "Add one, take a scanner to the shelves, and scan what is there."
    # The open ones first, then what was closed, the last first.
    ordering = [F("closed_at").desc(nulls_first=True), "-pk"]
    sortable_by = ()

    @display(description="stocktake")
    def counting(self, stocktake: Stocktake) -> str:
        address = counting_url(stocktake.pk)
        return format_html('<a class="hf-link" href="{}">{}</a>', address, stocktake.name)

    @display(description="what is counted")
    def what(self, stocktake: Stocktake) -> str:
        return stocktake.scope or "All products"

    @display(description="counted")
    def progress(self, stocktake: Stocktake) -> str:
        return f"{stocktake.counted:,} of {stocktake.products:,}"

    @display(
        description="state",
        label={
            Stocktake.State.OPEN.label: "info",
            Stocktake.State.CLOSED.label: "success",
            Stocktake.State.DISCARDED.label: None,
        },
    )
    def status(self, stocktake: Stocktake) -> str:
        return stocktake.get_state_display()

    @display(description="opened")
    def opened(self, stocktake: Stocktake) -> str:
        return format_html("{}, {}", moment(stocktake.created_at), stocktake.opened_by)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """There is nothing to change of it but what is counted."""
        may = self.has_view_permission(request)
        if not may or (request.method == "POST" and not self.has_change_permission(request)):
            raise PermissionDenied
        stocktake_id = uuid_of(object_id)
        if stocktake_id is None:
            return missing(self, request, object_id)
        return redirect(counting_url(stocktake_id))

    def add_view(
        self,
        request: HttpRequest,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        if not self.has_add_permission(request):
            raise PermissionDenied
        today = dates.today()
        form = BeginForm(request.POST or None, initial={"name": f"Stocktake {today}"})
        begun: list[uuid.UUID] = []

        def begin() -> str:
            category = form.cleaned_data["category"]
            try:
                stocktake = stocktakes.begin(
                    form.cleaned_data["name"],
                    category_id=uuid.UUID(category) if category else None,
                    is_blind=form.cleaned_data["is_blind"],
                    actor=actor_of(request),
                    key=form.key(request),
                )
            except Answered as earlier:
                # A doubled click: the stocktake is what it led to.
                begun.append(uuid.UUID(earlier.record.resource_id))
            else:
                begun.append(stocktake.pk)
            return ""

        if form.is_valid() and carry_out(Case(request, None), begin, form):
            return redirect(counting_url(begun[0]) if begun else "../")
        if form.is_bound:
            form.is_to_be_seen_again(request)
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": "New stocktake",
            "heading": "New stocktake",
            "effects": [
                "Makes a list of what is to be counted. Every scan is kept at once, for days if "
                "need be, and others can help. No stock moves before it is closed and applied."
            ],
            "form": form,
            "label": "Begin",
            "back": reverse("admin:inventory_stocktake_changelist"),
        }
        return TemplateResponse(request, "admin/confirm.html", context)
