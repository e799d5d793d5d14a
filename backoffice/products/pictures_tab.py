"""The Pictures tab: what a product shows, in which order, and more of them uploaded."""

import uuid
from dataclasses import dataclass

from django import forms
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import URLPattern, reverse

from api.errors import Refusal, Standing
from backoffice import sent_pictures
from backoffice.actions import Case, SeeingForm, carry_out, written_standing
from backoffice.base import uuid_of
from backoffice.missing import missing
from backoffice.products.page import ProductPage
from inventory.models import Picture, Product
from inventory.services import images, picture_files, pictures

# What the buttons beside a picture do with its place.
MOVES = ("first", "earlier", "later", "remove")
NOT_UNDERSTOOD = "The page did not say what to do, so nothing was done."


class ArrangeForm(SeeingForm):
    """The buttons beside the pictures and, for who drags them, the order that they end in."""

    move = forms.CharField(max_length=50, required=False)
    order = forms.CharField(max_length=50 * pictures.PICTURES_MAX, required=False)

    def wanted(self) -> list[uuid.UUID]:
        """What is asked for, from the pictures as they were seen. Raises: Refusal."""
        if order := self.cleaned_data["order"]:
            return _ids(order)
        picture, _, move = self.cleaned_data["move"].partition(":")
        shown, moved = self.shown(), uuid_of(picture)
        if moved not in shown or move not in MOVES:
            raise Refusal(NOT_UNDERSTOOD)
        place = shown.index(moved)
        shown.remove(moved)
        if move != "remove":
            to = {"first": 0, "earlier": max(0, place - 1), "later": place + 1}[move]
            shown.insert(to, moved)
        return shown

    def shown(self) -> list[uuid.UUID]:
        """What they decided by who sent it. Raises: Refusal."""
        return _ids(str(self.saw.get("pictures", "")))


def _ids(written: str) -> list[uuid.UUID]:
    """Raises: Refusal."""
    found = [uuid_of(each) for each in written.split(",") if each]
    ids = [each for each in found if each]
    if len(ids) < len(found):
        raise Refusal(NOT_UNDERSTOOD)
    return ids


@dataclass(frozen=True)
class ShownPicture:
    """A picture in its place, as the page draws it."""

    id: uuid.UUID
    name: str
    address: str
    large: str
    is_first: bool
    is_last: bool

    @classmethod
    def all_of(cls, product: Product) -> list["ShownPicture"]:
        rows = list(product.product_pictures.order_by("position").select_related("picture"))
        return [
            cls(
                row.picture_id,
                row.picture.name,
                picture_files.address(row.picture_id, images.MEDIUM),
                picture_files.address(row.picture_id, images.LARGE),
                is_first=place == 0,
                is_last=place == len(rows) - 1,
            )
            for place, row in enumerate(rows)
        ]


class PicturesTab(ProductPage):
    def get_urls(self) -> list[URLPattern]:
        return [self.page(self.pictures_view, "pictures/", "pictures"), *super().get_urls()]

    @sent_pictures.takes_pictures
    def pictures_view(self, request: HttpRequest, product_id: uuid.UUID) -> HttpResponse:
        product = self.found(request, product_id)
        if product is None:
            return missing(self, request, product_id)
        may_change = self.has_change_permission(request, product)
        if request.method == "POST":
            if not may_change:
                raise PermissionDenied
            return self._changed(request, product)
        shown = ShownPicture.all_of(product)
        seen: Standing = {"pictures": ",".join(str(each.id) for each in shown)}
        form = ArrangeForm(initial={"seen": written_standing(seen)}, auto_id=False)
        context = {
            **sent_pictures.WORDS,
            "form": form,
            "shown": shown,
            "may_change": may_change,
            "may_upload": may_change and sent_pictures.may_upload(request),
            "pictures_max": pictures.PICTURES_MAX,
            "has_room": len(shown) < pictures.PICTURES_MAX,
            "is_elsewhere": product.image_url.startswith(("http:", "https:")),
        }
        return self.drawn(request, product, "Pictures", "pictures.html", context)

    def _changed(self, request: HttpRequest, product: Product) -> HttpResponse:
        here = reverse("admin:inventory_product_pictures", args=[product.pk])
        case = Case(request, product)
        if "seen" not in request.POST:
            # The other form of the page, which brings files.
            if not sent_pictures.may_upload(request):
                raise PermissionDenied

            def show(picture: Picture) -> None:
                pictures.attach(product.pk, [picture.pk], actor=case.actor)

            return sent_pictures.receive(request, here, show)
        form = ArrangeForm(request.POST)

        def arrange() -> str:
            if not form.is_valid():
                raise Refusal(NOT_UNDERSTOOD)
            pictures.arrange(
                product.pk,
                form.wanted(),
                seen=form.shown(),
                actor=case.actor,
                key=form.key(request),
            )
            return ""

        carry_out(case, arrange)
        return redirect(here)
