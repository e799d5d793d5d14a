"""The mails that were sent, are on their way, or were only kept: each as it goes out."""

from typing import Any
from uuid import UUID

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from unfold.decorators import display

from api.errors import Standing
from backoffice.actions import Action, ActionAdmin, ActionForm, Case
from backoffice.dates import moment
from backoffice.history import NOTHING
from backoffice.missing import missing
from backoffice.walking import WalkedAdmin
from events.models import Mail
from events.services import notices, posting
from orders.services.notices import found as order_of_number

COLOURS = {
    Mail.State.WAITING.value: "info",
    Mail.State.SENDING.value: "info",
    Mail.State.SENT.value: "success",
    Mail.State.REFUSED.value: "danger",
    Mail.State.IN_DOUBT.value: "warning",
    Mail.State.KEPT.value: "primary",
}
# Why it is so, where that is not plain.
WHY = {
    Mail.State.KEPT: "In the demo mails are kept and shown, and sent to nobody.",
    Mail.State.SENDING: "A worker speaks with the mail server.",
}


class MailCase(Case[Mail]):
    def standing(self) -> Standing:
        return self.subject.standing()


def _send_again(case: MailCase, form: ActionForm) -> str:
    key = form.key(case.request)
    posting.send_again(case.subject.pk, actor=case.actor, seen=form.saw, key=key)
    return "It will be sent within some seconds."


def _effects(case: MailCase) -> list[str]:
    mail = case.subject
    told = {
        Mail.State.SENT: f"{mail.recipient} has it already, and gets it once more.",
        Mail.State.IN_DOUBT: f"Perhaps {mail.recipient} has it already: the mail server's log "
        "tells. Then it arrives a second time.",
        Mail.State.REFUSED: f"It did not reach {mail.recipient}: {mail.error}",
    }
    return [told.get(Mail.State(mail.state), ""), "It is sent as it is, with the same words."]


SEND_AGAIN = Action(
    "send_again",
    "Send again",
    "events.send_mail",
    _send_again,
    effects=_effects,
    guard=lambda case: posting.require_sendable(case.subject),
    heading="Send this mail again?",
)


@admin.register(Mail)
class MailAdmin(ActionAdmin, WalkedAdmin):
    """Newest first, never counted, and found by the address or the order."""

    nouns = ("mail", "mails")
    list_display = ["what", "recipient", "about", "made", "is_now"]
    list_display_links = ["what"]
    list_filter = ["state"]
    search_fields = ["=recipient"]
    search_help_text = "The whole e-mail address, or an order's number"
    when_empty = "What is told by mail is kept here. Under Mail you say who sends it."
    # Their ids rise with time.
    ordering = ["-pk"]
    sortable_by = ()
    fields = [
        *("what", "recipient", "sender", "told_by", "about", "made", "is_now", "tried", "again"),
        *("written", "drawn"),
    ]

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.send_again_view)
        address = path("<uuid:mail_id>/send-again/", view, name="events_mail_send_again")
        return [address, *super().get_urls()]

    def send_again_view(self, request: HttpRequest, mail_id: UUID) -> HttpResponse:
        if not request.user.has_perm(SEND_AGAIN.permission):
            raise PermissionDenied
        mail = self.get_object(request, str(mail_id))
        if mail is None:
            return missing(self, request, mail_id)
        return self.confirm(SEND_AGAIN, MailCase(request, mail))

    def get_object(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        mail = super().get_object(request, *args, **kwargs)
        if mail:
            mail.may_be_sent = SEND_AGAIN.is_offered(MailCase(request, mail))
        return mail

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        sought = search_term.strip()
        if "@" in sought:
            return queryset.filter(recipient=sought), False
        if sought:
            order = order_of_number(sought)
            return (queryset.filter(order_id=order.pk) if order else queryset.none()), False
        return queryset, False

    @display(description="subject")
    def what(self, mail: Mail) -> str:
        return mail.subject

    @display(description="made")
    def made(self, mail: Mail) -> str:
        return moment(mail.created_at)

    @display(description="state", label=COLOURS)
    def is_now(self, mail: Mail) -> str:
        return mail.state

    @display(description="notice")
    def told_by(self, mail: Mail) -> str:
        notice = notices.named(mail.notice)
        return notice.title if notice else "A test"

    @display(description="order")
    def about(self, mail: Mail) -> str:
        if mail.order_id is None:
            return NOTHING
        address = reverse("admin:orders_order_change", args=[mail.order_id])
        return format_html('<a class="hf-link" href="{}">Order</a>', address)

    @display(description="how it went")
    def tried(self, mail: Mail) -> str:
        if mail.sent_at:
            return format_html("Taken by the mail server {}", moment(mail.sent_at))
        said = mail.error or WHY.get(Mail.State(mail.state), "It waits to be sent.")
        if mail.next_at and mail.attempts:
            return format_html("{} It is tried again {}.", said, moment(mail.next_at))
        return said

    @display(description="send again")
    def again(self, mail: Any) -> str:
        if not mail.may_be_sent:
            return NOTHING
        address = reverse("admin:events_mail_send_again", args=[mail.pk])
        return format_html(
            '<a class="hf-button hf-plain" data-dialog="true" href="{}">Send again</a>', address
        )

    @display(description="as text")
    def written(self, mail: Mail) -> str:
        return format_html('<pre class="hf-example" tabindex="0">{}</pre>', mail.text)

    @display(description="as HTML")
    def drawn(self, mail: Mail) -> str:
        return in_frame(mail.html) if mail.html else NOTHING


def in_frame(html: str) -> str:
    """Show a mail's HTML apart from the page: no script runs in there, and nothing leads out."""
    return format_html(
        '<iframe class="hf-mail" sandbox title="The mail as HTML" srcdoc="{}"></iframe>', html
    )
