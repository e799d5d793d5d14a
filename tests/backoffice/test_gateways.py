"""Gateways in the admin."""

import pytest

from payments.models import Gateway
from tests.backoffice.pages import text

pytestmark = pytest.mark.django_db


def test_a_gateway_is_switched_on_and_off(admin_client):
    url = "/admin/payments/gateway/test/change/"

    admin_client.post(url, {"name": "Trial", "initial-enabled": "True"})

    gateway = Gateway.objects.get(slug="test")
    assert (gateway.name, gateway.enabled) == ("Trial", False)
    admin_client.post(url, {"name": "Trial", "enabled": "on"})
    gateway.refresh_from_db()
    assert gateway.enabled


def test_a_gateway_that_the_server_does_not_know_stays_off(admin_client):
    Gateway.objects.create(slug="gone", name="Gone")

    response = admin_client.post(
        "/admin/payments/gateway/gone/change/", {"name": "Gone", "enabled": "on"}
    )

    assert "The requested gateway could not be found" in text(response)
    assert not Gateway.objects.get(slug="gone").enabled


def test_gateways_are_neither_added_nor_deleted(admin_client):
    assert admin_client.get("/admin/payments/gateway/add/").status_code == 403
    assert admin_client.post("/admin/payments/gateway/test/delete/").status_code == 403


@pytest.mark.parametrize(
    "url", ["/admin/payments/gateway/", "/admin/payments/gateway/manual/change/"]
)
@pytest.mark.parametrize("on", [True, False])
def test_the_manual_gateway_for_shoppers_is_warned_of_while_it_is_on(
    admin_client, settings, url, on
):
    settings.MANUAL_GATEWAY_FOR_SHOPPERS = on

    assert ("MANUAL_GATEWAY_FOR_SHOPPERS is on" in text(admin_client.get(url))) is on
