"""What is enforced by rows and by the database itself, as the migrated database has it."""

from django.contrib.auth.models import Permission

from backoffice.roles import MAY, ROLES
from tests import database_catalog
from tests.mutation.guards import Catalog


def read() -> Catalog:
    there = {
        f"{app}.{codename}"
        for app, codename in Permission.objects.values_list("content_type__app_label", "codename")
    }
    withheld = [name for name, roles in MAY.items() if set(roles) < set(ROLES) and name in there]
    return Catalog(database_catalog.constraints(), database_catalog.triggers(), withheld)
