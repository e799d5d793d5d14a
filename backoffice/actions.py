"""What people may do on a page: each action says what it will do, and does it when confirmed."""

import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import Any, ClassVar, Generic, Self, TypeVar

from django import forms
from django.contrib import messages
from django.core.exceptions import ObjectDoesNotExist, PermissionDenied
from django.db import models
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import reverse
from unfold.admin import ModelAdmin
from unfold.decorators import action as unfold_action

from api.actors import Actor
from api.errors import Refusal, Standing
from api.idempotency import Answered, KeyInUse, KeyReused, require_new
from backoffice.base import actor_of
from backoffice.forms import OnceForm, WholeForm, is_missing
from backoffice.missing import missing
from orders.errors import InsufficientStock

T = TypeVar("T")
C = TypeVar("C", bound="Case[Any]")


@dataclass(frozen=True)
class Case(Generic[T]):
    """What somebody is about to do something with, and who it is."""

    request: HttpRequest
    subject: T

    # What is said of a form that was sent before: as it is, or with other values.
    recorded_already: ClassVar[str] = "This was recorded already, and not a second time."
    sent_differently: ClassVar[str] = "This form was sent before, with other values."

    @property
    def actor(self) -> Actor:
        return actor_of(self.request)

    def may(self, permission: str) -> bool:
        return self.request.user.has_perm(permission)

    def again(self) -> Self:
        """Read once more what it is about, which has changed."""
        assert isinstance(self.subject, models.Model)
        # What somebody deleted meanwhile is shown as it was, beside the refusal that says so.
        with suppress(ObjectDoesNotExist):
            self.subject.refresh_from_db()
        return replace(self)

    # What is seen of the subject, and decided by: see backoffice.actions.ActionForm.

    def standing(self) -> Standing:
        return {}

    def changes(self, seen: Standing, now: Standing | None = None) -> list[str]:
        """Say what is no longer as it was seen, of what the form depends on."""
        now = self.standing() if now is None else now
        return [
            f"{name[:1].upper()}{name[1:200]}: was {self.worded(seen.get(name))}, and is "
            f"{self.worded(now.get(name))} now."
            for name in {**now, **seen}
            if seen.get(name) != now.get(name)
        ]

    def worded(self, part: Any) -> str:
        return "none" if part is None or part == "" else str(part).replace("_", " ")[:200]


UNSEEN = (
    "The form did not say what it was made from, so nothing was done. Look at it as it is now, "
    "then send it again."
)
# Of an order with a hundred lines.
SEEN_LENGTH_MAX = 50_000


class SeeingForm(OnceForm):
    """A form that carries what was seen when it was opened."""

    seen = forms.CharField(max_length=SEEN_LENGTH_MAX, required=False, widget=forms.HiddenInput)

    @property
    def saw(self) -> Standing:
        """What they decided by who sent it."""
        return read_standing(self.data.get("seen", ""))


class ActionForm(SeeingForm):
    """A confirmation, with nothing to fill in but what a subclass adds.

    If what was seen is no longer so when the form is sent, nothing is done, and it is shown again
    with what changed. The service is told what was seen, too, and decides under its lock.
    """

    # Shows a table of fields, above those that stand below each other.
    lines_template = ""

    def __init__(self, data: Any, *, case: Any) -> None:
        super().__init__(data)
        self.case = case
        self.fields["seen"].initial = written_standing(self.sees())

    def sees(self) -> Standing:
        """What people decide by when they send this form."""
        standing: Standing = self.case.standing()
        return standing

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean()
        now = self.sees()
        if self.saw != now:
            changes = " ".join(self.case.changes(self.saw, now)) if self.saw else ""
            self.add_error(
                None,
                f"It changed since this form was opened, so nothing was done. {changes}"
                if changes
                else UNSEEN,
            )
        elif missing := [name for name in self.typed_into() if is_missing(self, name)]:
            self.add_error(
                None,
                f"{', '.join(map(self.label_of, missing))} did not arrive, so nothing was done. "
                "Send the form again.",
            )
        return cleaned

    def typed_into(self) -> list[str]:
        return [name for name, field in self.fields.items() if not field.widget.is_hidden]

    def is_to_be_seen_again(self, request: HttpRequest, **now: str) -> None:
        super().is_to_be_seen_again(request, seen=written_standing(self.sees()), **now)


