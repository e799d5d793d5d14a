"""The demo's well-known logins and API clients: for loopback, and printed by `make run`."""

from django.contrib.auth.models import User

from api.services import create_client


def create() -> None:
    User.objects.create_superuser("demo", "demo@example.com", "demo")
    create_client("demo", "Back office", secret="demo-secret")  # noqa: S106 - known to everybody
    create_client("demo-storefront", "Storefront", storefront=True)
