"""Mail: who sends it, which staff are told, which notices are sent, and in which words."""

from copy import copy
from typing import Any, ClassVar

from django import forms
from django.contrib import admin
from django.core.exceptions import PermissionDenied, ValidationError
from django.core.validators import validate_email
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from unfold.widgets import (
    UnfoldAdminCheckboxSelectMultipleWidget,
    UnfoldAdminEmailInputWidget,
    UnfoldAdminTextareaWidget,
    UnfoldAdminTextInputWidget,
)

from api.errors import Refusal
from backoffice.actions import Action, ActionForm, Case, RowActionAdmin, only_if, row_action
from backoffice.base import COUNTED, ServiceAdmin, actor_of, counted
from backoffice.dates import said
from backoffice.forms import EditForm
from backoffice.mails.sent import in_frame
from backoffice.missing import missing
from events.models import STAFF_MAX, Mail, MailProgress, MailSettings, MailText
from events.services import mail_settings, mailing, notices, posting, texts
from events.services.notices import Words
from events.services.texts import TextFault, Texts

MAY_CHANGE, MAY_WRITE = "events.change_mailsettings", "events.change_mailtext"
ORDER_VAR = "_order"
_UNPRINTABLE = {chr(code) for code in (*range(32), 127)}


class AddressesField(forms.CharField):
    """E-mail addresses, each on a line of its own."""

    widget = UnfoldAdminTextareaWidget({"rows": 4})

    def to_python(self, value: Any) -> list[str]:  # type: ignore[override]
        parts = value if isinstance(value, list) else str(value or "").replace(",", "\n").split()
        return list(dict.fromkeys(parts))

    def prepare_value(self, value: Any) -> str:
        return "\n".join(value) if isinstance(value, list) else str(value or "")

    def run_validators(self, value: list[str]) -> None:
        if len(value) > STAFF_MAX:
            raise ValidationError(f"At most {STAFF_MAX}. One address may lead to more people.")
        for each in value:
            try:
                validate_email(each)
            except ValidationError as error:
                raise ValidationError(f"{each[:100]} is no e-mail address.") from error


class WantedField(forms.MultipleChoiceField):
    """The notices that are sent. What is kept are those that are not, so that new ones are."""

    widget = UnfoldAdminCheckboxSelectMultipleWidget

    def _others(self, names: Any) -> list[str]:
        return [each.name for each in notices.known() if each.name not in (names or [])]

    def to_python(self, value: Any) -> list[str]:
        return self._others(super().to_python(value))

    def bound_data(self, data: Any, initial: Any) -> list[str]:
        return self._others(data)

    def prepare_value(self, value: Any) -> list[str]:
        return self._others(value)


def _notices() -> list[tuple[str, str]]:
    return [(each.name, each.title) for each in notices.known()]


class MailSettingsForm(EditForm, forms.ModelForm):
    sender_name = forms.CharField(
        max_length=100,
        required=False,
        widget=UnfoldAdminTextInputWidget,
        help_text="As it stands in front of the address. Empty: the store's name.",
    )
    sender_address = forms.EmailField(
        max_length=254,
        required=False,
        widget=UnfoldAdminEmailInputWidget,
        help_text="From which mails are sent, such as shop@example.com; the mail server must send "
        "for it. With the first one, mail begins to tell what happens from then on. Empty: nobody "
        "is told anything.",
    )
    staff = AddressesField(
        required=False,
        label="Staff who are told",
        help_text="An address on each line. All of them get every notice to staff.",
    )
    off = WantedField(choices=_notices, required=False, label="Notices that are sent")

    class Meta:
        model = MailSettings
        fields = ["sender_name", "sender_address", "staff", "off"]

    def clean_sender_name(self) -> str:
        name = str(self.cleaned_data["sender_name"])
        if _UNPRINTABLE & {*name}:
            raise ValidationError("This has signs that nobody can see.")
        return name


def _send_test(case: Case[MailSettings], form: ActionForm) -> str:
    posting.send_test(_own_address(case), key=form.key(case.request))
    return "It will be sent within some seconds. Mails sent shows what became of it."


