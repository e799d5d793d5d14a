"""The demo's well-known logins and API clients: for loopback, and printed by `make run`."""

from django.conf import settings
from django.contrib.auth.hashers import make_password
from django.contrib.auth.models import Group, User

from api.actors import SYSTEM
from api.services import create_client
from backoffice import rights, roles

# The other logins, beside demo, which may do everything.
LOGINS = {
    "viewer": roles.VIEWER,
    "clerk": roles.STOCK_CLERK,
    "manager": roles.ORDER_MANAGER,
    "owner": roles.OWNER,
}


NAMES = ("demo", *LOGINS)


def create() -> None:
    # Hashed once, since that takes half a second on purpose.
    password = make_password(settings.DEMO_PASSWORD)
    people = [
        User(username=name, email=f"{name}@example.com", password=password, is_staff=True)
        for name in NAMES
    ]
    people[0].is_superuser = True
    User.objects.bulk_create(people)
    for name, role in LOGINS.items():
        User.objects.get(username=name).groups.add(Group.objects.get(name=role))
    rights.record_new(people, actor=SYSTEM)
    create_client("demo", "Back office", secret=settings.DEMO_CLIENT_SECRET, actor=SYSTEM)
    create_client("demo-storefront", "Storefront", storefront=True, actor=SYSTEM)
