from typing import Any

from django.db import migrations


def take_back(apps: Any, schema_editor: Any) -> None:
    """Nobody deletes people and roles any more: also where a store has given the right away."""
    gone = apps.get_model("auth", "Permission").objects.filter(
        content_type__app_label="auth", codename__in=["delete_user", "delete_group"]
    )
    for permission in gone:
        permission.group_set.clear()
        permission.user_set.clear()


class Migration(migrations.Migration):
    dependencies = [("backoffice", "0002_changes_on_record")]

    operations = [migrations.RunPython(take_back, migrations.RunPython.noop)]
