"""What `check --deploy` finds in the database: what a demo left in it, a shop window of nobody."""

from collections.abc import Iterator
from typing import Any

from django.conf import settings
from django.contrib.auth.hashers import check_password
from django.contrib.auth.models import User
from django.core.checks import CheckMessage, Error, Info, Warning, register
from django.db import DatabaseError, connection

from api.models import ApiClient
from demo import logins
from payments.services import installation


# Without the tag of databases, for whose checks one has to ask in so many words.
@register(deploy=True)
def the_database_is_a_shops(**options: Any) -> list[CheckMessage]:
    try:
        tables = connection.introspection.table_names()
        return list(_found()) if User._meta.db_table in tables else []
    except DatabaseError:
        return [
            Info(
                "The database does not answer, so nobody knows whether it has the demo's logins.",
                id="holdfast.I001",
            )
        ]


def _found() -> Iterator[CheckMessage]:
    yield from _whose_it_is()
    window = settings.SHOP_WINDOW_CLIENT
    client = ApiClient.objects.filter(client_id=window, active=True).first()
    if window and not (client and client.is_storefront):
        yield Warning(
            f"SHOP_WINDOW_CLIENT names no active storefront: {window}. Its page sells nothing.",
            hint="Make one with `manage.py create_api_client`, or leave SHOP_WINDOW_CLIENT out.",
            id="holdfast.W008",
        )
    people = User.objects.filter(username__in=logins.NAMES, is_active=True).order_by("username")
    # The demo hashes once for all of them, and checking a hash takes as long on purpose.
    hashes = {person.password for person in people}
    public = {
        hashed for hashed in hashes if check_password(settings.DEMO_PASSWORD, hashed, setter=None)
    }
    if names := [person.username for person in people if person.password in public]:
        yield Error(
            f"The database has the demo's logins, whose password is public: {', '.join(names)}.",
            hint="Deactivate them in the admin under Users, or give them passwords of their own.",
            id="holdfast.E007",
        )
    clients = ApiClient.objects.filter(active=True).order_by("client_id")
    if ids := [
        client.client_id for client in clients if client.has_secret(settings.DEMO_CLIENT_SECRET)
    ]:
        yield Error(
            f"The database has API clients whose secret is public: {', '.join(ids)}.",
            hint="Revoke them in the admin under API clients, or replace their secrets.",
            id="holdfast.E008",
        )


def _whose_it_is() -> Iterator[CheckMessage]:
    if why := installation.why_closed():
        yield Warning(
            why,
            hint="If this is to be the shop, `manage.py open_gateways` tells how it stands, and "
            "opens them.",
            id="holdfast.W013",
        )
    elif settings.STRIPE_SECRET_KEY and not installation.remembered().name:
        yield Warning(
            "The database does not know which installation it belongs to: a copy of its disk that "
            "is started somewhere else, with Stripe's keys, would charge as the shop does.",
            hint="Name this installation in HOLDFAST_INSTALLATION, and run "
            "`manage.py open_gateways` once.",
            id="holdfast.W014",
        )
