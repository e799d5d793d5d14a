"""What people do with an integration: enable it and disable it, try it, and have it catch up."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from unfold.widgets import UnfoldAdminSelectWidget

from api import clock
from api.errors import Standing
from backoffice.actions import Action, ActionForm, Case, only_if
from backoffice.base import COUNTED, number_of
from backoffice.dates import said
from backoffice.events import words
from backoffice.events.health import events_after
from backoffice.products.forms import MomentField
from events.models import Delivery, Integration
from events.services import deliveries, integrations, kinds
from events.services.moments import first_since

MAY_CHANGE = "events.change_integration"


@dataclass(frozen=True)
class IntegrationCase(Case[Integration]):
    recorded_already = "This was done already, and not a second time."

    def standing(self) -> Standing:
        is_on = "enabled" if self.subject.enabled else "disabled"
        return {"it": is_on, "URL": self.subject.url}

    @property
    def waiting(self) -> int:
        waiting = Delivery.objects.filter(integration=self.subject.pk, state=Delivery.State.WAITING)
        return waiting[:COUNTED].count()


def show_secret(request: HttpRequest, integration: Integration, secret: str) -> None:
    messages.warning(
        request,
        f"The secret that signs what {integration} is told is {secret} Copy it now: it will not be "
        "shown again.",
    )


# Enabling and disabling.


def _enable(case: IntegrationCase, form: ActionForm) -> str:
    integrations.change(
        case.subject.pk,
        actor=case.actor,
        seen={"enabled": False},
        key=form.key(case.request),
        enabled=True,
    )
    return f"{case.subject} is told of events again."


def _what_enabling_does(case: IntegrationCase) -> list[str]:
    progress = case.subject.progress
    if progress.given_up_at is None:
        return [
            f"Tells {case.subject} of what happens from now on.",
            "What happened while it was disabled is not sent by itself. If it wants that too, "
            "enable it, and then send everything since a moment.",
        ]
    return [
        f"It was disabled by itself {said(progress.given_up_at)}. It goes on where it was, and "
        f"catches up: {events_after(case.subject, progress.position)} so far.",
        "What was given up then can be sent again from the list of its deliveries.",
    ]


def _disable(case: IntegrationCase, form: ActionForm) -> str:
    integrations.change(
        case.subject.pk,
        actor=case.actor,
        seen={"enabled": True},
        key=form.key(case.request),
        enabled=False,
    )
    return f"{case.subject} is told nothing until it is enabled."


def _what_disabling_does(case: IntegrationCase) -> list[str]:
    effects = [
        f"Tells {case.subject} nothing any more.",
        "Whoever enables it again has it told of what happens from then on.",
    ]
    if waiting := case.waiting:
        effects.append(
            f"{number_of(waiting, 'delivery that waits is', 'deliveries that wait are')} given up."
        )
    return effects


ENABLE: Action[IntegrationCase] = Action(
    "enable",
    "Enable",
    MAY_CHANGE,
    _enable,
    effects=_what_enabling_does,
    guard=only_if(lambda integration: not integration.enabled, "{} is enabled."),
)
DISABLE: Action[IntegrationCase] = Action(
    "disable",
    "Disable",
    MAY_CHANGE,
    _disable,
    effects=_what_disabling_does,
    guard=only_if(lambda integration: integration.enabled, "{} is disabled."),
    dangerous=True,
)


# Its secret.


def _renew(case: IntegrationCase, form: ActionForm) -> str:
    secret = integrations.renew_secret(
        case.subject.pk, actor=case.actor, key=form.key(case.request)
    )
    show_secret(case.request, case.subject, secret)
    return ""


RENEW: Action[IntegrationCase] = Action(
    "renew",
    "New secret",
    MAY_CHANGE,
    _renew,
    effects=lambda case: [
        "Makes a new secret that signs what is sent, shown once.",
        "For 24 hours the one before signs beside it: give the program the new one until then.",
    ],
)


# Trying it.


class TestForm(ActionForm):
    type = forms.ChoiceField(label="Event", widget=UnfoldAdminSelectWidget)

    def __init__(self, data: Any, *, case: IntegrationCase) -> None:
        super().__init__(data, case=case)
        field: Any = self.fields["type"]
        field.choices = list(words.grouped(kinds.TYPES))
        field.initial = next(iter(case.subject.observes), None)


def _test(case: IntegrationCase, form: ActionForm) -> str:
    delivery_id = deliveries.send_test(
        case.subject.pk,
        form.cleaned_data["type"],
        actor=case.actor,
        key=form.key(case.request),
    )
    url = reverse("admin:events_delivery_change", args=[delivery_id])
    return format_html(
        'A test is on its way. <a class="hf-link" href="{}">See what comes back</a>', url
    )


TEST: Action[IntegrationCase] = Action(
    "test",
    "Send a test",
    MAY_CHANGE,
    _test,
    effects=lambda case: [
        f"Sends an event that did not happen to {case.subject.url}, once, with an example of what "
        "it would tell. It stands in no feed.",
    ],
    form=TestForm,
    heading="Send a test to {subject}",
)


# Catching up.


class SinceForm(ActionForm):
    since = MomentField(
        label="Since",
        help_text="In the store's time. What it has been told already, it is told once more, with "
        "the same ids.",
    )
    counted = forms.CharField(max_length=64, required=False, widget=forms.HiddenInput)

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean()
        since = cleaned.get("since")
        if "since" not in self.errors and since is None:
            self.add_error("since", "Say since when.")
        elif since and since > clock.now():
            self.add_error("since", "That is yet to come.")
        elif since and not self.errors and self.data.get("counted") != since.isoformat():
            self.add_error(None, "Nothing was sent yet. Look whether it is this, then confirm it.")
        return cleaned

    def is_to_be_seen_again(self, request: HttpRequest, **now: str) -> None:
        since = asked_since(request)
        counted = since.isoformat() if since else ""
        super().is_to_be_seen_again(request, **{"counted": counted, **now})


def asked_since(request: HttpRequest) -> datetime | None:
    """Read since when it was asked for on the form, as far as that can be read."""
    try:
        return MomentField().clean(request.POST.get("since", ""))
    except forms.ValidationError:
        return None


def _send_since(case: IntegrationCase, form: ActionForm) -> str:
    since = form.cleaned_data["since"]
    deliveries.resend_since(case.subject.pk, since, actor=case.actor, key=form.key(case.request))
    return f"{case.subject} is sent everything since {said(since)}, in order."


def _what_sending_does(case: IntegrationCase) -> list[str]:
    effects = ["Sends everything that it observes once more, from a moment on and in order."]
    if since := asked_since(case.request):
        found = events_after(case.subject, first_since(since) - 1)
        effects.append(f"Since {said(since)} that is {found}.")
    return effects


SEND_SINCE: Action[IntegrationCase] = Action(
    "send_since",
    "Send since …",
    MAY_CHANGE,
    _send_since,
    effects=_what_sending_does,
    guard=only_if(lambda integration: integration.enabled, "Enable it first."),
    form=SinceForm,
    heading="Send {subject} everything since a moment",
    label=lambda case: "Send them" if asked_since(case.request) else "Count them",
)


# Deleting it.


def _delete(case: IntegrationCase, form: ActionForm) -> str:
    integrations.delete(case.subject.pk, actor=case.actor, key=form.key(case.request))
    return f"{case.subject} is deleted."


DELETE: Action[IntegrationCase] = Action(
    "delete",
    "Delete",
    "events.delete_integration",
    _delete,
    effects=lambda case: [
        f"Tells {case.subject} nothing any more, and forgets its URL and its secrets.",
        "To tell it nothing for a while, disable it.",
    ],
    dangerous=True,
    heading="Delete {subject}?",
)
ROW_ACTIONS = {each.name: each for each in (TEST, SEND_SINCE, RENEW, ENABLE, DISABLE)}
