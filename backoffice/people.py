"""Who may log in, and as what."""

from typing import Any, ClassVar

import procrastinate.contrib.django.admin  # noqa: F401 - registers what is taken out below
from django import forms
from django.contrib import admin, messages
from django.contrib.auth.admin import GroupAdmin as DjangoGroupAdmin
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.models import Group, Permission, User
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.decorators import method_decorator
from django.utils.html import format_html_join
from django.views.decorators.debug import sensitive_post_parameters
from procrastinate.contrib.django.models import ProcrastinateJob
from unfold.admin import ModelAdmin
from unfold.decorators import display
from unfold.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm
from unfold.widgets import UnfoldAdminCheckboxSelectMultipleWidget

from backoffice import logins, rights, roles
from backoffice.actions import Action, Case, RowActionAdmin, only_if, row_action
from backoffice.base import ServiceAdmin, actor_of
from backoffice.dates import moment
from backoffice.duties import MEANT_FOR, DutiesWidget, sentences
from backoffice.history import NOTHING

admin.site.unregister(User)
admin.site.unregister(Group)
# Jobs are for whoever operates the server, who has the command line.
admin.site.unregister(ProcrastinateJob)


def _let_in(case: Case[User], form: object) -> str:
    rights.let_in(case.subject, actor=case.actor)
    return f"{case.subject} can log in again."


# Whoever typed wrong passwords is let in before the time is over.
LET_IN = Action(
    "let_in",
    "Let in again",
    "auth.change_user",
    _let_in,
    effects=lambda case: [
        "Forgets the wrong passwords that were typed for this name. The right one opens the door "
        "at once.",
        "Was it somebody else who tried? Then a new password is better still.",
    ],
    guard=only_if(lambda user: logins.is_shut_out(user.get_username()), "{} is not shut out."),
)


class PasswordForm(AdminPasswordChangeForm):
    """Without Django's choice to have none: who is to stay out is deactivated."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.fields.pop("usable_password", None)
        for name in ("password1", "password2"):
            self.fields[name].required = True


class NewPersonForm(UserCreationForm):
    """Without that choice, either, which the page does not show but the form would take."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.fields.pop("usable_password", None)


def _meant_for() -> str:
    """Explain the four roles, each in a sentence."""
    lines = ((role.capitalize(), words) for role, words in MEANT_FOR.items())
    return format_html_join("", "<div>{}: {}</div>", lines)


