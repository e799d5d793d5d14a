"""All pictures: uploaded, found again, and deleted once no product shows them."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import Count, QuerySet
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.http import urlencode

from api.errors import Refusal, Standing
from backoffice import sent_pictures
from backoffice.actions import Action, ActionAdmin, ActionForm, Case
from backoffice.base import ReadOnlyAdmin, number_of, uuid_of
from backoffice.dates import moment
from backoffice.missing import missing
from backoffice.products.page import page_of
from inventory.errors import PictureInUse
from inventory.models import Picture, Product
from inventory.services import images, picture_files, pictures

A_PAGE = 48
# Of one picture, so many products that show it are named.
NAMED = 50
MAY_DELETE = "inventory.delete_picture"
SHOWN = {"all": "All", "unused": "Shown by no product"}


@dataclass(frozen=True)
class PicturesPage:
    """Some of the pictures, newest first: found by their ids, so that every page costs the same."""

    pictures: list[Picture]
    # What leads to the older ones; "" where there are none.
    older: str

    @classmethod
    def of(cls, rows: "QuerySet[Picture]", query: dict[str, str]) -> "PicturesPage":
        before = uuid_of(query.get("before", ""))
        if before:
            rows = rows.filter(pk__lt=before)
        found = list(rows.order_by("-pk")[: A_PAGE + 1])
        shown = found[:A_PAGE]
        used = Product.objects.filter(product_pictures__picture__in=shown)
        counts = dict(
            used.order_by().values_list("product_pictures__picture").annotate(times=Count("pk"))
        )
        for picture in shown:
            picture.used = counts.get(picture.pk, 0)  # type: ignore[attr-defined]
            picture.address = picture_files.address(picture.pk, images.MEDIUM)  # type: ignore[attr-defined]
        more = len(found) > A_PAGE
        return cls(shown, urlencode({**query, "before": str(shown[-1].pk)}) if more else "")


@dataclass(frozen=True)
class Unused:
    """The pictures that no product shows, as somebody sees them: how many, and the newest."""

    count: int
    newest: str

    def __str__(self) -> str:
        return "Unused pictures"


class UnusedCase(Case[Unused]):
    @classmethod
    def now(cls, request: HttpRequest) -> "UnusedCase":
        found = pictures.unused()
        newest = found.order_by("-pk").values_list("pk", flat=True).first()
        return cls(request, Unused(found.count(), str(newest or "")))

    def again(self) -> "UnusedCase":
        return self.now(self.request)

    def standing(self) -> Standing:
        return {"unused pictures": self.subject.count, "newest": self.subject.newest}


@dataclass(frozen=True)
class PictureCase(Case[Picture]):
    @cached_property
    def products(self) -> list[Product]:
        shown = Product.objects.filter(product_pictures__picture=self.subject)
        return list(shown.order_by("name", "pk")[: NAMED + 1])


def _require_unused(case: PictureCase) -> None:
    if case.products:
        raise PictureInUse


def _delete(case: PictureCase, form: ActionForm) -> str:
    pictures.delete(case.subject.pk, actor=case.actor, key=form.key(case.request))
    return f"{case.subject} is deleted."


DELETE = Action(
    "delete",
    "Delete",
    MAY_DELETE,
    _delete,
    effects=lambda case: ["No product shows it. Its files are deleted, too, for good."],
    guard=_require_unused,
    dangerous=True,
    heading="Delete the picture {subject}?",
)


def _require_some(case: UnusedCase) -> None:
    if not case.subject.count:
        raise Refusal("Every picture is shown by a product.")


def _delete_unused(case: UnusedCase, form: ActionForm) -> str:
    newest = uuid_of(str(form.saw.get("newest")))
    deleted = pictures.delete_unused(newest, actor=case.actor) if newest else 0
    return f"{_pictures(deleted)} deleted."


def _pictures(count: int) -> str:
    return number_of(count, "picture was", "pictures were")


DELETE_UNUSED = Action(
    "delete_unused",
    "Delete unused pictures",
    MAY_DELETE,
    _delete_unused,
    effects=lambda case: [
        f"No product shows {case.subject.count:,} of the pictures, not even one that is archived. "
        "They and their files are deleted for good.",
        "A file of products that names one of them finds it no more.",
    ],
    guard=_require_some,
    dangerous=True,
    heading="Delete the pictures that no product shows?",
)


@admin.register(Picture)
class PictureAdmin(ActionAdmin, ReadOnlyAdmin):
    def has_add_permission(self, request: HttpRequest) -> bool:
        return sent_pictures.may_upload(request)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.has_perm(MAY_DELETE)

    def get_urls(self) -> list[URLPattern]:
        def page(url: str, view: Callable[..., HttpResponseBase], name: str) -> URLPattern:
            return path(url, self.admin_site.admin_view(view), name=f"inventory_picture_{name}")

        return [
            page("delete-unused/", self.delete_unused_view, "delete_unused"),
            *super().get_urls(),
        ]

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> Any:
        if not self.has_view_permission(request):
            raise PermissionDenied
        shown = request.GET.get("show", "")
        query = {
            "show": shown if shown in SHOWN else "all",
            "q": request.GET.get("q", "").strip(),
            "before": request.GET.get("before", ""),
        }
        rows = pictures.unused() if query["show"] == "unused" else Picture.objects.all()
        if query["q"]:
            rows = rows.filter(name__icontains=query["q"])
        tabs = [
            (label, urlencode({"show": name, "q": query["q"]}), name == query["show"])
            for name, label in SHOWN.items()
        ]
        context = {
            "page": PicturesPage.of(rows, query),
            "query": query,
            "tabs": tabs,
            "may_delete": self.has_delete_permission(request),
            "title": "Pictures",
        }
        return self._drawn(request, "list.html", context)

    @sent_pictures.takes_pictures
    def add_view(
        self,
        request: HttpRequest,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> Any:
        if not self.has_add_permission(request):
            raise PermissionDenied
        if request.method == "POST":
            return sent_pictures.receive(request, reverse("admin:inventory_picture_changelist"))
        return self._drawn(request, "add.html", {"title": "Upload pictures"})

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> Any:
        picture = self.get_object(request, object_id)
        if picture is None:
            return missing(self, request, object_id)
        if request.method not in {"GET", "HEAD"} or not self.has_view_permission(request, picture):
            raise PermissionDenied
        case = PictureCase(request, picture)
        may_see_products = request.user.has_perm("inventory.view_product")
        named = case.products[:NAMED] if may_see_products else []
        context = {
            "picture": picture,
            "address": picture_files.address(picture.pk, images.LARGE),
            "size": f"{picture.size / 1000:,.0f} kB",
            "uploaded": format_html("{}, {}", moment(picture.created_at), picture.actor_name),
            "products": [(product, page_of(product)) for product in named],
            "is_used": bool(case.products),
            "more": may_see_products and len(case.products) > NAMED,
            "may_delete": DELETE.is_offered(case),
            "title": picture.name,
            "original": picture,
        }
        return self._drawn(request, "picture.html", context)

    def delete_view(
        self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        picture = self.get_object(request, object_id)
        if not self.has_delete_permission(request, picture):
            raise PermissionDenied
        if picture is None:
            return missing(self, request, object_id)
        then = reverse("admin:inventory_picture_changelist")
        return self.confirm(DELETE, PictureCase(request, picture), then=then)

    def delete_unused_view(self, request: HttpRequest) -> HttpResponse:
        if not self.has_delete_permission(request):
            raise PermissionDenied
        pictures_list = reverse("admin:inventory_picture_changelist")
        case = UnusedCase.now(request)
        return self.confirm(DELETE_UNUSED, case, back=pictures_list, original=None)

    def _drawn(self, request: HttpRequest, template: str, context: dict[str, Any]) -> HttpResponse:
        shared = {
            **self.admin_site.each_context(request),
            **sent_pictures.WORDS,
            "opts": self.opts,
            "may_upload": self.has_add_permission(request),
            "action": reverse("admin:inventory_picture_add"),
        }
        return TemplateResponse(
            request, f"admin/inventory/picture/{template}", {**shared, **context}
        )
