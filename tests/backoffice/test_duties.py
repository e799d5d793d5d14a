"""What roles may do, in sentences."""

from collections import Counter

import pytest
from django.contrib.auth.models import Group, Permission, User

from backoffice import duties, rights
from backoffice.roles import MAY, OWNER, ROLES, STOCK_CLERK, VIEWER
from tests.backoffice.pages import filled_in, signed_in, text

pytestmark = pytest.mark.django_db

GROUPS = "/admin/auth/group/"
ALL = [duty for some in duties.DUTIES.values() for duty in some]


@pytest.fixture
def owner():
    person = User.objects.create(username="owner", is_staff=True)
    person.groups.add(Group.objects.get(name=OWNER))
    return signed_in(person)


def page_of(name: str) -> str:
    return f"{GROUPS}{Group.objects.get(name=name).pk}/change/"


def names_of(role: Group) -> set[str]:
    return {duties.name_of(each) for each in role.permissions.select_related("content_type")}


def test_every_right_that_a_role_has_is_part_of_one_sentence():
    told = Counter(name for duty in ALL for name in duty.permissions)

    assert set(told) == {name for name, given in MAY.items() if given}
    assert set(told.values()) == {1}


@pytest.mark.parametrize("role", ROLES)
def test_what_the_four_roles_may_do_is_said_by_whole_sentences(role):
    own = {name for name, given in MAY.items() if role in given}

    assert all(duty.permissions <= own or duty.permissions.isdisjoint(own) for duty in ALL)
    assert role in duties.MEANT_FOR


def test_t26_a_sentence_is_a_switch(owner):
    form = filled_in(owner.get(page_of(STOCK_CLERK)))
    assert all("." in keys or keys.isdecimal() for keys in form["permissions"])
    refund = Permission.objects.get(codename="refund_payment")
    before = names_of(Group.objects.get(name=STOCK_CLERK))

    form["permissions"] = [*form["permissions"], str(refund.pk)]
    answer = owner.post(page_of(STOCK_CLERK), form)

    assert answer.status_code == 302
    clerk = Group.objects.get(name=STOCK_CLERK)
    assert names_of(clerk) == before | {"payments.refund_payment"}
    assert "Give money back" in duties.sentences(clerk)["Orders"]
    assert "Single permissions" not in text(owner.get(page_of(STOCK_CLERK)))


def test_what_a_role_has_in_part_or_beyond_the_form_stays_with_it(owner):
    role = Group.objects.create(name="Some of them")
    in_part = Permission.objects.get(codename="change_delivery")
    beyond = Permission.objects.get(codename="view_session")
    role.permissions.set([in_part, beyond])
    page = page_of(role.name)
    assert "Single permissions" in text(owner.get(page))
    form = filled_in(owner.get(page))
    cost = Permission.objects.get(codename="view_cost")

    owner.post(page, {**form, "permissions": [*form["permissions"], str(cost.pk)]})

    assert set(role.permissions.all()) == {in_part, beyond, cost}


def test_whoever_may_only_look_reads_the_sentences():
    person = User.objects.create(username="viewer", is_staff=True)
    person.groups.add(Group.objects.get(name=VIEWER))

    shown = text(signed_in(person).get(page_of(OWNER)))

    assert "People: See people and roles; Let people in, and say what they may do" in shown
    assert 'name="permissions"' not in shown


def test_the_page_of_a_person_explains_the_roles(owner):
    shown = text(owner.get(f"/admin/auth/user/{User.objects.get().pk}/change/"))

    assert all(words in shown for words in duties.MEANT_FOR.values())


@pytest.mark.parametrize("sent", ["1.x", "..", "9999999.1", "1" * 400])
def test_what_is_no_sentence_is_refused_at_the_field(owner, sent):
    answer = owner.post(page_of(VIEWER), {"name": "viewer", "permissions": [sent]})

    assert list(answer.context["adminform"].form.errors) == ["permissions"]
    assert rights.OwnRights.detail not in text(answer)
