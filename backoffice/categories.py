"""The pages of categories: the tree, and naming, moving and deleting them."""

import uuid
from collections.abc import Collection
from dataclasses import dataclass
from itertools import islice
from typing import Any, ClassVar

from django import forms
from django.contrib import admin
from django.core.exceptions import PermissionDenied, SuspiciousOperation
from django.db.models import Count
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.http import urlencode
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextInputWidget

from api.codes import tidied
from api.errors import Standing
from backoffice.actions import Action, ActionAdmin, ActionForm, Case, carry_out
from backoffice.base import ServiceAdmin, actor_of, is_number, number_of, uuid_of
from backoffice.missing import missing
from inventory.errors import (
    CategoryBelowItself,
    CategoryNameWrong,
    CategorySlugTaken,
    CategoryTaken,
    TooManyLevels,
)
from inventory.models import Category, Product
from inventory.services import categories
from inventory.services.category_tree import Tree

ROWS_A_PAGE = 200
SEARCH_LENGTH_MAX = 200


class CategoryForm(forms.ModelForm):
    parent = forms.ModelChoiceField(
        Category.objects.all(),
        required=False,
        label="Below",
        empty_label=None,
        widget=UnfoldAdminSelectWidget,
        help_text="It moves there with all that is below it.",
    )

    class Meta:
        model = Category
        fields = ["name", "parent", "slug"]
        widgets = {"name": UnfoldAdminTextInputWidget, "slug": UnfoldAdminTextInputWidget}
        help_texts = {
            "slug": "Part of the category's address. Made from the name if left empty.",
        }

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        if "parent" in self.fields:
            tree = Tree()
            itself = tree.below([self.instance.pk])
            self.fields["parent"].choices = [  # type: ignore[attr-defined]
                ("", "Nothing: it stands at the top"),
                *(
                    (str(each.pk), tree.path(each.pk))
                    for each, _ in tree.walk()
                    if each.pk not in itself
                ),
            ]

    def _get_validation_exclusions(self) -> set[str]:
        """Leave names and slugs that are there to the service, which says it in words."""
        excluded: set[str] = super()._get_validation_exclusions()  # type: ignore[misc]
        return excluded | {"name", "slug"}


# Deleting.


@dataclass(frozen=True)
class CategoryCase(Case[Category]):
    def standing(self) -> Standing:
        return categories.standing(self.subject)


def _what_deleting_does(case: CategoryCase) -> list[str]:
    count = int(case.standing()["products"])
    if not count:
        return ["No product is in it."]
    loses = number_of(count, "product loses it, and stays", "products lose it, and stay")
    return [f"{loses} as before. It stands on the record of each."]


def _delete(case: CategoryCase, form: ActionForm) -> str:
    key = form.key(case.request)
    categories.delete(case.subject.pk, actor=case.actor, seen=form.saw, key=key)
    return f"{case.subject} is deleted."


DELETE: Action[CategoryCase] = Action(
    "delete",
    "Delete",
    "inventory.delete_category",
    _delete,
    effects=_what_deleting_does,
    guard=lambda case: categories.require_no_children(case.subject),
    dangerous=True,
    heading="Delete {subject.name}?",
)


# The tree.


@dataclass(frozen=True)
class Row:
    category: Category
    level: int
    path: str
    products: int
    place: int
    is_first: bool
    is_last: bool
    has_children: bool


def rows_of(tree: Tree, asked: str, begin: int) -> tuple[list[Row], bool]:
    """Return a page of the tree, or of what is found in it, and whether there is more."""
    wanted = asked.casefold()
    walked = (
        (category, level) for category, level in tree.walk() if wanted in category.name.casefold()
    )
    page = list(islice(walked, begin, begin + ROWS_A_PAGE + 1))
    counts = _products_in([category.pk for category, _ in page])
    rows = []
    for category, level in page[:ROWS_A_PAGE]:
        siblings = tree.children[category.parent_id]
        rows.append(
            Row(
                category,
                level,
                tree.path(category.pk),
                counts.get(category.pk, 0),
                tree.place(category),
                is_first=siblings[0] is category,
                is_last=siblings[-1] is category,
                has_children=category.pk in tree.children,
            )
        )
    return rows, len(page) > ROWS_A_PAGE