def written_standing(standing: Mapping[str, Any]) -> str:
    return json.dumps(standing, ensure_ascii=False)


def read_standing(sent: str) -> dict[str, Any]:
    """Read what a form carried, be it what it may: at worst, nothing was seen."""
    try:
        saw = json.loads(sent)
    except (ValueError, RecursionError):
        return {}
    return saw if isinstance(saw, dict) else {}


@dataclass(frozen=True)
class Action(Generic[C]):
    """Something that a person may do, after it was said what it will do."""

    # As in its address.
    name: str
    title: str
    permission: str
    # Does it, and returns what is to be said then: nothing where it is seen anyway.
    perform: Callable[[C, Any], str]
    effects: Callable[[C], list[str]] = lambda case: []
    # Raises what would refuse it, before anybody confirms in vain.
    guard: Callable[[C], None] = lambda case: None
    form: type[ActionForm] = ActionForm
    dangerous: bool = False
    heading: str = "{title}: {subject}"
    # What its button says, if not the title.
    label: Callable[[C], str] | None = None

    def refusal(self, case: C) -> str:
        try:
            self.guard(case)
        except Refusal as refusal:
            return words(refusal)
        return ""

    def is_offered(self, case: C) -> bool:
        return case.may(self.permission) and not self.refusal(case)

    @property
    def is_short(self) -> bool:
        """Tell whether it asks for one thing or none: then it is asked on the page one is on."""
        if self.form.lines_template:
            return False
        fields = self.form.base_fields.values()
        return sum(not field.widget.is_hidden for field in fields) <= 1

    def says(self, case: C) -> str:
        """What its button says."""
        return self.label(case) if self.label else self.title

    def carry_out(self, case: C, form: OnceForm) -> bool:
        return carry_out(case, lambda: self.perform(case, form))

    def confirmation(self, case: C, form: ActionForm, back: str) -> dict[str, Any]:
        """What admin/confirm.html shows."""
        refusal = self.refusal(case)
        return {
            "action": self,
            "heading": self.heading.format(title=self.title, subject=case.subject),
            "effects": [] if refusal else self.effects(case),
            "refusal": refusal,
            "form": form,
            "label": self.says(case),
            "back": back,
        }


def was_done_before(case: Case[Any], form: OnceForm) -> bool:
    """Tell of a form that it was sent before, and done, if it was: whatever has changed by it."""
    try:
        require_new(form.key(case.request))
    except Answered:
        messages.info(case.request, case.recorded_already)
    except KeyReused:
        messages.error(case.request, case.sent_differently)
    else:
        return False
    return True


def carry_out(case: Case[Any], perform: Callable[[], str], form: WholeForm | None = None) -> bool:
    """Do it and tell how it went; what refuses it stands on the form, if one is given.

    Return whether there is nothing left to do here.
    """

    def refuse(why: str) -> None:
        if form is None:
            messages.error(case.request, why)
        else:
            form.add_error(None, why)

    try:
        if said := perform():
            messages.success(case.request, said)
    except Answered:
        messages.info(case.request, case.recorded_already)
    except KeyReused:
        refuse(case.sent_differently)
        # A message says where to look, which is not at the form.
        return form is None
    except Refusal as refusal:
        if form is not None:
            form.refusal = refusal
        refuse(words(refusal))
        return False
    return True


def words(refusal: Refusal) -> str:
    """What a merchant may know: behind the shopper's sentence stand the numbers."""
    if isinstance(refusal, KeyInUse):
        return "This form was sent just now and is being done. Look again in a moment."
    if isinstance(refusal, InsufficientStock) and isinstance(refusal.__cause__, Refusal):
        return f"{refusal}. {refusal.__cause__}"
    return str(refusal)


