"""What the responses allow browsers to load and to do."""

from typing import Any

import pytest
from csp.decorators import csp
from django.conf import settings
from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse
from django.test import Client, RequestFactory

from api.middleware import ContentPolicyMiddleware
from api.policies import PAGE

NOTHING = {
    "default-src": "'none'",
    "form-action": "'none'",
    "frame-ancestors": "'none'",
    "base-uri": "'none'",
}


def policy(response: Any) -> dict[str, str]:
    directives = (part.split(" ", 1) for part in response["Content-Security-Policy"].split("; "))
    return dict(directives)


@pytest.mark.parametrize(
    "path", ["/v2/products", "/oauth/access_token", "/health/live", "/nothing"]
)
def test_whatever_is_no_page_may_load_nothing(db, path):
    assert policy(Client().get(path)) == NOTHING


@pytest.mark.parametrize("path", ["/admin/", "/admin/login/", "/admin/nothing/"])
def test_the_admin_may_load_what_unfold_needs_and_no_more(db, path):
    client = Client()
    client.force_login(User.objects.create_superuser("admin"))

    assert policy(client.get(path)) == {
        "default-src": "'none'",
        "script-src": "'self' 'unsafe-eval'",
        "style-src": "'self' 'unsafe-inline'",
        "img-src": "'self' data: https:",
        "font-src": "'self'",
        "connect-src": "'self'",
        "form-action": "'self'",
        "frame-ancestors": "'none'",
        "base-uri": "'none'",
    }


def test_the_description_evaluates_no_script_and_sends_no_form():
    allowed = policy(Client().get("/v2/docs"))

    assert allowed["script-src"] == "'self'"
    assert allowed["img-src"] == "'self' data:"
    assert allowed["form-action"] == "'none'"


def test_a_page_names_a_policy_of_its_own():
    @csp(PAGE)
    def page(request: HttpRequest) -> HttpResponse:
        return HttpResponse()

    response = ContentPolicyMiddleware(page)(RequestFactory().get("/"))

    assert policy(response)["script-src"] == policy(response)["style-src"] == "'self'"


def test_inline_scripts_are_nowhere_in_our_templates():
    for template in (settings.BASE_DIR / "templates").rglob("*.html"):
        for tag in template.read_text().split("<script")[1:]:
            assert " src=" in tag.split(">")[0], template
