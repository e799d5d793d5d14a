"""Who may do what: the table of roles, and the groups that it becomes."""

from collections.abc import Iterator

import pytest
from django.apps import apps
from django.contrib.auth.models import Group, Permission
from django.db import connection, migrations
from django.db.migrations.loader import MigrationLoader

from backoffice import roles
from backoffice.roles import MAY, OWNER, ROLES, STOCK_CLERK, VIEWER, grant

pytestmark = pytest.mark.django_db


def permissions_of(role: str) -> set[str]:
    given = Permission.objects.filter(group__name=role).select_related("content_type")
    return {f"{each.content_type.app_label}.{each.codename}" for each in given}


def permissions_of_our_models() -> Iterator[str]:
    for label in roles.APPS:
        for model in apps.get_app_config(label).get_models():
            meta = model._meta
            for action in meta.default_permissions:
                yield f"{label}.{action}_{meta.model_name}"
            for codename, _ in meta.permissions:
                yield f"{label}.{codename}"


def test_every_permission_is_given_to_a_role_or_left_out_on_purpose():
    there = set(permissions_of_our_models())

    assert there - MAY.keys() == set()
    assert {name for name, roles in MAY.items() if roles} - there == set()


@pytest.mark.parametrize("role", ROLES)
def test_migrated_database_has_the_roles_of_the_table(role):
    assert permissions_of(role) == {name for name in MAY if role in MAY[name]}


def test_whoever_may_do_something_may_see_everything_a_viewer_sees():
    for role in ROLES:
        assert permissions_of(VIEWER) <= permissions_of(role) <= permissions_of(OWNER)


def test_viewer_may_view_and_nothing_else():
    assert {name.split(".")[1].split("_")[0] for name in permissions_of(VIEWER)} == {"view"}


def test_what_a_store_changed_in_its_groups_stays():
    clerk = Group.objects.get(name=STOCK_CLERK)
    taken = Permission.objects.get(codename="delete_product")
    clerk.permissions.remove(taken)
    own = Group.objects.create(name="Accountants")
    own.permissions.add(Permission.objects.get(codename="view_order"))

    grant()

    assert "inventory.delete_product" not in permissions_of(STOCK_CLERK)
    assert permissions_of("Accountants") == {"orders.view_order"}


def test_a_permission_that_came_later_is_given_to_the_roles_that_are_there():
    Permission.objects.filter(codename="change_stock").delete()
    assert "inventory.change_stock" not in permissions_of(STOCK_CLERK)

    grant()

    assert "inventory.change_stock" in permissions_of(STOCK_CLERK)
    assert "inventory.change_stock" not in permissions_of(VIEWER)


def test_whatever_migration_brings_a_permission_one_that_grants_it_follows():
    loader = MigrationLoader(connection)
    granted = {
        earlier
        for key, migration in loader.disk_migrations.items()
        if getattr(migration, "grants_roles", False)
        for earlier in loader.graph.forwards_plan(key)
    }

    brings = {
        key
        for key, migration in loader.disk_migrations.items()
        if key[0] in roles.APPS
        for operation in migration.operations
        if (
            isinstance(operation, migrations.CreateModel)
            and operation.options.get("default_permissions") != ()
        )
        or "permissions" in getattr(operation, "options", {})
    }

    assert brings - granted == set(), "let a migration of backoffice call roles.grant after these"