def only_if(
    applies: Callable[[Any], bool], otherwise: str = "There is nothing to do for {}."
) -> Callable[[Case[Any]], None]:
    """Make the guard of an action that does nothing to some subjects."""

    def guard(case: Case[Any]) -> None:
        if not applies(case.subject):
            raise Refusal(otherwise.format(case.subject))

    return guard


# What dialog.js asks with, and what tells it that the answer belongs into the dialog, or that it is
# done and where to go on.
DIALOG, DIALOG_THEN = "X-Dialog", "X-Dialog-Then"


def _is_for_dialog(request: HttpRequest) -> bool:
    return request.headers.get(DIALOG) == "1"


def _gone_on(request: HttpRequest, url: str) -> HttpResponse:
    if _is_for_dialog(request):
        # What was said is for the page that comes, which a script would have read in its place.
        return HttpResponse(headers={DIALOG_THEN: url})
    return redirect(url)


class ActionAdmin(ModelAdmin):
    """Pages with actions that are confirmed."""

    def confirm(
        self, action: Action[C], case: C, *, back: str = "", then: str = "", **context: Any
    ) -> HttpResponse:
        """Say what the action does, and carry it out when that was confirmed.

        Whatever speaks against it, the form is shown again, with what is so now. Who did it sees
        the page `then` or, as who does not want to, the page `back`.
        """
        request = case.request
        back = back or self._page_of(case.subject)
        form = action.form(None, case=case)
        if request.method == "POST":
            form = action.form(request.POST, case=case)
            if was_done_before(case, form):
                return _gone_on(request, then or back)
            if form.is_valid():
                if action.carry_out(case, form):
                    return _gone_on(request, then or back)
                case = case.again()
                form = action.form(request.POST, case=case)
            form.is_to_be_seen_again(request)
        shared = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "original": case.subject,
            "title": str(case.subject),
            **action.confirmation(case, form, back),
        }
        shared |= context
        if not _is_for_dialog(request):
            return TemplateResponse(request, "admin/confirm.html", shared)
        is_long = len(form.visible_fields()) > 1
        if is_long or shared.get("details") or shared.get("other_button"):
            # Too much for it: dialog.js opens the page.
            return HttpResponse(status=HTTPStatus.NO_CONTENT)
        return TemplateResponse(request, "admin/dialog.html", shared, headers={DIALOG: "1"})

    def _page_of(self, row: Any) -> str:
        return reverse(f"admin:{self.opts.app_label}_{self.opts.model_name}_change", args=[row.pk])


class RowActionAdmin(ActionAdmin):
    """Pages whose actions are Unfold's: it gives them their addresses, and shows their buttons."""

    # By name. Each is a method, too, which `row_action` makes.
    row_actions: ClassVar[Mapping[str, Action[Any]]]
    row_case: ClassVar[type[Case[Any]]] = Case

    @property
    def actions_detail(self) -> list[str]:
        return list(self.row_actions)

    def has_row_action_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        """For Unfold, which looks a permission's full name up in a database that may be empty."""
        return request.user.has_perm(f"{self.opts.app_label}.change_{self.opts.model_name}")

    def row_action_view(
        self, request: HttpRequest, object_id: str, action: Action[Any]
    ) -> HttpResponse:
        row = self.get_object(request, object_id)
        if row is None:
            return missing(self, request, object_id)
        if not self.has_change_permission(request, row):
            raise PermissionDenied
        return self.confirm(action, self.row_case(request, row))

    def get_actions_detail(self, request: HttpRequest, object_id: Any) -> Any:
        row = self.get_object(request, object_id)
        if row is None or not self.has_change_permission(request, row):
            return []
        return [
            offered
            for offered in super().get_actions_detail(request, object_id)
            if self.row_actions[offered.path].is_offered(self.row_case(request, row))
        ]


def row_action(action: Action[Any], *, icon: str) -> Any:
    """Make the method that Unfold wants for an action."""

    def view(self: RowActionAdmin, request: HttpRequest, object_id: str) -> HttpResponse:
        return self.row_action_view(request, object_id, action)

    view.__name__ = action.name
    return unfold_action(
        view,
        description=action.title,
        permissions=["row_action"],
        icon=icon,
        attrs={"data-dialog": action.is_short},
    )