class RoleFilter(admin.RelatedFieldListFilter):
    """Filters by roles, which Django calls groups."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.title = "role"


@admin.register(User)
class UserAdmin(RowActionAdmin, ServiceAdmin, DjangoUserAdmin, ModelAdmin):
    nouns = ("person", "people")
    form = UserChangeForm
    add_form = NewPersonForm
    change_password_form = PasswordForm
    list_display = ["username", "email", "roles", "is_active", "seen"]
    list_filter: ClassVar = [("groups", RoleFilter), "is_active"]
    filter_horizontal = ()
    readonly_fields = ["seen", "joined"]
    refusal_fields: ClassVar = {rights.UsernameTaken: "username"}
    fieldsets = [
        (None, {"fields": ["username", "password"]}),
        ("Person", {"fields": ["first_name", "last_name", "email"]}),
        ("Rights", {"fields": ["is_active", "is_staff", "is_superuser", "groups"]}),
        ("Dates", {"fields": ["seen", "joined"]}),
    ]
    add_fieldsets = [
        (None, {"fields": ["username", "email", "password1", "password2"]}),
        ("Rights", {"fields": ["is_staff", "groups"]}),
    ]

    row_actions = {LET_IN.name: LET_IN}
    let_in = row_action(LET_IN, icon="lock_open")

    @display(description="roles")
    def roles(self, user: User) -> str:
        roles = [group.name for group in user.groups.all()]
        return ", ".join(["superuser", *roles] if user.is_superuser else roles) or "none"

    @display(description="last login", ordering="last_login")
    def seen(self, user: User) -> str:
        return moment(user.last_login) if user.last_login else "never"

    @display(description="joined", ordering="date_joined")
    def joined(self, user: User) -> str:
        return moment(user.date_joined)

    def get_queryset(self, request: HttpRequest) -> QuerySet[User]:
        people: QuerySet[User] = super().get_queryset(request).prefetch_related("groups")
        return people

    # Only a superuser makes superusers: an owner would become one that way.

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        fixed = [] if request.user.is_superuser else ["is_superuser"]
        return [*super().get_readonly_fields(request, obj), *fixed]

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        allowed: bool = super().has_change_permission(request, obj)
        return allowed and (obj is None or rights.may_touch(request.user, obj))

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """What people did is looked up by who they are; who is to stay out is deactivated."""
        return False

    # Django's own would save a form inside a transaction: the services have theirs.

    @method_decorator(sensitive_post_parameters())
    def add_view(
        self,
        request: HttpRequest,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        added: HttpResponse = self._add_view(request, form_url, extra_context)
        return added

    def save_model(self, request: HttpRequest, obj: User, form: Any, change: bool) -> None:
        typed, actor = form.cleaned_data, actor_of(request)
        if not change:
            rights.create_person(obj, typed["groups"], actor=actor)
            return
        given = typed["groups"] if "groups" in form.changed_data else None
        fields = {name: typed[name] for name in form.changed_data if name != "groups"}
        rights.change_person(obj.pk, given, actor=actor, seen=form.seen, **fields)
        if fields.get("is_active") is False:
            messages.warning(
                request, f"{obj} can no longer log in, and was logged out wherever they were."
            )

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        """The service has given the roles."""

    def user_change_password(
        self, request: HttpRequest, id: str, form_url: str = ""
    ) -> HttpResponse:
        person = self.get_object(request, id) if request.method == "POST" else None
        if person is None or not self.has_change_permission(request, person):
            answer: HttpResponse = super().user_change_password(request, id, form_url)
            return answer
        with rights.password_on_record(person.pk, actor=actor_of(request)):
            return super().user_change_password(request, id, form_url)

    def get_changeform_initial_data(self, request: HttpRequest) -> dict[str, Any]:
        return {"is_staff": True, **super().get_changeform_initial_data(request)}

    def formfield_for_dbfield(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        if db_field.name == "groups":
            kwargs["widget"] = UnfoldAdminCheckboxSelectMultipleWidget
        field: Any = super().formfield_for_dbfield(db_field, request, **kwargs)
        if db_field.name == "is_active":
            field.label = "May log in"
            field.help_text = "Off: they are logged out at once, and what they did stays on record."
        if db_field.name == "groups":
            field.label, field.help_text = "Roles", _meant_for()
            # Its button beside the boxes would make a group in passing.
            field.widget.can_add_related = False
        return field


@admin.register(Group)
class GroupAdmin(ServiceAdmin, DjangoGroupAdmin, ModelAdmin):
    nouns = ("role", "roles")
    list_display = ["name"]
    filter_horizontal = ()
    refusal_fields: ClassVar = {rights.RoleTaken: "name"}

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        may_change = obj is None or self.has_change_permission(request, obj)
        return ["name", "permissions" if may_change else "duties"]

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        # By these names releases find them.
        return ["name", "duties"] if obj and obj.name in roles.ROLES else ["duties"]

    @display(description="what it may do")
    def duties(self, role: Group) -> str:
        lines = ((f"{work}: {'; '.join(said)}.",) for work, said in sentences(role).items())
        return format_html_join("", "<div>{}</div>", lines) or NOTHING

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        allowed: bool = super().has_change_permission(request, obj)
        return allowed and (obj is None or rights.may_touch(request.user, obj))

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Those who have it would lose it without a word: it is emptied instead."""
        return False

    def save_model(self, request: HttpRequest, obj: Group, form: Any, change: bool) -> None:
        typed, actor = form.cleaned_data, actor_of(request)
        if not change:
            rights.create_role(obj, typed["permissions"], actor=actor)
            return
        given = typed["permissions"] if "permissions" in form.changed_data else None
        name = typed["name"] if "name" in form.changed_data else None
        rights.change_role(obj.pk, given, name=name, actor=actor, seen=form.seen)

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        """The service has given the permissions."""

    def get_form(
        self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any
    ) -> type[forms.ModelForm]:
        """Offer what the pages ask for, and what this role has besides, so that it stays."""
        form = super().get_form(request, obj, change, **kwargs)
        field: Any = form.base_fields.get("permissions")
        if field:
            ours = {model._meta.app_label for model in self.admin_site._registry}
            offered = Q(content_type__app_label__in=ours) | Q(group=obj)
            field.queryset = field.widget.widget.offered = (
                Permission.objects.filter(offered).select_related("content_type").distinct()
            )
        return form

    def formfield_for_manytomany(
        self, db_field: Any, request: HttpRequest | None = None, **kwargs: Any
    ) -> Any:
        kwargs["widget"] = DutiesWidget
        field: Any = super().formfield_for_manytomany(db_field, request, **kwargs)
        field.label_from_instance = lambda permission: permission.name
        field.label, field.help_text = "What it may do", ""
        return field
