"""The demo, whose secrets are public, as the web server hands requests over to it."""

from io import BytesIO

import pytest
from django.test import RequestFactory

from config.wsgi import application


def status(address: str, host: str) -> str:
    answered: list[str] = []
    environ = RequestFactory().get("/health/live").environ
    environ |= {"REMOTE_ADDR": address, "HTTP_HOST": host, "wsgi.input": BytesIO()}
    list(application(environ, lambda status, headers: answered.append(status)))
    return answered[0][:3]


@pytest.mark.parametrize("address", ["192.0.2.7", "10.0.0.2", "2001:db8::1", ""])
def test_t42_the_demo_does_not_answer_another_machine(address):
    assert status(address, "localhost:8000") == "403"


@pytest.mark.parametrize("host", ["shop.example.com", "192.0.2.7:8000", "localhost.example.com"])
def test_t42_nor_a_tunnel_from_one(host):
    assert status("127.0.0.1", host) == "403"


@pytest.mark.parametrize(
    ("address", "host"), [("127.0.0.1", "127.0.0.1:8000"), ("::1", "[::1]:8000")]
)
def test_it_answers_this_one(address, host):
    assert status(address, host) == "200"


def test_a_shop_answers_everybody(settings):
    settings.HOLDFAST_DEMO = False
    settings.SECURE_SSL_REDIRECT = False

    assert status("192.0.2.7", "shop.example.com") == "200"
