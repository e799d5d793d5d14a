"""Which categories a product is in: the boxes on its form, and the filter of the list."""

import uuid
from collections.abc import Collection
from typing import Any, ClassVar

from django import forms
from django.contrib import admin
from django.db.models import Exists, OuterRef, QuerySet
from django.http import HttpRequest
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from backoffice.base import uuid_of
from inventory.models import Category, Product
from inventory.services.category_tree import A_PRODUCT_MAX, Tree

NONE = "none"


class CategoryBoxes(forms.CheckboxSelectMultiple):
    """A box for each category, in the order of the tree, those that are ticked first.

    Written here and in no template, which would take long over a thousand of them. Its script finds
    them by a part of their path.
    """

    class Media:
        js = ["backoffice/category_boxes.js"]

    def render(self, name: str, value: Any, attrs: Any = None, renderer: Any = None) -> SafeString:
        ticked = {str(each) for each in value or []}
        chosen = sorted(self.choices, key=lambda choice: str(choice[0]) not in ticked)
        html_id = (attrs or {}).get("id") or f"id_{name}"
        boxes = format_html_join(
            "",
            '<div><label><input type="checkbox" name="{}" value="{}"{}> {}</label></div>',
            (
                (name, pk, SafeString(" checked") if str(pk) in ticked else "", path)
                for pk, path in chosen
            ),
        )
        if not boxes:
            return SafeString('<p class="hf-note">There are no categories yet.</p>')
        return format_html(
            '<div class="hf-boxes" data-boxes>'
            '<input type="search" id="{}" class="hf-input" placeholder="Find a category" '
            'aria-label="Find a category" autocomplete="off" hidden>'
            '<div tabindex="0" role="group" aria-label="Categories">{}</div>'
            '<p class="hf-note" role="status" hidden></p></div>',
            f"{html_id}_find",
            boxes,
        )

    def value_from_datadict(self, data: Any, files: Any, name: str) -> list[str]:
        return [value for value in super().value_from_datadict(data, files, name) or [] if value]

    def id_for_label(self, id_: str, index: str | None = None) -> str:
        """The boxes have labels of their own."""
        return ""


class CategoriesField(forms.ModelMultipleChoiceField):
    """Categories by their paths; whoever saves them reads the tree once."""

    widget = CategoryBoxes
    default_error_messages: ClassVar = {
        "invalid_choice": "A category that was ticked is not there any more.",
    }

    def __init__(self, **options: Any) -> None:
        super().__init__(Category.objects.order_by("pk"), required=False, **options)

    def show(self, tree: Tree) -> None:
        """Offer what is in the tree."""
        self.choices = [(str(each.pk), tree.path(each.pk)) for each, _ in tree.walk()]

    def clean(self, value: Any) -> Any:
        cleaned = super().clean(value)
        if len(cleaned) > A_PRODUCT_MAX:
            raise forms.ValidationError(f"A product is in at most {A_PRODUCT_MAX} categories.")
        return cleaned


def ids_of(categories: Collection[Category]) -> set[uuid.UUID]:
    return {category.pk for category in categories}


class CategoryFilter(admin.SimpleListFilter):
    """One category with all below it: chosen from the top, level by level."""

    title = "category"
    parameter_name = "category"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        chosen = uuid_of(str(self.value() or ""))
        tree = Tree() if chosen else None
        if chosen is None or tree is None or chosen not in tree.by_id:
            self.below: set[uuid.UUID] = set()
            top = Category.objects.filter(parent=None).order_by("position", "name", "pk")
            return [(NONE, "In none"), *((str(each.pk), each.name) for each in top)]
        # Those above it, itself, and those just below it.
        self.below = tree.below([chosen])
        offered = [*tree.above(chosen), *tree.children.get(chosen, ())]
        return [(str(each.pk), tree.path(each.pk)) for each in offered]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Product]) -> QuerySet[Product]:
        placed = Product.categories.through.objects.filter(product=OuterRef("pk"))
        if self.below:
            return queryset.filter(Exists(placed.filter(category__in=self.below)))
        return queryset.filter(~Exists(placed)) if self.value() == NONE else queryset