def _own_address(case: Case[Any]) -> str:
    return str(getattr(case.request.user, "email", "") or "")


def _require_address(case: Case[MailSettings]) -> None:
    posting.require_server()
    if not _own_address(case):
        raise Refusal("You have no e-mail address here: write it under People.")


SEND_TEST = Action(
    "send_test",
    "Send me a test",
    MAY_CHANGE,
    _send_test,
    effects=lambda case: [f"Sends a mail to {_own_address(case)}, to see whether it arrives."],
    guard=_require_address,
    heading="Send a test mail?",
)


@admin.register(MailSettings)
class MailSettingsAdmin(RowActionAdmin, ServiceAdmin):
    """One page for the one row, and from there to the texts."""

    form = MailSettingsForm
    fields = ["sender_name", "sender_address", "staff", "off"]
    row_actions: ClassVar = {SEND_TEST.name: SEND_TEST}
    change_form_before_template = "admin/mails/standing.html"
    change_form_outer_after_template = "admin/mails/notices.html"

    send_test = row_action(SEND_TEST, icon="send")

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        if not self.has_view_or_change_permission(request):
            raise PermissionDenied
        return redirect("admin:events_mailsettings_change", MailSettings().pk)

    def get_object(
        self, request: HttpRequest, object_id: str, from_field: str | None = None
    ) -> MailSettings | None:
        """There is one row, which nobody need have saved yet."""
        current = mail_settings.current()
        return copy(current) if object_id == str(current.pk) else None

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> Any:
        own = {row.pk: row for row in MailText.objects.all()}
        rows = [(each, own.get(each.name)) for each in notices.known()]
        context = {
            "title": "Mail",
            "standing": standing(),
            "notices": rows if request.user.has_perm("events.view_mailtext") else [],
        }
        return super().change_view(request, object_id, form_url, context | (extra_context or {}))

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        changed = {name: form.cleaned_data[name] for name in form.changed_data}
        mail_settings.change(actor=actor_of(request), seen=form.seen, **changed)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


def standing() -> list[str]:
    """Say what keeps mails from going out, where something does."""
    progress = MailProgress.objects.first()
    if not progress:
        return ["Mail is off: nobody is told anything, until a sender's address is written here."]
    if not mail_settings.can_send():
        return [_NOT_SENT]
    found = []
    if progress.failing_since:
        found.append(
            f"The mail server cannot be reached, since {said(progress.failing_since)}: "
            f"{progress.failing_why}. What waits is sent as soon as it is back."
        )
    for state in (Mail.State.IN_DOUBT, Mail.State.REFUSED):
        number = Mail.objects.filter(state=state)[:COUNTED].count()
        if number:
            found.append(f"Mails that are {state.value}: {counted(number)}. See Mails sent.")
    return found


_NOT_SENT = (
    "No mail leaves this shop. In the demo they are kept and shown under Mails sent; elsewhere "
    "they wait for EMAIL_HOST in the server's environment."
)


class MailTextForm(EditForm, forms.ModelForm):
    """A store's own words, which are tried before they are kept."""

    class Meta:
        model = MailText
        fields = ["subject", "text", "html"]
        widgets = {
            "subject": UnfoldAdminTextInputWidget,
            "text": UnfoldAdminTextareaWidget({"rows": 16, "class": "hf-code"}),
            "html": UnfoldAdminTextareaWidget({"rows": 24, "class": "hf-code"}),
        }
        labels = {"html": "HTML"}
        help_texts = {
            "text": "For programs that show no HTML.",
            "html": "Styles stand in the tags: many mail programs drop all others.",
        }

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean()
        parts = [cleaned.get(name) for name in Texts._fields]
        notice = notices.named(self.instance.pk)
        if notice and all(parts):
            for name, fault in mailing.faults(notice, Texts(*map(str, parts))).items():
                self.add_error(name, fault)
        return cleaned


def _take_ours(case: Case[MailText], form: ActionForm) -> str:
    mail_settings.take_ours(case.subject.pk, actor=case.actor, key=form.key(case.request))
    return "Our words are used again."