def _products_in(category_ids: Collection[uuid.UUID]) -> dict[uuid.UUID, int]:
    placed = Product.categories.through.objects.filter(
        category__in=category_ids, product__archived_at=None
    )
    return dict(placed.values_list("category_id").annotate(count=Count("pk")))


@admin.register(Category)
class CategoryAdmin(ActionAdmin, ServiceAdmin):
    form = CategoryForm
    fields = ["name", "parent", "slug"]
    refusal_fields: ClassVar = {
        CategoryTaken: "name",
        CategoryNameWrong: "name",
        CategorySlugTaken: "slug",
        CategoryBelowItself: "parent",
        TooManyLevels: "parent",
    }

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        if not self.has_view_or_change_permission(request):
            raise PermissionDenied
        if request.method == "POST":
            return self._move(request)
        asked = tidied(request.GET.get("q", ""))[:SEARCH_LENGTH_MAX]
        written = request.GET.get("from", "")
        begin = int(written) if is_number(written) else 0
        tree = Tree()
        rows, has_more = rows_of(tree, asked, begin)
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": "Categories",
            "rows": rows,
            "asked": asked,
            "count": len(tree.by_id),
            "previous": _page(asked, begin - ROWS_A_PAGE) if begin else "",
            "next": _page(asked, begin + ROWS_A_PAGE) if has_more else "",
            "may_add": self.has_add_permission(request),
            "may_change": self.has_change_permission(request),
            "may_delete": self.has_delete_permission(request),
        }
        return TemplateResponse(request, "admin/inventory/category/tree.html", context)

    def _move(self, request: HttpRequest) -> HttpResponse:
        """Do what one of the arrows says: up or down, from the place where it was seen."""
        if not self.has_change_permission(request):
            raise PermissionDenied
        written, _, seen = request.POST.get("move", "").partition(" ")
        seen, _, way = seen.partition(" ")
        category_id, step = uuid_of(written), {"up": -1, "down": 1}.get(way)
        if category_id is None or step is None or not is_number(seen):
            raise SuspiciousOperation("no such move")
        place = int(seen)

        def move() -> str:
            name = categories.move(
                category_id, place + step, seen=place, actor=actor_of(request)
            ).name
            return f"{name} was moved {way}."

        carry_out(Case(request, category_id), move)
        # Where it was pressed, on the page that was looked at.
        return redirect(f"{request.get_full_path()}#c-{category_id}")

    def save_model(self, request: HttpRequest, obj: Category, form: Any, change: bool) -> None:
        typed, actor = form.cleaned_data, actor_of(request)
        parent_id = typed["parent"] and typed["parent"].pk
        if not change:
            categories.create(
                typed["name"],
                parent_id=parent_id,
                slug=typed["slug"],
                category_id=obj.pk,
                actor=actor,
            )
            return
        fields = {**typed, "parent": parent_id}
        categories.update(
            obj.pk,
            actor=actor,
            seen={_column(name): value for name, value in form.seen.items()},
            **{_column(name): fields[name] for name in form.changed_data},
        )

    def delete_view(
        self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        category = self.get_object(request, object_id)
        if not self.has_delete_permission(request, category):
            raise PermissionDenied
        if category is None:
            return missing(self, request, object_id)
        then = reverse("admin:inventory_category_changelist")
        return self.confirm(DELETE, CategoryCase(request, category), then=then, title="Delete")


def _column(field: str) -> str:
    return "parent_id" if field == "parent" else field


def _page(asked: str, begin: int) -> str:
    return "?" + urlencode([("q", asked), ("from", str(max(begin, 0)))])
