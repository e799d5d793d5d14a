"""People at the admin's door, what their roles let them do, and the store's settings."""

import re

import pytest
from axes.models import AccessAttempt
from django.contrib.auth.models import User
from playwright.sync_api import Page, expect

from api import tokens
from api.models import ApiClient
from tests.browser.accessibility import obstacles
from tests.browser.conftest import person
from tests.factories import api_client, product

PASSWORD = "of this test alone"


def log_in(page: Page, name: str, password: str) -> None:
    page.goto("/admin/login/")
    page.get_by_label("Username").fill(name)
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Log in").click()


def test_a_viewer_sees_the_stock_and_a_clerk_can_move_it(browse):
    shirt = product(stock=7, name="Blue shirt")
    viewer, clerk = browse("viewer"), browse("stock clerk")

    for page in (viewer, clerk):
        page.goto(f"/admin/inventory/product/{shirt.pk}/inventory/")
        expect(page.get_by_text("Total 7")).to_be_visible()

    expect(clerk.get_by_role("button", name="Increment", exact=True)).to_be_visible()
    expect(viewer.get_by_role("button", name="Increment")).to_have_count(0)


def test_an_owner_makes_a_colleague_who_logs_in_with_a_role(browse):
    owner, colleague = browse("owner"), browse()

    owner.goto("/admin/auth/user/add/")
    owner.get_by_label("Username").fill("maria")
    owner.get_by_label("Password", exact=True).fill(PASSWORD)
    owner.get_by_label("Password confirmation").fill(PASSWORD)
    owner.get_by_label("stock clerk").check()
    owner.get_by_role("button", name="Save", exact=True).click()
    expect(owner.get_by_text("was added successfully")).to_be_visible()

    log_in(colleague, "maria", PASSWORD)
    expect(colleague.get_by_role("link", name="Products").first).to_be_visible()
    colleague.goto("/admin/auth/user/")
    expect(colleague.get_by_role("link", name="maria").first).to_be_visible()
    assert User.objects.get(username="maria").has_perm("inventory.change_stock")


def test_a_new_secret_is_read_once_and_the_old_one_is_dead(browse):
    client = api_client("the old one", client_id="office", name="Office")
    page = browse("owner")

    page.goto(f"/admin/api/apiclient/{client.pk}/change/")
    page.locator("a", has_text="New secret").click()
    expect(page.get_by_text("The old one is good for nothing from then on.")).to_be_visible()
    assert obstacles(page) == []
    page.get_by_role("button", name="New secret").click()

    told = page.get_by_text("The secret of office is").inner_text()
    secret = re.search(r"office is (\S+) Copy", told)
    assert secret
    assert tokens.issue("client_credentials", "office", secret[1])
    with pytest.raises(tokens.BadCredentials):
        tokens.issue("client_credentials", "office", "the old one")
    page.reload()
    expect(page.get_by_text("The secret of office is")).to_have_count(0)


def test_a_client_is_revoked_and_allowed_again(browse):
    client = api_client("secret", client_id="office", name="Office")
    page = browse("owner")

    page.goto(f"/admin/api/apiclient/{client.pk}/change/")
    page.locator("a", has_text="Revoke").click()
    page.get_by_role("button", name="Revoke").click()
    expect(page.get_by_text("Office (office) is revoked.")).to_be_visible()
    assert not ApiClient.objects.get().active

    page.locator("a", has_text="Allow again").click()
    page.get_by_role("button", name="Allow again").click()
    expect(page.get_by_text("may call the API again")).to_be_visible()
    assert ApiClient.objects.get().active


def test_the_store_gets_a_name_and_a_time_zone(browse):
    product(stock=7, name="Blue shirt")
    page = browse("owner")

    page.goto("/admin/api/storesettings/")
    assert obstacles(page) == []
    page.get_by_label("Name").fill("Harbour Goods")
    page.get_by_label("Time zone").select_option("Asia/Tokyo")
    page.get_by_role("button", name="Save", exact=True).click()

    expect(page.get_by_text("Harbour Goods").first).to_be_visible()
    page.goto("/admin/inventory/stocktransaction/")
    expect(page.locator("time[title$=JST]").first).to_be_visible()


def test_five_wrong_passwords_close_the_door_in_words(browse):
    User.objects.filter(pk=person("viewer").pk).update(username="maria")
    page = browse()
    for _ in range(4):
        log_in(page, "maria", "wrong")
        # A page that is left before it was answered may never have asked.
        expect(page.get_by_text("Please enter the correct username")).to_be_visible()
    log_in(page, "maria", "wrong")

    expect(page.get_by_text("so the door stays shut for 15 minutes")).to_be_visible()
    assert obstacles(page) == []
    page.get_by_role("link", name="Back to the login").click()
    expect(page.get_by_label("Username")).to_be_visible()


def test_an_owner_opens_the_door_before_the_time_is_over(browse):
    maria = User.objects.create_user("maria", password=PASSWORD, is_staff=True)
    AccessAttempt.objects.create(
        username="maria", ip_address="127.0.0.1", user_agent="x", failures_since_start=5
    )
    owner, colleague = browse("owner"), browse()
    log_in(colleague, "maria", PASSWORD)
    expect(colleague.get_by_text("The owner can also let you in at once")).to_be_visible()

    owner.goto(f"/admin/auth/user/{maria.pk}/change/")
    owner.locator("a", has_text="Let in again").click()
    assert obstacles(owner) == []
    owner.get_by_role("button", name="Let in again").click()
    expect(owner.get_by_text("maria can log in again.")).to_be_visible()

    log_in(colleague, "maria", PASSWORD)
    expect(colleague).to_have_url(re.compile("/admin/$"))


def test_a_forbidden_page_says_so_and_leads_back(browse):
    page = browse("viewer")

    page.goto("/admin/auth/user/add/")
    expect(page.get_by_text("Your role does not allow it")).to_be_visible()
    assert obstacles(page) == []
    page.get_by_role("link", name="Home").last.click()

    expect(page).to_have_url(re.compile("/admin/$"))