TAKE_OURS = Action(
    "take_ours",
    "Use our words again",
    MAY_WRITE,
    _take_ours,
    effects=lambda case: ["What was written here is gone then; History keeps it."],
    guard=only_if(lambda row: not row._state.adding, "These are our words."),
    dangerous=True,
    heading="Use our words again?",
)


@admin.register(MailText)
class MailTextAdmin(RowActionAdmin, ServiceAdmin):
    nouns = ("mail's words", "words of mails")
    form = MailTextForm
    fields = ["subject", "text", "html"]
    row_actions: ClassVar = {TAKE_OURS.name: TAKE_OURS}
    change_form_before_template = "admin/mails/words.html"
    change_form_outer_after_template = "admin/mails/preview_button.html"

    take_ours = row_action(TAKE_OURS, icon="undo")

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.preview_view)
        address = path("<str:name>/preview/", view, name="events_mailtext_preview")
        return [address, *super().get_urls()]

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        if not self.has_view_or_change_permission(request):
            raise PermissionDenied
        return redirect("admin:events_mailsettings_changelist")

    def get_object(
        self, request: HttpRequest, object_id: str, from_field: str | None = None
    ) -> MailText | None:
        """There are words for every notice, which nobody need have written."""
        if not notices.named(object_id):
            return None
        row = MailText.objects.filter(pk=object_id).first()
        return row or MailText(notice=object_id, **texts.ours(object_id)._asdict())

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> Any:
        notice = notices.named(object_id)
        context: dict[str, Any] = {}
        if notice:
            context = {
                "title": notice.title,
                "notice": notice,
                # A template would call it.
                "takes_order": notice.example is not None and request.user.has_perm(_SEES_ORDERS),
                "names": named_in(mailing.samples(notice)[-1]),
                "tags": texts.TAGS,
                "filters": texts.FILTERS,
                "preview_url": reverse("admin:events_mailtext_preview", args=[notice.name]),
                "row": self.get_object(request, object_id),
            }
        return super().change_view(request, object_id, form_url, context | (extra_context or {}))

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        changed = {name: form.cleaned_data[name] for name in form.changed_data}
        if changed:
            mail_settings.write(obj.pk, actor=actor_of(request), seen=form.seen, **changed)

    def preview_view(self, request: HttpRequest, name: str) -> HttpResponse:
        """Show the mail that would be made: by what was sent, or else by what is kept."""
        is_sent = request.method == "POST"
        if not request.user.has_perm(MAY_WRITE if is_sent else "events.view_mailtext"):
            raise PermissionDenied
        notice = notices.named(name)
        if notice is None:
            return missing(self, request, name)
        sent = request.POST if is_sent else request.GET
        number = sent.get(ORDER_VAR, "").strip() if request.user.has_perm(_SEES_ORDERS) else ""
        words = notice.example(number) if number and notice.example else None
        templates = _templates_of(request) if is_sent else mail_settings.texts_of(name)
        context: dict[str, Any] = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": f"Preview: {notice.title}",
            "back": reverse("admin:events_mailtext_change", args=[name]),
            "is_real": words is not None,
            "not_found": number if number and words is None else "",
        }
        try:
            made = mailing.made_of(notice, words or mailing.samples(notice)[0], templates)
            context |= {"mail": made, "frame": in_frame(made.html)}
        except TextFault as fault:
            context["fault"] = str(fault)
        return TemplateResponse(request, "admin/mails/preview.html", context)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


_SEES_ORDERS = "orders.view_order"


def _templates_of(request: HttpRequest) -> Texts:
    return Texts(*(request.POST.get(name, "") for name in Texts._fields))


def named_in(words: Words, before: str = "") -> list[str]:
    """Name all that a text may say, as it is written there."""
    found = []
    for name, value in {**words, **({} if before else {"store": _STORE})}.items():
        full = f"{before}{name}"
        if isinstance(value, dict):
            found += named_in(value, f"{full}.")
        elif isinstance(value, list) and value and isinstance(value[0], dict):
            found += [f"{full} (each with {', '.join(value[0])})"]
        else:
            found.append(full)
    return found


_STORE: Words = {"name": "", "url": ""}
