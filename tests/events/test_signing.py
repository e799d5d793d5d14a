"""Signatures that whoever knows Standard Webhooks verifies, by the package of the standard."""

from datetime import timedelta

import pytest
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from api import clock
from events.models import Integration
from events.services import signing

BODY = '{"name": "Fräulein Smilla"}'


def verified(secret: str, headers: dict[str, str], body: str = BODY) -> bool:
    try:
        Webhook(secret).verify(body, headers)
    except WebhookVerificationError:
        return False
    return True


def signed(integration: Integration) -> dict[str, str]:
    return signing.headers(integration, "msg_1", clock.now(), BODY.encode())


def test_the_package_of_the_standard_verifies_a_signature():
    integration = Integration(signing_secret=signing.new_secret())

    headers = signed(integration)

    assert verified(integration.signing_secret, headers)
    assert not verified(integration.signing_secret, headers, BODY.upper())
    assert not verified(integration.signing_secret, headers | {"webhook-id": "msg_2"})
    assert not verified(signing.new_secret(), headers)
    # Which says when it was sent, so that nobody can send it again later.
    old = signing.headers(integration, "msg_1", clock.now() - timedelta(hours=1), BODY.encode())
    assert not verified(integration.signing_secret, old)


@pytest.mark.parametrize(("hours_left", "still_signs"), [(1, True), (-1, False)])
def test_the_secret_before_signs_beside_the_new_one_for_a_while(hours_left, still_signs):
    old, new = signing.new_secret(), signing.new_secret()
    until = clock.now() + timedelta(hours=hours_left)
    integration = Integration(signing_secret=new, old_signing_secret=old, old_signs_until=until)

    headers = signed(integration)

    assert verified(new, headers)
    assert verified(old, headers) is still_signs


def test_no_two_secrets_are_alike_and_each_says_what_it_is():
    made = {signing.new_secret() for _ in range(20)}

    assert len(made) == 20
    assert all(secret.startswith("whsec_") and len(secret) == 50 for secret in made)
