from typing import Any

from django.db import migrations


def rename(apps: Any, schema_editor: Any) -> None:
    """Whoever may see files of counts may see sheets: Django leaves a permission's name behind."""
    apps.get_model("auth", "Permission").objects.filter(
        content_type__app_label="inventory", codename="view_countfile"
    ).update(codename="view_sheet", name="Can view sheet")


class Migration(migrations.Migration):
    dependencies = [("backoffice", "0003_people_and_roles_stay"), ("inventory", "0014_sheets")]

    operations = [migrations.RunPython(rename, migrations.RunPython.noop)]
